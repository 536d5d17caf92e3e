#!/usr/bin/env python3
"""Counts what SciPy's solvers need on the Moré-Garbow-Hillstrom functions, beside this crate's solvers.

    cargo build --release -p benches --lib
    python3 benches/peers/mgh.py [--starts 1 10 100] [--large] [--chained] [--crate 'COMMAND'] [--json FILE]

Every solver gets the same functions, from the crate itself through a C ABI. Counted are calls of the value, of the
gradient and of the Hessian product up to and with the first gradient that satisfies

    |g|_2 <= 1e-6 max(1, |g_0|_2),

whatever the solver's own stopping rule would say: those rules are switched off. The cost of a run is

    values + gradients + 2 products,

and a run that reaches CAP, stops by itself, raises an error or takes longer than SECONDS has not solved the problem.
A point is evaluated as often as the solver asks for it. Runs whose start is already good enough, or where F or its
gradient is not finite at the start, are left out. Starts are x0, 10 x0, 100 x0; where x0 = 0 (Watson), every
component of a scaled start is the factor, as in Algorithm 566. The runs of --large and --chained are from x0 only.
Options are SciPy's defaults otherwise; its trust regions are never larger than 1000, which Brown badly scaled feels.

--crate COMMAND runs a command that prints one JSON object a line, with

    {"problem": name, "start": factor, "values": n, "gradients": n, "products": n, "solved": bool, "value": F}

and optionally "solver" (default "crate"); other lines are ignored. Names are those of this script's own JSON lines. Its
solvers become further columns, compared with SciPy's best on the problems that both solve.

Geometric means are over the runs that all columns of the table solve, L-BFGS-B aside, which needs no products and
solves fewer; its mean over those of them that it solves too is printed with a star.
"""

import argparse
import ctypes
import json
import math
import pathlib
import signal
import subprocess
import sys
import warnings

import numpy as np
import scipy
from scipy.optimize import minimize

CAP = 20_000
SECONDS = 60
TOLERANCE = 1e-6
SETS = {0: "mgh", 1: "large", 2: "chained"}

# Each with its own stopping rules switched off.
SOLVERS = {
    "trust-ncg": {"gtol": 0.0, "maxiter": 10**6},
    "trust-krylov": {"gtol": 0.0, "maxiter": 10**6},
    "Newton-CG": {"xtol": 0.0, "maxiter": 10**6},
    "L-BFGS-B": {"ftol": 0.0, "gtol": 0.0, "maxfun": 10**9, "maxiter": 10**6},
}
FIRST_ORDER = "L-BFGS-B"


class Problems:
    """The cdylib of reference_problems.rs."""

    def __init__(self, path):
        lib = ctypes.CDLL(str(path))
        size, real = ctypes.c_size_t, ctypes.c_double
        vector = np.ctypeslib.ndpointer(dtype=np.float64, ndim=1, flags="C_CONTIGUOUS")
        for name, result, arguments in [
            ("count", size, []),
            ("set", size, [size]),
            ("unknowns", size, [size]),
            ("name", size, [size, ctypes.c_char_p, size]),
            ("start", None, [size, real, vector]),
            ("value", real, [size, vector]),
            ("gradient", None, [size, vector, vector]),
            ("product", None, [size, vector, vector, vector]),
        ]:
            function = getattr(lib, "reference_problem_" + name)
            function.restype, function.argtypes = result, arguments
            setattr(self, "_" + name, function)
        self.indices = range(self._count())

    def set(self, index):
        return SETS[self._set(index)]

    def unknowns(self, index):
        return self._unknowns(index)

    def name(self, index):
        buffer = ctypes.create_string_buffer(256)
        length = self._name(index, buffer, 256)
        return buffer.raw[:length].decode()

    def start(self, index, factor):
        out = np.empty(self.unknowns(index))
        self._start(index, factor, out)
        return out

    def value(self, index, x):
        return self._value(index, np.ascontiguousarray(x, dtype=float))

    def gradient(self, index, x):
        out = np.empty(len(x))
        self._gradient(index, np.ascontiguousarray(x, dtype=float), out)
        return out

    def product(self, index, x, v):
        out = np.empty(len(x))
        v = np.ascontiguousarray(np.ravel(v), dtype=float)
        self._product(index, np.ascontiguousarray(x, dtype=float), v, out)
        return out


