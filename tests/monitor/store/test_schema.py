"""Every format that driftd has written is read: nothing is lost, nothing is said twice, bodies go out as they were."""

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from monitor.audit.chain import AuditNote, Link
from monitor.facts import StateRecovered
from monitor.series.records import Record
from monitor.store import schema
from monitor.store.outbox import AddressedNotice, Backlog, Notice
from monitor.store.schema import SCHEMA_VERSION, data_of, layout, layout_of
from monitor.store.sqlite import StateError, StateStore
from monitor.store.sums import damaged, teach
from monitor.stream.events import SECOND, Partition
from monitor.targets.webhook import render
from tests.fakes import NOON

LATER = NOON + 3600 * SECOND
FIRING = "5d2d450c9dcda1a23fb77ccf26de2cba"
RETRAIN = "8dfb9b69951289566ad9b53af6bb83e3"
RESOLVED = "c2db119dfce8c2a0d401650998386d24"
OTHER_FIRING = "8b33b31b6e7d7ce32eecd7d784d8a504"
FORMAT_1 = Path(__file__).with_name("format_1.sql").read_text(encoding="utf-8")  # made by the build before format 2
FORMAT_7 = Path(__file__).with_name("format_7.sql").read_text(encoding="utf-8")  # made by the build before format 8
FORMAT_6 = Path(__file__).with_name("format_6.sql").read_text(encoding="utf-8")  # made by the build before format 7
FORMAT_5 = Path(__file__).with_name("format_5.sql").read_text(encoding="utf-8")  # made by the build before format 6
TRIGGER_OF_5 = next(part for part in FORMAT_5.split("CREATE ") if part.startswith("TRIGGER delivery_changed"))
TRIGGER_OF_5 = "CREATE " + TRIGGER_OF_5.rstrip().rstrip(";")
FORMAT_4 = Path(__file__).with_name("format_4.sql").read_text(encoding="utf-8")  # made by the build before format 5


def write_format_1(directory: Path) -> list[sqlite3.Row]:
    """A state of format 1; the rows of its outbox."""
    with sqlite3.connect(directory / "driftd.sqlite3") as database:
        database.executescript(FORMAT_1)
        database.row_factory = sqlite3.Row
        rows = database.execute("SELECT * FROM outbox ORDER BY seq").fetchall()
    database.close()
    return rows


@pytest.fixture
def store(tmp_path: Path) -> Iterator[StateStore]:
    write_format_1(tmp_path)
    found = StateStore(tmp_path)
    yield found
    found.close()


def drained(store: StateStore, target: str) -> list[Notice]:
    """What waits for a target, in the order of its delivery."""
    notices = []
    while (row := store.next_due(target, LATER)) is not None:
        notices.append(row.notice)
        store.delivered(row)
    return notices


def said_again(name: str, *targets: str) -> AddressedNotice:
    return AddressedNotice(Notice(name, "model.alert.firing", "churn/3/drift", LATER, b'{"said":"anew"}'), targets)


def test_records_and_positions_are_taken_over(store: StateStore) -> None:
    assert store.records() == [Record("series", "churn/3", b"\x01\x02")]
    assert store.positions() == {Partition("predictions", 0): 9}


def test_what_waited_waits_in_the_same_order(store: StateStore) -> None:
    assert store.backlog() == {"pager": Backlog(3, NOON + 60 * SECOND), "trainer": Backlog(1, NOON + 60 * SECOND)}
    assert [notice.id for notice in drained(store, "pager")] == [FIRING, RESOLVED, OTHER_FIRING]
    assert [notice.id for notice in drained(store, "trainer")] == [RESOLVED]


def test_retries_go_on_where_they_were(store: StateStore) -> None:
    assert store.next_due("trainer", NOON + 179 * SECOND) is None
    row = store.next_due("trainer", NOON + 180 * SECOND)

    assert row is not None
    assert (row.attempts, row.created) == (2, NOON + 60 * SECOND)


def test_bodies_are_sent_as_they_were_rendered(tmp_path: Path) -> None:
    """Two webhooks were told one id with two bodies: each still gets its own."""
    old = {(row["webhook"], row["id"]): row for row in write_format_1(tmp_path)}
    store = StateStore(tmp_path)

    for target in ("pager", "trainer"):
        for notice in drained(store, target):
            row = old[target, notice.id]
            assert render(notice) == row["body"]
            assert (notice.type, notice.subject, notice.event_time) == (row["type"], row["subject"], row["event_time"])
    store.close()


def test_todays_rendering_makes_the_very_bytes_that_format_1_kept(store: StateStore) -> None:
    """Receivers see no difference, and a target that is no webhook can read an old notice too."""
    for notice in [*drained(store, "pager"), *drained(store, "trainer")]:
        assert notice.rendered is not None
        assert render(replace(notice, rendered=None)) == notice.rendered
        assert json.loads(notice.data)["alert"]["rule"] == "drift"


