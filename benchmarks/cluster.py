"""Fifty replicas that fold and eight judges in one process, without a broker: processor time by role, bytes between them, queues, and what breaks first.

Every role has one virtual core: in a step of the flush interval it may use as much processor time as the step is long. What a folder does not come to is
lag, what a judge does not come to is its queue. What is measured is `monitor.replicas`: counts, records, merging and judging are real. What it costs to read
and decode an event is measured once, before, and charged to the folder. Not there: the group, the client's threads and the brokers.
"""

import random
import sys
import time
from argparse import Namespace
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np

from benchmarks.decode import reading
from benchmarks.deltas import batch_of
from benchmarks.measure import Figures, options, write
from benchmarks.traffic import BEGIN_MS, MILLI, calibrated, events
from detectors import Reference
from detectors.charts import BudgetSpec
from monitor.alerting.retraining import RetrainPolicy
from monitor.pipeline import Pipeline
from monitor.replicas.cells import CELL_LENGTH, SourceLog, ViewPlace, judge_of, places_of, plan_of
from monitor.replicas.folding import CellFolder, SentRecord, SourceRead
from monitor.replicas.owner import ReplicaOwner
from monitor.replicas.wire import PREFIX
from monitor.series.judging import Judging
from monitor.series.series import SeriesSpec
from monitor.series.view import ViewSpec
from monitor.stream.events import SECOND, EventBatch, Nanos, SeriesKey
from monitor.stream.windows import WindowSpec

MINUTE = 60 * SECOND
BEGIN = BEGIN_MS * MILLI // MINUTE * MINUTE
POOL = 20_000  # rows, of which events are slices
POLL = 10_000  # events at most that a folder reads of a partition at once
DECODED = 20_000  # events by which decoding is measured
KIND_AT = 5  # where a record says what it is
BEHIND = 1  # step of work that waits at the end, and more than halfway: broken
Places = Mapping[ViewPlace, ViewSpec[Any]]


@dataclass(frozen=True, slots=True)
class Load:
    """What comes, and who takes it. `rate` in events a second over all partitions, `flush` in seconds, `spread` in partitions a model lies in."""

    rate: int
    folders: int
    judges: int
    partitions: int
    models: int
    features: int
    skew: float
    spread: int
    flush: float
    cell: int
    seconds: int

    @property
    def period(self) -> int:
        """Nanoseconds of event time from one event of a partition to the next."""
        return SECOND * self.partitions // self.rate