class Stop(Exception):
    """Ends a run from inside a callback; the argument says whether the problem is solved."""


def worth_running(problems, index, factor):
    """Whether a start asks anything of a solver: finite, and not already stationary."""
    start = problems.start(index, factor)
    with np.errstate(all="ignore"):
        size = np.linalg.norm(problems.gradient(index, start))
    return math.isfinite(problems.value(index, start)) and math.isfinite(size) and size > TOLERANCE


class Counter:
    """One run's functions, counted."""

    def __init__(self, problems, index, start):
        self.problems, self.index, self.first = problems, index, start
        self.values = self.gradients = self.products = 0
        self.target = None
        self.best = math.nan

    def cost(self):
        return self.values + self.gradients + 2 * self.products

    def check(self):
        if self.cost() >= CAP:
            raise Stop(False)

    def value(self, x):
        self.values += 1
        self.check()
        return self.problems.value(self.index, x)

    def gradient(self, x):
        self.gradients += 1
        g = self.problems.gradient(self.index, x)
        size = np.linalg.norm(g)
        if self.target is None:
            self.target = TOLERANCE * max(1.0, size)
        if size <= self.target:
            self.best = self.problems.value(self.index, x)
            raise Stop(True)
        self.check()
        return g

    def product(self, x, v):
        self.products += 1
        self.check()
        return self.problems.product(self.index, x, v)


def run(problems, index, factor, solver):
    """One run; a JSON-ready record."""
    start = problems.start(index, factor)
    counter = Counter(problems, index, start)
    options = dict(SOLVERS[solver])
    functions = {"jac": counter.gradient}
    if solver != FIRST_ORDER:
        functions["hessp"] = counter.product

    def late(*_):
        raise Stop(False)

    signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    solved, ended = False, "cap or time"
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            result = minimize(counter.value, start, method=solver, options=options, **functions)
        counter.best, ended = float(result.fun), str(result.message)
    except Stop as stop:
        solved = stop.args[0]
        ended = "solved" if solved else ended
    except Exception as error:  # A solver that breaks down has not solved the problem.
        ended = f"{type(error).__name__}: {error}"
    finally:
        signal.alarm(0)
    return {
        "problem": problems.name(index),
        "set": problems.set(index),
        "n": problems.unknowns(index),
        "start": factor,
        "solver": solver,
        "values": counter.values,
        "gradients": counter.gradients,
        "products": counter.products,
        "cost": counter.cost(),
        "solved": solved,
        "value": counter.best if math.isfinite(counter.best) else None,
        "ended": ended,
    }


def crate_records(command):
    """The records that the crate's own command prints."""
    output = subprocess.run(command, shell=True, check=True, stdout=subprocess.PIPE, text=True).stdout
    records = []
    for line in output.splitlines():
        if not line.startswith("{"):
            continue
        record = json.loads(line)
        record.setdefault("solver", "crate")
        record["cost"] = record["values"] + record["gradients"] + 2 * record["products"]
        records.append(record)
    return records


def geometric_mean(numbers):
    numbers = list(numbers)
    return math.exp(sum(map(math.log, numbers)) / len(numbers)) if numbers else math.nan


