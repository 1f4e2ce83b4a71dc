"""Bytes to columns in one pass by the compiled part (HOT), for the messages it wholly understands.

What it leaves (rejections, odd spellings, keys said twice) goes to the Python decoder beside it; a property test holds
the two to the same answer. Without the compiled part, or with DRIFTD_PURE=1, everything goes there.
"""

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.sources.formats.columns import FieldMap, SeriesDecoder
from monitor.stream.events import ANY_VERSION, Nanos, SeriesKey

try:
    from monitor.sources.formats import _scan
except ImportError:  # installed without a compiler
    _scan = None  # type: ignore[assignment]

COMPILED = _scan is not None and os.environ.get("DRIFTD_PURE") != "1"
UNMONITORED, ODD = -1, -2
REASONS = ("missing", "boolean_as_number", "number_as_text", "wrong_type", "non_finite")
NODE, NUMBER, CATEGORY, TIMESTAMP, MODEL, VERSION = range(6)

DTYPES = np.float64, np.int32  # of numeric columns and of codes
Leaves = Mapping[tuple[str, ...], tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Scanned:
    """Which series each message belongs to, int32[n], or why to none; event times int64[n] where it does."""

    series: NDArray[np.int32]
    times: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Columns:
    """The rows of one series, in the order of its messages; `series` is its number."""

    series: int
    decoder: SeriesDecoder
    times: NDArray[np.int64]
    numeric: NDArray[np.float64]
    codes: NDArray[np.int32]


class TopicScanner:
    """Messages of one topic to columns, a pass each; where the topic carries several series, their envelopes first."""

    def __init__(self, series: Sequence[SeriesDecoder], fields: FieldMap) -> None:
        self._series = list(series)
        self._unit = fields.unit
        envelope = {
            fields.timestamp: (TIMESTAMP, 0),
            fields.model: (MODEL, 0),
            fields.version: (VERSION, 0),
        }
        self._routes = _scan.routes(_routes([one.key for one in self._series]))
        self._envelope = _scan.shape(_node(envelope, ()), 0, [])
        self._shapes = [_shape(one, envelope, fields) for one in self._series]
        self._widths = np.array([(len(one.numeric), len(one.tables)) for one in self._series], dtype=np.int64)

    def scan(self, values: list[Any], latest: Nanos, reasons: Counter[str]) -> tuple[Scanned, list[Columns]]:
        """Read messages; those marked ODD are left to the other decoder."""
        found = Scanned(np.empty(len(values), dtype=np.int32), np.empty(len(values), dtype=np.int64))
        totals = np.zeros(len(REASONS), dtype=np.int64)
        read = self._single if len(self._series) == 1 else self._each
        columns = read(values, latest, found, totals)
        reasons.update({reason: n for reason, n in zip(REASONS, totals.tolist(), strict=True) if n})
        return found, columns

    def _single(self, values: list[Any], latest: Nanos, found: Scanned, totals: NDArray[np.int64]) -> list[Columns]:
        count, (width, codes_width) = len(values), self._widths[0].tolist()
        numeric, codes = np.empty((width, count)), np.empty((codes_width, count), dtype=np.int32)
        arrays = found.times, found.series, numeric, codes, totals
        rows = _scan.scan(self._shapes[0], self._routes, values, self._unit, latest, *arrays)
        if not rows:
            return []
        times = found.times if rows == count else found.times[found.series >= 0]
        return [Columns(0, self._series[0], times, numeric[:, :rows].T, codes[:, :rows].T)]

    def _each(self, values: list[Any], latest: Nanos, found: Scanned, totals: NDArray[np.int64]) -> list[Columns]:
        """Find the series of each message; then read the messages of each series by its own shape."""
        _scan.route(self._envelope, self._routes, values, self._unit, latest, found.times, found.series)
        known = found.series >= 0
        sizes = np.bincount(found.series[known], minlength=len(self._series))
        room = sizes.tolist()
        numbers, codes = (np.empty(size, dtype) for size, dtype in zip(sizes @ self._widths, DTYPES, strict=True))
        arrays = found.series, numbers, codes, sizes, totals
        order = np.argsort(found.series, kind="stable")[len(values) - sum(room) :]  # by series, as they came in
        _scan.scan_each(self._shapes, values, self._unit, latest, *arrays)
        if (sizes != room).any():  # some were found odd only now
            order = order[found.series[order] >= 0]
        return list(self._cut(room, sizes.tolist(), found.times[order], numbers, codes))

    def _cut(
        self,
        room: list[int],
        rows: list[int],
        times: NDArray[np.int64],
        numbers: NDArray[np.float64],
        codes: NDArray[np.int32],
    ) -> Iterator[Columns]:
        """The columns of each series, which lie one series after the other; `rows` of each `room` are taken."""
        row = number = code = 0
        for series, (decoder, size, taken) in enumerate(zip(self._series, room, rows, strict=True)):
            width, codes_width = len(decoder.numeric), len(decoder.tables)
            if taken:
                numeric = numbers[number : number + size * width].reshape(width, size)[:, :taken].T
                coded = codes[code : code + size * codes_width].reshape(codes_width, size)[:, :taken].T
                yield Columns(series, decoder, times[row : row + taken], numeric, coded)
            row += taken
            number += size * width
            code += size * codes_width


def message_of(values: Sequence[bytes | None], found: Scanned, series: int, row: int) -> bytes | None:
    """The message that gave a row of a series' columns."""
    return values[int(np.flatnonzero(found.series == series)[row])]


def newest(partitions: list[int], found: Scanned) -> dict[int, Nanos]:
    """The newest event time that each partition brought."""
    return _scan.newest(partitions, found.times, found.series)


def topic_scanner(series: Sequence[SeriesDecoder], fields: FieldMap) -> TopicScanner | None:
    """A scanner, where the compiled part is there and can read this topic."""
    if not COMPILED or not series or any(one.plan is None for one in series):
        return None
    try:
        return TopicScanner(series, fields)
    except UnicodeEncodeError:  # a name or category that no valid message can hold
        return None


def _routes(keys: Sequence[SeriesKey]) -> list[tuple[str, int, dict[str, int]]]:
    """Model, the series of all its other versions, the series of each version named."""
    models: dict[str, tuple[int, dict[str, int]]] = {}
    for at, key in enumerate(keys):
        otherwise, versions = models.get(key.model, (UNMONITORED, {}))
        if key.version == ANY_VERSION:
            otherwise = at
        else:
            versions[key.version] = at
        models[key.model] = otherwise, versions
    return [(model, otherwise, versions) for model, (otherwise, versions) in models.items()]


def _shape(decoder: SeriesDecoder, envelope: Leaves, fields: FieldMap) -> Any:
    leaves = dict(envelope)
    leaves |= {path: (NUMBER, slot) for slot, (_, path) in enumerate(decoder.numeric)}
    leaves |= {path: (CATEGORY, slot) for slot, (_, path) in enumerate(decoder.categorical)}
    categories = [table.categories for table in decoder.tables]
    return _scan.shape(_node(leaves, fields.features), len(decoder.numeric), categories)


def _node(leaves: Leaves, required: tuple[str, ...]) -> tuple[bool, list[tuple[str, int, Any]]]:
    """The tree of objects that holds these leaves; those on the way to `required` must be there."""
    children: dict[str, dict[tuple[str, ...], tuple[int, int]]] = {}
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
