"""CloudEvents as an envelope around messages of another format: its attributes beside their rows."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationInfo, field_validator

from detectors.columns import Coded, Column
from monitor.sections import Section, unknown_key
from monitor.sources.base import Prepared, RecordParts, TopicRecords
from monitor.sources.formats.base import TOMBSTONE, Decoder, Outward, Prepares, RecordDecoder, Rows, Splits
from monitor.sources.formats.envelopes import Envelope, envelopes, lookalike
from monitor.sources.formats.fields import Path, TopicFields
from monitor.sources.formats.registry import UnknownFormatError, decoder_of, format_of, gives_halves, options_of
from monitor.sources.formats.schema_registry import Registered, SchemaRegistry
from monitor.sources.formats.values import Rejected
from monitor.stream.events import Nanos

HERE = "cloudevents"
ATTRIBUTES = "ce"
ALONE = -1  # in place of a row's number
STANDS_IN: Mapping[Path, str] = {("id",): "id", ("ts",): "time"}  # where the message's own is absent


class CloudEventOptions(Section):
    """The format of the events' data, and what that may be told."""

    of: str = "json"
    options: Any = Field(default=None, validate_default=True)

    @field_validator("of")
    @classmethod
    def _is_a_format(cls, name: str) -> str:
        if name == HERE:
            raise ValueError("must be another format")
        try:
            format_of(name)
        except UnknownFormatError as problem:
            raise ValueError(str(problem)) from None
        return name

    @field_validator("options", mode="before")
    @classmethod
    def _of_the_format(cls, said: Any, info: ValidationInfo) -> Any:
        wanted = options_of(info.data.get("of", ""))
        if wanted is None:
            if said:
                raise ValueError(f"format {info.data.get('of')} takes no options")
            return None
        if isinstance(said, dict) and (unknown := unknown_key(wanted, said)):
            raise ValueError(f"format {info.data.get('of')} has no option {unknown}")
        return wanted.model_validate(said or {})


Options = CloudEventOptions


def decoder(topic: TopicFields) -> "EventDecoder":
    """The decoder of one topic."""
    options = topic.options or Options()
    inner = TopicFields(topic.series.values(), topic.fields, name=topic.name, options=options.options)
    held = decoder_of(options.of, inner)
    return OutwardEventDecoder(held) if isinstance(held, Outward) else EventDecoder(held)


@dataclass(frozen=True, slots=True)
class EventRows(Rows):
    """Rows of another format, each with the event that it came in; `events[i]` is that of row i, `numbers[i]` its number among those of the event."""

    inner: Rows = field(default_factory=lambda: Rows({}, np.empty(0, dtype=np.intp)))
    events: NDArray[np.intp] = field(default_factory=lambda: np.empty(0, dtype=np.intp))
    numbers: NDArray[np.intp] = field(default_factory=lambda: np.empty(0, dtype=np.intp))
    attributes: Sequence[Mapping[str, str]] = ()

    def column(self, path: Path) -> Column | None:
        """The column of a path: an attribute's, or the message's own, where the event's id and time stand in."""
        if path[:1] == (ATTRIBUTES,) and len(path) > 1:
            return self._of_events(path[1])
        found = self.inner.column(path)
        return self._filled(found, path) if path in STANDS_IN else found

    def names(self, path: Path) -> set[str]:
        """The keys below a path that any row has."""
        if path == (ATTRIBUTES,):
            return {name for event in np.unique(self.events).tolist() for name in self.attributes[event]}
        return self.inner.names(path)

    def take(self, which: NDArray[np.intp]) -> "EventRows":
        """Some rows."""
        halves = None if self.halves is None else self.halves[which]
        return EventRows(
            {},
            self.messages[which],
            halves=halves,
            inner=self.inner.take(which),
            events=self.events[which],
            numbers=self.numbers[which],
            attributes=self.attributes,
        )

    def values(self, row: int, paths: Iterable[Path]) -> list[object]:
        """What a row holds at some paths."""
        alone = self.take(np.array([row]))
        columns = (alone.column(path) for path in paths)
        return [None if column is None else column.tolist()[0] for column in columns]

    def _of_events(self, name: str) -> Column | None:
        values = dict.fromkeys(event.get(name) for event in self.attributes)
        if set(values) <= {None}:
            return None
        places = {value: place for place, value in enumerate(values)}
        return Coded(tuple(values), np.array([places[event.get(name)] for event in self.attributes])[self.events])

    def _filled(self, own: Column | None, path: Path) -> Column | None:
        told = self._of_events(STANDS_IN[path])
        if told is None or (own is not None and not isinstance(own, Coded) and own.dtype.kind in "iuU"):
            return own
        values = np.full(len(self), None, dtype=object) if own is None else np.asarray(own)
        lacking = np.isnat(values) if values.dtype.kind == "M" else np.array([each is None for each in values.tolist()])
        if not lacking.any():
            return own
        stands_in = np.asarray(told)
        if values.dtype.kind == "M":
            values = np.array([str(each) for each in values], dtype=object)
        filled = values.astype(object)
        filled[lacking] = self._numbered(stands_in)[lacking] if path == ("id",) else stands_in[lacking]
        return filled

    def _numbered(self, ids: NDArray[Any]) -> NDArray[Any]:
        """Ids of rows: of an event of several each has its number."""
        found = np.empty(len(ids), dtype=object)
        found[:] = [
            own if at == ALONE or not own else f"{own}#{at}"
            for own, at in zip(ids.tolist(), self.numbers.tolist(), strict=True)
        ]
        return found


