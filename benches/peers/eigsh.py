"""Products to both ends of a known spectrum: this crate's `Lanczos::extremes` and SciPy's `eigsh` in one run.

    pip install numpy scipy
    cargo build --release --bin eigsh_peer
    python benches/peers/eigsh.py [--dimension 100000] [--cap 3] [--spectra geometric clustered]

For either program the products are counted for every tolerance 1e-2, 3e-3, 1e-3, … and those of the loosest tolerance whose
eigenvalues are both right to 1e-8 are printed, relative to the eigenvalue. `laplacian` is the exception: its
smallest eigenvalue is 1e-9 of its largest, below the rounding of a product, so there errors are relative to the largest.
SciPy computes both ends in one run (which="BE") with its default basis of 20 vectors; a run is given up after `cap` times
this crate's products.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import scipy
from scipy.sparse.linalg import ArpackError, LinearOperator, eigsh

ROOT = Path(__file__).resolve().parents[2]
ACCURACY = 1e-8


def laplacian(v):
    out = 2.0 * v
    out[1:] -= v[:-1]
    out[:-1] -= v[1:]
    return out


def products(dim):
    i = np.arange(dim)
    share = i / (dim - 1)
    geometric = 10.0 ** (-4.0 * share)
    clustered = 2.0 ** (i % 10) * (1.0 + 1e-3 * (i - i % 10) / (dim - 1))
    outliers = np.where(i < 5, 10.0 * (i + 1), 1.0 + share)
    return {
        "laplacian": laplacian,
        "laplacian + 1": lambda v: laplacian(v) + v,
        "geometric": lambda v: geometric * v,
        "clustered": lambda v: clustered * v,
        "outliers": lambda v: outliers * v,
    }


class Enough(Exception):
    pass


def scipy_run(product, dim, tolerance, cap):
    count = 0

    def matvec(v):
        nonlocal count
        count += 1
        if count > cap:
            raise Enough
        return product(v.ravel())

    start = np.random.default_rng(0).standard_normal(dim)
    operator = LinearOperator((dim, dim), matvec=matvec, dtype=np.float64)
    try:
        values = eigsh(operator, k=2, which="BE", tol=tolerance, v0=start, maxiter=10**9, return_eigenvectors=False)
    except (Enough, ArpackError):
        return None
    return count, sorted(values)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dimension", type=int, default=100_000)
    parser.add_argument("--cap", type=float, default=3.0)
    parser.add_argument("--spectra", nargs="+", default=list(products(2)), choices=list(products(2)))
    options = parser.parse_args()
    dim = options.dimension

    program = ROOT / "target/release/eigsh_peer"
    lines = subprocess.run([program, str(dim), *options.spectra], check=True, capture_output=True, text=True).stdout.splitlines()
    runs = {}
    for line in map(json.loads, lines):
        runs.setdefault(line["spectrum"], []).append(line)

    print(f"d = {dim}, both ends to {ACCURACY:g}; SciPy {scipy.__version__}, NumPy {np.__version__}")
    print(f"{'spectrum':<15}{'crate':>10}{'tolerance':>11}{'errors':>20}{'bounds hold':>13}{'eigsh':>12}{'tolerance':>11}")
    worse = False
    for name in options.spectra:
        product = products(dim)[name]
        exact = np.array(runs[name][0]["exact"])
        unit = np.full(2, exact.max()) if name == "laplacian" else exact
        right = [r for r in runs[name] if (np.array(r["errors"]) * exact <= ACCURACY * unit).all()]
        if not right:
            print(f"{name:<15} not reached")
            worse = True
            continue
        ours = min(right, key=lambda r: r["products"])
        errors = np.array(ours["errors"]) * exact / unit
        bounds = all(r["bounded"] for r in runs[name])
        cap, theirs = int(options.cap * ours["products"]), f"> {int(options.cap * ours['products'])}"
        tolerance = ""
        for half_digits in range(4, 29):
            run = scipy_run(product, dim, 10.0 ** (-0.5 * half_digits), cap)
            if run is None:
                break
            if (np.abs(np.array(run[1]) - exact) <= ACCURACY * unit).all():
                theirs, tolerance = run[0], f"{10.0 ** (-0.5 * half_digits):.0e}"
                worse |= ours["products"] > run[0]
                break
        print(
            f"{name:<15}{ours['products']:>10}{ours['tolerance']:>11.0e}{errors[0]:>10.1e}{errors[1]:>10.1e}"
            f"{'yes' if bounds else 'NO':>13}{theirs:>12}{tolerance:>11}",
            flush=True,
        )
    sys.exit(worse)


if __name__ == "__main__":
    main()
