"""Rows of Vertex AI's table of requests and responses, as BigQuery exports them."""

from collections.abc import Sequence
from typing import Any

from monitor.sources.base import TopicRecords
from monitor.sources.formats.fields import TopicFields
from monitor.sources.formats.logged import LogDecoder, LoggedRow, has, objects_in, time_text
from monitor.sources.formats.tabular import (
    ANSWERS,
    SHAPE,
    Features,
    TabularOptions,
    inputs_of,
    outputs_of,
    parse_json,
    predicted_rows,
)
from monitor.sources.formats.values import Rejected

Options = TabularOptions


class VertexDecoder(LogDecoder):
    """A call a row: a text an instance, a text a prediction; or the whole body as one text, as raw calls have it."""

    def __init__(self, topic: TopicFields) -> None:
        super().__init__(topic)
        self._options: TabularOptions = topic.options or TabularOptions()

    def rows_of(self, message: dict[str, Any]) -> Sequence[LoggedRow]:
        """The rows of a call. Raises Rejected."""
        asked, told = (_texts(message.get(name)) for name in ("request_payload", "response_payload"))
        if asked is None:
            raise Rejected("payload_not_logged")
        inputs = [row for payload in asked for row in self._inputs(payload)]
        outputs = None if told is None else [output for payload in told for output in _outputs(payload)]
        about = {name: message.get(name) for name in ("endpoint", "deployed_model_id")}
        about["ts"] = time_text(message.get("logging_time"))
        return predicted_rows(about, _id(message.get("request_id")), inputs, outputs, self._options.prediction)

    def _inputs(self, payload: Any) -> list[Features]:
        return inputs_of(payload if isinstance(payload, dict | list) else [[payload]], self._options.columns)


def _outputs(payload: Any) -> list[Any]:
    """The outputs of a whole body, or a single one."""
    named = isinstance(payload, dict) and any(name in payload for name in ANSWERS)
    return outputs_of(payload) if named else [payload]


def _texts(payloads: Any) -> list[Any] | None:
    """The payloads of a call; what is no JSON is a text. None where none was logged."""
    if payloads is None or payloads == []:
        return None
    held = payloads if isinstance(payloads, list) else [payloads]
    if not all(isinstance(each, str) for each in held):
        raise Rejected(SHAPE)
    return [_parsed(each) for each in held]


def _parsed(text: str) -> Any:
    try:
        return parse_json(text)
    except Rejected:
        if text.lstrip()[:1] in {"{", "["}:
            raise
        return text


def _id(value: Any) -> Any:
    """A NUMERIC, which JSON has as a text or a number, and tables as a decimal."""
    return value if value is None or isinstance(value, str | int) else str(value)


decoder = VertexDecoder


def recognises(records: TopicRecords) -> bool:
    """Whether all records are rows of such a table."""
    held = objects_in(records)
    return bool(held) and all(
        has(message, "request_payload", "response_payload", "logging_time", "deployed_model_id") for message in held
    )
