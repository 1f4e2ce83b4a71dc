"""Records of inferences straight to the columns of their series (HOT), by templates of messages; see `_template.hpp`.

What is left, as all that is broken, is read by `InferenceDecoder`, which also says what a template is worth: a probe with a number for
each place is read as any message is, and shows which column a place comes to lie in.
"""

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from monitor.sources.base import TopicRecords
from monitor.sources.decode.mapping import REJECTED, UNMONITORED, codes_of, route
from monitor.sources.formats.base import WHOLE, DecodeCounts, Read, Rows, SeriesRows
from monitor.sources.formats.categories import CategoryTable
from monitor.sources.formats.fields import Path, SeriesFields, TopicFields
from monitor.sources.formats.tensors.aiming import ABSENT, NUMBERS, TEXTS, Aim, Cell, ProbedArray, aim_of, cells_of
from monitor.sources.formats.tensors.rows import ID, TIME, AlikeCalls, Call, TensorRows
from monitor.sources.formats.values import EARLIEST, Rejected, is_writable
from monitor.stream.events import Nanos
from monitor.stream.halves import Rows as HalfRows

try:
    from monitor.sources.formats.tensors import _columns
except ImportError:  # installed without a compiler
    _columns = None  # type: ignore[assignment]

COMPILED = _columns is not None and os.environ.get("DRIFTD_PURE") != "1"
MOST_TEMPLATES, MOST_KINDS = 32, 256  # of a kind; of a topic
LONGEST = 1 << 18  # bytes of a message that a template is made of
PATIENCE = 64  # templates that may be made in vain, one after the other,
WORTH = 16  # and messages read by one that make up for one of them
NO_ROOM, NO_TEMPLATE = 1, 2
SPARE = 1.05  # times the rows that as many bytes held before
FEWEST = 256  # rows that there is room for
PROBED_TEXT = re.compile(rb'"1[0-9]{11}"')

FILLED = "numeric", "codes", "high", "low", "time"  # of a row that waits, what templates fill
Ints = NDArray[np.int32]


class CallDecoder(Protocol):
    """What reads records and single calls without templates."""

    def calls(self, records: TopicRecords, place: int, /) -> Iterable[Call | Rejected]:
        """The calls in a record at a place. Raises Rejected."""
        ...

    def alike(self, records: TopicRecords, /) -> AlikeCalls | None:
        """The calls of records of one each that differ in body, id and time alone; None where that is not so."""
        ...

    def decode_records(self, records: TopicRecords) -> Rows:
        """A row an instance."""
        ...

    def rows_of(self, call: Call) -> TensorRows | None:
        """The rows of one call; None where it has none."""
        ...

    @property
    def missing(self) -> frozenset[str]:
        """The texts that are missing values."""
        ...


@dataclass(slots=True)
class FilledColumns:
    """The columns of a series, as some templates fill them. Their rows are those of a batch."""

    number: int  # among the targets
    series: SeriesFields | None  # None: of nobody's
    aim: Aim
    codes: Any
    waits: HalfRows | None = None  # a row that waits for its other half, blank; None: it does not, or others make it so
    density: float = 0.0  # rows of a byte, at most
    numbers: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 0)))
    coded: Ints = field(default_factory=lambda: np.empty((0, 0), dtype=np.int32))
    ids: NDArray[np.uint64] | None = None
    more: NDArray[np.uint64] | None = None
    times: NDArray[np.int64] | None = None
    waiting: HalfRows | None = None  # what all of them are fields of, where rows are halves
    tallies: NDArray[np.int64] = field(default_factory=lambda: np.zeros(2, dtype=np.int64))

    @property
    def width(self) -> int:
        """Columns of numbers, and categories that come as some."""
        return len(self.aim.numeric) + self.aim.categorical.count(NUMBERS)

    @property
    def plain(self) -> bool:
        """Whether all columns are filled as they are."""
        return ABSENT not in self.aim.numeric and {TEXTS}.issuperset(self.aim.categorical)

    @property
    def rows(self) -> int:
        """How many there are."""
        return int(self.tallies[-2])

    @property
    def named(self) -> bool:
        """Whether all of them have ids."""
        return not self.tallies[-1]

    @property
    def lent(self) -> "_columns.Target":
        """As the compiled part takes it."""
        return (
            self.codes,
            len(self.numbers),
            self.width,
            self.numbers,
            self.coded,
            self.ids,
            self.more,
            self.tallies,
            None if self.waiting is None else self.waiting.view(np.uint8),
            self.times,
            None if self.waits is None else self.waits.view(np.uint8),
        )

    def empty(self) -> None:
        """Have neither rows nor room: who has rows of it keeps them."""
        if len(self.numbers):
            self.make_room(0)

    def make_room(self, rows: int) -> None:
        """Have room for so many rows, and none that are there."""
        coded = len(self.aim.categorical)
        self.tallies = np.zeros(self.width + coded + 2, dtype=np.int64)
        if self.waits is not None:
            self.waiting = held = np.empty(rows, dtype=self.waits.dtype)  # what is not filled becomes as in a blank one
            self.numbers, self.coded, self.ids, self.more, self.times = (held[name] for name in FILLED)
            return
        self.numbers = np.empty((rows, self.width))
        self.coded = np.empty((rows, coded), dtype=np.int32)
        series = self.series
        self.ids = None if series is None or not series.id else np.empty(rows, dtype=np.uint64)
        self.more = None if series is None or not series.wide else np.empty(rows, dtype=np.uint64)


