"""State on disk: all of a checkpoint or nothing, one daemon at a time, nothing of others touched."""

import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from monitor.series.records import Record
from monitor.store.outbox import KEPT_ENDED, AddressedNotice, Backlog, Notice, OutboxRow
from monitor.store.schema import SCHEMA_VERSION
from monitor.store.sqlite import StateError, StateStore
from monitor.stream.events import Partition
from tests.fakes import NOON

P0 = Partition("t", 0)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[StateStore]:
    found = StateStore(tmp_path / "state")
    yield found
    found.close()


def note(name: str, *targets: str, subject: str = "churn/3/drift") -> AddressedNotice:
    return AddressedNotice(
        Notice(name, "model.alert.firing", subject, NOON, b'{"said":"%b"}' % name.encode()), targets or ("trainer",)
    )


def save(store: StateStore, *notices: AddressedNotice, now: int = NOON) -> None:
    store.save([], {}, notices, now)


def due(store: StateStore, target: str = "trainer", *, now: int = NOON) -> str | None:
    row = store.next_due(target, now)
    return None if row is None else row.notice.id


def deliver(store: StateStore, target: str = "trainer") -> None:
    row = store.next_due(target, NOON)
    assert row is not None
    store.delivered(row)


def reopened(store: StateStore) -> StateStore:
    store.close()
    return StateStore(store.directory)


def test_a_disk_that_fails_as_a_whole_state_is_taken_up_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(database: sqlite3.Connection) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    StateStore(tmp_path).close()
    with monkeypatch.context() as failing:
        failing.setattr("monitor.store.audit.head", fails)
        with pytest.raises(StateError, match=r"cannot be read: disk I/O error$"):
            StateStore(tmp_path)
    StateStore(tmp_path).close()  # nothing holds it


# --- checkpoints ------------------------------------------------------------------------------------------------------


def test_what_is_saved_is_there_after_a_restart(tmp_path: Path) -> None:
    store = StateStore(tmp_path)
    store.save([Record("series", "k", b"1")], {P0: 5}, [note("a")], NOON, topics={"t": "id"}, verified={P0: 3})

    store = reopened(store)

    assert store.records() == [Record("series", "k", b"1")]
    assert store.positions() == {P0: 5}
    assert (store.topics(), store.verified()) == ({"t": "id"}, {P0: 3})
    assert due(store) == "a"
    store.close()


def test_a_later_checkpoint_replaces_changes_and_deletes(store: StateStore) -> None:
    store.save([Record("pane", "1", b"a"), Record("pane", "2", b"b")], {P0: 5, Partition("t", 1): 1}, [], NOON)

    store.save([Record("pane", "1", None), Record("pane", "2", b"c"), Record("pane", "3", b"d")], {P0: 9}, [], NOON)

    assert store.records() == [Record("pane", "2", b"c"), Record("pane", "3", b"d")]
    assert store.positions() == {P0: 9, Partition("t", 1): 1}


class Unwritable:
    """No value of SQLite's: writing it fails in the middle."""


@pytest.mark.parametrize("broken", ["record", "position", "notice"])
def test_a_checkpoint_that_fails_midway_leaves_the_old_state(store: StateStore, broken: str) -> None:
    store.save([Record("pane", "1", b"old")], {P0: 1}, [note("a")], NOON)
    bad: Any = Unwritable()
    records = [Record("pane", "1", b"new"), Record("pane", "2", bad if broken == "record" else b"new")]
    positions = {P0: 2, Partition("t", 1): bad if broken == "position" else 2}
    notes = [note("b"), bad_note(bad) if broken == "notice" else note("c")]

    with pytest.raises(sqlite3.Error):
        store.save(records, positions, notes, NOON)

    assert store.records() == [Record("pane", "1", b"old")]
    assert store.positions() == {P0: 1}
    assert store.backlog() == {"trainer": Backlog(1, NOON)}
    store.save([Record("pane", "1", b"new")], {P0: 2}, [note("b")], NOON)
    assert (store.records(), store.positions()) == ([Record("pane", "1", b"new")], {P0: 2})


def bad_note(bad: Any) -> AddressedNotice:
    return AddressedNotice(Notice("c", "model.alert.firing", "s", NOON, bad), ("trainer",))


def test_replacing_all_records_is_all_or_nothing(store: StateStore) -> None:
    store.save([Record("pane", "1", b"old")], {P0: 1}, [], NOON)

    with pytest.raises(sqlite3.Error):
        store.save([Record("pane", "2", b"new")], {P0: 2}, [bad_note(object())], NOON, whole=True)
    assert store.records() == [Record("pane", "1", b"old")]

    store.save([Record("pane", "2", b"new")], {P0: 2}, [], NOON, whole=True)
    assert store.records() == [Record("pane", "2", b"new")]
    assert store.positions() == {P0: 2}


