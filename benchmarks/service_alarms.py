"""Alarms of the service: pages a month of requests that are as ever, and how soon slower and failing ones are told.

Each model has a reference of four weeks and a month of live traffic of its own: latencies with a long tail, a wave of the day, days that
differ, errors that follow the same wave. What judges is the operator of the daemon, on panes as the daemon seals them.
"""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from numpy.typing import NDArray

from detectors import Reference, Sketch
from detectors.charts import BudgetSpec
from detectors.reference.service import ERROR, LATENCY, ServedColumns
from detectors.sketches.served import ServedCounts, bins_of
from monitor.facts import AlertChanged
from monitor.series.service import SHARE, ServiceBudget, plan_of
from monitor.series.service_learning import ServiceLearner, ServiceLesson
from monitor.stream.events import DAY, MINUTE, SECOND, SeriesKey
from monitor.stream.windows import SealedPane

BEGIN = 1_763_942_400 * SECOND
PANE = 15 * MINUTE
LEARNT, MONTH = 28, 30  # days
WAVE, DAILY, TAIL = 0.4, 0.07, 0.5  # of the logarithm: of the hours, standard deviations of days and of requests
USUAL, ERRORS = 0.12, 0.003  # seconds, share


@dataclass(frozen=True, slots=True)
class Change:
    """What happens to requests: `slow` times as long, and this share of failures; a `tail` of them `longer`, and at least `least` seconds."""

    name: str
    slow: float = 1.0
    errors: float = ERRORS
    tail: float = 0.0
    longer: float = 1.0
    least: float = 0.0


CHANGES = (
    Change("p95 twice as long", slow=2.0),
    Change("a tenth 4 times as long", tail=0.1, longer=4.0),
    Change("8 % take a minute", tail=0.08, least=60.0),
    Change("errors 0.3 % to 3 %", errors=0.03),
)


def requests(rng: np.random.Generator, times: NDArray[np.int64], change: Change) -> NDArray[np.float64]:
    """Seconds, and 1 for a failure, float64[n, 2]."""
    wave = WAVE * np.sin(2 * np.pi * (times % DAY) / DAY)
    days = (times - times[0]) // DAY
    daily = rng.normal(0, DAILY, int(days[-1]) + 1)[days]
    took = change.slow * USUAL * np.exp(wave + daily + rng.normal(0, TAIL, times.size))
    if change.tail:
        took = np.where(rng.random(times.size) < change.tail, np.maximum(change.longer * took, change.least), took)
    return np.stack([took, rng.random(times.size) < change.errors * np.exp(wave)], axis=1)


class Model:
    """One model: its reference, and the operator that judges its live traffic."""

    def __init__(self, seed: int, rows: int, budget: float, *, live: bool = False) -> None:
        self.rng, self.rows = np.random.default_rng(seed), rows
        self.plan = plan_of(BudgetSpec(pane_ns=PANE), budget * SHARE)
        self.learner: ServiceLearner | None = None
        if live:
            self.reference = Reference.fit({"feature": self.rng.normal(size=1000)})
            self.learner = self.fresh()
            self.play(self.learner, BEGIN - LEARNT * DAY, LEARNT, Change("none"))
            return
        times = self.times(BEGIN - LEARNT * DAY, LEARNT)
        took, failed = requests(self.rng, times, Change("none")).T
        table = {"feature": self.rng.normal(size=times.size), "took": took, "failed": failed}
        self.reference = Reference.fit(
            table, timestamps=times, window_ns=PANE, served=ServedColumns("took", 1.0, "failed")
        )

    def fresh(self) -> ServiceLearner:
        """One that has learnt nothing."""
        lesson = ServiceLesson((LATENCY, ERROR), LEARNT * DAY - PANE, PANE, self.plan)
        return ServiceLearner(SeriesKey("model", "*"), self.reference, lesson)

    def operator(self) -> ServiceBudget | ServiceLearner:
        """The one that judges, as it was when it had learnt."""
        if self.learner is not None:
            operator = self.fresh()
            operator.restore(self.learner.snapshot(), alike=True)
            return operator
        assert self.reference.service is not None
        return ServiceBudget(SeriesKey("model", "*"), self.reference.hash, self.reference.service, self.plan)

    def times(self, begin: int, days: int) -> NDArray[np.int64]:
        """Evenly spread."""
        return np.asarray(begin + np.arange(days * DAY // PANE * self.rows, dtype=np.int64) * (PANE // self.rows))

    def pages(self, days: int, change: Change, begin: int = BEGIN, *, first: bool = False) -> list[int]:
        """The panes, counted from the beginning, at whose ends people were told."""
        return self.play(self.operator(), begin, days, change, first=first)

    def play(
        self, operator: ServiceBudget | ServiceLearner, begin: int, days: int, change: Change, *, first: bool = False
    ) -> list[int]:
        """The same of an operator, which takes the panes."""
        times = self.times(begin, days)
        took, failed = requests(self.rng, times, change).T
        served = np.stack([bins_of(took), failed.astype(np.int16)], axis=1)
        found = list[int]()
        for pane in range(times.size // self.rows):
            sketch = Sketch.empty(self.reference.layout)
            sketch.rows, sketch.served = self.rows, ServedCounts()
            sketch.served.update(served[pane * self.rows : (pane + 1) * self.rows])
            start = begin + pane * PANE
            facts = operator.on_pane(SealedPane(start, start + PANE, sketch))
            found += [pane for fact in facts if isinstance(fact, AlertChanged) and fact.opened]
            if found and first:
                break
        return found


def main() -> None:
    """Print pages a model-month beside the budget, and windows until changes are told."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--months", type=int, default=24)
    parser.add_argument("--rows", type=int, default=150, help="of a window of a quarter of an hour")
    parser.add_argument("--budget", type=float, default=1.0, help="false alarms a month of the whole model")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--live", action="store_true", help="the same weeks of live traffic teach it, in place of a reference"
    )
    asked = parser.parse_args()
    told, delays = 0, {change.name: list[int]() for change in CHANGES}
    for number in range(asked.months):
        model = Model(asked.seed + number, asked.rows, asked.budget, live=asked.live)
        told += len(model.pages(MONTH, Change("none")))
        for change in CHANGES:
            begin = BEGIN + int(model.rng.integers(DAY // PANE)) * PANE
            delays[change.name] += [pane + 1 for pane in model.pages(3, change, begin, first=True)]
    print(
        f"{told} pages in {asked.months} model-months of {asked.rows} requests a window, where "
        f"a share of {SHARE:g} of {asked.budget:g} a month has {asked.budget * SHARE * asked.months:.2g}"
    )
    for name, windows in delays.items():
        print(
            f"{name}: told in {len(windows)} of {asked.months}, after {np.mean(windows or [0]):.3g} windows, {max(windows, default=0)} at most"
        )


if __name__ == "__main__":
    main()
