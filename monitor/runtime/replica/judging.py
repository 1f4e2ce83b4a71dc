"""One judge partition at work: counts in, facts told, state saved and handed on."""

import shutil
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from monitor.audit.chain import AuditNote
from monitor.audit.entries import audited
from monitor.clock import Clock
from monitor.explain.explainer import Explainer
from monitor.facts import CountsComplete, CountsMissing, CountsQuarantined, Fact
from monitor.pipeline import DISPENSABLE, Pipeline
from monitor.replicas.cells import SourceLog
from monitor.replicas.ledger import OffsetGap
from monitor.replicas.owner import GapClosed, Heard, Quarantined, ReplicaOwner
from monitor.runtime.checkpoint import Checkpointer
from monitor.runtime.lateness import Lateness
from monitor.runtime.rows import RowsWatch
from monitor.runtime.telemetry import Telemetry
from monitor.series.records import Record
from monitor.series.traces import untraced
from monitor.store import files
from monitor.store.outbox import Forgotten, Notice, OutboxRow
from monitor.store.sqlite import StateStore
from monitor.stream.events import SECOND, Nanos, Partition
from monitor.targets.base import Subscriber
from monitor.targets.notifier import Notifier
from monitor.targets.payloads import Sender, notices

REST: Nanos = 10 * SECOND  # processing time from one look at who gets nothing to the next
Begins = Mapping[SourceLog, int]  # where the group began to read each log
LEAVING = 2.0  # seconds for a target to take what can be delivered at once before another replica goes on


class MovingStore(StateStore):
    """The state of a judge partition, on this machine for as long as it is judged here. Of what nobody else could take up nothing is told.

    A notice is delivered once the snapshot that holds it is acknowledged, and the group has said after that that we own the partition: who
    takes over has it. Not before, and not by one that was away for so long that others have taken over: `ours` says whether it was.
    """

    def __init__(
        self, directory: Path, image: bytes | None, audit_keep: Nanos | None, ours: Callable[[], bool]
    ) -> None:
        """A state of this content; None: a new one. What lies in the directory goes. Raises StateError."""
        shutil.rmtree(directory, ignore_errors=True)
        if image is not None:
            directory.mkdir(mode=0o700, parents=True)
            path = directory / files.DATABASE
            path.touch(mode=0o600)
            path.write_bytes(image)
        self._ours = ours
        self.handed_on = False  # others could take up all that is here
        self.acknowledged = False  # something was delivered since
        super().__init__(directory, audit_keep, DISPENSABLE)

    @property
    def _may_tell(self) -> bool:
        return self.handed_on and self._ours()

    def next_due(self, target: str, now: Nanos) -> OutboxRow | None:
        """The first notice due; none for as long as nothing may be told."""
        return super().next_due(target, now) if self._may_tell else None

    def standing_notice(self, target: str, place: str) -> Notice | None:
        """What a target was told last of a place; none for as long as nothing may be told."""
        return super().standing_notice(target, place) if self._may_tell else None

    def delivered(self, row: OutboxRow, told: AuditNote | None = None) -> None:
        """Acknowledge a delivery; who takes over is to know it soon."""
        super().delivered(row, told)
        self.acknowledged = True

    def dead(self, row: OutboxRow, told: AuditNote | None = None) -> list[Forgotten] | None:
        """Give a delivery up; who takes over is to know it soon."""
        forgotten = super().dead(row, told)
        self.acknowledged = True
        return forgotten


class OwnerState:
    """What the checkpointer saves of an owner."""

    def __init__(self, owner: ReplicaOwner) -> None:
        self._owner = owner
        self.snapshot = owner.snapshot
        self.changes = owner.changes

    def open_panes(self) -> Fact:
        """How many panes each series holds."""
        return self._owner.pipeline.open_panes()


class CountsPosition:
    """How far a judge partition of the counts topic was heard."""

    def __init__(self, place: Partition, offset: int | None) -> None:
        self._place = place
        self.offset = offset  # the next; None: from the beginning

    def positions(self) -> dict[Partition, int]:
        """The next offset."""
        return {} if self.offset is None else {self._place: self.offset}

    def topics(self) -> dict[str, str]:
        """Not asked for: records name the topics that they are of."""
        return {}

    def verified(self) -> dict[Partition, int]:
        """Nothing: see `topics`."""
        return {}

    def commit(self, positions: Mapping[Partition, int]) -> None:
        """The membership does it, once a snapshot is acknowledged."""