def test_a_killed_writer_leaves_the_last_checkpoint(tmp_path: Path) -> None:
    """The process dies inside a transaction, without a word."""
    script = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from monitor.series.records import Record\n"
        "from monitor.store.sqlite import StateStore\n"
        "from monitor.stream.events import Partition\n"
        "store = StateStore(Path(sys.argv[1]))\n"
        "store.save([Record('pane', '1', b'saved')], {Partition('t', 0): 1}, [], 1)\n"
        "class Deadly:\n"
        "    def __conform__(self, protocol): os._exit(9)\n"
        "store.save([Record('pane', '1', b'lost'), Record('pane', '2', Deadly())], {Partition('t', 0): 2}, [], 2)\n"
    )

    assert subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False).returncode == 9

    store = StateStore(tmp_path)
    assert store.records() == [Record("pane", "1", b"saved")]
    assert store.positions() == {P0: 1}
    store.close()


# --- outbox -----------------------------------------------------------------------------------------------------------


def test_the_same_notice_is_said_once(store: StateStore) -> None:
    save(store, note("a"))
    save(store, note("a"), note("a", "pager"))

    assert store.backlog() == {"trainer": Backlog(1, NOON), "pager": Backlog(1, NOON)}


def test_a_delivered_notice_is_not_said_again(store: StateStore) -> None:
    save(store, note("a"))
    deliver(store)

    save(store, note("a"))

    assert due(store) is None


def test_within_a_subject_the_first_goes_first(store: StateStore) -> None:
    save(store, note("firing"), note("resolved"), note("other", subject="fraud/1/drift"))
    first = store.next_due("trainer", NOON)
    assert first is not None
    assert first.notice.id == "firing"

    store.postpone(first, NOON + 10)

    assert due(store) == "other"
    other = store.next_due("trainer", NOON)
    assert other is not None
    store.delivered(other)
    assert due(store) is None  # not "resolved" before "firing"
    assert due(store, now=NOON + 10) == "firing"
    store.delivered(first)
    assert due(store) == "resolved"


def test_a_dead_notice_holds_nothing_back(store: StateStore) -> None:
    save(store, note("firing"), note("resolved"))
    first = store.next_due("trainer", NOON)
    assert first is not None

    store.dead(first)

    assert due(store) == "resolved"


def test_targets_do_not_wait_for_each_other(store: StateStore) -> None:
    save(store, note("a"), note("a", "pager"))

    assert due(store, "pager") == "a"
    assert due(store, "nobody") is None


def test_attempts_are_counted(store: StateStore) -> None:
    save(store, note("a"))
    for attempts in range(3):
        row = store.next_due("trainer", NOON)
        assert row is not None
        assert row.attempts == attempts
        store.postpone(row, NOON)


def test_old_deliveries_are_forgotten_and_data_at_once(store: StateStore) -> None:
    extra = 5
    save(store, *(note(f"n{at}", subject=str(at)) for at in range(KEPT_ENDED + extra)))
    while (row := store.next_due("trainer", NOON)) is not None:
        store.delivered(row)

    kept = store._db.execute("SELECT COUNT(*), COUNT(data), MIN(seq) FROM notice").fetchone()

    assert kept == (KEPT_ENDED, 0, extra + 1)
    assert store._db.execute("SELECT COUNT(*), MIN(seq) FROM delivery").fetchone() == (KEPT_ENDED, extra + 1)


def test_a_notice_for_three_targets_is_kept_once_and_as_long_as_one_waits(store: StateStore) -> None:
    save(store, note("a", "trainer", "pager", "board"))

    def kept() -> list[Any]:
        return store._db.execute("SELECT id, data FROM notice").fetchall()

    for target in ("trainer", "pager", "board"):
        assert kept() == [("a", b'{"said":"a"}')]
        assert store.backlog()[target] == Backlog(1, NOON)
        deliver(store, target)
    assert kept() == [("a", None)]
    assert store.backlog() == {}


def test_a_new_target_is_told_what_others_were_told_before(store: StateStore) -> None:
    """A replay says it again: whoever was told is left alone, whoever was not hears all of it."""
    save(store, note("a"))
    deliver(store)

    save(store, note("a", "trainer", "pager"))

    assert due(store) is None
    row = store.next_due("pager", NOON)
    assert row is not None
    assert row.notice == note("a").notice


