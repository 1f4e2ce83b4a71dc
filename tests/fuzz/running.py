"""`make fuzz`: inputs made by coverage (atheris, over libFuzzer) until the time is over or one is found that must not be."""

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

from tests.fuzz.corpus import TARGETS, keep, kept, lay_out, shared_memory, target_of

BUILD = Path("build/fuzz")
MOST_SECONDS = 20  # of one input: more is taken for a hang
MOST_MEMORY = 1_500  # MiB of the process
LONGEST = {"reference": 8_000, "configuration": 4_000, "state": 300}  # bytes of an input
EXECUTIONS = re.compile(r"stat::number_of_executed_units:\s*(\d+)")


def run_here(name: str, options: list[str]) -> None:
    """Fuzz a target in this process, which ends with it."""
    atheris: Any = import_module("atheris")
    with atheris.instrument_imports(include=["monitor", "detectors"]):
        check = target_of(name).prepared(Path(tempfile.mkdtemp(prefix="driftd-fuzz-", dir=shared_memory())))
    sys.addaudithook(refuse_the_network)
    atheris.Setup([sys.argv[0], *options], check)
    atheris.Fuzz()


def refuse_the_network(event: str, arguments: tuple[Any, ...]) -> None:
    """Nobody is asked for anything, whatever an input names."""
    if event == "socket.connect" or (event == "socket.getaddrinfo" and arguments[0] not in {"127.0.0.1", None}):
        raise OSError(f"{event}: not while fuzzing")


def child(name: str, options: list[str]) -> subprocess.CompletedProcess[str]:
    """The same in a process of its own; what it says is on stderr."""
    command = [sys.executable, "-m", "tests.fuzz.running", name, "--here", *options]
    return subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)


def fuzzed(name: str, seconds: int, seed: int) -> dict[str, Any]:
    """Fuzz a target for so long; what there is to say of it."""
    home = BUILD / name
    lay_out(home / "seeds", [*target_of(name).seeds(), *kept(name)])
    lay_out(home / "found", [])
    (home / "words").write_text("".join(f'"{quoted(word)}"\n' for word in target_of(name).WORDS), encoding="ascii")
    limits = [f"-timeout={MOST_SECONDS}", f"-rss_limit_mb={MOST_MEMORY}", f"-max_len={LONGEST.get(name, 4_096)}"]
    how = [f"-max_total_time={seconds}", f"-seed={seed}", "-print_final_stats=1", f"-dict={home / 'words'}"]
    done = child(name, [str(home / "found"), str(home / "seeds"), *limits, *how, f"-artifact_prefix={home}/"])
    found = EXECUTIONS.search(done.stderr)
    (home / "log").write_text(done.stderr, encoding="utf-8")
    crashes = sorted(str(path) for path in home.glob("*-*") if path.is_file())
    executions = int(found[1]) if found else 0
    return {"target": name, "seconds": seconds, "executions": executions, "status": done.returncode, "crashes": crashes}


def quoted(word: str) -> str:
    """As libFuzzer's dictionaries have it."""
    return "".join(chr(each) if 32 <= each < 127 and each not in b'"\\' else f"\\x{each:02x}" for each in word.encode())


def main() -> int:
    """Each target in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", choices=["all", *TARGETS])
    parser.add_argument("--seconds", type=int, default=600, help="of each target")
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(3), "big"))
    parser.add_argument("--keep", action="store_true", help="write what reaches something new into tests/fuzz/corpus")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    chosen, options = parser.parse_known_args()
    if chosen.here:
        run_here(chosen.target, options)
    figures = {"seed": chosen.seed, "python": platform.python_version(), "targets": list[dict[str, Any]]()}
    for name in TARGETS if chosen.target == "all" else [chosen.target]:
        found = fuzzed(name, chosen.seconds, chosen.seed)
        figures["targets"].append(found)
        print(
            f"{name}: {found['executions']:,} executions, {len(found['crashes'])} crashes {found['crashes']}",
            flush=True,
        )
        if chosen.keep:
            more = keep(name, [path.read_bytes() for path in (BUILD / name / "found").iterdir()])
            print(f"  {more} inputs kept")
    (BUILD / "fuzz.json").write_text(json.dumps(figures, indent=1), encoding="utf-8")
    return int(any(found["status"] or found["crashes"] for found in figures["targets"]))


if __name__ == "__main__":
    sys.exit(main())
