"""Arrow: an IPC stream or file a message, a row of its batches an event; columns stay columns."""

from typing import Annotated

from pydantic import Field

from monitor.sections import Section
from monitor.sources.base import TopicRecords
from monitor.sources.formats.arrow.framing import begins_like_arrow
from monitor.sources.formats.base import Decoder
from monitor.sources.formats.fields import TopicFields

EXPANSION = 100  # a column of truth values takes 64 times its bits as numbers of 8 bytes


class ArrowOptions(Section):
    """What `format: arrow` may be told."""

    expansion: Annotated[int, Field(ge=1, le=100_000)] = EXPANSION
    """How many times its own size a message may take in memory; one that takes more is rejected before it is read."""


Options = ArrowOptions


def decoder(topic: TopicFields) -> Decoder:
    """The decoder of one topic; pyarrow is loaded for this alone."""
    from monitor.sources.formats.arrow.decoding import ArrowDecoder

    return ArrowDecoder(topic, EXPANSION if topic.options is None else topic.options.expansion)


def recognises(records: TopicRecords) -> bool:
    """Whether all records that hold anything begin as Arrow does."""
    held = [value for value in records.values if value]
    return bool(held) and all(map(begins_like_arrow, held))