def test_dead_notices_keep_their_data(store: StateStore) -> None:
    save(store, note("a"))
    row = store.next_due("trainer", NOON)
    assert row is not None
    store.dead(row)

    assert store._db.execute("SELECT data FROM notice").fetchone() == (b'{"said":"a"}',)
    assert store.backlog() == {}


# --- whose directory it is --------------------------------------------------------------------------------------------


def test_a_second_daemon_is_refused(store: StateStore) -> None:
    with pytest.raises(StateError) as refused:
        StateStore(store.directory)

    assert str(refused.value) == f"state: {store.directory} is in use by another driftd"
    save(store, note("a"))  # and the first one goes on


def test_after_a_refusal_the_directory_is_free_again(tmp_path: Path) -> None:
    (tmp_path / "driftd.sqlite3").write_bytes(b"garbage" * 1000)
    for _ in range(2):
        with pytest.raises(StateError, match="cannot be read"):
            StateStore(tmp_path)

    (tmp_path / "driftd.sqlite3").unlink()
    StateStore(tmp_path).close()


def make_database(directory: Path, script: str) -> bytes:
    with sqlite3.connect(directory / "driftd.sqlite3") as database:
        database.executescript(script)
    database.close()
    return (directory / "driftd.sqlite3").read_bytes()


def test_positions_of_a_topic_go_with_it_where_the_one_made_anew_has_fewer_partitions(tmp_path: Path) -> None:
    """What was read of a partition says nothing of the one that has its number later."""
    store, other = StateStore(tmp_path), Partition("other", 1)
    before = {P0: 5, Partition("t", 1): 7, other: 2}
    store.save([], before, [], NOON, topics={"t": "id", "other": "same"}, verified=before)

    store.save([], {P0: 1}, [], NOON, topics={"t": "id of the next", "other": "same"}, verified={P0: 0})

    assert store.positions() == {P0: 1, other: 2}
    assert store.verified() == {P0: 0, other: 2}
    store.close()


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    StateStore(tmp_path).close()
    before = make_database(tmp_path, f"PRAGMA user_version = {SCHEMA_VERSION + 1}")

    with pytest.raises(StateError, match=r"was written by a newer driftd \(format 9; this one reads 8\)$"):
        StateStore(tmp_path)

    assert (tmp_path / "driftd.sqlite3").read_bytes() == before


@pytest.mark.parametrize(
    "script",
    [
        "CREATE TABLE theirs (a)",
        "PRAGMA user_version = 1",
        "PRAGMA user_version = 7; CREATE TABLE theirs (a)",
        "PRAGMA application_id = 5",
    ],
)
def test_the_database_of_another_program_is_refused_and_left_alone(tmp_path: Path, script: str) -> None:
    before = make_database(tmp_path, script)

    with pytest.raises(StateError, match=r"is not a state of driftd"):
        StateStore(tmp_path)

    assert (tmp_path / "driftd.sqlite3").read_bytes() == before


@pytest.mark.parametrize("size", [100, 4096, 100_000])
def test_garbage_is_refused(tmp_path: Path, size: int) -> None:
    (tmp_path / "driftd.sqlite3").write_bytes(b"\x9f" * size)

    with pytest.raises(StateError, match=r"cannot be read: .*; move it away to begin anew"):
        StateStore(tmp_path)


def test_a_damaged_state_is_refused(tmp_path: Path) -> None:
    store = StateStore(tmp_path)
    store.save([Record("pane", str(at), bytes(5000)) for at in range(50)], {}, [], NOON)
    store.close()
    file = tmp_path / "driftd.sqlite3"
    content = bytearray(file.read_bytes())
    content[4096 : 3 * 4096] = b"\xff" * 8192
    file.write_bytes(content)

    with pytest.raises(StateError, match="cannot be read"):
        StateStore(tmp_path)


def test_a_file_in_place_of_the_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")

    with pytest.raises(StateError, match="state cannot be used: File exists"):
        StateStore(tmp_path / "state")
    with pytest.raises(StateError, match="cannot be used: Not a directory"):
        StateStore(tmp_path / "state" / "below")


def test_a_lock_that_leads_elsewhere_is_refused(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(StateError, match="cannot be used"):
        StateStore(tmp_path)

    assert not (tmp_path / "elsewhere").exists()


def test_a_directory_that_cannot_be_written_is_refused() -> None:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name) / "state"
        directory.mkdir()
        Path(name).chmod(0o755)
        directory.chmod(0o555)
        root = os.geteuid() == 0
        if root:  # who may write everywhere: be nobody for a moment
            os.seteuid(65534)
        try:
            with pytest.raises(StateError, match="cannot be used: Permission denied"):
                StateStore(directory)
        finally:
            if root:
                os.seteuid(0)


