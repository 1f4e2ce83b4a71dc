"""What of decoded rows waits for its other half: a request or a response as numbers, contract and labels judged while the message is at hand."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from detectors.features import Floats
from monitor.series.contract import ContractSpec
from monitor.series.halves import broken_flags, half_shape
from monitor.series.truth import Truth
from monitor.sources.decode.contract import RowContract
from monitor.sources.decode.joining import ID_MISSING, UNUSABLE, LabelColumns, PredictionColumns
from monitor.sources.decode.serving import LATENCY_INVALID
from monitor.sources.formats.base import RESPONSE, DecodeCounts, SeriesRows
from monitor.sources.formats.categories import FAILED as FAILURE
from monitor.sources.formats.fields import SeriesFields, TopicFields
from monitor.stream.events import EventBatch, HalfBatch, OffsetRange, SeriesKey, UnseenCategory
from monitor.stream.halves import FAILED, TIMED, TOLD, HalfShape, Rows


class HalfColumns:
    """Where one half of a series' predictions stands among its columns."""

    def __init__(self, series: SeriesFields, shape: HalfShape, truth: Truth | None) -> None:
        self._series = series
        self._shape = shape
        self.blank: Rows = np.zeros(1, dtype=shape.dtype(series.half))
        """A row with nothing in it."""
        self.blank["latency"] = np.nan
        self._labels = None if truth is None else LabelColumns(series, truth)
        self._predictions = PredictionColumns(series, truth) if truth is not None and series.half == RESPONSE else None

    def batch(
        self, parts: Sequence[SeriesRows], topic: str, counts: DecodeCounts, offsets: tuple[OffsetRange, ...] = ()
    ) -> HalfBatch:
        """The rows of a poll that have an id, in the order of their messages, for of halves that are alike the first counts; the others are rejected."""
        rows = [self._rows(part, counts) for part in parts]
        if len(rows) == 1 and parts[0].named:  # as a rule
            return HalfBatch(self._series.key, topic, self._series.half, rows[0], offsets)
        known = [np.asarray(each["high"] != 0) for each in rows]
        for part, ours in zip(parts, known, strict=True):
            counts.reject(ID_MISSING, part.messages, ~ours)
        held = [each if ours.all() else each[ours] for each, ours in zip(rows, known, strict=True)]
        whole = held[0] if len(held) == 1 else _joined(held, _order(parts, known))
        return HalfBatch(self._series.key, topic, self._series.half, whole, offsets)

    def _rows(self, part: SeriesRows, counts: DecodeCounts) -> Rows:
        """All rows; of those without an id the hash is 0."""
        shape, count = self._shape, len(part.times)
        rows = self._filled(part) if part.waiting is None else part.waiting
        if part.groups is not None:
            rows["group"] = part.groups
        if shape.rules:
            rows["broken"] = broken_flags(shape, part.violations, count)
        if shape.sampled and part.weights is not None:
            rows["sampled"] = part.weights
        self._serve(part, rows, counts)
        self._label(part, rows, counts)
        return rows

    def _filled(self, part: SeriesRows) -> Rows:
        """Rows with their values, times and ids."""
        rows = np.zeros(len(part.times), dtype=self.blank.dtype)
        rows["time"], rows["latency"] = part.times, np.nan
        numbers, categories = self._series.own
        rows["numeric"], rows["codes"] = part.numeric[:, :numbers], part.codes[:, :categories]
        self._identify(part, rows)
        return rows

    def _identify(self, part: SeriesRows, rows: Rows) -> None:
        """Put in ids, and the place of each row among those of its message and id: a message may hold many rows."""
        if part.ids is None or part.more is None:
            return
        rows["high"], rows["low"] = part.ids, part.more
        if part.messages is not None and rows.size > 1:
            same = (np.diff(part.messages) == 0) & (np.diff(rows["high"]) == 0) & (np.diff(rows["low"]) == 0)
            if same.any():
                at = np.arange(rows.size)
                first = np.where(np.concatenate([[True], ~same]), at, 0)
                rows["row"] = at - np.maximum.accumulate(first)

    def _serve(self, part: SeriesRows, rows: Rows, counts: DecodeCounts) -> None:
        series = self._series
        if series.latency is not None:
            seconds = part.numeric[:, series.latency] * series.fields.latency_unit
            below = seconds < 0
            counts.latencies[LATENCY_INVALID] += int(np.count_nonzero(below) - np.count_nonzero(seconds == -np.inf))
            rows["latency"] = np.where(below | ~np.isfinite(seconds), np.nan, seconds)
            rows["served"] |= TIMED
        if series.error is not None:
            failed = part.codes[:, series.error] == FAILURE
            rows["served"] |= np.where(failed, TOLD | FAILED, TOLD).astype(np.int8)

    def _label(self, part: SeriesRows, rows: Rows, counts: DecodeCounts) -> None:
        if self._labels is None:
            return
        rows["label"], rows["weight"] = np.nan, 1.0
        if self._predictions is not None:
            rows["value"] = self._predictions.values(part, counts)
        if self._labels.there:
            rows["label"], rows["weight"] = self._inside(self._labels, part, counts)

    def _inside(self, columns: LabelColumns, part: SeriesRows, counts: DecodeCounts) -> tuple[Floats, Floats]:
        held = columns.labels(part)
        refused = columns.refused(part, held, look=any(counts.labels[reason] for reason in UNUSABLE))
        counts.fields.update(refused.values())
        values = held.values.copy()
        values[list(refused)] = np.nan
        return values, held.weights


