"""The loop: read, decode, fold, judge, save, tell."""

import gc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from threading import Event
from typing import Protocol

from monitor.alerting.versions import KnownVersion, ListedVersions, OfferedReference
from monitor.audit.entries import audited
from monitor.clock import Clock
from monitor.explain.explainer import Explainer
from monitor.facts import Fact, PartitionsUnreachable, RecordsSkipped
from monitor.pipeline import Pipeline
from monitor.runtime.allocation import FreedMemory
from monitor.runtime.checkpoint import RETRY_AFTER, Checkpointer
from monitor.runtime.inbox import Inbox
from monitor.runtime.lateness import Lateness
from monitor.runtime.rows import RowsWatch
from monitor.runtime.telemetry import Telemetry
from monitor.runtime.waiting import PatientSource, partitions_of
from monitor.runtime.wall import SteppedClock, TimeRead
from monitor.series.traces import untraced
from monitor.sources.base import NotNow, Poll, Prepared, TopicRecords
from monitor.sources.decode.topic import Decoded, TopicDecoder
from monitor.stream.events import (
    MINUTE,
    SECOND,
    EventBatch,
    HalfBatch,
    JoinBatch,
    MicroBatch,
    Nanos,
    Partition,
    SchemaBatch,
)
from monitor.stream.rejected import RejectedRecord
from monitor.targets.base import Subscriber
from monitor.targets.payloads import Sender, notices
from monitor.targets.reports import report_notices

REST: Nanos = 10 * SECOND  # processing time from one look at who gets nothing to the next
POLL = 0.4  # seconds: small batches are collected for so long, and a stop is noticed as soon
COLLECT_AFTER = 200_000  # container objects: a batch makes tens of thousands, all freed by their reference counts


def calm_collector() -> None:
    """Let the cycle collector look rarely: decoding makes no cycles, and looking halved the decoder's rate."""
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, 20, 100)


class Outside(Protocol):
    """Who looks for references and asks registries, in threads of its own."""

    def want(self, wanted: Sequence[KnownVersion]) -> None:
        """Look for the references of these."""

    def take(self) -> Sequence[OfferedReference | ListedVersions]:
        """What was found since the last call."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What depends on which series there are; `facts`: what their restored state says."""

    decoders: Mapping[str, TopicDecoder]
    pipeline: Pipeline
    explainer: Explainer
    facts: Sequence[Fact]


