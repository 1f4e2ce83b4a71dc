"""One real Apache Kafka node on loopback: started, stopped, killed, paused and restarted by a test."""

import base64
import functools
import shutil
import subprocess
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    NewPartitions,
    NewTopic,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from tests.parts.child import Child, StartFailed
from tests.parts.jars import java, kafka_jars
from tests.parts.ports import free_ports

START_SECONDS = 60
ADMIN_SECONDS = 15
FOR_A_MOMENT = {  # what a node says that was paused or has just started, or whose heartbeats came late on a busy machine
    KafkaError.INVALID_REPLICATION_FACTOR,  # all brokers are fenced
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.NOT_CONTROLLER,
    KafkaError.REQUEST_TIMED_OUT,
}
JVM = (  # small and quick to start, not fast
    "-Xmx384m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:-UsePerfData",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
)
ONE_SMALL_NODE = {
    "process.roles": "broker,controller",
    "controller.listener.names": "CONTROLLER",
    "auto.create.topics.enable": "false",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "1",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
    "broker.session.timeout.ms": "6000",  # late heartbeats fence it after this; a killed node registers again no sooner
    "broker.heartbeat.interval.ms": "250",
    "num.network.threads": "1",
    "num.io.threads": "2",
    "background.threads": "2",
    "log.cleaner.dedupe.buffer.size": "2097152",
    "log.retention.ms": "-1",  # records are stamped with the times of their events, of years ago: nothing is to be too old
}


SCRAM = {  # lets in whom `add_user` names, where sasl.enabled.mechanisms has it
    "listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config": "org.apache.kafka.common.security.scram.ScramLoginModule required;"
}
PROXIED = "PROXIED"  # a listener that clients are sent to by way of a proxy


@dataclass(frozen=True)
class Quorum:
    """Nodes that are to be one cluster: where the controller of each listens."""

    controllers: Mapping[int, str]
    cluster_id: str = field(
        default_factory=lambda: base64.urlsafe_b64encode(uuid.uuid4().bytes).decode("ascii").rstrip("=")
    )


