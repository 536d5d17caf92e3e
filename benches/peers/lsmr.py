"""Linear least squares with a random sparse matrix: this crate's solver and SciPy's lsmr in one run.

    pip install numpy scipy
    cargo build --release --bin sparse_linear
    python benches/peers/lsmr.py [--rows 400000] [--columns 100000] [--iterations 100] [--rounds 5]

First both solve a well-conditioned problem to 1e-14 and their answers are compared; then both make the given number of
iterations on one whose columns are scaled over three orders of magnitude. "outside" are milliseconds per iteration that
are not spent in products; rounds alternate, and the best of each counts, since other programs only slow them down.
SciPy's products are those of its CSR matrices, for the transpose one of its own. NumPy's vector operations run on one
thread; those of this crate on as many as RAYON_NUM_THREADS says, which is why it runs with 1 and with all.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np
import scipy
from scipy.sparse import csr_array
from scipy.sparse.linalg import LinearOperator, lsmr

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "target/release/sparse_linear"
PER_ROW = 6


def random(first, count):
    """Numbers of SplitMix64 for seed 1."""
    with np.errstate(over="ignore"):
        z = np.uint64(1) + np.arange(first + 1, first + count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def uniform(first, count):
    return (random(first, count) >> np.uint64(11)) / 2.0**53


def problem(m, n, spread):
    count = PER_ROW * m
    numbers = random(0, 2 * count)
    columns = (numbers[::2] % np.uint64(n)).astype(np.int32)
    values = 2.0 * ((numbers[1::2] >> np.uint64(11)) / 2.0**53) - 1.0
    scale = 10.0 ** (-spread * uniform(2 * count + m, n))
    starts = np.arange(0, count + 1, PER_ROW, dtype=np.int32)
    a = csr_array((values * scale[columns], columns, starts), shape=(m, n))
    return a, csr_array(a.T), 2.0 * uniform(2 * count, m) - 1.0


def scipy_solve(a, transposed, b, iterations, tolerance):
    inside = 0.0

    def timed(matrix):
        def product(v):
            nonlocal inside
            start = time.perf_counter()
            out = matrix @ v
            inside += time.perf_counter() - start
            return out

        return product

    operator = LinearOperator(a.shape, matvec=timed(a), rmatvec=timed(transposed), dtype=float)
    start = time.perf_counter()
    x, _, made, *_ = lsmr(operator, b, atol=tolerance, btol=tolerance, conlim=0, maxiter=iterations)
    return x, made, time.perf_counter() - start - inside


def crate_solve(arguments, threads=None):
    environment = dict(os.environ)
    if threads:
        environment["RAYON_NUM_THREADS"] = str(threads)
    output = subprocess.run([PROGRAM, *map(str, arguments)], env=environment, check=True, capture_output=True)
    return json.loads(output.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=400_000)
    parser.add_argument("--columns", type=int, default=100_000)
    parser.add_argument("--iterations", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if not PROGRAM.exists():
        sys.exit("first: cargo build --release --bin sparse_linear")
    size = ["--rows", options.rows, "--columns", options.columns]
    print(f"SciPy {scipy.__version__}, NumPy {np.__version__}, {options.rows} x {options.columns}")

    x, made, _ = scipy_solve(*problem(options.rows, options.columns, 0.0), 1000, 1e-14)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "x"
        arguments = [*size, "--spread", 0, "--iterations", 1000, "--tolerance", 1e-14, "--output", file]
        report = crate_solve(arguments)
        ours = np.fromfile(file, dtype="<f8")
    difference = np.linalg.norm(ours - x) / np.linalg.norm(x)
    print(f"to 1e-14: relative difference {difference:.1e}; iterations {report['iterations']}, SciPy {made}")

    matrices = problem(options.rows, options.columns, 3.0)
    arguments = [*size, "--iterations", options.iterations]
    times = {"SciPy": [], "this crate, 1 thread": [], "this crate, all threads": []}
    for _ in range(options.rounds):
        _, made, outside = scipy_solve(*matrices, options.iterations, 0.0)
        times["SciPy"].append(1e3 * outside / made)
        for name, threads in [("this crate, 1 thread", 1), ("this crate, all threads", None)]:
            report = crate_solve(arguments, threads)
            times[name].append(1e3 * report["outside"] / report["iterations"])
            assert report["iterations"] == made == options.iterations
    reference = min(times["SciPy"])
    for name, values in times.items():
        best = min(values)
        print(f"{name}: outside {best:.3f} ms per iteration, {best / reference:.2f} of SciPy's")


if __name__ == "__main__":
    main()
