"""Records that hold the bodies of requests and answers, to rows: what is the same for all servers of models."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, Field, TypeAdapter, field_validator

from monitor.sections import Section
from monitor.sources.base import RecordParts, TopicRecords
from monitor.sources.formats.base import TOMBSTONE, WHOLE, Reader, Rows
from monitor.sources.formats.fields import Path, TopicFields
from monitor.sources.formats.tensors.arrays import Naming
from monitor.sources.formats.tensors.bodies import BodyReading, read_body
from monitor.sources.formats.tensors.compacting import Compacted, Packed
from monitor.sources.formats.tensors.rows import AlikeCalls, Call, Message, TensorRows, rows_of
from monitor.sources.formats.tensors.scanning import COMPILED, TensorScanner
from monitor.sources.formats.times import NOT_A_TIME
from monitor.sources.formats.values import LATEST_NANOS, Rejected, parse_time


def _different(names: list[str]) -> list[str]:
    if len(set(names)) < len(names):
        raise ValueError("must be different names")
    return names


Names = Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1), AfterValidator(_different)]
LISTED: TypeAdapter[list[str]] = TypeAdapter(Names)
BY_TENSOR: TypeAdapter[dict[str, list[str]]] = TypeAdapter(dict[str, Names])


class InferenceOptions(Section):
    """What a topic of requests and answers may be told: names of columns that have none, the output that is the prediction, texts that are missing values."""

    columns: Names | dict[str, Names] = Field(default_factory=dict)
    prediction: Annotated[str, Field(min_length=1)] | None = None
    missing: list[str] = Field(default_factory=list)

    @field_validator("columns", mode="before")
    @classmethod
    def _either(cls, said: Any) -> Any:
        """Errors of the one that it looks like."""
        if not isinstance(said, list | dict):
            raise ValueError("must be a list of names, or such lists by tensor")  # noqa: TRY004 - pydantic's way
        return (LISTED if isinstance(said, list) else BY_TENSOR).validate_python(said)

    @property
    def naming(self) -> Naming:
        """How columns are called."""
        missing = frozenset(self.missing)
        if isinstance(self.columns, dict):
            return Naming((), {name: tuple(names) for name, names in self.columns.items()}, missing)
        return Naming(tuple(self.columns), {}, missing)


Calls = Callable[[TopicRecords, int], Iterable[Call | Rejected]]
"""The calls in a record at a place, or why not. Raises Rejected."""
Alike = Callable[[TopicRecords], AlikeCalls | None]
"""The calls of records of one each that differ in body, id and time alone; None where that is not so."""


def never_alike(records: TopicRecords) -> AlikeCalls | None:
    """Each record is looked at by itself."""
    del records
    return None


class InferenceDecoder:
    """Records to rows. `calls` says what a record holds, `alike` says it of many at once."""

    def __init__(self, topic: TopicFields | None, wants: RecordParts, calls: Calls, alike: Alike = never_alike) -> None:
        """`topic`: whose messages they are, None: nobody's."""
        options = (topic.options if topic is not None else None) or InferenceOptions()
        self.wants = wants
        self.calls = calls
        self.alike = alike
        self._naming = options.naming
        self._prediction = options.prediction
        self._compacted = Compacted()
        self.readers: Sequence[Reader] = []
        """What reads most records sooner."""
        if (
            COMPILED
            and topic is not None
            and topic.series
            and all(each.half == WHOLE for each in topic.series.values())
        ):
            self.readers = [TensorScanner(topic, self)]

    def decode(self, values: Sequence[bytes | None]) -> Rows:
        """Values alone."""
        return self.decode_records(TopicRecords("", [0] * len(values), values))

    def decode_records(self, records: TopicRecords) -> Rows:
        """A row an instance; what cannot be read is counted by reason."""
        rejected: Counter[str] = Counter()
        messages = []
        self._compacted.begin(sum(len(value) for value in records.values if value is not None))
        for place in range(len(records.values)):
            for found in self._messages(records, place):
                if isinstance(found, Rejected):
                    rejected[str(found)] += 1
                else:
                    messages.append(found)
        self._compacted.end()
        return rows_of(messages, rejected, self._prediction)

    def inspect(self, raw: bytes) -> Iterator[Mapping[Path, object]]:
        """The rows of one message. Raises Rejected."""
        return self.inspect_record(TopicRecords("", [0], [raw]))

    def inspect_record(self, record: TopicRecords) -> Iterator[Mapping[Path, object]]:
        """The rows of one record. Raises Rejected."""
        rows = self.decode_records(record)
        if not len(rows) and rows.rejected:
            raise Rejected(next(iter(rows.rejected)))
        assert isinstance(rows, TensorRows)
        return ({path: value for path, value in rows.row(at).items() if value is not None} for at in range(len(rows)))

    @property
    def missing(self) -> frozenset[str]:
        """The texts that are missing values."""
        return self._naming.missing

    def rows_of(self, call: Call) -> TensorRows | None:
        """The rows of one call; None where it has none."""
        message = self._message(0, call)
        rows = None if isinstance(message, Rejected) else rows_of([message], Counter(), self._prediction)
        return rows if rows is not None and len(rows) else None

    def _messages(self, records: TopicRecords, place: int) -> Iterator[Message | Rejected]:
        try:
            if records.values[place] is None:
                raise Rejected(TOMBSTONE)
            for call in self.calls(records, place):
                yield call if isinstance(call, Rejected) else self._message(place, call)
        except Rejected as reason:
            yield reason

    def _message(self, place: int, call: Call) -> Message | Rejected:
        try:
            how = BodyReading(self._naming, call.half, call.protocol)
            held: Any = self._compacted.read(call.body, how) or read_body(call.body, how)
        except Rejected as reason:
            return reason
        told = held.layout if isinstance(held, Packed) else held
        more = call.more if told.model is None else {**call.more, **_body_names(call, told.model)}
        return Message(
            place,
            held,
            call.id or held.id,
            call.time,
            call.model or told.model,
            call.version or told.version,
            more,
        )


def _body_names(call: Call, model: str) -> Mapping[Path, str]:
    """The model that the body names, where something beside it names one, too."""
    of = next(iter(call.more), None)
    return {} if of is None else {(of[0], "model_name"): model}


# --- what stands beside a body ----------------------------------------------------------------------------------------


def stamp_of(records: TopicRecords, place: int) -> int:
    """The broker's timestamp of a record, NOT_A_TIME where there is none."""
    found = records.stamps[place] if records.stamps else NOT_A_TIME
    return found if found > 0 else NOT_A_TIME


def headers_of(records: TopicRecords, place: int) -> dict[str, str]:
    """The headers of a record by name in small letters; the last of a name counts, and what is no text is none."""
    if not records.headers or not records.headers[place]:
        return {}
    found = {}
    for name, value in records.headers[place]:
        if value is not None:
            found[name.lower()] = value.decode(errors="replace")
    return found


def time_of(text: str | None) -> int:
    """A time as it is written, nanoseconds; NOT_A_TIME where there is none. Raises Rejected."""
    return NOT_A_TIME if not text else max(-LATEST_NANOS, min(LATEST_NANOS, parse_time(text)))


def reads_all(decoder: InferenceDecoder, records: TopicRecords) -> bool:
    """Whether there are records, and all of them are read."""
    rows = decoder.decode_records(records)
    return len(rows) > 0 and not rows.rejected
