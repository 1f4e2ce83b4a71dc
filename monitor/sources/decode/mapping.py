"""Rows of any format to the columns of their series: event times, routing, values; what is wrong is counted by reason."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from detectors.columns import Coded, Column, as_floats, distinct
from monitor.sources.base import TopicRecords
from monitor.sources.formats.base import (
    REQUEST,
    RESPONSE,
    WHOLE,
    DecodeCounts,
    Decoder,
    Read,
    RecordDecoder,
    Rows,
    SeriesRows,
    only_rows,
)
from monitor.sources.formats.categories import CategoryTable
from monitor.sources.formats.fields import Path, SeriesFields, TopicFields
from monitor.sources.formats.times import NOT_A_TIME, placed_times
from monitor.sources.formats.values import UNUSABLE, Rejected, number
from monitor.stream.events import Nanos

UNMONITORED, REJECTED = -1, -2  # beside the number of a series
NO_TIMES: NDArray[np.int64] = np.empty(0, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Mapped:
    """Rows by series, and the message and event time of every valid row, also of those that are nobody's."""

    rows: list[SeriesRows]
    messages: NDArray[np.intp]
    times: NDArray[np.int64]


class MappedReader:
    """Any format's rows, mapped and routed."""

    def __init__(self, decoder: Decoder, topic: TopicFields) -> None:
        self._decoder = decoder
        self._topic = topic

    def read(self, records: TopicRecords, latest: Nanos, counts: DecodeCounts) -> Read:
        """Read all messages: nothing is left."""
        rows = decode_records(self._decoder, records)
        if not len(rows):  # most of what is read again is rejected
            counts.rejected.update(rows.rejected)
            return Read((), rows.messages, NO_TIMES, (), strange=False)
        mapped = map_rows(rows, self._topic, latest, counts)
        return Read(mapped.rows, mapped.messages, mapped.times, (), strange=bool(mapped.rows))


def decode_records(decoder: Decoder, records: TopicRecords) -> Rows:
    """The rows of records, by what the decoder wants of them."""
    if _takes_records(decoder):
        return decoder.decode_records(records)
    return decoder.decode(records.values)


def inspect_record(decoder: Decoder, record: TopicRecords) -> Iterable[Mapping[Path, object]]:
    """The rows of a single record as they came. Raises Rejected."""
    if _takes_records(decoder):
        return decoder.inspect_record(record)
    return decoder.inspect(record.values[0] or b"")


def _takes_records(decoder: Decoder) -> TypeGuard[RecordDecoder]:
    return hasattr(decoder, "decode_records")  # asking for the protocol takes longer than reading a message


@dataclass(frozen=True, slots=True)
class PlacedRows:
    """Rows as they came, with the number of each one's series (UNMONITORED, REJECTED) and its event time, int64[n]."""

    rows: Rows
    owners: NDArray[np.int64]
    times: NDArray[np.int64]


Timer = Callable[[Rows, TopicFields, Nanos, DecodeCounts], NDArray[np.int64]]
"""The event time of each row, NOT_A_TIME with a reason that is counted where there is none."""


def place_rows(
    rows: Rows, topic: TopicFields, latest: Nanos, counts: DecodeCounts, timer: Timer | None = None
) -> PlacedRows:
    """Give each row its series and event time; what has none is counted by reason."""
    counts.rejected.update(rows.rejected)
    owners = route(rows, topic, counts)
    if owners.size and owners.min() == REJECTED:
        routed = np.flatnonzero(owners != REJECTED)
        rows, owners = rows.take(routed), owners[routed]
        if not routed.size:  # as of messages of something else
            return PlacedRows(rows, owners, NO_TIMES)
    times = (timer or event_times)(rows, topic, latest, counts)
    owners[times == NOT_A_TIME] = REJECTED
    _refuse_without_features(rows, owners, topic.fields.features, counts)
    counts.unmonitored += int(np.count_nonzero(owners == UNMONITORED))
    return PlacedRows(rows, owners, times)


def map_rows(rows: Rows, topic: TopicFields, latest: Nanos, counts: DecodeCounts, timer: Timer | None = None) -> Mapped:
    """Give each row its series and event time, and each series its columns; rows that are halves the columns of those."""
    if rows.halves is not None and rows.halves.any():
        return _each_half(rows, rows.halves, topic, latest, counts, timer)
    placed = place_rows(rows, topic, latest, counts, timer)
    rows, owners, times = placed.rows, placed.owners, placed.times
    series = list(topic.series.values())
    if owners.size and (least := int(owners.min())) >= 0 and least == owners.max():  # as a rule
        return Mapped([_of_series(series[least], rows, times, counts)], rows.messages, times)
    valid = owners != REJECTED
    mapped = []
    for present in np.flatnonzero(np.bincount(owners[owners >= 0], minlength=1)).tolist():
        which = np.flatnonzero(owners == present)
        mapped.append(_of_series(series[present], rows.take(which), times[which], counts))
    return Mapped(mapped, rows.messages[valid], times[valid])


