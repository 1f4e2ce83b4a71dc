"""The audit log in the state: one chain over all writers, with what it is about or not at all, and the oldest dropped in good order."""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from threading import Thread

import pytest

from monitor.audit.chain import AuditLog, AuditNote, Break, Link, chained
from monitor.runtime.audit import AuditDesk
from monitor.series.records import Record
from monitor.store import audit
from monitor.store.outbox import AddressedNotice, Notice, Undelivered
from monitor.store.sqlite import StateStore
from monitor.stream.events import DAY
from tests.fakes import NOON


@pytest.fixture
def store(tmp_path: Path) -> Iterator[StateStore]:
    found = StateStore(tmp_path)
    yield found
    found.close()


def a_note(number: int = 0, at: int = NOON) -> AuditNote:
    return AuditNote(at, "alert.opened", {"number": number, "score": 0.1 + 0.2}, model="churn")


def log_of(store: StateStore) -> AuditLog:
    return store.audit_page(0, 10_000)


def numbers(store: StateStore) -> list[int]:
    return [each.link.seq for each in log_of(store).entries]


def test_what_is_written_stays_so_where_what_waits_cannot_be_counted(
    store: StateStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fails after the end of a transaction undoes nothing of it: the chain would go on from where it was, and never be written again."""

    def fails(database: sqlite3.Connection) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    with monkeypatch.context() as failing:
        failing.setattr("monitor.store.outbox.count_backlog", fails)
        store.save([], {}, [], NOON, audited=[a_note(0)])
    store.save([], {}, [], NOON, audited=[a_note(1)])

    assert numbers(store) == [1, 2]


def test_the_chain_goes_on_after_a_restart(tmp_path: Path) -> None:
    for number in range(3):
        store = StateStore(tmp_path)
        store.save([], {}, [], NOON, audited=[a_note(number), a_note(number)])
        head = store.audit_head
        store.close()

    store = StateStore(tmp_path)
    assert store.audit_head == head == log_of(store).head
    assert numbers(store) == [1, 2, 3, 4, 5, 6]
    assert chained(log_of(store)) is None
    store.close()


def test_a_transaction_that_fails_writes_nothing_and_the_next_takes_its_numbers(store: StateStore) -> None:
    store.save([], {}, [], NOON, audited=[a_note()])
    wrong = AddressedNotice(Notice("a", "t", "s", NOON, b"{}"), (None,))  # type: ignore[arg-type]
    with pytest.raises(sqlite3.IntegrityError):
        store.save([Record("series", "k", b"1")], {}, [wrong], NOON, audited=[a_note(7)])
    assert numbers(store) == [1]
    assert store.records() == []

    store.save([], {}, [], NOON, audited=[a_note(8)])
    assert numbers(store) == [1, 2]
    assert chained(log_of(store)) is None


def test_threads_that_deliver_and_the_loop_that_saves_make_one_chain(store: StateStore) -> None:
    notices = [AddressedNotice(Notice(f"n{at}", "t", f"s{at}", NOON, b"{}"), ("pager", "board")) for at in range(20)]
    store.save([], {}, notices, NOON)

    def deliver(target: str) -> None:
        while (row := store.next_due(target, NOON)) is not None:
            store.delivered(row, AuditNote(NOON, "delivery.delivered", decision=row.notice.id, target=target))

    threads = [Thread(target=deliver, args=[target]) for target in ("pager", "board")]
    for thread in threads:
        thread.start()
    for number in range(20):
        store.save([], {}, [], NOON, audited=[a_note(number)])
    for thread in threads:
        thread.join(60)

    assert numbers(store) == list(range(1, 61))
    assert chained(log_of(store)) is None


def test_old_entries_are_dropped_once_a_day_and_the_chain_begins_at_their_last(tmp_path: Path) -> None:
    store = StateStore(tmp_path, audit_keep=7 * DAY)
    for day in range(10):
        store.save([], {}, [], NOON + day * DAY, audited=[a_note(day, NOON + day * DAY)])
        store.save([], {}, [], NOON + day * DAY + 1)  # nothing more on that day
    log = log_of(store)

    kinds = [each.note().kind for each in log.entries]
    assert kinds.count("alert.opened") == 8  # of the days 2 to 9: those of a week, and its first moment
    assert log.anchor.seq == 2
    assert kinds.count("audit.pruned") == 2
    last = next(each.note() for each in reversed(log.entries) if each.note().kind == "audit.pruned")
    assert (last.body["through"], last.body["hash"], last.body["entries"]) == (2, log.anchor.hash.hex(), 1)
    assert chained(log) is None
    store.close()

    again = StateStore(tmp_path, audit_keep=7 * DAY)
    assert again.audit_head == log.head
    assert chained(log_of(again)) is None
    again.close()


def test_another_anchor_than_was_written_down_is_found(tmp_path: Path) -> None:
    store = StateStore(tmp_path, audit_keep=DAY)
    store.save([], {}, [], NOON, audited=[a_note(1)])
    store.save([], {}, [], NOON + 2 * DAY, audited=[a_note(2, NOON + 2 * DAY)])
    log = log_of(store)
    assert (log.anchor.seq, chained(log)) == (1, None)

    forged = AuditLog(Link(1, bytes(32)), log.entries)
    found = chained(forged)
    assert found is not None
    assert found.seq == 2
    store.close()


def test_an_entry_left_out_added_or_moved_is_found(store: StateStore) -> None:
    store.save([], {}, [], NOON, audited=[a_note(number) for number in range(5)])
    anchor, entries = Link(), log_of(store).entries

    for wrong, seq in (
        (entries[1:], 1),
        ([*entries[:2], *entries[3:]], 3),
        ([entries[1], entries[0], *entries[2:]], 1),
        ([*entries, entries[-1]], 6),
    ):
        found = chained(AuditLog(anchor, wrong))
        assert found is not None
        assert found.seq == seq


def test_each_bit_of_entry_and_hash_counts(store: StateStore) -> None:
    store.save([], {}, [], NOON, audited=[a_note(number) for number in range(3)])
    entries = log_of(store).entries
    middle = entries[1]
    for at in range(len(middle.entry) * 8):
        held = bytearray(middle.entry)
        held[at // 8] ^= 1 << at % 8
        found = chained(AuditLog(Link(), [entries[0], type(middle)(middle.link, bytes(held)), entries[2]]))
        assert found is not None
        assert found.seq == 2
    for at in range(256):
        held = bytearray(middle.link.hash)
        held[at // 8] ^= 1 << at % 8
        found = chained(AuditLog(Link(), [entries[0], type(middle)(Link(2, bytes(held)), middle.entry), entries[2]]))
        assert found is not None
        assert found.seq == 2


def test_entries_that_no_longer_can_be_read_stop_no_checkpoint_and_go_with_the_next_that_is_old(tmp_path: Path) -> None:
    store = StateStore(tmp_path)
    for day in (0, 1, 2, 9):
        store.save([], {}, [], NOON + day * DAY, audited=[a_note(day, NOON + day * DAY)])
    store.close()
    with closing(sqlite3.connect(tmp_path / "driftd.sqlite3")) as database, database:
        database.execute("UPDATE audit SET entry = X'FF' WHERE seq IN (1, 3)")

    store = StateStore(tmp_path, audit_keep=7 * DAY)
    store.save([], {}, [], NOON + 9 * DAY)
    assert numbers(store) == [3, 4, 5]
    store.close()
    store = StateStore(tmp_path, audit_keep=DAY)
    store.save([], {}, [], NOON + 20 * DAY)
    assert numbers(store) == [5, 6]  # the last entry stays, however old
    assert chained(log_of(store)) is None
    store.close()


@pytest.mark.parametrize("cell", ["123", "1.5", "'text'", "''"])
@pytest.mark.parametrize(("column", "seq", "broken"), [("entry", 2, 2), ("hash", 2, 2), ("entry", 3, 3)])
def test_a_cell_of_another_kind_is_found_and_stops_no_checkpoint(
    tmp_path: Path, cell: str, column: str, seq: int, broken: int
) -> None:
    """Damage may make a number of bytes."""
    store = StateStore(tmp_path)
    for number in range(3):
        store.save([], {}, [], NOON, audited=[a_note(number)])
    store.close()
    with closing(sqlite3.connect(tmp_path / "driftd.sqlite3")) as database, database:
        database.execute(f"UPDATE audit SET {column} = {cell} WHERE seq = {seq}")

    store = StateStore(tmp_path)
    store.save([], {}, [], NOON, audited=[a_note(3)])

    found = chained(log_of(store))
    assert found is not None
    assert found.seq == broken
    assert AuditDesk(lambda: store.audit_head, store.audit_page).listed(0, 10)["entries"][-1]["seq"] == 4
    assert store.last_audited("alert.opened") is not None
    store.close()


def test_pruning_that_was_not_saved_is_done_again_by_the_next_checkpoint(tmp_path: Path) -> None:
    store = StateStore(tmp_path, audit_keep=DAY)
    store.save([], {}, [], NOON, audited=[a_note()])
    store.close()
    store = StateStore(tmp_path, audit_keep=DAY)
    unreadable = iter([a_note(1, NOON + 9 * DAY)])
    store._db.execute("CREATE TEMP TRIGGER full BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'disk is full'); END")
    with pytest.raises(sqlite3.IntegrityError):
        store.save([], {}, [], NOON + 9 * DAY, audited=unreadable)
    store._db.execute("DROP TRIGGER full")
    store.save([], {}, [], NOON + 9 * DAY, audited=[a_note(1, NOON + 9 * DAY)])
    assert numbers(store) == [2, 3]
    store.close()


def test_a_page_is_bounded_in_bytes_and_holds_one_entry_at_least(
    store: StateStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.save([], {}, [], NOON, audited=[a_note(number) for number in range(5)])
    size = len(log_of(store).entries[0].entry)

    for most, count in ((1, 1), (2 * size, 2), (100 * size, 5)):
        monkeypatch.setattr(audit, "MOST_READ", most)
        assert numbers(store) == list(range(1, count + 1))


@pytest.fixture
def pruned(tmp_path: Path) -> AuditLog:
    """A log whose first three entries were dropped."""
    store = StateStore(tmp_path, audit_keep=DAY)
    store.save([], {}, [], NOON, audited=[a_note(number) for number in range(3)])
    store.save([], {}, [], NOON + 2 * DAY, audited=[a_note(3, NOON + 2 * DAY)])
    log = log_of(store)
    store.close()
    assert (log.anchor.seq, chained(log)) == (3, None)
    return log


def test_a_front_that_was_cut_off_without_an_entry_of_ours_is_found(pruned: AuditLog) -> None:
    fourth = pruned.entries[0]
    cut = AuditLog(fourth.link, pruned.entries[1:])

    assert chained(cut) == Break(4, "no entry says that 1 to 4 were dropped")


def test_a_link_that_was_kept_of_what_was_dropped_is_not_taken_for_looked_at(pruned: AuditLog) -> None:
    at = pruned.anchor
    assert chained(pruned, [at, pruned.head]) is None
    assert chained(pruned, [Link(3, bytes(32))]) == Break(3, "its hash is another than the one that was kept elsewhere")
    found = chained(pruned, [Link(2, at.hash), pruned.head])
    assert found is not None
    assert (found.seq, found.why[:32]) == (2, "was dropped with all to 3: nothi")


def test_what_was_delivered_while_somebody_decided_on_it_is_neither_retried_nor_dropped(store: StateStore) -> None:
    store.save([], {}, [AddressedNotice(Notice("a", "t", "s", NOON, b"{}"), ("pager", "board"))], NOON)
    waiting = store.undelivered()
    row = store.next_due("pager", NOON)
    assert row is not None
    store.delivered(row)

    def told(chosen: Iterable[Undelivered]) -> list[AuditNote]:
        return [AuditNote(NOON, "delivery.touched", target=each.target) for each in chosen]

    assert [each.target for each in store.retry(waiting, NOON, told)] == ["board"]
    assert [each.target for each in store.drop(waiting, told)] == ["board"]
    assert store.deliveries("a") == {"pager": "delivered", "board": "dropped"}
    assert [each.note().target for each in log_of(store).entries] == ["board", "board"]
