"""SageMaker's data capture, a line a call of an endpoint; and the lines of ground truth as labels."""

import base64
import binascii
from collections.abc import Sequence
from typing import Any

from monitor.sources.base import TopicRecords
from monitor.sources.formats.fields import TopicFields
from monitor.sources.formats.logged import LogDecoder, LoggedRow, has, objects_in, row_ids, time_text
from monitor.sources.formats.tabular import (
    MALFORMED,
    SHAPE,
    Features,
    TabularOptions,
    csv_inputs,
    csv_outputs,
    inputs_of,
    outputs_of,
    parse_payload,
    predicted_rows,
    prediction_of,
)
from monitor.sources.formats.values import Rejected

ENCODING = "encoding_unsupported"
HEADED = "header=present"  # in a content type of CSV


class SagemakerOptions(TabularOptions):
    """`header`: the first line of CSV requests names the columns."""

    header: bool = False


Options = SagemakerOptions


class SagemakerDecoder(LogDecoder):
    """Lines of captured calls, and of ground truth."""

    def __init__(self, topic: TopicFields) -> None:
        super().__init__(topic)
        self._options: SagemakerOptions = topic.options or SagemakerOptions()

    def rows_of(self, message: dict[str, Any]) -> Sequence[LoggedRow]:
        """The rows of a line. Raises Rejected."""
        about = message.get("eventMetadata")
        if not isinstance(about, dict):
            raise Rejected("event_metadata_missing")
        if "groundTruthData" in message:
            return _labels(message["groundTruthData"], about)
        captured = message.get("captureData")
        if not isinstance(captured, dict):
            raise Rejected("capture_data_missing")
        asked, told = captured.get("endpointInput"), captured.get("endpointOutput")
        inputs = None if asked is None else self._inputs(asked)
        outputs = None if told is None else _outputs(told)
        named = about.get("inferenceId") or about.get("eventId")
        head = {"ts": time_text(about.get("inferenceTime"))}
        return predicted_rows(head, named, inputs, outputs, self._options.prediction)

    def _inputs(self, part: Any) -> list[Features]:
        payload, is_csv, headed = _payload(part)
        if is_csv:
            return csv_inputs(payload, self._options.columns, header=headed or self._options.header)
        return inputs_of(payload, self._options.columns)


def _outputs(part: Any) -> list[Any]:
    payload, is_csv, _ = _payload(part)
    return csv_outputs(payload) if is_csv else outputs_of(payload)


def _labels(part: Any, about: dict[str, Any]) -> list[LoggedRow]:
    """A label for each line of ground truth; without a time of its own it has that of its record."""
    labels = _outputs(part)
    ids = row_ids(about.get("eventId") or about.get("inferenceId"), len(labels))
    return [
        LoggedRow({"ts": time_text(about.get("inferenceTime")), "id": own, "label": prediction_of(label, None)})
        for own, label in zip(ids, labels, strict=True)
    ]


# --- payloads ---------------------------------------------------------------------------------------------------------


def _payload(part: Any) -> tuple[Any, bool, bool]:
    """What was captured, whether it is CSV, and whether that has a header. Raises Rejected."""
    if not isinstance(part, dict):
        raise Rejected(SHAPE)
    data, encoding = part.get("data"), part.get("encoding")
    kind = str(part.get("observedContentType") or "").lower()
    if encoding == "JSON":
        return (parse_payload(data) if isinstance(data, str) else data), False, False
    if not isinstance(data, str):
        raise Rejected(SHAPE)
    if encoding == "BASE64":
        return _of_text(_unpacked(data), kind)
    if encoding == "CSV":
        return data, True, HEADED in kind
    raise Rejected(ENCODING)


def _unpacked(data: str) -> str:
    try:
        return base64.b64decode(data, validate=True).decode()
    except (binascii.Error, ValueError):  # no base64, or no text: images, arrays of NumPy
        raise Rejected(MALFORMED) from None


def _of_text(text: str, kind: str) -> tuple[Any, bool, bool]:
    """By the content type; where none was observed, by its look."""
    if "csv" in kind:
        return text, True, HEADED in kind
    if "json" in kind or (not kind and text.lstrip()[:1] in {"{", "["}):
        return parse_payload(text), False, False
    if kind:
        raise Rejected(ENCODING)
    return text, True, False


decoder = SagemakerDecoder


def recognises(records: TopicRecords) -> bool:
    """Whether all records are captured calls, or all ground truth."""
    held = objects_in(records)
    return bool(held) and all(
        has(message.get("eventMetadata"), "eventId")
        and (has(message, "captureData") or has(message, "groundTruthData"))
        for message in held
    )
