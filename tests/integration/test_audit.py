"""Killed without warning while it decides and delivers: the audit log says what the state says, and all of it comes out again."""

import json
import random
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from detectors import Reference
from monitor.commands.demo.receiver import Receiver
from tests.integration import test_crash
from tests.integration.daemon import ROOT, Driftd
from tests.integration.test_crash import BEGIN, PARTITIONS, PER_SECOND, SECRET, TOPIC, WINDOW, Load, config, seconds

if TYPE_CHECKING:
    from tests.parts.mock import MockBroker

EVENTS = 48_000  # 120 s, the third part in the middle shifted
KILLS = 6


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver(SECRET) as server:
        yield server
        server.shutdown()


def audit(home: Path, *words: str) -> Any:
    """What `driftd audit` says as JSON; it has to end well."""
    command = [sys.executable, "-m", "monitor", "audit", *words, "--json", "--config", str(home / "driftd.yaml")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, (done.stdout, done.stderr)
    return json.loads(done.stdout)


@pytest.mark.slow
def test_after_kills_the_log_is_whole_and_says_what_the_state_says(
    mock_broker: "MockBroker", tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(test_crash, "EVENTS", EVENTS)
    seed = random.getrandbits(32)
    print(f"seed {seed}")
    chance, rng = random.Random(seed), np.random.default_rng(seed)
    Reference.fit({"x": rng.normal(size=20_000), "plan": rng.choice(["a", "b", "c"], 20_000)}).save(tmp_path / "m.json")
    (tmp_path / "secret").write_text(SECRET, encoding="utf-8")
    mock_broker.create_topic(TOPIC, PARTITIONS)
    daemon = Driftd(tmp_path, config(mock_broker.bootstrap, receiver.url))
    load = Load(mock_broker.bootstrap, seed)
    load.start()

    for _ in range(KILLS):
        daemon.start()
        time.sleep(chance.uniform(0.0, 1.5))
        assert audit(tmp_path, "verify")["whole"]  # over HTTP
        daemon.kill()
        assert audit(tmp_path, "verify")["whole"]  # what the kill has left
    load.pace.set()
    daemon.start()
    load.join(60)
    last = BEGIN + EVENTS // PER_SECOND - WINDOW
    daemon.wait_for(lambda: bool(found := daemon.get("/api/v1/windows?limit=1")) and seconds(found[0]["end"]) == last)
    daemon.wait_told()
    shown = audit(tmp_path, "list")
    assert daemon.metric("driftd_audit_entries_total") == shown[-1]["seq"]
    assert daemon.logged("audit.head")
    daemon.kill()

    assert audit(tmp_path, "verify")["entries"] == len(shown)
    replayed = audit(tmp_path, "replay", "--all")
    kinds = Counter(each["kind"] for each in shown)
    assert replayed["disagree"] == []
    assert replayed["replayed"] == sum(count for kind, count in kinds.items() if kind.startswith(("alert", "retrain")))
    assert (kinds["alert.opened"], kinds["alert.closed"], kinds["retrain.requested"]) == (1, 1, 1)
    starts = [each["body"]["changed"] for each in shown if each["kind"] == "daemon.started"]
    assert starts == [None, *([[]] * (len(starts) - 1))]
    with closing(sqlite3.connect(tmp_path / "state" / "driftd.sqlite3")) as database:
        delivered = database.execute(
            "SELECT id, target FROM delivery WHERE status = 'delivered' ORDER BY id"
        ).fetchall()
    told = [(each["decision"], each["target"]) for each in shown if each["kind"] == "delivery.delivered"]
    assert sorted(told) == delivered
    assert {name for name, _ in told} == {each.id for each in receiver.deliveries()}