@dataclass(slots=True)
class Spent:
    """Processor time of one role, and what waits for it after each step."""

    seconds: float = 0.0
    most: float = 0.0  # in one step
    owed: float = 0.0  # what was begun in time and ended too late: it is taken off the next step
    waiting: list[int] = field(default_factory=list)

    def step(self, seconds: float, budget: float, waiting: int) -> None:
        """One step is over."""
        self.owed = max(0.0, self.owed + seconds - budget)
        self.seconds += seconds
        self.most = max(self.most, seconds)
        self.waiting.append(waiting)

    def behind(self, a_step: float) -> bool:
        """Whether what waits at the end is more than a step brings, and more than halfway."""
        return self.waiting[-1] > max(BEHIND * a_step, self.waiting[len(self.waiting) // 2])


class World:
    """Models of one reference, and logs with their events."""

    def __init__(self, load: Load) -> None:
        self.load = load
        names = [f"feature_{at:03d}" for at in range(load.features)]
        chance = np.random.default_rng(1)
        self.reference = calibrated({name: chance.normal(size=50_000) for name in names}, MINUTE)
        self.specs = specs_of(self.reference, load.models, WindowSpec(MINUTE, MINUTE, 0))
        self.places = places_of(self.specs)
        self.plan = plan_of(self.specs, judges=load.judges, length=load.cell)
        self.logs = [SourceLog("bench", "topic-1", index) for index in range(load.partitions)]
        self.numeric = chance.normal(size=(POOL, load.features))
        self.codes = np.zeros((POOL, 0), dtype=np.int32)
        self.chance = chance
        self.shares = {log: self._shares(log.index) for log in self.logs}

    def _shares(self, index: int) -> "np.ndarray[Any, np.dtype[np.float64]]":
        """What share of a partition's events each model has: the first has `skew` of them, the others what is left, where they lie."""
        load = self.load
        spread = min(load.spread, load.partitions)
        found = np.array([(index - 7 * model) % load.partitions < spread for model in range(load.models)], dtype=float)
        found[0] = 0.0
        rest = 1 - load.skew if found.any() else 0.0
        found *= rest / max(found.sum(), 1.0)
        found[0] = 1 - rest
        return found

    def read(self, log: SourceLog, first: int, count: int) -> SourceRead:
        """The events of a log from an offset on."""
        period, batches, at = self.load.period, list[EventBatch](), 0
        drawn = self.chance.multinomial(count, self.shares[log])
        times = BEGIN + np.arange(first, first + count) * period
        for model in np.flatnonzero(drawn).tolist():
            rows, begin = int(drawn[model]), int(self.chance.integers(POOL - POLL))
            key, ours = self.specs[model].key, slice(begin, begin + rows)
            batches.append(EventBatch(key, "bench", times[at : at + rows], self.numeric[ours], self.codes[ours]))
            at += rows
        return SourceRead(first, first + count, tuple(batches), int(times[-1]))


def specs_of(reference: Reference, models: int, windows: WindowSpec) -> list[SeriesSpec]:
    """Models that share a reference, each under a budget of false alarms, as a configuration has it without more."""
    judging = Judging(reference, windows.length, plan=BudgetSpec(pane_ns=windows.slide))
    return [
        SeriesSpec(SeriesKey(f"model-{at:05d}", "1"), windows, judging, RetrainPolicy(0, 1)) for at in range(models)
    ]


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """What it gives, and the processor time it took."""
    began = time.thread_time()
    found = work()
    return found, time.thread_time() - began


class FoldingReplica:
    """One replica that folds some partitions."""

    def __init__(self, world: World, logs: Sequence[SourceLog], decoding: float) -> None:
        self.world = world
        self.cells = {log: CellFolder(log, 0, world.plan, world.places) for log in logs}
        self.arrived = dict.fromkeys(logs, 0)
        self.decoding = decoding
        self.spent = Spent()
        self.folding = self.sending = 0.0
        self.events = 0
        self.turn = deque(logs)

    @property
    def lag(self) -> int:
        """Events that are not read yet."""
        return sum(self.arrived[log] - cells.position for log, cells in self.cells.items())

    def step(self, until: int, budget: float, now: Nanos) -> list[SentRecord]:
        """Read what has come until the time is up, then send."""
        sent, used, moved = list[SentRecord](), 0.0, list[SourceLog]()
        left = budget - self.spent.owed
        for _ in range(len(self.turn) if left > 0 else 0):
            log = self.turn[0]
            used += self._read(log, until, left - used, now, sent)
            moved.append(log)
            self.turn.rotate(-1)
            if used >= left:
                break
        for log in self.cells:
            self.arrived[log] = until
        for log in moved:
            records, seconds = timed(partial(self.cells[log].flush, now))
            sent += records
            used += seconds
            self.sending += seconds
        self.spent.step(used, budget, self.lag)
        return sent

    def _read(self, log: SourceLog, until: int, budget: float, now: Nanos, sent: list[SentRecord]) -> float:
        cells, used = self.cells[log], 0.0
        while cells.position < until and used < budget:
            count = min(until, cells.end, cells.position + POLL) - cells.position
            read = self.world.read(log, cells.position, count)
            records, seconds = timed(partial(cells.read, read, now))
            sent += records
            self.folding += seconds
            self.events += count
            used += seconds + count * self.decoding
        return used


class JudgingReplica:
    """One judge partition, its queue, and what it took."""

    def __init__(self, world: World, judge: int) -> None:
        specs = [spec for spec in world.specs if judge_of(spec.key.model, world.plan.judges) == judge]
        self.models = len(specs)
        self.owner = ReplicaOwner(Pipeline(specs, MINUTE), world.plan, world.places, judge)
        self.owner.assign(dict.fromkeys(world.logs, 0), 0)
        self.queue = deque[bytes]()
        self.spent = Spent()
        self.prefixes = self.records = self.windows = 0
        self.by_kind = {True: 0.0, False: 0.0}  # seconds of prefixes, and of progress

    def step(self, budget: float) -> None:
        """Take what waits until the time is up."""
        used, left = 0.0, budget - self.spent.owed
        while self.queue and used < left:
            value = self.queue.popleft()
            heard, seconds = timed(partial(self.owner.hear, value))
            assert not heard.told, heard.told
            used += seconds
            prefix = value[KIND_AT] == PREFIX
            self.records += 1
            self.prefixes += prefix
            self.by_kind[prefix] += seconds
        self.spent.step(used, budget, len(self.queue))


class Simulation:
    """All roles over some seconds."""

    def __init__(self, load: Load, decoding: float) -> None:
        self.load = load
        self.world = World(load)
        self.folders = [
            FoldingReplica(self.world, self.world.logs[at :: load.folders], decoding) for at in range(load.folders)
        ]
        self.judges = [JudgingReplica(self.world, judge) for judge in range(load.judges)]
        self.raw = self.packed = 0
        self.order = random.Random(1)

    def run(self) -> Figures:
        """Step by step; then what is left is taken without a bound, and everything must have come."""
        load, steps = self.load, round(self.load.seconds / self.load.flush)
        for step in range(1, steps + 1):
            until = int(step * load.flush * SECOND) // load.period
            for folder in self.order.sample(self.folders, len(self.folders)):
                self.send(folder.step(until, load.flush, BEGIN + int(step * load.flush * SECOND)))
            for judge in self.judges:
                judge.step(load.flush)
        figures = self.figures(steps)
        self.check()
        return figures

    def send(self, sent: Sequence[SentRecord]) -> None:
        """To the judges, a batch a judge."""
        of = dict[int, list[SentRecord]]()
        for record in sent:
            of.setdefault(record.judge, []).append(record)
            self.judges[record.judge].queue.append(record.value)
            self.raw += len(record.key) + len(record.value)
        self.packed += sum(batch_of(records) for records in of.values())

    def check(self) -> None:
        """What was folded has been taken, of each log by each judge: else nothing above is true."""
        for judge in self.judges:
            while judge.queue:
                assert not judge.owner.hear(judge.queue.popleft()).told
            for folder in self.folders:
                for log, cells in folder.cells.items():
                    assert judge.owner.logs[log].taken == cells.position, (log, judge.owner.logs[log].taken)

    def figures(self, steps: int) -> Figures:
        """By role; seconds of processor time a second."""
        load, events_read = self.load, sum(folder.events for folder in self.folders)
        a_step = load.rate * load.flush / load.folders
        seconds = steps * load.flush
        return {
            "read": events_read,
            "of": int(load.rate * seconds),
            "folders": {
                "cores": summary([folder.spent.seconds / seconds for folder in self.folders]),
                "worst step": max(folder.spent.most for folder in self.folders) / load.flush,
                "decoding": self.folders[0].decoding * 1e6,
                "folding": 1e6 * sum(folder.folding for folder in self.folders) / events_read,
                "sending": 1e6 * sum(folder.sending for folder in self.folders) / events_read,
                "lag": sum(folder.lag for folder in self.folders),
                "broken": sum(folder.spent.behind(a_step) for folder in self.folders),
            },
            "judges": [self.judge(judge, steps) for judge in self.judges],
            "bytes": {
                "raw": self.raw / seconds,
                "sent": self.packed / seconds,
                "a prefix": self.packed / max(1, sum(judge.prefixes + self.waiting(judge) for judge in self.judges)),
            },
        }

    @staticmethod
    def waiting(judge: JudgingReplica) -> int:
        """Prefixes in a judge's queue."""
        return sum(value[KIND_AT] == PREFIX for value in judge.queue)

    def judge(self, judge: JudgingReplica, steps: int) -> Figures:
        """One judge."""
        seconds = steps * self.load.flush
        return {
            "models": judge.models,
            "cores": judge.spent.seconds / seconds,
            "worst step": judge.spent.most / self.load.flush,
            "prefixes": judge.prefixes / seconds,
            "us a prefix": 1e6 * judge.by_kind[True] / max(1, judge.prefixes),
            "us a progress": 1e6 * judge.by_kind[False] / max(1, judge.records - judge.prefixes),
            "queue": judge.spent.waiting[-1],
            "longest queue": max(judge.spent.waiting),
            "broken": judge.spent.behind(judge.records / steps),
        }


def summary(values: Sequence[float]) -> Figures:
    """Median, lowest, highest."""
    return {"median": median(values), "low": min(values), "high": max(values)}


def decoding() -> float:
    """Seconds of processor time an event of JSON with 20 features takes to be decoded, the median of five rounds."""
    with TemporaryDirectory() as home:
        work = reading(Path(home), events(DECODED), "numeric")
        return median([timed(work)[1] / DECODED for _ in range(5)])


def loads(given: Namespace) -> Iterator[Load]:
    """One after the other: each twice the rate of the one before, until one is broken or the rounds are over."""
    for doubling in range(given.doublings + 1):
        yield Load(
            given.rate << doubling,
            given.folders,
            given.judges,
            given.partitions,
            given.models,
            given.features,
            given.skew,
            given.spread or given.partitions,
            given.flush,
            given.cell,
            given.seconds,
        )


def first_to_break(found: Figures) -> str:
    """Which role waits, or would first if everything grew alike."""
    folders, judges = found["folders"], found["judges"]
    broken = [f"{folders['broken']} folders"] if folders["broken"] else []
    broken += [f"judge {at}" for at, judge in enumerate(judges) if judge["broken"]]
    if broken:
        return f"broken: {', '.join(broken)} fall behind"
    names = {"the busiest folder": folders["cores"]["high"]}
    names |= {f"judge {at}": judge["cores"] for at, judge in enumerate(judges)}
    busiest = max(names, key=lambda name: names[name])
    return f"nobody falls behind; {busiest} is the nearest to it, at {names[busiest]:.2f} of a core"


def report(load: Load, found: Figures) -> None:
    """For people."""
    folders, sent = found["folders"], found["bytes"]
    print(
        f"\n{load.rate:,} events/s, {load.partitions} partitions, {load.models} models × {load.features} features, the first has {load.skew:.0%}, "
        f"the others lie in {load.spread} partitions each; flush {load.flush:g} s, cells of {load.cell:,}; {load.seconds} s"
    )
    cores = folders["cores"]
    print(
        f"  {load.folders} folders: {cores['median']:.3f} of a core ({cores['low']:.3f} to {cores['high']:.3f}), worst step {folders['worst step']:.2f}; "
        f"an event {folders['decoding']:.2f} µs decoding, {folders['folding']:.2f} folding, {folders['sending']:.2f} sending; lag {folders['lag']:,} events"
    )
    for at, judge in enumerate(found["judges"]):
        print(
            f"  judge {at}: {judge['models']} models, {judge['cores']:.3f} of a core, worst step {judge['worst step']:.2f}, {judge['prefixes']:,.0f} prefixes/s "
            f"at {judge['us a prefix']:.0f} µs, progress {judge['us a progress']:.0f} µs; queue {judge['queue']:,}, at most {judge['longest queue']:,}"
        )
    size = load.rate * EVENT_BYTES * load.features / 20
    print(
        f"  internal topic: {sent['sent'] / 1e6:.2f} MB/s as sent ({sent['raw'] / 1e6:.2f} raw), {sent['sent'] / size:.2%} of the events' bytes, {sent['a prefix']:,.0f} bytes a prefix"
    )
    print(f"  {first_to_break(found)}", flush=True)


EVENT_BYTES = 592  # with 20 features; taken to grow with their number


def main() -> None:
    """Simulate, at one rate or at doubled ones."""
    parser = options(__doc__)
    for name, usual in {
        "rate": 200_000,
        "folders": 50,
        "judges": 8,
        "partitions": 100,
        "models": 40,
        "features": 20,
        "spread": 0,
        "cell": CELL_LENGTH,
        "seconds": 62,
        "doublings": 0,
    }.items():
        parser.add_argument(f"--{name}", type=int, default=usual)
    parser.add_argument("--skew", type=float, default=0.95)
    parser.add_argument("--flush", type=float, default=1.0)
    given = parser.parse_args()
    if given.quick:
        given.rate, given.seconds, given.folders, given.partitions, given.judges, given.models = 20_000, 3, 5, 10, 2, 4
    cost, figures = decoding(), dict[str, Any]()
    for load in loads(given):
        found = Simulation(load, cost).run()
        report(load, found)
        figures[str(load.rate)] = found
        if first_to_break(found).startswith("broken"):
            break
    write(given.json, figures)


if __name__ == "__main__":
    main()
