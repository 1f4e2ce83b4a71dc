"""Whether a configuration's parts can be reached: broker and topics, targets, the state's directory, the port."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from socket import AF_INET, AF_INET6, SO_REUSEADDR, SOL_SOCKET, socket

from confluent_kafka import Consumer, KafkaException

from monitor.app import client_properties, explain_client
from monitor.settings import Settings
from monitor.sources.kafka.client import ABSENT_TOPIC
from monitor.targets.address import AddressRefused, place, resolve

PATIENCE = 10.0  # seconds for a broker to answer


@dataclass(slots=True)
class Connections:
    """What was found by connecting: the partitions of each topic, None for one that is not there yet, and what is wrong."""

    topics: dict[str, int | None] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def connect(settings: Settings, *, offline: bool) -> Connections:
    """Try everything; with a client that refuses its properties, or `offline`, nothing is connected to."""
    problems = list(client_problems(settings))
    if offline or problems:
        return Connections(problems=problems)
    connections = look_up_topics(settings)
    connections.problems += [*target_problems(settings), *local_problems(settings)]
    return connections


def target_problems(settings: Settings) -> Iterator[str]:
    """Targets that cannot be reached, or never will be."""
    for key, target in settings.told:
        for url in target.urls():
            yield from address_problems(key, url)


def address_problems(key: str, url: str) -> Iterator[str]:
    """Whether the host of an address has one that may be connected to."""
    host, port = place(url)
    try:
        resolve(host, port)
    except AddressRefused as error:
        yield f"{key}: {error}, which is never connected to"
    except OSError as error:
        yield f"{key}: {host} cannot be resolved: {error.strerror or error}"


def local_problems(settings: Settings) -> Iterator[str]:
    """What stands in the way on this machine: the state's directory and the port."""
    place = next(path for path in (settings.state, *settings.state.parents) if path.exists())
    if not place.is_dir():
        yield f"state: {settings.state} cannot be used: {place} is no directory"
    elif not os.access(place, os.W_OK | os.X_OK):
        yield f"state: {settings.state} cannot be used: {place} is not writable"
    host, port = settings.http.host, settings.http.port
    try:
        with socket(AF_INET6 if ":" in host else AF_INET) as probe:
            probe.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)  # as the server does
            probe.bind((host, port))
            probe.listen()  # with the address reused, two may bind and one may listen
    except OSError as error:
        yield f"http: {host}:{port} cannot be bound: {error.strerror or error}; is driftd running already?"


def client_problems(settings: Settings) -> Iterator[str]:
    """Whether the client takes its properties; nothing is connected to."""
    try:
        Consumer({**client_properties(settings), "bootstrap.servers": "", "group.id": settings.kafka.group_id}).close()
    except (KafkaException, ValueError) as error:
        yield f"kafka.properties: {explain_client(error)}"


def tls_words(reason: str) -> str:
    """The client's words, with TLS named where it failed."""
    if not any(word in reason for word in ("SSL", "ssl", "certificate")):
        return reason
    trust = "; kafka.ca_file names the authority of its certificate" if "verify failed" in reason else ""
    return f"TLS: {reason}{trust}"


def look_up_topics(settings: Settings) -> Connections:
    """Ask the broker for the topics; one that it does not have is waited for, and no problem."""
    complaints: list[str] = []
    consumer = Consumer(
        {
            **client_properties(settings),
            "group.id": settings.kafka.group_id,
            "error_cb": lambda error: complaints.append(error.str()),
        }
    )
    try:
        known = consumer.list_topics(timeout=PATIENCE).topics
    except KafkaException as error:
        consumer.poll(0)  # brings the reason
        reason = next((text for text in complaints if "ssl" in text.lower()), complaints[0] if complaints else None)
        reason = tls_words(reason or explain_client(error))
        servers = settings.kafka.bootstrap_servers
        return Connections(problems=[f"kafka.bootstrap_servers: {servers} does not answer: {reason}"])
    finally:
        consumer.close()
    connections = Connections()
    for topic in settings.topics:
        metadata = known.get(topic.name)
        if metadata is None or (metadata.error is not None and metadata.error.code() in ABSENT_TOPIC):
            connections.topics[topic.name] = None
        elif metadata.error is not None:
            connections.problems.append(f"topics.{topic.name}: {metadata.error.str()}")
        else:
            connections.topics[topic.name] = len(metadata.partitions)
    return connections