def _joined(held: Sequence[Rows], order: NDArray[np.intp]) -> Rows:
    """The rows of several readers in an order."""
    bytes_ = f"V{held[0].itemsize}"  # several times as quick as field by field
    whole = np.concatenate([np.ascontiguousarray(each).view(bytes_) for each in held])
    return np.asarray(whole[order].view(held[0].dtype))


def _order(parts: Sequence[SeriesRows], known: Sequence[NDArray[np.bool_]]) -> NDArray[np.intp]:
    """What brings the known rows of several readers into the order of their messages, int64[n]."""
    held = [
        part.messages[ours] for part, ours in zip(parts, known, strict=True) if part.messages is not None
    ]  # always there: its rows are joined
    return np.argsort(np.concatenate(held), kind="stable")


class SeriesByHalf:
    """What rows of halves are made into and held against, series by series, made when the first come."""

    def __init__(
        self,
        topic: TopicFields,
        joined: Mapping[SeriesKey, PredictionColumns],
        contracts: Mapping[SeriesKey, ContractSpec],
        *,
        sampled: bool = False,
    ) -> None:
        self._sampled = sampled
        self._topic = topic
        self._joined = joined
        self._specs = contracts
        self._columns: dict[tuple[SeriesKey, int], HalfColumns] = {}
        self._contracts: dict[tuple[SeriesKey, int], RowContract] = {}

    def columns(self, series: SeriesFields) -> HalfColumns:
        """What makes them rows that wait."""
        place = series.key, series.half
        if place not in self._columns:
            whole, joined = self._topic.series[series.key], self._joined.get(series.key)
            numeric, categorical = ([name for name, _ in each] for each in whole.of_features)
            truth = None if joined is None else joined.truth
            shape = half_shape(numeric, categorical, truth, self._specs.get(series.key), sampled=self._sampled)
            self._columns[place] = HalfColumns(series, shape, truth)
        return self._columns[place]

    def blank(self, series: SeriesFields) -> Rows:
        """A row of a series as it waits, with nothing in it."""
        return self.columns(series).blank

    @staticmethod
    def own(part: SeriesRows) -> SeriesRows:
        """Rows with the columns of categories that their half of the reference has."""
        return replace(part, codes=part.codes[:, : part.series.own[1]])

    def names(self, series: SeriesFields, topic: str, named: Sequence[UnseenCategory]) -> EventBatch:
        """What new categories of a half are called, by the columns of whole events; no events are with it."""
        whole = self._topic.series[series.key]
        columns = {name: at for at, (name, _) in enumerate(whole.categorical)}
        said = tuple(each._replace(column=columns[series.categorical[each.column][0]]) for each in named)
        numbers, categories = whole.own
        nothing = np.empty((0, numbers)), np.empty((0, categories), dtype=np.int32)
        return EventBatch(series.key, topic, np.empty(0, dtype=np.int64), *nothing, unseen_categories=said)

    def contract(self, series: SeriesFields) -> RowContract | None:
        """The contract of the columns that they have."""
        place, spec = (series.key, series.half), self._specs.get(series.key)
        if spec is not None and place not in self._contracts:
            self._contracts[place] = RowContract(series, spec)
        return self._contracts.get(place)
