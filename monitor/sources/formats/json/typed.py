"""Bytes to columns by generated structs: what stands in for the compiled part, several times slower.

A message is decoded into a struct that has a typed slot for each feature of the reference. One wrong type, NaN or
1e999 makes the typed decoder refuse the whole message; such a message is left.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.sketches.identity import hashes_of, wide_hashes_of
from detectors.sketches.ids import Hashes
from monitor.sources.base import TopicRecords
from monitor.sources.formats.base import DecodeCounts, Read, SeriesRows
from monitor.sources.formats.categories import BeyondError
from monitor.sources.formats.fields import Path, SeriesFields, TopicFields
from monitor.sources.formats.json.documents import UNREADABLE, refusal, reread
from monitor.sources.formats.json.structs import StructPlan, plan_envelope, plan_series
from monitor.sources.formats.times import NOT_A_TIME, times_of
from monitor.sources.formats.values import Rejected, version_text
from monitor.stream.events import ANY_VERSION, Nanos, SeriesKey

Look = Callable[[bytes | None, Iterable[Path]], Sequence[object]]
Values = Sequence[bytes | None]


class TypedReader:
    """Messages of one topic to columns; where the topic carries several series, their envelopes first."""

    def __init__(self, topic: TopicFields, envelope: StructPlan, look: Look) -> None:
        self._topic = topic
        self._envelope = envelope
        modelless = topic.unnamed is not None
        self._plans = {key: plan_series(series, modelless=modelless) for key, series in topic.series.items()}
        self._look = look

    def read(self, records: TopicRecords, latest: Nanos, counts: DecodeCounts) -> Read:
        """Read messages; those that a struct refuses are left, and what is to be rejected unread is."""
        values = records.values
        reasons = [None if raw is None else refusal(raw) for raw in values]
        refused = [place for place, reason in enumerate(reasons) if reason is not None]
        counts.rejected.update(filter(None, reasons))
        readable = [place for place, raw in enumerate(values) if raw is not None and reasons[place] is None]
        times = np.full(len(values), NOT_A_TIME, dtype=np.int64)  # of the messages that are not left
        rows = []
        for series, places in self._by_series(values, readable, latest, times, counts):
            plan = self._plans[series.key]
            if plan is not None:
                rows += self._rows(series, plan, values, places, latest, times, counts)
        left = times == NOT_A_TIME
        left[refused] = False
        return Read(rows, slice(None), times, np.flatnonzero(left).tolist(), strange=bool(rows))

    # --- which series a message belongs to --------------------------------------------------------------------------

    def _by_series(
        self, values: Values, readable: list[int], latest: Nanos, times: NDArray[np.int64], counts: DecodeCounts
    ) -> list[tuple[SeriesFields, list[int]]]:
        """The messages of each series; those of none only move event time on."""
        if len(self._topic.series) == 1:
            return [(next(iter(self._topic.series.values())), readable)]
        grouped: dict[SeriesKey, list[int]] = {}
        stamps: dict[int, Any] = {}
        messages, places = _typed(self._envelope, values, readable)
        for message, place in zip(messages, places, strict=True):
            stamp, model, version = self._envelope.envelope(message)
            try:
                series = self._topic.series_of(model, version)
            except Rejected:
                continue
            if series is None:
                stamps[place] = stamp
            else:
                grouped.setdefault(series.key, []).append(place)
        self._pass(stamps, latest, times, counts)
        return [(self._topic.series[key], places) for key, places in grouped.items()]

    def _pass(self, stamps: Mapping[int, Any], latest: Nanos, times: NDArray[np.int64], counts: DecodeCounts) -> None:
        """Count messages of nobody."""
        times[list(stamps)] = passed = self._times(list(stamps.values()), latest)
        counts.unmonitored += int(np.count_nonzero(passed != NOT_A_TIME))

    def _times(self, stamps: Sequence[Any], latest: Nanos) -> NDArray[np.int64]:
        column = np.fromiter(stamps, dtype=object, count=len(stamps))
        return times_of(column, self._topic.fields.unit, latest, Counter())

    # --- one series' messages to columns ----------------------------------------------------------------------------

    def _rows(
        self,
        series: SeriesFields,
        plan: StructPlan,
        values: Values,
        places: list[int],
        latest: Nanos,
        times: NDArray[np.int64],
        counts: DecodeCounts,
    ) -> list[SeriesRows]:
        messages, places = _typed(plan, values, places)
        columns, messages, places = _fitting(series, plan, messages, places)
        if columns is None:
            return []
        numeric, codes, ids, groups, more = columns
        stamps, models, versions = plan.envelopes(messages)
        times[places] = stamped = self._times(stamps, latest)
        ours = self._ours(series, models, versions)
        counts.unmonitored += int(np.count_nonzero((stamped != NOT_A_TIME) & ~ours))
        kept = np.flatnonzero((stamped != NOT_A_TIME) & ours)
        if not kept.size:
            return []
        if kept.size < len(messages):
            numeric, codes, stamped = numeric[kept], codes[kept], stamped[kept]
            ids, groups, more = (None if hashes is None else hashes[kept] for hashes in (ids, groups, more))
        for column, rows in enumerate(np.isnan(numeric).sum(axis=0).tolist()):
            counts.of_number(series, column)["missing"] += rows
        for column, table in enumerate(series.tables):
            counts.of_category(series, column)["missing"] += int(np.count_nonzero(codes[:, column] == table.missing))
        held = [places[at] for at in kept.tolist()]
        look = partial(self._look_at, values, held)
        placed = None if not series.placed else np.array(held, dtype=np.intp)
        return [
            SeriesRows(series, stamped, numeric, codes, look, ids, groups, more, placed, partial(reread, values, held))
        ]

    def _look_at(self, values: Values, places: Sequence[int], row: int, paths: Iterable[Path]) -> Sequence[object]:
        return self._look(values[places[row]], paths)

    def _ours(self, series: SeriesFields, models: Sequence[Any], versions: Sequence[Any]) -> NDArray[np.bool_]:
        key = series.key
        if set(models) == {key.model} and (
            key.version == ANY_VERSION or {version_text(version) for version in set(versions)} == {key.version}
        ):
            return np.ones(len(models), dtype=bool)
        pairs = zip(models, versions, strict=True)
        return np.fromiter((self._topic.series_of(*pair) is series for pair in pairs), dtype=bool, count=len(models))


def typed_reader(topic: TopicFields, look: Look) -> TypedReader | None:
    """A reader, where structs can say the shape of this topic's messages."""
    envelope = plan_envelope(topic.fields, modelless=topic.unnamed is not None)
    return None if envelope is None or not topic.series else TypedReader(topic, envelope, look)


