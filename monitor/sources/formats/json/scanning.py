"""Bytes to columns in one pass by the compiled part (HOT), for the messages it wholly understands.

What it leaves (odd spellings, keys said twice) goes to the readers after it; a property test holds them to the same answer, for what is
refused, too. Without the compiled part, or with DRIFTD_PURE=1, everything goes there.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.sketches.ids import Hashes
from monitor.sources.base import TopicRecords, lent
from monitor.sources.formats.base import Cells, DecodeCounts, Read, Rows, SeriesRows, Suspects
from monitor.sources.formats.fields import OF_ID, FieldMap, Path, SeriesFields, TopicFields
from monitor.sources.formats.json.documents import reread
from monitor.sources.formats.json.structs import plan_series
from monitor.sources.formats.times import NOT_A_TIME
from monitor.stream.events import ANY_VERSION, Nanos

try:
    from monitor.sources.formats.json import _scan
except ImportError:  # installed without a compiler
    _scan = None  # type: ignore[assignment]

COMPILED = _scan is not None and os.environ.get("DRIFTD_PURE") != "1"
UNMONITORED, ODD = -1, -2
NOWHERE = -1  # the slot of a column that there is not
REASONS = ("missing", "number_as_text", "wrong_type", "non_finite")
COLUMNS = len(DecodeCounts().of_columns)  # kinds of columns whose fields are counted
NODE, NUMBER, CATEGORY, TIMESTAMP, MODEL, VERSION, ID, WIDE_ID = range(8)  # the last of ids that are joined
ENVELOPE = {"timestamp": TIMESTAMP, "model": MODEL, "version": VERSION}
VERDICTS = {
    -3: "empty",
    -4: "schema_registry_framed",
    -5: "too_large",
    -6: "invalid_utf8",
    -7: "too_deep",
    -8: "malformed_json",
    -9: "not_object",
    -10: "model_missing",
    -11: "model_invalid",
    -12: "version_invalid",
    -13: "timestamp_missing",
    -14: "timestamp_invalid",
    -15: "timestamp_before_2000",
    -16: "timestamp_in_future",
    -17: "features_missing",
    -18: "features_invalid",
}
"""Why a message is refused for good, as the compiled part tells it in place of a series (`_refusing.hpp`)."""
TIMESTAMP_MISSING, IN_FUTURE = -13, -16
ROLES = (
    "timestamp",
    "model",
    "version",
    "features",
)  # what is looked at before a message is refused, as it is numbered there

DTYPES = np.float64, np.int32  # of numeric columns and of codes
Leaves = Mapping[Path, tuple[int, int]]
Values = Sequence[bytes | None]
Look = Callable[[bytes | None, Iterable[Path]], Sequence[object]]
Again = Callable[[Values, Sequence[int] | NDArray[np.intp], NDArray[np.intp], Sequence[Path]], Rows]
"""Rows with what stands at some paths as it came, given values, and the place of each row's message among them."""


@dataclass(frozen=True, slots=True)
class Scanned:
    """Which series each message belongs to, int32[n], or why to none; event times int64[n] where it does."""

    series: NDArray[np.int32]
    times: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Scan:
    """What a scanner has made of some values, and the latest time that it took to be valid: later ones are left, and decided on later."""

    by: "TopicScanner"
    values: Values
    latest: Nanos
    scanned: Scanned
    totals: NDArray[np.int64]  # at the end whether there were features that nobody asked for
    rows: Sequence[SeriesRows]

    @property
    def whole(self) -> bool:
        """Whether each message has become a row, as nearly always."""
        return sum(len(part.times) for part in self.rows) == len(self.values)

    @property
    def nbytes(self) -> int:
        """What its columns take."""
        return sum(part.times.nbytes + part.numeric.nbytes + part.codes.nbytes for part in self.rows)


