"""Save, then commit: in this order, and nothing lost when saving fails."""

import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from detectors import Reference
from monitor.alerting.retraining import RetrainPolicy
from monitor.audit.chain import AuditNote
from monitor.facts import AuditHead, BackupFailed, CheckpointFailed, CheckpointSaved
from monitor.pipeline import Pipeline
from monitor.runtime.checkpoint import BACKUP_EVERY, RETRY_AFTER, Checkpointer
from monitor.series.judging import Judging
from monitor.series.records import Record
from monitor.series.series import SeriesSpec
from monitor.sources.base import NO_TOPICS, NONE_VERIFIED
from monitor.store import files
from monitor.store.outbox import AddressedNotice, Backlog, Notice
from monitor.store.sqlite import StateError, StateStore
from monitor.stream.events import SECOND, MicroBatch, Nanos, Partition, SeriesKey
from monitor.stream.windows import WindowSpec
from tests.fakes import NOON, ListSource, ManualClock

MINUTE = 60 * SECOND
INTERVAL = 5.0
P0 = Partition("t", 0)
NOTE = AddressedNotice(Notice("id", "model.alert.firing", "churn/3/drift", NOON, b"{}"), ("trainer",))
SPEC = SeriesSpec(
    SeriesKey("churn", "3"),
    WindowSpec(MINUTE, MINUTE, 0),
    Judging(Reference.fit({"age": [1.0, 2.0, 3.0]}), MINUTE),
    RetrainPolicy(0, 3),
)


class Disk(StateStore):
    """A real store on a disk that can be full, and that can be asked what was saved before a commit."""

    full = False
    saves = 0

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
        if self.full:
            raise sqlite3.OperationalError("database or disk is full")
        self.saves += 1
        super().save(records, positions, notices, now, whole=whole, audited=audited, topics=topics, verified=verified)


class Scene:
    def __init__(self, directory: Path) -> None:
        self.clock = ManualClock()
        self.store = Disk(directory)
        self.source = ListSource({P0: [b"{}"] * 10})
        self.source.open({})
        self.pipeline = Pipeline([SPEC], idle_after=30 * SECOND)
        self.checkpointer = Checkpointer(self.store, self.pipeline, self.source, self.clock, INTERVAL)

    def read(self, time: int) -> None:
        """Read all there is; it happened at `time`."""
        self.source.poll(0)
        self.pipeline.ingest(MicroBatch(seen={P0: time}, assigned=frozenset({P0})), self.clock.now())
        self.pipeline.advance()


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    found = Scene(tmp_path)
    yield found
    found.store.close()