class PartitionJudge:
    """Owns one judge partition: what one process does with what it reads itself."""

    def __init__(
        self,
        number: int,
        owner: ReplicaOwner,
        explainer: Explainer,
        store: MovingStore,
        counts: str,
        *,
        clock: Clock,
        interval: float,
        telemetry: Telemetry,
        subscribers: Sequence[Subscriber],
        sender: Sender,
    ) -> None:
        """`counts`: the topic; `interval`: seconds from one checkpoint to the next."""
        self.number = number
        self.store = store
        self._owner = owner
        self._pipeline: Pipeline = owner.pipeline
        self._explainer = explainer
        self._clock = clock
        self._telemetry = telemetry
        self._subscribers = subscribers
        self._sender = sender
        place = Partition(counts, number)
        self.position = CountsPosition(place, store.positions().get(place))
        self._checkpointer = Checkpointer(store, OwnerState(owner), self.position, clock, interval)
        self._rows = RowsWatch(series.spec for series in self._pipeline.series.values())
        self._lateness = Lateness()
        self._rested_at: Nanos = 0
        self._gaps: dict[Partition, str] = {}
        self.unpublished = True  # something was saved that no acknowledged snapshot holds
        self.notifiers = [Notifier(each, store, clock, lambda fact: telemetry.record([fact])) for each in subscribers]

    # --- beginning ----------------------------------------------------------------------------------------------

    def begin(self, records: Sequence[Record], now: Nanos) -> None:
        """Take up the state, and save it."""
        facts = self._owner.restore(records, now)
        self._checkpointer.whole = bool(facts)
        self._tell([*facts, *self._rows.begin(facts)])
        self.save()
        for notifier in self.notifiers:
            notifier.start()

    @property
    def waits(self) -> bool:
        """Whether it does not know yet which logs there are."""
        return not self._owner.logs

    def expect(self, begins: Begins, now: Nanos) -> None:
        """Wait for these logs, too, each from where the group began to read it."""
        if begins.keys() - self._owner.logs.keys():
            self._tell(self._owner.assign(begins, now))

    def current(self) -> list[Fact]:
        """The facts that say where its series stand."""
        return self._explainer.explain(self._pipeline.current())

    # --- judging ------------------------------------------------------------------------------------------------

    def hear(
        self, values: Sequence[tuple[int, bytes | None]], now: Nanos, begun: Callable[[SourceLog], Begins | None]
    ) -> int:
        """Take records of the counts topic, by their offsets; how many were taken.

        `begun` says of a log that is unknown where the group began to read each; None: that cannot be asked now, and what is left is to be heard
        again. It stands in the group before anybody sends counts of it, so what is unknown then is none of ours.
        """
        facts, taken = list[Fact](), 0
        for offset, value in values:
            heard = self._owner.hear(value or b"")
            if heard.unknown is not None:
                begins = begun(heard.unknown)
                if begins is None:
                    break
                if heard.unknown in begins:
                    facts += self._explainer.explain(self._owner.assign(begins, now))
                    heard = self._owner.hear(value or b"")
            facts += self._explainer.explain(heard.facts)
            facts += self._said(heard)
            self.position.offset = offset + 1
            taken += 1
        facts += self._pipeline.news_of_runs()
        facts += self._rows.see(facts)
        facts += self._lateness.see(facts, self._pipeline.watermark.behind, now)
        self._tell(facts)
        return taken

    def _said(self, heard: Heard) -> list[Fact]:
        """What is to be told of the records themselves."""
        facts = list[Fact]()
        for told in heard.told:
            match told:
                case Quarantined(fault, words):
                    facts.append(CountsQuarantined(self.number, fault.name.lower(), words))
                case OffsetGap():
                    self._gaps[told.log.partition] = str(told)
                    facts.append(CountsMissing(self.number, told.log.partition, str(told)))
                case GapClosed(gap):
                    self._gaps.pop(gap.log.partition, None)
                    facts.append(CountsComplete(self.number, gap.log.partition))
        return facts

    def rest(self, now: Nanos) -> None:
        """Let the pipeline have, now and then, that time goes on though nothing comes."""
        if abs(now - self._rested_at) >= REST:
            self._rested_at = now
            self._tell(self._explainer.explain([*self._pipeline.rest(now), *self._pipeline.expire(now)]))

    def _tell(self, facts: Sequence[Fact]) -> None:
        self._checkpointer.note(audited(facts, self._clock.now()))
        facts = [untraced(fact) for fact in facts]
        told = self._pipeline.told(facts)
        self._checkpointer.add(notices(told, self._subscribers, self._sender))
        self._telemetry.record(facts)

    # --- state --------------------------------------------------------------------------------------------------

    @property
    def due(self) -> bool:
        """Whether to save now."""
        return self._checkpointer.due

    @property
    def trouble(self) -> str | None:
        """Why it does not go on as it should, in a line; None where it does."""
        return self._checkpointer.failing or next(iter(self._gaps.values()), None)

    @property
    def failing(self) -> bool:
        """Whether what it knows cannot be saved: it hears nothing more until it can."""
        return self._checkpointer.failing is not None

    def save(self) -> None:
        """Save here; nothing of it is told before others could take it up. Raises StateError."""
        self.store.handed_on = False
        self._telemetry.record(self._checkpointer.save())
        self.unpublished = True

    def image(self) -> bytes:
        """What others take up."""
        self.store.acknowledged = False
        return self.store.image()

    def release(self) -> None:
        """Others could take up all that was saved: tell who is to be told."""
        self.unpublished = False
        self.store.handed_on = True
        for notifier in self.notifiers:
            notifier.wake()

    def hush(self) -> None:
        """Deliver what can be delivered at once, then nothing more."""
        for notifier in self.notifiers:
            notifier.stop()
        deadline = self._clock.elapsed() + LEAVING
        for notifier in self.notifiers:
            if notifier.is_alive():
                notifier.join(max(0.1, deadline - self._clock.elapsed()))

    def close(self) -> None:
        """Let go of the state; what is here of it is worth nothing any more."""
        self.store.handed_on = False
        for notifier in self.notifiers:
            notifier.stop()
        with suppress(sqlite3.Error):
            self.store.close()
        shutil.rmtree(self.store.directory, ignore_errors=True)