class TakenCalls(NamedTuple):
    """The calls that templates may read: their bodies and own ids, the record of each, its event time and kind, and the call itself."""

    bodies: list[bytes]
    owns: list[str | None]
    places: NDArray[np.intp]
    times: NDArray[np.int64]
    kinds: Ints
    call: Callable[[int], Call]


class TemplateLabel(NamedTuple):
    """What the messages of some templates have in common: the number of the columns that they are in, whose rows are, as they say it.

    `strange`: they have features that nobody asked for.
    """

    number: int
    strange: bool
    names: tuple[tuple[Path, object], ...]


@dataclass(slots=True)
class ScannedCalls:
    """What became of calls: the rows of each and the number of its label, and the rows of series so far."""

    rows: Ints
    labels: Ints
    parts: list[SeriesRows] = field(default_factory=list)
    strange: bool = False  # whether there are features that nobody asked for
    flushed: int = 0  # calls whose rows are in the parts
    whose: tuple[NDArray[np.intp], NDArray[np.int64]] | None = None  # records and times of the rows of the last part


class TensorScanner:
    """Records of one topic to columns, where all but numbers, texts, rows and ids is as in a message before."""

    def __init__(self, topic: TopicFields, decoder: CallDecoder) -> None:
        self._topic = topic
        self._decoder = decoder
        fields = topic.fields
        self._looked_up = [path for name, path in fields.envelope.items() if name != "timestamp"]
        self._kinds: dict[Any, int] = {}
        self._last: tuple[Any, int] = None, 0  # kind, and its number
        self._templates: list[list[Any]] = []  # of each kind
        self._targets: dict[Any, FilledColumns] = {}
        self._labels: dict[TemplateLabel, int] = {}
        self._patience = PATIENCE

    def read(self, records: TopicRecords, latest: Nanos, counts: DecodeCounts) -> Read:
        """Read records; those that no template reads are left."""
        if max(len(self._kinds), len(self._labels)) > MOST_KINDS:
            self._forget()
        taken = self._alike(records, latest) or self._take(records, latest)
        size = len(taken.bodies)
        scanned = ScannedCalls(np.zeros(size, dtype=np.int32), np.zeros(size, dtype=np.int32))
        self._scan(records, taken, scanned, counts)
        left = np.ones(len(records.values), dtype=np.bool_)
        left[taken.places[scanned.rows > 0]] = False
        whose = scanned.whose
        if whose is None or len(whose[0]) < int(scanned.rows.sum()):  # some are of others, or of nobody
            whose = np.repeat(taken.places, scanned.rows), np.repeat(taken.times, scanned.rows)
        beside = partial(self._beside, taken, scanned)
        return Read(scanned.parts, *whose, np.flatnonzero(left).tolist(), strange=scanned.strange, beside=beside)

    def _beside(self, taken: TakenCalls, scanned: ScannedCalls, place: int) -> Mapping[Path, object] | None:
        """Whose and when the rows of a record are that was read."""
        at = int(np.searchsorted(taken.places, place))
        if at == len(taken.places) or taken.places[at] != place or not scanned.rows[at]:
            return None
        label = list(self._labels)[int(scanned.labels[at])]
        return {**dict(label.names), TIME: f"{taken.times[at].view('datetime64[ns]')}Z"}

    def _forget(self) -> None:
        """Know no calls."""
        self._kinds.clear()
        self._last = None, 0
        self._templates.clear()
        self._targets.clear()
        self._labels.clear()

    # --- calls ------------------------------------------------------------------------------------------------------------

    def _take(self, records: TopicRecords, latest: Nanos) -> TakenCalls:
        """The calls of records that hold a single one, of a valid time."""
        places, calls, kinds = list[int](), list[Call](), list[int]()
        for place, value in enumerate(records.values):
            if value and (call := self._call(records, place, latest)) is not None:
                places.append(place)
                calls.append(call)
                kinds.append(self._kind(call))
        times = np.array([call.time for call in calls], dtype=np.int64)
        bodies, owns = [call.body for call in calls], [call.id for call in calls]
        where = np.array(places, dtype=np.intp)
        return TakenCalls(bodies, owns, where, times, np.array(kinds, dtype=np.int32), calls.__getitem__)

    def _alike(self, records: TopicRecords, latest: Nanos) -> TakenCalls | None:
        """The same, where all of them are alike; None where they are not."""
        found = self._decoder.alike(records)
        if found is None or not all(map(_is_plain, filter(None, found.owns))):
            return None
        times = found.times
        if int(times.min()) < EARLIEST or int(times.max()) > latest or {*map(type, found.bodies)} != {bytes}:
            return None
        kinds = np.full(times.size, self._kind(found.model), dtype=np.int32)
        return TakenCalls(found.bodies, found.owns, np.arange(times.size), times, kinds, found.call)

    def _call(self, records: TopicRecords, place: int, latest: Nanos) -> Call | None:
        try:
            (call,) = self._decoder.calls(records, place)
        except (Rejected, ValueError):
            return None
        if not isinstance(call, Call) or type(call.body) is not bytes or not EARLIEST <= call.time <= latest:
            return None
        return call if _is_plain(call.id) else None

    def _kind(self, call: Call) -> int:
        """What tells calls of one kind: all that stands beside their bodies, but ids and times."""
        more = tuple(map(call.more.get, self._looked_up)) if call.more else ()
        kind = call.half, call.protocol, call.model, call.version, more
        if kind != self._last[0]:  # which is told sooner than a hash
            number = self._kinds.setdefault(kind, len(self._kinds))
            if number == len(self._templates):
                self._templates.append([])
            self._last = kind, number
        return self._last[1]

    # --- reading ----------------------------------------------------------------------------------------------------------

    def _scan(self, records: TopicRecords, taken: TakenCalls, scanned: ScannedCalls, counts: DecodeCounts) -> None:
        bodies = taken.bodies
        sizes = np.cumsum([0, *map(len, bodies)])
        at = 0
        while at < len(bodies):
            targets = list(self._targets.values())
            self._make_rooms(int(sizes[-1] - sizes[at]), 0)
            at, why = _columns.scan(
                self._templates,
                [target.lent for target in targets],
                bodies,
                taken.owns,
                taken.kinds,
                taken.times,
                scanned.rows,
                scanned.labels,
                at,
                self._patience > 0,
            )
            if why == NO_ROOM:
                self._flush(records, taken, scanned, at, counts)
                self._make_rooms(int(sizes[-1] - sizes[at]), len(bodies[at]) // 2)
            elif why == NO_TEMPLATE and not self._learn(taken.call(at), int(taken.kinds[at])):
                at += 1
        self._flush(records, taken, scanned, at, counts)

    def _make_rooms(self, size: int, least: int) -> None:
        """Have room in columns that have none, for the rows of so many bytes as it has been."""
        for target in self._targets.values():
            if not len(target.numbers):
                target.make_room(max(int(size * target.density * SPARE), least) + FEWEST)

    def _flush(
        self, records: TopicRecords, taken: TakenCalls, scanned: ScannedCalls, until: int, counts: DecodeCounts
    ) -> None:
        """Make rows of the columns that are filled."""
        since, scanned.flushed = scanned.flushed, until
        labels = scanned.labels[since:until][scanned.rows[since:until] > 0]
        held = list(self._labels)
        scanned.strange |= any(held[each].strange for each in set(labels.tolist()))
        of = np.array([label.number for label in held], dtype=np.int32)
        for target in self._targets.values():
            if not target.rows:
                pass  # but it may have had too little room for a message alone
            elif target.series is None:
                counts.unmonitored += target.rows
            else:
                ours = of[scanned.labels[since:until]] == target.number
                here = since + np.flatnonzero(ours & (scanned.rows[since:until] > 0))
                scanned.parts.append(self._part(target, target.series, records, taken, scanned, here, counts))
            target.empty()
        self._patience = min(PATIENCE, self._patience + int(np.count_nonzero(scanned.rows[since:until])) // WORTH)

    def _part(
        self,
        target: FilledColumns,
        series: SeriesFields,
        records: TopicRecords,
        taken: TakenCalls,
        scanned: ScannedCalls,
        which: NDArray[np.intp],
        counts: DecodeCounts,
    ) -> SeriesRows:
        each, rows = scanned.rows[which], target.rows
        scanned.whose = messages, times = np.repeat(taken.places[which], each), np.repeat(taken.times[which], each)
        numeric, codes = _told(target, series, counts)
        ids, more, waiting = (
            None if held is None else held[:rows] for held in (target.ids, target.more, target.waiting)
        )
        again = partial(self._again, records, messages, each)
        return SeriesRows(
            series,
            times,
            numeric,
            codes,
            lambda row, paths: again(np.array([row]), ()).values(0, paths),
            ids,
            None,
            more,
            messages if series.placed else None,
            again,
            waiting=waiting,
            named=target.named,
        )

    def _again(
        self,
        records: TopicRecords,
        messages: NDArray[np.intp],
        each: Ints,
        rows: NDArray[np.intp],
        paths: Sequence[Path],
    ) -> Rows:
        """Rows with their values as they came, of messages of so many rows each: they are read once more."""
        del paths  # they have all of them
        numbers = np.arange(len(messages)) - np.repeat(np.cumsum(each) - each, each)
        wanted, of_row = np.unique(messages[rows], return_inverse=True)
        found = self._decoder.decode_records(records.only(wanted.tolist()))
        starts = np.searchsorted(found.messages, np.arange(len(wanted)))
        return found.take(starts[of_row] + numbers[rows])

    # --- templates --------------------------------------------------------------------------------------------------------

    def _learn(self, call: Call, kind: int) -> bool:
        """Make a template of a message that none reads."""
        found = _columns.learn(call.body) if len(call.body) <= LONGEST else None
        if found is None:
            return False
        self._patience -= 1
        template, probe, told = found
        target = self._target_of(call, probe, [ProbedArray(*array) for array in told], template)
        if target is None:
            return False
        if len(self._templates[kind]) >= MOST_TEMPLATES:
            self._templates[kind].clear()
        self._templates[kind].append(template)
        return True

    def _target_of(
        self, call: Call, probe: bytes, arrays: Sequence[ProbedArray], template: Any
    ) -> FilledColumns | None:
        rows = self._decoder.rows_of(call._replace(body=probe))
        cells = None if rows is None else cells_of(rows, arrays)
        if rows is None or cells is None or not self._may_be_read(rows):
            return None
        half = WHOLE if rows.halves is None else int(rows.halves[0])
        topic = self._topic if half == WHOLE else self._topic.of_half(half)
        owner = int(route(replace(rows, halves=None), topic, DecodeCounts())[0])
        if owner == REJECTED or rows.column(topic.fields.features) is not None:
            return None
        series = None if owner == UNMONITORED else list(topic.series.values())[owner]
        strange = series is not None and not rows.names(topic.fields.features) <= self._topic.series[series.key].known
        if series is not None and (series.serves or series.group or series.id not in {(), ID}):
            return None
        nothing = self._says_nothing(call, probe, rows, cells)
        aim = None if nothing is None else aim_of(series, rows, cells, arrays, nothing=nothing)
        if aim is None:
            return None
        names = tuple(zip(self._looked_up, rows.values(0, self._looked_up), strict=True))
        target = self._filled(half, owner, series, aim)
        target.density = max(target.density, len(rows) / len(call.body))
        label = self._labels.setdefault(TemplateLabel(target.number, strange, names), len(self._labels))
        _columns.aim(template, target.number, label, aim.columns)
        return target

    def _may_be_read(self, rows: TensorRows) -> bool:
        """Whether whose and when rows are stands beside what differs from message to message."""
        fields = self._topic.fields
        return fields.timestamp == TIME and not any(path in rows.own for path in self._looked_up)

    def _says_nothing(self, call: Call, probe: bytes, rows: TensorRows, cells: Mapping[Path, Cell]) -> bool | None:
        """Whether the topic's texts that say missing say so in all texts of a message, or in none; None: in some."""
        texts = [path for path, cell in cells.items() if cell.texts]
        missing = sorted(self._decoder.missing)
        if not texts or not missing:
            return False
        said = msgspec.json.encode(missing[0])
        other = self._decoder.rows_of(call._replace(body=PROBED_TEXT.sub(lambda _: said, probe)))
        if other is None or len(other) != len(rows):
            return None
        nothing = [all(value is None or value != value for value in other.own[path].tolist()) for path in texts]  # noqa: PLR0124 - NaN
        return None if len(set(nothing)) > 1 else nothing[0]

    def _filled(self, half: int, owner: int, series: SeriesFields | None, aim: Aim) -> FilledColumns:
        key = half, owner, aim.numeric, aim.categorical, aim.nothing
        if key not in self._targets:
            tables = [] if series is None else series.tables
            missing = self._decoder.missing if aim.nothing else ()
            known = [({**_texts_of(table), **dict.fromkeys(missing, table.missing)}, table) for table in tables]
            codes = _columns.codes([(texts, table.unseen, table.missing) for texts, table in known])
            waits = self._waits(series, aim)
            self._targets[key] = FilledColumns(len(self._targets), series, aim, codes, waits)
        return self._targets[key]

    def _waits(self, series: SeriesFields | None, aim: Aim) -> HalfRows | None:
        """A blank row of a series as it waits, where these are all of the columns of such a row."""
        waiting = self._topic.waiting
        if series is None or series.half == WHOLE or waiting is None or not series.wide or NUMBERS in aim.categorical:
            return None
        found = waiting(series)
        widths = found["numeric"].shape[1], found["codes"].shape[1]
        return found if widths == (len(aim.numeric), len(aim.categorical)) else None


def _texts_of(table: CategoryTable) -> dict[str, int]:
    return {text: code for text, code in table.items() if text is not None}


def _told(
    target: FilledColumns, series: SeriesFields, counts: DecodeCounts
) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """The columns of a series, with what they lack counted."""
    rows, extra, lacking = target.rows, len(series.numeric), target.tallies.tolist()
    numeric, codes = target.numbers[:rows, :extra], target.coded[:rows]
    if target.plain and not any(lacking[:-2]):  # as a rule
        return numeric, codes
    for column, source in enumerate(target.aim.numeric):
        if source == ABSENT:
            numeric[:, column] = np.nan
        counts.of_number(series, column)["missing"] += rows if source == ABSENT else lacking[column]
    for column, source in enumerate(target.aim.categorical):
        reasons, table = counts.of_category(series, column), series.tables[column]
        if source == NUMBERS:
            codes[:, column] = codes_of(target.numbers[:rows, extra], table, rows, reasons)
            extra += 1
            continue
        if source == ABSENT:
            codes[:, column] = table.missing
        reasons["missing"] += rows if source == ABSENT else lacking[target.width + column]
    return numeric, codes


def _is_plain(own: str | None) -> bool:
    """Whether it can be written: JSON may hold half a character."""
    return own is None or own.isascii() or is_writable(own)