def _each_half(
    rows: Rows,
    halves: NDArray[np.int8],
    topic: TopicFields,
    latest: Nanos,
    counts: DecodeCounts,
    timer: Timer | None,
) -> Mapped:
    counts.rejected.update(rows.rejected)
    mapped = []
    for half in (WHOLE, REQUEST, RESPONSE):
        which = np.flatnonzero(halves == half)
        if which.size:
            some, of = replace(rows.take(which), halves=None), topic if half == WHOLE else topic.of_half(half)
            mapped.append(map_rows(some, of, latest, counts, timer))
    messages, times = (np.concatenate(each) for each in zip(*((m.messages, m.times) for m in mapped), strict=True))
    return Mapped([part for each in mapped for part in each.rows], messages, times)


# --- whose, and when --------------------------------------------------------------------------------------------------


def route(rows: Rows, topic: TopicFields, counts: DecodeCounts) -> NDArray[np.int64]:
    """The number of each row's series, UNMONITORED or REJECTED."""
    nothing = Coded((None,), np.zeros(len(rows), dtype=np.int64))
    looked_up = topic.fields.envelope
    (models, of_model), (versions, of_version) = (
        each_once(_or(rows.column(looked_up[name]) if name in looked_up else None, nothing))
        for name in ("model", "version")
    )
    if len(models) == len(versions) == 1 and len(rows):  # as a rule a batch is of one model
        owner, why = _owners_of(topic, [(models[0], versions[0])])
        for reason in why.values():
            counts.reject(reason, rows.messages, np.ones(len(rows), dtype=np.bool_))
        return np.full(len(rows), owner[0])
    pairs, of_pair = _distinct(of_model * len(versions) + of_version, len(models) * len(versions))
    said = [(models[pair // len(versions)], versions[pair % len(versions)]) for pair in pairs.tolist()]
    owners, why = _owners_of(topic, said)
    for reason in sorted({*why.values()}):
        counts.reject(reason, rows.messages, np.isin(of_pair, [pair for pair, each in why.items() if each == reason]))
    return np.asarray(owners[of_pair])


def _owners_of(topic: TopicFields, said: Sequence[tuple[Any, Any]]) -> tuple[NDArray[np.int64], dict[int, str]]:
    """The number of the series of each model and version, and by place why it is of none."""
    numbers = {key: number for number, key in enumerate(topic.series)}
    owners = np.full(len(said), UNMONITORED, dtype=np.int64)
    why: dict[int, str] = {}
    for place, (model, version) in enumerate(said):
        try:
            series = topic.series_of(model, version)
        except Rejected as reason:
            owners[place] = REJECTED
            why[place] = str(reason)
        else:
            owners[place] = UNMONITORED if series is None else numbers[series.key]
    return owners, why


def _distinct(numbers: NDArray[np.int64], most: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The numbers below `most` that occur, rising, and which one each row has; sorted only where there may be more than rows."""
    if most > numbers.size:
        held, rows = np.unique(numbers, return_inverse=True)
        return held, rows
    present = np.bincount(numbers, minlength=most) > 0
    return np.flatnonzero(present), (np.cumsum(present) - 1)[numbers]


def event_times(rows: Rows, topic: TopicFields, latest: Nanos, counts: DecodeCounts) -> NDArray[np.int64]:
    """The event time of each row, NOT_A_TIME where there is none."""
    nothing = Coded((None,), np.zeros(len(rows), dtype=np.int64))

    def refuse(reason: str, which: NDArray[np.bool_]) -> None:
        counts.reject(reason, rows.messages, which)

    return placed_times(_or(rows.column(topic.fields.timestamp), nothing), topic.fields.unit, latest, refuse)


def _or(column: Column | None, otherwise: Column) -> Column:
    return otherwise if column is None else column


def _refuse_without_features(rows: Rows, owners: NDArray[np.int64], path: Path, counts: DecodeCounts) -> None:
    """Reject the rows of ours that say they have no features."""
    held = rows.column(path) if path else None
    if held is None:
        return
    ours = np.flatnonzero(owners >= 0)
    values = only_rows(held, ours).tolist()
    if all(isinstance(value, Mapping) for value in values):
        return
    for reason, is_why in (("features_missing", _is_missing), ("features_invalid", _is_invalid)):
        which = np.zeros(len(owners), dtype=np.bool_)
        which[ours] = list(map(is_why, values))
        counts.reject(reason, rows.messages, which)
        owners[which] = REJECTED


def _is_missing(features: object) -> bool:
    return features is None


def _is_invalid(features: object) -> bool:
    return features is not None and not isinstance(features, Mapping)


def each_once(column: Column) -> tuple[list[Any], NDArray[np.int64]]:
    """The values of a column, None for a missing one, and int64[n] saying which one each row has."""
    if isinstance(column, Coded):
        return list(column.values), column.rows.astype(np.int64, copy=False)
    values = column.tolist()
    if values and isinstance(values[0], str | None) and values.count(values[0]) == len(values):  # as a rule
        return values[:1], np.zeros(len(values), dtype=np.int64)
    if column.dtype.kind != "O":
        values = [None if value != value else value for value in values]  # noqa: PLR0124 - NaN
    seen: dict[Any, int] = {}
    held: list[Any] = []
    rows = np.empty(len(values), dtype=np.int64)
    for row, value in enumerate(values):
        key = (type(value), value) if isinstance(value, str | int | float | None) else (object, row)  # 1 is not True
        rows[row] = place = seen.setdefault(key, len(held))
        if place == len(held):
            held.append(value)
    return held, rows


# --- the columns of a series ------------------------------------------------------------------------------------------


def _of_series(series: SeriesFields, rows: Rows, times: NDArray[np.int64], counts: DecodeCounts) -> SeriesRows:
    numeric = np.empty((len(rows), len(series.numeric)), order="F")
    codes = np.empty((len(rows), len(series.tables)), dtype=np.int32, order="F")
    for column, (_, path) in enumerate(series.numeric):
        numeric[:, column] = _numbers(rows.column(path), len(rows), counts.of_number(series, column))
    _count_absent(series, rows, numeric, counts)
    for column, ((_, path), table) in enumerate(zip(series.categorical, series.tables, strict=True)):
        codes[:, column] = codes_of(rows.column(path), table, len(rows), counts.of_category(series, column))
    groups = rows.hashes(series.group) if series.group else None
    placed = rows.messages if series.placed else None

    def again(which: NDArray[np.intp], paths: Sequence[Path]) -> Rows:
        del paths  # they have all of them
        return rows.take(which)

    if series.wide:
        ids, more = rows.wide_hashes(series.id)
        return SeriesRows(series, times, numeric, codes, rows.values, ids, groups, more, placed, again)
    own = rows.hashes(series.id) if series.id else None
    return SeriesRows(series, times, numeric, codes, rows.values, own, groups, None, placed, again)


def _numbers(column: Column | None, rows: int, reasons: Counter[str]) -> NDArray[np.float64] | float:
    """A column of numbers as it would be read from a message: texts are none, and are counted."""
    if column is None:
        reasons["missing"] += rows
        return np.nan
    if isinstance(column, Coded):
        return _each_number(column, reasons)
    if column.dtype.kind in "biuf":
        return as_floats(column)
    if column.dtype.kind in "OUT":
        return np.array([number(value, reasons) for value in column.tolist()], dtype=np.float64)
    reasons["wrong_type"] += rows
    return UNUSABLE


def _count_absent(series: SeriesFields, rows: Rows, numeric: NDArray[np.float64], counts: DecodeCounts) -> None:
    """Count what is missing or infinite in columns that are numbers already, and make their NaNs one. A sum that is finite tells that nothing is."""
    with np.errstate(over="ignore", invalid="ignore"):
        sums = numeric.sum(axis=0)
    for column in np.flatnonzero(~np.isfinite(sums)).tolist():
        held = rows.column(series.numeric[column][1])
        if held is not None and not isinstance(held, Coded) and held.dtype.kind in "biuf":
            reasons, numbers = counts.of_number(series, column), numeric[:, column]
            absent = np.isnan(numbers)
            numbers[absent] = np.nan  # whose bits may have been those of UNUSABLE
            reasons["missing"] += int(np.count_nonzero(absent))
            reasons["non_finite"] += int(np.count_nonzero(np.isinf(numbers)))


def _each_number(column: Coded, reasons: Counter[str]) -> NDArray[np.float64]:
    counts = np.bincount(column.rows, minlength=len(column.values)).tolist()
    numbers = np.empty(len(column.values))
    for place, (value, count) in enumerate(zip(column.values, counts, strict=True)):
        why: Counter[str] = Counter()
        numbers[place] = number(value, why)
        reasons.update(dict.fromkeys(why, count))
    return np.asarray(numbers[column.rows])


def codes_of(column: Column | None, table: CategoryTable, rows: int, reasons: Counter[str]) -> NDArray[np.int32] | int:
    """The codes of a column; why a value has none is counted."""
    if column is None:
        reasons["missing"] += rows
        return table.missing
    if not isinstance(column, Coded) and column.dtype.kind == "O":
        return np.array([table.read(value, reasons) for value in column.tolist()], dtype=np.int32)
    if isinstance(column, Coded):
        return _each_code(column, table, reasons)
    texts, of_row = distinct(column)
    codes = np.array([table[text] for text in texts], dtype=np.int32)[of_row]
    reasons["missing"] += int(np.count_nonzero(codes == table.missing))
    return codes


def _each_code(column: Coded, table: CategoryTable, reasons: Counter[str]) -> NDArray[np.int32]:
    counts = np.bincount(column.rows, minlength=len(column.values)).tolist()
    codes = np.empty(len(column.values), dtype=np.int32)
    for place, (value, count) in enumerate(zip(column.values, counts, strict=True)):
        why: Counter[str] = Counter()
        codes[place] = table.read(value, why)
        reasons.update(dict.fromkeys(why, count))
    return np.asarray(codes[column.rows])
