"""Cost of the gradient, a Gauss-Newton product and a Hessian product of a deep autoencoder in f32: this crate, PyTorch, JAX.

    pip install numpy torch jax
    python benches/peers/autoencoder_products.py [--layers 784-1000-500-250-30] [--batches 1000 10000] [--threads 1 2]
        [--repetitions 7] [--jax-python PATH]       # an interpreter that has JAX, if it is not this one

The objective is the mean over images of the Bernoulli cross-entropy; hidden units are tanh, code and outputs linear, the
decoder mirrors the encoder. All programs start from the same inputs, parameters and direction (SplitMix64), and what they
compute is compared before times are printed. Seconds are medians, of the clock and of the processor (all threads
together); on a busy machine only the latter say something. A gradient includes the forward pass, a product does not where the
program can keep it:

- PyTorch by hand: forward pass kept, tangents and back-propagation written out (torch.addmm), no autograd.
- PyTorch autograd: gradient; Gauss-Newton products by double backward with kept graphs; Hessian products by double
  backward with the gradient's graph kept.
- JAX: jit; jvp and vjp, forward over reverse. The forward pass is not shared between calls.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from racing import uniforms

ROOT = Path(__file__).resolve().parents[2]


class Problem:
    def __init__(self, layers, batch):
        encoder = [int(width) for width in layers.split("-")]
        self.widths = encoder + encoder[-2::-1]
        self.linear = {len(encoder) - 2, len(self.widths) - 2}  # layers without tanh
        self.shapes = list(zip(self.widths[1:], self.widths))
        d = sum(o * i + o for o, i in self.shapes)
        u = uniforms(batch * self.widths[0] + d, 2)
        self.images = u[: batch * self.widths[0]].astype(np.float32).reshape(batch, -1)
        self.direction = self.split(u[batch * self.widths[0] :].astype(np.float32) - np.float32(0.5))
        u, at, self.parameters = uniforms(d, 1), 0, []
        for o, i in self.shapes:
            w = (2 * u[at : at + o * i] - 1) * np.sqrt(6.0 / (i + o))
            self.parameters += [w.astype(np.float32).reshape(o, i), np.zeros(o, np.float32)]
            at += o * i

    def split(self, flat):
        at, parts = 0, []
        for o, i in self.shapes:
            parts += [flat[at : at + o * i].reshape(o, i), flat[at + o * i : at + o * i + o]]
            at += o * i + o
        return parts

    def curvature(self, product):
        return float(sum(np.vdot(v.astype(np.float64), np.asarray(p, np.float64)) for v, p in zip(self.direction, product)))


def medians(call, repetitions, wait=lambda result: result):
    wait(call())
    wall, processor = [], []
    for _ in range(repetitions):
        start, before = time.perf_counter(), time.process_time()
        wait(call())
        wall.append(time.perf_counter() - start)
        processor.append(time.process_time() - before)
    return statistics.median(wall), statistics.median(processor)


def row(program, calls, problem, value, gradient, gauss_newton, hessian, repetitions, wait=lambda result: result):
    times = {name: medians(call, repetitions, wait) for name, call in calls.items()}
    norm = np.sqrt(sum(np.sum(np.asarray(g, np.float64) ** 2) for g in gradient))
    return {
        "program": program,
        "value": float(value),
        "gradient_norm": float(norm),
        "gauss_newton_curvature": problem.curvature(gauss_newton),
        "hessian_curvature": None if hessian is None else problem.curvature(hessian),
        "seconds": {name: t[0] for name, t in times.items()},
        "processor_seconds": {name: t[1] for name, t in times.items()},
    }


def run_torch(problem, threads, repetitions):
    import torch

    torch.set_num_threads(threads)
    images, batch = torch.from_numpy(problem.images), len(problem.images)
    x = [torch.from_numpy(p).requires_grad_() for p in problem.parameters]
    fixed = [p.detach() for p in x]
    v = [torch.from_numpy(p) for p in problem.direction]
    count = len(x) // 2

    def forward(x):
        a = images
        for l in range(count):
            a = torch.addmm(x[2 * l + 1], a, x[2 * l].t())
            if l not in problem.linear:
                a = torch.tanh(a)
        return a

    def loss(z):
        return torch.nn.functional.binary_cross_entropy_with_logits(z, images, reduction="sum") / batch

    def gradient():
        return torch.autograd.grad(loss(forward(x)), x)

    kept_gradient = torch.autograd.grad(loss(forward(x)), x, create_graph=True)
    z = forward(x)
    p = torch.sigmoid(z.detach())
    dummy = torch.zeros_like(z, requires_grad=True)
    kept_adjoint = torch.autograd.grad(z, x, grad_outputs=dummy, create_graph=True)

    def gauss_newton():
        jv = torch.autograd.grad(kept_adjoint, dummy, grad_outputs=v, retain_graph=True)[0]
        return torch.autograd.grad(z, x, grad_outputs=p * (1 - p) * jv / batch, retain_graph=True)

    def hessian():
        return torch.autograd.grad(kept_gradient, x, grad_outputs=v, retain_graph=True)

    @torch.no_grad()
    def values():
        a = [images]
        for l in range(count):
            z = torch.addmm(fixed[2 * l + 1], a[-1], fixed[2 * l].t())
            a.append(z if l in problem.linear else torch.tanh(z))
        return a, torch.sigmoid(a[-1])

    def back(a, delta):
        out = []
        for l in reversed(range(count)):
            if l not in problem.linear:
                delta = delta * (1 - a[l + 1].square())
            out += [delta.sum(0), delta.t() @ a[l]]
            if l:
                delta = delta @ fixed[2 * l]
        return out[::-1]

    @torch.no_grad()
    def gradient_by_hand():
        a, p = values()
        return back(a, (p - images) / batch)

    kept = values()

    @torch.no_grad()
    def gauss_newton_by_hand():
        (a, p), dot = kept, None
        for l in range(count):
            z = torch.addmm(v[2 * l + 1], a[l], v[2 * l].t())
            if dot is not None:
                z.addmm_(dot, fixed[2 * l].t())
            dot = z if l in problem.linear else z * (1 - a[l + 1].square())
        return back(a, dot * p * (1 - p) / batch)

    numpy = lambda parts: [part.detach().numpy() for part in parts]
    value = loss(forward(fixed)).item()
    auto = dict(gradient=gradient, gauss_newton=gauss_newton, hessian=hessian)
    hand = dict(gradient=gradient_by_hand, gauss_newton=gauss_newton_by_hand)
    yield row(
        "PyTorch autograd", auto, problem, value, numpy(gradient()), numpy(gauss_newton()), numpy(hessian()), repetitions
    )
    yield row(
        "PyTorch by hand", hand, problem, value, numpy(gradient_by_hand()), numpy(gauss_newton_by_hand()), None, repetitions
    )


def run_jax(problem, threads, repetitions):
    if threads == 1:
        os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    import jax
    import jax.numpy as jnp

    images, batch = jnp.asarray(problem.images), len(problem.images)
    x, v = [jnp.asarray(p) for p in problem.parameters], [jnp.asarray(p) for p in problem.direction]

    def forward(x):
        a = images
        for l in range(len(x) // 2):
            a = a @ x[2 * l].T + x[2 * l + 1]
            if l not in problem.linear:
                a = jnp.tanh(a)
        return a

    def objective(x):
        z = forward(x)
        return jnp.sum(jnp.maximum(z, 0) - z * images + jnp.log1p(jnp.exp(-jnp.abs(z)))) / batch

    gradient = jax.jit(jax.grad(objective))
    hessian = jax.jit(lambda x, v: jax.jvp(jax.grad(objective), (x,), (v,))[1])

    @jax.jit
    def gauss_newton(x, v):
        z, jv = jax.jvp(forward, (x,), (v,))
        p = jax.nn.sigmoid(z)
        return jax.vjp(forward, x)[1](p * (1 - p) * jv / batch)[0]

    calls = dict(gradient=lambda: gradient(x), gauss_newton=lambda: gauss_newton(x, v), hessian=lambda: hessian(x, v))
    value = jax.jit(objective)(x)
    yield row(
        "JAX", calls, problem, value, gradient(x), gauss_newton(x, v), hessian(x, v), repetitions, jax.block_until_ready
    )


def run_crate(layers, batch, threads, repetitions):
    command = ["cargo", "run", "--quiet", "--release", "--bin", "autoencoder_products", "--"]
    command += ["--layers", layers, "--batch", batch, "--threads", threads, "--repetitions", repetitions]
    output = subprocess.run([str(part) for part in command], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [{"program": "newton-krylov", **json.loads(output.splitlines()[-1])}]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", default="784-1000-500-250-30")
    parser.add_argument("--batches", type=int, nargs="+", default=[1000, 10000])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repetitions", type=int, default=7)
    parser.add_argument("--jax-python", default=sys.executable)
    parser.add_argument("--peer", choices=["torch", "jax"], help=argparse.SUPPRESS)
    a = parser.parse_args()
    if a.peer:
        problem = Problem(a.layers, a.batches[0])
        run = run_torch if a.peer == "torch" else run_jax
        print(json.dumps(list(run(problem, a.threads[0], a.repetitions))))
        return

    def peer(name, python, batch, threads):
        command = [python, __file__, "--peer", name, "--layers", a.layers]
        command += ["--batches", batch, "--threads", threads, "--repetitions", a.repetitions]
        result = subprocess.run([str(part) for part in command], capture_output=True, text=True)
        if result.returncode:
            print(f"{name} did not run: {(result.stderr.splitlines() or ['?'])[-1]}", file=sys.stderr)
            return []
        return json.loads(result.stdout.splitlines()[-1])

    print("| batch | threads | program | gradient | Gauss-Newton | Hessian | processor: gradient | Gauss-Newton / gradient | Hessian / gradient |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for batch in a.batches:
        for threads in a.threads:
            rows = run_crate(a.layers, batch, threads, a.repetitions)
            rows += peer("torch", sys.executable, batch, threads) + peer("jax", a.jax_python, batch, threads)
            for other in rows:
                for name in ["value", "gradient_norm", "gauss_newton_curvature", "hessian_curvature"]:
                    here, there = rows[0][name], other[name]
                    assert there is None or abs(here - there) < 1e-3 * abs(here), (other["program"], name, here, there)
                wall, processor = other["seconds"], other["processor_seconds"]
                cells = [f"{wall[name]:.4f} s" if name in wall else "" for name in ["gradient", "gauss_newton", "hessian"]]
                cells.append(f"{processor['gradient']:.4f} s")
                for name in ["gauss_newton", "hessian"]:
                    cells.append(f"{processor[name] / processor['gradient']:.2f}" if name in processor else "")
                print("| " + " | ".join([str(batch), str(threads), other["program"], *cells]) + " |", flush=True)


if __name__ == "__main__":
    main()
