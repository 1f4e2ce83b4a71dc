"""The outbox against a model of it: a list that is gone through. What is due first, what waits, what went where."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis.stateful import initialize, rule

from monitor.store.outbox import AddressedNotice, Backlog, Notice, Undelivered
from monitor.store.sqlite import StateStore
from monitor.stream.events import SECOND
from tests.fakes import NOON
from tests.walks import Walk, moves, walk

MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # a disk would only make it slow
TARGETS, SUBJECTS = ("a", "b"), ("churn/drift", "churn/high", "fraud/drift")


@dataclass
class Row:
    """A delivery."""

    name: str
    target: str
    subject: str
    created: int
    due: int
    status: str = "pending"


class Model:
    """All deliveries, in the order in which they were said."""

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def heads(self, target: str) -> list[Row]:
        """The first of each subject that waits."""
        found: dict[str, Row] = {}
        for row in self.rows:
            if (row.target, row.status) == (target, "pending"):
                found.setdefault(row.subject, row)
        return [*found.values()]

    def due(self, target: str, now: int) -> set[str]:
        """Those that may be delivered now."""
        return {row.name for row in self.heads(target) if row.due <= now}

    def backlog(self) -> dict[str, Backlog]:
        """What waits."""
        waiting = {
            target: [row for row in self.rows if (row.target, row.status) == (target, "pending")] for target in TARGETS
        }
        return {name: Backlog(len(rows), min(row.created for row in rows)) for name, rows in waiting.items() if rows}

    def again(self, row: Row, now: int, to: str | None) -> None:
        """As a new one."""
        row.status, row.created, row.due = "pending", now, now
        row.target = to or row.target


class Outbox(Walk):
    """A store and the list; both are asked after each step what is due."""

    @initialize()
    def begin(self) -> None:
        self.home = TemporaryDirectory(dir=MEMORY)
        self.model, self.now, self.number = Model(), NOON, 0
        self.open()

    def open(self) -> None:
        self.store = StateStore(Path(self.home.name))
        self.store._db.execute("PRAGMA synchronous = OFF")

    @rule(moves=moves)
    def go_on(self, moves: bytes) -> None:
        for move in moves:
            self.count()
            self.step(move % 10, TARGETS[move // 10 % 2], move // 20)
            for target in TARGETS:
                row = self.store.next_due(target, self.now)
                assert ({row.notice.id} if row is not None else set()) <= self.model.due(target, self.now)
                assert (row is None) == (not self.model.due(target, self.now))
            assert self.store.backlog() == self.model.backlog()
        left = [(row.name, row.target, row.status) for row in self.model.rows if row.status in {"pending", "dead"}]
        assert [(row.id, row.target, row.status) for row in self.store.undelivered()] == left
        if moves[0] % 8 == 0:
            self.restart()

    def restart(self) -> None:
        self.store.close()
        self.open()

    def step(self, what: int, target: str, more: int) -> None:
        self.number += 1
        match what:
            case 0 | 1 | 2:
                said = Notice(f"n{self.number}", "model.retrain.requested", SUBJECTS[more % 3], NOON, b"{}")
                self.store.save([], {}, [AddressedNotice(said, (target,))], self.now)
                self.model.rows.append(Row(said.id, target, said.subject, self.now, self.now))
            case 3 | 4 | 5:
                attempt(
                    self.store, self.model, ("take", "give_up", "put_off")[what - 3], target, self.now, 1 + 8 * more
                )
            case 6 | 7 | 8:
                chosen = [row for row in self.store.undelivered() if row.target == target][more : more + 3]
                decide(self.store, self.model, ("retry", "drop", "move")[what - 6], chosen, self.now)
            case _:
                self.now += (1 + 5 * more) * SECOND

    def teardown(self) -> None:
        self.store.close()
        self.home.cleanup()


def test_what_is_due_waits_and_moves_is_what_a_list_says() -> None:
    walk(Outbox, 4_000)


def attempt(store: StateStore, model: Model, what: str, target: str, now: int, seconds: int) -> None:
    row = store.next_due(target, now)
    if row is None:
        return
    (mine,) = (each for each in model.rows if each.name == row.notice.id)
    if what == "take":
        store.delivered(row)
        mine.status = "delivered"
    elif what == "give_up":
        store.dead(row)
        mine.status = "dead"
    else:
        store.postpone(row, now + seconds * SECOND)
        mine.due = now + seconds * SECOND


def decide(store: StateStore, model: Model, what: str, chosen: list[Undelivered], now: int) -> None:
    names = {row.id for row in chosen}
    mine = [row for row in model.rows if row.name in names]
    if what == "drop":
        store.drop(chosen)
        for row in mine:
            row.status = "dropped"
    else:
        to = {"a": "b", "b": "a"}[chosen[0].target] if what == "move" and chosen else None
        before = {(row.target, row.subject): row for target in TARGETS for row in model.heads(target)}
        assert len(store.retry(chosen, now, to=to)) == len(chosen)
        for row in mine:
            model.again(row, now, to)
        for (target, subject), head in before.items():  # who led and leads no more is due as soon as it leads again
            if head.status == "pending" and all(
                each is not head for each in model.heads(target) if each.subject == subject
            ):
                head.due = min(head.due, head.created)
