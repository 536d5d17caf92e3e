"""The Ginzburg-Landau energy on N^3 points: this crate and SciPy on the same compiled callbacks in one run.

    pip install numpy scipy
    python benches/peers/pde_energy.py [--points 100] [--coupling 10] [--tolerance 1e-6]
    ... [--memory automatic,20] [--solvers trust-region] [--methods Newton-CG,trust-ncg] [--rounds 3]

Every solver starts at zero and stops at |gradient|_2 <= tolerance * |gradient at zero|_2. SciPy's own stopping rules are
switched off; its callback looks at the gradient after every iteration, which is not counted or timed. SciPy minimises
2^k E with 2^k near h^-3: its Newton-CG has absolute numbers in its tests and forcing terms, and may end early on E itself
(--unscaled). "inside" are the seconds in values, gradients and products, measured around each call, and "outside" is the
rest. Both call the same code, on as many threads as RAYON_NUM_THREADS says (default all); SciPy's vector operations are
NumPy's, on one thread. Vectors are those that this crate reports, of 8 N^3 bytes; for SciPy the peak of a process of its
own above the level before. Rounds alternate between the solvers; the line is that of the round with the median time.
"""

import argparse
import ctypes
import json
import math
import multiprocessing
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

# Threads that wait for OpenBLAS disturb those of the callbacks.
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np
import scipy
from scipy.optimize import minimize

ROOT = Path(__file__).resolve().parents[2]
SUFFIX = {"darwin": "dylib", "win32": "dll"}.get(sys.platform, "so")


class Energy:
    """The cdylib's energy, counted and timed."""

    def __init__(self, points, coupling):
        prefix = "" if SUFFIX == "dll" else "lib"
        lib = ctypes.CDLL(str(ROOT / f"target/release/{prefix}reference_problems_ffi.{SUFFIX}"))
        handle, real = ctypes.c_void_p, ctypes.c_double
        vector = np.ctypeslib.ndpointer(dtype=np.float64, ndim=1, flags="C_CONTIGUOUS")
        lib.ginzburg_landau_new.restype, lib.ginzburg_landau_new.argtypes = handle, [ctypes.c_size_t, real]
        for name, result, vectors in [("value", real, 1), ("gradient", None, 2), ("product", None, 3)]:
            function = getattr(lib, "ginzburg_landau_" + name)
            function.restype, function.argtypes = result, [handle] + vectors * [vector]
        self.lib, self.handle = lib, lib.ginzburg_landau_new(points, coupling)
        if not self.handle:
            sys.exit("points or coupling out of range")

        self.scale, self.counts, self.seconds = 1.0, [0, 0, 0], 0.0

    def call(self, kind, name, *vectors):
        self.counts[kind] += 1
        start = time.perf_counter()
        result = getattr(self.lib, "ginzburg_landau_" + name)(self.handle, *vectors)
        self.seconds += time.perf_counter() - start
        return result

    def value(self, u):
        return self.scale * self.call(0, "value", u)

    def gradient(self, u):
        out = np.empty_like(u)
        self.call(1, "gradient", u, out)
        return self.scaled(out)

    def product(self, u, v):
        out = np.empty_like(v)
        self.call(2, "product", u, v, out)
        return self.scaled(out)

    def scaled(self, out):
        if self.scale != 1.0:
            start = time.perf_counter()
            out *= self.scale
            self.seconds += time.perf_counter() - start
        return out

    def gradient_norm(self, u):
        """Neither counted nor timed."""
        out = np.empty_like(u)
        self.lib.ginzburg_landau_gradient(self.handle, u, out)
        return float(np.linalg.norm(out))


