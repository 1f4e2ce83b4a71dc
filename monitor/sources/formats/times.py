"""Event times of whole columns, however they are written."""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.columns import Coded, Column
from monitor.sources.formats.values import EARLIEST, LATEST_NANOS, Rejected, timestamp
from monitor.stream.events import SECOND, Nanos

SHORT = 16  # records in a row of one partition, from which on it is quicker to take them as they are than to sort
NOT_A_TIME = int(np.iinfo(np.int64).min)  # how numpy stores NaT
Refuse = Callable[[str, NDArray[np.bool_]], None]
REFUSED = ("timestamp_missing", "timestamp_before_2000", "timestamp_in_future")


def times_of(column: Column, unit: Nanos, latest: Nanos, rejected: Counter[str]) -> NDArray[np.int64]:
    """Event times int64[n] nanoseconds, `NOT_A_TIME` where there is none; those are counted by reason.

    Numbers are epochs in `unit` nanoseconds, text without a zone is UTC.
    """

    def refuse(reason: str, which: NDArray[np.bool_]) -> None:
        rejected[reason] += int(np.count_nonzero(which))

    return placed_times(column, unit, latest, refuse)


def placed_times(column: Column, unit: Nanos, latest: Nanos, refuse: Refuse) -> NDArray[np.int64]:
    """The same; `refuse` is told each reason, and of which rows it is, if there are any."""
    if isinstance(column, Coded):
        times, reasons = _each(column.values, unit, latest)
        _refuse_each(reasons, refuse, column.rows)
        return np.asarray(times[column.rows])
    if column.dtype.kind == "M":
        return _bounded(column, latest, refuse)
    epochs = _integers(column)
    if epochs is not None and epochs.size and _all_valid(epochs, unit, latest):
        return np.asarray(epochs.astype(np.int64) * unit)
    values = column.tolist()
    if column.dtype.kind == "f":
        values = [None if math.isnan(value) else value for value in values]
    times, reasons = _each(values, unit, latest)
    _refuse_each(reasons, refuse)
    return times


def _refuse_each(reasons: Sequence[str], refuse: Refuse, rows: NDArray[np.integer] | None = None) -> None:
    """Tell the reasons of values, of which `rows` say which one each row has; None: each its own."""
    for reason in sorted({*reasons}):
        which = np.array([each == reason for each in reasons]) if reason else np.zeros(1, dtype=np.bool_)
        which = which if rows is None or not reason else which[rows]
        if which.any():
            refuse(reason, which)


class TimesOf(NamedTuple):
    """The event times of one partition, in their order, with the least and the largest of them."""

    times: NDArray[np.int64]
    ends: tuple[Nanos, Nanos]


def by_partition(
    partitions: Sequence[int] | NDArray[np.int64], times: NDArray[np.int64], places: NDArray[np.intp] | None = None
) -> dict[int, TimesOf]:
    """The event times of each partition; times[i] is of partitions[i], or none. With `places`, which rise, it is one of partitions[places[i]]."""
    if not len(partitions) or not times.size:
        return {}
    indices: NDArray[Any] = np.asarray(partitions, dtype=np.int32)
    if places is not None:
        changed = np.searchsorted(places, _changes(indices)).tolist()  # of messages, which are fewer
        firsts = sorted({0, *changed} - {times.size})
        if len(firsts) * SHORT <= times.size:
            return _of_runs(indices[places[firsts]].tolist(), firsts, times)
        indices = indices[places]
    if int(times.min()) == NOT_A_TIME:
        known = times != NOT_A_TIME
        indices, times = indices[known], times[known]
    begins = _changes(indices)
    if begins.size * SHORT > indices.size:
        small = indices.astype(np.int16) if int(indices.max()) < 1 << 15 else indices
        order = np.argsort(small, kind="stable")  # of 16 bits by radix, ten times as fast
        indices, times = indices[order], times[order]
        begins = _changes(indices)
    if not times.size:
        return {}
    firsts = [0, *begins.tolist()]
    return _of_runs(indices[firsts].tolist(), firsts, times)


def _of_runs(indices: Sequence[int], firsts: list[int], times: NDArray[np.int64]) -> dict[int, TimesOf]:
    """The event times of each partition, of runs that are of one each."""
    least, most = np.minimum.reduceat(times, firsts).tolist(), np.maximum.reduceat(times, firsts).tolist()
    runs: dict[int, list[TimesOf]] = defaultdict(list)
    bounds = pairwise([*firsts, times.size])
    for index, (first, end), *ends in zip(indices, bounds, least, most, strict=True):
        runs[index].append(TimesOf(times[first:end], (ends[0], ends[1])))
    return {index: _one(runs[index]) for index in sorted(runs)}


def _one(runs: Sequence[TimesOf]) -> TimesOf:
    if len(runs) == 1:
        return runs[0]
    least, most = zip(*(run.ends for run in runs), strict=True)
    return TimesOf(np.concatenate([run.times for run in runs]), (min(least), max(most)))


def _changes(indices: NDArray[Any]) -> NDArray[np.intp]:
    """Where another one begins."""
    return np.asarray((indices[1:] != indices[:-1]).nonzero()[0] + 1)


def _integers(column: NDArray[Any]) -> NDArray[Any] | None:
    """A column of whole numbers as such; None where it holds anything else."""
    if column.dtype.kind in "iu":
        return column
    if column.dtype.kind != "O" or set(map(type, column)) != {int}:
        return None
    try:
        return column.astype(np.int64)
    except OverflowError:
        return None


def _all_valid(epochs: NDArray[Any], unit: Nanos, latest: Nanos) -> bool:
    return bool(epochs.min() >= -(-EARLIEST // unit) and epochs.max() <= latest // unit)


def _each(values: Sequence[Any], unit: Nanos, latest: Nanos) -> tuple[NDArray[np.int64], list[str]]:
    """The time of each value, and why it has none."""
    times, reasons = np.full(len(values), NOT_A_TIME, dtype=np.int64), [""] * len(values)
    for place, value in enumerate(values):
        try:
            times[place] = timestamp(value, unit, latest)
        except Rejected as rejected:
            reasons[place] = str(rejected)
    return times, reasons


def _bounded(column: NDArray[Any], latest: Nanos, refuse: Refuse) -> NDArray[np.int64]:
    """Times of any unit as nanoseconds, which reach to 2262."""
    absent, seconds = np.isnat(column), column.astype("datetime64[s]").view(np.int64)
    early, late = (seconds < EARLIEST // SECOND) & ~absent, seconds >= LATEST_NANOS // SECOND
    times = np.where(absent | early | late, NOT_A_TIME, column.astype("datetime64[ns]").view(np.int64))
    late |= times > latest
    for rows, reason in zip((absent, early, late), REFUSED, strict=True):
        if rows.any():
            refuse(reason, rows)
    return np.where(late, NOT_A_TIME, times)
