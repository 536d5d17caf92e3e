"""Training a transformer on the characters of a text for the same time: this crate and PyTorch.

    pip install numpy torch pytorch-optimizer
    python benches/peers/train_text.py [--seconds 5 20] [--threads 1] [--programs hessian-free-32 torch-adamw-16-3e-3d ...]
        [--json FILE] [-- --width 64 --blocks 2 ...]

The network is that of examples/train_text, written once more in PyTorch, on the pages that are built in there: the same
sequences are learned and held out, from the same initial numbers (Glorot-uniform from SplitMix64). That both are the same function
is printed first: loss and gradient norm of all sequences at the start, in double precision. Then all programs train in
f32, one after the other, with as many threads; the clock stops while one evaluates on all sequences. What is after `--` is handed
to the program.

A program is named method-batch-rate. The first batch of hessian-free (which has no rate) is given, and it grows; it minimises
the cross entropy plus its ½c|x|² of examples/train_text, as the crate's adam and soap do; the latter is judged at the average
of its points. PyTorch's AdamW and SOAP, and Muon (hidden matrices;
AdamW with a tenth of the rate for the rest), have their own decay of weights, 0.01, in its place. A rate with `d` at its end falls
linearly to zero over the time.

Results are cross entropies in nats per character, learned / held out, interpolated between two evaluations in the
logarithm of seconds or samples. Samples differentiated are gradients of one sequence, in passes over those learned: for this crate a
gradient counts 1, with the value that comes along with it, a further value 1/3, and a product with the Gauss-Newton matrix 4/3,
as their operations are.
"""

import argparse
import collections
import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np

from racing import samples_differentiated, torch_curve, uniforms

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "examples/train_text/text.rs"
RARE, HELD_OUT = 10, 10
PROGRAMS = [
    "hessian-free-32", "hessian-free-128", "adam-16-1e-3", "adam-16-3e-3", "adam-16-1e-2",
    "soap-16-3e-3", "soap-16-5e-3", "soap-16-1e-2",
    *(f"torch-adamw-16-{rate}" for rate in ["1e-3", "3e-3", "1e-2"]),
    *(f"torch-soap-16-{rate}" for rate in ["3e-3", "1e-2"]),
    *(f"torch-muon-16-{rate}" for rate in ["2e-2", "5e-2"]),
]


class Problem:
    """Sequences and initial numbers, as examples/train_text has them."""

    def __init__(self, a):
        files = re.findall(r'include_str!\("../../(.*?)"\)', SOURCE.read_text())
        text = "".join((ROOT / name).read_text() for name in files)
        counts = collections.Counter(text)
        alphabet = sorted(c for c in counts if counts[c] >= RARE and c != "\ufffd")
        if len(alphabet) < len(counts):
            alphabet.append("\ufffd")
        numbers = {c: i for i, c in enumerate(alphabet)}
        characters = np.array([numbers.get(c, len(alphabet) - 1) for c in text])
        self.alphabet, self.places, self.width, self.heads, self.blocks = len(alphabet), a.places, a.width, a.heads, a.blocks
        count = (len(characters) - 1) // a.places
        inputs = characters[: count * a.places].reshape(count, a.places)
        labels = characters[1 : count * a.places + 1].reshape(count, a.places)
        out = np.arange(count) % HELD_OUT == HELD_OUT - 1
        self.learned, self.held_out = [(inputs[which], labels[which]) for which in (~out, out)]
        d = a.width
        shapes = [(d, self.alphabet + a.places)]
        for _ in range(a.blocks):
            shapes += [(3 * d, d), (d, d), (4 * d, d), (d, 4 * d)]
        shapes.append((self.alphabet, d))
        u, at, self.initial = uniforms(sum(o * i for o, i in shapes), 1), 0, []
        for o, i in shapes:
            self.initial.append(((2 * u[at : at + o * i] - 1) * np.sqrt(6.0 / (i + o))).reshape(o, i))
            self.initial.append(np.zeros(o))
            at += o * i

    def logits(self, parts, sequences):
        import torch

        functional = torch.nn.functional
        count, places = sequences.shape
        embedding = parts[0].t()
        r = functional.embedding(sequences, embedding[: self.alphabet]) + embedding[self.alphabet :] + parts[1]
        for block in range(self.blocks):
            wq, bq, wm, bm, wu, bu, wd, bd = parts[2 + 8 * block : 10 + 8 * block]
            normalised = functional.layer_norm(r, (self.width,))
            heads = functional.linear(normalised, wq, bq).view(count, places, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
            mixed = functional.scaled_dot_product_attention(*heads, is_causal=True)
            r = r + functional.linear(mixed.transpose(1, 2).reshape(count, places, -1), wm, bm)
            hidden = functional.relu(functional.linear(functional.layer_norm(r, (self.width,)), wu, bu)).square()
            r = r + functional.linear(hidden, wd, bd)
        return functional.linear(functional.layer_norm(r, (self.width,)), parts[-2], parts[-1])

    def cross_entropy(self, parts, sequences, labels, reduction="mean"):
        import torch

        logits = self.logits(parts, sequences)
        return torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction=reduction)


