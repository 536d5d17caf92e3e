"""Training an autoencoder for the same time: this crate, PyTorch and kfac-jax.

    pip install numpy torch pytorch-optimizer opt_einsum schedulefree; pip install kfac-jax    # perhaps elsewhere: --kfac-python
    python benches/peers/train_autoencoder.py IDX_FILE [--images 10000] [--layers 784-256-64-16] [--seconds 60 180 400]
        [--threads 2] [--programs hessian-free natural-gradient adam-1e-3 torch-adam-1e-3 soap kfac-jax ...]
        [--search 10] [--kfac-python PATH] [--json FILE]
    python benches/peers/train_autoencoder.py --products ...   # what a product costs: autoencoder_products.py

The file is train-images-idx3-ubyte.gz of Fashion-MNIST or MNIST. All programs train in f32 on the same images from the same
weights (Glorot-uniform from SplitMix64, zero biases), with as many threads, on the same objective: the mean over images of the
Bernoulli cross-entropy plus 0.5e-5 |x|^2; hidden units are tanh, code and outputs linear, the decoder mirrors the encoder.
One program runs after the other. The clock stops while one evaluates on all images, which is after the first step that
ends at or after each of the marks; what is made at first use (JAX: compiled) is made before it starts. Nothing else should run on the machine.

Results are given by seconds, and by samples differentiated, which do not depend on the machine: gradients of one sample, in
passes over the images, interpolated between the marks. For this crate a gradient is 1, with the value at its point, from which
it takes the forward pass, as in PyTorch; another value is 1/3, and a product with the Gauss-Newton matrix 4/3, as their
operations are (measured 1.15 to 1.26: --products); learning Kronecker factors counts as the gradient that it makes. kfac-jax
does not tell.

- PyTorch: Adam at three rates and SGD with Nesterov's momentum (0.9) on batches of 128; L-BFGS with strong Wolfe searches on
  all images, its value summed in f64 because its search stalls otherwise, started again where it stalls nevertheless.
- soap, shampoo (with the step lengths of RMSProp), muon, kron (PSGD) of pytorch-optimizer, and schedulefree (AdamW): three
  rates, two sizes of batches, and for those that renew something at intervals two of these; muon takes all matrices or
  those of hidden layers only, Adam with a tenth of the rate the rest. `--search S` runs each candidate for S seconds and
  lets the best by seconds and the best by samples (as many as the slowest candidate made) compete; without it the first does.
- kfac-jax: the settings of its own autoencoder example (adaptive damping, rate and momentum), all images in each batch,
  first damping 1, the best of those tried.
"""

import argparse
import itertools
import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from racing import read_idx, samples_differentiated, uniforms

ROOT = Path(__file__).resolve().parents[2]
OURS = ["hessian-free", "natural-gradient", "gauss-newton", "martens", "adam", "our-soap", "sgd", "lbfgs"]
TORCH = ["torch-adam-3e-4", "torch-adam-1e-3", "torch-adam-3e-3", "torch-nesterov-3e-3", "torch-lbfgs"]
# Rates, sizes of batches, and renewal intervals (for muon: hidden matrices or all); the first of each is the default.
SEARCHED = {
    "soap": ([1e-2, 3e-3, 3e-2], [250, 1000], [2, 10]),
    "shampoo": ([3e-4, 1e-4, 1e-3], [250, 1000], [2, 10]),
    "muon": ([5e-2, 2e-2, 1e-1], [250, 1000], [0, 1]),
    "kron": ([3e-3, 1e-3, 1e-2], [250, 1000], [2, 10]),
    "schedulefree": ([1e-2, 3e-3, 3e-2], [128, 500], [1]),
}
L2 = 1e-5


