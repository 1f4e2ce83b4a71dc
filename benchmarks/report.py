"""RESULTS.md and its plots, from the figures of one run."""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.measure import ROOT, Figures, machine
from benchmarks.plots import Bar, bars, lines, save
from benchmarks.targets import TARGETS, Results

VERSIONS = ("confluent-kafka", "msgspec", "numpy", "scipy", "river", "prometheus-client", "py-spy")
BUSY = 0.5  # processes waiting for a core before anything was measured
HEAD = """# Results

Written by `{command}` on {date}, in {minutes:.0f} minutes; nobody edits this file.
Ratios of one run count, contenders interleaved; seconds are for orientation only. Medians, with lowest and highest where
there is a spread.

{machine}

## The figures to reach
| figure | goal | found | |
|---|---|---|---|
"""
WORKED = {  # sections whose pictures are drawn from their figures
    "end_to_end": "End to end beside the ceilings",
    "peers": "Peers on identical bytes",
    "stages": "Where the time goes",
    "backtest": "A backtest beside the daemon",
    "decode": "Decoding alone",
    "sketch": "Counting alone",
    "windows": "Windows alone",
    "checkpoint": "Checkpoints alone",
    "scrape": "A scrape",
    "page": "The status page",
    "start": "The start",
    "fit": "`reference fit`",
    "scaling": "As things grow",
    "memory": "Memory against the formula",
    "backlog": "Memory under a backlog",
    "latency": "Latency, little traffic, catching up",
    "replicas": "More than one process",
}


def write(directory: Path, results: Results, said: Mapping[str, str], run: Figures) -> Path:
    """RESULTS.md and plots/ in a directory; `said` is what each section printed."""
    plots = directory / "plots"
    head = HEAD.format(command=run["command"], date=date(), minutes=run["seconds"] / 60, machine=place(run))
    parts = [head + "\n".join(target.row(results) for target in TARGETS)]
    for name, title in WORKED.items():
        if name in said or name in run["left_out"]:
            parts.append(section(name, title, results, said, run, plots))
    path = directory / "RESULTS.md"
    path.write_text("\n".join(parts).rstrip() + "\n", encoding="utf-8")
    return path


def date() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")


def place(run: Figures) -> str:
    """Machine and versions."""
    found = machine()
    versions = ", ".join(f"{name} {known(name)}" for name in VERSIONS)
    where = f"{found['cores']} cores of {found['cpu']}, {found['memory_gib']} GiB, {found['system']}"
    lines_of = [
        f"{where}; load of the machine at the start {run['load']:.1f}.",
        f"Python {run['python']}, {versions}, Apache Kafka {run['kafka']}.",
    ]
    if run["load"] > BUSY:
        lines_of.append("**The machine was busy with something else: these figures are too low.**")
    return "\n".join(lines_of)


def known(name: str) -> str:
    """A package's version here."""
    try:
        return version(name)
    except ImportError:
        return "none"


def section(name: str, title: str, results: Results, said: Mapping[str, str], run: Figures, directory: Path) -> str:
    """A heading, what it draws, what it said."""
    found = [f"\n## {title}\n"]
    if name in run["left_out"]:
        return "\n".join([*found, f"Left out: {run['left_out'][name]}."])
    found += [save(directory, picture, drawn) for picture, drawn in pictures(name, results.get(name) or {})]
    return "\n".join([*found, "", "```", said[name].strip("\n"), "```"])


def pictures(name: str, figures: Any) -> Iterator[tuple[str, str]]:
    """A section's plots by name."""
    draw = DRAWN.get(name)
    if draw is not None and figures:
        yield from draw(figures)


def end_to_end(figures: Figures) -> Iterator[tuple[str, str]]:
    titles = {"mock": "mock cluster", "kafka": "Apache Kafka"}
    for broker in (name for name in titles if name in figures):
        rates = figures[broker]["rates"]
        found = [
            Bar(
                name,
                one["median"],
                one["low"],
                one["high"],
                "a" if name.startswith("run") else "b",
                f"{one['median']:,.0f}",
            )
            for name, one in rates.items()
        ]
        yield f"end-to-end-{broker}", bars(f"Events a second, {titles[broker]}", found)


def peers(figures: Figures) -> Iterator[tuple[str, str]]:
    measured = [one for one in figures["peers"] if "events_per_second" in one]
    found = [
        Bar(
            f"{one['title']} {one['version']}",
            one["events_per_second"]["median"],
            one["events_per_second"]["low"],
            one["events_per_second"]["high"],
            "a" if one["peer"] == "driftd" else "b",
            f"{one['events_per_second']['median']:,.0f}",
        )
        for one in sorted(measured, key=lambda one: -one["events_per_second"]["median"])
    ]
    if found:
        yield "peers", bars("Events a second on one core, without Kafka", found, log=True)


def stages(figures: Figures) -> Iterator[tuple[str, str]]:
    found = [
        Bar(f"{stage}{', pure Python' if 'pure' in name else ''}", share, share, share, colour, f"{share:.1%}")
        for (name, one), colour in zip(figures.items(), "ab", strict=False)
        for stage, share in one["stages"].items()
    ]
    yield "stages", bars("Share of the loop's time by stage", found)


def scaling(figures: Figures) -> Iterator[tuple[str, str]]:
    for name, points in figures.items():
        curve = [(one["at"], one["microseconds"]["median"]) for one in points]
        slug = name.replace(", ", "-").replace(" ", "-")
        yield f"scaling-{slug}", lines(f"Cost of an event by {name}", {"run": curve}, x=name, y="µs an event", log=True)


def backlog(figures: Figures) -> Iterator[tuple[str, str]]:
    curves = {f"{figures[name]['backlog']:,} unread": figures[name]["samples"] for name in ("short", "long")}
    yield "backlog", lines("Resident memory while a backlog is read", curves, x="seconds", y="MiB")


def latency(figures: Figures) -> Iterator[tuple[str, str]]:
    delays = sorted(figures["latency"]["delays"])
    curve = [(100 * (at + 1) / len(delays), delay) for at, delay in enumerate(delays)]
    title = "Event to metric, past the window's end and lateness"
    yield "latency", lines(title, {"windows": curve}, x="percent of windows within", y="seconds", goal=2.0)


def backtest(figures: Figures) -> Iterator[tuple[str, str]]:
    found = [
        Bar(name, one["median"], one["low"], one["high"], "b" if name == "run" else "a", f"{one['median']:,.0f}")
        for name, one in figures["rates"].items()
    ]
    yield "backtest", bars("Events a second, the live daemon and backtests of files", found)


DRAWN: dict[str, Any] = {
    "backtest": backtest,
    "end_to_end": end_to_end,
    "peers": peers,
    "stages": stages,
    "scaling": scaling,
    "backlog": backlog,
    "latency": latency,
}


def from_directory(directory: Path, out: Path) -> Path:
    """Write the report of what a run has left behind."""
    run = json.loads((directory / "run.json").read_text(encoding="utf-8"))
    results = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in directory.glob("*.json")}
    said = {path.stem: path.read_text(encoding="utf-8") for path in directory.glob("*.txt")}
    return write(out, results, said, run)


OUT = ROOT / "benchmarks"