class TopicScanner:
    """Messages of one topic to columns, a pass each; where the topic carries several series, their envelopes first."""

    def __init__(self, topic: TopicFields, look: Look, part: Any = None, again: Again = reread) -> None:
        """`part` is the compiled part, JSON's or another with the same functions; `again` reads rows again as they came."""
        fields = topic.fields
        self._part = part = part or _scan
        self._again = again
        self._series = list(topic.series.values())
        self._look = look
        self._unit = fields.unit
        envelope = {path: (ENVELOPE[name], 0) for name, path in fields.envelope.items()}
        modelless = topic.unnamed is not None
        self._routes = part.routes(_routes(topic))
        self._envelope = part.shape(_node(envelope, ()), 0, [], modelless, 0, 0, NOWHERE, NOWHERE, [], [])
        self._plain = all(_is_plain(series, fields.features) for series in self._series)
        self._shapes = [_shape(part, series, envelope, fields, modelless=modelless) for series in self._series]
        self._identities = np.array([1 + series.wide + bool(series.group) for series in self._series], dtype=np.int64)
        self._widths = np.array([(len(series.numeric), len(series.tables)) for series in self._series], dtype=np.int64)

    def read(self, records: TopicRecords, latest: Nanos, counts: DecodeCounts) -> Read:
        """Read messages; those that are odd are left."""
        scan = self._counted(records, latest, counts)
        times, left = scan.scanned.times, list[int]()
        if not scan.whole:
            odd = scan.scanned.series == ODD
            times, left = np.where(odd, NOT_A_TIME, times), np.flatnonzero(odd).tolist()
        return Read(scan.rows, slice(None), times, left, strange=self._is_strange(scan))

    def _is_strange(self, scan: Scan) -> bool:
        """Whether messages may hold features that nobody asked for."""
        return not self._plain or bool(scan.totals[-1])

    def _counted(self, records: TopicRecords, latest: Nanos, counts: DecodeCounts) -> Scan:
        """The scan of messages, with what it counted told."""
        scan = self._scan_of(records, latest)
        if any(totals := scan.totals[:-1].tolist()):  # seldom
            for at, told in enumerate(counts.of_columns):
                found = zip(REASONS, totals[at * len(REASONS) :], strict=False)
                told.update({reason: n for reason, n in found if n})
        if not scan.whole:
            counts.unmonitored += int(np.count_nonzero(scan.scanned.series == UNMONITORED))
        return scan

    def _scan_of(self, records: TopicRecords, latest: Nanos) -> Scan:
        """The scan that was made ahead, if it is of just these values by this scanner, and took no time to be valid that is not now."""
        found = records.prepared
        if isinstance(found, Scan) and found.by is self and found.values is records.values and found.latest <= latest:
            return found
        return self.prepare(records.values, latest)

    def prepare(self, values: Values, latest: Nanos) -> Scan:
        """Read values without their records, in any thread: it changes nothing here."""
        scanned = Scanned(np.empty(len(values), dtype=np.int32), np.empty(len(values), dtype=np.int64))
        totals = np.zeros(COLUMNS * len(REASONS) + 1, dtype=np.int64)
        scan = self._single if len(self._series) == 1 else self._each
        rows = scan(values, latest, scanned, totals)
        return Scan(self, values, latest, scanned, totals, rows)

    def _single(self, values: Values, latest: Nanos, scanned: Scanned, totals: NDArray[np.int64]) -> list[SeriesRows]:
        count, (width, codes_width) = len(values), self._widths[0].tolist()
        numeric, codes = np.empty((width, count)), np.empty((codes_width, count), dtype=np.int32)
        ids = np.empty((int(self._identities[0]), count), dtype=np.uint64)
        arrays = scanned.times, scanned.series, numeric, codes, ids, totals
        suspects = list[bytes]()
        rows = self._part.scan(self._shapes[0], self._routes, lent(values), self._unit, latest, *arrays, suspects)
        if not rows:
            return []
        times = scanned.times if rows == count else scanned.times[scanned.series >= 0]
        look = partial(self._look_at, values, scanned, 0)
        columns = self._series[0], times, numeric[:, :rows].T, codes[:, :rows].T, look
        placed = np.flatnonzero(scanned.series >= 0) if self._series[0].placed else None
        known, groups, more = _identities(self._series[0], ids[:, :rows])
        again = partial(self._reread, values, scanned, 0) if placed is None else partial(self._again, values, placed)
        return [SeriesRows(*columns, known, groups, more, placed, again, _suspects(self._series[0], *suspects))]

    def _each(self, values: Values, latest: Nanos, scanned: Scanned, totals: NDArray[np.int64]) -> list[SeriesRows]:
        """Find the series of each message; then read the messages of each series by its own shape."""
        self._part.route(self._envelope, self._routes, lent(values), self._unit, latest, scanned.times, scanned.series)
        known = scanned.series >= 0
        sizes = np.bincount(scanned.series[known], minlength=len(self._series))
        room = sizes.tolist()
        numbers, codes = (np.empty(size, dtype) for size, dtype in zip(sizes @ self._widths, DTYPES, strict=True))
        ids = np.empty(int(sizes @ self._identities), dtype=np.uint64)
        arrays = scanned.series, numbers, codes, ids, sizes, totals
        order = np.argsort(scanned.series, kind="stable")[len(values) - sum(room) :]  # by series, as they came in
        suspects = list[bytes]()
        self._part.scan_each(self._shapes, lent(values), self._unit, latest, *arrays, suspects)
        if (sizes != room).any():  # some were found odd only now
            order = order[scanned.series[order] >= 0]
        again = partial(self._look_at, values, scanned), partial(self._again, values)
        return list(self._cut(room, sizes.tolist(), order, scanned.times[order], numbers, codes, ids, suspects, *again))

    def _cut(
        self,
        room: list[int],
        rows: list[int],
        order: NDArray[np.intp],
        times: NDArray[np.int64],
        numbers: NDArray[np.float64],
        codes: NDArray[np.int32],
        ids: NDArray[np.uint64],
        suspects: list[bytes],
        look: Callable[[int, int, Iterable[Path]], Sequence[object]],
        again: Callable[[NDArray[np.intp], NDArray[np.intp], Sequence[Path]], Rows],
    ) -> Iterator[SeriesRows]:
        """The columns of each series, which lie one series after the other; `rows` of each `room` are taken."""
        row = number = code = first = 0
        each = zip(self._series, room, rows, self._identities.tolist(), strict=True)
        for place, (series, size, taken, identities) in enumerate(each):
            width, codes_width = len(series.numeric), len(series.tables)
            if taken:
                numeric = numbers[number : number + size * width].reshape(width, size)[:, :taken].T
                coded = codes[code : code + size * codes_width].reshape(codes_width, size)[:, :taken].T
                found = ids[first : first + size * identities].reshape(identities, size)[:, :taken]
                columns = series, times[row : row + taken], numeric, coded, partial(look, place)
                messages = order[row : row + taken]
                placed = messages if series.placed else None
                known, groups, more = _identities(series, found)
                cells = _suspects(series, *suspects[2 * place : 2 * place + 2])
                yield SeriesRows(*columns, known, groups, more, placed, partial(again, messages), cells)
            row += taken
            first += size * identities
            number += size * width
            code += size * codes_width

    def _look_at(
        self, values: Sequence[bytes | None], scanned: Scanned, series: int, row: int, paths: Iterable[Path]
    ) -> Sequence[object]:
        """Read the message that gave a row of a series again."""
        return self._look(values[int(np.flatnonzero(scanned.series == series)[row])], paths)

    def _reread(
        self,
        values: Sequence[bytes | None],
        scanned: Scanned,
        series: int,
        rows: NDArray[np.intp],
        paths: Sequence[Path],
    ) -> Rows:
        """The rows of a series with their values as they came."""
        return self._again(values, np.flatnonzero(scanned.series == series), rows, paths)