def start_of_torch(problem):
    """Loss and gradient norm at the start, in double precision."""
    import torch

    parts = [torch.tensor(part, requires_grad=True) for part in problem.initial]
    sequences, labels = map(torch.from_numpy, problem.learned)
    total = 0.0
    for some, of_some in zip(sequences.split(256), labels.split(256)):
        loss = problem.cross_entropy(parts, some, of_some, "sum") / len(sequences)
        loss.backward()
        total += loss.item()
    return total, math.sqrt(sum(part.grad.square().sum().item() for part in parts))


def optimizer_of(kind, parts, rate):
    import torch

    if kind == "adamw":
        return torch.optim.AdamW(parts, lr=rate)
    import pytorch_optimizer as peers

    if kind == "soap":
        return peers.SOAP(parts, lr=rate)
    # Muon: the matrices of blocks; embedding, what is read out and biases by AdamW.
    matrices = [part for part in parts if part.dim() == 2][1:-1]
    others = [part for part in parts if all(part is not matrix for matrix in matrices)]
    return peers.Muon([
        {"params": matrices, "lr": rate, "weight_decay": 0.01, "use_muon": True},
        {"params": others, "lr": rate / 10, "weight_decay": 0.01, "use_muon": False},
    ])


def run_torch(problem, name, a):
    import torch

    torch.set_num_threads(a.threads)
    torch.manual_seed(0)
    kind, size, rate = name.split("-", 2)
    falls, rate, size, end = rate.endswith("d"), float(rate.rstrip("d")), int(size), max(a.seconds)
    learned, held_out = [[torch.from_numpy(part) for part in half] for half in (problem.learned, problem.held_out)]

    @torch.no_grad()
    def evaluate(parts):
        def mean(sequences, labels):
            pairs = zip(sequences.split(256), labels.split(256))
            return sum(problem.cross_entropy(parts, *pair, "sum").item() for pair in pairs) / labels.numel()

        return {"learned": mean(*learned), "held_out": mean(*held_out)}

    initial = lambda: [torch.tensor(part, dtype=torch.float32, requires_grad=True) for part in problem.initial]
    loss = lambda parts, drawn: problem.cross_entropy(parts, learned[0][drawn], learned[1][drawn])
    optimizer = lambda parts: optimizer_of(kind, parts, rate)
    return torch_curve(initial, optimizer, loss, evaluate, len(learned[0]), size, end, falls)


