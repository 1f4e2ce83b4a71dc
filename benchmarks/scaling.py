"""Cost per event as features, models, windows, categories and partitions grow: the daemon's loop fed from memory.

No broker: a list of records feeds the whole daemon (decoder, panes, windows, detectors, checkpoints, /metrics), so that
what is seen is ours alone; by processor time, so that neighbours on the machine do not count. All points of one line
are measured in turn, round by round, in one process.
"""

import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np

from benchmarks.contenders import run_daemon
from benchmarks.feed import BATCH, Feed
from benchmarks.measure import Figures, options, said, spread, write
from benchmarks.traffic import MILLI, TOPIC, calibrated, event, write_config

ROUNDS = 3
EVENTS = 120_000
VALUES = 2_000_000  # in one measurement: wide events are fewer
MINUTE, DAY = 60_000, 86_400_000  # milliseconds
UNSEEN = 10_000


@dataclass(frozen=True, slots=True)
class Point:
    """One place on one line."""

    at: float
    features: int = 20
    models: int = 1
    window: int = 10_000  # milliseconds, which is events of all models together
    slides: int = 1
    categories: int = 0  # of each feature; 0: all numeric
    unseen: int = 0  # more categories, which the reference does not know
    partitions: int = 1
    events: int = field(default=EVENTS, kw_only=True)


def lines(*, quick: bool) -> dict[str, list[Point]]:
    """What grows, and where it is looked at."""
    full = {
        "features": [Point(n, features=n, events=max(2 * BATCH, min(EVENTS, VALUES // n))) for n in (5, 20, 100, 500)],
        "models": [Point(n, models=n, window=10_000 * n) for n in (1, 10, 100, 1_000)],
        "panes a window": [Point(n, window=12_000, slides=n) for n in (1, 6, 60)],
        "window, minutes": [Point(n / MINUTE, window=n) for n in (MINUTE, 10 * MINUTE, 60 * MINUTE, DAY)],
        "partitions": [Point(n, partitions=n) for n in (1, 10, 100)],
        "categories": [Point(n, categories=n) for n in (10, 100, 1_000)],
        "unseen categories": [Point(n, categories=100, unseen=n) for n in (0, UNSEEN)],
    }
    if not quick:
        return full
    small = {name: [points[0], points[-2 if name in {"models", "features"} else -1]] for name, points in full.items()}
    return {name: [Point(p.at, p.features, p.models, events=200) for p in points] for name, points in small.items()}


def names(point: Point) -> list[str]:
    return [f"feature_{at:03d}" for at in range(point.features)]


def rows(point: Point, count: int, seed: int, *, unseen: bool) -> Iterator[dict[str, Any]]:
    """Features of so many events, or of a reference."""
    rng = np.random.default_rng(seed)
    shape = (count, point.features)
    if point.categories:
        numbers = rng.integers(point.categories + (point.unseen if unseen else 0), size=shape)
        table: Any = np.char.add("category-", numbers.astype(str)).tolist()
    else:
        table = rng.normal(size=shape).round(6).tolist()
    keys = names(point)
    return (dict(zip(keys, row, strict=True)) for row in table)


def traffic(point: Point) -> list[bytes]:
    """The events of a point; models in turn. Points that differ in nothing else share them."""
    return made(replace(point, at=0, window=0, slides=1, partitions=1))


@lru_cache(maxsize=1)
def made(point: Point) -> list[bytes]:
    """The same, made."""
    found = enumerate(rows(point, point.events, 0, unseen=True))
    return [event(at, features, f"model-{at % point.models}") for at, features in found]


def prepare(point: Point, home: Path) -> Any:
    """Settings with one reference for all models: what is measured begins after they are read."""
    from monitor.configuration import Configuration, series_spec
    from monitor.settings import load_settings

    home.mkdir()
    table = list(rows(point, 5_000, 1, unseen=False))
    reference = calibrated({name: [row[name] for row in table] for name in names(point)}, point.window * MILLI)
    settings = load_settings(configured(point, home))
    return Configuration(settings, tuple(series_spec(settings, model, reference) for model in settings.models), ())


def configured(point: Point, home: Path) -> Path:
    """The configuration of a point."""
    shared = {"reference": "reference.json", "version": "1", "window": f"{point.window}ms", "lateness": "0s"}
    shared["slide"] = f"{point.window // point.slides}ms"
    models = [{"name": f"model-{at}", **shared} for at in range(point.models)]
    return write_config(home, "127.0.0.1:1", TOPIC, models)


def measured(point: Point, home: Path, values: list[bytes]) -> Callable[[], float]:
    """Microseconds of CPU an event, each time anew from an empty state."""
    configuration = prepare(point, home)

    def once() -> float:
        with tempfile.TemporaryDirectory(dir=home) as state:
            settings = configuration.settings.model_copy(update={"state": Path(state)})
            feed = Feed(values, point.partitions)
            return 1e6 * float(run_daemon(replace(configuration, settings=settings), point.events, feed)["cost"])

    return once


def line(points: list[Point], rounds: int) -> list[Figures]:
    """One line, its points in turn."""
    with tempfile.TemporaryDirectory() as directory:
        ways = [measured(point, Path(directory, str(at)), traffic(point)) for at, point in enumerate(points)]
        found: list[list[float]] = [[] for _ in points]
        for _ in range(rounds):
            for costs, way in zip(found, ways, strict=True):
                costs.append(way())
    relative = [[cost / first for cost, first in zip(costs, found[0], strict=True)] for costs in found]
    return [
        {"at": point.at, "events": point.events, "microseconds": spread(costs), "relative": spread(against)}
        for point, costs, against in zip(points, found, relative, strict=True)
    ]


def main() -> None:
    """Measure line by line."""
    parser = options(__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--line", action="append", help="only this one; may be given more than once")
    chosen = parser.parse_args()
    rounds = 1 if chosen.quick else chosen.rounds
    figures: Figures = {}
    print(
        f"scaling: µs of CPU an event, median of {rounds} (lowest to highest), and the cost beside the line's first point"
    )
    for name, points in lines(quick=chosen.quick).items():
        if chosen.line and name not in chosen.line:
            continue
        print(f"\n{name}")
        figures[name] = line(points, rounds)
        for one in figures[name]:
            print(f"  {one['at']:>9,.0f}  {said(one['microseconds'], 2):<28} × {one['relative']['median']:.2f}")
    write(chosen.json, figures)


if __name__ == "__main__":
    main()