def test_positions_are_committed_after_they_are_saved(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    saved_before_commit = []

    def commit(positions: Mapping[Partition, int]) -> None:
        saved_before_commit.append((scene.store.positions(), dict(positions)))

    monkeypatch.setattr(scene.source, "commit", commit)
    scene.read(NOON)

    scene.checkpointer.save()

    assert saved_before_commit == [({P0: 10}, {P0: 10})]


def test_a_checkpoint_says_how_long_it_took_and_how_large_the_state_is(scene: Scene) -> None:
    *_, fact = scene.checkpointer.save()

    assert isinstance(fact, CheckpointSaved)
    assert (fact.at, fact.seconds) == (NOON, 0.0)
    assert fact.size > 0


def test_it_is_due_at_the_interval(scene: Scene) -> None:
    assert not scene.checkpointer.due
    scene.clock.advance(INTERVAL - 0.1)
    assert not scene.checkpointer.due
    scene.clock.advance(0.1)
    assert scene.checkpointer.due

    scene.checkpointer.save()

    assert not scene.checkpointer.due


def test_something_to_say_makes_it_due_at_once(scene: Scene) -> None:
    scene.checkpointer.add([NOTE])
    assert scene.checkpointer.due

    scene.checkpointer.save()

    assert not scene.checkpointer.due
    assert scene.store.backlog() == {"trainer": Backlog(1, NOON)}


def test_what_failed_to_be_saved_is_saved_with_the_next_try(scene: Scene) -> None:
    scene.read(NOON)
    scene.checkpointer.add([NOTE])
    scene.store.full = True

    assert scene.checkpointer.save() == [CheckpointFailed("database or disk is full")]
    assert scene.source.committed == []
    assert scene.checkpointer.failing == "state could not be saved: database or disk is full"
    assert (scene.store.records(), scene.store.positions(), scene.store.backlog()) == ([], {}, {})

    scene.store.full = False
    scene.checkpointer.save()

    assert scene.checkpointer.failing is None
    assert scene.source.committed == [{P0: 10}]
    assert scene.store.positions() == {P0: 10}
    assert scene.store.backlog() == {"trainer": Backlog(1, NOON)}
    restored = Pipeline([SPEC], idle_after=30 * SECOND)
    restored.restore(scene.store.records(), scene.clock.now())
    assert restored.watermark.value == NOON


def test_of_a_record_that_changed_between_tries_the_last_is_saved(scene: Scene) -> None:
    scene.store.full = True
    scene.read(NOON)
    scene.checkpointer.save()
    scene.read(NOON + MINUTE)
    scene.checkpointer.save()

    scene.store.full = False
    scene.checkpointer.save()

    restored = Pipeline([SPEC], idle_after=30 * SECOND)
    restored.restore(scene.store.records(), scene.clock.now())
    assert restored.watermark.value == NOON + MINUTE


def test_a_failing_disk_is_tried_every_second_even_with_something_to_say(scene: Scene) -> None:
    scene.checkpointer.add([NOTE])
    scene.store.full = True
    scene.checkpointer.save()

    assert not scene.checkpointer.due
    scene.clock.advance(RETRY_AFTER)
    assert scene.checkpointer.due


def test_what_did_not_change_is_not_written_again(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []
    save = scene.store.save

    def counted(records: Collection[Record], *rest: Any, **more: Any) -> None:
        written.append(len(records))
        save(records, *rest, **more)

    monkeypatch.setattr(scene.store, "save", counted)
    scene.read(NOON)

    scene.checkpointer.save()
    scene.checkpointer.save()

    assert written[0] > 0
    assert written[1] == 0


def test_what_is_to_be_audited_waits_for_the_save_that_holds_what_it_is_about(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.checkpointer.note([AuditNote(1, "state.reset"), AuditNote(2, "state.reset")])
    scene.store.full = True
    scene.checkpointer.save()
    assert scene.store.audit_head.seq == 0

    scene.store.full = False
    facts = scene.checkpointer.save()
    scene.checkpointer.save()

    assert scene.store.audit_head.seq == 2
    assert [(fact.seq, fact.hash) for fact in facts if isinstance(fact, AuditHead)] == [
        (2, scene.store.audit_head.hash.hex())
    ]


def test_the_head_of_the_audit_log_is_told_once_an_hour_where_it_has_grown(tmp_path: Path) -> None:
    scene = Scene(tmp_path)

    def heads(*notes: AuditNote) -> list[int]:
        scene.checkpointer.note(notes)
        return [fact.seq for fact in scene.checkpointer.save() if isinstance(fact, AuditHead)]

    assert heads() == []  # nothing is written yet
    assert heads(AuditNote(1, "state.reset")) == [1]
    assert heads(AuditNote(2, "state.reset")) == []
    scene.clock.advance(3600)
    assert heads() == [2]
    scene.clock.advance(3600)
    assert heads() == []


@pytest.mark.parametrize("how", ["deleted", "replaced", "directory moved", "lock deleted"])
def test_a_state_that_is_taken_away_is_noticed_before_anything_is_saved_into_nothing(
    scene: Scene, tmp_path: Path, how: str
) -> None:
    scene.checkpointer.save()
    scene.read(NOON)
    directory = scene.store.directory
    match how:
        case "deleted":
            scene.store.path.unlink()
        case "replaced":
            other = StateStore(tmp_path / "other")
            other.close()
            other.path.replace(scene.store.path)
        case "directory moved":
            directory.rename(tmp_path.with_name(tmp_path.name + "-moved"))
        case _:
            (directory / "lock").unlink()

    with pytest.raises(StateError, match=r"driftd\.sqlite3 was deleted or replaced while driftd ran"):
        scene.checkpointer.save()

    assert scene.source.committed == [{P0: 0}]
    assert scene.checkpointer.failing is not None


def test_a_backup_is_made_at_once_where_there_is_none_and_then_each_quarter_of_an_hour(scene: Scene) -> None:
    def made() -> int:
        scene.checkpointer.save()
        if scene.store._backing_up is not None:
            scene.store._backing_up.join(20)
        return len(files.backups(scene.store.directory))

    assert [made(), made()] == [1, 1]
    scene.clock.advance(BACKUP_EVERY)
    assert [made(), made()] == [2, 2]


def test_a_backup_that_cannot_be_made_is_told_and_holds_nothing_up(scene: Scene) -> None:
    files.new_backup(scene.store.directory).mkdir()

    facts = scene.checkpointer.save()

    assert [type(fact) for fact in facts][-1] is BackupFailed
    assert scene.checkpointer.failing is None
