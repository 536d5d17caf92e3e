"""The Ginzburg-Landau energy over MPI: this crate and PETSc's TAO on the same slabs in one run.

    apt install libopenmpi-dev openmpi-bin libclang-dev libpetsc-real-dev
    python benches/peers/pde_energy_tao.py [--points 100] [--ranks 2] [--rounds 3] [--tolerance 1e-6]

Both start at zero and stop at |gradient| <= tolerance * |gradient at zero|, with products by the same stencil: here
examples/mpi, there pde_energy_tao.c with a shell matrix. TAO runs without a preconditioner, or with that of its quasi-Newton
matrix, since its default needs entries. One
thread a rank, and a line of this crate's with as many threads in one process.
Rounds alternate between all; a line is that of the round with the median time, the ratio the median over rounds of this
crate's seconds on as many ranks to those of the same round.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
MPIRUN = ["mpirun", "--oversubscribe", "--allow-run-as-root"]
TAO = {
    "NTR": ["-tao_type", "ntr", "-tao_ntr_pc_type", "none"],
    "NTR, rtol 0.1": ["-tao_type", "ntr", "-tao_ntr_pc_type", "none", "-tao_ntr_ksp_rtol", "0.1"],
    "NTR, lmvm, rtol 0.1": ["-tao_type", "ntr", "-tao_ntr_pc_type", "lmvm", "-tao_ntr_ksp_rtol", "0.1"],
    "NLS, rtol 0.1": ["-tao_type", "nls", "-tao_nls_pc_type", "none", "-tao_nls_ksp_rtol", "0.1"],
}


def output(command, **environment):
    done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment})
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}: {done.stderr or done.stdout}")
    return done.stdout


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=100)
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tolerance", default="1e-6")
    parser.add_argument("--methods", help="of TAO, separated by semicolons", default=";".join(TAO))
    parser.add_argument("--program", type=Path, help="this crate's, if it is not to be compiled")
    options = parser.parse_args()
    ranks = str(options.ranks)
    ours = options.program
    if not ours:
        ours = ROOT / "examples/mpi/target/release/pde_energy"
        output(["cargo", "build", "--release", "--manifest-path", ROOT / "examples/mpi/Cargo.toml", "--target-dir", ROOT / "examples/mpi/target"])
    with tempfile.TemporaryDirectory() as folder:
        theirs = Path(folder) / "tao"
        flags = output(["pkg-config", "--cflags", "--libs", "PETSc"]).split()
        output(["mpicc", "-O3", "-o", theirs, HERE / "pde_energy_tao.c", *flags, "-lm"])
        here = [ours, "--points", options.points, "--tolerance", options.tolerance]
        there = [theirs, "-points", options.points, "-tolerance", options.tolerance]
        commands = {"this crate": ([*MPIRUN, "-n", ranks, *here], "1"), f"this crate, 1 rank, {ranks} threads": (here, ranks)}
        commands |= {name: ([*MPIRUN, "-n", ranks, *there, *TAO[name]], "1") for name in options.methods.split(";") if name}
        rounds = []
        for _ in range(options.rounds):
            run = lambda command, threads: json.loads(output(command, RAYON_NUM_THREADS=threads, OMP_NUM_THREADS="1").splitlines()[-1])
            rounds.append({name: run(*command) for name, command in commands.items()})
    print(f"{options.points}^3 unknowns, {ranks} ranks\n| solver | value | gradient norm | values | products | seconds | ratio |")
    print("|---|---|---|---|---|---|---|")
    for name in commands:
        ratio = statistics.median(r["this crate"]["seconds"] / r[name]["seconds"] for r in rounds)
        r = sorted((r[name] for r in rounds), key=lambda r: r["seconds"])[len(rounds) // 2]
        print(f"| {name} | {r['value']:.12e} | {r['gradient_norm']:.2e} | {r['values']} | {r['products']} | {r['seconds']:.3f} | {ratio:.2f} |", flush=True)


if __name__ == "__main__":
    main()