class Problem:
    def __init__(self, a):
        pixels = read_idx(a.idx, 3, a.images)
        pixels = pixels.reshape(len(pixels), -1)
        self.images = pixels.astype(np.float32) / np.float32(255)
        encoder = [int(width) for width in a.layers.split("-")]
        widths = encoder + encoder[-2::-1]
        self.linear = {len(encoder) - 2, len(widths) - 2}  # layers without tanh
        u, at, self.weights = uniforms(sum(i * o for i, o in zip(widths, widths[1:])), 1), 0, []
        for i, o in zip(widths, widths[1:]):
            w = (2 * u[at : at + i * o] - 1) * np.sqrt(6.0 / (i + o))
            self.weights.append((w.astype(np.float32).reshape(o, i), np.zeros(o, np.float32)))
            at += i * o


def candidates(kind):
    return [f"{kind}:{rate:g}:{batch}:{interval}" for rate, batch, interval in itertools.product(*SEARCHED[kind])]


class Clock:
    """Seconds of training, and samples differentiated; evaluates at the first step at or after each mark."""

    def __init__(self, marks, evaluate):
        self.marks, self.evaluate, self.curve = sorted(marks), evaluate, []
        self.steps = self.samples = 0
        self.before, self.started = 0.0, time.perf_counter()

    def over(self, x, samples):
        """To be called after every step, which differentiated so many samples; whether the time is up."""
        self.steps += 1
        self.samples = None if samples is None else self.samples + samples
        now = self.before + time.perf_counter() - self.started
        if not self.marks or now < self.marks[0]:
            return not self.marks
        squared, cross_entropy = self.evaluate(x)
        while self.marks and now >= self.marks[0]:
            mark = self.marks.pop(0)
            self.curve.append(
                {"mark": mark, "seconds": now, "iterations": self.steps, "samples": self.samples,
                 "squared_error_per_image": squared, "cross_entropy_per_image": cross_entropy}
            )
        self.before, self.started = now, time.perf_counter()
        return not self.marks


