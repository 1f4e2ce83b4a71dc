"""What `driftd topics` does: a line for each topic that was made, and for each thing that is wrong."""

from pathlib import Path

from confluent_kafka import KafkaException

from monitor.app import client_properties, explain_client
from monitor.commands.decide import cannot
from monitor.commands.exits import Exit
from monitor.replica import internal_topics
from monitor.settings import ConfigError, load_settings
from monitor.sources.kafka.internal import InternalTopics


def create(config: Path) -> Exit:
    """Make the topics that are not there, then check all. Raises ConfigError."""
    topics = topics_of(config)
    try:
        for name in topics.create():
            print(f"topic {name}: made")
        return said(topics)
    except KafkaException as error:
        return cannot(f"kafka: {explain_client(error)}")


def check(config: Path) -> Exit:
    """Say what is wrong with the topics. Raises ConfigError."""
    topics = topics_of(config)
    try:
        return said(topics)
    except KafkaException as error:
        return cannot(f"kafka: {explain_client(error)}")


def said(topics: InternalTopics) -> Exit:
    """Print what is wrong, or that nothing is."""
    if wrong := topics.check():
        for line in wrong:
            print(line)
        return Exit.NO
    for topic in topics.wanted:
        print(f"topic {topic.name}: {topic.partitions} partitions, as it must be")
    return Exit.OK


def topics_of(config: Path) -> InternalTopics:
    """The internal topics of a configuration. Raises ConfigError."""
    settings = load_settings(config)
    if settings.replicas is None:
        raise ConfigError("replicas: the configuration has no such section, so there are no internal topics")
    try:
        return InternalTopics(client_properties(settings.kafka), internal_topics(settings))
    except (KafkaException, ValueError, TypeError) as error:
        raise ConfigError(f"kafka.properties: {explain_client(error)}") from None