def test_the_directory_is_made_for_the_daemon_alone(tmp_path: Path) -> None:
    StateStore(tmp_path / "a" / "state").close()

    assert (tmp_path / "a" / "state").stat().st_mode & 0o777 == 0o700


def test_the_size_is_what_lies_on_disk(store: StateStore) -> None:
    before = store.size()
    store.save([Record("pane", "1", bytes(100_000))], {}, [], NOON)

    assert store.size() >= before + 100_000


# --- what people do with it -------------------------------------------------------------------------------------------


def give_up(store: StateStore, target: str = "trainer") -> None:
    row = store.next_due(target, NOON)
    assert row is not None
    store.dead(row)


def test_what_was_given_up_is_listed_and_tried_again_as_if_it_were_new(store: StateStore) -> None:
    save(store, note("a"), note("b", subject="other"))
    give_up(store)
    assert [(row.id, row.status, row.attempts) for row in store.undelivered()] == [
        ("a", "dead", 1),
        ("b", "pending", 0),
    ]

    later = NOON + 10**12
    assert [row.id for row in store.retry(store.undelivered()[:1], later)] == ["a"]

    assert next((row.id, row.status, row.attempts, row.created) for row in store.undelivered()) == (
        "a",
        "pending",
        0,
        later,
    )
    row = store.next_due("trainer", later)
    assert row is not None
    assert row.notice.data == b'{"said":"a"}'


def test_an_alert_that_has_moved_on_is_not_told_again_as_it_was(store: StateStore) -> None:
    """Alertmanager opens an alert again that is told firing after it was told resolved."""
    save(store, note("a"))
    give_up(store)
    save(store, note("b"))
    deliver(store)

    assert store.retry(store.undelivered(), NOON) == []
    assert [row.status for row in store.undelivered()] == ["dead"]


def test_what_is_dropped_is_neither_delivered_nor_said_anew(store: StateStore) -> None:
    save(store, note("a", "trainer", "pager"), note("b"))

    store.drop([row for row in store.undelivered() if row.target == "trainer" and row.id == "a"])

    assert due(store) == "b"
    assert due(store, "pager") == "a"
    save(store, note("a", "trainer"))
    assert [(row.target, row.id) for row in store.undelivered()] == [("pager", "a"), ("trainer", "b")]
    deliver(store, "pager")
    assert store._db.execute("SELECT data FROM notice WHERE id = 'a'").fetchone() == (None,)


def ends(name: str, *targets: str) -> AddressedNotice:
    """An end of the same alert."""
    said = note(name, *targets)
    return replace(said, notice=replace(said.notice, type="model.alert.resolved"))


@pytest.mark.parametrize("dropped", [False, True])
def test_what_opens_is_not_said_without_its_end(store: StateStore, dropped: bool) -> None:
    """It would stand open for good."""
    save(store, note("a"), ends("b"))
    give_up(store)
    give_up(store)
    first, end = store.undelivered()
    if dropped:
        store.drop([end])

    assert store.retry([first], NOON) == []
    assert [row.status for row in store.undelivered()] == ["dead"] * (1 if dropped else 2)


def test_both_given_up_are_tried_again_in_their_order(store: StateStore) -> None:
    save(store, note("a"), ends("b"))
    give_up(store)
    give_up(store)

    assert [row.id for row in store.retry(store.undelivered()[::-1], NOON)] == ["b", "a"]
    assert due(store) == "a"
    deliver(store)
    assert due(store) == "b"


def test_an_end_that_still_waits_lets_what_opened_be_tried_again(store: StateStore) -> None:
    save(store, note("a"), ends("b"))
    give_up(store)

    assert [row.id for row in store.retry(store.undelivered()[:1], NOON)] == ["a"]


def test_what_is_dropped_in_flight_stays_dropped(store: StateStore) -> None:
    save(store, note("a"))
    row = store.next_due("trainer", NOON)
    assert row is not None
    store.drop(store.undelivered())
    store.dead(row)

    assert store.undelivered() == []


