"""Damage is never taken for content: a state is whole, recovered and said so, or refused in one line; and the next start is quiet."""

import json
import os
import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from monitor.audit.chain import Chain, Link
from monitor.facts import StateBegun, StateRecovered
from monitor.series.records import Record
from monitor.store import files
from monitor.store.audit import link_of, row_of
from monitor.store.sqlite import StateError, StateStore
from monitor.store.sums import KEYS, SUMMED
from monitor.stream.events import Partition
from tests.damaged import (
    DISPENSABLE,
    Content,
    Opened,
    content_of,
    damage,
    fresh_copy,
    killed_states,
    opened,
    said,
    state_with_backup,
)
from tests.fakes import NOON

CASES = int(os.environ.get("DAMAGED_STATES", "60"))  # `make damaged-states`: 10 000
SEED = int(os.environ.get("DAMAGE_SEED", "1"))
AUDIT = ("audit", "audit_anchor")


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    """A state with a backup."""
    state_with_backup(tmp_path / "whole", SEED)
    return tmp_path / "whole"


def without_audit(rows: Content) -> Content:
    return {name: held for name, held in rows.items() if name not in AUDIT}


def chain_holds(rows: Content) -> bool:
    """Whether `driftd audit verify` would find nothing."""
    anchor = rows["audit_anchor"][0] if rows["audit_anchor"] else None
    chain = Chain(Link() if anchor is None else link_of(*anchor), [])  # type: ignore[arg-type]
    for row in rows["audit"]:
        chain.take(row_of(*row))  # type: ignore[arg-type]
    return chain.end() is None


def fault(found: Opened, saved: list[Content]) -> str | None:
    """What is wrong with how a damaged state was opened; None where nothing is. `saved`: what may be there, the last one last."""
    assert found.content is not None
    rows = without_audit(found.content)
    if rows in [without_audit(each) for each in saved]:
        same = any(found.content == each for each in saved)
        return None if same or not chain_holds(found.content) else "another audit log, in a chain that holds"
    if not found.recovered:
        return "other content, and nothing said"
    expected = without_audit(saved[-1])
    kinds = {kind for kind, *_ in expected["record"]} - {kind for kind, *_ in rows["record"]}
    left = {**expected, "record": [row for row in expected["record"] if row[0] not in kinds]}
    return (
        None
        if rows == left and kinds <= DISPENSABLE
        else "neither what was saved, nor that without what can be done without"
    )


@pytest.mark.parametrize("of", [files.DATABASE, f"{files.DATABASE}-wal"])
def test_a_damaged_state_is_never_silently_another(tmp_path: Path, of: str) -> None:
    saved, wrong = killed_states(tmp_path / "killed", SEED), []
    for case in range(CASES):
        chance = random.Random(f"{SEED} {case} {of}")
        fresh_copy(tmp_path / "killed", tmp_path / "state")
        way = damage(tmp_path / "state" / of, chance)
        found, again = opened(tmp_path / "state"), opened(tmp_path / "state")
        if found.refused is not None or again.refused is not None:
            wrong.append((case, way, found.refused or again.refused))
        elif (said := fault(found, saved)) is not None or again.recovered or again.content != found.content:
            wrong.append((case, way, said or "recovered again and again"))

    assert wrong == []