def crate(a, *arguments):
    command = ["cargo", "run", "--quiet", "--release", "--bin", "train_text", "--", *arguments, "--json", "--write", "0"]
    environment = os.environ | {"RAYON_NUM_THREADS": str(a.threads)}
    done = subprocess.run(
        [str(part) for part in [*command, *a.handed]], cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        text=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def run_crate(name, a):
    method, size, rate = re.fullmatch(r"(.*?)-(\d+)(?:-(.*))?", name).groups()
    line = crate(a, "--method", method, "--batch", size, "--seconds", max(a.seconds), *(["--rate", rate] if rate else []))
    for point in line["curve"]:
        point["samples"] = samples_differentiated(point)
    return line["curve"]


def at(curve, axis, where, key):
    """The curve's value at this place of the axis, linear in its logarithm between two points; None outside of them."""
    for before, after in zip(curve, curve[1:]):
        if 0 < before[axis] <= where <= after[axis]:
            share = math.log(where / before[axis]) / math.log(after[axis] / before[axis]) if after[axis] > before[axis] else 1.0
            return (1 - share) * before[key] + share * after[key]
    return curve[-1][key] if curve[-1][axis] >= 0.98 * where else None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, nargs="+", default=[5, 20])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--programs", nargs="+", default=PROGRAMS)
    parser.add_argument("--json", help="write the curves to this file")
    parser.add_argument("--peer", help=argparse.SUPPRESS)
    given = sys.argv[1:] if "--" in sys.argv else [*sys.argv[1:], "--"]
    a = parser.parse_args(given[: given.index("--")])
    a.handed = given[given.index("--") + 1 :]
    shape = argparse.ArgumentParser()
    for name, default in [("places", 64), ("width", 64), ("heads", 4), ("blocks", 2)]:
        shape.add_argument(f"--{name}", type=int, default=default)
    shape.parse_known_args(a.handed, namespace=a)
    problem = Problem(a)
    if a.peer:
        found = start_of_torch(problem) if a.peer == "start" else run_torch(problem, a.peer, a)
        return print(json.dumps(found))

    subprocess.run(["cargo", "build", "--quiet", "--release", "--bin", "train_text"], cwd=ROOT, check=True)
    threads = {f"{library}_NUM_THREADS": str(a.threads) for library in ("OMP", "OPENBLAS", "MKL")}

    def peer(name):
        command = [sys.executable, __file__, "--peer", name, "--threads", a.threads, "--seconds", *a.seconds, "--", *a.handed]
        done = subprocess.run([str(part) for part in command], env=os.environ | threads, check=True, stdout=subprocess.PIPE, text=True)
        return json.loads(done.stdout.splitlines()[-1])

    line = crate(a, "--check", "--seconds", "0")
    ours, theirs = (line["start"]["value"], line["start"]["gradient_norm"]), peer("start")
    count = len(problem.learned[0])
    print(f"{count} sequences of {a.places} characters, {line['parameters']} parameters, {a.threads} threads")
    for what, mine, other in zip(["loss", "gradient norm"], ours, theirs):
        apart = abs(mine / other - 1)
        print(f"{what} at the start: {mine:.12g}, PyTorch {other:.12g}, {apart:.0e} apart")
        assert apart < 1e-11, f"not the same network: {mine} {other}"
    curves = {}
    for name in a.programs:
        print(f"{name} ...", file=sys.stderr, flush=True)
        curves[name] = peer(name.removeprefix("torch-")) if name.startswith("torch-") else run_crate(name, a)
    if a.json:
        Path(a.json).write_text(json.dumps({"threads": a.threads, "handed": a.handed, "curves": curves}, indent=1) + "\n")

    def table(title, axis, marks, scale):
        print(f"nats per character, learned / held out, by {title}")
        print(" " * 22 + "".join(f"{mark:>16g}" for mark in marks))
        for name, curve in curves.items():
            found = [[at(curve, axis, mark * scale, key) for key in ("learned", "held_out")] for mark in marks]
            cells = ["-" if cell[0] is None else f"{cell[0]:.3f} / {cell[1]:.3f}" for cell in found]
            print(f"{name:<22}" + "".join(f"{cell:>16}" for cell in cells))

    table("seconds", "seconds", sorted(a.seconds), 1)
    last = max(curve[-1]["samples"] for curve in curves.values())
    table("passes over what is learned", "samples", [k for k in (1, 2, 4, 8, 16, 32, 64, 128, 256) if k * count <= last], count)


if __name__ == "__main__":
    main()
