"""What replicas send: bytes a prefix beside the bytes of its events, what sending adds to folding, and prefixes an owner takes a second.

Events are those of the other benchmarks, 20 features and about 592 bytes of JSON each. Times are processor time of one process, in turn, round by round.
"""

import sys
import time
import zlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np

from benchmarks.measure import Figures, options, ratio, said, spread, write
from benchmarks.traffic import BEGIN_MS, MILLI, columns, events
from detectors import Reference
from monitor.alerting.retraining import RetrainPolicy
from monitor.pipeline import Pipeline
from monitor.replicas.cells import SourceLog, places_of, plan_of
from monitor.replicas.folding import CellFolder, SentRecord, SourceRead
from monitor.replicas.owner import ReplicaOwner
from monitor.replicas.wire import CellPrefix, read
from monitor.series.judging import Judging
from monitor.series.series import SeriesSpec
from monitor.stream.delta import Folder
from monitor.stream.events import FEATURES, SECOND, EventBatch, SeriesKey
from monitor.stream.windows import WindowSpec

MINUTE = 60 * SECOND
BEGIN = BEGIN_MS * MILLI // MINUTE * MINUTE
ROUNDS, QUICK_ROUNDS = 9, 2
SIZES = (10_000, 5_000, 1_000, 100, 10)  # rows a flush
MODELS = 20
POLL = 1_000  # rows
COMPRESSIONS = {
    "deflate 1": lambda data: len(zlib.compress(data, 1)),
    "deflate 6": lambda data: len(zlib.compress(data, 6)),
}


def main() -> None:
    """Measure everything."""
    given = options(__doc__).parse_args()
    rounds = QUICK_ROUNDS if given.quick else ROUNDS
    bench = Bench()
    figures: Figures = {
        "event": len(b"".join(events(1_000))) / 1_000,
        "sizes": {rows: bench.sizes(rows) for rows in SIZES},
        "folding": bench.folding(rounds),
        "owner": {
            f"{rows:,} rows a prefix, {many} a window": bench.owner(rows, many, rounds)
            for rows, many in ((10_000, 48), (10_000, 12), (100, 48), (100, 12))
        },
    }
    report(figures)
    write(given.json, figures)


