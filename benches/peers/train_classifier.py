"""Training a small convolutional classifier for the same time: this crate and PyTorch.

    pip install numpy torch pytorch-optimizer
    python benches/peers/train_classifier.py IMAGES LABELS [--images 10000] [--seconds 20 60] [--threads 1]
        [--convolutions 8-16] [--layers 50] [--programs hessian-free-500 soap-128-3e-3 torch-adam-128-1e-3 ...] [--json FILE]

The files are train-images-idx3-ubyte.gz and train-labels-idx1-ubyte.gz of Fashion-MNIST or MNIST. The first four fifths of the
images are learned, the others are the test. The network is that of examples/train_classifier, written once more in PyTorch: 3 x 3
convolutions without a margin, from the second on at every other place, then layers; ReLU, softmax; the objective is the mean
cross entropy plus 0.5e-4 |x|^2, for all programs. They start from the same weights; that both are the same function there is
asserted. All train in f32, one after the other, with as many threads; the clock stops while one evaluates.

A program is named method-batch-rate. The first batch of hessian-free (which has no rate) is given, and it grows; the crate's
soap is judged at the average of its points. Samples differentiated are counted as in train_text.py.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from racing import read_idx, samples_differentiated, torch_curve, uniforms
from train_text import at, optimizer_of

ROOT = Path(__file__).resolve().parents[2]
L2, SIDE = 1e-4, 3
PROGRAMS = [
    "hessian-free-500", "soap-128-3e-3", "soap-128-1e-2", "adam-128-1e-3",
    *(f"torch-adam-128-{rate}" for rate in ["1e-3", "3e-3"]),
    *(f"torch-soap-128-{rate}" for rate in ["3e-3", "1e-2"]),
    *(f"torch-muon-128-{rate}" for rate in ["2e-2", "5e-2"]),
]


def write(path, numbers):
    sizes = b"".join(size.to_bytes(4, "big") for size in numbers.shape)
    path.write_bytes((0x800 + numbers.ndim).to_bytes(4, "big") + sizes + numbers.tobytes())
    return path


class Problem:
    def __init__(self, a):
        images, labels = read_idx(a.idx, 3, a.images), read_idx(a.labels, 1, a.images)
        learned = len(images) * 4 // 5
        self.learned, self.test = (images[:learned], labels[:learned]), (images[learned:], labels[learned:])
        numbers = lambda text: [int(part) for part in text.split("-")] if text != "none" else []
        (height, width), before = images.shape[1:], 1
        shapes, self.strides = [], []
        for i, channels in enumerate(numbers(a.convolutions)):
            stride = 1 + min(i, 1)
            height, width = (height - SIDE) // stride + 1, (width - SIDE) // stride + 1
            shapes.append((channels, SIDE * SIDE * before))
            self.strides.append(stride)
            before = channels
        before *= height * width
        for units in [*numbers(a.layers), 10]:
            shapes.append((units, before))
            before = units
        u, at, self.initial = uniforms(sum(o * i for o, i in shapes), 1), 0, []
        for layer, (o, i) in enumerate(shapes):
            window = SIDE * SIDE if layer < len(self.strides) else 1
            bound = np.sqrt(6.0 / (i + window * o))
            self.initial.append(((2 * u[at : at + o * i] - 1) * bound).reshape(o, i))
            self.initial.append(np.zeros(o))
            at += o * i

    def logits(self, parts, images):
        import torch

        functional, h = torch.nn.functional, images[:, None]
        for layer in range(len(parts) // 2):
            w, b = parts[2 * layer : 2 * layer + 2]
            if layer < len(self.strides):
                window = w.view(len(w), SIDE, SIDE, -1).permute(0, 3, 1, 2)
                h = functional.relu(functional.conv2d(h, window, b, self.strides[layer]))
            else:
                h = h.permute(0, 2, 3, 1).flatten(1) if h.dim() == 4 else h
                h = functional.linear(h, w, b)
                h = functional.relu(h) if 2 * layer + 2 < len(parts) else h
        return h

    def loss(self, parts, images, labels):
        import torch

        squares = sum(part.square().sum() for part in parts)
        return torch.nn.functional.cross_entropy(self.logits(parts, images), labels) + 0.5 * L2 * squares


def run_torch(problem, name, a):
    import torch

    torch.set_num_threads(a.threads)
    torch.manual_seed(0)
    tensors = lambda half: (torch.from_numpy(half[0].astype(np.float32) / np.float32(255)), torch.from_numpy(half[1].astype(np.int64)))
    learned, test = tensors(problem.learned), tensors(problem.test)

    @torch.no_grad()
    def evaluate(parts):
        found = {}
        for key, (images, labels) in [("", learned), ("test_", test)]:
            logits = torch.cat([problem.logits(parts, some) for some in images.split(1000)])
            found[key + "cross_entropy"] = torch.nn.functional.cross_entropy(logits, labels).item()
            found[key + "accuracy"] = (logits.argmax(1) == labels).double().mean().item()
        return found

    initial = lambda: [torch.tensor(part, dtype=torch.float32, requires_grad=True) for part in problem.initial]
    if name == "start":
        return evaluate(initial())
    kind, size, rate = name.split("-", 2)
    size, rate, end = int(size), float(rate), max(a.seconds)

    def optimizer(parts):
        made = torch.optim.Adam(parts, lr=rate) if kind == "adam" else optimizer_of(kind, parts, rate)
        for group in made.param_groups:
            group["weight_decay"] = 0.0
        return made

    loss = lambda parts, drawn: problem.loss(parts, learned[0][drawn], learned[1][drawn])
    return torch_curve(initial, optimizer, loss, evaluate, len(learned[0]), size, end)


def crate(a, files, *arguments):
    command = ["cargo", "run", "--quiet", "--release", "--bin", "train_classifier", "--", *files[:2], "--test", *files[2:], *arguments]
    command += ["--convolutions", a.convolutions, "--layers", a.layers, "--l2", L2, "--json"]
    environment = os.environ | {"RAYON_NUM_THREADS": str(a.threads)}
    done = subprocess.run(
        [str(part) for part in command], cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert done.stdout, done.stderr
    curve = json.loads(done.stdout.splitlines()[-1])["curve"]
    for point in curve:
        point["samples"] = samples_differentiated(point)
    return curve


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("idx", metavar="IMAGES", type=Path)
    parser.add_argument("labels", metavar="LABELS", type=Path)
    parser.add_argument("--images", type=int, default=10000)
    parser.add_argument("--convolutions", default="8-16")
    parser.add_argument("--layers", default="50")
    parser.add_argument("--seconds", type=float, nargs="+", default=[20, 60])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--programs", nargs="+", default=PROGRAMS)
    parser.add_argument("--json", help="write the curves to this file")
    parser.add_argument("--peer", help=argparse.SUPPRESS)
    a = parser.parse_args()
    problem = Problem(a)
    if a.peer:
        return print(json.dumps(run_torch(problem, a.peer, a)))

    subprocess.run(["cargo", "build", "--quiet", "--release", "--bin", "train_classifier"], cwd=ROOT, check=True)
    threads = {f"{library}_NUM_THREADS": str(a.threads) for library in ("OMP", "OPENBLAS", "MKL")}
    same = ["--images", a.images, "--convolutions", a.convolutions, "--layers", a.layers, "--threads", a.threads]

    def peer(name):
        command = [sys.executable, __file__, a.idx, a.labels, "--peer", name, *same, "--seconds", *a.seconds]
        done = subprocess.run([str(part) for part in command], env=os.environ | threads, check=True, stdout=subprocess.PIPE, text=True)
        return json.loads(done.stdout.splitlines()[-1])

    curves = {}
    with tempfile.TemporaryDirectory() as folder:
        halves = [numbers for half in (problem.learned, problem.test) for numbers in half]
        files = [write(Path(folder) / str(i), numbers) for i, numbers in enumerate(halves)]
        mine, other = crate(a, files, "--method", "adam", "--seconds", 1e-9)[0], peer("start")
        for key in ("cross_entropy", "test_cross_entropy"):
            print(f"{key} at the start: {mine[key]:.9g}, PyTorch {other[key]:.9g}")
            assert abs(mine[key] / other[key] - 1) < 1e-5, "not the same network"
        for name in a.programs:
            print(f"{name} ...", file=sys.stderr, flush=True)
            if name.startswith("torch-"):
                curves[name] = peer(name.removeprefix("torch-"))
                continue
            method, size, rate = re.fullmatch(r"(.*?)-(\d+)(?:-(.*))?", name).groups()
            rates = ["--rate", rate] if rate else []
            curves[name] = crate(a, files, "--method", method, "--batch", size, "--seconds", max(a.seconds), *rates)
    if a.json:
        Path(a.json).write_text(json.dumps(curves, indent=1) + "\n")

    def table(title, axis, marks, scale):
        print(f"cross entropy, learned / test, and per cent of the test that is right, by {title}")
        print(" " * 22 + "".join(f"{mark:>24g}" for mark in marks))
        for name, curve in curves.items():
            keys = ("cross_entropy", "test_cross_entropy", "test_accuracy")
            found = [[at(curve, axis, mark * scale, key) for key in keys] for mark in marks]
            cells = ["-" if None in cell else f"{cell[0]:.4f} / {cell[1]:.4f} {100 * cell[2]:.1f}" for cell in found]
            print(f"{name:<22}" + "".join(f"{cell:>24}" for cell in cells))

    count = len(problem.learned[0])
    table("seconds", "seconds", sorted(a.seconds), 1)
    last = max(curve[-1]["samples"] for curve in curves.values())
    table("passes over what is learned", "samples", [k for k in (1, 2, 4, 8, 16, 32, 64, 128) if k * count <= last], count)


if __name__ == "__main__":
    main()