def test_what_one_target_is_owed_goes_to_another_in_its_order_and_under_its_ids(store: StateStore) -> None:
    save(store, note("a", "old"), note("x", "new"), ends("b", "old"), note("c", "old", subject="other"))

    moved = store.retry([row for row in store.undelivered() if row.target == "old"], NOON + 1, to="new")

    assert [row.id for row in moved] == ["a", "b", "c"]
    assert store.backlog() == {"new": Backlog(4, NOON)}
    delivered = []
    while (row := store.next_due("new", NOON + 1)) is not None:
        delivered.append(row.notice.id)
        store.delivered(row)
    assert sorted(delivered) == ["a", "b", "c", "x"]
    assert [name for name in delivered if name != "c"] == ["a", "x", "b"]  # of one subject as they were said
    assert delivered.index("a") < delivered.index("b")


def test_what_another_target_was_told_since_overtakes_what_is_moved(store: StateStore) -> None:
    save(store, note("a", "old"), ends("b", "new"))
    deliver(store, "new")

    assert store.retry(store.undelivered(), NOON, to="new") == []
    assert [(row.target, row.id) for row in store.undelivered()] == [("old", "a")]


def test_what_another_target_has_is_not_said_to_it_twice(store: StateStore) -> None:
    save(store, note("a", "old", "new"))
    deliver(store, "new")

    assert [row.id for row in store.retry(store.undelivered(), NOON, to="new")] == ["a"]
    assert store.undelivered() == []
    assert due(store, "new") is None


def steps(store: StateStore, act: Callable[[], object]) -> int:
    """How many hundred steps of SQLite's machine something takes."""
    taken: list[None] = []
    store._db.set_progress_handler(lambda: taken.append(None), 100)
    act()
    store._db.set_progress_handler(None, 0)
    return len(taken)


def test_ten_thousand_that_wait_behind_one_cost_those_that_are_due_nothing(store: StateStore) -> None:
    save(store, *(note(f"n{number}") for number in range(10_000)), note("other", subject="other"))
    first = store.next_due("trainer", NOON)
    assert first is not None
    store.postpone(first, NOON + 10**12)
    other = store.next_due("trainer", NOON)
    assert other is not None
    assert other.notice.id == "other"

    assert steps(store, lambda: store.next_due("trainer", NOON)) < 20
    assert steps(store, lambda: store.delivered(other)) < 20
    assert steps(store, lambda: store.postpone(first, NOON)) < 20
    assert store.backlog() == {"trainer": Backlog(10_000, NOON)}


def in_flight(store: StateStore, target: str = "trainer", now: int = NOON) -> OutboxRow:
    """What a target is being told."""
    row = store.next_due(target, now)
    assert row is not None
    return row


@pytest.mark.parametrize("how", ["delivered", "dead", "postpone"])
def test_what_is_moved_in_flight_is_the_other_targets_however_the_attempt_ends(store: StateStore, how: str) -> None:
    save(store, note("x", "new"), note("a", "old"))
    row = in_flight(store, "old")
    store.retry([each for each in store.undelivered() if each.id == "a"], NOON, to="new")
    getattr(store, how)(row, *[NOON + 10**12] * (how == "postpone"))

    assert [(each.target, each.id, each.status) for each in store.undelivered()] == [
        ("new", "x", "pending"),
        ("new", "a", "pending"),
    ]
    deliver(store, "new")
    assert due(store, "new") == "a"


def test_what_is_tried_again_in_flight_is_not_given_up_by_the_attempt_before(store: StateStore) -> None:
    save(store, note("a"))
    row = in_flight(store)
    store.retry(store.undelivered(), NOON + 1)

    assert store.dead(row) is None
    assert due(store, now=NOON + 1) == "a"


def test_one_in_flight_that_another_came_before_waits_behind_it(store: StateStore) -> None:
    """`a` is tried again while `b`, of the same subject, is under way: `b` is put off and must not overtake it."""
    save(store, note("a"), note("b"))
    give_up(store)
    row = in_flight(store)
    store.retry(store.undelivered()[:1], NOON)
    store.postpone(row, NOON)

    assert [(each.id, each.due) for each in store.undelivered()] == [("a", NOON), ("b", None)]
    assert store.drop(store.undelivered()[:1])
    assert due(store) == "b"


def test_of_what_was_given_up_a_thousand_are_kept_whatever_is_delivered_between(
    store: StateStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitor.store.outbox.KEPT_ENDED", 3)
    for number in range(5):
        save(store, note(f"dead{number}", subject=f"s{number}"))
        forgotten = store.dead(in_flight(store))
        save(store, *(note(f"n{number}-{more}", subject=f"s{number}") for more in range(5)))
        for _ in range(5):
            deliver(store)
        told = [f"dead{number - 3}"] if number >= 3 else []
        assert [each.id for each in forgotten or []] == told

    assert [each.id for each in store.undelivered()] == ["dead2", "dead3", "dead4"]