def run_torch(problem, method, a):
    import torch

    torch.set_num_threads(a.threads)
    torch.manual_seed(0)
    functional = torch.nn.functional
    images, count = torch.from_numpy(problem.images), len(problem.images)
    kind, *settings = method.replace("-", ":", 1).split(":")
    weights = [torch.from_numpy(part.copy()) for layer in problem.weights for part in layer]
    shapes = [part.shape for part in weights]
    # What works with matrices gets them; the others are fastest with one vector.
    x = weights if kind in SEARCHED else [torch.cat([part.ravel() for part in weights])]
    for part in x:
        part.requires_grad_()

    def regularizer(dtype=None):
        return 0.5 * L2 * sum(part.square().sum(dtype=dtype) for part in x)

    def forward(x, batch):
        if len(x) == 1:
            x = x[0].split([math.prod(shape) for shape in shapes])
        parts = [part.view(shape) for part, shape in zip(x, shapes)]
        for layer in range(len(parts) // 2):
            batch = torch.addmm(parts[2 * layer + 1], batch, parts[2 * layer].t())
            if layer not in problem.linear:
                batch = torch.tanh(batch)
        return batch

    @torch.no_grad()
    def evaluate(x):
        squared = cross_entropy = 0.0
        for part in images.split(5000):
            logits = forward(x, part)
            cross_entropy += functional.binary_cross_entropy_with_logits(logits, part, reduction="sum").item()
            squared += (torch.sigmoid(logits) - part).square().sum().item()
        return squared / count, cross_entropy / count

    # What PyTorch makes at first use does not count.
    functional.binary_cross_entropy_with_logits(forward(x, images[:128]), images[:128]).backward()
    for part in x:
        part.grad = None
    evaluate(x)
    number = torch.zeros(1, requires_grad=True)
    number.sum().backward()
    torch.optim.Adam([number]).step()
    clock = Clock(a.marks, evaluate)
    if kind == "lbfgs":
        optimizer = torch.optim.LBFGS(
            x, lr=1.0, max_iter=10, max_eval=1000, history_size=20, line_search_fn="strong_wolfe", tolerance_grad=0,
            tolerance_change=0,
        )

        calls = 0

        def closure():
            nonlocal calls
            calls += 1
            optimizer.zero_grad(set_to_none=True)
            total = regularizer(torch.float64)
            total.backward()
            total = total.detach()
            for part in images.split(5000):
                losses = functional.binary_cross_entropy_with_logits(forward(x, part), part, reduction="none")
                value = losses.sum(dtype=torch.float64) / count
                value.backward()
                total += value.detach()
            return total

        while True:
            before, calls = x[0].detach().clone(), 0
            optimizer.step(closure)
            if (x[0].detach() - before).norm() <= 1e-7 * before.norm():
                optimizer.state.clear()
            if clock.over(x, calls * count):
                return clock.curve
    rate, size, interval = (float(settings[0]), 128, 1) if len(settings) == 1 else map(float, settings)
    optimizer = optimizer_of(kind, x, rate, int(interval))
    if kind == "schedulefree":
        # The point to be judged is an average, which is made for the time of the evaluation.
        def averaged(x):
            optimizer.eval()
            found = evaluate(x)
            optimizer.train()
            return found

        optimizer.train()
        clock = Clock(a.marks, averaged)
    while True:
        for drawn in torch.randperm(count).split(int(size)):
            batch = images[drawn]
            optimizer.zero_grad(set_to_none=True)
            logits = forward(x, batch)
            loss = functional.binary_cross_entropy_with_logits(logits, batch, reduction="sum") / len(batch)
            (loss + regularizer()).backward()
            optimizer.step()
            if clock.over(x, len(batch)):
                return clock.curve


def optimizer_of(kind, x, rate, interval):
    import torch

    if kind == "adam":
        return torch.optim.Adam(x, lr=rate)
    if kind == "nesterov":
        return torch.optim.SGD(x, lr=rate, momentum=0.9, nesterov=True)
    if kind == "schedulefree":
        import schedulefree

        return schedulefree.AdamWScheduleFree(x, lr=rate, warmup_steps=100)
    import pytorch_optimizer as peers

    if kind == "soap":
        return peers.SOAP(x, lr=rate, weight_decay=0.0, precondition_frequency=interval)
    if kind == "shampoo":
        from pytorch_optimizer.optimizer.utils.graft import LayerWiseGrafting

        return peers.ScalableShampoo(
            x, lr=rate, block_size=1024, start_preconditioning_step=interval, preconditioning_compute_steps=interval,
            graft_type=LayerWiseGrafting.RMSPROP,
        )
    if kind == "kron":
        return peers.Kron(x, lr=rate, pre_conditioner_update_probability=1.0 / interval)
    matrices = [part for part in x if part.dim() == 2]
    chosen = matrices if interval else matrices[1:-1]
    others = [part for part in x if all(part is not matrix for matrix in chosen)]
    groups = [
        {"params": chosen, "lr": rate, "weight_decay": 0.0, "use_muon": True},
        {"params": others, "lr": rate / 10, "weight_decay": 0.0, "use_muon": False},
    ]
    return peers.Muon(groups)


def run_kfac(problem, a):
    # XLA sizes its thread pool by the processors it may use.
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: a.threads])
    if a.threads == 1:
        os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
    import jax
    import jax.numpy as jnp
    import kfac_jax

    images = jnp.asarray(problem.images)
    parameters = [(jnp.asarray(w.T), jnp.asarray(b)) for w, b in problem.weights]

    def forward(parameters, batch):
        for layer, (w, b) in enumerate(parameters):
            batch = batch @ w + b
            if layer not in problem.linear:
                batch = jnp.tanh(batch)
        return batch

    def cross_entropy(z, x):
        return jnp.sum(jnp.maximum(z, 0) - z * x + jnp.log1p(jnp.exp(-jnp.abs(z))), axis=1)

    def loss(parameters, batch):
        z = forward(parameters, batch)
        kfac_jax.register_multi_bernoulli_predictive_distribution(z, batch)
        return jnp.mean(cross_entropy(z, batch)) + 0.5 * L2 * sum(jnp.sum(p * p) for layer in parameters for p in layer)

    @jax.jit
    def errors(parameters):
        z = forward(parameters, images)
        return jnp.mean(jnp.sum((jax.nn.sigmoid(z) - images) ** 2, axis=1)), jnp.mean(cross_entropy(z, images))

    evaluate = lambda parameters: tuple(float(e) for e in errors(parameters))
    optimizer = kfac_jax.Optimizer(
        value_and_grad_func=jax.value_and_grad(loss), l2_reg=L2, value_func_has_aux=False, value_func_has_state=False,
        value_func_has_rng=False, use_adaptive_learning_rate=True, use_adaptive_momentum=True, use_adaptive_damping=True,
        initial_damping=1.0, min_damping=1e-5, max_damping=1000.0, damping_adaptation_interval=5,
        damping_adaptation_decay=0.95, inverse_update_period=5, num_burnin_steps=0, curvature_ema=0.95, multi_device=False,
    )

    def train(parameters, over):
        state, key, step = optimizer.init(parameters, jax.random.PRNGKey(0), images), jax.random.PRNGKey(1), 0
        while True:
            key, now = jax.random.split(key)
            parameters, state, _ = optimizer.step(parameters, state, now, batch=images, global_step_int=step)
            jax.block_until_ready(parameters)
            step += 1
            if over(parameters, step):
                return

    # Everything is compiled within 12 steps: dampings and inverses are renewed in every fifth.
    train(jax.tree.map(jnp.copy, parameters), lambda _, step: step == 12)
    evaluate(parameters)
    clock = Clock(a.marks, evaluate)
    train(parameters, lambda parameters, _: clock.over(parameters, None))
    return clock.curve