def table(records, title):
    """A table of costs: a row a run, a column a solver; an unsolved run in brackets."""
    solvers = list(dict.fromkeys(r["solver"] for r in records))
    runs = {}
    for r in records:
        runs.setdefault((r["problem"], float(r["start"])), {})[r["solver"]] = r
    runs = {key: row for key, row in runs.items() if len(row) == len(solvers)}
    width = max(len(name) for name, _ in runs) + 2
    lines = [title, "", f"{'problem':{width}}{'start':>6}" + "".join(f"{s:>28}" for s in solvers)]

    def cell(r):
        text = f"{r['values']}+{r['gradients']}+2*{r['products']}={r['cost']}"
        return text if r["solved"] else f"[{text}]"

    for (name, factor), row in runs.items():
        lines.append(f"{name:{width}}{factor:>5g}x" + "".join(f"{cell(row[s]):>28}" for s in solvers))

    lines += ["", f"{'solved, of ' + str(len(runs)):{width + 6}}"]
    lines[-1] += "".join(f"{sum(row[s]['solved'] for row in runs.values()):>28}" for s in solvers)
    second = [s for s in solvers if s != FIRST_ORDER]
    common = [row for row in runs.values() if all(row[s]["solved"] for s in second)]
    lines.append(f"{'geometric mean over ' + str(len(common)):{width + 6}}")
    for s in solvers:
        mean = geometric_mean(row[s]["cost"] for row in common if row[s]["solved"])
        lines[-1] += f"{f'{mean:.1f}' + ('*' if s == FIRST_ORDER else ''):>28}"

    everywhere = [row for row in runs.values() if all(row[s]["solved"] for s in solvers)]
    lines.append(f"{'geometric mean over ' + str(len(everywhere)) + ', all':{width + 6}}")
    lines[-1] += "".join(f"{geometric_mean(row[s]['cost'] for row in everywhere):>28.1f}" for s in solvers)

    peers = [s for s in second if s in SOLVERS]
    if not peers:
        return "\n".join(lines)
    for s in (s for s in solvers if s not in SOLVERS):
        for others, label in [(peers, "best second-order SciPy"), ([FIRST_ORDER], FIRST_ORDER)]:
            both = [row for row in runs.values() if row[s]["solved"] and any(row[o]["solved"] for o in others)]
            ratio = geometric_mean(
                row[s]["cost"] / min(row[o]["cost"] for o in others if row[o]["solved"]) for row in both
            )
            lines.append(f"{s} / {label} of each run, over {len(both)}: {ratio:.3f}")
        means = {o: geometric_mean(row[o]["cost"] for row in common) for o in peers}
        best = min(means, key=means.get)
        ours = geometric_mean(row[s]["cost"] for row in common)
        lines.append(f"{s} / {best} (SciPy's best mean), over {len(common)}: {ours / means[best]:.3f}")
    return "\n".join(lines)


def library():
    """Where cargo puts the cdylib."""
    root = pathlib.Path(__file__).resolve().parents[2]
    name = {"darwin": "libreference_problems_ffi.dylib", "win32": "reference_problems_ffi.dll"}
    return root / "target/release" / name.get(sys.platform, "libreference_problems_ffi.so")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--library", type=pathlib.Path, default=library(), help="the cdylib of reference_problems.rs")
    parser.add_argument("--starts", type=float, nargs="+", default=[1.0], help="factors of x0 (default 1)")
    parser.add_argument("--large", action="store_true", help="also with many unknowns")
    parser.add_argument("--chained", action="store_true", help="also chained Rosenbrock")
    parser.add_argument("--crate", metavar="COMMAND", help="prints the crate's own counts as JSON lines")
    parser.add_argument("--json", type=pathlib.Path, help="write the JSON lines there instead of to standard output")
    parser.add_argument("--scipy", type=pathlib.Path, help="take SciPy's counts from this file of JSON lines")
    arguments = parser.parse_args()

    sets = {"mgh"} | ({"large"} if arguments.large else set()) | ({"chained"} if arguments.chained else set())
    records = []
    if arguments.scipy:
        records = [json.loads(line) for line in arguments.scipy.read_text().splitlines()]
        records = [r for r in records if r["set"] in sets and r["start"] in arguments.starts]
    else:
        problems = Problems(arguments.library)
        for factor in arguments.starts:
            for index in problems.indices:
                kind = problems.set(index)
                if kind not in sets or (kind != "mgh" and factor != 1):
                    continue
                if not worth_running(problems, index, factor):
                    print(f"left out: {problems.name(index)} from {factor:g} x0", file=sys.stderr)
                    continue
                records += [run(problems, index, factor, solver) for solver in SOLVERS]
    if arguments.crate:
        records += crate_records(arguments.crate)

    text = "".join(json.dumps(record) + "\n" for record in records)
    if arguments.json:
        arguments.json.write_text(text)
    else:
        print(text)
    print(table(records, f"values + gradients + 2 * products = cost; SciPy {scipy.__version__}"))


if __name__ == "__main__":
    main()
