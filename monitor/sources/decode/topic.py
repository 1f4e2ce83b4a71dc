"""Bytes to batches (HOT): a topic's format, then what is the same for all of them; reasons for what does not count."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from detectors.contract import Contract
from detectors.sketches.violations import Rule
from monitor.facts import ContractBroken, EventsAhead, Fact
from monitor.series.contract import ContractSpec, of_rows
from monitor.sources.base import NotNow, Prepared, RecordParts, TopicRecords
from monitor.sources.decode.broken import BrokenSampler
from monitor.sources.decode.contract import RowContract
from monitor.sources.decode.halves import SeriesByHalf
from monitor.sources.decode.joining import ID_MISSING, PredictionColumns
from monitor.sources.decode.mapping import MappedReader, Timer, decode_records, inspect_record, map_rows
from monitor.sources.decode.rejected import RejectionSearch, Told, rejected_records
from monitor.sources.decode.schema import (
    LOOKED,
    CheckedRows,
    New,
    NewNames,
    OffsetCounter,
    RecordPlaces,
    schemas,
)
from monitor.sources.decode.serving import ServedPart, reasons, serve
from monitor.sources.decode.shaping import ShapedDecoder, named_beside, shaped
from monitor.sources.decode.unseen import UnseenSampler, spread
from monitor.sources.decode.weighing import weighed
from monitor.sources.formats.base import (
    WHOLE,
    DecodeCounts,
    Outward,
    Prepares,
    Quick,
    Read,
    Reader,
    RecordDecoder,
    Rows,
    SeriesRows,
    Splits,
)
from monitor.sources.formats.fields import FieldMap, Path, SeriesFields, TopicFields
from monitor.sources.formats.json.documents import Document, DocumentRows
from monitor.sources.formats.registry import decoder_of
from monitor.sources.formats.schema_registry import Registered
from monitor.sources.formats.times import NOT_A_TIME, by_partition
from monitor.sources.formats.values import LATEST_NANOS, Rejected, timestamp, version_text
from monitor.stream.clocks import TOLERANCE, EventClock
from monitor.stream.events import (
    ANY_VERSION,
    EventBatch,
    HalfBatch,
    JoinBatch,
    Nanos,
    OffsetRange,
    Partition,
    SchemaBatch,
    SeriesKey,
)
from monitor.stream.rejected import RejectedRecord, Why
from monitor.stream.violations import of_weights

EMPTY: NDArray[np.int64] = np.empty(0, dtype=np.int64)
ODD = "wrong_type", "non_finite"  # why a field is unusable: an object or a list, a number beyond all others


@dataclass(slots=True)
class Decoded:
    """What a topic's records came to."""

    batches: list[EventBatch] = field(default_factory=list)
    seen: dict[Partition, Nanos] = field(default_factory=dict)
    facts: list[Fact] = field(default_factory=list)
    joins: list[JoinBatch] = field(default_factory=list)
    schemas: list[SchemaBatch] = field(default_factory=list)
    versions: list[tuple[str, str, Nanos]] = field(
        default_factory=list
    )  # model, version, event time: as far as looked for
    halves: list[HalfBatch] = field(default_factory=list)
    rejected: Sequence[RejectedRecord] = ()  # where they are kept


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of one row: why it is rejected, or its event time and its series, None where it is nobody's.

    `broken` are the rules of its model's data contract that it breaks by itself; None where there is no contract.
    """

    reason: str | None
    series: SeriesFields | None = None
    time: Nanos | None = None
    broken: tuple[Rule, ...] | None = None


class TopicDecoder:
    """Records of one topic to batches, of one series each."""

    STAMPED: ClassVar[bool] = False
    """Whether rows without a time have that of their record."""

    def __init__(
        self,
        topic: str,
        series: Iterable[SeriesFields],
        fields: FieldMap,
        max_future: Nanos,
        form: str = "json",
        *,
        tolerance: Nanos = TOLERANCE,
        joined: Mapping[SeriesKey, PredictionColumns] = MappingProxyType({}),
        contracts: Mapping[SeriesKey, ContractSpec] = MappingProxyType({}),
        renewed: Collection[str] = (),
        followed: Collection[SeriesKey] = (),
        options: Any = None,
        half: int = WHOLE,
        sampled: bool = False,
    ) -> None:
        """`renewed` are models of which versions that no series takes are told of; `followed` series of such versions.

        `options` are those of the format. All rows are this `half`, if it is one; else a format says what its rows are.
        `sampled`: this topic or another one says how much of all requests its log holds.
        """
        self.topic = topic
        self._renewed = frozenset(renewed)
        self._joined = joined
        self.fields = fields
        self.max_future = max_future
        self._holds = TopicFields(series, fields, followed, name=topic, options=options)
        self._reads = self._holds if half == WHOLE else self._holds.of_half(half, served=True)
        self._reads.stamped = self.STAMPED
        self._contracts = {  # first: who reads numbers asks for their bounds
            key: RowContract(self._holds.series[key], contract)
            for key, contract in contracts.items()
            if key in self._holds.series
        }
        self._halves = SeriesByHalf(self._holds, joined, contracts, sampled=sampled)
        self._reads.waiting = self._halves.blank
        for each in self._reads.series.values() if half != WHOLE else ():
            self._halves.contract(each)
        self.bare = decoder_of(form, self._reads)  # its rows are as the format gives them
        self._outward = self.bare if isinstance(self.bare, Outward) else None
        self.format = shaped(self.bare, fields)
        # where ids stand beside values, rows of one message are numbered: then it is read as a whole
        self._splits = self.bare if isinstance(self.bare, Splits) and not named_beside(fields) else None
        self.events = self.format if self._splits is None else shaped(self._splits.parts, fields)
        """What reads the records that are left once messages of many events are cut."""
        quick = self.events.readers if isinstance(self.events, Quick) else ()
        self.readers: list[Reader] = [*quick, MappedReader(self.events, self._reads)]
        any_version = any(key.version == ANY_VERSION for key in self._holds.series)
        self._asks_more = bool(self._contracts) or bool(self._renewed) or any_version
        self._sampled = 0
        self._documented = True  # whether rows are documents, as far as is known
        self._clocks: dict[int, EventClock] = defaultdict(lambda: EventClock(tolerance))  # by partition
        self._unseen = UnseenSampler()
        self._broken = BrokenSampler()
        self._offsets = OffsetCounter()
        self._messages_before = 0  # rows on record
        self._new_versions: dict[tuple[str, str], Nanos] = {}  # model and version, of series that take any
        self.keeps_rejected = False
        """Whether somebody keeps the records that are rejected: then they are looked for."""

    @property
    def wants(self) -> RecordParts:
        """What its records have to bring beside their values."""
        return self.format.wants if isinstance(self.format, RecordDecoder) else RecordParts.NOTHING

    @property
    def series(self) -> Mapping[SeriesKey, SeriesFields]:
        """The series that its messages may be of."""
        return self._holds.series

    @property
    def contracts(self) -> Mapping[SeriesKey, Contract]:
        """The data contracts that its events are held against."""
        return {key: held.spec.contract for key, held in self._contracts.items()}

    def keep(self, before: "TopicDecoder") -> None:
        """Know the schemas that another decoder of this topic has learnt, so that none of them is asked for again."""
        own, other = ((each.bare.registry if isinstance(each.bare, Registered) else None) for each in (self, before))
        if own is not None and other is not None:
            own.keep(other)

    def prepare(self, values: Sequence[bytes | None], now: Nanos) -> Prepared | None:
        """What can be done before their turn on the values of records, in any thread: nothing is changed, nothing is counted."""
        latest = min(now + self.max_future, LATEST_NANOS)
        if isinstance(self.bare, Splits):
            return None if self._splits is None else self._splits.prepare(values, self.readers[0], latest)
        first = self.bare if isinstance(self.bare, Prepares) else self.readers[0]
        return first.prepare(values, latest) if isinstance(first, Prepares) else None

    def decode(self, records: TopicRecords, now: Nanos) -> Decoded:
        """Decode one poll's records. Nothing a message holds can raise; what is wrong with it is counted.

        Raises NotNow, with nothing changed, where a format needs what is away.
        """
        self._fetch(records)
        counts, decoded, rows, whole = DecodeCounts(), Decoded(), list[SeriesRows](), records
        latest = min(now + self.max_future, LATEST_NANOS)
        records = self._split(records, counts)
        of = self._offsets.places(records) if self._contracts and records.values else None
        strange, told = False, list[Told]()
        objects, noted, checked, first = 0, 0, list[CheckedRows](), None
        for read, _, places in self._readings(records, None, latest, counts):
            first = read if places is None else first
            before, objects = objects, sum(counts.fields[reason] for reason in ODD)
            held = self._check(weighed(read.rows, counts), decoded, now, objects=objects > before)
            noted = counts.renumber(noted, places)
            held = [_among_all(part, places) for part in held]
            checked += self._placed(held)
            rows += held
            told.append((places_of(read, places), read.times))
            strange = strange or read.strange
        new = self._sample_unknown(records, counts, latest, of, first, strange=strange)
        if checked and of is not None:
            decoded.schemas += schemas(checked, self._contracts, of, new)
        self._see(records, told, decoded)
        apart = [part for part in rows if part.series.half != WHOLE]
        rows = self._halve(rows, decoded, counts, records.offsets)
        rows = self._join(self._serve(rows, decoded, counts), decoded, counts)
        decoded.batches = [self._batch(part, records.offsets) for part in rows]
        self._name_unseen(rows, apart, decoded, len(records.values), now)
        decoded.facts += [*counts.facts(self.topic), *self._ahead({partition.index for partition in decoded.seen})]
        told_of = ((*names, time) for names, time in self._new_versions.items())
        # what is no text, such as half a UTF-16 pair, could be saved nowhere
        decoded.versions += [each for each in told_of if each[1] and each[1].isprintable()]
        self._new_versions.clear()
        decoded.rejected = self._rejected(whole, records, told, counts, now)
        return decoded

    def _rejected(
        self, records: TopicRecords, cut: TopicRecords, told: Sequence[Told], counts: DecodeCounts, now: Nanos
    ) -> Sequence[RejectedRecord]:
        """The records that were rejected, where somebody keeps them. `cut` are these records, one an event; `told` the events that counted."""
        if not self.keeps_rejected or not counts.rejected:
            return ()
        latest = min(now + self.max_future, LATEST_NANOS)
        search = RejectionSearch(
            lambda places: self._reasons(records.only(places), latest),
            lambda place: self._row_reasons(records.only([place]), latest),
            Counter(counts.rejected),
        )
        search.look_through(records, cut, told, counts.noted)
        return rejected_records(records, search)

    def _reasons(self, records: TopicRecords, latest: Nanos) -> Counter[str]:
        """Why rows of these records are rejected, or none: as they are decoded, but for what is noted there."""
        counts = DecodeCounts()
        weighed(self.readers[-1].read(self._split(records, counts), latest, counts).rows, counts)
        return counts.rejected

    def _row_reasons(self, record: TopicRecords, latest: Nanos) -> list[Why]:
        """The rows of a single record that are rejected, with their numbers."""
        rows, counts = decode_records(self.format, record), DecodeCounts()
        numbered = replace(rows, messages=np.arange(1, len(rows) + 1), rejected={})
        weighed(map_rows(numbered, self._reads, latest, counts, self._timer_of(record, len(rows))).rows, counts)
        named: list[Why] = [(row, reason) for reason, places in counts.noted for row in places.tolist()]
        left = counts.rejected - Counter(reason for _, reason in named) + Counter(rows.rejected)
        return [*sorted(named, key=lambda each: each[0] or 0), *((None, reason) for reason in left.elements())]

    def _timer_of(self, record: TopicRecords, rows: int) -> Timer | None:
        """How the rows of a record, whose places are their numbers from 1, get their times."""
        del record, rows
        return None

    def _name_unseen(
        self,
        rows: Sequence[SeriesRows],
        apart: Sequence[SeriesRows],
        decoded: Decoded,
        messages: int,
        now: Nanos,
    ) -> None:
        """Say what a few of the new categories are called; those of halves, which are `apart`, with no events."""
        for at, most in self._unseen.places(len(rows) + len(apart), messages, now).items():
            if at < len(rows):
                if named := self._unseen.named(rows[at], most):
                    decoded.batches[at] = replace(decoded.batches[at], unseen_categories=named)
            elif named := self._unseen.named(self._halves.own(apart[at - len(rows)]), most):
                decoded.batches.append(self._halves.names(apart[at - len(rows)].series, self.topic, named))

    def _fetch(self, records: TopicRecords) -> None:
        """Have what the format needs from outside for these records. Raises NotNow."""
        if self._outward is not None:
            self._outward.fetch(records)

    def away(self, records: TopicRecords) -> str | None:
        """Why the format cannot read these records now, for who does not wait; None where it can."""
        try:
            self._fetch(records)
        except NotNow as why:
            return str(why)
        return None

    def _split(self, records: TopicRecords, counts: DecodeCounts) -> TopicRecords:
        """One record an event, where the format says that a message holds many."""
        if self._splits is not None:
            records, rejected = self._splits.split(records)
            counts.rejected.update(rejected)
        return records

    def _version_of(self, row: Mapping[Path, object]) -> str:
        """The version that a row names; empty where it names none."""
        fields = self.fields
        return version_text(row.get(fields.version) if fields.version_is is None else fields.version_is)

    def _check(
        self, rows: Sequence[SeriesRows], decoded: Decoded, now: Nanos, *, objects: bool
    ) -> Sequence[SeriesRows]:
        """Hold rows against the contract of their series, where it has one. `objects`: some stood where values are expected."""
        return rows if not self._contracts else [self._checked(part, decoded, now, objects=objects) for part in rows]

    def _checked(self, part: SeriesRows, decoded: Decoded, now: Nanos, *, objects: bool) -> SeriesRows:
        contract = self._contract_of(part.series)
        found = None if contract is None else contract.check(part, objects=objects)
        if contract is None or found is None:
            return part
        samples = tuple(self._broken.samples(part, contract, found, now))
        if counts := of_rows(found.counts):
            decoded.facts.append(ContractBroken(part.series.key, counts, samples))
        return replace(part, violations=found)

    def _contract_of(self, series: SeriesFields) -> RowContract | None:
        if series.half != WHOLE and series.key in self._contracts:
            return self._halves.contract(series)
        return self._contracts.get(series.key)

    def _placed(self, rows: Sequence[SeriesRows]) -> Iterator[CheckedRows]:
        """The rows that were held against a contract, with the places of their messages among all records."""
        for part in rows if self._contracts else ():
            if part.series.key in self._contracts and part.messages is not None and part.series.half == WHOLE:
                yield CheckedRows(part, part.messages, part.violations)

    def _readings(
        self, left: TopicRecords, places: NDArray[np.intp] | None, latest: Nanos, counts: DecodeCounts
    ) -> Iterator[tuple[Read, TopicRecords, NDArray[np.intp] | None]]:
        """What each reader makes of what those before it left, with these records, and their places among all; None: they are all."""
        for reader in self.readers:
            if not left.values:
                return
            read = reader.read(left, latest, counts)
            yield read, left, places
            if not read.left:
                return
            left = left.only(read.left)
            places = np.asarray(read.left, dtype=np.intp) if places is None else places[read.left]

    def decode_rows(self, rows: Rows, partition: Partition, messages: int | None = None) -> Decoded:
        """Rows on record, of one partition: all event times are in the past. They are of so many messages, None: of one each."""
        counts, decoded = DecodeCounts(), Decoded()
        messages = len(rows) if messages is None else messages
        mapped = map_rows(rows, self._reads, LATEST_NANOS, counts)
        if mapped.times.size:
            decoded.seen[partition] = self._clocks[partition.index].show(mapped.times, None)
        held = self._check(weighed(mapped.rows, counts), decoded, LATEST_NANOS, objects=True)
        if checked := list(self._placed(held)):
            numbers = self._messages_before + np.arange(messages)
            of = RecordPlaces((str(partition),), np.zeros(messages, dtype=np.int16), numbers)
            decoded.schemas += schemas(checked, self._contracts, of, {})
        self._messages_before += messages
        held = self._halve(held, decoded, counts)
        own = self._join(self._serve(held, decoded, counts), decoded, counts)
        decoded.batches = [replace(self._batch(part), unseen_categories=spread(part)) for part in own]
        decoded.facts += [*counts.facts(self.topic), *self._ahead({partition.index for partition in decoded.seen})]
        return decoded

    def decode_documents(self, rows: Rows, partition: Partition, messages: int) -> Decoded:
        """Rows of a table each of which is what a message would be, shaped as the mapping wants them; of so many messages."""
        rows = self.format.shape(rows, None) if isinstance(self.format, ShapedDecoder) else rows
        return self.decode_rows(rows, partition, messages)

    def _halve(
        self,
        rows: Sequence[SeriesRows],
        decoded: Decoded,
        counts: DecodeCounts,
        offsets: tuple[OffsetRange, ...] = (),
    ) -> list[SeriesRows]:
        """Set apart the rows that wait for their other half, of whichever reader: what is left is whole."""
        if all(part.series.half == WHOLE for part in rows):
            return list(rows)
        apart = defaultdict[tuple[SeriesKey, int], list[SeriesRows]](list)
        for part in rows:
            if part.series.half != WHOLE:
                apart[part.series.key, part.series.half].append(part)
        for parts in apart.values():
            columns = self._halves.columns(parts[0].series)
            decoded.halves.append(columns.batch(parts, self.topic, counts, offsets))
        return [part for part in rows if part.series.half == WHOLE]

    def _serve(self, rows: Sequence[SeriesRows], decoded: Decoded, counts: DecodeCounts) -> list[SeriesRows]:
        """Set apart how requests were served: what is left are the columns of references, and what is joined."""
        served = [part if not part.series.serves else serve(part, counts) for part in rows]
        decoded.facts += [part.fact for part in served if isinstance(part, ServedPart)]
        counts.fields.update(reasons(counts))
        return [part.rows if isinstance(part, ServedPart) else part for part in served]

    def _join(self, rows: list[SeriesRows], decoded: Decoded, counts: DecodeCounts) -> list[SeriesRows]:
        """Set apart what is joined with labels: what is left are the columns of references."""
        if not self._joined:
            return rows
        own = []
        for part in rows:
            columns = self._joined.get(part.series.key)
            own.append(part if columns is None else columns.without(part))
            if columns is not None:
                decoded.joins.append(columns.batch(part, counts))
        return own

    def _ahead(self, indexes: Iterable[int]) -> list[EventsAhead]:
        """The partitions that brought events of a clock that runs fast."""
        taken = {index: self._clocks[index].take_ahead() for index in sorted(indexes) if self._clocks[index].ahead}
        return [EventsAhead(Partition(self.topic, index), *found) for index, found in taken.items()]

    def inspect(self, record: TopicRecords) -> Iterable[Mapping[Path, object]]:
        """The rows of a single record as they came. Raises Rejected."""
        return inspect_record(self.format, record)

    def verdicts(self, record: TopicRecords, now: Nanos) -> Iterator[Verdict]:
        """What becomes of each row of a single record, in the order of `inspect`; then of what is no row."""
        rows = decode_records(self.format, record)
        latest = min(now + self.max_future, LATEST_NANOS)
        for at in range(len(rows)):
            counts = DecodeCounts()
            mapped = map_rows(rows.take(np.array([at])), self._reads, latest, counts, self._timer(now))
            time = next(iter(mapped.times.tolist()), None)
            part = next(iter(weighed(mapped.rows, counts)), None)
            why = next(iter(counts.rejected), None if part is None else self._why_not(part, counts))
            broken = None if part is None or why is not None else self._broken_by(part)
            yield Verdict(why, None if part is None else part.series, time, broken)
        yield from map(Verdict, rows.rejected)

    def _broken_by(self, part: SeriesRows) -> tuple[Rule, ...] | None:
        """The rules that a single row breaks; None where no contract asks."""
        contract = self._contract_of(part.series)
        if contract is None:
            return None
        found = contract.check(part)
        broken = {} if found is None else of_rows(found.counts)
        return tuple(rule for rule in contract.rules if rule in broken)

    def refused(self, series: SeriesFields, row: Mapping[Path, object]) -> Sequence[str]:
        """The features of a row that its model's contract does not know, where it refuses such."""
        contract = self._contracts.get(series.key)
        refuses = contract is not None and contract.spec.contract.new_columns_refused
        return self._new_in(series, row) if refuses else ()

    def _why_not(self, part: SeriesRows, counts: DecodeCounts) -> str | None:
        """Why a row that was read does not count all the same."""
        del counts
        return ID_MISSING if part.series.half != WHOLE and not (part.ids is not None and part.ids.any()) else None

    def _timer(self, now: Nanos) -> Timer | None:
        """How rows that are explained get their times; None: as those that are read do."""
        del now
        return None

    def _place(self, row: Mapping[Path, object], latest: Nanos) -> tuple[SeriesFields | None, Nanos]:
        fields = self.fields
        series = self._holds.series_of(row.get(fields.model), row.get(fields.version))
        return series, timestamp(row.get(fields.timestamp), fields.unit, latest)

    def _sample_unknown(
        self,
        records: TopicRecords,
        counts: DecodeCounts,
        latest: Nanos,
        of: RecordPlaces | None,
        first: Read | None,
        *,
        strange: bool,
    ) -> New:
        """Count the unknown features of one row of some messages; those of any row that a contract does not know are returned.

        Where there is a contract, offsets choose the messages, so that batches and restarts change nothing. `strange`: whether there may be
        unknown features; where there are none, and nobody asks for versions, nothing is looked through. `first`: what the first reader made of
        the records; it may say whose rows are, and which messages may hold such features.
        """
        values = records.values
        beside = None if strange or first is None else first.beside
        if not (self._asks_more or (strange and self._reads.fields.features)):
            self._sampled += len(values)
            return {}
        looked = list(range(-self._sampled % LOOKED, len(values), LOOKED))
        self._sampled += len(values)
        if not self._asks_more and first is not None and first.strangers is not None:
            looked = list(first.strangers(looked))
        if of is None and beside is None and (firsts := self._first_documents(records, looked)) is not None:
            for document in firsts:
                if self._asks_more or not self._is_known(document):
                    self._look_at(document, counts, latest)
            return {}
        new = {}
        for at in looked if of is None else np.flatnonzero(of.looked).tolist():
            known = None if beside is None or self._contracts else beside(at)
            with suppress(Rejected):  # counted where it is decoded
                rows: Iterable[Mapping[Path, object]] = () if known is None else (known,)
                if known is None and values[at]:
                    rows = inspect_record(self.events, records.only([at]))
                new[at] = self._look_through(rows if self._contracts else islice(rows, 1), counts, latest)
        return new

    def _is_known(self, row: Document) -> bool:
        """Whether all features of a row are known, whosever it is: then it need not be asked whose."""
        held = row.get(self.fields.features)
        return isinstance(held, dict) and held.keys() <= self._holds.known

    def _first_documents(self, records: TopicRecords, places: list[int]) -> Sequence[Document] | None:
        """The first row of each of these messages, all read at once; None where rows are no documents."""
        if not places:
            return []
        rows = decode_records(self.events, records.only(places)) if self._documented else None
        self._documented = isinstance(rows, DocumentRows)
        if not isinstance(rows, DocumentRows):
            return None
        first = np.flatnonzero(np.diff(rows.messages, prepend=-1))
        return [Document(rows.documents[at]) for at in first.tolist()]

    def _look_through(
        self, rows: Iterable[Mapping[Path, object]], counts: DecodeCounts, latest: Nanos
    ) -> Mapping[SeriesKey, Sequence[str]]:
        """The features of one message's rows that the contract of their series does not know."""
        found = defaultdict[SeriesKey, NewNames](NewNames)
        for number, row in enumerate(rows):
            series = self._look_at(row, None if number else counts, latest)
            if series is not None:
                found[series.key].add(self._new_in(series, row))
        return {key: names.found for key, names in found.items()}

    def _look_at(self, row: Mapping[Path, object], counts: DecodeCounts | None, latest: Nanos) -> SeriesFields | None:
        """The series of a row, its version noted and its unknown features counted, None: not counted; None where it is nobody's."""
        try:
            series, time = self._place(row, latest)
        except Rejected:
            return None
        if series is None:
            self._note_version(row, time)
        elif series.key.version == ANY_VERSION:
            self._new_versions.setdefault((series.key.model, self._version_of(row)), time)
        if series is not None and counts is not None and self._reads.fields.features:  # of a response none are asked
            counts.fields["unknown"] += len(series.unknown(row))
        return series

    def _note_version(self, row: Mapping[Path, object], time: Nanos) -> None:
        """Keep the version of a row that no series takes, where its model's new versions are wanted."""
        named = self.fields.model_is or row.get(self.fields.model, self._holds.unnamed)
        if isinstance(named, str) and named in self._renewed:
            self._new_versions.setdefault((named, self._version_of(row)), time)

    def _new_in(self, series: SeriesFields, row: Mapping[Path, object]) -> Sequence[str]:
        """The features of a row that its model's contract does not know."""
        contract = self._contracts.get(series.key)
        return () if contract is None else contract.new_in(row)

    def _see(self, records: TopicRecords, told: Sequence[Told], decoded: Decoded) -> None:
        """Bring each partition's event time on, by the events of all readers in the order in which they came."""
        for index, (times, ends) in by_partition(*_in_order(records.partitions, told)).items():
            time = self._clocks[index].show(times, records.arrivals.get(index), ends)
            decoded.seen[Partition(self.topic, index)] = time

    def _batch(self, rows: SeriesRows, offsets: tuple[OffsetRange, ...] = ()) -> EventBatch:
        columns = rows.times, rows.numeric, rows.codes
        return EventBatch(
            rows.series.key,
            self.topic,
            *columns,
            offsets=offsets,
            ids=rows.ids,
            groups=rows.groups,
            served=rows.served,
            violations=of_weights(rows.violations, rows.weights),
        )


