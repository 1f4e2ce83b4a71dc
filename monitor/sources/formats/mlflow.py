"""What MLflow's scoring server answers, and what it was asked where that was logged with it."""

from collections.abc import Sequence
from typing import Any

from monitor.sources.base import TopicRecords
from monitor.sources.formats.base import REQUEST, RESPONSE, WHOLE
from monitor.sources.formats.fields import TopicFields
from monitor.sources.formats.logged import LogDecoder, LoggedRow, objects_in
from monitor.sources.formats.tabular import (
    NAMED,
    Features,
    TabularOptions,
    inputs_of,
    outputs_of,
    parse_json,
    predicted_rows,
)
from monitor.sources.formats.values import Rejected

OURS = frozenset({*NAMED, "predictions", "params", "request", "response", "id", "features", "prediction", "outputs"})

EXPECTED = frozenset({*NAMED, "predictions", "params", "id", "ts", "timestamp", "model", "version"})


class MlflowOptions(TabularOptions):
    """`halves`: requests and answers are messages of their own, which belong together by their `id`."""

    halves: bool = False


Options = MlflowOptions


def HALVES(options: MlflowOptions | None) -> bool:  # noqa: N802 - what the registry asks for
    """Whether requests and answers are messages of their own."""
    return options is not None and options.halves


class MlflowDecoder(LogDecoder):
    """Answers, with the request beside `predictions`, or both under `request` and `response`; all other keys stay where they are."""

    def __init__(self, topic: TopicFields) -> None:
        super().__init__(topic)
        self._options: MlflowOptions = topic.options or MlflowOptions()

    def rows_of(self, message: dict[str, Any]) -> Sequence[LoggedRow]:
        """The rows of a call. Raises Rejected."""
        asked, told = _parts(message)
        about = {name: value for name, value in message.items() if name not in OURS}
        inputs = None if asked is None else inputs_of(asked, self._options.columns)
        outputs = None if told is None else outputs_of(told)
        if self._options.halves:
            half = WHOLE if None not in (asked, told) else REQUEST if told is None else RESPONSE
        else:
            half = WHOLE
            if inputs is None and outputs is not None:
                inputs = [_nothing() for _ in outputs]  # answers alone are rows of no features
        rows = predicted_rows(about, message.get("id"), inputs, outputs, self._options.prediction)
        return [LoggedRow(row.document, half) for row in rows] if half != WHOLE else rows


def _nothing() -> Features:
    return {}


def _parts(message: dict[str, Any]) -> tuple[Any, Any]:
    """What was asked and what was answered; None where it is not there. Raises Rejected."""
    asked, told = (_parsed(message.get(name)) for name in ("request", "response"))
    named = next((name for name in NAMED if name in message), None)
    if asked is None and named is not None:
        asked = {named: message[named]}
    if told is None and "predictions" in message:
        told = {"predictions": message["predictions"]}
    if asked is None and told is None:
        raise Rejected("predictions_missing")
    return asked, told


def _parsed(payload: Any) -> Any:
    return parse_json(payload) if isinstance(payload, str) else payload


decoder = MlflowDecoder


def recognises(records: TopicRecords) -> bool:
    """Whether all records are answers, with nothing beside them but what was asked and what every log has."""
    held = objects_in(records)
    return bool(held) and all("predictions" in message and message.keys() <= EXPECTED for message in held)