def test_nothing_is_said_twice(store: StateStore) -> None:
    """Delivered, dead or waiting: a replay after the migration adds nothing, but for a target that is new."""
    names = (FIRING, RETRAIN, RESOLVED)
    store.save([], {}, [said_again(name, "trainer") for name in names], LATER)
    store.save([], {}, [said_again(FIRING, "trainer", "pager", "board")], LATER)

    assert [notice.id for notice in drained(store, "trainer")] == [RESOLVED]
    assert [notice.id for notice in drained(store, "pager")] == [FIRING, RESOLVED, OTHER_FIRING]
    assert [notice.data for notice in drained(store, "board")] == [b'{"said":"anew"}']


def test_dead_letters_are_kept(store: StateStore) -> None:
    kept = store._db.execute(
        "SELECT delivery.id, attempts, rendered IS NOT NULL FROM delivery JOIN notice ON notice.seq = delivery.notice "
        "WHERE status = 'dead'"
    ).fetchall()

    assert kept == [(RETRAIN, 1, 1)]


def test_a_migrated_state_is_one_of_todays_format(tmp_path: Path, store: StateStore) -> None:
    new = StateStore(tmp_path / "new")
    layout = "SELECT type, name, sql FROM sqlite_master ORDER BY name"

    assert store._db.execute(layout).fetchall() == new._db.execute(layout).fetchall()
    assert store._db.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
    assert store._db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert store._db.execute("PRAGMA foreign_key_check").fetchall() == []
    new.close()


def test_a_migration_that_fails_leaves_the_old_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_format_1(tmp_path)
    with monkeypatch.context() as broken:
        broken.setitem(schema.STEPS, 1, "DELETE FROM record; SELECT nonsense;")
        with pytest.raises(
            StateError, match="cannot be brought to format 8: no such column: nonsense; it is as it was"
        ):
            StateStore(tmp_path)

    store = StateStore(tmp_path)
    assert store.records() == [Record("series", "churn/3", b"\x01\x02")]
    assert len(drained(store, "pager")) == 3
    store.close()


@pytest.mark.parametrize(
    ("body", "data"),
    [
        (b'{"type":"t","data":{"b":1.0,"a":"\xc3\xa8"}}', b'{"b":1.0,"a":"\xc3\xa8"}'),
        (b'{"type":"t"}', None),
        (b"no JSON", None),
        (None, None),
    ],
)
def test_data_is_cut_out_of_a_body_byte_for_byte(body: bytes | None, data: bytes | None) -> None:
    assert data_of(body) == data


def write_format_4(directory: Path, then: str = "") -> None:
    """A state of format 4: a notice that one target has taken, another that was given up, both waiting for a second one."""
    with sqlite3.connect(directory / "driftd.sqlite3") as database:
        database.executescript(FORMAT_4 + then)
    database.close()


def test_a_state_of_format_4_gets_checksums_and_all_else_stays(tmp_path: Path) -> None:
    write_format_4(tmp_path)
    store = StateStore(tmp_path)

    assert store.found == []
    assert store.records() == [
        Record("pane", '["modèle","3",1795435200000000000]', bytes(range(40))),
        Record("series", '["churn","3"]', b"\x01\x02\xff"),
        Record("watermark", "", b"{}"),
    ]
    assert store.positions() == {Partition("predictions", 0): 9, Partition("prédictions", 12): 2**40}
    assert [(row.target, row.id, row.status) for row in store.undelivered()] == [
        ("pager", "a", "pending"),
        ("trainer", "b", "dead"),
        ("pager", "b", "pending"),
    ]
    assert [notice.data for notice in drained(store, "pager")] == ['{"said":"aé"}'.encode(), '{"said":"bé"}'.encode()]
    assert [each.id for each in store.standing("pager", NOON)] == ["b"]
    assert store.audit_head.seq == 2
    store.save([], {}, [said_again("a", "trainer", "pager")], LATER)  # nothing is said twice
    assert drained(store, "pager") == []
    assert list(damaged(store._db)) == []
    store.close()
    StateStore(tmp_path).close()  # which looks at every row


def write_format_5(directory: Path) -> None:
    """A state of format 5: four notices wait for one target, of which the first three of one alert, that first put off by ten minutes."""
    with sqlite3.connect(directory / "driftd.sqlite3") as database:
        teach(database)
        database.executescript(FORMAT_5)
    database.close()


def test_of_a_state_of_format_5_each_alert_waits_in_line(tmp_path: Path) -> None:
    write_format_5(tmp_path)
    store = StateStore(tmp_path)

    assert store.found == []
    assert store.backlog() == {"pager": Backlog(4, NOON)}
    assert [(row.id, row.due) for row in store.undelivered()] == [
        ("a", NOON + 600 * SECOND),
        ("b", None),
        ("c", NOON),
        ("d", None),
    ]
    assert [each.id for each in drained(store, "pager")] == ["a", "b", "c", "d"]
    assert list(damaged(store._db)) == []
    assert layout(store._db) == layout_of(SCHEMA_VERSION)
    store.close()


