"""A request that waits for approval, through a daemon that is killed before, while and after somebody approves it."""

import http.client
import json
import random
import secrets
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np
import pytest

from detectors import Reference
from monitor.cli import main
from monitor.commands.demo.receiver import Receiver
from tests.integration.daemon import Driftd

if TYPE_CHECKING:
    from tests.parts.mock import MockBroker

TOPIC, PARTITIONS, EVENTS, PER_SECOND = "predictions", 2, 30_000, 200
BEGIN = 1_763_870_700
KILLS = 4
SECRET = "whsec_" + b64encode(secrets.token_bytes(32)).decode()
TOKEN = "correct-horse-battery-staple"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver(SECRET) as server:
        yield server
        server.shutdown()


def config(bootstrap: str, url: str) -> dict[str, Any]:
    rule = {"name": "psi-high", "detector": "psi", "fire_above": 0.25, "clear_below": 0.1, "severity": "critical"}
    return {
        "kafka": {"bootstrap_servers": bootstrap, "start_from": "earliest"},
        "topics": [{"name": TOPIC}],
        "models": [
            {
                "name": "m",
                "version": "1",
                "reference": "m.json",
                "window": "10s",
                "lateness": "2s",
                "min_rows": 100,
                "retraining": {"approval": "required", "cooldown": "1h"},
            }
        ],
        "alerting": {"false_alarms_per_month": None, "rules": [rule]},
        "webhooks": [{"name": "trainer", "url": url, "types": ["*"], "secret_file": "secret"}],
        "checkpoint_interval": "100ms",
        "idle_after": "60s",
        "http": {"token_file": "token"},
    }


def produce(bootstrap: str) -> None:
    """All events at once; a feature shifts at two thirds and stays so."""
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": bootstrap, "log_level": 0})
    draw = random.Random(5)
    for number in range(EVENTS):
        shift = 1.5 if number > 2 * EVENTS // 3 else 0.0
        event = {
            "ts": BEGIN * 1000 + number * 1000 // PER_SECOND,
            "model": "m",
            "version": "1",
            "features": {"x": draw.gauss(shift, 1.0)},
        }
        producer.produce(TOPIC, json.dumps(event).encode(), partition=number % PARTITIONS)
        if number % 1000 == 0:
            producer.flush(10)
    assert producer.flush(30) == 0


def approve(daemon: Driftd, request: str, name: str) -> int | None:
    """Ask once, under an id of our own; None: nobody answered, so nobody knows."""
    body = json.dumps({"decision": "approve", "request": request, "id": name, "by": "ana"}).encode()
    port = urlsplit(daemon.url).port
    try:
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
            connection.request("POST", "/api/v1/decisions", body, {"authorization": f"Bearer {TOKEN}"})
            return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None


@pytest.mark.slow
def test_what_is_approved_through_kills_is_requested_exactly_once(
    mock_broker: "MockBroker", tmp_path: Path, receiver: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    seed = random.getrandbits(32)
    print(f"seed {seed}")
    chance, rng = random.Random(seed), np.random.default_rng(seed)
    Reference.fit({"x": rng.normal(size=20_000)}).save(tmp_path / "m.json")
    (tmp_path / "secret").write_text(SECRET, encoding="utf-8")
    (tmp_path / "token").write_text(TOKEN, encoding="utf-8")
    mock_broker.create_topic(TOPIC, PARTITIONS)
    produce(mock_broker.bootstrap)
    daemon = Driftd(tmp_path, config(mock_broker.bootstrap, receiver.url))

    for _ in range(KILLS):  # while it reads
        daemon.start(ready=chance.random() < 0.8)
        time.sleep(chance.uniform(0.0, 1.0))
        daemon.kill()
    daemon.start()
    daemon.wait_for(lambda: bool(daemon.get("/api/v1/retraining")))
    (waiting,) = daemon.get("/api/v1/retraining")
    assert waiting["outcome"] == "pending_approval"
    daemon.wait_told()
    for _ in range(KILLS):  # while somebody approves: the answer may be lost, so the same is asked again
        if chance.random() < 0.5:
            approve(daemon, waiting["id"], "ana-1")
        time.sleep(chance.uniform(0.0, 0.05))
        daemon.kill()
        daemon.start()
    assert approve(daemon, waiting["id"], "ana-1") in {200, 201}
    assert approve(daemon, waiting["id"], "ana-1") == 200
    assert approve(daemon, waiting["id"], "ana-2") == 409
    daemon.kill()
    daemon.start()
    daemon.wait_told()

    assert main(["retrain", "list", "--config", str(daemon.config)]) == 0
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.startswith(f"{waiting['id']}  ")
    assert line.endswith("m/1 drift: requested, by ana; in flight")
    assert daemon.stop() == 0
    told: dict[str, dict[str, dict[str, Any]]] = {}
    for delivery in receiver.deliveries():
        assert delivery.verified
        told.setdefault(delivery.type, {})[delivery.id] = delivery.data
    assert {kind: len(ids) for kind, ids in told.items() if "retrain" in kind} == {
        "model.retrain.pending": 1,
        "model.retrain.requested": 1,
    }
    ((name, data),) = told["model.retrain.requested"].items()
    assert name == data["decision_id"] == waiting["id"]
    assert data["decided_by"] == {"by": "ana", "why": ""}
    assert [each["partition"] for each in data["offsets"]] == [0, 1]
    assert all(0 <= each["from"] < each["to"] <= EVENTS // PARTITIONS for each in data["offsets"])
    assert data["offsets_whole"]
