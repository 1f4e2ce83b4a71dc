"""What BentoML's monitor writes: flat lines of data, and lines of a schema that say which column is what."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cached_property
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field

from monitor.sections import Name, Section
from monitor.sources.base import TopicRecords
from monitor.sources.formats.fields import PREDICTION, Path, TopicFields
from monitor.sources.formats.json.documents import Document, read_document
from monitor.sources.formats.logged import LogDecoder, LoggedRow, has, objects_in
from monitor.sources.formats.tabular import NOTHING, TRUTH, answered, cell
from monitor.sources.formats.values import Rejected

BESIDE = "timestamp", "request_id", "trace_id"
NAIVE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?", re.ASCII)
MOST_SCHEMAS = 64
MOST_COLUMNS = 10_000
Role = Literal["feature", "prediction", "target"]


class ColumnRole(Section):
    """What a column is: its role, and its type as the monitor names it."""

    role: Role
    type: Literal["numerical", "categorical", "numerical_sequence"] | None = None


def _role(said: Any) -> Any:
    return said if isinstance(said, Mapping) else {"role": said}


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, OSError, ValueError):  # none of that name, or no name
        raise ValueError(f"{name} is no time zone; write one such as UTC or Europe/Berlin") from None
    return name


class BentomlOptions(Section):
    """`roles`: what each column is, where no line of a schema tells. `timezone`: that of the server, whose times name none."""

    roles: dict[Name, Annotated[ColumnRole, BeforeValidator(_role)]] = Field(default_factory=dict)
    timezone: Annotated[str, AfterValidator(_zone)] = "UTC"
    prediction: Name | None = None


Options = BentomlOptions


@dataclass(frozen=True)
class MonitorSchema:
    """The columns of one monitor, and which bento it is of."""

    columns: Mapping[str, tuple[str, str | None]]  # role and type
    bento: Mapping[str, Any]

    @cached_property
    def own(self) -> frozenset[str]:
        """The columns that a row of it has some of."""
        return frozenset(self.columns)


Schemas = dict[frozenset[str], MonitorSchema]
"""The last schema of each set of columns."""


class BentomlDecoder(LogDecoder):
    """Lines of data by the roles of their columns: those that are configured, else those of the last schema of just these columns.

    Two monitors of one process may write into one file: a row is of the schema whose columns it has.
    """

    def __init__(self, topic: TopicFields) -> None:
        super().__init__(topic)
        self._options: BentomlOptions = topic.options or BentomlOptions()
        told = {name: (column.role, column.type) for name, column in self._options.roles.items()}
        self._told = MonitorSchema(told, {}) if told else None
        self._zone = ZoneInfo(self._options.timezone)
        self._wanted = _features_of(topic)
        self._schemas: Schemas = {}
        self._looked: Schemas = {}  # those of lines that were looked at for words: what is decoded must not hang on that

    def rows_of(self, message: dict[str, Any]) -> Sequence[LoggedRow]:
        """The row of a line of data; none of a schema. Raises Rejected."""
        return self._rows(message, self._schemas)

    def inspect(self, raw: bytes) -> Iterator[Mapping[Path, object]]:
        """The row of a line. Raises Rejected."""
        for row in self._rows(read_document(raw), self._looked):
            yield Document(row.document)

    def _rows(self, message: dict[str, Any], schemas: Schemas) -> Sequence[LoggedRow]:
        if is_schema(message):
            _learn(message, schemas)
            return ()
        if "timestamp" not in message:
            raise Rejected("timestamp_missing")
        names = frozenset(message) - frozenset(BESIDE)
        schema = self._told or schemas.get(names) or self._schemas.get(names)
        if schema is None:
            raise Rejected("schema_unknown")
        if not schema.own & names or (self._wanted and not self._wanted & names):
            raise Rejected("other_monitor")
        return [LoggedRow(self._document(message, schema))]

    def _document(self, message: dict[str, Any], schema: MonitorSchema) -> dict[str, Any]:
        by_role: dict[str, dict[str, Any]] = {"feature": {}, "prediction": {}, "target": {}}
        for name, (role, kind) in schema.columns.items():
            if name in message and role in by_role:
                by_role[role][name] = value_of(message[name], kind)
        request = message.get("request_id")
        document = {
            **schema.bento,
            "ts": self._time(message["timestamp"]),
            "id": None if request == "None" else request,
            "features": by_role["feature"],
        }
        if by_role["prediction"]:
            document |= answered(by_role["prediction"], self._options.prediction)
        if by_role["target"]:
            document["label"] = next(iter(by_role["target"].values()))
        return document

    def _time(self, told: Any) -> Any:
        """Local time of the server, which says no zone, as UTC."""
        if not isinstance(told, str):
            return told
        try:
            moment = datetime.fromisoformat(told)
            local = moment if moment.tzinfo is not None else moment.replace(tzinfo=self._zone)
            return local.astimezone(timezone.utc).isoformat()  # noqa: UP017 - beside ZoneInfo
        except (ValueError, OverflowError):
            return told


def _features_of(topic: TopicFields) -> frozenset[str]:
    """The features of the models of a topic, as far as they are known: a row without any is of another monitor."""
    columns = (column for series in topic.series.values() for part in series.of_features for column in part)
    return frozenset(name for name, _ in columns if name != PREDICTION and name.isprintable())


def _learn(message: dict[str, Any], schemas: Schemas) -> None:
    named = [column for column in message["columns"][:MOST_COLUMNS] if isinstance(column, dict)]
    columns = {
        column["name"]: (str(column.get("role")), str(column.get("type")))
        for column in named
        if isinstance(column.get("name"), str)
    }
    about = message["meta_data"]
    schema = MonitorSchema(columns, {name: about.get(name) for name in ("bento_name", "bento_version")})
    schemas.pop(schema.own, None)
    schemas[schema.own] = schema
    if len(schemas) > MOST_SCHEMAS:
        del schemas[next(iter(schemas))]


def value_of(value: Any, kind: str | None) -> Any:
    """A value out of the text that the monitor made of it; a category that is no truth stays a text.

    >>> value_of("3", "numerical"), value_of("True", "categorical"), value_of("<NA>", "categorical"), value_of("03", None)
    (3, True, None, '03')
    """
    if not isinstance(value, str):
        return value
    if kind == "categorical":
        lower = value.strip().lower()
        return None if lower in NOTHING and lower else TRUTH.get(lower, value)
    return cell(value)


def is_schema(message: Mapping[str, Any]) -> bool:
    """Whether a line is one of a schema."""
    return (
        set(message) == {"meta_data", "columns"} and isinstance(message["columns"], list) and has(message["meta_data"])
    )


decoder = BentomlDecoder


def recognises(records: TopicRecords) -> bool:
    """Whether all records are lines of data, flat, with times of no zone, or of a schema."""
    held = objects_in(records)
    return bool(held) and all(is_schema(message) or _is_data(message) for message in held)


def _is_data(message: dict[str, Any]) -> bool:
    if not has(message, *BESIDE) or any(isinstance(value, dict) for value in message.values()):
        return False
    moment, _, trace = (message[name] for name in BESIDE)
    return (
        isinstance(moment, str) and NAIVE.fullmatch(moment) is not None and isinstance(trace, str) and trace.isdecimal()
    )
