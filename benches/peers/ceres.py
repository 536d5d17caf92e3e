"""What the comparisons with Ceres share: building a program against it, and running one that ends with a line of JSON."""

import json
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROGRAMS = HERE.parents[1] / "target/release"
CMAKE = """cmake_minimum_required(VERSION 3.10)
project({name} CXX)
set(CMAKE_BUILD_TYPE Release)
find_package(Ceres REQUIRED)
add_executable({name} {source})
target_link_libraries({name} Ceres::ceres)
"""


def build(name, folder):
    """Compiles NAME.cc of this directory in `folder`; returns the program."""
    (folder / "CMakeLists.txt").write_text(CMAKE.format(name=name, source=HERE / f"{name}.cc"))
    for command in (["cmake", "."], ["make"]):
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return folder / name


def run(command):
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