class ApacheKafka:
    """Broker and controller in one process. Stopped or killed, it keeps its port and its logs until `close()`.

    Settings of server.properties beyond ONE_SMALL_NODE are given in `config`. `secured` are protocols that it speaks too,
    each at its own address in `addresses`: SSL, SASL_SSL. At `behind_proxy` it tells clients to come to `proxy_port`.
    One of a `quorum` is started, and waited for by `wait`.
    """

    def __init__(
        self,
        directory: Path,
        *,
        config: Mapping[str, str] | None = None,
        secured: Sequence[str] = (),
        quorum: Quorum | None = None,
        node: int = 1,
    ) -> None:
        self._java = java()
        self._jars = kafka_jars()
        self._directory = directory
        self._properties = directory / "server.properties"
        port, own_controller, self.behind_proxy, self.proxy_port, *others = free_ports(4 + len(secured))
        self.addresses = {name: f"127.0.0.1:{port}" for name, port in zip(secured, others, strict=True)}
        self.bootstrap = f"127.0.0.1:{port}"
        self._quorum = quorum or Quorum({node: f"127.0.0.1:{own_controller}"})
        self._configure(node, config or {})
        self._format()
        self._launch()
        if quorum is None:
            self.wait()

    def create_topic(self, name: str, partitions: int = 1, **config: str | int) -> None:
        """Returns once every partition has its leader. Topic settings with _ for the dot: `retention_ms=1000`."""
        settings = {key.replace("_", "."): str(value) for key, value in config.items()}
        topic = NewTopic(
            name, num_partitions=partitions, replication_factor=len(self._quorum.controllers), config=settings
        )
        self._done(lambda: self._admin.create_topics([topic])[name], before=KafkaError.TOPIC_ALREADY_EXISTS)
        self._wait_until_partitions(name, partitions)

    def add_partitions(self, topic: str, count: int) -> None:
        """Returns once the topic has so many, each with its leader."""
        more = NewPartitions(topic, count)
        self._done(lambda: self._admin.create_partitions([more])[topic], before=KafkaError.INVALID_PARTITIONS)
        self._wait_until_partitions(topic, count)

    def delete_topic(self, name: str) -> None:
        """Returns once the broker no longer knows it."""
        self._done(lambda: self._admin.delete_topics([name])[name], before=KafkaError.UNKNOWN_TOPIC_OR_PART)
        self._wait_until_partitions(name, 0)

    def delete_records(self, topic: str, partition: int, before: int) -> None:
        """Forget what lies before an offset, as retention would."""
        where = TopicPartition(topic, partition, before)
        self._done(lambda: self._admin.delete_records([where])[where])

    def add_user(self, name: str, password: str) -> None:
        """Let somebody in by SCRAM-SHA-256."""
        how = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, 4096)
        user = UserScramCredentialUpsertion(name, how, password.encode())
        self._done(lambda: self._admin.alter_user_scram_credentials([user])[name])

    @property
    def pid(self) -> int:
        return self._node.pid

    def stop(self) -> None:
        """SIGTERM, then SIGKILL."""
        self._node.stop()

    def kill(self) -> None:
        """SIGKILL: what the page cache holds stays, as it does when a process crashes."""
        self._node.kill()

    def restart(self) -> None:
        """Stop it if it runs, then start it on the same port and logs."""
        self._node.stop()
        self._launch()
        self.wait()

    def pause(self) -> None:
        """SIGSTOP: connections stay open and nothing answers."""
        self._node.pause()

    def resume(self) -> None:
        self._node.resume()

    def heal(self) -> None:
        """Running and not paused, whatever a test has done to it."""
        self._node.resume()
        if not self._node.running:
            self._launch()
        self.wait()

    def wait(self) -> None:
        """Returns once it is not fenced."""
        try:
            self._node.wait_until(self._ready, seconds=START_SECONDS)
        except BaseException:
            self._node.kill()
            raise

    def in_sync(self) -> bool:
        """Whether all its cluster's nodes are there, and have every record."""
        try:
            cluster = self._admin.list_topics(timeout=1)
        except KafkaException:
            return False
        partitions = [partition for topic in cluster.topics.values() for partition in topic.partitions.values()]
        there = len(cluster.brokers) == len(self._quorum.controllers)
        return there and all(len(each.isrs) == len(each.replicas) for each in partitions)

    def close(self) -> None:
        """Stop it and remove its data; the log stays."""
        self._node.stop()
        shutil.rmtree(self._directory / "data", ignore_errors=True)

    @functools.cached_property
    def _admin(self) -> AdminClient:
        return AdminClient(
            {
                "bootstrap.servers": self.bootstrap,
                "reconnect.backoff.ms": 50,
                "reconnect.backoff.max.ms": 200,
                "log_level": 0,  # a broker that is down is what the tests are about
            }
        )

    def _configure(self, node: int, changes: Mapping[str, str]) -> None:
        told = {"PLAINTEXT": self.bootstrap, PROXIED: f"127.0.0.1:{self.proxy_port}", **self.addresses}
        places = {**told, PROXIED: f"127.0.0.1:{self.behind_proxy}", "CONTROLLER": self._quorum.controllers[node]}
        protocols = dict.fromkeys(("CONTROLLER", "PLAINTEXT", PROXIED), "PLAINTEXT")
        protocols |= {name: name for name in self.addresses}
        settings = {
            **ONE_SMALL_NODE,
            "node.id": str(node),
            "listeners": ",".join(f"{name}://{place}" for name, place in places.items()),
            "advertised.listeners": ",".join(f"{name}://{place}" for name, place in told.items()),
            "listener.security.protocol.map": ",".join(f"{name}:{spoken}" for name, spoken in protocols.items()),
            "controller.quorum.voters": ",".join(f"{each}@{at}" for each, at in self._quorum.controllers.items()),
            "log.dirs": f"{self._directory}/data",
            **changes,
        }
        self._properties.write_text("".join(f"{key}={value}\n" for key, value in settings.items()), encoding="utf-8")

    def _command(self, main_class: str, *arguments: str | Path) -> list[str | Path]:
        return [self._java, *JVM, "-cp", f"{self._jars}/*", main_class, *arguments]

    def _format(self) -> None:
        arguments = ("format", f"--cluster-id={self._quorum.cluster_id}", "--config", self._properties)
        command = self._command("kafka.tools.StorageTool", *arguments)
        done = subprocess.run(command, capture_output=True, text=True, timeout=START_SECONDS, check=False)
        if done.returncode != 0:
            raise StartFailed(f"Kafka's log directory was not formatted:\n{done.stdout}{done.stderr}")

    def _launch(self) -> None:
        log = self._directory / "kafka.log"
        self._node = Child("Kafka", self._command("kafka.Kafka", self._properties), log=log)

    def _done(self, ask: Callable[[], Future[Any]], *, before: int | None = None) -> None:
        """Asked again while it is fenced; `before` is how it says that an ask whose answer was lost had been done."""
        deadline, first = time.monotonic() + ADMIN_SECONDS, True
        while (error := _refused(ask())) is not None:
            if error.code() == before and not first:
                return
            if time.monotonic() > deadline or not (error.code() in FOR_A_MOMENT or error.retriable()):
                raise KafkaException(error)
            first = False
            time.sleep(0.02)

    def _ready(self) -> bool:
        """It is not fenced: a fenced broker is not listed, and leads nothing."""
        try:
            cluster = self._admin.list_topics(timeout=1)
        except KafkaException:
            return False
        partitions = [partition for topic in cluster.topics.values() for partition in topic.partitions.values()]
        return bool(cluster.brokers) and all(partition.leader >= 0 for partition in partitions)

    def _wait_until_partitions(self, topic: str, count: int) -> None:
        deadline = time.monotonic() + ADMIN_SECONDS
        while self._led_partitions(topic) != count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{topic} has not got {count} partitions within {ADMIN_SECONDS} s")
            time.sleep(0.02)

    def _led_partitions(self, topic: str) -> int:
        """Of a topic that is not known 0; -1 where the node does not answer."""
        try:
            known = self._admin.list_topics(timeout=1).topics.get(topic)
        except KafkaException:
            return -1
        return 0 if known is None else sum(partition.leader >= 0 for partition in known.partitions.values())


def _refused(asked: Future[Any]) -> KafkaError | None:
    try:
        asked.result(ADMIN_SECONDS)
    except KafkaException as failed:
        refused: KafkaError = failed.args[0]
        return refused
    return None
