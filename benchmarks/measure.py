"""Medians with their spread, ratios of one round, and programs measured in processes of their own."""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
CHILD_SECONDS = 120
TICKS = os.sysconf("SC_CLK_TCK")
Figures = dict[str, Any]


def child(*arguments: str, pure: bool = False, seconds: float = CHILD_SECONDS) -> Any:
    """Run a benchmark's own script; what its last line says, which is JSON."""
    done = subprocess.run(
        command(*arguments),
        env=environment(pure=pure),
        timeout=seconds,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    return json.loads(done.stdout.splitlines()[-1])


def command(module: str, *arguments: str) -> list[str]:
    """A module of this directory as a program."""
    return [sys.executable, "-m", f"benchmarks.{module}", *arguments]


def environment(*, pure: bool = False) -> dict[str, str]:
    """The child's environment, with or without the compiled part."""
    inherited = {name: value for name, value in os.environ.items() if name != "DRIFTD_PURE"}
    return inherited | ({"DRIFTD_PURE": "1"} if pure else {})


def spread(values: Sequence[float]) -> Figures:
    """Median, lowest and highest."""
    return {"median": statistics.median(values), "low": min(values), "high": max(values), "rounds": len(values)}


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> Figures:
    """The median of the rounds' own ratios, with its spread."""
    return spread([one / other for one, other in zip(ours, theirs, strict=True)])


def said(figures: Mapping[str, float], digits: int = 0) -> str:
    """Median (lowest to highest), for people."""
    return f"{figures['median']:,.{digits}f} ({figures['low']:,.{digits}f} to {figures['high']:,.{digits}f})"


def cpu_seconds(pid: int | str = "self") -> float:
    """What a process has used so far, user and system, ended threads too."""
    return _used(Path(f"/proc/{pid}/stat"))


def threads(pid: int | str = "self") -> dict[str, float]:
    """CPU seconds of each living thread, by its name; threads of one name are added."""
    found: dict[str, float] = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            name, used = (task / "comm").read_text().strip(), _used(task / "stat")
        except (FileNotFoundError, ProcessLookupError):  # it has just ended
            continue
        found[name] = found.get(name, 0.0) + used
    return found


def _used(stat: Path) -> float:
    fields = stat.read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def less(after: Mapping[str, float], before: Mapping[str, float]) -> dict[str, float]:
    """What was used between two looks; nothing that is nothing."""
    used = {name: seconds - before.get(name, 0.0) for name, seconds in after.items()}
    return {name: round(seconds, 3) for name, seconds in used.items() if seconds > 0}


def rss(pid: int | str = "self") -> int:
    """Resident bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def machine() -> Figures:
    """Where this runs."""
    model = next((line.split(":")[1].strip() for line in _lines("/proc/cpuinfo") if "model name" in line), "unknown")
    memory = next((int(line.split()[1]) for line in _lines("/proc/meminfo") if "MemTotal" in line), 0)
    cores = len(os.sched_getaffinity(0))
    return {"cpu": model, "cores": cores, "memory_gib": round(memory / 2**20, 1), "system": platform.platform()}


def _lines(path: str) -> list[str]:
    return Path(path).read_text(encoding="utf-8").splitlines()


def options(description: str | None, **more: Any) -> argparse.ArgumentParser:
    """The options every benchmark has."""
    parser = argparse.ArgumentParser(description=description, **more)
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    parser.add_argument("--quick", action="store_true", help="few events, few rounds: whether it runs, not how fast")
    return parser


def write(path: Path | None, figures: Figures) -> None:
    """Leave the figures where they were asked for."""
    if path is not None:
        path.write_text(json.dumps(figures, indent=1), encoding="utf-8")
