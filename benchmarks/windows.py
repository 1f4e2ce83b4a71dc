"""What closing and judging windows costs: wide models, many models, sliding windows, long windows, long histories.

Everything between decoded columns and the board (`Pipeline.ingest`, `advance`, `Telemetry.record`), in this process,
with KS, PSI, χ², ADWIN, missing, unseen and volume on each feature, the budget's charts and two rules, as a user runs
it; what the charts cost is said beside. What is compared is interleaved. Sliding windows are measured with the decoding of JSON too: what a user pays but for Kafka's client.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from statistics import NormalDist

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from numpy.typing import NDArray

from benchmarks.contenders import own_decoder
from benchmarks.measure import Figures, ratio, said, spread
from benchmarks.traffic import TOPIC, calibrated, columns, events, refuse_uncharted
from detectors import Reference, Sketch, Tally
from detectors.charts import BudgetSpec, Charts
from monitor.alerting.retraining import RetrainPolicy
from monitor.alerting.rules import AlertRule
from monitor.pipeline import Pipeline
from monitor.runtime.board import Board, SeriesBoard
from monitor.runtime.loop import calm_collector
from monitor.runtime.telemetry import Telemetry, configure_logging
from monitor.series.judging import Judging
from monitor.series.series import SeriesSpec
from monitor.sources.base import TopicRecords
from monitor.stream.events import SECOND, EventBatch, MicroBatch, Nanos, Partition, SeriesKey
from monitor.stream.windows import WindowSpec

BEGIN: Nanos = 1_763_856_000 * SECOND
MILLI: Nanos = SECOND // 1_000
MINUTE: Nanos = 60 * SECOND
HOUR: Nanos = 60 * MINUTE
PARTITION = Partition("bench", 0)
RULES = (AlertRule("psi", "psi", 0.25, 0.1), AlertRule("ks", "ks", 0.2, 0.1))
BATCH = 4_000  # rows of a micro-batch
DIFFERENT = 20_000  # messages, read again and again: fewer would be a sample that the charts can tell from the law
WINDOW_ROWS = 1_000  # of the windows that are closed alone
STEPS = 10  # of the charts, measured together


@cache
def fitted(features: int, length: Nanos, rows: int = 20_000, seed: int = 0) -> Reference:
    """A reference of so many normal features, calibrated on windows of a length."""
    rng = np.random.default_rng(seed)
    return calibrated({f"feature_{at:03d}": rng.normal(size=rows) for at in range(features)}, length)


def normal(features: int) -> NDArray[np.float64]:
    """Rows that are as the law says, all together: charts stay quiet however often they come again."""
    law = np.array([NormalDist().inv_cdf((at + 0.5) / BATCH) for at in range(BATCH)])
    return np.random.default_rng(1).permuted(np.tile(law[:, None], features), axis=0)


class Bench:
    """A pipeline with its telemetry, fed rows of normal values that run evenly through event time."""

    def __init__(
        self,
        reference: Reference,
        models: int,
        length: Nanos,
        slide: Nanos | None = None,
        name: str = "model-{}",
        *,
        charts: bool = True,
    ) -> None:
        judging = Judging(reference, length, RULES, plan=BudgetSpec(pane_ns=slide or length) if charts else None)
        self.specs = [
            SeriesSpec(
                SeriesKey(name.format(at), "1"), WindowSpec(length, slide or length, 0), judging, RetrainPolicy(0, 1)
            )
            for at in range(models)
        ]
        self.pipeline = Pipeline(self.specs, HOUR)
        if charts:
            refuse_uncharted(self.pipeline)
        self.telemetry = Telemetry(board(self.specs), lambda: BEGIN)
        self.at = BEGIN
        self._values, self._next = normal(len(reference.names)), 0
        self._codes = np.zeros((BATCH, 0), dtype=np.int32)
        self.pipeline.ingest(MicroBatch(assigned=frozenset({PARTITION})), 0)

    def batches(self, rows: int, gap: Nanos) -> list[MicroBatch]:
        """The next rows of every model, `gap` apart; built before anything is measured."""
        found = []
        for first in range(0, rows, BATCH):
            count = min(BATCH, rows - first)
            times = self.at + np.arange(count, dtype=np.int64) * gap
            columns = (times, self._rows(count), self._codes[:count])
            batches = tuple(EventBatch(spec.key, "bench", *columns) for spec in self.specs)
            found.append(MicroBatch(batches, {PARTITION: int(times[-1])}))
            self.at += count * gap
        return found

    def _rows(self, count: int) -> NDArray[np.float64]:
        first = self._next if self._next + count <= BATCH else 0
        self._next = first + count
        return self._values[first : self._next]

    def run(self, arriving: Iterable[MicroBatch]) -> float:
        """Seconds that these take."""
        began = time.process_time()
        for one in arriving:
            facts = self.pipeline.ingest(one, 0)
            facts += self.pipeline.advance()
            self.telemetry.record(facts)
        return time.process_time() - began

    def close(self) -> float:
        """Seconds to close and judge what ends here."""
        return self.run([MicroBatch(seen={PARTITION: self.at})])

    def window(self) -> float:
        """Milliseconds to close and judge a window of each model, which is filled before."""
        self.run(self.batches(WINDOW_ROWS, MINUTE // WINDOW_ROWS))
        self.at = -(-self.at // MINUTE) * MINUTE
        return self.close() * 1e3


def board(specs: Sequence[SeriesSpec]) -> Board:
    """An empty board, as the daemon makes it."""
    found = {}
    for spec in specs:
        rules = {rule.name: rule.severity.value for rule in spec.judging.all_rules}
        about = spec.reference.hash, spec.reference.rows, rules, spec.windows.length, spec.judging.calibration
        found[spec.key] = SeriesBoard(*about)
    made = Board(found)
    made.expect([], [], [(spec.key, rule.name) for spec in specs for rule in spec.judging.all_rules])
    return made


class Reader(Bench):
    """The same from JSON messages of 600 bytes, decoded as the daemon does."""

    def __init__(self, home: Path, reference: Reference, length: Nanos, slide: Nanos | None = None) -> None:
        super().__init__(reference, 1, length, slide, "bench")
        self._decoder = own_decoder(home, "numeric")
        self._bodies = [one.split(b'"ts":', 1) for one in events(DIFFERENT)]

    def records(self, rows: int, gap: Nanos) -> list[TopicRecords]:
        """The next messages, `gap` apart; built before anything is measured."""
        found = []
        for first in range(0, rows, BATCH):
            place = first % DIFFERENT
            bodies = self._bodies[place : place + min(BATCH, rows - first)]
            times = ((self.at + number * gap) // MILLI for number in range(len(bodies)))
            values = [b'%b"ts":%d%b' % (head, at, rest[13:]) for at, (head, rest) in zip(times, bodies, strict=True)]
            found.append(TopicRecords(TOPIC, [0] * len(values), values))
            self.at += len(values) * gap
        return found

    def read(self, arriving: Iterable[TopicRecords]) -> float:
        """Seconds that these take."""
        began = time.process_time()
        for one in arriving:
            decoded = self._decoder.decode(one, time.time_ns())
            facts = [*decoded.facts, *self.pipeline.ingest(MicroBatch(tuple(decoded.batches), decoded.seen), 0)]
            facts += self.pipeline.advance()
            self.telemetry.record(facts)
        return time.process_time() - began


def closings(features: int, models: int, rounds: int) -> Figures:
    """Milliseconds to close and judge one window of each model, without charts and with them in turn; the first are cold."""
    reference = fitted(features, MINUTE)
    plain, charted = (Bench(reference, models, MINUTE, charts=charts) for charts in (False, True))
    pairs = [(plain.window(), charted.window()) for _ in range(rounds + 2)][2:]
    without, having = zip(*pairs, strict=True)
    return {"plain": spread(without), "other": spread(having), "ratio": ratio(having, without), "unit": "ms"}


def steps(features: int, rounds: int) -> list[float]:
    """Milliseconds of a step of the charts: a sealed pane merged to their cells, weighed, added to the sums."""
    reference = fitted(features, MINUTE)
    charts, panes = Charts(reference, BudgetSpec(pane_ns=MINUTE)), tallies(reference)
    found, at = [], BEGIN
    for _ in range(rounds + 1):
        began = time.process_time()
        for pane in range(STEPS):
            charts.update(panes[pane % len(panes)], at, at + MINUTE)
            at += MINUTE
        found.append((time.process_time() - began) / STEPS * 1e3)
    return found[1:]


def tallies(reference: Reference) -> list[Tally]:
    """Windows of usual rows, counted."""
    rows = normal(len(reference.names))
    found = []
    for first in range(0, BATCH, WINDOW_ROWS):
        sketch = Sketch.empty(reference.layout)
        sketch.update(rows[first : first + WINDOW_ROWS], np.zeros((WINDOW_ROWS, 0), dtype=np.int32))
        found.append(sketch.tally())
    return found


def per_event(bench: Bench, rows: int, gap: Nanos) -> float:
    """Microseconds an event, windows closing as they do."""
    seconds = bench.read(bench.records(rows, gap)) if isinstance(bench, Reader) else bench.run(bench.batches(rows, gap))
    return seconds / rows * 1e6


def beside(plain: Bench, other: Bench, rows: int, gaps: tuple[Nanos, Nanos], rounds: int) -> Figures:
    """Two ways in turn: microseconds an event of each, and the ratio. Both run warm first."""
    for bench, gap in ((plain, gaps[0]), (other, gaps[1])):
        per_event(bench, rows, gap)
    pairs = [(per_event(plain, rows, gaps[0]), per_event(other, rows, gaps[1])) for _ in range(rounds)]
    ours, theirs = zip(*pairs, strict=True)
    return {"plain": spread(ours), "other": spread(theirs), "ratio": ratio(theirs, ours), "unit": "µs an event"}


def sliding(rows_a_window: int, rounds: int) -> Figures:
    """A slide of 1/60 beside a tumbling window of as many rows."""
    reference, gap = fitted(20, HOUR), HOUR // rows_a_window
    return beside(Bench(reference, 1, HOUR), Bench(reference, 1, HOUR, MINUTE), 2 * rows_a_window, (gap, gap), rounds)


def sliding_read(rows_a_window: int, rounds: int) -> Figures:
    """The same with the decoding, over twenty thousand rows or three slides, after a window of a few rows."""
    reference, gap = calibrated(columns(), HOUR), HOUR // rows_a_window
    with tempfile.TemporaryDirectory() as directory:
        readers = [Reader(Path(directory), reference, HOUR, slide) for slide in (None, MINUTE)]
    for one in readers:
        one.read(one.records(480, 15 * SECOND))
    return beside(*readers, max(20_000, rows_a_window // 20), (gap, gap), rounds)


def longer(length: Nanos, slides: int, rounds: int) -> Figures:
    """A window of `length` beside one of a minute: as many rows in each, as many slides."""
    rows = 20_000
    short, long = (Bench(fitted(20, one), 1, one, one // slides) for one in (MINUTE, length))
    return beside(short, long, 2 * rows, (MINUTE // rows, length // rows), rounds)


def more_panes(panes: int, rounds: int) -> Figures:
    """A window of many panes beside one of twelve, both sliding by a minute: as many rows a minute, as many closings."""
    gap = MINUTE // 1_000
    twelve, many = (Bench(fitted(20, one * MINUTE), 1, one * MINUTE, MINUTE) for one in (12, panes))
    for bench in (twelve, many):
        bench.run(bench.batches(panes * 1_000, gap))
    return beside(twelve, many, 10_000, (gap, gap), rounds)


def history(rounds: int) -> Figures:
    """Thirty days of hourly windows behind it beside one hour: the same traffic."""
    reference, gap = fitted(20, HOUR), HOUR // 10_000
    young, old = Bench(reference, 1, HOUR), Bench(reference, 1, HOUR)
    for _ in range(30):
        old.run(old.batches(24 * 10_000, gap))
    return beside(young, old, 20_000, (gap, gap), rounds)


def waiting(models: int, rounds: int) -> Figures:
    """A micro-batch of one model among many that cannot close, beside the same alone; microseconds a turn of 10 rows."""
    reference = fitted(20, HOUR)
    alone, many = Bench(reference, 1, HOUR), Bench(reference, models, HOUR)
    many.specs = many.specs[:1]
    return beside(alone, many, 10, (SECOND, SECOND), rounds)


def measured(rounds: int) -> Figures:
    """All of it."""
    wide, many = closings(500, 1, 3 * rounds), closings(20, 1_000, 3)
    return {
        "500 features, ms a window": wide["other"],
        "1000 models × 20, ms in all": many["other"],
        "500 features, with charts ÷ without": wide,
        "1000 models × 20, with charts ÷ without": many,
        "charts, 20 features, µs a step": spread([one * 1e3 for one in steps(20, 3 * rounds)]),
        "charts, 500 features, ms a step": spread(steps(500, 3 * rounds)),
        "slide 1/60, 10 000 rows a window": sliding(10_000, rounds),
        "slide 1/60, 100 000 rows a window": sliding(100_000, max(3, rounds // 3)),
        "slide 1/60, 1 000 000 rows a window": sliding(1_000_000, 1),
        "same with decoding, 10 000 rows": sliding_read(10_000, rounds),
        "same with decoding, 100 000 rows": sliding_read(100_000, rounds),
        "same with decoding, 1 000 000 rows": sliding_read(1_000_000, rounds),
        "window of 24 h beside 1 min, 12 slides": longer(24 * HOUR, 12, rounds),
        "window of 1440 panes beside 12": more_panes(1_440, rounds),
        "history of 30 d beside 1 h": history(rounds),
        "a turn among 1000 models beside 1": waiting(1_000, 20 * rounds),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args()
    configure_logging("error", "json")
    calm_collector()
    found = measured(options.rounds)
    print("\nwindows: median (lowest to highest)")
    for name, figures in found.items():
        if "ratio" in figures:
            plain, other = (figures[one]["median"] for one in ("plain", "other"))
            print(f"  {name:<42} {said(figures['ratio'], 2)} ×, {plain:.2f} and {other:.2f} {figures['unit']}")
        else:
            print(f"  {name:<42} {said(figures, 2)}")
    if options.json:
        options.json.write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
