"""`driftd audit` over a daemon that runs, a state that none holds, and an exported log: whole, replayed, and broken where a bit is flipped."""

import json
import sqlite3
import tracemalloc
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml
from structlog.testing import capture_logs

from monitor.audit.chain import AuditNote
from monitor.cli import main
from monitor.commands import audit as command
from monitor.store import audit
from monitor.store.sqlite import StateStore
from monitor.stream.events import DAY, SECOND
from tests.deciding import SILENCE, TOKEN, Scene, running
from tests.fakes import NOON, Receiver

Output = pytest.CaptureFixture[str]
KINDS = [
    "daemon.started",
    "alert.opened",
    "retrain.requested",
    "delivery.refused",
    "delivery.refused",
    "decision.made",
    "delivery.dropped",
    "delivery.dropped",
]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """It wants nothing."""
    found = Receiver()
    found.answers = [410, 410]  # the alert, and its request for retraining
    yield found
    found.close()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DRIFTD_CONFIG", raising=False)
    monkeypatch.setenv("TOKEN", TOKEN)
    (tmp_path / "secret").write_text("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    return tmp_path


@pytest.fixture
def scene(home: Path, receiver: Receiver) -> Iterator[Scene]:
    """A daemon that has opened an alert, asked for retraining, and was refused both; somebody silenced it and dropped the notices."""
    more = {"webhooks": [{"name": "trainer", "url": receiver.url, "types": ["*"], "secret_file": "secret"}]}
    with capture_logs(), running(home, more=more) as found:
        document = yaml.safe_load(Path("driftd.yaml").read_text())
        port = int(found.daemon.server.address[1])
        Path("driftd.yaml").write_text(yaml.safe_dump({**document, "http": {"port": port, "token_env": "TOKEN"}}))
        found.eventually(lambda: [each["detail"] for each in found.get("/api/v1/outbox")] == [None, "answered 410"])
        assert found.decide(id="s-1")[0] == 201
        drop = json.dumps({"action": "drop", "target": "trainer", "by": "ana", "reason": "by hand"}).encode()
        assert found.ask("POST", "/api/v1/outbox", drop, {"authorization": f"Bearer {TOKEN}"})[0] == 200
        yield found


def said(capsys: Output, *words: str) -> tuple[int, Any]:
    code = main(["audit", *words, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_a_running_daemon_tells_what_was_decided_and_it_is_whole(scene: Scene, capsys: Output) -> None:
    code, entries = said(capsys, "list")
    assert code == 0
    assert sorted(each["kind"] for each in entries) == sorted(KINDS)
    assert [each["seq"] for each in entries] == list(range(1, len(KINDS) + 1))

    (opened,) = [each for each in entries if each["kind"] == "alert.opened"]
    assert (opened["model"], opened["version"], opened["body"]["rule"]) == ("churn", "3", "high")
    (made,) = [each for each in entries if each["kind"] == "decision.made"]
    assert (made["decision"], made["body"]["by"], made["body"]["reason"]) == ("s-1", "ana", SILENCE["reason"])
    dropped = [each for each in entries if each["kind"] == "delivery.dropped"]
    assert {(each["target"], each["body"]["by"], each["body"]["reason"]) for each in dropped} == {
        ("trainer", "ana", "by hand")
    }
    assert "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" not in json.dumps(entries)
    assert TOKEN not in json.dumps(entries)

    code, found = said(capsys, "verify")
    assert (code, found["whole"], found["entries"], found["head"]["hash"]) == (0, True, len(KINDS), entries[-1]["hash"])
    code, found = said(capsys, "replay", "--all")
    assert (code, found["replayed"], found["disagree"]) == (0, 2, [])


@pytest.mark.parametrize(
    ("words", "kinds"),
    [
        (["--kind", "retrain"], ["retrain.requested"]),
        (["--kind", "alert.opened"], ["alert.opened"]),
        (["--kind", "delivery", "--model", "churn"], []),
        (["--model", "fraud"], []),
        (["--since", "2026-11-24T00:00:00Z"], []),
    ],
)
def test_only_what_is_asked_for_is_listed(scene: Scene, capsys: Output, words: list[str], kinds: list[str]) -> None:
    assert [each["kind"] for each in said(capsys, "list", *words)[1]] == kinds


def test_all_entries_of_an_incident_are_found_by_its_id(scene: Scene, capsys: Output) -> None:
    incident = scene.get("/api/v1/alerts")[0]["incident"]

    found = said(capsys, "list", "--incident", incident)[1]

    assert [each["kind"] for each in found] == ["alert.opened", "retrain.requested"]
    assert main(["audit", "replay", incident]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [
        f"{found[0]['seq']}  alert.opened: agrees, 1 score too",
        f"{found[1]['seq']}  retrain.requested: agrees",
    ]


@pytest.fixture
def left(scene: Scene) -> Path:
    """The state that the daemon has left."""
    state = scene.home / "state"
    scene.close()
    return state


def test_a_state_that_no_daemon_holds_is_read_where_none_answers(left: Path, capsys: Output) -> None:
    before = (left / "driftd.sqlite3").read_bytes()

    assert main(["audit", "verify"]) == 0
    told = capsys.readouterr()
    assert told.err == f"driftd: read from the state in {left}, which no daemon holds\n"
    assert told.out.startswith(f"whole: {len(KINDS)} entries; the last is {len(KINDS)}:")
    assert main(["audit", "replay", "--all", "--state", str(left)]) == 0
    assert (left / "driftd.sqlite3").read_bytes() == before


def test_a_state_that_a_daemon_holds_is_not_read_beside_it(scene: Scene, capsys: Output) -> None:
    assert main(["audit", "list", "--state", str(scene.home / "state")]) == 3
    assert "is held by a running driftd: ask that, by --config or --url" in capsys.readouterr().err


def test_an_exported_log_is_verified_and_replayed_without_daemon_or_state(
    left: Path, home: Path, capsys: Output
) -> None:
    assert main(["audit", "export", "--state", str(left)]) == 0
    Path("log.jsonl").write_text(capsys.readouterr().out)
    Path("driftd.yaml").unlink()

    code, found = said(capsys, "verify", "--file", "log.jsonl")
    assert (code, found["entries"]) == (0, len(KINDS))
    assert said(capsys, "replay", "--all", "--file", "log.jsonl")[1]["replayed"] == 2
    head = f"{found['head']['seq']}:{found['head']['hash']}"
    assert main(["audit", "verify", "--file", "log.jsonl", "--head", head]) == 0

    lines = Path("log.jsonl").read_text().splitlines(keepends=True)
    Path("short.jsonl").write_text("".join(lines[:-1]))
    assert main(["audit", "verify", "--file", "short.jsonl"]) == 0  # whole as far as it goes
    capsys.readouterr()
    assert main(["audit", "verify", "--file", "short.jsonl", "--head", head]) == 1
    assert capsys.readouterr().out == f"broken at {len(KINDS)}: is missing: the log ends with {len(KINDS) - 1}\n"


@pytest.mark.parametrize("command", ["list", "export"])
def test_a_line_that_is_cut_off_is_said_after_those_before_it(left: Path, capsys: Output, command: str) -> None:
    assert main(["audit", "export", "--state", str(left)]) == 0
    lines = capsys.readouterr().out.splitlines(keepends=True)
    Path("cut.jsonl").write_text("".join(lines[:-1]) + lines[-1][:40])

    assert main(["audit", command, "--file", "cut.jsonl"]) == 1
    told = capsys.readouterr()
    assert len(told.out.splitlines()) == len(KINDS) - 1 + (command == "export")
    assert f"driftd: cut.jsonl is broken at {len(KINDS)}: its line is not as it was written" in told.err


def test_each_flipped_bit_of_an_exported_log_is_found(left: Path, capsys: Output) -> None:
    """Of the first 50 bytes after each line's beginning, and of every 97th after that."""
    from monitor.audit.chain import AuditLog, chained
    from monitor.audit.export import Imported

    assert main(["audit", "export", "--state", str(left)]) == 0
    lines = capsys.readouterr().out.encode().splitlines(keepends=True)
    for number, whole in enumerate(lines[1:], start=1):
        for at in [*range(min(50, len(whole) - 1)), *range(50, len(whole) - 1, 97)]:
            flipped = whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]
            if b"\n" in flipped[:-1]:
                continue
            read = Imported([*lines[:number], flipped, *lines[number + 1 :]])
            found = chained(AuditLog(read.anchor, list(read.entries()))) or read.broken
            assert found is not None, flipped
            assert found.seq == number


def test_a_bit_flipped_in_the_state_is_found_and_named(left: Path, capsys: Output) -> None:
    with closing(sqlite3.connect(left / "driftd.sqlite3")) as database, database:
        (entry,) = database.execute("SELECT entry FROM audit WHERE seq = 3").fetchone()
        at = entry.index(b'"at":') + 6
        database.execute(
            "UPDATE audit SET entry = ? WHERE seq = 3", (entry[:at] + bytes([entry[at] ^ 1]) + entry[at + 1 :],)
        )

    assert main(["audit", "verify", "--state", str(left)]) == 1
    assert capsys.readouterr().out == "broken at 3: its hash is not that of the hash before it and of what it says\n"
    assert main(["audit", "replay", "--all", "--state", str(left)]) == 1
    assert main(["audit", "list", "--state", str(left)]) == 0


def test_who_rewrites_the_chain_is_found_by_a_head_that_was_kept(left: Path, capsys: Output) -> None:
    from monitor.audit.chain import Link

    head = said(capsys, "verify", "--state", str(left))[1]["head"]
    with closing(sqlite3.connect(left / "driftd.sqlite3")) as database, database:
        link = Link()
        for seq, entry in database.execute("SELECT seq, entry FROM audit ORDER BY seq").fetchall():
            forged = entry.replace(b'"ana"', b'"bob"')
            link = link.next(forged)
            database.execute("UPDATE audit SET entry = ?, hash = ? WHERE seq = ?", (forged, link.hash, seq))

    assert main(["audit", "verify", "--state", str(left)]) == 0
    assert main(["audit", "verify", "--state", str(left), "--head", f"{head['seq']}:{head['hash']}"]) == 1
    assert "its hash is another than the one that was kept elsewhere" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["replay"], "audit replay needs an ID or --all"),
        (["replay", "nothing", "--state", "state"], "no entry has the number or id 'nothing'"),
        (["list", "--since", "lately"], "--since: 'lately' is neither a time such as"),
        (["verify", "--head", "17"], "--head: '17' is no number and hash"),
        (["verify", "--state", "nowhere"], "there is no state of driftd in nowhere"),
        (["verify", "--file", "driftd.yaml"], "is no exported audit log"),
        (["verify", "--file", "nothing"], "--file: nothing: No such file or directory"),
        (["export", "--format", "xml"], "invalid choice: 'xml'"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(left: Path, capsys: Output, words: list[str], said: str) -> None:
    try:
        code = main(["audit", *words])
    except SystemExit as stopped:
        code = stopped.code  # type: ignore[assignment]
    assert code == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if "read from" not in line]
    assert len(errors) == 1
    assert said in errors[0]


def test_where_there_is_neither_daemon_nor_state_that_is_said(left: Path, home: Path, capsys: Output) -> None:
    document = yaml.safe_load(Path("driftd.yaml").read_text())
    Path("driftd.yaml").write_text(yaml.safe_dump({**document, "state": "elsewhere"}))

    assert main(["audit", "list"]) == 3
    assert "does not answer" in capsys.readouterr().err


# --- a log that is large ----------------------------------------------------------------------------------------------


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A state whose log has 24 MB."""
    store = StateStore(tmp_path / "large")
    body = {"words": "x" * 48_000}
    for _ in range(10):
        store.save([], {}, [], NOON, audited=[AuditNote(NOON, "alert.opened", body, model="churn")] * 50)
    store.close()
    return store.directory


@pytest.mark.parametrize(
    "words", [["verify"], ["list"], ["list", "--json"], ["export"], ["replay", "--all"]], ids=" ".join
)
def test_a_log_is_read_entry_by_entry(large: Path, capfd: pytest.CaptureFixture[str], words: list[str]) -> None:
    tracemalloc.start()
    try:
        code = main(["audit", *words, "--state", str(large)])
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert code == 0
    assert most < 8_000_000
    said = capfd.readouterr().out
    if "--json" in words:
        assert [each["seq"] for each in json.loads(said)] == list(range(1, 501))


def test_entries_that_are_dropped_while_they_are_read_are_no_broken_chain(
    scene: Scene, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pages of one entry; between the first and the second a daemon that keeps little drops what is in front."""
    monkeypatch.setattr(audit, "MOST_READ", 1)
    store, asked = scene.daemon.store, command.page_of

    def page_of(daemon: Any, after: int) -> Any:
        if after:
            store._audit_keep, store._pruned_at = SECOND, None
            store.save([], {}, [], scene.daemon.clock.now() + DAY)
        return asked(daemon, after)

    monkeypatch.setattr(command, "page_of", page_of)
    assert main(["audit", "verify"]) == 3
    assert "were dropped as too old while they were read: ask again" in capsys.readouterr().err
