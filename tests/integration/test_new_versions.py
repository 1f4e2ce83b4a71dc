"""A new version through a daemon that is killed between its announcement and its reference, and after that: nothing is lost."""

import http.client
import json
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from tests.integration.daemon import Driftd
from tests.renewing import TOKEN, events, fitted, with_prediction_of

if TYPE_CHECKING:
    from tests.parts.mock import MockBroker

TOPIC = "predictions"
KILLS = 3


def config(bootstrap: str) -> dict[str, Any]:
    model = {"name": "churn", "version": "3", "reference": "churn-3.json", "window": "10s", "lateness": "0s"}
    new = {"reference": "file", "file": "refs/{model}-{version}.json", "rows": 10**6}
    return {
        "kafka": {"bootstrap_servers": bootstrap, "start_from": "earliest"},
        "topics": [{"name": TOPIC}],
        "models": [{**model, "min_rows": 10, "new_versions": new}],
        "checkpoint_interval": "100ms",
        "idle_after": "60s",
        "http": {"token_file": "token"},
    }


def produce(bootstrap: str, lines: list[bytes]) -> None:
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": bootstrap, "log_level": 0})
    for line in lines:
        producer.produce(TOPIC, line, partition=0)
    assert producer.flush(30) == 0


def announce(daemon: Driftd) -> int:
    body = json.dumps({"model": "churn", "version": "4"}).encode()
    with closing(http.client.HTTPConnection("127.0.0.1", urlsplit(daemon.url).port, timeout=15)) as connection:
        connection.request("POST", "/api/v1/versions", body, {"authorization": f"Bearer {TOKEN}"})
        return connection.getresponse().status


def judged(daemon: Driftd) -> str:
    return str(next(each["judged"] for each in daemon.get("/api/v1/versions") if each["version"] == "4"))


def rows(daemon: Driftd) -> int | None:
    found = [each["window"] for each in daemon.get("/api/v1/models") if each["version"] == "4"]
    return None if not found or found[0] is None else int(found[0]["rows"])


@pytest.mark.slow
def test_a_version_announced_and_killed_gets_its_reference_all_the_same(
    mock_broker: "MockBroker", tmp_path: Path
) -> None:
    fitted(1).save(tmp_path / "churn-3.json")
    (tmp_path / "token").write_text(TOKEN, encoding="utf-8")
    mock_broker.create_topic(TOPIC, 1)
    produce(mock_broker.bootstrap, events("3", 0, 20, seed=2))
    daemon = Driftd(tmp_path, config(mock_broker.bootstrap))
    daemon.start()
    daemon.wait_for(lambda: any(each["window"] for each in daemon.get("/api/v1/models")))
    assert announce(daemon) == 201
    daemon.kill()  # at once: it was answered, so it is on disk
    for _ in range(KILLS):
        daemon.start()
        assert judged(daemon) == "waiting"
        assert announce(daemon) == 200
        daemon.kill()

    own = with_prediction_of(fitted(1), 0.7, seed=9)
    (tmp_path / "refs").mkdir()
    own.save(tmp_path / "refs" / "churn-4.json")
    daemon.start()
    daemon.wait_for(lambda: judged(daemon) == "given")
    daemon.wait_for(
        lambda: daemon.metric("driftd_reference_info", version="4", reference=own.hash) == 1
    )  # its series was made from what is on disk
    daemon.kill()
    (tmp_path / "refs" / "churn-4.json").unlink()
    daemon.start()
    assert judged(daemon) == "given"
    assert daemon.get("/api/v1/versions")[0]["reference"] == own.hash
    produce(mock_broker.bootstrap, events("4", 200, 20, seed=3, score=0.7))
    daemon.wait_for(lambda: rows(daemon) == 50)
    assert not [each for each in daemon.get("/api/v1/alerts") if each["version"] == "4" and each["state"] == "firing"]
    assert daemon.stop() == 0
    assert "Traceback" not in daemon.log.read_text(encoding="utf-8")
