"""Rows of Databricks' inference tables, of custom models and of the AI Gateway: JSON texts of requests and responses."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from monitor.sources.base import TopicRecords
from monitor.sources.formats.fields import TopicFields
from monitor.sources.formats.logged import LogDecoder, LoggedRow, epoch_text, has, objects_in, time_text
from monitor.sources.formats.tabular import TabularOptions, inputs_of, outputs_of, parse_json, predicted_rows
from monitor.sources.formats.values import Rejected

OK = 200
MILLISECONDS = timedelta(milliseconds=1)
TIMES = "request_time", "event_time", "timestamp"
TOOK = "execution_duration_ms", "execution_time_ms", "latency_ms"
IDS = "client_request_id", "databricks_request_id", "invocation_id"
SHARES = {"sampling_fraction": 1.0, "sampling_percent": 100.0}

Options = TabularOptions


class DatabricksDecoder(LogDecoder):
    """A call a row. One that failed has no prediction: it is a row only where the topic maps errors."""

    def __init__(self, topic: TopicFields) -> None:
        super().__init__(topic)
        self._options: TabularOptions = topic.options or TabularOptions()

    def rows_of(self, message: dict[str, Any]) -> Sequence[LoggedRow]:
        """The rows of a call. Raises Rejected."""
        status = message.get("status_code")
        failed = status is not None and str(status) != str(OK)
        if failed and not self.fields.error:
            raise Rejected("status_not_200")
        asked, told = message.get("request"), message.get("response")
        if asked is None or (told is None and not failed):
            raise Rejected("payload_not_logged")  # too long, as logging_error_codes say
        inputs = inputs_of(_parsed(asked), self._options.columns)
        outputs = None if failed else outputs_of(_parsed(told))
        named = next((message[name] for name in IDS if message.get(name)), None)
        return predicted_rows(_about(message), named, inputs, outputs, self._options.prediction)


def _parsed(payload: Any) -> Any:
    return parse_json(payload) if isinstance(payload, str) else payload


def _about(message: dict[str, Any]) -> dict[str, Any]:
    """What a row says beside request and response."""
    metadata = message.get("request_metadata")
    served = dict(_pairs(metadata)) if isinstance(metadata, list) else metadata if isinstance(metadata, dict) else {}
    moment = epoch_text(message.get("timestamp_ms"), MILLISECONDS)
    return {
        "ts": moment if moment is not None else _time(message),
        "model": served.get("model_name"),
        "version": served.get("model_version"),
        "endpoint": served.get("endpoint_name"),
        "served_entity_id": message.get("served_entity_id"),
        "status_code": message.get("status_code"),
        "took_ms": next((message[name] for name in TOOK if message.get(name) is not None), None),
        "sampling": _share(message),
    }


def _time(message: dict[str, Any]) -> Any:
    told = next((message[name] for name in TIMES if message.get(name) is not None), None)
    return time_text(epoch_text(told, MILLISECONDS))


def _pairs(metadata: list[Any]) -> list[tuple[str, Any]]:
    """A map as a list, as tables have it: pairs, or objects of key and value."""
    held = [(each.get("key"), each.get("value")) if isinstance(each, dict) else each for each in metadata]
    return [
        (each[0], each[1])
        for each in held
        if isinstance(each, list | tuple) and len(each) == 2 and isinstance(each[0], str)  # noqa: PLR2004 - a pair
    ]


def _share(message: dict[str, Any]) -> Any:
    """The share of calls that were logged, of 1; what is none is left as it is."""
    name = next((name for name in SHARES if message.get(name) is not None), None)
    if name is None:
        return None
    share, whole = message[name], SHARES[name]
    is_number = isinstance(share, int | float) and not isinstance(share, bool)
    return share / whole if is_number and abs(share) <= whole else share


decoder = DatabricksDecoder


def recognises(records: TopicRecords) -> bool:
    """Whether all records are rows of an inference table."""
    held = objects_in(records)
    return bool(held) and all(
        has(message, "request", "response", "status_code")
        and (has(message, "databricks_request_id") or has(message, "invocation_id"))
        for message in held
    )
