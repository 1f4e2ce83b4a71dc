"""OpenTelemetry traces (OTLP, JSON and Protobuf): a row a span of a generative model, its attributes as features."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import Field

from monitor.sections import Section
from monitor.sources.base import TopicRecords
from monitor.sources.formats.base import SKIPPED, Rows
from monitor.sources.formats.fields import Path, TopicFields
from monitor.sources.formats.json.documents import Document, DocumentRows, read_document, refusal
from monitor.sources.formats.otel.spans import MODEL_NAMES, SpanRow, row_of, spans_of
from monitor.sources.formats.otel.wire import request_of
from monitor.sources.formats.values import Rejected

RESOURCE_SPANS = 0x0A  # the first byte of a request in Protobuf: field 1, of bytes


class OtelOptions(Section):
    """What is read of spans. `model` and `version` name attributes, of the span or of its resource; the first that is there counts.

    `operations` are the values of `gen_ai.operation.name` or `openinference.span.kind` that are read; none: all.
    """

    model: list[str] = Field(default=list(MODEL_NAMES), min_length=1)
    version: list[str] = Field(default=[])
    operations: list[str] = Field(default=[])


class OtelDecoder:
    """Requests to export traces. What is no span of a model is skipped."""

    def __init__(self, topic: TopicFields) -> None:
        self._options: OtelOptions = topic.options or OtelOptions()

    def decode(self, values: Sequence[bytes | None]) -> Rows:
        """A row a span; a span that is broken is rejected alone."""
        documents: list[dict[str, Any]] = []
        messages: list[int] = []
        rejected: Counter[str] = Counter()
        for message, raw in enumerate(values):
            held, reasons = self._rows(raw)
            documents += held
            messages += [message] * len(held)
            rejected.update(reasons)
        return DocumentRows({}, np.array(messages, dtype=np.intp), rejected, documents=documents)

    def inspect(self, raw: bytes) -> Iterator[Mapping[Path, object]]:
        """The rows of a message, by path."""
        held, reasons = self._rows(raw)
        if not held:
            raise Rejected(next(iter(sorted(reasons, key=lambda reason: reason == SKIPPED))))
        yield from map(Document, held)

    def _rows(self, raw: bytes | None) -> tuple[list[dict[str, Any]], Counter[str]]:
        try:
            request = read_request(raw)
            spans = list(spans_of(request))
        except Rejected as reason:
            return [], Counter([str(reason)])
        rows: list[dict[str, Any]] = []
        rejected: Counter[str] = Counter()
        for span in spans:
            try:
                rows.append(self._row(span))
            except Rejected as reason:
                rejected[str(reason)] += 1
        return rows, rejected or (Counter() if rows else Counter([SKIPPED]))

    def _row(self, span: SpanRow) -> dict[str, Any]:
        options = self._options
        return row_of(span, options.model, options.version, frozenset(options.operations))


Options = OtelOptions
decoder = OtelDecoder


def read_request(raw: bytes | None) -> dict[str, Any]:
    """A request as OTLP's JSON has it, whichever way it is written. Raises Rejected."""
    if raw and raw[0] == RESOURCE_SPANS:
        try:
            return request_of(raw)
        except Rejected as reason:
            if raw[:64].lstrip()[:1] != b"{":  # a line's end is the same byte: of JSON this may be the first
                raise
            why = reason
        try:
            return read_document(raw)
        except Rejected:
            raise why from None
    if raw and raw[:64].lstrip()[:1] != b"{" and refusal(raw) is None:
        raise Rejected("malformed_otlp")
    return read_document(raw)


def recognises(records: TopicRecords) -> bool:
    """Whether each message is a request to export traces, with a span in it."""
    held = [raw for raw in records.values if raw]
    return bool(held) and all(map(_has_spans, held))


def _has_spans(raw: bytes) -> bool:
    try:
        return bool(list(spans_of(read_request(raw))))
    except Rejected:
        return False
