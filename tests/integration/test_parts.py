"""Each real part does here what the other tests rely on."""

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, TopicMetadata
from prometheus_client import CollectorRegistry, Gauge, start_http_server

from tests.parts.kafka import ApacheKafka
from tests.parts.mock import Api, MockBroker
from tests.parts.prometheus import Alertmanager, Prometheus, amtool, promtool

ONE_RULE = """
groups:
  - name: drift
    rules:
      - alert: Drifting
        expr: driftd_drift_score > 0.25
        labels: {severity: critical}
"""
TO_NOBODY = "route: {receiver: nobody, group_wait: 0s}\nreceivers: [{name: nobody}]\n"


def test_what_is_produced_is_read_from_an_assigned_partition(broker: MockBroker | ApacheKafka, topic: str) -> None:
    broker.create_topic(topic, 2)
    produce(broker, topic, [b"one", b"two", b"three"], partition=1)

    with reading(broker, topic, partition=1) as consumer:
        assert values(consumer, count=3) == [b"one", b"two", b"three"]


def test_a_topic_has_the_partitions_it_was_created_with(broker: MockBroker | ApacheKafka, topic: str) -> None:
    broker.create_topic(topic, 3)

    assert len(metadata(broker, topic).partitions) == 3


def test_records_before_the_low_watermark_are_gone(broker: MockBroker | ApacheKafka, topic: str) -> None:
    broker.create_topic(topic)
    for value in (b"one", b"two", b"three"):  # a batch each: the mock cluster deletes whole batches
        produce(broker, topic, [value])
    broker.delete_records(topic, 0, before=2)

    with reading(broker, topic) as consumer:
        assert consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=10) == (2, 3)
        assert values(consumer, count=1) == [b"three"]


def test_apache_kafka_creates_no_topic_by_itself(apache_kafka: ApacheKafka, topic: str) -> None:
    assert metadata(apache_kafka, topic).error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART


def test_a_deleted_topic_is_unknown(apache_kafka: ApacheKafka, topic: str) -> None:
    apache_kafka.create_topic(topic, retention_ms=60_000)
    apache_kafka.delete_topic(topic)

    assert metadata(apache_kafka, topic).error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART


@pytest.mark.parametrize("end", [ApacheKafka.stop, ApacheKafka.kill])
def test_a_restarted_broker_keeps_its_records(
    apache_kafka: ApacheKafka, topic: str, end: Callable[[ApacheKafka], None]
) -> None:
    apache_kafka.create_topic(topic)
    produce(apache_kafka, topic, [b"before"])
    end(apache_kafka)
    apache_kafka.restart()
    produce(apache_kafka, topic, [b"after"])

    with reading(apache_kafka, topic) as consumer:
        assert values(consumer, count=2) == [b"before", b"after"]


def test_a_paused_broker_is_silent_until_resumed(apache_kafka: ApacheKafka, topic: str) -> None:
    apache_kafka.create_topic(topic)
    with reading(apache_kafka, topic) as consumer:
        apache_kafka.pause()
        with pytest.raises(KafkaException):
            consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=0.5)
        apache_kafka.resume()

        assert consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=10) == (0, 0)


@pytest.mark.parametrize("left", [ApacheKafka.kill, ApacheKafka.pause])
def test_a_broker_left_broken_by_a_test_is_whole_in_the_next(
    apache_kafka: ApacheKafka, topic: str, left: Callable[[ApacheKafka], None]
) -> None:
    left(apache_kafka)
    apache_kafka.heal()  # as before each test
    apache_kafka.create_topic(topic)

    assert len(metadata(apache_kafka, topic).partitions) == 1


@pytest.mark.slow
@pytest.mark.kafka
def test_a_topic_is_created_though_the_node_was_fenced_for_a_moment(tmp_path: Path, topic: str) -> None:
    """Its heartbeats come later than they may, as on a busy machine: it is fenced half of the time."""
    late = {"broker.heartbeat.interval.ms": "1000", "broker.session.timeout.ms": "500"}
    node = ApacheKafka(tmp_path, config=late)
    try:
        fenced(node)
        node.create_topic(topic)
        fenced(node)
        node.add_partitions(topic, 2)

        assert len(metadata(node, topic).partitions) == 2
    finally:
        node.close()


def fenced(node: ApacheKafka) -> None:
    """Returns once the node says it is; nothing is created."""
    admin = AdminClient({"bootstrap.servers": node.bootstrap, "log_level": 0})
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        refused = admin.create_topics([NewTopic("never", 1, 1)], validate_only=True)["never"].exception(15)
        if refused is not None and refused.args[0].code() == KafkaError.INVALID_REPLICATION_FACTOR:
            return
    raise TimeoutError("it was never fenced")


def test_a_pushed_fetch_error_reaches_the_consumer(mock_broker: MockBroker, topic: str) -> None:
    mock_broker.create_topic(topic)
    produce(mock_broker, topic, [b"one"])
    mock_broker.push_errors(Api.FETCH, KafkaError.TOPIC_AUTHORIZATION_FAILED)

    with reading(mock_broker, topic) as consumer:
        message = consumer.poll(10)

    assert message is not None
    assert message.error().code() == KafkaError.TOPIC_AUTHORIZATION_FAILED