def _numbers(events: NDArray[np.intp]) -> NDArray[np.intp]:
    """The number of each row among those of its event, ALONE where there is no other; rows of an event stand together."""
    counts = np.bincount(events)
    starts = np.cumsum(counts) - counts
    return np.where(counts[events] > 1, np.arange(len(events)) - starts[events], ALONE)


class Opened(NamedTuple):
    """The events of some records, the place of each one's record, and why others hold none, by reason."""

    events: Sequence[Envelope]
    places: Sequence[int]
    rejected: dict[str, int]


def _open(records: TopicRecords) -> Opened:
    held, places, rejected = list[Envelope](), list[int](), dict[str, int]()
    for place in range(len(records.values)):
        for found in _events(records, place):
            if isinstance(found, Rejected):
                rejected[str(found)] = rejected.get(str(found), 0) + 1
            else:
                held.append(found)
                places.append(place)
    return Opened(held, places, rejected)


def _within(records: TopicRecords, events: Sequence[Envelope], places: Sequence[int]) -> TopicRecords:
    """A record an event, of what it holds; what was made of just this ahead is that of its records."""
    ahead, held = records.prepared, [event.data for event in events]
    if isinstance(ahead, PreparedData) and ahead.values is records.values and ahead.held == held:
        return replace(records.only(places), values=ahead.held, prepared=ahead.prepared)
    return replace(records.only(places), values=held, prepared=None)


@dataclass(frozen=True, slots=True)
class PreparedData:
    """What was made ahead of what values hold, as far as that is known without headers: `held` is the data of each."""

    values: Sequence[bytes | None]
    held: Sequence[bytes | None]
    prepared: Prepared

    @property
    def nbytes(self) -> int:
        """What is kept beside the messages."""
        apart = sum(len(data) for data, value in zip(self.held, self.values, strict=True) if data and data is not value)
        return apart + self.prepared.nbytes


def _data(value: bytes | None) -> bytes | None:
    """What a value holds: that of an envelope, or itself; what headers say decides in the end."""
    try:
        found = None if value is None else lookalike(value)
    except Rejected:
        found = None
    return value if found is None else found.data