def test_without_a_backup_it_is_refused_in_one_line_and_left_as_it_was(tmp_path: Path) -> None:
    saved, refused = killed_states(tmp_path / "killed", SEED), 0
    for case in range(CASES // 2):
        fresh_copy(tmp_path / "killed", tmp_path / "state")
        for backup in files.backups(tmp_path / "state"):
            backup.unlink()
        way = damage(tmp_path / "state" / files.DATABASE, random.Random(f"{SEED} {case}"))
        found = opened(tmp_path / "state")
        if found.refused is None:
            assert fault(found, saved) is None, (case, way)
            continue
        refused += 1
        assert found.refused.startswith("state: ")
        assert len(found.refused.splitlines()) == 1
        assert sorted(path.name for path in (tmp_path / "state").glob("*.damaged-*")) == []
        assert opened(tmp_path / "state").refused == found.refused
    assert refused > 0


@pytest.mark.parametrize("table", SUMMED)
def test_every_column_of_every_table_is_under_its_checksum(whole: Path, tmp_path: Path, table: str) -> None:
    """Also what no tree of SQLite knows: a flag, a time, a byte of a payload."""
    for column in SUMMED[table]:
        if (table, column) == ("notice", "rendered"):  # of format 1 alone
            continue
        fresh_copy(whole, tmp_path / "state")
        change(tmp_path / "state", table, column)

        (recovered,) = opened(tmp_path / "state").recovered

        assert recovered.cause == "damaged"
        assert f"cannot be read: {table} " in recovered.found or column in SUMMED[table][: KEYS[table]]
        assert "backup-1" in recovered.how


def change(directory: Path, table: str, column: str) -> None:
    """Another value in one column of one row, as a bit of the disk would make it: nothing is told of it."""
    with closing(sqlite3.connect(directory / files.DATABASE, isolation_level=None)) as database:
        for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            database.execute(f"DROP TRIGGER {name}")
        kind = " AND kind <> 'tally'" if table == "record" else ""
        key = ", ".join(SUMMED[table][: KEYS[table]])
        database.execute("PRAGMA foreign_keys=OFF")
        database.execute(
            f"UPDATE {table} SET {column} = CASE WHEN TYPEOF({column}) = 'integer' THEN {column} + 4096 "
            f"ELSE CAST({column} || 'x' AS {'BLOB' if column in ('payload', 'data') else 'TEXT'}) END "
            f"WHERE ({key}) = (SELECT {key} FROM {table} WHERE {column} IS NOT NULL{kind} LIMIT 1)"
        )
    database = sqlite3.connect(directory / files.DATABASE, isolation_level=None)
    made = StateStore(directory.with_name(f"layout-{table}-{column}"))
    for (sql,) in made._db.execute("SELECT sql FROM sqlite_master WHERE type = 'trigger'").fetchall():
        database.execute(sql)
    made.close()
    database.close()


def test_what_can_be_done_without_begins_anew_and_all_else_stays(tmp_path: Path) -> None:
    store = StateStore(tmp_path, dispensable=DISPENSABLE)
    records = [Record("tally", "a", b"1"), Record("tally", "b", b"2"), Record("pane", "c", b"3")]
    store.save(records, {Partition("t", 0): 9}, [said("n", "trainer")], NOON)
    store._db.execute("UPDATE record SET payload = X'00' WHERE key = 'b'")
    store.close()

    store = StateStore(tmp_path, dispensable=DISPENSABLE)

    kept = tmp_path / "driftd.sqlite3.damaged-1"
    assert store.found == [StateRecovered("damaged", "record 'tally' 'b'", "tally begin anew", str(kept))]
    assert store.records() == [Record("pane", "c", b"3")]
    assert store.positions() == {Partition("t", 0): 9}
    assert len(store.undelivered()) == 1
    assert ("tally", "b", b"\0") in [row[:3] for row in content_of(kept)["record"]]
    store.close()
    assert opened(tmp_path).found == []


def test_a_bit_in_a_key_is_no_error_for_ever(tmp_path: Path) -> None:
    """Half a character of UTF-8 could not even be read."""
    store = StateStore(tmp_path)
    store.save([Record("pane", '["modèle","3",7]', b"1")], {}, [], NOON)
    store._db.execute("UPDATE record SET key = CAST(X'5BC3' AS TEXT)")
    store.close()

    found = opened(tmp_path)

    assert found.refused is not None
    assert "cannot be read: record 'pane' '[\\udcc3'; move it away to begin anew" in found.refused


def test_a_state_that_is_gone_is_taken_up_from_its_backup(whole: Path) -> None:
    saved = content_of(whole / "driftd.sqlite3.backup-1")
    (whole / files.DATABASE).unlink()

    found = opened(whole)

    assert found.content == saved
    assert [(fact.cause, fact.kept) for fact in found.recovered] == [("gone", None)]
    assert opened(whole).found == []


@pytest.mark.parametrize("with_backup", [True, False])
def test_an_empty_file_is_damage_and_no_new_state(whole: Path, with_backup: bool) -> None:
    (whole / files.DATABASE).write_bytes(b"")
    if not with_backup:
        for backup in files.backups(whole):
            backup.unlink()

    found = opened(whole)

    assert [fact.found for fact in found.recovered] == (
        [f"{whole / files.DATABASE} cannot be read: it is empty"] if with_backup else []
    )
    assert with_backup or "cannot be read: it is empty; move it away to begin anew" in str(found.refused)


def test_a_file_that_is_cut_to_a_few_bytes_is_no_new_state(whole: Path) -> None:
    """SQLite takes what is less than a page for an empty database."""
    (whole / files.DATABASE).write_bytes(b"S")

    assert [fact.found for fact in opened(whole).recovered] == [
        f"{whole / files.DATABASE} cannot be read: it is cut off"
    ]


def test_what_is_no_file_is_refused_in_one_line(whole: Path) -> None:
    """As is one without rights, which a test that runs as root cannot make."""
    (whole / files.DATABASE).unlink()
    (whole / files.DATABASE).mkdir()

    assert opened(whole).refused == f"state: {whole / files.DATABASE} cannot be opened: unable to open database file"


def test_a_backup_that_is_damaged_is_passed_over(whole: Path) -> None:
    store = StateStore(whole)
    store.back_up()
    store.close()
    (whole / files.DATABASE).write_bytes(b"")
    newest = whole / "driftd.sqlite3.backup-1"
    newest.write_bytes(newest.read_bytes()[:-4096])

    (recovered,) = opened(whole).recovered

    assert recovered.how == f"from {whole / 'driftd.sqlite3.backup-2'}"


def test_where_no_backup_is_whole_that_is_said(whole: Path) -> None:
    for path in (whole / files.DATABASE, *files.backups(whole)):
        path.write_bytes(b"x" * 8192)

    refused = opened(whole).refused

    assert refused is not None
    assert f"nor is a backup beside it whole; move {whole} away to begin anew" in refused


def test_a_new_state_is_said_and_never_half_there(tmp_path: Path) -> None:
    (tmp_path / f"{files.DATABASE}.new").write_bytes(b"")  # killed while it was made

    found = opened(tmp_path)

    assert found.found == [StateBegun(str(tmp_path / files.DATABASE))]
    assert opened(tmp_path).found == []


def test_a_log_that_a_gone_state_left_is_not_added_to_a_new_one(tmp_path: Path) -> None:
    killed_states(tmp_path / "killed", SEED)
    for path in ((tmp_path / "killed" / files.DATABASE), *files.backups(tmp_path / "killed")):
        path.unlink()

    found = opened(tmp_path / "killed")

    assert found.content is not None
    assert found.content["record"] == []


def test_damaged_states_that_are_kept_do_not_fill_the_disk(whole: Path) -> None:
    for _ in range(5):
        (whole / files.DATABASE).write_bytes(b"x" * 5000)
        assert opened(whole).recovered

    assert sorted(path.name for path in whole.glob("*.damaged-*")) == [f"driftd.sqlite3.damaged-{n}" for n in (3, 4, 5)]


# --- backups ----------------------------------------------------------------------------------------------------------


def test_three_backups_are_kept_the_newest_first(tmp_path: Path) -> None:
    store = StateStore(tmp_path)
    for offset in range(5):
        store.save([], {Partition("t", 0): offset}, [], NOON)
        store.back_up()
        assert store._backing_up is not None
        store._backing_up.join(20)

    assert [content_of(path)["position"][0][2] for path in files.backups(tmp_path)] == [4, 3, 2]
    assert store.take_backup_error() is None
    store.close()


def test_a_state_that_is_damaged_while_it_runs_pushes_no_good_backup_out(tmp_path: Path) -> None:
    store = StateStore(tmp_path)
    store.save([Record("pane", "a", b"good")], {}, [], NOON)
    store.back_up()
    assert store._backing_up is not None
    store._backing_up.join(20)
    store._db.execute("UPDATE record SET payload = X'00'")

    store.back_up()
    store._backing_up.join(20)

    assert store.take_backup_error() == "the state is damaged: record 'pane' 'a'"
    assert store.take_backup_error() is None
    assert [content_of(path)["record"][0][2] for path in files.backups(tmp_path)] == [b"good"]
    store.close()


def test_a_backup_is_for_the_daemon_alone(whole: Path) -> None:
    assert [path.stat().st_mode & 0o777 for path in files.backups(whole)] == [0o600]
    assert json.dumps([files.flaw(path) for path in files.backups(whole)]) == "[null]"


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE sqlite_sequence SET seq = 1 WHERE name = 'notice'",
        "UPDATE sqlite_sequence SET seq = 9223372036854775807 WHERE name = 'delivery'",
        "UPDATE sqlite_sequence SET seq = 'n0' WHERE name = 'delivery'",
        "UPDATE sqlite_sequence SET name = NULL",
        "INSERT INTO sqlite_sequence VALUES ('notice', 12)",
        "DELETE FROM sqlite_sequence",
    ],
)
def test_what_sqlite_keeps_of_numbers_is_looked_at(whole: Path, change: str) -> None:
    """Of one too large it would say that the disk is full, at every notice from then on."""
    with closing(sqlite3.connect(whole / files.DATABASE)) as database, database:
        database.execute(change)

    found, again = opened(whole), opened(whole)

    assert len(found.recovered) == 1
    assert "sqlite_sequence" in found.recovered[0].found
    assert not again.recovered


def test_rows_of_another_table_are_damage_though_their_columns_are_the_same(whole: Path) -> None:
    """As where a page is written to the place of another."""
    with closing(sqlite3.connect(whole / files.DATABASE)) as database, database:
        database.execute("INSERT OR REPLACE INTO verified SELECT * FROM position")

    found = opened(whole)

    assert len(found.recovered) == 1
    assert "verified" in found.recovered[0].found


def test_a_newer_state_is_refused_whatever_backups_say(whole: Path) -> None:
    with closing(sqlite3.connect(whole / files.DATABASE)) as database:
        database.execute("PRAGMA user_version = 77")

    with pytest.raises(StateError, match=r"was written by a newer driftd \(format 77"):
        StateStore(whole)
