"""Batched JSON: many rows a message, as arrays of objects, as columns, or as names and rows of values. What stands beside them is of every row."""

from typing import Literal

from monitor.sections import Section
from monitor.sources.base import TopicRecords
from monitor.sources.formats.base import Decoder
from monitor.sources.formats.fields import TopicFields
from monitor.sources.formats.json.batches import BatchCutter, holds_rows
from monitor.sources.formats.json.documents import MAX_BYTES
from monitor.sources.formats.json.parts import LyingEvents, PartsDecoder


class JsonBatchOptions(Section):
    """What `format: json-batch` may be told."""

    rows: str | None = None
    """The key that holds the rows; without it they are found by their look."""
    shape: Literal["any", "records", "columns", "split"] = "any"
    """How the rows are written: an array of objects or of lists, an object of arrays, names beside rows of values; without it, by their look."""
    names: tuple[str, ...] = ()
    """The names of values in rows that are lists, in their order."""


Options = JsonBatchOptions


def decoder(topic: TopicFields) -> Decoder:
    """The decoder of one topic."""
    options = topic.options or Options()
    cutter = BatchCutter(topic.fields, options.rows, options.shape, options.names)
    lying = LyingEvents(cutter.key or "", 0 if cutter.key is None else MAX_BYTES, weave=cutter.woven)
    return PartsDecoder(topic, cutter, lying)


def recognises(records: TopicRecords) -> bool:
    """Whether all records are batches: an array of objects, or an object with rows under a key of serving stacks."""
    held = [value for value in records.values if value]
    return bool(held) and all(map(holds_rows, held))