class JsonScanner(TopicScanner):
    """JSON messages of one topic; those that are refused for good are told from those that are left."""

    def __init__(self, topic: TopicFields, look: Look) -> None:
        super().__init__(topic, look)
        fields = topic.fields
        paths = fields.envelope | ({"features": fields.features} if fields.features else {})
        roles = [(list(path), ROLES.index(name)) for name, path in paths.items()]
        self._refusing = _scan.refusing(roles, topic.unnamed is not None)
        self._stamped = topic.stamped
        self._known = _scan.known(list(fields.features), sorted(topic.known)) if fields.features else None

    def read(self, records: TopicRecords, latest: Nanos, counts: DecodeCounts) -> Read:
        """Read messages; those that are odd are left."""
        scan = self._counted(records, latest, counts)
        strange, times = self._is_strange(scan), scan.scanned.times
        strangers = None if self._known is None else partial(self._strangers, records.values)
        if scan.whole:
            return Read(scan.rows, slice(None), times, (), strange=strange, strangers=strangers)
        failed = np.flatnonzero(scan.scanned.series < UNMONITORED)
        verdicts = scan.scanned.series[failed]
        # what was of the future when it was read ahead need not be so any more
        is_left = (verdicts == ODD) | ((verdicts == IN_FUTURE) & (times[failed] <= latest))
        if self._stamped:
            is_left |= verdicts == TIMESTAMP_MISSING
        refused = ~is_left
        for verdict in np.flatnonzero(np.bincount(-verdicts[refused])).tolist():
            counts.reject(VERDICTS[-verdict], failed, refused & (verdicts == -verdict))
        times = times.copy()
        times[failed] = NOT_A_TIME
        left = failed[is_left].tolist()
        return Read(scan.rows, slice(None), times, left, strange=strange, strangers=strangers)

    def _strangers(self, values: Values, places: Sequence[int]) -> list[int]:
        """The messages at some places that may hold features that not all series know."""
        assert self._known is not None
        held = np.array(places, dtype=np.int64)
        flags = np.zeros(len(held), dtype=np.uint8)
        _scan.strangers(self._known, lent(values), held, flags)
        found: list[int] = held[flags > 0].tolist()
        return found

    def prepare(self, values: Values, latest: Nanos) -> Scan:
        """Read values without their records, in any thread, and tell why some are refused: it changes nothing here."""
        scan = super().prepare(values, latest)
        if not scan.whole:
            told = scan.scanned
            _scan.refuse(self._refusing, self._routes, lent(values), self._unit, latest, told.times, told.series)
        return scan


