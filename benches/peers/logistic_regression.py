"""L2-regularised logistic regression: this crate, LIBLINEAR and SciPy on the same data in one run.

    pip install numpy scipy liblinear-official
    python benches/peers/logistic_regression.py PATH            # a set in LIBSVM format
    python benches/peers/logistic_regression.py --generate      # the wide sparse set
    ... [--c 1.0] [--tolerance 1e-6] [--only liblinear,trust-ncg]

Every solver starts at zero and stops at |gradient| <= tolerance * |gradient at zero|, which is checked here from its
answer (for this crate: as it reports it). Seconds are those of the minimisation, without reading. LIBLINEAR and SciPy's
sparse products run on one thread, this crate on as many as RAYON_NUM_THREADS says, by default all.
"""

import argparse
import ctypes
import json
import math
import os
import re
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import scipy.sparse as sparse
from liblinear.liblinearutil import parameter, problem, svm_read_problem, train
from scipy.optimize import minimize
from scipy.special import expit

ROOT = Path(__file__).resolve().parents[2]
SCIPY = ["Newton-CG", "trust-ncg", "trust-krylov", "L-BFGS-B"]


def generate(rows=200_000, features=50_000, seed=20240601):
    """The set of newton_krylov::problems::generate_wide_sparse, bit by bit."""
    with np.errstate(over="ignore"):
        z = np.uint64(seed) + np.uint64(0x9E3779B97F4A7C15) * np.arange(1, 12 * features + 141 * rows + 1, dtype=np.uint64)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        u = ((z ^ (z >> np.uint64(31))) >> np.uint64(11)) * 2.0**-53
    truth = np.cumsum(u[: 12 * features].reshape(features, 12), axis=1)[:, -1] - 6.0
    at, indices, values, starts, labels = 12 * features, [], [], [0], []
    for _ in range(rows):
        draws = 24 + int(u[at] * 41.0)
        v = u[at + 1 : at + 1 + draws]
        at += 1 + draws
        rank = (features * (v * v * v * v)).astype(np.int64)
        row = np.unique((rank * 27644437 + 12345) % features)
        value = (0.5 + u[at : at + row.size]) * (1.0 / math.sqrt(row.size))
        at += row.size
        score = np.cumsum(value * truth[row])[-1]
        noise = np.cumsum(u[at : at + 12])[-1] - 6.0
        at += 12
        labels.append(1.0 if 3.0 * score + 1.8 * noise > 0.0 else -1.0)
        indices.append(row)
        values.append(value)
        starts.append(starts[-1] + row.size)
    data = np.concatenate(values), np.concatenate(indices).astype(np.int32), np.array(starts, dtype=np.int32)
    return sparse.csr_matrix(data, shape=(rows, features)), np.array(labels)


class Objective:
    """Value, gradient and products that share the margins of the last point, counted."""

    def __init__(self, x, y, c):
        self.x, self.xt, self.y, self.c = x, x.T, y, c
        self.reset()

    def reset(self):
        self.values = self.gradients = self.products = 0
        self.w = None

    def at(self, w):
        if self.w is None or not np.array_equal(w, self.w):
            self.w, self.margin, self.g = w.copy(), self.y * (self.x @ w), None

    def gradient_at(self, w):
        self.at(w)
        if self.g is None:
            p = expit(-self.margin)
            self.d = self.c * p * (1.0 - p)
            self.g = w - self.c * (self.xt @ (self.y * p))
        return self.g

    def value(self, w):
        self.values += 1
        self.at(w)
        return 0.5 * (w @ w) + self.c * np.logaddexp(0.0, -self.margin).sum()

    def gradient(self, w):
        self.gradients += 1
        return self.gradient_at(w).copy()

    def product(self, w, v):
        self.products += 1
        self.gradient_at(w)
        return v + self.xt @ (self.d * (self.x @ v))


@contextmanager
def captured_stdout(text):
    """Appends to `text` what C code writes to standard output."""
    sys.stdout.flush()
    with tempfile.TemporaryFile() as file:
        saved = os.dup(1)
        os.dup2(file.fileno(), 1)
        try:
            yield
        finally:
            # C has its own buffer.
            ctypes.CDLL(None).fflush(None)
            os.dup2(saved, 1)
            os.close(saved)
            file.seek(0)
            text.append(file.read().decode())


