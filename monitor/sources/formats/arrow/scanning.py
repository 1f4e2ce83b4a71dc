"""Messages of Arrow batches to columns by the compiled part (HOT): buffers are copied to where they are counted, each once.

It takes a message whose metadata differ from one that Arrow itself has read in numbers alone, and no time of which is a text of an unusual
form. What it leaves Arrow reads; tests hold the two to the same answer. Without the compiled part, or with DRIFTD_PURE=1, Arrow reads all.
"""

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from monitor.sources.base import TopicRecords, lent
from monitor.sources.formats.arrow.columns import is_period
from monitor.sources.formats.arrow.framing import BatchPlaces, places_of
from monitor.sources.formats.arrow.schema import PlacedColumn, SchemaPlan
from monitor.sources.formats.base import DecodeCounts, Read, Rows, SeriesRows
from monitor.sources.formats.fields import Path, SeriesFields, TopicFields
from monitor.sources.formats.json.scanning import COMPILED as SCANS
from monitor.sources.formats.json.scanning import NOWHERE, REASONS, UNMONITORED, _routes
from monitor.stream.events import Nanos

try:
    from monitor.sources.formats.arrow import _arrow
    from monitor.sources.formats.json import _scan
except ImportError:  # installed without a compiler
    _arrow = _scan = None  # type: ignore[assignment]

COMPILED = SCANS and _arrow is not None and sys.byteorder == "little"
MOST_LAYOUTS: Final = 16
ABSENT: Final = -1
REFUSED: Final = -3  # beside the number of a series
REFUSALS: Final = (  # as the compiled part numbers them
    "model_missing",
    "timestamp_missing",
    "timestamp_invalid",
    "timestamp_before_2000",
    "timestamp_in_future",
    "features_missing",
)
STRUCT, TRUTH, INTEGER, NATURAL, SINGLE, REAL, TIME, FIXED, TEXT, WIDE_TEXT, BYTES, WIDE_BYTES = range(12)
TEXTS = frozenset({TEXT, WIDE_TEXT})
WHOLE = frozenset({INTEGER, NATURAL})
NUMBERS = TEXTS | WHOLE | {TRUTH, SINGLE, REAL}
CATEGORIES = TEXTS | WHOLE | {TRUTH}
TIMES = TEXTS | WHOLE | {TIME}
IDS = TEXTS | WHOLE
VERSIONS = TEXTS | WHOLE
UNIT_NANOS = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}
KINDS: Final[Sequence[tuple[int, Callable[[Any], bool]]]] = (
    (STRUCT, pa.types.is_struct),
    (TRUTH, pa.types.is_boolean),
    (INTEGER, pa.types.is_signed_integer),
    (NATURAL, pa.types.is_unsigned_integer),
    (SINGLE, pa.types.is_float32),
    (REAL, pa.types.is_float64),
    (TIME, pa.types.is_timestamp),
    (FIXED, lambda kind: pa.types.is_float16(kind) or pa.types.is_date32(kind) or pa.types.is_duration(kind)),
    (TEXT, pa.types.is_string),
    (WIDE_TEXT, pa.types.is_large_string),
    (BYTES, pa.types.is_binary),
    (WIDE_BYTES, pa.types.is_large_binary),
)
Values = Sequence[bytes | None]
Decode = Callable[[Values], Rows]


class NotLaidOutError(Exception):
    """A schema, or a use of one of its columns, that is left to Arrow."""


