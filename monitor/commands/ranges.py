"""A range of time of some topics, as commands read it."""

from collections.abc import Mapping
from types import MappingProxyType

from confluent_kafka import KafkaException

from monitor.app import broker_properties, explain_client
from monitor.backtest.replay import Range
from monitor.settings import ConfigError, Settings
from monitor.sources.base import RecordParts
from monitor.sources.kafka.client import KafkaChoice
from monitor.sources.kafka.range import KafkaRange
from monitor.stream.events import SECOND, Nanos


def kafka_range(
    settings: Settings,
    parts: Mapping[str, RecordParts],
    within: Range,
    longer: Mapping[str, Nanos] = MappingProxyType({}),
) -> KafkaRange:
    """The records of some topics, with what is wanted beside their values. Raises ConfigError."""
    kafka = settings.kafka
    wanted = KafkaChoice(
        bootstrap_servers=kafka.bootstrap_servers,
        group_id=kafka.group_id,
        topics=tuple(parts),
        properties=broker_properties(kafka),
        startup_timeout=kafka.startup_timeout / SECOND,
        parts=parts,
    )
    try:
        return KafkaRange(wanted, within.first, within.until, longer)
    except (KafkaException, ValueError, TypeError) as error:  # the client's many kinds, all about its configuration
        raise ConfigError(f"kafka.properties: {explain_client(error)}") from None
