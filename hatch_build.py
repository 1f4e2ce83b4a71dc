"""The compiled parts: built where there is a C++ compiler, done without where not. As a script: built in place."""

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).parent
SOURCES = tuple(
    ROOT / name
    for name in (
        "detectors/charts/_step.cpp",
        "detectors/sketches/_count.cpp",
        "detectors/sketches/_digest.cpp",
        "detectors/sketches/_sums.cpp",
        "monitor/sources/_lines.cpp",
        "monitor/sources/formats/arrow/_arrow.cpp",
        "monitor/sources/formats/avro/_avro.cpp",
        "monitor/sources/formats/json/_scan.cpp",
        "monitor/sources/formats/protobuf/_protobuf.cpp",
        "monitor/sources/formats/schema_registry/_frames.cpp",
        "monitor/sources/formats/tensors/_columns.cpp",
        "monitor/sources/formats/tensors/_compact.cpp",
        "monitor/sources/kafka/_native.cpp",
    )
)
SHARED = (
    "detectors/sketches",
    "monitor/sources",
    "monitor/sources/formats/json",
)  # whose headers parts elsewhere include, too
FLAGS = ("-std=c++17", "-O3", "-fPIC", "-shared", "-fvisibility=hidden", "-Wall", "-Wextra")
# No product is fused into a sum: the Python paths, which do without, would give other last bits. Behind whatever CXXFLAGS say.
EXACT = ("-ffp-contract=off", "-fno-fast-math")
# Left out of CXXFLAGS: linking by these makes the whole process take the smallest numbers for 0.
INEXACT = frozenset({"-Ofast", "-ffast-math", "-funsafe-math-optimizations"})
TAG = "cp311-abi3"  # the limited interface of CPython 3.11: one library for that version and all later ones
TIMEOUT_S = 600


class NotBuiltError(Exception):
    """Why the compiled parts are not there, and what helps; the pure-Python path then does their work."""

    def __init__(self, why: str, remedy: str = "apt-get install g++ python3-dev") -> None:
        super().__init__(f"{why}: the pure-Python path is used, several times slower; {remedy}")


class CompiledParts(BuildHookInterface):  # type: ignore[type-arg]
    """Puts the compiled parts into the wheel, or says why it holds none."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build: afresh for a wheel to be kept, what has changed for an editable installation."""
        try:
            libraries = build(afresh=version != "editable")
        except NotBuiltError as problem:
            self.app.display_warning(str(problem))
            return
        if version != "editable":
            build_data["pure_python"] = False
            build_data["tag"] = f"{TAG}-{_platform()}"
            build_data["artifacts"] += [f"/{library.relative_to(ROOT)}" for library in libraries]


def build(*, afresh: bool = False) -> list[Path]:
    """Compile what is missing or older than its source, all of it when `afresh`. Raises NotBuiltError."""
    sources = [source for source in SOURCES if source.exists()]
    wanted = [source for source in sources if afresh or not _is_newer(_library(source), source)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(_compile, wanted))
    return [_library(source) for source in sources]


def _library(source: Path) -> Path:
    return source.with_suffix(".abi3.so")


def _is_newer(library: Path, source: Path) -> bool:
    headers = [header for place in (source.parent, *map(ROOT.joinpath, SHARED)) for header in place.glob("*.hpp")]
    made_from = [source, *headers, Path(__file__)]
    return library.exists() and library.stat().st_mtime_ns > max(path.stat().st_mtime_ns for path in made_from)


def _compile(source: Path) -> None:
    try:
        _compile_beside(source)
    except OSError as error:
        raise NotBuiltError(f"{source.parent} cannot be written to", str(error)) from error


def _compile_beside(source: Path) -> None:
    library = _library(source)
    with tempfile.TemporaryDirectory(dir=library.parent, prefix=".building-") as scratch:
        made = Path(scratch, library.name)
        try:
            _run([*_compiler(), *FLAGS, *_flags(), *EXACT, f"-I{_headers()}", str(source), "-o", str(made)])
        except NotBuiltError:
            library.unlink(missing_ok=True)  # an old one would do what the source no longer says
            raise
        made.replace(library)  # whole, or not at all: another process may have the old one open


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotBuiltError("the C++ compiler failed", str(error)) from error
    sys.stderr.write(done.stderr)
    if done.returncode != 0:
        raise NotBuiltError(f"{Path(command[0]).name} refused {Path(command[-3]).name}", "its words stand above")


def _compiler() -> list[str]:
    if os.name != "posix" or sys.implementation.name != "cpython" or sysconfig.get_config_var("Py_GIL_DISABLED"):
        raise NotBuiltError("no compiled parts for this Python", "they are for CPython with its lock, on POSIX")
    if chosen := os.environ.get("CXX"):
        return shlex.split(chosen)
    found = next(filter(None, map(shutil.which, ("c++", "g++", "clang++"))), None)
    if found is None:
        raise NotBuiltError("no C++ compiler")
    return [found]


def _headers() -> str:
    directory = sysconfig.get_path("include")
    if not Path(directory, "Python.h").exists():
        raise NotBuiltError(f"no Python.h in {directory}")
    return directory


def _flags() -> list[str]:
    ours = ["-undefined", "dynamic_lookup"] if sys.platform == "darwin" else []
    return ours + [flag for flag in shlex.split(os.environ.get("CXXFLAGS", "")) if flag not in INEXACT]


def _platform() -> str:
    return sysconfig.get_platform().replace("-", "_").replace(".", "_")


if __name__ == "__main__":
    try:
        build()
    except NotBuiltError as problem:
        sys.exit(str(problem))
