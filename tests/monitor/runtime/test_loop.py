"""The loop over lists: everything read is counted once, whatever the disk does and wherever it is stopped."""

import json
import random
import sqlite3
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread

import numpy as np
import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from detectors import Reference
from monitor.alerting.alerts import AlertState
from monitor.alerting.retraining import RetrainPolicy
from monitor.alerting.rules import AlertRule, Severity
from monitor.audit.chain import AuditNote
from monitor.explain.explainer import Explainer
from monitor.facts import AlertChanged, AlertSeen, Fact, FewRows, PartitionsUnreachable
from monitor.pipeline import Pipeline
from monitor.runtime.board import Board, SeriesBoard
from monitor.runtime.checkpoint import Checkpointer
from monitor.runtime.dead_letters import DeadLetters
from monitor.runtime.inbox import Inbox
from monitor.runtime.loop import Loop, Parts
from monitor.runtime.metrics import DaemonStatus, Exposition
from monitor.runtime.telemetry import Telemetry
from monitor.runtime.waiting import PatientSource
from monitor.series.judging import Judging
from monitor.series.records import Record
from monitor.series.series import SeriesSpec
from monitor.sources.base import NO_TOPICS, NONE_VERIFIED, Poll, SourceError, TopicRecords
from monitor.sources.decode.topic import TopicDecoder
from monitor.sources.formats.fields import FieldMap, SeriesFields
from monitor.store.dead_letters import KIND as DEAD_LETTERS
from monitor.store.dead_letters import DeadLetterError, DeadLetterFiles, letters_in
from monitor.store.outbox import AddressedNotice
from monitor.store.sqlite import StateStore
from monitor.stream.events import SECOND, Nanos, Partition, SeriesKey
from monitor.stream.rejected import RejectedRecord
from monitor.stream.windows import WindowSpec
from monitor.targets.payloads import FIRING, RESOLVED, Sender
from tests.fakes import NOON, ListSource, ManualClock, ManualEvent, NobodyOutside, subscriber

MINUTE = 60 * SECOND
MAX_FUTURE = 10 * MINUTE
CHURN = SeriesKey("churn", "3")
P0, P1 = Partition("t", 0), Partition("t", 1)
REFERENCE = Reference.fit({"age": np.linspace(0, 1, 1000)})
RULE = AlertRule("high", "psi", fire_above=1.0, clear_below=0.5, severity=Severity.CRITICAL)
SPEC = SeriesSpec(
    CHURN, WindowSpec(MINUTE, MINUTE, 0), Judging(REFERENCE, MINUTE, rules=(RULE,), min_rows=5), RetrainPolicy(0, 100)
)


class Disk(StateStore):
    """A real store on a disk that is full for the next so many saves."""

    full_for = 0

    def save(
        self,
        records: Collection[Record],
        positions: Mapping[Partition, int],
        notices: Collection[AddressedNotice],  # type: ignore[override]
        now: Nanos,
        *,
        whole: bool = False,
        audited: Iterable[AuditNote] = (),
        topics: Mapping[str, str] = NO_TOPICS,
        verified: Mapping[Partition, int] = NONE_VERIFIED,
    ) -> None:
        if self.full_for:
            self.full_for -= 1
            raise sqlite3.OperationalError("database or disk is full")
        super().save(records, positions, notices, now, whole=whole, audited=audited, topics=topics, verified=verified)


