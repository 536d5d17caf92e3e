"""Bundle adjustment: this crate and Ceres on the same files in one run.

    apt install libceres-dev cmake
    cargo build --release --bin bundle_adjustment
    python benches/peers/bundle_adjustment.py problem-21-11315-pre.txt [...] [--generate 200,60000]
    ... [--rounds 3] [--threads 2] [--ceres iterative_schur,sparse_schur,cgnr]
    ... [--ours "automatic,implicit,no-eliminate"]

Files are in the format of "Bundle adjustment in the large"; --generate has the example make one up. Everything stops when
a step lowers the value by at most 1e-6 of it, the default of Ceres, which is compiled from bundle_adjustment.cc. Rounds
alternate between the solvers; a line is that of the round with the median time. Seconds begin with the problem in
memory and include whatever the library prepares; reading the file is not in them.
"""

import argparse
import subprocess
import tempfile
from pathlib import Path

from ceres import PROGRAMS, build, run

EXAMPLE = PROGRAMS / "bundle_adjustment"
OURS = {
    "automatic": [],
    "explicit": ["--inner", "explicit"],
    "implicit": ["--inner", "implicit"],
    "no-eliminate": ["--no-eliminate"],
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*")
    parser.add_argument("--generate")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--ceres", default="iterative_schur,sparse_schur,cgnr")
    parser.add_argument("--ours", default="automatic,implicit,no-eliminate")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        ceres = build("bundle_adjustment", folder)
        files = list(options.files)
        if options.generate:
            files.append(str(folder / f"loop-{options.generate}.txt"))
            subprocess.run(
                [EXAMPLE, "--generate", options.generate, "--iterations", "0", "--write", files[-1]],
                check=True,
                stdout=subprocess.DEVNULL,
            )
        threads = str(options.threads)
        print("| file | solver | value | steps | inner | seconds |\n|---|---|---|---|---|---|")
        for file in files:
            commands = {f"ceres {s}": [ceres, file, s, threads, "200"] for s in options.ceres.split(",") if s}
            for name in filter(None, options.ours.split(",")):
                commands[f"ours {name}"] = [EXAMPLE, file, "--threads", threads, "--json", *OURS[name]]
            results = {name: [] for name in commands}
            for _ in range(options.rounds):
                for name, command in commands.items():
                    results[name].append(run(command))
            for name, runs in results.items():
                runs.sort(key=lambda r: r["seconds"])
                r = runs[len(runs) // 2]
                print(
                    f"| {Path(file).name} | {name} | {r['value']:.4f} | {r['iterations']} | {r['inner_iterations']} "
                    f"| {r['seconds']:.3f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
