"""The figures to reach, and where each is found among what was measured."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Results = dict[str, Any]  # by section


@dataclass(frozen=True, slots=True)
class Target:
    """A figure and its goal: at least, or at most."""

    what: str
    find: Callable[[Results], float]
    least: float | None = None
    most: float | None = None
    unit: str = ""
    digits: int = 2

    def found(self, results: Results) -> float | None:
        """None where it was not measured."""
        try:
            return float(self.find(results))
        except (KeyError, IndexError, TypeError, ValueError, ZeroDivisionError):
            return None

    def reached(self, value: float) -> bool:
        """Whether the goal is."""
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)

    @property
    def goal(self) -> str:
        """In words."""
        sign, value = ("≥", self.least) if self.least is not None else ("≤", self.most)
        return "stated" if value is None else f"{sign} {value:,g}{self.unit}"

    def row(self, results: Results) -> str:
        """A line of the table."""
        value = self.found(results)
        if value is None:
            return f"| {self.what} | {self.goal} | not measured | – |"
        verdict = "–" if self.goal == "stated" else "reached" if self.reached(value) else "**not reached**"
        return f"| {self.what} | {self.goal} | {value:,.{self.digits}f}{self.unit} | {verdict} |"


def ratio(broker: str, name: str) -> Callable[[Results], float]:
    """A ratio of the end-to-end section, by the clock."""
    return lambda results: results["end_to_end"][broker]["ratios"][name]["median"]


def by_processor(broker: str, name: str) -> Callable[[Results], float]:
    """The same by processor time."""
    return lambda results: results["end_to_end"][broker]["by processor"][name]["median"]


def peers(results: Results, names: tuple[str, ...] = ()) -> float:
    """The fastest of some peers, or of all but driftd, events a second without Kafka."""
    rates = {
        one["peer"]: one["events_per_second"]["median"]
        for one in results["peers"]["peers"]
        if "events_per_second" in one and one["peer"] != "driftd"
    }
    return float(max(rate for name, rate in rates.items() if not names or name in names))


def with_kafka(results: Results) -> float:
    """Our rate on Apache Kafka."""
    return float(results["end_to_end"]["kafka"]["rates"]["run"]["median"])


def last(line: str) -> Callable[[Results], float]:
    """The last point of a line of the scaling section, beside its first."""
    return lambda results: results["scaling"][line][-1]["relative"]["median"]


def resident(size: str) -> Callable[[Results], float]:
    """Megabytes of a process of some size."""
    return lambda results: results["memory"][size]["all"] / 1e6


def idle(results: Results) -> float:
    """Megabytes of a daemon that has nothing to do."""
    return float(results["start"]["daemon"]["RSS when idle, MiB"]["median"]) * 2**20 / 1e6


def backtest(ending: str) -> Callable[[Results], float]:
    """The backtest of files in some format, beside the live daemon."""
    return lambda results: results["backtest"]["ratios"][f"{ending} ÷ run"]["median"]


def fitted(table: str) -> Callable[[Results], float]:
    """Millions of values a second, of one of the tables."""
    return lambda results: results["fit"]["tables"][table]["values_per_second"]["median"] / 1e6


def windows(name: str) -> Callable[[Results], float]:
    """A ratio of the section on windows."""
    return lambda results: results["windows"][name]["ratio"]["median"]


END_TO_END = [
    Target("`run` ÷ (consume + plain typed decode to a matrix), Apache Kafka", ratio("kafka", "run ÷ plain"), 0.8),
    Target("same, mock cluster", ratio("mock", "run ÷ plain"), 0.8),
    Target("`run` ÷ bare Python consume loop, by CPU, Apache Kafka", by_processor("kafka", "run ÷ bare"), 0.9),
    Target("same, mock cluster", by_processor("mock", "run ÷ bare"), 0.9),
    Target("same by the clock, Apache Kafka", ratio("kafka", "run ÷ bare"), 1.2),
    Target("same by the clock, mock cluster", ratio("mock", "run ÷ bare"), 1.2),
    Target(
        "native ÷ the same scan fed by Python messages, by CPU, Apache Kafka",
        by_processor("kafka", "native ÷ decode"),
        1.6,
    ),
    Target("same, mock cluster", by_processor("mock", "native ÷ decode"), 1.6),
    Target("compiled ÷ pure Python, end to end, Apache Kafka", ratio("kafka", "run ÷ pure"), 1.5),
    Target("`run` with Kafka ÷ fastest peer without", lambda found: with_kafka(found) / peers(found), 5),
    Target(
        "`run` with Kafka ÷ Evidently", lambda found: with_kafka(found) / peers(found, ("evidently",)), 40, digits=0
    ),
    Target(
        "same, by its former interface, which it ships but no longer documents",
        lambda found: with_kafka(found) / peers(found, ("evidently_legacy",)),
        digits=0,
    ),
    Target("10 numeric + 10 categorical ÷ 20 numeric", ratio("mock", "categorical ÷ numeric"), 0.85),
    Target("mixed topic ÷ single model", ratio("mock", "mixed ÷ single model"), 0.85),
    Target("backtest of JSONL ÷ `run`", backtest("jsonl"), 1.3),
    Target("every event with a wrong value ÷ none", ratio("mock", "lenient ÷ numeric")),
    Target(
        "same, pure Python: the floor",
        lambda found: found["end_to_end"]["mock"]["rates"]["run, lenient, pure Python"]["median"],
        unit=" events/s",
        digits=0,
    ),
]
GROWTH = [
    Target("cost an event, tumbling windows of 24 h ÷ of 1 min", last("window, minutes"), most=1.05),
    Target("same, 12 slides a window", windows("window of 24 h beside 1 min, 12 slides"), most=1.05),
    Target("cost an event, history of 30 d ÷ of 1 h", windows("history of 30 d beside 1 h"), most=1.05),
    *(
        Target(f"sliding by 1/60 ÷ tumbling, decoding included, {rows} rows a window", windows(name), most=1.5)
        for rows in ("10 000", "100 000", "1 000 000")
        for name in [f"same with decoding, {rows} rows"]
    ),
    Target("same, from pane to fact alone, 10 000 rows a window", windows("slide 1/60, 10 000 rows a window")),
    Target(
        "a window of 500 features closed and judged, charts included",
        lambda found: found["windows"]["500 features, ms a window"]["median"],
        most=20,
        unit=" ms",
        digits=1,
    ),
    Target("same ÷ without charts", windows("500 features, with charts ÷ without")),
    Target("RSS of an idle daemon, 1 model × 20 features", idle, most=70, unit=" MB", digits=0),
    Target("RSS, 100 models × 100 features, 12 panes", resident("100 × 100, 12 panes"), most=600, unit=" MB", digits=0),
    Target(
        "same, features that follow the week",
        resident("100 × 100, 12 panes, weekly profile"),
        most=600,
        unit=" MB",
        digits=0,
    ),
    Target("peak RSS, long backlog ÷ a tenth of it", lambda found: found["backlog"]["ratio"], most=1.05),
]
LIVE = [
    Target("event to metric, p99", lambda found: found["latency"]["latency"]["p99"], most=1, unit=" s"),
    Target(
        "the load at which that is",
        lambda found: round(found["latency"]["latency"]["load"] * 100),
        70,
        unit=" %",
        digits=0,
    ),
    Target("catch-up ÷ input, at 25 % load", lambda found: found["latency"]["outage"]["ratio"], 6, digits=1),
    Target("CPU at 1 000 events/s", lambda found: found["latency"]["little"]["cpu"] * 100, most=1, unit=" % of a core"),
]
SURFACES = [
    *(
        Target(
            f"scrape of 10 000 series beside a busy loop, {part}",
            lambda found, part=part: found["scrape"]["10 000"]["closed"][part],
            most=50,
            unit=" ms",
            digits=0,
        )
        for part in ("p50", "p99")
    ),
    Target("same: the loop held", lambda found: found["scrape"]["10 000"]["closed"]["stall"], most=20, unit=" ms"),
    Target(
        "status page of 100 models × 100 features beside a busy loop",
        lambda found: found["page"]["first page"]["p50"],
        most=100,
        unit=" ms",
        digits=0,
    ),
    Target(
        "start to first event, our own",
        lambda found: found["start"]["parts"]["ours, all of it"]["median"],
        most=2.5,
        unit=" s",
    ),
    Target(
        "checkpoint of 200 features × 10 models, p99",
        lambda found: found["checkpoint"]["ms"]["p99"],
        most=50,
        unit=" ms",
        digits=1,
    ),
    Target("`reference fit` from Parquet", fitted("plain.parquet"), 30, unit=" M values/s", digits=1),
    Target("same with `--timestamp`: calibration too", fitted("timed.parquet"), 30, unit=" M values/s", digits=1),
]
TARGETS = [*END_TO_END, *GROWTH, *LIVE, *SURFACES]