class Scene:
    """A loop with everything around it; `start` is a daemon beginning, over the same directory."""

    def __init__(
        self,
        directory: Path,
        log: Mapping[Partition, Sequence[bytes | None]],
        *,
        batch: int = 10,
        spec: SeriesSpec = SPEC,
        keys: Mapping[Partition, Sequence[bytes | None]] | None = None,
    ) -> None:
        """`keys` of records: with them rejected ones are kept."""
        self.keys = keys
        self.spec = spec
        self.directory = directory
        self.clock = ManualClock()
        self.log = log
        self.batch = batch
        self.start()

    def start(self) -> None:
        self.store = Disk(self.directory)
        self.source = ListSource(self.log, batch=self.batch, now=self.clock.now, keys=self.keys)
        self.patient = PatientSource(self.source)
        self.pipeline = Pipeline([self.spec], idle_after=30 * SECOND, max_future=MAX_FUTURE)
        records = self.store.records()
        self.pipeline.restore((each for each in records if each.kind != DEAD_LETTERS), self.clock.now())
        self.letters = None
        if self.keys is not None:
            self.letters = DeadLetterFiles(self.directory / "letters", 8_000_000, drop_oldest=False)
            self.letters.begin(next((each.payload for each in records if each.kind == DEAD_LETTERS), None))
        board = Board({CHURN: SeriesBoard(REFERENCE.hash, REFERENCE.rows)})
        self.telemetry = Telemetry(board, self.clock.now)
        kept = None if self.letters is None else DeadLetters(self.letters)
        self.checkpointer = Checkpointer(self.store, self.pipeline, self.patient, self.clock, 5.0, kept)
        self.woken = 0
        self.inbox = Inbox()
        decoder = TopicDecoder("t", [SeriesFields(CHURN, REFERENCE.layout, FieldMap())], FieldMap(), MAX_FUTURE)
        decoder.keeps_rejected = self.letters is not None
        self.loop = Loop(
            self.patient,
            {"t": decoder},
            self.pipeline,
            self.checkpointer,
            self.telemetry,
            self.clock,
            explainer=Explainer({CHURN: REFERENCE}),
            subscribers=[subscriber("pager")],
            sender=Sender("hash", "0"),
            inbox=self.inbox,
            wake=self._wake,
            outside=NobodyOutside(),
            renew=self._never,
        )
        self.source.open(self.store.positions())

    def _wake(self) -> None:
        self.woken += 1

    def _never(self) -> Parts:
        raise AssertionError("no new version was told of")

    def kill(self) -> None:
        self.store.close()
        if self.letters is not None:
            self.letters.close()

    def run(self, *, polls: int) -> ManualEvent:
        """Run the loop until so many polls were made."""
        stopping = ManualEvent(self.clock)
        poll, last = self.source.poll, self.source.polls + polls

        def counted(timeout: float) -> Poll:
            self.clock.advance(0.1)
            if self.source.polls + 1 == last:
                stopping.set()
            return poll(timeout)

        self.source.poll = counted  # type: ignore[method-assign]
        try:
            self.loop.run(stopping)
        finally:
            self.source.poll = poll  # type: ignore[method-assign]
        return stopping

    @property
    def rows(self) -> list[int]:
        """Rows of the windows closed so far."""
        return [window.rows for window in self.pipeline.series[CHURN].features.scoring.history.windows]

    @property
    def said(self) -> list[str]:
        """Types of what stands in the outbox, in order."""
        return [row[0] for row in self.store._db.execute("SELECT type FROM notice ORDER BY seq")]


def events(minutes: int, *, value: float | None = None, first: int = 0) -> list[bytes]:
    """Ten events a minute from noon on, a quarter of an hour ago."""
    return [
        json.dumps(
            {
                "ts": (NOON - 15 * MINUTE + (first + minute) * MINUTE + at * 6 * SECOND) // 1_000_000,
                "model": "churn",
                "version": "3",
                "features": {"age": at / 10 if value is None else value},
            }
        ).encode()
        for minute in range(minutes)
        for at in range(10)
    ]


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with capture_logs():
        yield


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    found = Scene(tmp_path, {P0: events(10)})
    yield found
    found.store.close()


def test_what_is_read_is_counted_and_committed(scene: Scene) -> None:
    scene.run(polls=11)

    assert scene.rows == [10] * 9  # the last minute is still open
    assert scene.store.positions() == {P0: 100}
    assert scene.source.committed[-1] == {P0: 100}


def test_stopping_saves_once_more(scene: Scene) -> None:
    scene.run(polls=1)

    assert scene.store.positions() == {P0: 10}
    assert scene.woken == 1


