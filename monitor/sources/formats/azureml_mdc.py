"""Azure Machine Learning's data collector: CloudEvents of rows, inputs and outputs apart."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from monitor.sections import Name
from monitor.sources.base import TopicRecords
from monitor.sources.formats.base import REQUEST, RESPONSE, WHOLE
from monitor.sources.formats.fields import TopicFields
from monitor.sources.formats.logged import NO_ROWS, LogDecoder, LoggedRow, epoch_text, has, objects_in
from monitor.sources.formats.tabular import TabularOptions, answered, inputs_of, outputs_of
from monitor.sources.formats.values import Rejected

TYPE = "azureml.inference."
SECONDS = timedelta(seconds=1)


class AzureMdcOptions(TabularOptions):
    """`inputs` and `outputs` are the collections of each; no `outputs`: inputs are whole rows. `id`: a column that names each row."""

    inputs: Name = "model_inputs"
    outputs: Name | None = "model_outputs"
    id: Name | None = None


Options = AzureMdcOptions


def HALVES(options: AzureMdcOptions | None) -> bool:  # noqa: N802 - what the registry asks for
    """Whether inputs and outputs are joined."""
    return options is None or options.outputs is not None


class AzureMdcDecoder(LogDecoder):
    """Events of collected data: one holds the rows of one or several requests."""

    def __init__(self, topic: TopicFields) -> None:
        super().__init__(topic)
        self._options: AzureMdcOptions = topic.options or AzureMdcOptions()

    def rows_of(self, message: dict[str, Any]) -> Sequence[LoggedRow]:
        """The rows of an event, as halves of predictions. Raises Rejected."""
        half = self._half(message.get("type"))
        if str(message.get("datainblob", "")).lower() == "true":
            raise Rejected("data_in_blob")
        data = message.get("data")
        held = inputs_of(data, self._options.columns) if half == REQUEST else outputs_of(data)
        if not held:
            raise Rejected(NO_ROWS)
        head = {"ts": _time(message.get("time")), "version": _version(message.get("modelversion"))}
        ids = self._ids(message.get("correlationid"), held)
        rows = [
            {**head, "id": own, "features": row} if half == REQUEST else {**head, "id": own, **self._answered(row)}
            for own, row in zip(ids, held, strict=True)
        ]
        return [LoggedRow(row, half if self._options.outputs is not None else WHOLE) for row in rows]

    def _half(self, kind: Any) -> int:
        collection = kind.removeprefix(TYPE) if isinstance(kind, str) and kind.startswith(TYPE) else None
        if collection == self._options.inputs:
            return REQUEST
        if collection is not None and collection == self._options.outputs:
            return RESPONSE
        raise Rejected("collection_unknown")

    def _answered(self, row: Any) -> dict[str, Any]:
        """The prediction of a row of outputs; the column that names the row is none."""
        column = self._options.id
        if column is not None and isinstance(row, dict):
            row = {name: value for name, value in row.items() if name != column}
        return answered(row, self._options.prediction)

    def _ids(self, correlation: Any, rows: Sequence[Any]) -> list[Any]:
        """The id of each row. Rows of inputs and outputs belong together by their place, where both sides have as many: that is in the id."""
        column = self._options.id
        if column is not None:
            return [row.get(column) if isinstance(row, dict) else None for row in rows]
        if not isinstance(correlation, str) or not correlation:
            if self._options.outputs is None:
                return [None] * len(rows)
            raise Rejected("correlation_missing")
        if len(rows) == 1:
            return [correlation]
        return [f"{correlation}#{place}/{len(rows)}" for place in range(len(rows))]


def _version(told: Any) -> Any:
    """None where the agent fills in for a model that was given none."""
    return None if told == "default" else told


def _time(value: Any) -> Any:
    """RFC 3339, or whole seconds since 1970 as the client sends them."""
    if isinstance(value, str) and value.isdecimal() and len(value) <= 12:  # noqa: PLR2004 - far beyond any year
        return epoch_text(int(value), SECONDS)
    return epoch_text(value, SECONDS)


decoder = AzureMdcDecoder


def recognises(records: TopicRecords) -> bool:
    """Whether all records are events of collected data."""
    held = objects_in(records)
    return bool(held) and all(
        has(message, "specversion", "data") and str(message.get("type", "")).startswith(TYPE) for message in held
    )
