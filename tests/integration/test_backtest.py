"""`driftd backtest --kafka`: a time range of real topics is the same record as a file, and leaves no trace at the broker."""

import json
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import yaml
from confluent_kafka import OFFSET_INVALID, Consumer, KafkaError, Producer, TopicPartition

from detectors import Reference
from monitor.cli import main
from monitor.targets.payloads import rfc3339
from tests.build import MIDNIGHT
from tests.parts.ports import free_ports

if TYPE_CHECKING:
    from tests.parts.kafka import ApacheKafka
    from tests.parts.mock import MockBroker

Output = pytest.CaptureFixture[str]

GROUP = "driftd-backtest-test"
STEP = 2_000  # milliseconds between two events
COUNT = 60_000  # more than several polls bring, so that partitions drift apart
START = MIDNIGHT // 1_000_000  # milliseconds; long ago, since brokers refuse what is to come
SEED = random.getrandbits(32)


def configure(home: Path, bootstrap: str, topic: str, **kafka: Any) -> None:
    rng = np.random.default_rng(SEED)
    Reference.fit({"x": rng.normal(size=5_000)}).save(home / "r.json")
    rule = {"name": "psi-high", "detector": "psi", "fire_above": 0.5}
    settings = {
        "kafka": {"bootstrap_servers": bootstrap, "group_id": GROUP, **kafka},
        "topics": [{"name": topic}],
        "models": [{"name": "m", "reference": "r.json", "window": "10m", "lateness": "1m"}],
        "alerting": {"rules": [rule]},
    }
    (home / "driftd.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")


def events() -> list[tuple[int, bytes]]:
    """Event times in milliseconds, and messages; x moves in the middle."""
    print(f"seed {SEED}")
    values = np.random.default_rng(SEED + 1).normal(size=COUNT)
    values[COUNT // 2 :] += 2
    found = []
    for at, value in enumerate(values.tolist()):
        time = START + at * STEP
        found.append((time, json.dumps({"ts": time, "model": "m", "features": {"x": value}}).encode()))
    return found


def produce(bootstrap: str, topic: str, messages: list[tuple[int, bytes]], partitions: int) -> None:
    """One after the other to each partition but the last, which gets the first tenth of its share only."""
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 20, "log_level": 0})
    for at, (time, raw) in enumerate(messages):
        last = at % partitions == partitions - 1 and at < COUNT // 10
        partition = partitions - 1 if last else at % (partitions - 1)
        producer.produce(topic, raw, partition=partition, timestamp=time, on_delivery=delivered)
        if at % 10_000 == 0:
            producer.flush(30)
    assert producer.flush(30) == 0


def delivered(error: KafkaError | None, _: Any) -> None:
    assert error is None, error


def backtest(home: Path, *arguments: str | Path) -> dict[str, Any]:
    out = home / "out.json"
    assert main(["backtest", "--config", str(home / "driftd.yaml"), "--json", str(out), *map(str, arguments)]) == 0
    return json.loads(out.read_bytes())


def refused(home: Path, capsys: Output, *arguments: str, code: int = 2) -> str:
    assert main(["backtest", "--config", str(home / "driftd.yaml"), *arguments]) == code
    said = capsys.readouterr().err
    assert said.count("\n") == 1, said
    return said


def at_event(number: int) -> str:
    return rfc3339(MIDNIGHT + number * STEP * 1_000_000)


@pytest.mark.slow
def test_a_time_range_is_the_same_record_as_a_file(apache_kafka: "ApacheKafka", topic: str, tmp_path: Path) -> None:
    apache_kafka.create_topic(topic, 4)
    configure(tmp_path, apache_kafka.bootstrap, topic)
    messages = events()
    produce(apache_kafka.bootstrap, topic, messages, 4)
    (tmp_path / "events.jsonl").write_bytes(b"\n".join(raw for _, raw in messages))
    between = ("--from", at_event(5_000), "--until", at_event(55_000))

    found = backtest(tmp_path, "--kafka", *between)
    expected = backtest(tmp_path, "--input", tmp_path / "events.jsonl", *between)

    assert expected["events"].pop("outside") == 10_000
    assert found["events"].pop("outside") == 0
    assert found["events"]["ok"] == 50_000
    assert found["alerts"]
    assert found == expected


@pytest.mark.slow
def test_nothing_is_committed(apache_kafka: "ApacheKafka", topic: str, tmp_path: Path) -> None:
    apache_kafka.create_topic(topic, 2)
    configure(tmp_path, apache_kafka.bootstrap, topic)
    produce(apache_kafka.bootstrap, topic, events()[:3_000], 2)

    assert backtest(tmp_path, "--kafka")["events"]["ok"] == 3_000

    consumer = Consumer({"bootstrap.servers": apache_kafka.bootstrap, "group.id": GROUP, "log_level": 0})
    committed = consumer.committed([TopicPartition(topic, at) for at in range(2)], timeout=30)
    consumer.close()
    assert [one.offset for one in committed] == [OFFSET_INVALID] * 2
    assert not (tmp_path / "state").exists()