def test_bad_messages_are_passed_over(scene: Scene) -> None:
    scene.source.append(P0, [None, b"", b"\xff", b"{", b"[" * 100_000, *events(2, first=10)])

    scene.run(polls=20)

    assert scene.rows == [10] * 11
    rejected = scene.telemetry.look(lambda board: dict(board.counters["driftd_events_rejected_total"]))
    assert rejected == {("t", "empty"): 1, ("t", "invalid_utf8"): 1, ("t", "malformed_json"): 1, ("t", "too_deep"): 1}


def spoilt(count: int = 120) -> list[bytes]:
    """Events, every third of which is none."""
    return [each if at % 3 else b"{%d" % at for at, each in enumerate(events(count // 10))]


def test_a_rejected_record_is_kept_once_wherever_the_loop_is_killed(tmp_path: Path) -> None:
    log = spoilt()
    scene = Scene(tmp_path, {P0: log}, keys={P0: [b"k"] * len(log)})
    chance = random.Random(random.getrandbits(32))
    for _ in range(8):
        scene.loop.begin([])
        for _ in range(chance.randrange(4)):
            scene.loop.turn(0.0)
            if chance.random() < 0.5:
                scene.loop.save()
        scene.kill()
        scene.start()
    scene.run(polls=15)
    scene.kill()

    kept = [(each.offset, each.value) for each in letters_in(tmp_path / "letters")]
    assert kept == [(at, raw) for at, raw in enumerate(log) if not at % 3]


def test_what_cannot_be_kept_holds_reading_and_checkpoints_until_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = spoilt()
    scene = Scene(tmp_path, {P0: log}, keys={P0: [b"k"] * len(log)})
    letters = scene.letters
    assert letters is not None
    write, full_for = letters.write, [3]

    def full(waiting: deque[RejectedRecord]) -> None:
        if full_for[0]:
            full_for[0] -= 1
            raise DeadLetterError("the disk is full")
        write(waiting)

    scene.loop.begin([])
    monkeypatch.setattr(letters, "write", full)
    scene.loop.turn(0.0)
    assert scene.checkpointer.failing == "dead letters cannot be kept: the disk is full"
    scene.loop.save()
    assert scene.telemetry.look(lambda board: board.letters_blocked)
    assert scene.store.positions() == {P0: 0}
    polls = scene.source.polls
    scene.run(polls=12)

    assert full_for == [0]
    assert scene.source.polls == polls + 12
    assert scene.store.positions() == {P0: 120}
    told = scene.telemetry.look(lambda board: dict(board.counters["driftd_dead_letters_total"]))
    assert told == {("t", "malformed_json"): 40}
    assert [each.offset for each in letters_in(tmp_path / "letters")] == list(range(0, 120, 3))
    scene.kill()


def test_windows_of_too_few_rows_are_a_state_with_its_cause_once_they_are_usual(tmp_path: Path) -> None:
    spec = replace(SPEC, judging=replace(SPEC.judging, min_rows=50))
    scene = Scene(tmp_path, {P0: events(10)}, spec=spec)
    scene.run(polls=11)

    few = scene.telemetry.look(lambda board: board.series[CHURN].few)
    assert few == FewRows(CHURN, 10.0, MINUTE, 50, few=True)
    scene.store.close()


def test_late_events_page_through_the_outbox_and_the_incident_stands_after_a_restart(tmp_path: Path) -> None:
    late = json.dumps(
        {"ts": (NOON - 60 * MINUTE) // 1_000_000, "model": "churn", "version": "3", "features": {"age": 0.5}}
    )
    log = events(14)
    flood = [each for at, message in enumerate(log) for each in ([message] if at % 2 else [message, late.encode()])]
    scene = Scene(
        tmp_path, {P0: [*log[:10], *flood * 8]}, batch=20, spec=replace(SPEC, judging=replace(SPEC.judging, rules=()))
    )
    scene.run(polls=90)

    assert scene.said == [FIRING]
    scene.kill()
    scene.start()
    assert [(seen.rule, seen.kind.value) for seen in scene.pipeline.current() if isinstance(seen, AlertSeen)] == [
        ("lateness", "service")
    ]
    scene.store.close()


def test_a_silent_leader_pages_through_the_outbox_and_so_does_its_answer(scene: Scene) -> None:
    scene.run(polls=11)
    poll = scene.source.poll
    told = [PartitionsUnreachable(((P0, NOON),)), PartitionsUnreachable(())]
    scene.source.poll = lambda timeout: replace(poll(timeout), facts=(told.pop(0),))  # type: ignore[method-assign]

    for said in ([FIRING], [FIRING, RESOLVED]):
        scene.loop.turn(0.0)
        scene.loop.save()
        assert scene.said == said


def test_what_a_leader_brings_with_its_answer_is_judged_as_if_it_had_never_been_silent(tmp_path: Path) -> None:
    """An episode that begins and ends in the poll that ends the silence asks for retraining: no silence withholds it."""
    log = [*events(2), *events(5, value=0.99, first=2), *events(8, first=7)]
    scene = Scene(tmp_path, {P0: log}, batch=len(log))
    poll = scene.source.poll
    scene.source.poll = lambda timeout: Poll(facts=(PartitionsUnreachable(((P0, NOON),)),))  # type: ignore[method-assign]
    scene.loop.turn(0.0)
    scene.source.poll = lambda timeout: replace(poll(timeout), facts=(PartitionsUnreachable(()),))  # type: ignore[method-assign]
    scene.loop.turn(0.0)
    scene.loop.save()

    assert scene.said == [FIRING, RESOLVED, FIRING, "model.retrain.requested", RESOLVED]
    scene.store.close()


def test_a_silence_that_was_over_when_the_process_began_withholds_nothing(tmp_path: Path) -> None:
    """The alert that was saved ends with the first answer, before what came with it is judged."""
    log = [*events(2), *events(5, value=0.99, first=2), *events(8, first=7)]
    scene = Scene(tmp_path, {P0: log}, batch=len(log))
    scene.source.poll = lambda timeout: Poll(facts=(PartitionsUnreachable(((P0, NOON),)),))  # type: ignore[method-assign]
    scene.loop.turn(0.0)
    scene.loop.save()
    scene.kill()
    scene.start()
    poll = scene.source.poll
    scene.source.poll = lambda timeout: replace(poll(timeout), facts=(PartitionsUnreachable(()),))  # type: ignore[method-assign]
    scene.loop.turn(0.0)
    scene.loop.save()

    assert scene.said == [FIRING, RESOLVED, FIRING, "model.retrain.requested", RESOLVED]
    scene.store.close()


def test_of_what_one_poll_tells_of_leaders_the_last_is_so(scene: Scene) -> None:
    """A leader that was counted as silent answers in the same poll: its alert ends once, and does not begin again."""
    scene.run(polls=11)
    record, poll, silent = scene.telemetry.record, scene.source.poll, PartitionsUnreachable(((P0, NOON),))
    turns = [(silent,), (silent, PartitionsUnreachable(()))]
    seen: list[Fact] = []
    scene.telemetry.record = lambda facts: record(seen.extend(facts) or facts)  # type: ignore[method-assign,func-returns-value]
    scene.source.poll = lambda timeout: replace(poll(timeout), facts=turns.pop(0))  # type: ignore[method-assign]
    scene.loop.turn(0.0)
    scene.loop.turn(0.0)

    changed = [fact.after for fact in seen if isinstance(fact, AlertChanged)]
    assert changed == [AlertState.FIRING, AlertState.INACTIVE]


def test_two_loops_in_one_process_share_nothing(tmp_path: Path) -> None:
    """What a second daemon shares with the first is the broker: each does what it would do alone."""
    logs = [{P0: events(10)}, {P0: events(10, value=0.99)}]
    alone = [Scene(tmp_path / f"alone-{at}", log) for at, log in enumerate(logs)]
    together = [Scene(tmp_path / f"together-{at}", log) for at, log in enumerate(logs)]

    for scene in alone:
        scene.run(polls=11)
    for _ in range(11):
        for scene in together:
            scene.run(polls=1)

    assert [scene.said for scene in alone] == [[], ["model.alert.firing", "model.retrain.requested"]]
    for one, other in zip(alone, together, strict=True):
        assert (one.rows, one.said, one.store.positions()) == (other.rows, other.said, other.store.positions())
        assert one.pipeline.current() == other.pipeline.current()
        one.kill()
        other.kill()


@pytest.mark.parametrize("killed_after", range(1, 12))
def test_a_kill_at_any_poll_loses_and_repeats_nothing(tmp_path: Path, killed_after: int) -> None:
    scene = Scene(tmp_path, {P0: events(10)})
    for at in range(killed_after):  # the loop's own turns, saving at every third of them
        scene.loop.turn(0)
        if at % 3 == 0:
            scene.loop.save()
    scene.kill()

    scene.start()
    scene.run(polls=11)

    assert scene.rows == [10] * 9
    scene.kill()


def test_a_full_disk_holds_reading_and_loses_nothing(scene: Scene) -> None:
    scene.loop.turn(0)
    scene.store.full_for = 4
    scene.loop.save()
    polls = scene.source.polls

    stopping = scene.run(polls=11)

    assert stopping.waits >= 3  # seconds without a poll
    assert scene.source.polls == polls + 11
    assert scene.rows == [10] * 9
    assert scene.source.committed[0] == {P0: 10}  # nothing more was read than could be saved
    assert scene.store.positions() == {P0: 100}


def test_a_disk_that_stays_full_can_be_stopped(scene: Scene) -> None:
    scene.loop.turn(0)
    scene.store.full_for = 10**6
    scene.loop.save()
    stopping = ManualEvent(scene.clock, patience=5)

    scene.loop.run(stopping)

    assert scene.source.polls == 1
    assert scene.source.committed == []
    scene.kill()
    scene.start()
    scene.run(polls=11)
    assert scene.rows == [10] * 9


def test_an_alert_is_in_the_outbox_before_anything_more_is_read(tmp_path: Path) -> None:
    scene = Scene(tmp_path, {P0: events(3) + events(6, value=0.99, first=3)})

    said_after = []
    for _ in range(9):
        scene.loop.turn(0)
        if scene.checkpointer.due:
            scene.loop.save()
        said_after.append(len(scene.said))

    assert scene.said == ["model.alert.firing", "model.retrain.requested"]
    assert said_after == [0, 0, 0, 0, 2, 2, 2, 2, 2]  # minute 3 closes when minute 4 is read
    assert scene.woken == 1
    assert scene.store.positions() == {P0: 50}
    scene.kill()


def test_a_decision_taken_again_after_a_kill_is_said_once(tmp_path: Path) -> None:
    """Killed with the outbox written but later polls lost: the replay comes to the same ids."""
    scene = Scene(tmp_path, {P0: events(3) + events(6, value=0.99, first=3)})
    for _ in range(5):
        scene.loop.turn(0)
    scene.loop.save()
    for _ in range(3):
        scene.loop.turn(0)
    scene.kill()

    scene.start()
    scene.run(polls=9)

    assert scene.said == ["model.alert.firing", "model.retrain.requested"]
    scene.kill()


def test_an_alert_survives_a_full_disk(tmp_path: Path) -> None:
    scene = Scene(tmp_path, {P0: events(3) + events(6, value=0.99, first=3)})
    scene.store.full_for = 5

    scene.run(polls=9)

    assert scene.said == ["model.alert.firing", "model.retrain.requested"]
    scene.kill()


def test_partitions_are_held_against_each_other(tmp_path: Path) -> None:
    scene = Scene(tmp_path, {P0: events(10), P1: events(3)})

    scene.run(polls=11)

    assert scene.rows == [20, 20]  # the second partition has not come further
    scene.clock.advance(31)
    scene.source.append(P0, events(1, first=10))
    scene.run(polls=1)
    assert scene.rows == [20, 20, 20] + [10] * 7  # silent at its end, it no longer holds the others up
    scene.kill()


def test_a_partition_that_runs_ahead_waits_and_the_windows_are_the_same(tmp_path: Path) -> None:
    """Ten events of one partition are a minute, ten of the other six: it is let go whenever the watermark comes near."""
    sparse = [one for at, one in enumerate(events(60)) if at % 6 == 0]
    scene = Scene(tmp_path, {P0: events(60), P1: sparse})
    scene.clock.advance(3600)

    held = set()
    for _ in range(70):
        scene.loop.turn(0)
        held.add(scene.source.held)

    assert held == {frozenset(), frozenset({P1})}
    assert scene.source.positions() == {P0: 600, P1: 100}
    assert sum(scene.rows) == 590 + 99  # the last minute is still open
    assert not scene.telemetry.look(lambda board: board.counters["driftd_events_total"].get(("t", "late")))
    scene.kill()


def test_one_topic_may_come_in_several_pieces(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """The largest time of a partition counts, whichever piece brought it."""
    late, early = events(1, first=5)[:1], events(1)[:1]
    pieces = Poll((TopicRecords("t", [0], late), TopicRecords("t", [0], early)), assigned=frozenset({P0}))
    monkeypatch.setattr(scene.source, "poll", lambda _timeout: pieces)

    scene.loop.turn(0)

    assert scene.pipeline.watermark.value == NOON - 10 * MINUTE


def test_a_source_that_cannot_go_on_ends_the_loop(scene: Scene) -> None:
    scene.run(polls=2)
    scene.source.failure = SourceError("kafka: offsets are lost")

    with pytest.raises(SourceError, match="offsets are lost"):
        scene.loop.run(ManualEvent(scene.clock))

    assert scene.store.positions() == {P0: 20}


def test_the_loop_says_that_it_turns(scene: Scene) -> None:
    scene.run(polls=3)

    turned = scene.telemetry.look(lambda board: board.turned_at)
    assert turned is not None
    assert NOON < turned <= scene.clock.now()


def test_a_scrape_in_the_middle_of_a_turn_is_answered_with_what_was_told_before_it(scene: Scene) -> None:
    """Whatever the turn is at: nobody holds the board but to tell it something."""
    status = DaemonStatus("1", scene.clock.now, lambda: None, lambda: False, dict, (), NOON)
    exposition = Exposition(scene.telemetry.look, status, CollectorRegistry())
    scene.loop.turn(0)
    begun, go_on, advance = Event(), Event(), scene.pipeline.advance

    def dawdling() -> list[Fact]:
        begun.set()
        assert go_on.wait(60)
        return advance()

    scene.pipeline.advance = dawdling  # type: ignore[method-assign]
    turn = Thread(target=scene.loop.turn, args=(0,))
    turn.start()
    try:
        assert begun.wait(60)
        during = exposition.answer("")[1]
    finally:
        go_on.set()
        turn.join(60)

    counted = b'driftd_events_total{topic="t",outcome="ok"} %d.0\n'
    assert counted % 10 in during
    assert counted % 20 in exposition.answer("")[1]


@pytest.mark.parametrize("by", [3600.0, -3600.0])
def test_no_silence_is_measured_across_a_wall_clock_that_was_set(tmp_path: Path, by: float) -> None:
    """A partition at its end is idle after 30 s of time, not after an hour's jump of the clock; nor never."""
    scene = Scene(tmp_path, {P0: events(1), P1: events(1)})
    for _ in range(3):
        scene.clock.advance(0.1)
        scene.loop.turn(0)
    scene.clock.set_wall(by)
    scene.loop.turn(0)

    assert scene.pipeline.watermark.idle == frozenset()

    scene.clock.advance(31)
    scene.loop.turn(0)

    assert scene.pipeline.watermark.idle == {P0, P1}
