"""`driftd state`: what is there, whether it is whole, and a copy."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from monitor.cli import main
from monitor.commands.exits import Exit
from monitor.store import files
from monitor.store.sqlite import StateStore
from tests.damaged import content_of, state_with_backup

ANOTHER = "its hash is not that of the hash before it and of what it says"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    state_with_backup(tmp_path / "state", 1)
    return tmp_path / "state"


@pytest.fixture
def held(state: Path) -> Iterator[Path]:
    """A state that a daemon has."""
    store = StateStore(state)
    yield state
    store.close()


def ask(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    code = main(["state", *map(str, words)])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_a_state_is_shown(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said, _ = ask(capsys, "show", "--state", state, "--json")
    shown = json.loads(said)

    assert code == Exit.OK
    assert (shown["format"], shown["held"]) == (8, False)
    assert shown["positions"][0] == {"topic": "topic-0", "partition": 0, "offset": 20}
    assert {each["kind"] for each in shown["records"]} == {"pane", "series", "charts", "tally"}
    assert {(each["target"], each["status"]): each["notices"] for each in shown["outbox"]} == {
        ("pager", "pending"): 12,
        ("trainer", "delivered"): 12,
    }
    assert [each["file"] for each in shown["backups"]] == ["driftd.sqlite3.backup-1"]
    words = ask(capsys, "show", "--state", state)[1]
    assert "  position  topic-0/0  20\n" in words
    assert "  outbox    pager  pending  12\n" in words


def test_of_a_state_that_a_daemon_holds_the_backup_is_shown(held: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = json.loads(ask(capsys, "show", "--state", held, "--json")[1])

    assert (shown["file"], shown["held"]) == (str(held / "driftd.sqlite3.backup-1"), True)
    assert shown["positions"][0]["offset"] == 0


def test_a_whole_state_is_said_to_be_so(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(capsys, "verify", "--state", state) == (
        Exit.OK,
        "driftd.sqlite3 is whole\ndriftd.sqlite3.backup-1 is whole\n",
        "",
    )


def test_what_is_damaged_is_named(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with closing(sqlite3.connect(state / files.DATABASE, isolation_level=None)) as database:
        database.execute("UPDATE position SET next_offset = 7 WHERE partition = 3")
    backup = state / "driftd.sqlite3.backup-1"
    with closing(sqlite3.connect(backup, isolation_level=None)) as database:
        database.execute("UPDATE audit SET entry = X'7B7D' WHERE seq = 2")

    code, said, _ = ask(capsys, "verify", "--state", state)

    assert code == Exit.NO
    assert said.splitlines() == [
        "driftd.sqlite3 is damaged: position 'topic-0' 3",
        f"driftd.sqlite3.backup-1 has an audit log that is broken at 2: {ANOTHER}",
    ]


def test_beside_a_daemon_the_backups_are_verified(held: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said, _ = ask(capsys, "verify", "--state", held)

    assert code == Exit.OK
    assert said.splitlines() == [
        "driftd.sqlite3.backup-1 is whole",
        "driftd.sqlite3 is held by a running driftd, which looked at it when it started and at each backup since",
    ]


def test_a_copy_is_the_same_state(state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said, _ = ask(capsys, "backup", tmp_path / "copy", "--state", state)

    assert code == Exit.OK
    assert said.startswith(f"{tmp_path / 'copy'}: whole, a copy of driftd.sqlite3, ")
    assert content_of(tmp_path / "copy") == content_of(state / files.DATABASE)
    (state / files.DATABASE).unlink()
    (tmp_path / "copy").rename(state / files.DATABASE)
    StateStore(state).close()


def test_beside_a_daemon_the_newest_backup_is_copied(
    held: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said, _ = ask(capsys, "backup", tmp_path / "copy", "--state", held)

    assert code == Exit.OK
    assert "a copy of driftd.sqlite3.backup-1, the newest of a state that a daemon holds" in said


def test_nothing_damaged_is_copied(state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with closing(sqlite3.connect(state / files.DATABASE, isolation_level=None)) as database:
        database.execute("UPDATE position SET next_offset = 7 WHERE partition = 3")

    code, _, error = ask(capsys, "backup", tmp_path / "copy", "--state", state)

    assert code == Exit.CANNOT_GO_ON
    assert error == f"driftd: {state}/driftd.sqlite3 is damaged: position 'topic-0' 3; nothing was written\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["state"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("show", "--state", "DIR/none"), "--state: there is no state of driftd in DIR/none"),
        (
            ("backup", "DIR/state/lock", "--state", "DIR/state"),
            "state backup: DIR/state/lock exists; name a file that does not",
        ),
    ],
)
def test_what_cannot_be_asked_is_one_line(
    state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
) -> None:
    code, _, error = ask(capsys, *(word.replace("DIR", str(tmp_path)) for word in words))

    assert (code, error.replace(str(tmp_path), "DIR")) == (Exit.USAGE, f"driftd: {said}\n")
