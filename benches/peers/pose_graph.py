"""Pose graphs: this crate and Ceres on the same files in one run.

    apt install libceres-dev cmake
    cargo build --release --bin pose_graph
    python benches/peers/pose_graph.py input_M3500_g2o.g2o sphere2500.g2o [--rounds 5] [--threads 2] [--tolerance 1e-9]

Files are in g2o's format. Both begin at the poses in the file, keep the first, use the same errors, and stop when a step
lowers the value by at most the tolerance, or earlier: this crate at its gradient tolerance. Ceres is compiled from
pose_graph.cc, with SPARSE_NORMAL_CHOLESKY and automatic derivatives. Rounds alternate between the two; a line is that of
the round with the median time, and the ratio is the median over rounds of this crate's seconds to those of Ceres in the
same round. Seconds begin with the problem in memory and include whatever the library prepares; reading the file is not in
them.
"""

import argparse
import statistics
import tempfile
from pathlib import Path

from ceres import PROGRAMS, build, run

EXAMPLE = PROGRAMS / "pose_graph"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tolerance", default="1e-9")
    options = parser.parse_args()
    threads = str(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        ceres = build("pose_graph", Path(folder))
        print("| file | solver | chi² | iterations | seconds | ratio |\n|---|---|---|---|---|---|")
        for file in options.files:
            commands = {
                "ceres": [ceres, file, threads, "200", options.tolerance],
                "ours": [EXAMPLE, file, "--threads", threads, "--tolerance", options.tolerance, "--json"],
            }
            rounds = [{name: run(command) for name, command in commands.items()} for _ in range(options.rounds)]
            ratio = statistics.median(r["ours"]["seconds"] / r["ceres"]["seconds"] for r in rounds)
            for name in commands:
                r = sorted((r[name] for r in rounds), key=lambda r: r["seconds"])[len(rounds) // 2]
                relative = ratio if name == "ours" else 1.0
                print(
                    f"| {Path(file).name} | {name} | {r['chi_squared']:.9g} | {r['iterations']} | {r['seconds']:.3f} "
                    f"| {relative:.2f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
