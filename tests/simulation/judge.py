"""Decides of one simulation whether I1 to I6 hold: with the verifier's own invariants where there is one, from what was written, given, saved and heard."""

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.app import build_decoders, build_pipeline
from monitor.backtest.replay import slices
from monitor.configuration import Configuration
from monitor.series.traces import untraced
from monitor.sources.base import TopicRecords
from monitor.store import files
from monitor.store.outbox import AddressedNotice
from monitor.stream.events import MILLISECOND, SECOND, MicroBatch, OffsetRange, Partition
from monitor.targets.payloads import Sender, notices
from tests.simulation.broker import TOPIC, Written
from tests.simulation.process import Place, Witness
from tests.simulation.receivers import SimulatedReceiver
from tests.verifier import evidence
from tests.verifier.evidence import Left, Told
from tests.verifier.invariants import ModelView, Verifier
from tests.verifier.replay import Transition, nanos
from tests.verifier.truth import Sent, Truth

FAR = 10_000 * SECOND
PANE = 5 * SECOND  # of the shorter windows
P0 = Partition(TOPIC, 0)


class Known(dict[int, int]):
    """Positions, by what lies before them: of a log that was deleted in part, or made anew, no number tells it."""

    places: frozenset[Place] = frozenset()


class GivenSent(Sent):
    """What was sent to a series; partitions count on from one making of the topic to the next."""

    def read(self, positions: dict[int, int]) -> NDArray[np.bool_]:
        """Which of it a state has counted."""
        assert isinstance(positions, Known)
        known = {(partition, offset) for _, partition, offset in positions.places}
        pairs = zip(self.partition.tolist(), self.offset.tolist(), strict=True)
        return np.array([pair in known for pair in pairs], dtype=np.bool_)


class GivenTruth(Truth):
    """All that was given to the loop, in the end."""

    @cached_property
    def series(self) -> dict[tuple[str, str], Sent]:
        """What counts, by model and version."""
        found = super().series
        return {key: GivenSent(each.partition, each.offset, each.time, each.features) for key, each in found.items()}


def flat(places: Iterable[Place], partitions: int) -> frozenset[Place]:
    """Each making of the topic has partitions of its own."""
    return frozenset((0, epoch * partitions + partition, offset) for epoch, partition, offset in places)


@dataclass
class CountersTold(Told):
    """The counters of a process as it ended."""

    counters: dict[str, Counter[tuple[str, ...]]]
    labels: dict[str, tuple[str, ...]]

    def by(self, name: str, label: str) -> Counter[str]:
        """As the text of /metrics has them."""
        found: Counter[str] = Counter()
        for values, count in self.counters[name].items():
            if count:
                found[values[self.labels[name].index(label)]] += int(count)
        return found


def replayed(configuration: Configuration, counted: Sequence[Written]) -> dict[str, list[Transition]]:
    """What is to be said of these events, to each target: by the pure pipeline, once, in the order of event time, window by window."""
    pipeline, _ = build_pipeline(configuration)
    decoder = build_decoders(configuration)[TOPIC]
    values = sorted((each.value for each in counted), key=lambda value: json.loads(value)["ts"])
    if not values:
        return {target.name: [] for target in configuration.subscribers}
    end = json.loads(values[-1])["ts"] * MILLISECOND
    records = TopicRecords(TOPIC, [0] * len(values), values, (OffsetRange(P0, 0, len(values) - 1),))
    arrived = MicroBatch(tuple(decoder.decode(records, end).batches), {P0: end}, assigned=frozenset({P0}))
    sender, said = Sender("", ""), list[AddressedNotice]()
    for part in (*slices(arrived, PANE), MicroBatch(seen={P0: end + FAR})):
        pipeline.ingest(part, end)
        told = pipeline.told([untraced(fact) for fact in pipeline.advance()])
        said += notices(told, configuration.subscribers, sender)
    found: dict[str, list[Transition]] = {target.name: [] for target in configuration.subscribers}
    for each in said:
        for target in each.targets:
            found[target].append(transition(each.notice.type, json.loads(each.notice.data)))
    return found


def transition(kind: str, data: dict[str, Any]) -> Transition:
    """A notice, as the verifier names it."""
    alert = data["alert"]
    return Transition(
        nanos(data["window"]["end"]), kind, data["model"], data["model_version"], alert["rule"], nanos(alert["since"])
    )


def statuses(directory: Path, target: str) -> dict[str, str]:
    """How the deliveries to a target stand."""
    with closing(sqlite3.connect(directory / files.DATABASE)) as database:
        return dict(database.execute("SELECT id, status FROM delivery WHERE target = ?", (target,)).fetchall())