def places_of(read: Read, places: NDArray[np.intp] | None) -> NDArray[np.intp] | None:
    """The places of the messages of event times among all records, None: they are all; `places` are those of their reader's."""
    if places is None:
        return None if isinstance(read.messages, slice) else read.messages
    return places[read.messages]


def _among_all(part: SeriesRows, places: NDArray[np.intp] | None) -> SeriesRows:
    """Rows with the places of their messages among all records: `places` are those of their reader's."""
    return part if part.messages is None or places is None else replace(part, messages=places[part.messages])


def _in_order(
    partitions: Sequence[int], told: Sequence[Told]
) -> tuple[Sequence[int], NDArray[np.int64], NDArray[np.intp] | None]:
    """The partitions of messages, and event times in the order of their messages, whoever read them, with the place of each one's, None: all."""
    told = [each for each in told if len(each[1])]
    if len(told) == 1 and told[0][0] is None:  # as a rule each message is one event
        return partitions, told[0][1], None
    all_places = [np.arange(len(times)) if places is None else places for places, times in told]
    places, times = (all_places[0], told[0][1]) if len(told) == 1 else _joined(all_places, [times for _, times in told])
    known = times != NOT_A_TIME
    if not known.all():  # what one reader left another has read, or nobody
        places, times = places[known], times[known]
    if (places[1:] < places[:-1]).any():
        order = np.argsort(places, kind="stable")
        places, times = places[order], times[order]
    return partitions, times, places


def _joined(*columns: Sequence[NDArray[np.int64]]) -> tuple[NDArray[np.int64], ...]:
    """Each column of several readers, one reader behind another."""
    return tuple(np.concatenate([EMPTY, *each]) for each in columns)