class ColumnNodes:
    """The columns of a schema in the order of a batch's nodes: type, width and struct of each, and where each path leads."""

    def __init__(self, plan: SchemaPlan) -> None:
        """Raises NotLaidOutError."""
        self._plan = plan
        self.columns: list[tuple[int, int, int]] = []
        self._numbers: dict[tuple[int, tuple[int, ...]], int] = {}
        for number, field in enumerate(plan.schema):
            if is_period(field):
                raise NotLaidOutError
            self._add(field.type, (number, ()), ABSENT)

    def _add(self, kind: Any, place: tuple[int, tuple[int, ...]], parent: int) -> None:
        found = next((number for number, test in KINDS if test(kind)), None)
        if found is None or isinstance(kind, pa.BaseExtensionType) or (found == STRUCT and not kind.num_fields):
            raise NotLaidOutError
        own = self._numbers[place] = len(self.columns)
        self.columns.append((found, _width(found, kind), parent))
        for child in range(kind.num_fields if found == STRUCT else 0):
            self._add(kind.field(child).type, (place[0], (*place[1], child)), own)

    def find(self, path: Path, kinds: frozenset[int]) -> int:
        """The column of a path, ABSENT where there is none. Raises NotLaidOutError for one of another type."""
        leaf = self._plan.leaf(path)
        if leaf is None:
            if path in self._plan.structs:
                raise NotLaidOutError
            return ABSENT
        number = self._number(leaf)
        if self.columns[number][0] not in kinds:
            raise NotLaidOutError
        return number

    def struct(self, path: Path) -> int:
        """The struct of a path, ABSENT where there is none. Raises NotLaidOutError for what is none."""
        if self._plan.leaf(path) is not None:
            raise NotLaidOutError
        held = self._plan.structs.get(path)
        return ABSENT if held is None else self._number(held)

    def _number(self, held: PlacedColumn) -> int:
        return self._numbers[held.column, held.children]


def _width(kind: int, of: Any) -> int:
    """Bytes of a value, nanoseconds of a time."""
    if kind == TIME:
        return UNIT_NANOS[of.unit]
    return of.bit_width // 8 if kind in (INTEGER, NATURAL, SINGLE, REAL, FIXED) else 0


@dataclass(frozen=True, slots=True)
class BatchesMeasured:
    """Messages with the layout of each, LEFT where it has none, and its rows; of each row its time and series, REFUSED where it has none.

    `refused` int64[6] are how many rows that is, by REFUSALS.
    """

    which: NDArray[np.int32]
    sizes: NDArray[np.int64]
    times: NDArray[np.int64]
    owners: NDArray[np.int32]
    refused: NDArray[np.int64]


class ReadAgain:
    """The rows of some messages as Arrow reads them, once somebody asks."""

    def __init__(self, decode: Decode, values: Values, places: NDArray[np.intp], firsts: NDArray[np.int64]) -> None:
        """`places` are those of messages, `firsts` the number of the first row of each."""
        self._decode = decode
        self._values = values
        self._places = places
        self._firsts = firsts

    @cached_property
    def _rows(self) -> Rows:
        return self._decode([self._values[place] for place in self._places.tolist()])

    def look(self, numbers: NDArray[np.intp], row: int, paths: Iterable[Path]) -> Sequence[object]:
        """What a row holds at some paths; its message alone is read."""
        number = int(numbers[row])
        message = int(np.searchsorted(self._firsts, number, side="right")) - 1
        rows = self._decode([self._values[int(self._places[message])]])
        return rows.values(number - int(self._firsts[message]), paths)

    def again(self, numbers: NDArray[np.intp], rows: NDArray[np.intp], paths: Sequence[Path]) -> Rows:
        """Some rows, as they came."""
        del paths  # they have all of them
        return self._rows.take(numbers[rows])


@dataclass(frozen=True, slots=True)
class ArrowScan:
    """What a scanner has made of some values, and counted; `latest`: the latest time that it took to be valid, `later`: rows that were later."""

    by: "ArrowScanner"
    values: Values
    latest: Nanos
    later: int
    read: Read
    counts: DecodeCounts

    def is_of(self, by: "ArrowScanner", values: Values, latest: Nanos) -> bool:
        """Whether this is what a scanner would make of values now, if a row that was too late is not yet in time."""
        return self.by is by and self.values is values and self.latest <= latest and not self.later

    @property
    def nbytes(self) -> int:
        """What its columns take."""
        return sum(part.times.nbytes + part.numeric.nbytes + part.codes.nbytes for part in self.read.rows)