def run_scipy(method, objective, d, goal):
    objective.reset()
    last = {}

    def callback(intermediate_result):
        last["w"] = intermediate_result.x.copy()
        last["counts"] = objective.values, objective.gradients, objective.products
        if np.linalg.norm(objective.gradient_at(last["w"])) <= goal:
            raise StopIteration

    # The callback stops; the methods' own tolerances are out of the way.
    options = {"maxiter": 20000}
    if method == "Newton-CG":
        options["xtol"] = 1e-15
    elif method == "L-BFGS-B":
        options.update(ftol=0.0, gtol=0.0, maxfun=100000)
    else:
        options["gtol"] = 0.5 * goal
    hessp = {} if method == "L-BFGS-B" else {"hessp": objective.product}
    start = time.perf_counter()
    minimize(objective.value, np.zeros(d), jac=objective.gradient, method=method, callback=callback, options=options, **hessp)
    seconds = time.perf_counter() - start
    return last["w"], *last["counts"], seconds


def run_liblinear(x, y, c, tolerance):
    positive = int((y > 0).sum())
    # LIBLINEAR multiplies its tolerance by the share of the smaller class.
    epsilon = tolerance * len(y) / min(positive, len(y) - positive)
    data, options, text = problem(y, x), parameter(f"-s 0 -c {c!r} -B -1 -e {epsilon!r}"), []
    with captured_stdout(text):
        start = time.perf_counter()
        model = train(data, options)
        seconds = time.perf_counter() - start
    w = np.ctypeslib.as_array(model.w, (x.shape[1],)).copy() * model.label[0]
    products = [int(n) for n in re.findall(r"CG\s+(\d+)", text[0])]
    steps = [float(s) for s in re.findall(r"step_size\s+(\S+)", text[0])]
    # Its line search halves the step.
    values = 1 + sum(1 + round(-math.log2(step)) for step in steps)
    return w, values, len(products) + 1, sum(products), seconds


def run_crate(arguments):
    data = ["--generate"] if arguments.generate else [os.path.abspath(arguments.path)]
    command = ["cargo", "run", "--quiet", "--release", "--bin", "logistic_regression", "--"]
    command += data + ["--c", repr(arguments.c), "--tolerance", repr(arguments.tolerance), "--json"]
    output = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True).stdout
    return [json.loads(line) for line in output.splitlines() if line.startswith("{")]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", nargs="?")
    parser.add_argument("--generate", action="store_true")
    parser.add_argument("--c", type=float, default=1.0)
    parser.add_argument("--tolerance", type=float, default=1e-6)
    parser.add_argument("--only", type=lambda s: s.split(","), help="crate, liblinear and SciPy's names, with commas")
    arguments = parser.parse_args()
    if arguments.generate == (arguments.path is not None):
        parser.error("give either a path or --generate")
    wanted = lambda name: arguments.only is None or name in arguments.only

    if arguments.generate:
        x, y = generate()
    else:
        y, x = svm_read_problem(arguments.path, return_scipy=True)
        x, y = x.tocsr(), np.where(y == y.max(), 1.0, -1.0)
    d = x.shape[1]
    objective = Objective(x, y, arguments.c)
    initial = np.linalg.norm(objective.gradient_at(np.zeros(d)))
    seconds = []
    for _ in range(9):
        start = time.perf_counter()
        objective.product(np.zeros(d), np.ones(d))
        seconds.append(time.perf_counter() - start)
    print(f"{x.shape[0]} rows, {d} features, {x.nnz} non-zeros, C = {arguments.c}, tolerance {arguments.tolerance}")
    print(f"a product with SciPy: {1e3 * sorted(seconds)[4]:.3f} ms\n")
    print(f"{'solver':<26}{'value':>20}{'rel. grad.':>12}{'values':>8}{'gradients':>11}{'products':>10}{'seconds':>10}")

    def line(name, value, relative, values, gradients, products, seconds):
        print(f"{name:<26}{value:>20.12e}{relative:>12.2e}{values:>8}{gradients:>11}{products:>10}{seconds:>10.4f}", flush=True)

    def peer(name, run):
        w, *counts, seconds = run()
        line(name, objective.value(w), np.linalg.norm(objective.gradient_at(w)) / initial, *counts, seconds)

    if wanted("crate"):
        for r in run_crate(arguments):
            counts = r["values"], r["gradients"], r["products"]
            line(f"newton-krylov {r['solver']}", r["value"], r["relative_gradient"], *counts, r["seconds"])
    if wanted("liblinear"):
        peer("LIBLINEAR", lambda: run_liblinear(x, y, arguments.c, arguments.tolerance))
    for method in SCIPY:
        if wanted(method):
            peer(f"SciPy {method}", lambda: run_scipy(method, objective, d, arguments.tolerance * initial))


if __name__ == "__main__":
    main()