def peak_bytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def run_scipy(method, points, coupling, tolerance, scale):
    n = points**3
    energy = Energy(points, coupling)
    initial = energy.gradient_norm(np.zeros(n))
    energy.scale = scale
    last, checks = {}, 0.0

    def callback(intermediate_result):
        nonlocal checks
        start = time.perf_counter()
        last["relative"] = energy.gradient_norm(intermediate_result.x) / initial
        last["value"] = float(intermediate_result.fun) / energy.scale
        last["counts"], last["inside"] = list(energy.counts), energy.seconds
        checks += time.perf_counter() - start
        last["seconds"] = time.perf_counter() - begin - checks
        if last["relative"] <= tolerance:
            raise StopIteration

    options = {"maxiter": 20000, **({"xtol": 0.0} if method == "Newton-CG" else {"gtol": 0.0})}
    before = peak_bytes()
    begin = time.perf_counter()
    result = minimize(energy.value, np.zeros(n), jac=energy.gradient, hessp=energy.product, method=method, callback=callback, options=options)
    if last["relative"] > tolerance:
        print(f"  {method} ended by itself: {result.message}", file=sys.stderr)
    values, gradients, products = last["counts"]
    return {
        "value": last["value"],
        "relative_gradient": last["relative"],
        "values": values,
        "gradients": gradients,
        "products": products,
        "seconds": last["seconds"],
        "seconds_inside": last["inside"],
        "memory_vectors": (peak_bytes() - before) / (8 * n),
    }


def in_process(function, *arguments):
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


def run_crate(arguments, solver, memory):
    command = [str(ROOT / "target/release/pde_energy"), "--json", "--solver", solver]
    command += ["--points", str(arguments.points), "--coupling", repr(arguments.coupling)]
    command += ["--tolerance", repr(arguments.tolerance)]
    if memory != "automatic":
        command += ["--memory", memory]
    output = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    return json.loads(output.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words = lambda text: [word for word in text.split(",") if word]
    parser.add_argument("--points", type=int, default=100)
    parser.add_argument("--coupling", type=float, default=10.0)
    parser.add_argument("--tolerance", type=float, default=1e-6)
    parser.add_argument("--memory", type=words, default=["automatic", "20"], help="vectors, with commas")
    parser.add_argument("--solvers", type=words, default=["trust-region"], help="this crate's, with commas")
    parser.add_argument("--methods", type=words, default=["Newton-CG"], help="SciPy's, with commas")
    parser.add_argument("--unscaled", action="store_true", help="SciPy minimises E itself")
    parser.add_argument("--rounds", type=int, default=1)
    arguments = parser.parse_args()

    targets = "-p benches -p examples --lib --bin pde_energy".split()
    subprocess.run(["cargo", "build", "--quiet", "--release", *targets], cwd=ROOT, check=True)
    n = arguments.points**3
    scale = 1.0 if arguments.unscaled else 2.0 ** round(3 * math.log2(arguments.points + 1))
    scipy_arguments = arguments.points, arguments.coupling, arguments.tolerance, scale
    runs = {}
    for solver in arguments.solvers:
        for memory in arguments.memory:
            runs[f"newton-krylov {solver}, memory {memory}"] = lambda s=solver, m=memory: run_crate(arguments, s, m)
    for method in arguments.methods:
        runs[f"SciPy {scipy.__version__} {method}"] = lambda m=method: in_process(run_scipy, m, *scipy_arguments)

    print(f"{arguments.points}^3 = {n} unknowns, coupling {arguments.coupling}, tolerance {arguments.tolerance}\n")
    print(f"{'solver':<44}{'value':>20}{'rel. grad.':>11}{'values':>7}{'grad.':>6}{'products':>9}{'seconds':>9}{'inside':>9}{'outside':>9}{'vectors':>8}")
    results = {name: [] for name in runs}
    for _ in range(arguments.rounds):
        for name, run in runs.items():
            results[name].append(run())
            print(f"  {name}: {results[name][-1]['seconds']:.2f} s", file=sys.stderr)
    for name, rounds in results.items():
        r = sorted(rounds, key=lambda r: r["seconds"])[(len(rounds) - 1) // 2]
        outside = r["seconds"] - r["seconds_inside"]
        print(
            f"{name:<44}{r['value']:>20.12e}{r['relative_gradient']:>11.2e}{r['values']:>7}{r['gradients']:>6}{r['products']:>9}"
            f"{r['seconds']:>9.2f}{r['seconds_inside']:>9.2f}{outside:>9.2f}{r['memory_vectors']:>8.0f}"
        )


if __name__ == "__main__":
    main()