def test_a_pushed_commit_error_fails_one_commit(mock_broker: MockBroker, topic: str) -> None:
    mock_broker.create_topic(topic)
    position = [TopicPartition(topic, 0, 1)]
    mock_broker.push_errors(Api.OFFSET_COMMIT, KafkaError.ILLEGAL_GENERATION)

    with reading(mock_broker, topic) as consumer:
        with pytest.raises(KafkaException) as refused:
            consumer.commit(offsets=position, asynchronous=False)
        consumer.commit(offsets=position, asynchronous=False)

        assert refused.value.args[0].code() == KafkaError.ILLEGAL_GENERATION
        assert [partition.offset for partition in consumer.committed(position, timeout=10)] == [1]


def test_a_mock_broker_that_was_down_serves_its_records_again(mock_broker: MockBroker, topic: str) -> None:
    mock_broker.create_topic(topic)
    produce(mock_broker, topic, [b"before"])
    mock_broker.set_down()

    with reading(mock_broker, topic) as consumer:
        assert consumer.poll(0.5) is None
        mock_broker.set_up()
        assert values(consumer, count=1) == [b"before"]


def test_prometheus_scrapes_a_target(prometheus: Callable[..., Prometheus], exporter: str) -> None:
    server = prometheus(exporter)

    [series] = server.wait_for("driftd_drift_score")

    assert series["metric"]["feature"] == "age"
    assert series["value"][1] == "0.5"
    assert [target["health"] for target in server.targets()] == ["up"]


def test_a_prometheus_rule_fires_into_alertmanager(
    prometheus: Callable[..., Prometheus], alertmanager: Callable[[Path], Alertmanager], exporter: str, tmp_path: Path
) -> None:
    receiver = alertmanager(written(tmp_path / "alertmanager.yml", TO_NOBODY))
    rules = written(tmp_path / "rules.yml", ONE_RULE)
    server = prometheus(exporter, rule_files=[rules], alertmanager=receiver.address)

    server.wait_for('ALERTS{alertname="Drifting", alertstate="firing"}')

    assert [rule["state"] for rule in server.rules()] == ["firing"]
    assert [alert["labels"]["severity"] for alert in eventually(receiver.alerts)] == ["critical"]


@pytest.mark.prometheus
def test_promtool_tells_a_good_rule_file_from_a_bad_one(tmp_path: Path) -> None:
    good = written(tmp_path / "good.yml", ONE_RULE)
    bad = written(tmp_path / "bad.yml", ONE_RULE.replace("> 0.25", ">"))

    assert promtool("check", "rules", good).returncode == 0
    assert promtool("check", "rules", bad).returncode != 0


@pytest.mark.prometheus
def test_promtool_checks_a_config(tmp_path: Path) -> None:
    config = written(tmp_path / "prometheus.yml", f"rule_files: [{written(tmp_path / 'rules.yml', ONE_RULE)}]\n")

    assert "SUCCESS" in promtool("check", "config", config).stdout


@pytest.mark.prometheus
def test_promtool_reads_metrics_from_its_input() -> None:
    checked = promtool("check", "metrics", input="# TYPE a_total counter\na_total 1\n")

    assert "a_total" in checked.stdout + checked.stderr  # it lints: no help text


@pytest.mark.prometheus
def test_amtool_checks_a_config(tmp_path: Path) -> None:
    config = written(tmp_path / "alertmanager.yml", TO_NOBODY)

    assert amtool("check-config", config).returncode == 0


@pytest.fixture
def exporter() -> Iterator[str]:
    """The address of a /metrics with one drift score."""
    registry = CollectorRegistry()
    Gauge("driftd_drift_score", "as the daemon has it", ["feature"], registry=registry).labels("age").set(0.5)
    server, thread = start_http_server(0, addr="127.0.0.1", registry=registry)
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def produce(broker: MockBroker | ApacheKafka, topic: str, payloads: list[bytes], *, partition: int = 0) -> None:
    producer = Producer({"bootstrap.servers": broker.bootstrap, "linger.ms": 0, "log_level": 0})
    for payload in payloads:
        producer.produce(topic, payload, partition=partition)
    assert producer.flush(10) == 0


@contextlib.contextmanager
def reading(broker: MockBroker | ApacheKafka, topic: str, *, partition: int = 0) -> Iterator[Consumer]:
    """A consumer at the partition's beginning. It asks no group coordinator, which a fresh broker takes long to have."""
    settings = {"bootstrap.servers": broker.bootstrap, "group.id": topic, "enable.auto.commit": False, "log_level": 0}
    consumer = Consumer({**settings, "auto.offset.reset": "earliest", "reconnect.backoff.max.ms": 200})
    consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING)])
    yield consumer
    consumer.close()


def values(consumer: Consumer, *, count: int, seconds: float = 60) -> list[bytes]:
    """Payloads in order; errors on the way are the client's own to get over."""
    deadline = time.monotonic() + seconds
    payloads: list[bytes] = []
    while len(payloads) < count and time.monotonic() < deadline:
        message = consumer.poll(0.2)
        if message is not None and message.error() is None:
            payloads.append(message.value())
    return payloads


def metadata(broker: MockBroker | ApacheKafka, topic: str) -> TopicMetadata:
    producer = Producer({"bootstrap.servers": broker.bootstrap, "allow.auto.create.topics": False, "log_level": 0})
    return producer.list_topics(topic, timeout=10).topics[topic]


def eventually(ask: Callable[[], list[dict[str, Any]]], *, seconds: float = 60) -> list[dict[str, Any]]:
    deadline = time.monotonic() + seconds
    while not (answer := ask()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return answer


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path
