"""The outbox against a model of it: a list that is gone through. What is due first, what waits, what went where."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.store.outbox import AddressedNotice, Backlog, Notice, Undelivered
from monitor.store.sqlite import StateStore
from monitor.stream.events import SECOND
from tests.fakes import NOON

TARGETS, SUBJECTS = ("a", "b"), ("churn/drift", "churn/high", "fraud/drift")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("say"), st.sampled_from(TARGETS), st.sampled_from(SUBJECTS)),
        st.tuples(st.sampled_from(["take", "give_up", "put_off"]), st.sampled_from(TARGETS), st.integers(1, 100)),
        st.tuples(st.sampled_from(["retry", "drop", "move"]), st.sampled_from(TARGETS), st.integers(0, 30)),
        st.tuples(st.just("wait"), st.just(""), st.integers(1, 60)),
    ),
    max_size=40,
)


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


@settings(max_examples=30, deadline=None)
@given(STEPS)
def test_what_is_due_waits_and_moves_is_what_a_list_says(steps: list[tuple[str, str, Any]]) -> None:
    with TemporaryDirectory() as home:
        store, model, now = StateStore(Path(home)), Model(), NOON
        store._db.execute("PRAGMA synchronous = OFF")
        try:
            for number, step in enumerate(steps):
                now = follow(store, model, step, now, number)
                for target in TARGETS:
                    row = store.next_due(target, now)
                    assert ({row.notice.id} if row is not None else set()) <= model.due(target, now)
                    assert (row is None) == (not model.due(target, now))
                assert store.backlog() == model.backlog()
            left = [(row.name, row.target, row.status) for row in model.rows if row.status in {"pending", "dead"}]
            assert [(row.id, row.target, row.status) for row in store.undelivered()] == left
        finally:
            store.close()


def follow(store: StateStore, model: Model, step: tuple[str, str, Any], now: int, number: int) -> int:
    """Do the same to both; the time after it."""
    what, target, more = step
    match what:
        case "wait":
            return now + more * SECOND
        case "say":
            said = Notice(f"n{number}", "model.retrain.requested", more, NOON, b"{}")
            store.save([], {}, [AddressedNotice(said, (target,))], now)
            model.rows.append(Row(said.id, target, more, now, now))
        case "retry" | "drop" | "move":
            chosen = [row for row in store.undelivered() if row.target == target][more : more + 3]
            decide(store, model, what, chosen, now)
        case _:
            attempt(store, model, what, target, now, more)
    return now


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
