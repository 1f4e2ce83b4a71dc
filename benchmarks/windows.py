"""What closing and judging windows costs: wide models, many models, sliding windows, long windows, long histories.

Everything between decoded columns and the board (`Pipeline.ingest`, `advance`, `Telemetry.record`), in this process,
with KS, PSI, χ², ADWIN, missing, unseen and volume on each feature and two rules. What is compared is interleaved.
Sliding windows are measured with the decoding of JSON too: what a user pays but for Kafka's client.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np

from benchmarks.contenders import own_decoder
from benchmarks.measure import Figures, ratio, said, spread
from benchmarks.traffic import TOPIC, columns, events
from detectors import Reference
from monitor.alerting.judge import Judging
from monitor.alerting.retraining import RetrainPolicy
from monitor.alerting.rules import AlertRule
from monitor.pipeline import Pipeline
from monitor.runtime.board import Board, SeriesBoard
from monitor.runtime.loop import calm_collector
from monitor.runtime.telemetry import Telemetry, configure_logging
from monitor.series import SeriesSpec
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


def fitted(features: int, rows: int = 20_000, seed: int = 0) -> Reference:
    """A reference of so many normal features."""
    rng = np.random.default_rng(seed)
    return Reference.fit({f"feature_{at:03d}": rng.normal(size=rows) for at in range(features)})


class Bench:
    """A pipeline with its telemetry, fed rows of normal values that run evenly through event time."""

    def __init__(
        self, reference: Reference, models: int, length: Nanos, slide: Nanos | None = None, name: str = "model-{}"
    ) -> None:
        judging = Judging(reference, length, RULES)
        self.specs = [
            SeriesSpec(
                SeriesKey(name.format(at), "1"), WindowSpec(length, slide or length, 0), judging, RetrainPolicy(0, 1)
            )
            for at in range(models)
        ]
        self.pipeline = Pipeline(self.specs, HOUR)
        board = Board({spec.key: SeriesBoard(reference.hash, reference.rows) for spec in self.specs})
        self.telemetry = Telemetry(board, lambda: BEGIN)
        self.at = BEGIN
        self._values = np.random.default_rng(1).normal(size=(BATCH, len(reference.names)))
        self._codes = np.zeros((BATCH, 0), dtype=np.int32)
        self.pipeline.ingest(MicroBatch(assigned=frozenset({PARTITION})), 0)

    def batches(self, rows: int, gap: Nanos) -> list[MicroBatch]:
        """The next rows of every model, `gap` apart; built before anything is measured."""
        found = []
        for first in range(0, rows, BATCH):
            count = min(BATCH, rows - first)
            times = self.at + np.arange(count, dtype=np.int64) * gap
            columns = (times, self._values[:count], self._codes[:count])
            batches = tuple(EventBatch(spec.key, "bench", *columns) for spec in self.specs)
            found.append(MicroBatch(batches, {PARTITION: int(times[-1])}))
            self.at += count * gap
        return found

    def run(self, arriving: Iterable[MicroBatch]) -> float:
        """Seconds that these take."""
        began = time.process_time()
        for one in arriving:
            facts = self.pipeline.ingest(one, 0)
            facts += self.pipeline.advance(0)
            self.telemetry.record(facts)
        return time.process_time() - began

    def close(self) -> float:
        """Seconds to close and judge what ends here."""
        return self.run([MicroBatch(seen={PARTITION: self.at})])


class Reader(Bench):
    """The same from JSON messages of 600 bytes, decoded as the daemon does."""

    def __init__(self, home: Path, reference: Reference, length: Nanos, slide: Nanos | None = None) -> None:
        super().__init__(reference, 1, length, slide, "bench")
        self._decoder = own_decoder(home, "numeric")
        self._bodies = [one.split(b'"ts":', 1) for one in events(BATCH)]

    def records(self, rows: int, gap: Nanos) -> list[TopicRecords]:
        """The next messages, `gap` apart; built before anything is measured."""
        found = []
        for first in range(0, rows, BATCH):
            bodies = self._bodies[: rows - first]
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
            facts += self.pipeline.advance(0)
            self.telemetry.record(facts)
        return time.process_time() - began


def closings(features: int, models: int, rounds: int) -> list[float]:
    """Milliseconds to close and judge one window of each model, the first one, cold, apart."""
    bench = Bench(fitted(features), models, MINUTE)
    found = []
    for _ in range(rounds + 2):
        bench.run(bench.batches(1_000, MINUTE // 1_000))
        bench.at = -(-bench.at // MINUTE) * MINUTE
        found.append(bench.close() * 1e3)
    return found[2:]


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
    return {"plain": spread(ours), "other": spread(theirs), "ratio": ratio(theirs, ours)}


def sliding(rows_a_window: int, rounds: int) -> Figures:
    """A slide of 1/60 beside a tumbling window of as many rows."""
    reference, gap = fitted(20), HOUR // rows_a_window
    return beside(Bench(reference, 1, HOUR), Bench(reference, 1, HOUR, MINUTE), 2 * rows_a_window, (gap, gap), rounds)


def sliding_read(rows_a_window: int, rounds: int) -> Figures:
    """The same with the decoding, over twenty thousand rows or three slides, after a window of a few rows."""
    reference, gap = Reference.fit(columns()), HOUR // rows_a_window
    with tempfile.TemporaryDirectory() as directory:
        readers = [Reader(Path(directory), reference, HOUR, slide) for slide in (None, MINUTE)]
    for one in readers:
        one.read(one.records(480, 15 * SECOND))
    return beside(*readers, max(20_000, rows_a_window // 20), (gap, gap), rounds)


def longer(length: Nanos, slides: int, rounds: int) -> Figures:
    """A window of `length` beside one of a minute: as many rows in each, as many slides."""
    reference, rows = fitted(20), 20_000
    short = Bench(reference, 1, MINUTE, MINUTE // slides)
    return beside(
        short, Bench(reference, 1, length, length // slides), 2 * rows, (MINUTE // rows, length // rows), rounds
    )


def more_panes(panes: int, rounds: int) -> Figures:
    """A window of many panes beside one of twelve, both sliding by a minute: as many rows a minute, as many closings."""
    reference, gap = fitted(20), MINUTE // 1_000
    twelve = Bench(reference, 1, 12 * MINUTE, MINUTE)
    many = Bench(reference, 1, panes * MINUTE, MINUTE)
    for bench in (twelve, many):
        bench.run(bench.batches(panes * 4, 15 * SECOND))
        bench.at = -(-bench.at // MINUTE) * MINUTE
    return beside(twelve, many, 10_000, (gap, gap), rounds)


def history(rounds: int) -> Figures:
    """Thirty days of hourly windows behind it beside one hour: the same traffic."""
    reference, gap = fitted(20), HOUR // 10_000
    young, old = Bench(reference, 1, HOUR), Bench(reference, 1, HOUR)
    old.run(old.batches(30 * 24 * 10, HOUR // 10))
    return beside(young, old, 20_000, (gap, gap), rounds)


def waiting(models: int, rounds: int) -> Figures:
    """A micro-batch of one model among many that cannot close, beside the same alone; microseconds a turn of 10 rows."""
    reference = fitted(20)
    alone, many = Bench(reference, 1, HOUR), Bench(reference, models, HOUR)
    many.specs = many.specs[:1]
    return beside(alone, many, 10, (SECOND, SECOND), rounds)


def measured(rounds: int) -> Figures:
    """All of it."""
    wide, many = closings(500, 1, 3 * rounds), closings(20, 1_000, 3)
    return {
        "500 features, ms a window": spread(wide),
        "1000 models × 20, ms in all": spread(many),
        "1000 models × 20, ms a model": spread([one / 1_000 for one in many]),
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
            print(f"  {name:<42} {said(figures['ratio'], 2)} ×, {plain:.2f} and {other:.2f} µs an event")
        else:
            print(f"  {name:<42} {said(figures, 2)}")
    if options.json:
        options.json.write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