def views(configuration: Configuration) -> dict[tuple[str, str], ModelView]:
    """How each series is counted."""
    return {
        (spec.key.model, spec.key.version): ModelView(spec.reference.layout, spec.windows.length)
        for spec in configuration.specs
    }


@dataclass
class Judge:
    """Judges what one simulation has left."""

    written: list[Written]
    partitions: int
    configuration: Configuration
    seen: Witness
    lossy: bool

    def __post_init__(self) -> None:
        given = self.seen.saved
        counted = [each for each in self.written if (each.epoch, each.partition, each.offset) in given]
        records = [
            (each.epoch * self.partitions + each.partition, each.offset, each.reason, each.value.decode("latin-1"))
            for each in counted
        ]
        self.counted = counted
        self.truth = GivenTruth(TOPIC, self.partitions, 0, records)
        self.expected = replayed(self.configuration, [each for each in counted if not each.reason])
        self.verifier = Verifier(self.truth, views(self.configuration), [])
        self.verdict = self.verifier.verdict

    def state(self, directory: Path, saved: frozenset[Place]) -> Left | None:
        """A state holds what was given before it was saved, each event once (I1, I2)."""
        found = evidence.left(directory, TOPIC)
        if found is None:
            return None
        known = Known(found.positions)
        known.places = flat(saved, self.partitions)
        found.positions = known
        self.verifier.state(directory.name, found)
        return found

    def said(self, directory: Path, found: Left, receivers: Iterable[SimulatedReceiver]) -> None:
        """Each target was told what a replay says (I3, I4); what one wants never again it need not take."""
        for each in receivers:
            found.deliveries = statuses(directory, each.name)
            self.verifier.expected = [one for one in self.expected[each.name] if one.id not in each.refused]
            found.deliveries = {name: how for name, how in found.deliveries.items() if name not in each.refused}
            self.verifier.said(found, [one for one in each.heard if one.id not in each.refused])

    def processes(self, told: Told, begin: frozenset[Place]) -> None:
        """What the last process has counted is what it was given, each record under one outcome and one reason (I5); nothing was late."""
        since = [each for each in self.counted if (each.epoch, each.partition, each.offset) not in begin]
        reasons = Counter(each.reason for each in since)
        good, unmonitored = reasons.pop("", 0), reasons.pop("unmonitored", 0)
        outcomes = {"ok": good, "unmonitored": unmonitored, "rejected": reasons.total()}
        found = told.by("driftd_events_total", "outcome")
        if found != Counter({name: count for name, count in outcomes.items() if count}):
            self.verdict.break_("I5", "driftd_events_total", f"{dict(found)} for {outcomes}")
        if (rejected := told.by("driftd_events_rejected_total", "reason")) != reasons:
            self.verdict.break_("I5", "driftd_events_rejected_total", f"{dict(rejected)} for {dict(reasons)}")
        self.verdict.figures["rejected_in_the_last_run"] += reasons.total()

    def read(self, found: Left) -> None:
        """Nothing was given twice; what was never given was told as lost, and nothing else was (I1, I6)."""
        if self.seen.twice:
            self.verdict.break_("I1", "the loop", f"was given twice: {self.seen.twice[:3]}")
        epoch = max((each.epoch for each in self.written), default=0)
        for each in self.written:
            place = each.epoch, each.partition, each.offset
            if place not in self.seen.saved and not self._excused(place):
                self.verdict.break_("I6", str(place), "was neither read nor told as lost")
        if self.seen.lost and not self.lossy:
            self.verdict.break_("I6", "driftd_offsets_lost_total", f"{self.seen.lost[:3]}, where nothing was lost")
        ends = Counter(each.partition for each in self.written if each.epoch == epoch)
        for partition, end in ends.items():
            if found.positions.get(partition) != end:
                self.verdict.break_(
                    "I6", f"partition {partition}", f"read to {found.positions.get(partition)} of {end}"
                )

    def _excused(self, place: Place) -> bool:
        """Whether it was told as lost, or was gone before the first start had a position, or lay in a topic that was deleted before anything of its partition was read, or its id was known."""
        epoch, partition, offset = place
        if offset < self.seen.first.get((epoch, partition), 0) and epoch == 0:
            return True
        if f"topic-{epoch}" not in self.seen.known or (epoch, partition) not in self.seen.begun:
            return True
        if any(before < epoch and f"topic-{before}" not in self.seen.known for before, _ in self.seen.begun):
            return True
        for told_in, fact in self.seen.lost:
            if fact.partition.index != partition:
                continue
            if told_in > epoch or (told_in == epoch and fact.wanted <= offset < fact.resumed):
                return True
        return any(
            told_in == epoch and fact.partition.index == partition and offset < fact.first
            for told_in, fact in self.seen.expired
        )