class ArrowScanner:
    """Messages of one topic to columns, by the layouts of those that Arrow has read."""

    def __init__(self, topic: TopicFields, decode: Decode, largest: int, allowance: int, expansion: int) -> None:
        """`decode` reads messages by Arrow; one takes at most `largest` bytes, and in memory `allowance` and `expansion` times its own size."""
        self._topic = topic
        self._series = list(topic.series.values())
        self._decode = decode
        self._limits = largest, allowance, expansion
        self._routes = _scan.routes(_routes(topic))
        self._shapes = [_categories(series) for series in self._series]
        self._layouts: dict[tuple[bytes, bytes], Any] = {}

    def read(self, records: TopicRecords, latest: Nanos, counts: DecodeCounts) -> Read:
        """Read messages; those of which anything is odd are left."""
        found = records.prepared
        if not (isinstance(found, ArrowScan) and found.is_of(self, records.values, latest)):
            found = self.prepare(records.values, latest)
        if found is None:
            return Read((), np.empty(0, dtype=np.intp), np.empty(0, dtype=np.int64), range(len(records.values)))
        counts.add(found.counts)
        return found.read

    def prepare(self, values: Values, latest: Nanos) -> ArrowScan | None:
        """Read values without their records, in any thread: it changes nothing here. None as long as no layout is known."""
        counts = DecodeCounts()
        layouts = [layout for layout in list(self._layouts.values()) if layout is not None]
        if not layouts:
            return None
        held = lent(values)
        found = self._measured(layouts, held, len(values), latest)
        taken = np.flatnonzero(found.which >= 0)
        owners, times, places = found.owners, found.times, np.repeat(np.arange(len(values)), found.sizes)
        if taken.size < np.count_nonzero(found.sizes):  # some were left late
            kept = np.flatnonzero(found.which[places] >= 0)
            owners, times, places = owners[kept], times[kept], places[kept]
        firsts = np.cumsum(found.sizes[taken]) - found.sizes[taken]
        again = ReadAgain(self._decode, values, taken, firsts)
        counts.unmonitored += int(np.count_nonzero(owners == UNMONITORED))
        refused = dict(zip(REFUSALS, found.refused.tolist(), strict=True))
        counts.rejected.update({why: n for why, n in refused.items() if n})
        rows = []
        for number in np.flatnonzero(np.bincount(owners[owners >= 0], minlength=1)).tolist():
            which = np.flatnonzero(owners == number)
            columns = self._columns(layouts, held, found, number, which.size, counts)
            rows.append(self._of_series(number, times, places, which, columns, again))
        if found.refused.any():
            valid = owners != REFUSED
            places, times = places[valid], times[valid]
        read = Read(rows, places, times, np.flatnonzero(found.which < 0).tolist())
        return ArrowScan(self, values, latest, refused["timestamp_in_future"], read, counts)

    def _measured(self, layouts: list[Any], held: Any, count: int, latest: Nanos) -> BatchesMeasured:
        which, sizes = np.empty(count, dtype=np.int32), np.empty(count, dtype=np.int64)
        total = _arrow.measure(layouts, held, *self._limits, which, sizes)
        times, owners = np.empty(total, dtype=np.int64), np.empty(total, dtype=np.int32)
        refused = np.zeros(len(REFUSALS), dtype=np.int64)
        _arrow.place(layouts, held, which, sizes, latest, times, owners, refused)
        return BatchesMeasured(which, sizes, times, owners, refused)

    def _columns(
        self, layouts: list[Any], held: Any, found: BatchesMeasured, number: int, rows: int, counts: DecodeCounts
    ) -> tuple[NDArray[np.float64], NDArray[np.int32], NDArray[np.uint64]]:
        """The columns of a series, float64[k, n], int32[c, n], uint64[i, n]."""
        series = self._series[number]
        numeric = np.empty((len(series.numeric), rows))
        codes = np.empty((len(series.tables), rows), dtype=np.int32)
        ids = np.empty((len(_identities(series)), rows), dtype=np.uint64)
        totals = np.zeros((len(numeric) + len(codes), len(REASONS)), dtype=np.int64)
        which = found.which, found.sizes, found.owners
        _arrow.fill(layouts, held, *which, number, rows, numeric, codes, ids, totals)
        for slot in np.flatnonzero(totals.any(axis=1)).tolist():
            coded = slot - len(numeric)
            told = counts.of_number(series, slot) if coded < 0 else counts.of_category(series, coded)
            told.update({reason: n for reason, n in zip(REASONS, totals[slot].tolist(), strict=True) if n})
        return numeric, codes, ids

    def _of_series(
        self,
        number: int,
        times: NDArray[np.int64],
        places: NDArray[np.intp],
        which: NDArray[np.intp],
        columns: tuple[NDArray[np.float64], NDArray[np.int32], NDArray[np.uint64]],
        again: ReadAgain,
    ) -> SeriesRows:
        series, (numeric, codes, ids) = self._series[number], columns
        whole = which.size == times.size
        return SeriesRows(
            series,
            times if whole else times[which],
            numeric.T,
            codes.T,
            partial(again.look, which),
            ids[0] if series.id else None,
            ids[-1] if series.group else None,
            ids[1] if series.wide else None,
            (places if whole else places[which]) if series.placed else None,
            partial(again.again, which),
        )

    # --- layouts ----------------------------------------------------------------------------------------------------

    def learn(self, plan: SchemaPlan, schema: bytes, raw: bytes, begin: int) -> None:
        """Take a batch as the pattern of others: Arrow has read it, as it begins there in a message, behind this schema."""
        found = places_of(raw, begin)
        if found is None:
            return
        key = schema, found.pattern
        if key in self._layouts or len(self._layouts) >= MOST_LAYOUTS:
            return
        try:
            self._layouts[key] = self._laid_out(plan, schema, found)
        except NotLaidOutError:
            self._layouts[key] = None

    def _laid_out(self, plan: SchemaPlan, schema: bytes, found: BatchPlaces) -> Any:
        nodes, fields = ColumnNodes(plan), self._topic.fields
        if len(nodes.columns) != found.nodes:
            raise NotLaidOutError
        modelless = self._topic.unnamed is not None
        envelope = fields.envelope
        time = nodes.find(envelope["timestamp"], TIMES)
        model = nodes.find(envelope["model"], TEXTS) if "model" in envelope else ABSENT
        version = nodes.find(envelope["version"], VERSIONS) if "version" in envelope else ABSENT
        if time == ABSENT or (model == ABSENT and not modelless):
            raise NotLaidOutError
        features = nodes.struct(fields.features) if fields.features else ABSENT
        wanted = [(shape, *_slots(series, nodes)) for series, shape in zip(self._series, self._shapes, strict=True)]
        told = time, fields.unit, model, version, modelless
        required = [] if features == ABSENT else [features]
        return _arrow.layout(schema, found.metadata, found.places, nodes.columns, told, required, self._routes, wanted)


