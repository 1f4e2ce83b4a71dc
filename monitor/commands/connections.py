"""Whether a configuration's parts can be reached: broker and topics, targets, the state's directory, the port."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from socket import AF_INET, AF_INET6, SO_REUSEADDR, SOL_SOCKET, create_connection, socket
from ssl import CERT_NONE, create_default_context
from tempfile import TemporaryFile
from typing import Any

from confluent_kafka import Consumer, KafkaException

from monitor.app import client_properties, explain_client
from monitor.clock import SystemClock
from monitor.commands.samples import TopicSample, sample_topics
from monitor.configuration import Configuration
from monitor.following import aliases_of, asker
from monitor.replica import internal_topics
from monitor.settings import Settings
from monitor.sources.kafka.client import ABSENT_TOPIC
from monitor.sources.kafka.internal import InternalTopics
from monitor.sources.kafka.troubles import LASTING, gravest
from monitor.targets.address import AddressRefused, place, resolve
from monitor.targets.base import Access, Checkable, Target
from monitor.targets.transport import Transport, TransportError

PATIENCE = 10.0  # seconds for a broker to answer
ASKING = 2.0  # of those, for one question
CONNECTING = 5.0  # and for a target to be connected to
WRITTEN = 4096  # bytes: a disk that is full has room for an empty file


@dataclass(slots=True)
class Connections:
    """What was found by connecting: the partitions of each topic, None for one that is not there yet, and what is wrong."""

    topics: dict[str, int | None] = field(default_factory=dict)
    samples: list[TopicSample] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def connect(configuration: Configuration, *, offline: bool) -> Connections:
    """Try everything; with a client that refuses its properties, or `offline`, nothing is connected to."""
    settings = configuration.settings
    problems = list(client_problems(settings))
    if offline or problems:
        return Connections(problems=problems)
    connections = look_up_topics(settings)
    there = [topic for topic, partitions in connections.topics.items() if partitions]
    connections.samples = list(sample_topics(configuration, there, PATIENCE))
    connections.problems += [problem for sample in connections.samples for problem in sample.problems]
    look_at_targets(configuration, connections)
    connections.warnings += look_at_registry(configuration)
    connections.warnings += look_at_internal_topics(settings)
    connections.problems += local_problems(settings)
    return connections


def look_at_targets(configuration: Configuration, connections: Connections) -> None:
    """Targets that cannot be reached, never will be, or would not take what they are told. Nothing is started."""
    with Transport(SystemClock()) as io:
        for (key, settings), subscriber in zip(configuration.settings.told, configuration.targets, strict=True):
            problems = [problem for url in settings.urls() for problem in address_problems(key, url)]
            if not problems:
                access = access_to(subscriber.target, io)
                problems = [f"{key}: {problem}" for problem in access.problems]
                connections.warnings += [f"{key}: {warning}" for warning in access.warnings]
            connections.problems += problems


def look_at_registry(configuration: Configuration) -> Iterator[str]:
    """What the registry does not say: a start does not wait for it."""
    if configuration.registry is not None:
        ask = asker(configuration, SystemClock())
        for model, alias in aliases_of(configuration.settings).items():
            if why := ask(model, alias).why:
                yield f"registry: {model}: {why}"


def look_at_internal_topics(settings: Settings) -> list[str]:
    """What is wrong with the topics of replicas, where there are to be any."""
    if settings.replicas is None:
        return []
    try:
        return InternalTopics(client_properties(settings.kafka), internal_topics(settings)).check()
    except KafkaException as error:
        return [f"replicas: the internal topics cannot be looked at: {explain_client(error)}"]


def access_to(target: Target, io: Transport) -> Access:
    """What a target says of our access to it; nothing of one that cannot be asked."""
    if not isinstance(target, Checkable):
        return Access()
    try:
        return target.check(io, SystemClock())
    except TransportError as error:
        return Access(problems=(f"cannot be asked: {error}",))
    except Exception as error:  # noqa: BLE001 - a bug in a stranger's target, or an answer nobody foresaw; its text could hold a secret
        return Access(problems=(f"cannot be asked: it failed with {type(error).__name__}",))


def address_problems(key: str, url: str) -> Iterator[str]:
    """Whether something listens there; nothing is sent."""
    host, port = place(url)
    try:
        addresses = resolve(host, port)
    except AddressRefused as error:
        yield f"{key}: {error}, which is never connected to"
    except OSError as error:
        yield f"{key}: {host} cannot be resolved: {error.strerror or error}"
    else:
        if (why := refused_by_all(addresses, port)) is not None:
            yield f"{key}: {host}:{port} cannot be connected to: {why}"


def refused_by_all(addresses: Sequence[str], port: int) -> str | None:
    """Why none of these can be connected to; None where one can."""
    why = "there is no address"
    for address in addresses:
        try:
            create_connection((address, port), timeout=min(PATIENCE, CONNECTING)).close()
        except OSError as error:
            why = error.strerror or str(error)
        else:
            return None
    return why


def local_problems(settings: Settings) -> Iterator[str]:
    """What stands in the way on this machine: the state's directory and the port."""
    place = next(path for path in (settings.state, *settings.state.parents) if path.exists())
    if not place.is_dir():
        yield f"state: {settings.state} cannot be used: {place} is no directory"
    elif (why := unwritable(place)) is not None:
        yield f"state: {settings.state} cannot be used: {place} is not writable: {why}"
    folder = None if settings.reports is None else settings.reports.folder
    if folder is not None and (why := no_folder(folder)) is not None:
        yield f"reports.folder: {folder} cannot be used: {why}"
    letters = None if settings.dead_letters is None else settings.dead_letters.directory
    if letters is not None and (why := no_folder(letters)) is not None:
        yield f"dead_letters.directory: {letters} cannot be used: {why}"
    host, port = settings.http.host, settings.http.port
    try:
        with socket(AF_INET6 if ":" in host else AF_INET) as probe:
            probe.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)  # as the server does
            probe.bind((host, port))
            probe.listen()  # with the address reused, two may bind and one may listen
    except OSError as error:
        yield f"http: {host}:{port} cannot be bound: {error.strerror or error}; is driftd running already?"


