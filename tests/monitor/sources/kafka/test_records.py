"""Records of the Python client: what it cannot tell of one costs that record's headers alone."""

import pytest
from confluent_kafka import Message

from monitor.sources.base import RecordParts
from monitor.sources.kafka import records
from monitor.sources.kafka.records import TakenMessages


def test_headers_that_the_client_cannot_read_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that is no UTF-8 fails as an error of the interpreter, once: whoever asks again gets what is not whole."""
    asked = []

    def fail(message: Message) -> None:
        asked.append(message)
        raise SystemError("a result with an exception set")

    messages = [Message(topic="t", value=b"v", partition=0, offset=at, timestamp=(1, 5)) for at in range(2)]
    monkeypatch.setattr(records, "HEADERS", fail)
    found = TakenMessages("t", messages).records((), RecordParts.HEADERS)

    assert [list(each) for each in found.headers] == [[], []]
    assert list(found.values) == [b"v", b"v"]
    assert asked == messages