def test_of_a_state_of_format_6_all_that_was_read_is_of_the_topics_that_it_names(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "driftd.sqlite3") as database:
        teach(database)
        database.executescript(FORMAT_6)
    database.close()
    store = StateStore(tmp_path)

    assert store.found == []
    assert store.records() == [Record("series", "churn/3", b"\x01\x02")]
    assert (store.positions(), store.topics(), store.verified()) == (
        {Partition("predictions", 0): 9},
        {"predictions": "t1"},
        {},
    )
    assert [each.id for each in drained(store, "pager")] == ["a", "b", "c", "d"]
    store.save([], {Partition("predictions", 0): 12}, [], NOON, verified={Partition("predictions", 0): 9})
    assert list(damaged(store._db)) == []
    assert layout(store._db) == layout_of(SCHEMA_VERSION)
    store.close()
    again = StateStore(tmp_path)
    assert again.verified() == {Partition("predictions", 0): 9}
    again.close()


def write_format_7(directory: Path, then: str = "") -> None:
    """A state of format 7."""
    with sqlite3.connect(directory / "driftd.sqlite3") as database:
        teach(database)
        database.executescript(FORMAT_7 + then)
    database.close()


def test_what_was_verified_in_a_state_of_format_7_is_verified_yet(tmp_path: Path) -> None:
    write_format_7(tmp_path)
    place = Partition("predictions", 0)
    for _ in range(2):
        store = StateStore(tmp_path)
        assert store.found == []
        assert (store.positions(), store.topics(), store.verified()) == ({place: 12}, {"predictions": "t1"}, {place: 9})
        assert list(damaged(store._db)) == []
        assert layout(store._db) == layout_of(SCHEMA_VERSION)
        store.close()


def test_a_damaged_row_of_format_7_is_not_migrated_into_a_whole_one(tmp_path: Path) -> None:
    write_format_7(tmp_path, "UPDATE verified SET next_offset = 12;")

    with pytest.raises(StateError, match="verified 'predictions' 0"):
        StateStore(tmp_path)


def test_a_backup_of_the_format_before_takes_the_place_of_a_damaged_state(tmp_path: Path) -> None:
    """After an upgrade the backups are yet those of before."""
    write_format_5(tmp_path)
    (tmp_path / "driftd.sqlite3").rename(tmp_path / "driftd.sqlite3.backup-1")
    (tmp_path / "driftd.sqlite3").write_bytes(b"no state at all" * 100)
    store = StateStore(tmp_path)

    assert [(fact.cause, fact.how) for fact in store.found if isinstance(fact, StateRecovered)] == [
        ("damaged", f"from {tmp_path / 'driftd.sqlite3.backup-1'}")
    ]
    assert [each.id for each in drained(store, "pager")] == ["a", "b", "c", "d"]
    assert layout(store._db) == layout_of(SCHEMA_VERSION)
    store.close()


@pytest.mark.parametrize("name", ["driftd.sqlite3", "driftd.sqlite3.backup-1"])
def test_a_damaged_row_of_format_5_is_not_migrated_into_a_whole_one(tmp_path: Path, name: str) -> None:
    write_format_5(tmp_path)
    with sqlite3.connect(tmp_path / "driftd.sqlite3") as database:  # `b` waits behind `a`: a migration sets it aside
        database.execute("DROP TRIGGER delivery_changed")
        database.execute("UPDATE delivery SET attempts = 9 WHERE id = 'b'")
        database.execute(TRIGGER_OF_5)
    database.close()
    (tmp_path / "driftd.sqlite3").rename(tmp_path / name)

    with pytest.raises(StateError, match="delivery 3" if name == "driftd.sqlite3" else "nor is a backup"):
        StateStore(tmp_path)


def test_every_older_format_comes_to_the_same_tables(tmp_path: Path) -> None:
    for number, then in enumerate(("", AUDIT_GONE, AUDIT_GONE + STANDING_GONE)):
        directory = tmp_path / str(number)
        directory.mkdir()
        write_format_4(directory, then)
        store = StateStore(directory)
        assert layout(store._db) == layout_of(SCHEMA_VERSION)
        store.close()


AUDIT_GONE = "DROP TABLE audit; DROP TABLE audit_anchor; PRAGMA user_version=3;"
STANDING_GONE = "DROP TABLE standing; PRAGMA user_version=2;"


def test_what_waits_in_a_state_of_format_2_waits_on(tmp_path: Path) -> None:
    """Formats 3 and 4 added tables to it, and nothing else."""
    write_format_4(tmp_path, AUDIT_GONE + STANDING_GONE)

    after = StateStore(tmp_path)
    assert [notice.id for notice in drained(after, "pager")] == ["a", "b"]
    assert [row.target for row in after.undelivered()] == ["trainer"]
    after.close()


def test_a_state_of_format_3_gets_an_empty_audit_log_and_all_else_stays(tmp_path: Path) -> None:
    write_format_4(tmp_path, AUDIT_GONE)

    after = StateStore(tmp_path)
    assert len(after.records()) == 3
    assert len(after.positions()) == 2
    assert [notice.id for notice in drained(after, "pager")] == ["a", "b"]
    assert after.audit_head == Link()
    after.save([], {}, [], NOON, audited=[AuditNote(NOON, "state.reset")])
    assert after.audit_head.seq == 1
    after.close()
