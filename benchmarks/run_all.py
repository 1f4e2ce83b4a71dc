"""`make bench`: every benchmark in turn, within the time, and RESULTS.md of it.

Each runs as a process of its own with a budget; one that takes longer is ended and said to be left out, as are those
for which no time is left. What is made once (the peers' environments, Kafka's jars) is not counted.
"""

import argparse
import json
import os
import platform
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.measure import ROOT, Figures
from benchmarks.report import OUT, from_directory

MINUTES = 27.0
KEPT = ROOT / ".bench"
QUICK_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Section:
    """A benchmark and the seconds it may take."""

    name: str
    budget: float
    script: str = ""
    arguments: tuple[str, ...] = ()
    quick: bool = True  # knows --quick

    @property
    def path(self) -> Path:
        """Its file."""
        return OUT / (self.script or f"{self.name}.py")


SECTIONS = [  # the most important first: what no time is left for is at the end
    Section("end_to_end", 260),
    Section("peers", 180, "peers/run.py", ("--rounds", "2")),
    Section("latency", 180),
    Section("stages", 150),
    Section("backlog", 110),
    Section("scaling", 120),
    Section("replicas", 60, arguments=("--rounds", "2")),
    Section("backtest", 60, arguments=("--events", "150000", "--rounds", "3")),
    Section("decode", 60),
    Section("sketch", 40),
    Section("windows", 90, arguments=("--rounds", "5"), quick=False),
    Section("checkpoint", 60, arguments=("--seconds", "30"), quick=False),
    Section("memory", 60, quick=False),
    Section("scrape", 60, arguments=("--rounds", "10"), quick=False),
    Section("page", 60, arguments=("--rounds", "10"), quick=False),
    Section("start", 60, arguments=("--rounds", "2"), quick=False),
    Section("fit", 90, arguments=("--rounds", "2")),
]


def main() -> None:
    """Run what was asked for and write the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    names = [section.name for section in SECTIONS]
    parser.add_argument("--only", default="", help=f"comma-separated, of {', '.join(names)}")
    parser.add_argument("--quick", action="store_true", help="few events, few rounds: whether it runs, not how fast")
    parser.add_argument("--report", action="store_true", help="write the report of the last run again; measure nothing")
    parser.add_argument("--out", type=Path, help="where RESULTS.md goes; benchmarks/ after a full run, else .bench/")
    options = parser.parse_args()
    wanted = [name for name in options.only.split(",") if name] or names
    if unknown := sorted(set(wanted) - set(names)):
        parser.error(f"no benchmark {unknown[0]}; there are {', '.join(names)}")
    if not options.report:
        measure([section for section in SECTIONS if section.name in wanted], quick=options.quick)
    full = wanted == names and not options.quick
    print(f"\nwritten: {from_directory(KEPT, options.out or (OUT if full else KEPT))}")


def measure(sections: list[Section], *, quick: bool) -> None:
    """All sections in turn; figures and words are left in .bench/."""
    begin_anew()
    if any(section.name == "peers" for section in sections) and not quick:
        make_environments()
    run = about()
    began = time.monotonic()
    for section in sections:
        left = MINUTES * 60 - (time.monotonic() - began)
        why = one(section, min(left, section.budget), quick=quick)
        if why is not None:
            run["left_out"][section.name] = why
            print(f"  {section.name} left out: {why}")
    run["seconds"] = time.monotonic() - began
    (KEPT / "run.json").write_text(json.dumps(run, indent=1), encoding="utf-8")


def begin_anew() -> None:
    """A .bench/ without the last run's figures, which git does not look at; those of `make bench-alarms` stay."""
    KEPT.mkdir(exist_ok=True)
    for name in ("run", *(section.name for section in SECTIONS)):
        for ending in ("json", "txt"):
            (KEPT / f"{name}.{ending}").unlink(missing_ok=True)
    (KEPT / ".gitignore").write_text("*\n", encoding="utf-8")


def make_environments() -> None:
    """The peers' environments, where they are not there yet: minutes, once."""
    subprocess.run([sys.executable, str(OUT / "peers" / "run.py"), "--quick"], cwd=ROOT, check=False)


def about() -> Figures:
    """What the report says of the run itself."""
    from tests.parts.jars import kafka_version

    return {
        "command": "make bench" if len(sys.argv) == 1 else shlex.join(["benchmarks/run_all.py", *sys.argv[1:]]),
        "python": platform.python_version(),
        "kafka": kafka_version(),
        "load": os.getloadavg()[0],
        "left_out": {},
    }


def one(section: Section, seconds: float, *, quick: bool) -> str | None:
    """Run one section; why there is nothing of it, or None."""
    if not section.path.exists():
        return f"{section.path.relative_to(ROOT)} is not there"
    if seconds < section.budget / 4:
        return "no time was left"
    command = [sys.executable, str(section.path), "--json", str(KEPT / f"{section.name}.json"), *section.arguments]
    command += ["--quick"] if quick and section.quick else more(section)
    print(f"\n=== {section.name}", flush=True)
    began = time.monotonic()
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        words, _ = process.communicate(timeout=QUICK_SECONDS if quick else seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # the session is this section's own
        process.communicate()
        return f"not done within {seconds:.0f} s"
    print(words, end="")
    print(f"  ({time.monotonic() - began:.0f} s)", flush=True)
    if process.returncode != 0:
        return f"ended with {process.returncode}"
    if json.loads((KEPT / f"{section.name}.json").read_text(encoding="utf-8")) == {}:
        return words.strip() or "nothing was measured"
    (KEPT / f"{section.name}.txt").write_text(words, encoding="utf-8")
    return None


def more(section: Section) -> list[str]:
    """What a section takes over from another: the rate at which a backlog is read."""
    if section.name != "latency" or not (KEPT / "end_to_end.json").exists():
        return []
    found = json.loads((KEPT / "end_to_end.json").read_text(encoding="utf-8"))
    return ["--rate", str(found["kafka"]["rates"]["run"]["median"])] if "kafka" in found else []


if __name__ == "__main__":
    main()