def _typed(plan: StructPlan, values: Values, places: list[int]) -> tuple[list[Any], list[int]]:
    """Structs of the messages at these places, and the places of those that have one."""
    decode: Callable[[Any], Any] = msgspec.json.Decoder(plan.struct).decode
    try:
        return [decode(values[place]) for place in places], places
    except UNREADABLE:
        pass
    messages, typed = [], []
    for place in places:
        try:
            messages.append(decode(values[place]))
            typed.append(place)
        except UNREADABLE:
            continue
    return messages, typed


Columns = tuple[NDArray[np.float64], NDArray[np.int32], Hashes | None, Hashes | None, Hashes | None]


def _fitting(
    series: SeriesFields, plan: StructPlan, messages: list[Any], places: list[int]
) -> tuple[Columns | None, list[Any], list[int]]:
    """Structs to matrices, without those that hold a number beyond all floats; and these structs and places. None of none."""
    try:
        return (_columns(series, plan, messages) if messages else None), messages, places
    except BeyondError:
        kept = [at for at, message in enumerate(messages) if _fits(series, plan, message)]
    return _fitting(series, plan, [messages[at] for at in kept], [places[at] for at in kept])


def _fits(series: SeriesFields, plan: StructPlan, message: object) -> bool:
    try:
        _columns(series, plan, [message])
    except BeyondError:
        return False
    return True


def _columns(series: SeriesFields, plan: StructPlan, messages: Sequence[Any]) -> Columns:
    """Structs to matrices: numeric float64[n, k] (column-major), codes int32[n, c]; hashes of ids, of groups and more of ids, uint64[n]."""
    columns = plan.columns(messages)
    count, width = len(messages), len(series.numeric)
    numeric = np.array(columns[:width], dtype=np.float64).reshape(width, count).T
    codes = np.empty((len(series.tables), count), dtype=np.int32)
    coded = columns[width : width + len(series.tables)]
    for row, (table, column) in enumerate(zip(series.tables, coded, strict=True)):
        codes[row] = np.fromiter(map(table.__getitem__, column), dtype=np.int32, count=count)
    rest = iter(columns[width + len(series.tables) :])
    own, group = (
        np.fromiter(next(rest), dtype=object, count=count) if path else None for path in (series.id, series.group)
    )
    groups = None if group is None else hashes_of(group, count)
    if series.wide:
        ids, more = wide_hashes_of(own, count)
        return numeric, codes.T, ids, groups, more
    return numeric, codes.T, None if own is None else hashes_of(own, count), groups, None