def run_crate(method, a):
    command = ["cargo", "run", "--quiet", "--release", "--example", "train_autoencoder", "--", a.idx, "--images", a.images]
    command += ["--layers", a.layers, "--method", method.removeprefix("our-"), "--seconds", max(a.marks), "--json"]
    command += ["--at", ",".join(str(mark) for mark in a.marks)]
    if method == "our-soap":
        command += ["--batch", 250, "--rate", 0.01]  # as the best of pytorch-optimizer's
    environment = os.environ | {"RAYON_NUM_THREADS": str(a.threads)}
    output = subprocess.run(
        [str(part) for part in command], cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    line = json.loads(output.splitlines()[-1])
    points = sorted(line["curve"], key=lambda point: point["seconds"])
    for point in points:
        point["samples"] = samples_differentiated(point)
    return [
        {"mark": mark} | next((point for point in points if point["seconds"] >= mark), points[-1]) for mark in sorted(a.marks)
    ]


def at_samples(curve, samples):
    """The squared error after so many samples, linear in the logarithms between two marks; None outside of them."""
    points = [(point["samples"], point["squared_error_per_image"]) for point in curve if point["samples"]]
    for (before, above), (after, below) in zip(points, points[1:]):
        if before <= samples <= after:
            share = math.log(samples / before) / math.log(after / before) if after > before else 1.0
            return math.exp((1 - share) * math.log(above) + share * math.log(below))
    return None


def main():
    if sys.argv[1:2] == ["--products"]:
        script = Path(__file__).with_name("autoencoder_products.py")
        sys.exit(subprocess.run([sys.executable, str(script), *sys.argv[2:]]).returncode)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("idx", metavar="IDX_FILE")
    parser.add_argument("--images", type=int, default=10000)
    parser.add_argument("--layers", default="784-256-64-16")
    parser.add_argument("--seconds", type=float, nargs="+", default=[60, 180, 400])
    parser.add_argument("--threads", type=int, default=2)
    known = [*OURS, *TORCH, *SEARCHED, "kfac-jax"]
    parser.add_argument(
        "--programs", nargs="+", default=["hessian-free", *TORCH, *SEARCHED, "kfac-jax"], help="of " + ", ".join(known)
    )
    parser.add_argument("--search", type=float, help="seconds for each candidate; otherwise the first is taken")
    parser.add_argument("--kfac-python", default=sys.executable)
    parser.add_argument("--json", help="write the curves to this file")
    parser.add_argument("--peer", help=argparse.SUPPRESS)
    a = parser.parse_args()
    unknown = set(a.programs) - set(known)
    if unknown:
        parser.error(f"unknown programs: {' '.join(sorted(unknown))}")
    # A whole curve.
    a.marks = sorted({*a.seconds, *(max(a.seconds) / 1.25**k for k in range(1, 24))})
    if a.peer:
        problem = Problem(a)
        curve = run_kfac(problem, a) if a.peer == "kfac-jax" else run_torch(problem, a.peer.removeprefix("torch-"), a)
        print(json.dumps(curve))
        return

    if set(a.programs) & set(OURS):
        subprocess.run(["cargo", "build", "--quiet", "--release", "--example", "train_autoencoder"], cwd=ROOT, check=True)
    threads = {f"{library}_NUM_THREADS": str(a.threads) for library in ("OMP", "OPENBLAS", "MKL")}

    def run(program, seconds):
        print(f"{program} ...", file=sys.stderr, flush=True)
        python = a.kfac_python if program == "kfac-jax" else sys.executable
        command = [python, __file__, a.idx, "--peer", program, "--images", a.images, "--layers", a.layers]
        command += ["--threads", a.threads, "--seconds", *seconds]
        output = subprocess.run(
            [str(part) for part in command], env=os.environ | threads, check=True, stdout=subprocess.PIPE, text=True
        ).stdout
        return json.loads(output.splitlines()[-1])

    curves = {}
    for program in a.programs:
        if program in OURS:
            print(f"{program} ...", file=sys.stderr, flush=True)
            curves[program] = run_crate(program, a)
            continue
        chosen = [candidates(program)[0]] if program in SEARCHED else [program]
        if program in SEARCHED and a.search:
            found = {candidate: run(candidate, [a.search]) for candidate in candidates(program)}
            # What is not finite comes last.
            order = lambda error: error if error is not None and math.isfinite(error) else math.inf
            least = min(curve[-1]["samples"] for curve in found.values())
            by_seconds = min(found, key=lambda name: order(found[name][-1]["squared_error_per_image"]))
            by_samples = min(found, key=lambda name: order(at_samples(found[name], least)))
            chosen = list(dict.fromkeys([by_seconds, by_samples]))
        for name in chosen:
            curves[name] = run(name, a.seconds)
    if a.json:
        settings = {"images": a.images, "layers": a.layers, "threads": a.threads}
        Path(a.json).write_text(json.dumps(settings | {"curves": curves}, indent=1) + "\n")
    print(f"squared error (cross entropy) per image; {a.images} images, {a.layers}, {a.threads} threads")
    print(f"{'seconds':>8}" + "".join(f"{program:>22}" for program in curves))
    for mark in [mark for mark in a.marks if mark in a.seconds or mark == a.marks[0]]:
        cells = []
        for curve in curves.values():
            point = next(point for point in curve if point["mark"] == mark)
            cells.append(f"{point['squared_error_per_image']:.3f} ({point['cross_entropy_per_image']:.2f})")
        print(f"{mark:>8.5g}" + "".join(f"{cell:>22}" for cell in cells))
    print(f"squared error by samples differentiated\n{'passes':>8}" + "".join(f"{program:>22}" for program in curves))
    for passes in [5 * 2**k for k in range(12)]:
        found = [at_samples(curve, passes * a.images) for curve in curves.values()]
        if any(found):
            print(f"{passes:>8}" + "".join(f"{'-' if error is None else f'{error:.3f}':>22}" for error in found))


if __name__ == "__main__":
    main()