class Bench:
    """Twenty models of one reference, one of which the sizes are of; panes of a minute."""

    def __init__(self) -> None:
        self.reference = Reference.fit(columns())
        windows = WindowSpec(MINUTE, MINUTE, 0)
        keys = [SeriesKey(f"bench-{number:02d}", "1") for number in range(MODELS)]
        judging = Judging(self.reference, MINUTE)
        self.specs = [SeriesSpec(key, windows, judging, RetrainPolicy(0, 1)) for key in keys]
        self.places = places_of(self.specs)
        self.plan = plan_of(self.specs)
        self.log = SourceLog("bench", "topic-1", 0)
        self.chance = np.random.default_rng(2)

    def batch(self, key: SeriesKey, rows: int, begin: int, span: int) -> EventBatch:
        """Rows of one series, spread over a time."""
        found = self.chance.normal(size=(rows, 20))
        numeric, codes = self.reference.encode(dict(zip(self.reference.layout.names, found.T, strict=True)))
        return EventBatch(key, "bench", begin + np.arange(rows) * span // rows, numeric, codes)

    def reads(self, first: int, rows: int, series: int = 1, span: int = MINUTE) -> list[SourceRead]:
        """Polls of so many rows of each of some series, from an offset on."""
        found, polls = list[SourceRead](), max(1, rows // POLL)
        for poll in range(polls):
            begin = BEGIN + span * poll // polls
            batches = [self.batch(spec.key, rows // polls, begin, span // polls) for spec in self.specs[:series]]
            end = first + series * (rows // polls)
            found.append(SourceRead(first, end, tuple(batches), int(batches[0].event_times[-1])))
            first = end
        return found

    def sent(self, reads: Sequence[SourceRead]) -> list[SentRecord]:
        """What is sent of them, at the end."""
        folder = CellFolder(self.log, reads[0].first, self.plan, self.places)
        found = [each for one in reads for each in folder.read(one, 0)]
        return found or folder.flush(0)

    def sizes(self, rows: int) -> Figures:
        """Bytes of a prefix of one pane and of two, with its progress, beside the bytes of the events; by compression without their frame."""
        event = len(b"".join(events(1_000))) / 1_000
        found: Figures = {}
        for name, span in (("one pane", MINUTE // 2), ("two panes", 2 * MINUTE)):
            records = self.sent(self.reads(0, rows, span=span))
            [prefix] = [each for one in records if isinstance(each := read(one.value, self.plan.config), CellPrefix)]
            counts = b"".join(pane.counts for pane in prefix.panes.values())
            found[name] = {
                "bytes": sum(len(each.value) + len(each.key) for each in records),
                "sent": batch_of(records),
                "counts": len(counts),
                "share": batch_of(records) / (rows * event),
                "compressed": {how: size(counts) for how, size in COMPRESSIONS.items()} | {"zstd": zstd(counts)},
            }
        # A cell of 10 000 records that is sent each time so many have come: all of its prefixes together.
        folder, total = CellFolder(self.log, 0, self.plan, self.places), 0
        for each in self.steps(rows):
            records = folder.read(each, 0) or folder.flush(0)
            total += batch_of(records)
        found["cell"] = {"bytes": total, "share": total / (10_000 * event)}
        return found

    def steps(self, rows: int) -> list[SourceRead]:
        """A cell in steps of so many rows, at one pace, over a minute."""
        count = 10_000 // rows
        key = self.specs[0].key
        found = []
        for step in range(count):
            batch = self.batch(key, rows, BEGIN + MINUTE * step // count, MINUTE // count)
            found.append(SourceRead(step * rows, (step + 1) * rows, (batch,), int(batch.event_times[-1])))
        return found

    def folding(self, rounds: int) -> Figures:
        """Nanoseconds of processor time an event: folded into panes as one process does, and folded and sent once a cell, or five times."""
        reads = self.reads(0, 10_000)
        works: dict[str, Callable[[], object]] = {
            "folded": partial(self.fold, reads),
            "sent once": partial(self.fold_and_send, reads, len(reads)),
            "sent five times": partial(self.fold_and_send, reads, 2),
        }
        spent: dict[str, list[float]] = {name: [] for name in works}
        for _ in range(rounds):
            for name, work in works.items():
                spent[name].append(seconds(work, 5) / 10_000 * 1e9)
        return {
            "ns an event": {name: spread(each) for name, each in spent.items()},
            "of folded": {name: ratio(each, spent["folded"]) for name, each in spent.items() if name != "folded"},
        }

    def fold(self, reads: Sequence[SourceRead]) -> None:
        """Fold into panes, as one process does."""
        folder = Folder({(spec.key, FEATURES): MINUTE for spec in self.specs})
        sketches, panes = next(iter(self.places.values())).sketches, dict[int, Any]()
        for delta in (delta for each in reads for batch in each.batches for delta in folder.fold(batch)):
            for start, part in delta.panes.items():
                part.add_to(panes.setdefault(start, sketches.empty()))

    def fold_and_send(self, reads: Sequence[SourceRead], every: int) -> None:
        """Fold, and send after so many polls and at the end of the cell."""
        cells = CellFolder(self.log, 0, self.plan, self.places)
        for number, each in enumerate(reads, start=1):
            if not cells.read(each, 0) and number % every == 0:
                cells.flush(0)

    def owner(self, rows: int, cells_a_minute: int, rounds: int) -> Figures:
        """Prefixes that an owner of twenty models takes a second of processor time, each the last of its cell; windows of a minute are judged."""
        plan = plan_of(self.specs, length=rows * MODELS)
        folder, first = CellFolder(self.log, 0, plan, self.places), 0
        cells, step = list[list[bytes]](), MINUTE // cells_a_minute
        for number in range(max(12, cells_a_minute + 2)):
            batches = [self.batch(spec.key, rows, BEGIN + number * step, step) for spec in self.specs]
            whole = SourceRead(first, first + rows * MODELS, tuple(batches), int(batches[0].event_times[-1]))
            cells.append([each.value for each in folder.read(whole, 0)])
            first = whole.end
        rates = []
        for _ in range(rounds):
            owner = ReplicaOwner(Pipeline(self.specs, MINUTE), plan, self.places)
            owner.assign({self.log: 0}, 0)
            began = time.process_time()
            for value in (value for cell in cells for value in cell):
                assert not owner.hear(value).told
            rates.append(len(cells) * MODELS / (time.process_time() - began))
            assert owner.logs[self.log].taken == first
        return spread(rates)


def batch_of(records: Sequence[SentRecord]) -> int:
    """Bytes of the records as one batch that the client compresses by zstd: a flush of one folder for one judge partition."""
    return zstd(b"".join(each.key + each.value for each in records))


def zstd(data: bytes) -> int:
    """Its bytes as zstd."""
    import pyarrow as pa

    return len(pa.compress(data, codec="zstd", asbytes=True))


def seconds(work: Callable[[], object], times: int) -> float:
    began = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - began) / times


def report(figures: Figures) -> None:
    print(f"\ndeltas: {figures['event']:.0f} bytes an event, 20 features")
    for rows, sizes in figures["sizes"].items():
        print(f"  {rows:,} rows a flush")
        for name in ("one pane", "two panes"):
            found = sizes[name]
            packed = ", ".join(f"{how} {size:,}" for how, size in found["compressed"].items())
            print(
                f"    {name}: {found['bytes']:,} bytes, {found['sent']:,} as sent, {found['share']:.2%} of the events; counts {found['counts']:,}: {packed}"
            )
        print(f"    a cell of 10,000 so: {sizes['cell']['bytes']:,} bytes, {sizes['cell']['share']:.2%} of the events")
    for name, nanos in figures["folding"]["ns an event"].items():
        beside = figures["folding"]["of folded"].get(name)
        print(f"  {name}: {said(nanos)} ns an event{f', {said(beside, 2)} of folded' if beside else ''}")
    for name, found in figures["owner"].items():
        print(f"  an owner, {name}: {said(found)} prefixes a second of processor time")


if __name__ == "__main__":
    main()
