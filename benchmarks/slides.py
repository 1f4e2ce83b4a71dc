"""What a slide of a window costs, in instructions: beside tumbling windows, and by function.

The rows, windows and judges are those of `windows.py`: an hour that slides by a minute beside one that tumbles, 10 000 rows in each, 20 numbers.
Instructions are counted by valgrind's callgrind while rows are counted, windows closed and facts recorded, and at no other time; they do
not depend on who else uses the machine. A C compiler is needed: what switches callgrind on and off is a header of valgrind's. `--calls` does
without both, and says which functions are called how often a slide, by cProfile.
"""

import argparse
import cProfile
import ctypes
import json
import os
import pstats
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.measure import ROOT, environment
from benchmarks.windows import HOUR, MINUTE, Bench, fitted
from monitor.runtime.loop import calm_collector
from monitor.runtime.telemetry import configure_logging

ROWS = 10_000  # a window
WARM, COUNTED = 14_000, 8_000  # rows: all that is made once is made in the first
SLIDES = COUNTED * 60 // ROWS
WAYS = ("tumbling", "sliding")
SHOWN = 25  # functions
SECONDS = 1_800
SWITCH = """
#include <valgrind/callgrind.h>
void begin(void) { CALLGRIND_START_INSTRUMENTATION; CALLGRIND_ZERO_STATS; }
void done(const char *what) { CALLGRIND_DUMP_STATS_AT(what); }
void end(void) { CALLGRIND_STOP_INSTRUMENTATION; }
"""


def warm(way: str) -> Bench:
    """A pipeline that has closed its first windows."""
    bench = Bench(fitted(20, HOUR, rows=6_000), 1, HOUR, MINUTE if way == "sliding" else None)
    bench.run(bench.batches(WARM, HOUR // ROWS))
    return bench


def counted(switch: Path) -> None:
    """Run both ways with the instrument on; called under callgrind."""
    library = ctypes.CDLL(str(switch))
    work = [(way, bench, bench.batches(COUNTED, HOUR // ROWS)) for way in WAYS for bench in (warm(way),)]
    library.begin()
    for way, bench, batches in work:
        bench.run(batches)
        library.done(way.encode())
    library.end()


def instructions(home: Path) -> Mapping[str, Path]:
    """What callgrind wrote of each way."""
    source, switch, out = home / "switch.c", home / "switch.so", home / "callgrind.out"
    source.write_text(SWITCH, encoding="utf-8")
    compiler = os.environ.get("CC", "cc")
    subprocess.run([compiler, "-O1", "-shared", "-fPIC", "-o", str(switch), str(source)], check=True, timeout=60)
    tool = ["valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={out}"]
    command = [*tool, sys.executable, "-m", "benchmarks.slides", "--counted", str(switch)]
    fixed = environment() | {"PYTHONHASHSEED": "0", "OPENBLAS_NUM_THREADS": "1"}
    subprocess.run(command, env=fixed, cwd=ROOT, timeout=SECONDS, check=True, capture_output=True)
    return {way: out.with_name(f"{out.name}.{number}") for number, way in enumerate(WAYS, start=1)}


def total(written: Path) -> int:
    """All instructions."""
    found = re.search(r"^summary: (\d+)", written.read_text(encoding="utf-8"), re.MULTILINE)
    assert found is not None
    return int(found[1])


def by_function(written: Path) -> str:
    """The functions that most of them are in."""
    annotate = ["callgrind_annotate", "--threshold=100", str(written)]
    told = subprocess.run(annotate, check=True, timeout=60, capture_output=True, text=True).stdout
    lines = [line for line in told.splitlines() if re.match(r"\s*[\d,]+ \(", line)]
    return "\n".join(f"  {re.sub(r'/[^ ]*/', '', line)[:150]}" for line in lines[1 : SHOWN + 1])


def calls() -> None:
    """Print how often each function is called a slide."""
    bench = warm("sliding")
    batches = bench.batches(COUNTED, HOUR // ROWS)
    profile = cProfile.Profile(time.process_time)
    profile.runcall(bench.run, batches)
    table: Mapping[tuple[str, int, str], tuple[int, int, float, float, object]]
    table = pstats.Stats(profile).stats  # type: ignore[attr-defined]
    print(f"  {sum(held[0] for held in table.values()) / SLIDES:,.0f} calls a slide")
    for (path, line, name), held in sorted(table.items(), key=lambda each: -each[1][0])[:SHOWN]:
        print(f"  {held[0] / SLIDES:8.2f}  {Path(path).name}:{line} {name}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", action="store_true", help="how often each function is called, by cProfile")
    parser.add_argument("--counted", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args()
    configure_logging("error", "json")
    calm_collector()
    if options.counted or options.calls:
        counted(options.counted) if options.counted else calls()
        return
    if shutil.which("valgrind") is None:
        sys.exit("valgrind is not installed: --calls needs none")
    with tempfile.TemporaryDirectory() as directory:
        written = instructions(Path(directory))
        tumbling, sliding = (total(written[way]) for way in WAYS)
        figures = {"tumbling": tumbling, "sliding": sliding, "slide": (sliding - tumbling) // SLIDES}
        print(
            f"  sliding {sliding / tumbling:.2f} × tumbling, {COUNTED:,} rows; a slide {figures['slide']:,} instructions"
        )
        print(by_function(written["sliding"]))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