@pytest.mark.slow
def test_a_range_without_events_is_one_line(
    apache_kafka: "ApacheKafka", topic: str, tmp_path: Path, capsys: Output
) -> None:
    apache_kafka.create_topic(topic, 2)
    configure(tmp_path, apache_kafka.bootstrap, topic)
    assert f"no record of {topic}" in refused(tmp_path, capsys, "--kafka", code=1)
    produce(apache_kafka.bootstrap, topic, events()[:100], 2)

    for between in (("--from", at_event(100)), ("--until", at_event(0))):
        said = refused(tmp_path, capsys, "--kafka", *between, code=1)
        assert f"kafka: no record of {topic} has a timestamp between --from and --until; 100 are there" in said


@pytest.mark.slow
def test_a_topic_that_is_not_there_is_one_line(
    apache_kafka: "ApacheKafka", topic: str, tmp_path: Path, capsys: Output
) -> None:
    configure(tmp_path, apache_kafka.bootstrap, topic)

    assert f"kafka: there is no topic {topic}" in refused(tmp_path, capsys, "--kafka")


def test_a_broker_that_cannot_look_up_times_is_one_line(
    mock_broker: "MockBroker", tmp_path: Path, capsys: Output
) -> None:
    """The mock cluster; so are some that only speak Kafka's protocol."""
    mock_broker.create_topic("predictions", 2)
    configure(tmp_path, mock_broker.bootstrap, "predictions", startup_timeout="5s")
    produce(mock_broker.bootstrap, "predictions", events()[:1_000], 2)

    for option in ("--from", "--until"):
        said = refused(tmp_path, capsys, "--kafka", option, at_event(100))
        assert "does not say which offset belongs to a time" in said


def test_a_whole_topic_needs_no_times(mock_broker: "MockBroker", tmp_path: Path) -> None:
    mock_broker.create_topic("predictions", 4)
    configure(tmp_path, mock_broker.bootstrap, "predictions")
    messages = events()[:20_000]
    produce(mock_broker.bootstrap, "predictions", messages, 4)
    (tmp_path / "events.jsonl").write_bytes(b"\n".join(raw for _, raw in messages))

    assert backtest(tmp_path, "--kafka") == backtest(tmp_path, "--input", tmp_path / "events.jsonl")


def test_topics_of_labels_tell_what_files_of_labels_tell(mock_broker: "MockBroker", tmp_path: Path) -> None:
    """Labels run far ahead of event time, or behind it: of either kind of record the same windows come to the same."""
    configure(tmp_path, mock_broker.bootstrap, "predictions")
    settings = yaml.safe_load((tmp_path / "driftd.yaml").read_text())
    settings["topics"].append({"name": "outcomes", "kind": "labels"})
    settings["models"][0]["labels"] = {"judge_at": ["20m", "1h"], "wait": "1h"}
    (tmp_path / "driftd.yaml").write_text(yaml.safe_dump(settings))
    rng = np.random.default_rng(SEED)
    scores = rng.random(20_000)
    told = [
        (time, json.dumps(json.loads(raw) | {"id": str(at), "prediction": score}).encode())
        for at, ((time, raw), score) in enumerate(zip(events(), scores.tolist(), strict=False))
    ]
    come = (START + STEP * np.arange(20_000) + rng.exponential(900_000, 20_000)).astype(int)
    labels = [
        (time, json.dumps({"id": str(at), "ts": time, "model": "m", "label": int(scores[at] > 0.4)}).encode())
        for at, time in sorted(enumerate(come.tolist()), key=lambda each: each[1])
    ]
    for name, messages, partitions in (("predictions", told, 4), ("outcomes", labels, 3)):
        mock_broker.create_topic(name, partitions)
        produce(mock_broker.bootstrap, name, messages, partitions)
        (tmp_path / f"{name}.jsonl").write_bytes(b"\n".join(raw for _, raw in messages))

    read = backtest(tmp_path, "--kafka")
    files = backtest(tmp_path, "--input", tmp_path / "predictions.jsonl", "--labels", tmp_path / "outcomes.jsonl")

    assert read["events"] == files["events"]
    performance = read["models"][0]["performance"]
    assert performance == files["models"][0]["performance"]
    assert [each["windows"] > 50 for each in performance] == [True, True]


def test_a_broker_that_is_away_is_one_line(tmp_path: Path, capsys: Output) -> None:
    (port,) = free_ports(1)
    configure(tmp_path, f"127.0.0.1:{port}", "predictions", startup_timeout="1s")

    assert f"kafka: 127.0.0.1:{port}: " in refused(tmp_path, capsys, "--kafka")
