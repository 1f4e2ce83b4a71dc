"""Killed without warning while it decides and delivers: the audit log says what the state says, and all of it comes out again."""

import json
import random
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.daemon import ROOT
from tests.integration.proven import PARTITIONS, PERIOD, TOPIC, Load, proven_run, seconds

if TYPE_CHECKING:
    from tests.parts.mock import MockBroker

KILLS = 6


def audit(home: Path, *words: str) -> Any:
    """What `driftd audit` says as JSON; it has to end well."""
    command = [sys.executable, "-m", "monitor", "audit", *words, "--json", "--config", str(home / "driftd.yaml")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, (done.stdout, done.stderr)
    return json.loads(done.stdout)


@pytest.mark.slow
def test_after_kills_the_log_is_whole_and_says_what_the_state_says(mock_broker: "MockBroker", tmp_path: Path) -> None:
    seed = random.getrandbits(32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    mock_broker.create_topic(TOPIC, PARTITIONS)
    load = Load(mock_broker.bootstrap, seed, PERIOD)
    with proven_run(tmp_path / "run", mock_broker.bootstrap, seed) as run:
        daemon, home = run.daemon, run.home
        load.start()
        for _ in range(KILLS):
            daemon.start()
            time.sleep(chance.uniform(0.0, 1.5))
            assert audit(home, "verify")["whole"]  # over HTTP
            daemon.kill()
            assert audit(home, "verify")["whole"]  # what the kill has left
        load.pace.set()
        load.rest.set()
        daemon.start()
        load.join(60)
        daemon.wait_for(
            lambda: (
                bool(found := daemon.get("/api/v1/windows?model=m&limit=1"))
                and seconds(found[0]["end"]) == load.last_window
            )
        )
        daemon.wait_told()
        shown = audit(home, "list")
        assert daemon.metric("driftd_audit_entries_total") == shown[-1]["seq"]
        assert daemon.logged("audit.head")
        daemon.kill()

    assert audit(home, "verify")["entries"] == len(shown)
    replayed = audit(home, "replay", "--all")
    kinds = Counter(each["kind"] for each in shown)
    assert replayed["disagree"] == []
    assert replayed["replayed"] == sum(count for kind, count in kinds.items() if kind.startswith(("alert", "retrain")))
    assert (kinds["alert.opened"], kinds["alert.closed"], kinds["retrain.requested"]) == (1, 1, 1)
    starts = [each["body"]["changed"] for each in shown if each["kind"] == "daemon.started"]
    assert starts == [None, *([[]] * (len(starts) - 1))]
    with closing(sqlite3.connect(home / "state" / "driftd.sqlite3")) as database:
        delivered = database.execute(
            "SELECT id, target FROM delivery WHERE status = 'delivered' ORDER BY id"
        ).fetchall()
    told = [(each["decision"], each["target"]) for each in shown if each["kind"] == "delivery.delivered"]
    assert sorted(told) == delivered
    heard = [json.loads(line)["id"] for line in (home / "webhooks.jsonl").read_text(encoding="utf-8").splitlines()]
    assert {name for name, _ in told} == {*heard}