def no_folder(folder: Path) -> str | None:
    """Why no file can be written in a folder, which is made where it is not there; None where one can."""
    place = next(path for path in (folder, *folder.parents) if path.exists())
    if not place.is_dir():
        return f"{place} is no directory"
    why = unwritable(place)
    return None if why is None else f"{place} is not writable: {why}"


def unwritable(directory: Path) -> str | None:
    """Why no file can be made in a directory; None where one can, which is gone again."""
    try:
        with TemporaryFile(dir=directory, prefix=".driftd-check-") as file:
            file.write(b"\0" * WRITTEN)
    except OSError as error:
        return error.strerror or str(error)
    return None


def client_problems(settings: Settings) -> Iterator[str]:
    """Whether the client takes its properties; nothing is connected to."""
    try:
        Consumer(
            {**client_properties(settings.kafka), "bootstrap.servers": "", "group.id": settings.kafka.group_id}
        ).close()
    except (KafkaException, ValueError) as error:
        yield f"kafka.properties: {explain_client(error)}"


def hidden_tls(settings: Settings) -> str | None:
    """What helps where TLS is spoken to a client that does not, which the client itself does not notice."""
    if "ssl" in str(settings.kafka.properties.get("security.protocol", "")).lower():
        return None
    context = create_default_context()
    context.check_hostname, context.verify_mode = False, CERT_NONE  # only whether it is TLS; nothing is sent
    for server in settings.kafka.bootstrap_servers.split(","):
        host, _, port = server.strip().rpartition(":")
        with (
            suppress(OSError, ValueError),
            create_connection((host, int(port)), timeout=CONNECTING) as plain,
            context.wrap_socket(plain),
        ):
            return f"TLS: {server.strip()} speaks it: security.protocol in kafka.properties must be SSL or SASL_SSL"
    return None


def answer(consumer: Consumer, complaints: Sequence[str]) -> dict[str, Any]:
    """All topics that the broker has; it is waited for, but not where it will never talk to us. Raises KafkaException."""
    left = PATIENCE
    while True:
        try:
            return dict(consumer.list_topics(timeout=min(left, ASKING)).topics)
        except KafkaException:
            consumer.poll(0)  # brings the reason
            left -= ASKING
            if left <= 0 or (gravest(complaints) or "").startswith(LASTING):
                raise


def look_up_topics(settings: Settings) -> Connections:
    """Ask the broker for the topics; one that it does not have is waited for, and no problem."""
    complaints: list[str] = []
    consumer = Consumer(
        {
            **client_properties(settings.kafka),
            "group.id": settings.kafka.group_id,
            "error_cb": lambda error: complaints.append(error.str()),
        }
    )
    try:
        known = answer(consumer, complaints)
    except KafkaException as error:
        servers = settings.kafka.bootstrap_servers
        reason = hidden_tls(settings) or gravest(complaints) or explain_client(error)
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
    connections.warnings += letters_topic_warnings(settings, known)
    return connections


def letters_topic_warnings(settings: Settings, known: Mapping[str, Any]) -> Iterator[str]:
    """Whether the topic of dead letters is there: the first rejected record waits for it, and with it all else."""
    topic = None if settings.dead_letters is None else settings.dead_letters.topic
    if topic is not None and (topic not in known or known[topic].error is not None):
        yield (
            f"dead_letters.topic: {topic} does not exist yet: unless the broker makes topics by itself, reading stops at the first event "
            "that is rejected, until it is there"
        )