def _suspects(series: SeriesFields, lacking: bytes, others: bytes) -> Suspects | None:
    """What a contract has to look at; None where nobody asks."""
    return Suspects(_cells(lacking), _cells(others)) if series.bounds or series.keeping else None


def _cells(found: bytes) -> Cells:
    cells = np.frombuffer(found, dtype=np.int64)
    return cells >> 32, cells & 0xFFFFFFFF


def _identities(series: SeriesFields, ids: NDArray[np.uint64]) -> tuple[Hashes | None, Hashes | None, Hashes | None]:
    """The hashes of ids, of groups, and more of ids, from uint64[1 … 3, n]; None of what is not read."""
    return ids[0] if series.id else None, ids[-1] if series.group else None, ids[1] if series.wide else None


def topic_scanner(topic: TopicFields, look: Look) -> JsonScanner | None:
    """A scanner, where the compiled part is there and can read this topic."""
    if not COMPILED or not topic.series or any(plan_series(series) is None for series in topic.series.values()):
        return None  # also where rows are grouped by what is read as something else, too
    try:
        return JsonScanner(topic, look)
    except UnicodeEncodeError:  # a name or category that no valid message can hold
        return None


Route = tuple[str | None, int, dict[str, int]]
"""A model, the series of all its other versions, the series of each version named."""


def _routes(topic: TopicFields) -> list[Route]:
    """A route for each model; for what names no model, None, where it has one all the same."""
    numbers = {id(series): number for number, series in enumerate(topic.series.values())}

    def route(model: str | None, find: Callable[[str], SeriesFields | None]) -> Route:
        said = topic.fields.version_is
        if said is not None:
            return model, numbers.get(id(find(said)), UNMONITORED), {}
        versions = ["", *(key.version for key in topic.series if key.version != ANY_VERSION)]
        found = {version: numbers.get(id(find(version)), UNMONITORED) for version in versions}
        otherwise = numbers.get(id(find(ANY_VERSION)), UNMONITORED)
        return model, otherwise, {version: number for version, number in found.items() if number != otherwise}

    models = dict.fromkeys(key.model for key in topic.series)
    routes = [route(model, partial(topic.named_series, model)) for model in models]
    return [*routes, route(None, topic.unnamed_series)] if topic.unnamed is not None else routes


def _is_plain(series: SeriesFields, features: Path) -> bool:
    """Whether each key of the object of features that is read is a known one: then a key is unknown only where nobody asked for it."""
    depth = len(features)
    read = [path for _, path in (*series.numeric, *series.categorical)]
    return all(path[depth] in series.known for path in read if len(path) > depth and path[:depth] == features)


def _shape(part: Any, series: SeriesFields, envelope: Leaves, fields: FieldMap, *, modelless: bool) -> Any:
    leaves = dict(envelope)
    leaves |= {path: (NUMBER, slot) for slot, (_, path) in enumerate(series.numeric)}
    leaves |= {path: (CATEGORY, slot) for slot, (_, path) in enumerate(series.categorical)}
    leaves |= {series.id: (WIDE_ID if series.wide else ID, 0)} if series.id else {}
    leaves |= {series.group: (ID, 1 + series.wide)} if series.group else {}
    categories = [
        ({text: code for text, code in table.items() if text is not None}, table.unseen) for table in series.tables
    ]
    root = _node(leaves, fields.features)
    latency, error = (NOWHERE if at is None else at for at in (series.latency, series.error))
    counted = *series.counted, latency, error
    keeping = [series.keeping.get(at) for at in (*range(len(series.tables)), OF_ID)] if series.keeping else []
    return part.shape(root, len(series.numeric), categories, modelless, *counted, list(series.bounds), keeping)


def _node(leaves: Leaves, required: Path) -> tuple[bool, list[tuple[str, int, Any]]]:
    """The tree of objects that holds these leaves; those on the way to `required` must be there."""
    children: dict[str, dict[Path, tuple[int, int]]] = {}
    listed: list[tuple[str, int, Any]] = []
    for path, leaf in leaves.items():
        if len(path) == 1:
            listed.append((path[0], *leaf))
        else:
            children.setdefault(path[0], {})[path[1:]] = leaf
    if required:
        children.setdefault(required[0], {})
    for name, below in children.items():
        wanted = bool(required) and required[0] == name
        node = _node(below, required[1:] if wanted else ())
        listed.append((name, NODE, (wanted, node[1])))
    return False, listed