class Loop:
    """Reads, judges and saves until it is stopped. The pipeline holds all state; the telemetry writes metrics and logs."""

    def __init__(
        self,
        source: PatientSource,
        decoders: Mapping[str, TopicDecoder],
        pipeline: Pipeline,
        checkpointer: Checkpointer,
        telemetry: Telemetry,
        clock: Clock,
        *,
        explainer: Explainer,
        subscribers: Sequence[Subscriber],
        sender: Sender,
        inbox: Inbox,
        wake: Callable[[], None],
        outside: "Outside",
        renew: Callable[[], "Parts"],
    ) -> None:
        self._source = source
        self._decoders = decoders
        self._pipeline = pipeline
        self._checkpointer = checkpointer
        self._telemetry = telemetry
        self._clock = clock
        self._explainer = explainer
        self._subscribers = subscribers
        self._sender = sender
        self._inbox = inbox
        self._wake = wake
        self._outside = outside
        self._renew = renew
        self._lateness = Lateness()
        self._rows = RowsWatch(series.spec for series in pipeline.series.values())
        self._silent: Mapping[Partition, Nanos] | None = None  # since when; None: nobody has said since we began
        self._silence_told: Nanos = 0
        self._rested_at: Nanos = 0
        self._freed = FreedMemory()
        self._wall = SteppedClock()
        self._jumped = False  # the wall clock, since the last turn
        self._newest: Nanos = 0  # the largest event time that came
        self.held: str | None = None  # why nothing is read for now

    def look_at_clock(self) -> None:
        """Read the clock before all else: one that is set between here and the first turn was set while we ran."""
        self._wall.read(self._clock.now(), self._clock.elapsed())

    def begin(self, facts: Sequence[Fact]) -> None:
        """Tell what a restore found, and save at once where reading begins: a crash before the first interval loses nothing."""
        self._tell([*facts, *self._rows.begin(facts)])
        self.save()

    def run(self, stopping: Event) -> None:
        """Turn until stopped, then save once more."""
        self._inbox.open()
        self._source.prepare_with(self._prepare)
        while not stopping.is_set():
            self._telemetry.turned()
            if self._checkpointer.failing is not None:  # what cannot be saved is not read
                stopping.wait(RETRY_AFTER)
            elif self._read_clock().held:
                stopping.wait(POLL)
            else:
                self.turn(POLL)
            if self._checkpointer.due or (self._hasty and self._checkpointer.failing is None):
                self.save()
            if self._pipeline.versions.moved and self._checkpointer.failing is None:
                self._go_on_with(self._renew())
        self.save()

    @property
    def _hasty(self) -> bool:
        """Whether somebody waits for the next checkpoint."""
        return self._inbox.unsaved or self._pipeline.versions.moved

    def _go_on_with(self, parts: "Parts") -> None:
        """Other series from now on, which go on from what was just saved: as after a restart, but for the time it takes."""
        for topic, before in self._decoders.items():
            if topic in parts.decoders:
                parts.decoders[topic].keep(before)
        self._decoders, self._pipeline, self._explainer = parts.decoders, parts.pipeline, parts.explainer
        self._checkpointer.renew(parts.pipeline, whole=bool(parts.facts))
        self._rows.renew(series.spec for series in parts.pipeline.series.values())
        self.begin(parts.facts)

    def turn(self, timeout: float) -> None:
        """One poll, and all that follows from it."""
        poll = self._source.poll(timeout)
        reading = self._read_clock()
        now = reading.now
        if reading.behind:  # the source asks the clock that is behind
            asked = {partition: min(at + reading.behind, now) for partition, at in poll.confirmed.items()}
            poll = replace(poll, confirmed=asked)
        arrived, facts = self._decode(poll, now)
        if self._jumped:  # set, or the machine slept: nobody knows how long a partition was silent
            arrived = replace(arrived, unconfirmed=frozenset(self._source.positions()))
        self._explainer.see(arrived.batches)
        self._explainer.hear(facts)
        self._jumped = False
        facts += self._pipeline.ingest(arrived, now)
        silent = _silent_by(poll)
        advanced = [*self._answered(silent, now), *self._pipeline.advance(), *self._silence(silent, now)]
        advanced += [*self._rest(now), *self._decide(now)]
        facts += self._explainer.explain(advanced)
        facts += self._pipeline.news_of_runs()
        facts += self._rows.see(facts)
        facts += self._source.news(now)
        facts += self._lateness.see(facts, self._pipeline.watermark.behind, now)
        self._source.hold(self._pipeline.ahead())
        self._tell(facts)
        self._report(now)
        self._freed.see(now)

    def _answered(self, told: Mapping[Partition, Nanos] | None, now: Nanos) -> list[Fact]:
        """Let every series have whose leaders answer again before what these brought is judged: nothing is withheld for a silence that is over."""
        before = self._silent
        if told is None or (before is not None and before.keys() <= told.keys()):
            return []
        self._silent = told if before is None else {place: since for place, since in before.items() if place in told}
        return self._pipeline.silence(self._silent, now)

    def _silence(self, told: Mapping[Partition, Nanos] | None, now: Nanos) -> list[Fact]:
        """Let every series have whose leaders are silent: when that changes, and while some are each minute, for some wait to be told."""
        if told is None and self._silent and abs(now - self._silence_told) >= MINUTE:
            told = self._silent
        if told is None:
            return []
        self._silent, self._silence_told = told, now
        return self._pipeline.silence(told, now)

    def _rest(self, now: Nanos) -> list[Fact]:
        """Let the pipeline have, now and then, that time goes on though nothing comes."""
        if abs(now - self._rested_at) < REST:
            return []
        self._rested_at = now
        return self._pipeline.rest(now)

    def _decide(self, now: Nanos) -> list[Fact]:
        """Take what people ask for, between polls; end what they decided for so long."""
        taken = self._inbox.take(lambda asked: self._pipeline.decide(asked, now))
        ended = [fact for report in self._inbox.reports() for fact in self._pipeline.take_runs(report)]
        heard = [fact for told in self._outside.take() for fact in self._pipeline.hear(told, now)]
        return [*taken, *ended, *heard, *self._pipeline.expire(now)]

    def _tell(self, facts: Sequence[Fact]) -> None:
        self._checkpointer.note(audited(facts, self._clock.now()))
        facts = [untraced(fact) for fact in facts]
        told = self._pipeline.told(facts)
        self._checkpointer.add(notices(told, self._subscribers, self._sender))
        self._telemetry.record(facts)

    def _report(self, now: Nanos) -> None:
        """Let people have the reports that are due: what has happened until now is in them."""
        made = self._pipeline.report(now)
        if made:
            self._checkpointer.add(report_notices(made, self._subscribers, self._sender))
            self._telemetry.record(made)

    def _read_clock(self) -> TimeRead:
        """What is now; where the clock was set back, why nothing is read for a while."""
        reading = self._wall.read(self._clock.now(), self._clock.elapsed(), self._newest)
        self._jumped |= reading.jumped
        self.held = None
        if reading.held:
            self.held = f"the clock was set back by {reading.behind / SECOND:.0f} s: nothing is read until it is back, or for a minute"
        if news := self._wall.take_news():
            self._tell(news)
        return reading

    def _decode(self, poll: Poll, now: Nanos) -> tuple[MicroBatch, list[Fact]]:
        facts: list[Fact] = list(poll.facts)
        batches: list[EventBatch] = []
        joins: list[JoinBatch] = []
        schemas: list[SchemaBatch] = []
        versions: list[tuple[str, str, Nanos]] = []
        halves: list[HalfBatch] = []
        seen: dict[Partition, Nanos] = {}
        read: set[Partition] = set()
        rejected = [_unread(fact) for fact in facts if isinstance(fact, RecordsSkipped)]
        for records in poll.records:
            decoded = self._decoded(records, now)
            if decoded is None:
                continue
            batches += decoded.batches
            facts += decoded.facts
            joins += decoded.joins
            schemas += decoded.schemas
            versions += decoded.versions
            halves += decoded.halves
            rejected += decoded.rejected
            self._newest = max(self._newest, *decoded.seen.values(), 0)
            for partition, time in decoded.seen.items():
                seen[partition] = max(min(time, now), seen.get(partition, 0))  # what came is no later than now
            read.update(partitions_of(records))
        facts += self._checkpointer.keep(rejected)
        told = frozenset(read), *self._told_of(poll)
        arrived = MicroBatch(tuple(batches), seen, *told, tuple(joins), tuple(schemas), tuple(versions), tuple(halves))
        return arrived, facts

    def _decoded(self, records: TopicRecords, now: Nanos) -> Decoded | None:
        """What records came to; None where they wait, for what they need or behind others of their partition."""
        waiting = self._source.waiting
        if waiting and not waiting.isdisjoint(partitions_of(records)):
            self._source.keep(records)
            return None
        try:
            return self._decoders[records.topic].decode(records, now)
        except NotNow as why:
            self._source.keep(records, str(why))
            return None

    def _told_of(self, poll: Poll) -> tuple[Mapping[Partition, Nanos], frozenset[Partition], frozenset[Partition]]:
        """Of which partitions the silence means something, which are new, and of which it means nothing: nor of those that wait."""
        waiting = self._source.waiting
        if not waiting:
            return poll.confirmed, poll.assigned, poll.unconfirmed
        confirmed = {partition: at for partition, at in poll.confirmed.items() if partition not in waiting}
        return confirmed, poll.assigned, poll.unconfirmed | waiting

    def _prepare(self, topic: str, values: Sequence[bytes | None]) -> Prepared | None:
        """Called by the source's threads: the decoders are those of now, and what others have prepared is prepared anew."""
        decoder = self._decoders.get(topic)
        return None if decoder is None else decoder.prepare(values, self._clock.now())

    def save(self) -> None:
        """Checkpoint, and let the notifiers look at the outbox."""
        self._telemetry.record(self._checkpointer.save())
        if self._checkpointer.failing is None:
            self._inbox.saved()
            self._outside.want(self._pipeline.versions.wanted())
        self._wake()


def _silent_by(poll: Poll) -> Mapping[Partition, Nanos] | None:
    """Whose leaders are silent, each since when, by the end of a poll; None: as before."""
    told = [dict(fact.partitions) for fact in poll.facts if isinstance(fact, PartitionsUnreachable)]
    return told[-1] if told else None


def _unread(skipped: RecordsSkipped) -> RejectedRecord:
    """Records that were stepped over, of which nobody has the bytes."""
    first, last = skipped.first, skipped.last
    return RejectedRecord(skipped.partition, first, [(None, "unreadable_batch")], last=last, each=last - first + 1)
