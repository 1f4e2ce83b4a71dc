"""One judge partition at work: what is told waits until others could take it up, and what cannot be used is said."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from monitor.explain.explainer import Explainer
from monitor.replicas.cells import SourceLog
from monitor.replicas.folding import SentRecord
from monitor.replicas.owner import ReplicaOwner
from monitor.runtime.board import Board, SeriesBoard
from monitor.runtime.replica.judging import Begins, MovingStore, PartitionJudge
from monitor.runtime.telemetry import Telemetry
from monitor.stream.events import SECOND, Partition
from monitor.targets.payloads import Sender
from tests.build import KEY, at, make_rule, make_spec
from tests.fakes import NOON, ListTarget, ManualClock, subscriber
from tests.replicated import LOGS, LoggedEvent, Logs

COUNTS = "driftd.driftd-counts"
SHIFTED = 99.0  # of which a window breaches
LOG = LOGS[0]


def logs() -> Logs:
    """One log: a window that breaches, and an event behind it that closes it."""
    spec = make_spec(rules=(make_rule(),))
    events = [LoggedEvent(number, at(0) + number * SECOND // 10, KEY, None) for number in range(200)]
    return Logs.of({LOG: [*events, LoggedEvent(200, at(5), None)]}, [spec], length=1000)


class Scene:
    """A judge of one log over a directory, and one target."""

    def __init__(self, home: Path, image: bytes | None = None, *, begins: Begins | None = None) -> None:
        self.logs = logs()
        self.clock = ManualClock()
        self.ours = True
        self.unknown = list[SourceLog]()
        self.group: Begins | None = {}
        self.told = subscriber()
        pipeline = self.logs.pipeline()
        (spec,) = self.logs.specs
        about = spec.reference.hash, spec.reference.rows, {rule.name: "warning" for rule in spec.rules}
        self.board = Board({spec.key: SeriesBoard(*about, spec.windows.length, spec.judging.calibration)})
        self.store = MovingStore(home / "judge-0", image, None, lambda: self.ours)
        self.judge = PartitionJudge(
            0,
            ReplicaOwner(pipeline, self.logs.plan, self.logs.places),
            Explainer({spec.key: spec.reference}, pipeline.watermark.behind),
            self.store,
            COUNTS,
            clock=self.clock,
            interval=5.0,
            telemetry=Telemetry(self.board, self.clock.now),
            subscribers=[self.told],
            sender=Sender("0123", "1", None, None, ""),
        )
        self.judge.begin(self.store.records(), NOON)
        self.judge.expect(self.logs.begins if begins is None else begins, NOON)

    def sent(self, end: int = 201) -> list[SentRecord]:
        """What a folder sends of all before an offset."""
        folder = self.logs.folder(LOG, 0)
        return folder.read(self.logs.between(LOG, 0, end), NOON) or folder.flush(NOON)

    def hear(self, records: list[SentRecord], first: int = 0) -> int:
        values = [(first + number, each.value) for number, each in enumerate(records)]
        return self.judge.hear(values, NOON, self.asked)

    def asked(self, log: SourceLog) -> Begins | None:
        """What the group says when it is asked of a log that is unknown."""
        self.unknown.append(log)
        return self.group

    @property
    def notices(self) -> list[Any]:
        target = self.told.target
        assert isinstance(target, ListTarget)
        return target.notices

    def due(self) -> bool:
        return self.store.next_due(self.told.name, self.clock.now()) is not None


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path)
    yield made
    made.judge.close()


def breached(scene: Scene) -> None:
    """An alert that fires, saved."""
    scene.judge.hush()  # its own thread tells nothing: the test asks
    scene.judge.release()
    scene.hear(scene.sent())
    assert scene.judge.due
    scene.judge.save()


def test_nothing_is_told_before_others_could_take_it_up(scene: Scene) -> None:
    breached(scene)
    assert scene.store.backlog()[scene.told.name].pending == 1
    assert not scene.due()

    scene.judge.release()

    assert scene.due()


def test_what_the_next_checkpoint_adds_waits_again(scene: Scene) -> None:
    breached(scene)
    scene.judge.release()
    scene.judge.save()

    assert not scene.due()


def test_who_was_away_for_long_tells_nothing(scene: Scene) -> None:
    breached(scene)
    scene.judge.release()
    scene.ours = False

    assert not scene.due()
    assert scene.store.standing_notice(scene.told.name, "any") is None


def test_a_delivery_is_to_be_known_to_who_takes_over(scene: Scene) -> None:
    breached(scene)
    scene.judge.release()
    row = scene.store.next_due(scene.told.name, scene.clock.now())
    assert row is not None
    scene.judge.image()
    assert not scene.store.acknowledged

    scene.store.delivered(row)

    assert scene.store.acknowledged


def test_who_takes_over_goes_on_where_the_snapshot_ends(scene: Scene, tmp_path: Path) -> None:
    """With what is owed, and without what it has told."""
    breached(scene)
    image = scene.judge.image()

    other = Scene(tmp_path / "other", image)

    assert other.judge.position.positions() == {Partition(COUNTS, 0): len(scene.sent())}
    assert other.store.backlog()[other.told.name].pending == 1
    assert [fact for fact in other.judge.current() if type(fact).__name__ == "AlertSeen"]
    other.hear(other.sent(), first=len(scene.sent()))  # what comes again changes nothing
    other.judge.save()
    assert other.store.backlog()[other.told.name].pending == 1
    other.judge.close()


def test_what_lies_in_the_directory_is_not_looked_at(scene: Scene, tmp_path: Path) -> None:
    breached(scene)

    again = Scene(tmp_path)  # of a process that was killed

    assert again.store.backlog() == {}
    assert again.judge.position.positions() == {}
    again.judge.close()


def test_what_cannot_be_used_is_counted_under_its_reason(scene: Scene) -> None:
    foreign = [SentRecord(0, b"", b"nothing of ours"), SentRecord(0, b"", scene.sent()[0].value[:-3])]

    scene.hear(foreign)

    counted = scene.board.counters["driftd_replica_quarantined_total"]
    assert counted == {("foreign",): 1, ("truncated",): 1}
    assert scene.judge.position.offset == 2
    assert scene.judge.trouble is None


def test_counts_that_did_not_come_are_said_until_they_have(scene: Scene) -> None:
    prefix, *progress = scene.sent()

    scene.hear(progress)
    assert "no counts of [0, 201)" in str(scene.judge.trouble)
    assert len(scene.board.counts_missing) == 1

    scene.hear([prefix])
    assert scene.judge.trouble is None
    assert scene.board.counts_missing == frozenset()


def test_a_log_that_is_new_is_asked_for_and_nothing_of_it_is_put_aside(tmp_path: Path) -> None:
    """As a partition that was added, whose counts are here before anybody has looked for partitions."""
    scene = Scene(tmp_path, begins={LOGS[1]: 0})
    scene.group = {LOGS[1]: 0, LOG: 0}

    assert scene.hear(scene.sent()) == len(scene.sent())

    assert scene.unknown == [LOG]
    assert not scene.board.counters.get("driftd_replica_quarantined_total")
    assert scene.judge.trouble is None
    assert scene.judge.position.offset == len(scene.sent())
    scene.judge.close()


def test_where_the_group_does_not_answer_what_is_left_is_heard_again(tmp_path: Path) -> None:
    scene = Scene(tmp_path, begins={LOGS[1]: 0})
    scene.group = None

    assert scene.hear(scene.sent()) == 0
    assert scene.judge.position.offset is None

    scene.group = {}
    assert scene.hear(scene.sent()) == len(scene.sent())
    assert sum(scene.board.counters["driftd_replica_quarantined_total"].values()) == len(scene.sent())
    scene.judge.close()
