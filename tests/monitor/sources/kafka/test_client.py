"""The client's properties: ours, the operator's, and what follows from both."""

from typing import Any

import pytest

from monitor.sources.kafka.client import SAFE_PROPERTIES, KafkaChoice, make_consumer, properties_of


def choice(**properties: Any) -> KafkaChoice:
    named = {name.replace("_", "."): value for name, value in properties.items()}
    return KafkaChoice("127.0.0.1:1", "driftd", ("predictions",), properties=named)


@pytest.mark.parametrize(
    ("properties", "fetched"),
    [
        ({}, SAFE_PROPERTIES["fetch.max.bytes"]),
        ({"message_max_bytes": 900_000}, SAFE_PROPERTIES["fetch.max.bytes"]),
        ({"message_max_bytes": 50_000_000}, 50_000_000),
        ({"message_max_bytes": "50000000"}, 50_000_000),
        ({"message_max_bytes": 900_000, "fetch_max_bytes": 1_000_000}, 1_000_000),
    ],
)
def test_a_fetch_holds_the_largest_message_there_may_be(properties: dict[str, Any], fetched: int) -> None:
    """The client refuses a smaller one at start."""
    assert properties_of(choice(**properties))["fetch.max.bytes"] == fetched
    make_consumer(choice(**properties)).close()


@pytest.mark.parametrize("largest", ["0x300000", " 3000000", 3_000_000.0])
def test_a_largest_message_that_the_client_alone_can_read_does_not_keep_it_from_starting(largest: Any) -> None:
    make_consumer(choice(message_max_bytes=largest)).close()