def _slots(series: SeriesFields, nodes: ColumnNodes) -> tuple[list[int], list[int], list[tuple[int, bool]]]:
    numbers = [nodes.find(path, NUMBERS) for _, path in series.numeric]
    categories = [nodes.find(path, CATEGORIES) for _, path in series.categorical]
    return numbers, categories, [(nodes.find(path, IDS), second) for path, second in _identities(series)]


def _identities(series: SeriesFields) -> list[tuple[Path, bool]]:
    """The paths of what is hashed, and whether it is the second time: ids, more of ids, groups."""
    return [
        *([(series.id, False)] if series.id else []),
        *([(series.id, True)] if series.wide else []),
        *([(series.group, False)] if series.group else []),
    ]


def _categories(series: SeriesFields) -> Any:
    tables = [
        ({text: code for text, code in table.items() if text is not None}, table.unseen) for table in series.tables
    ]
    modelless = False
    return _scan.shape((False, []), 0, tables, modelless, 0, 0, NOWHERE, NOWHERE, [], [])


def arrow_scanner(topic: TopicFields, decode: Decode, limits: tuple[int, int, int]) -> ArrowScanner | None:
    """A scanner, where the compiled part is there and can read this topic."""
    if not COMPILED or not topic.series:
        return None
    try:
        return ArrowScanner(topic, decode, *limits)
    except UnicodeEncodeError:  # a name or category that no valid message can hold
        return None