class EventDecoder:
    """Records of events to rows of what they hold."""

    def __init__(self, inner: Decoder) -> None:
        self._inner = inner
        self.wants = RecordParts.HEADERS | (inner.wants if isinstance(inner, RecordDecoder) else RecordParts.NOTHING)

    def prepare(self, values: Sequence[bytes | None], latest: Nanos) -> PreparedData | None:
        """Have the format of the data read it ahead, in any thread, where it can."""
        if isinstance(self._inner, Splits) or not isinstance(self._inner, Prepares):
            return None  # one that cuts messages is called otherwise: with who reads what it cuts
        held = list(map(_data, values))
        prepared = self._inner.prepare(held, latest)
        return None if prepared is None else PreparedData(values, held, prepared)

    def decode(self, values: Sequence[bytes | None]) -> Rows:
        """Values alone: events in structured mode."""
        return self.decode_records(TopicRecords("", [0] * len(values), values))

    def decode_records(self, records: TopicRecords) -> Rows:
        """A row a row of the data; what cannot be read is counted by reason."""
        held, places, rejected = self._opened(records)
        within = _within(records, held, places)
        if isinstance(self._inner, RecordDecoder):
            rows = self._inner.decode_records(within)
        else:
            rows = self._inner.decode(within.values)
        for reason, count in rows.rejected.items():
            rejected[reason] = rejected.get(reason, 0) + count
        messages = np.array(places, dtype=np.intp)[rows.messages]
        attributes = [event.attributes for event in held]
        return EventRows(
            {},
            messages,
            rejected,
            halves=rows.halves,
            inner=rows,
            events=rows.messages,
            numbers=_numbers(rows.messages),
            attributes=attributes,
        )

    def _opened(self, records: TopicRecords) -> Opened:
        """What records hold."""
        return _open(records)

    def inspect(self, raw: bytes) -> Iterator[Mapping[Path, object]]:
        """The rows of one message. Raises Rejected."""
        return self.inspect_record(TopicRecords("", [0], [raw]))

    def inspect_record(self, record: TopicRecords) -> Iterator[Mapping[Path, object]]:
        """The rows of one record, attributes among them. Raises Rejected."""
        for found in _events(record, 0):
            if isinstance(found, Rejected):
                raise found
            within = replace(record, values=[found.data], prepared=None)
            if isinstance(self._inner, RecordDecoder):
                rows = list(self._inner.inspect_record(within))
            else:
                rows = list(self._inner.inspect(found.data))
            for at, row in enumerate(rows):
                yield _Beside(row, found.attributes, "" if len(rows) == 1 else f"#{at}")


class OutwardEventDecoder(EventDecoder):
    """The same around a format that needs something from outside."""

    def __init__(self, inner: Decoder) -> None:
        super().__init__(inner)
        assert isinstance(inner, Outward)
        self._outward: Outward = inner
        self._fetched: tuple[TopicRecords, Opened] | None = None  # which are decoded next

    @property
    def registry(self) -> SchemaRegistry | None:
        """Of the schemas of what the events hold."""
        return self._inner.registry if isinstance(self._inner, Registered) else None

    def fetch(self, records: TopicRecords) -> None:
        """Have what the events of these records need. Raises NotNow."""
        opened = _open(records)
        self._outward.fetch(_within(records, opened.events, opened.places))
        self._fetched = records, opened

    def _opened(self, records: TopicRecords) -> Opened:
        if self._fetched is None or self._fetched[0] is not records:
            return _open(records)
        (_, opened), self._fetched = self._fetched, None
        return opened


class _Beside(Mapping[Path, object]):
    """A row as it came, with the attributes of its event."""

    def __init__(self, row: Mapping[Path, object], attributes: Mapping[str, str], number: str) -> None:
        self._row = row
        self._attributes = attributes
        self._number = number

    def __getitem__(self, path: Path) -> object:
        if path[:1] == (ATTRIBUTES,) and len(path) == 2:  # noqa: PLR2004 - and a name
            return self._attributes.get(path[1])
        found = self._row.get(path)
        if found is None and path in STANDS_IN and STANDS_IN[path] in self._attributes:
            return self._attributes[STANDS_IN[path]] + (self._number if path == ("id",) else "")
        return found

    def __iter__(self) -> Iterator[Path]:
        yield from ((ATTRIBUTES, name) for name in self._attributes)
        yield from self._row

    def __len__(self) -> int:
        return len(self._attributes) + len(self._row)


def _events(records: TopicRecords, place: int) -> Iterable[Envelope | Rejected]:
    value = records.values[place]
    if value is None:
        return [Rejected(TOMBSTONE)]
    try:
        return envelopes(value, records.headers[place] if records.headers else ())
    except Rejected as reason:
        return [reason]


def comes_apart(options: CloudEventOptions | None) -> bool:
    """Whether rows may be requests or responses: as the format of the data says."""
    return options is not None and gives_halves(options.of, options.options)


def recognises(records: TopicRecords) -> bool:
    """Whether all records are events."""
    found = [each for place in range(len(records.values)) for each in _events(records, place)]
    return bool(found) and all(
        isinstance(each, Envelope) and {"id", "source", "type"} <= each.attributes.keys() for each in found
    )
