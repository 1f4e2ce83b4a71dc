"""Messages to columns by the daemon's own decoder, where the reference that says which columns is still to be made.

The features are found in the messages. A category that is not known yet is read again from its message, and known from
then on.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from detectors.columns import Coded, Column
from detectors.features import Floats
from detectors.sketches.served import Served
from detectors.sketches.violations import PART
from detectors.sketches.weights import PERCENT
from monitor.facts import EventsCounted, EventsRejected
from monitor.sources.base import TopicRecords
from monitor.sources.decode.class_scores import OF_CLASS, ClassScores, score_columns
from monitor.sources.decode.finding import NO_COLUMNS, NOTHING, FeatureFinder
from monitor.sources.decode.shaping import ShapedDecoder
from monitor.sources.decode.topic import Decoded, TopicDecoder
from monitor.sources.formats.base import Rows, SeriesRows
from monitor.sources.formats.fields import WEIGHT, FieldMap, JoinedFields, Path, SeriesFields
from monitor.sources.formats.json.documents import Document, DocumentRows
from monitor.sources.formats.values import LATEST_NANOS, Rejected, category
from monitor.stream.events import EventBatch, Nanos, OffsetRange, Partition, SeriesKey

LOOKED_THROUGH = 8_192  # messages: a feature that two in a thousand hold is among them, but for one time in ten million
THEN_EVERY = 256  # of those after them
JOINED = 32_768  # rows of a piece, where polls bring fewer
MISSING = -1  # code; a category that is no code's is -2 and below
MOST_CLASSES = 256  # that have scores
REBUILT_FROM = 64  # texts read again in one batch: the decoder that knows them is worth making

Number = TypeVar("Number", bound=np.generic)


@dataclass(frozen=True, slots=True)
class EventColumns:
    """Rows of the model: event times int64[n], numbers float64[n] and codes int32[n] by feature.

    A code below MISSING is a text of `others[feature]`: -2 the first.
    `narrow` is the type of those numbers that a table holds in less precision: a reference is of what they are written as.
    `groups` uint64[n] are hashes of what rows belong to, 0 where one belongs to nothing; None where the mapping names none.
    `ids` uint64[n, 2] are hashes of the rows' ids, 0 where one has none; None where nothing is joined. `served` says how requests were.
    """

    times: NDArray[np.int64]
    numbers: Mapping[str, NDArray[np.float64]]
    codes: Mapping[str, NDArray[np.int32]]
    others: Mapping[str, Sequence[str]]
    narrow: Mapping[str, np.dtype[Any]] = field(default_factory=dict)
    groups: NDArray[np.uint64] | None = None
    ids: NDArray[np.uint64] | None = None
    served: Served | None = None
    percent: Floats | None = None  # of all requests, which the log holds

    def where(self, which: NDArray[np.bool_]) -> "EventColumns":
        """Some rows."""
        numbers = {name: column[which] for name, column in self.numbers.items()}
        codes = {name: column[which] for name, column in self.codes.items()}
        groups, ids = (None if held is None else held[which] for held in (self.groups, self.ids))
        served, percent = (None if held is None else held[which] for held in (self.served, self.percent))
        beside: dict[str, Any] = {"groups": groups, "ids": ids, "served": served, "percent": percent}
        return replace(self, times=self.times[which], numbers=numbers, codes=codes, **beside)

    def continues(self, other: "EventColumns") -> bool:
        """Whether another's rows can stand below these: of the same columns, and no text that is known to one of them alone."""
        return (
            self.numbers.keys() == other.numbers.keys()
            and self.codes.keys() == other.codes.keys()
            and self.narrow == other.narrow
            and (self.groups is None) is (other.groups is None)
            and (self.ids is None) is (other.ids is None)
            and (self.served is None) is (other.served is None)
            and (self.percent is None) is (other.percent is None)
            and not any(self.others.values())
            and not any(other.others.values())
        )

    def columns(self, finder: FeatureFinder) -> dict[str, Column]:
        """By name, as a reference is fitted on them."""
        narrow = {name: self.numbers[name].astype(kind) for name, kind in self.narrow.items()}
        return {**self.numbers, **narrow, **{name: self.coded(name, finder) for name in self.codes}}

    def coded(self, name: str, finder: FeatureFinder) -> Coded:
        """A column of categories."""
        values = (*finder.features[name].texts, *reversed(self.others[name]), None)
        codes = self.codes[name]
        return Coded(values, np.where(codes < 0, codes + len(values), codes))


def joined(pieces: Iterable[EventColumns]) -> Iterator[EventColumns]:
    """The same rows in fewer and longer pieces, which cost less a row."""
    held: list[EventColumns] = []
    rows = 0
    for piece in pieces:
        if held and (rows >= JOINED or not held[0].continues(piece)):
            yield _below_each_other(held)
            held, rows = [], 0
        held.append(piece)
        rows += piece.times.size
    if held:
        yield _below_each_other(held)


def _below_each_other(held: Sequence[EventColumns]) -> EventColumns:
    first = held[0]
    if len(held) == 1:
        return first
    return replace(
        first,
        times=np.concatenate([each.times for each in held]),
        numbers={name: np.concatenate([each.numbers[name] for each in held]) for name in first.numbers},
        codes={name: np.concatenate([each.codes[name] for each in held]) for name in first.codes},
        groups=_stacked([each.groups for each in held]),
        ids=_stacked([each.ids for each in held]),
        served=_stacked([each.served for each in held]),
        percent=_stacked([each.percent for each in held]),
    )


def _stacked(parts: Sequence[NDArray[Number] | None]) -> NDArray[Number] | None:
    there = [part for part in parts if part is not None]
    return np.concatenate(there) if there else None


def _as_it_is(row: Mapping[Path, object]) -> Iterator[Mapping[Path, object]]:
    yield row


class LearningDecoder(TopicDecoder):
    """A topic's decoder that finds the features of one series by itself and keeps its rows until they are drained."""

    def __init__(
        self,
        topic: str,
        keys: Sequence[SeriesKey],
        ours: SeriesKey,
        fields: FieldMap,
        finder: FeatureFinder,
        form: str = "json",
        *,
        joined: bool = False,
        weighted: bool = False,
        classes: Sequence[str] | None = (),
        options: Any = None,
    ) -> None:
        """`joined`: ids are kept, for labels find their rows by them; `weighted`: so are weights. `classes`: those that a list of scores has; None: keys of objects are."""
        self._keys, self._ours, self._form, self._options = keys, ours, form, options
        self._with_ids, self._weighted = joined, weighted
        self._listed = bool(classes)
        self._classes = dict.fromkeys(classes or ())
        self._found_classes = joined and classes is None and bool(fields.scores)
        self.finder = finder
        self.counts: Counter[str] = Counter()  # events by outcome
        self.reasons: Counter[str] = Counter()  # rejected ones by reason
        self.halves = 0  # rows that are half a prediction: nobody joins them here
        self._looked = 0
        self._last: tuple[str, str, bool] | None = (
            None  # model and version of the row looked at before, and whether it is ours
        )
        self._held: list[EventColumns] = []
        self._narrow: dict[str, np.dtype[Any]] = {}  # of the rows being decoded
        self._build(topic, fields)

    def _build(self, topic: str, fields: FieldMap) -> None:
        """Make the decoder for the features known by now."""
        joins = self._joins(fields) if self._with_ids else None
        layouts = {key: self.finder.layout if key == self._ours else NO_COLUMNS for key in self._keys}
        series = [
            SeriesFields(key, layout, fields, joins if key == self._ours else None, served=key == self._ours)
            for key, layout in layouts.items()
        ]
        TopicDecoder.__init__(self, topic, series, fields, LATEST_NANOS, self._form, options=self._options)
        self._built = self.finder.known, len(self._classes)
        held = self.series[self._ours]
        scored = held.joined is not None and bool(held.joined.classes)
        self._scores = ClassScores(held, tuple(self._classes), listed=self._listed) if scored else None

    def _joins(self, fields: FieldMap) -> JoinedFields:
        """What is kept beside the features: weights of labels inside, and scores of classes."""
        weights = ((WEIGHT, fields.weight),) if self._weighted and fields.label and fields.weight else ()
        if not fields.scores or not self._classes:
            return JoinedFields(weights)
        classes = tuple(self._classes)
        own, others = score_columns(classes, fields.scores)
        return JoinedFields((*own, *weights, *others), scores=(len(own), 0), classes=classes, listed=self._listed)

    def learn_classes(self, names: Iterable[str]) -> None:
        """Take these for classes that have scores, where nobody names any."""
        for name in names if self._found_classes else ():
            if len(self._classes) < MOST_CLASSES:
                self._classes.setdefault(name)

    def build_anew(self) -> None:
        """Make the decoder for what was found since."""
        if (self.finder.known, len(self._classes)) != self._built:
            self._build(self.topic, self.fields)

    def decode(self, records: TopicRecords, now: Nanos) -> Decoded:
        """Decode records, with the features that are new in them. Raises NotNow, with nothing changed, where a format needs what is away."""
        self._fetch(records)
        self.finder.look(self._rows_to_look_at(records))
        self.build_anew()
        return self._counted(super().decode(records, now))

    def decode_rows(self, rows: Rows, partition: Partition, messages: int | None = None) -> Decoded:
        """Rows on record, whose features are known."""
        self.build_anew()
        self._narrow = {
            name: column.dtype
            for name, path in self.series[self._ours].of_features[0]
            if isinstance(column := rows.column(path), np.ndarray) and column.dtype in (np.float32, np.float16)
        }
        return self._counted(super().decode_rows(rows, partition, messages))

    def decode_documents(self, rows: Rows, partition: Partition, messages: int) -> Decoded:
        """Rows of logs, with the features that are new in them."""
        assert isinstance(rows, DocumentRows)
        self.finder.look(self._documents_to_look_at(rows))
        return super().decode_documents(rows, partition, messages)

    def drain(self) -> list[EventColumns]:
        """The rows decoded since the last time."""
        held, self._held = self._held, []
        return held

    def _counted(self, decoded: Decoded) -> Decoded:
        self.halves += sum(len(batch.rows) for batch in decoded.halves if batch.key == self._ours)
        for fact in decoded.facts:
            match fact:
                case EventsRejected():
                    self.reasons[fact.reason] += fact.count
                case EventsCounted():
                    self.counts[fact.outcome] += fact.count
        return decoded

    def _places_to_look_at(self, count: int) -> list[int]:
        whole = max(0, min(count, LOOKED_THROUGH - self._looked))
        self._looked += count
        return [*range(whole), *range(whole, count, THEN_EVERY)]

    def _rows_to_look_at(self, records: TopicRecords) -> Iterator[Mapping[Path, object]]:
        for at in self._places_to_look_at(len(records.values)):
            if records.values[at]:
                yield from self._of_ours(partial(self.inspect, records.only([at])))

    def _documents_to_look_at(self, rows: DocumentRows) -> Iterator[Mapping[Path, object]]:
        shape = self.format.shape_row if isinstance(self.format, ShapedDecoder) else _as_it_is
        for at in self._places_to_look_at(len(rows)):
            yield from self._of_ours(partial(shape, Document(rows.documents[at])))

    def _of_ours(self, read: Callable[[], Iterable[Mapping[Path, object]]]) -> list[Mapping[Path, object]]:
        """The rows of a message that are of our series; none of one that cannot be read."""
        try:
            ours = [row for row in read() if self._is_ours(row)]
        except Rejected:
            return []
        path = self.fields.scores
        for row in ours if self._found_classes else ():
            self.learn_classes(place[-1] for place in row if len(place) == len(path) + 1 and place[:-1] == path)
        return ours

    def _is_ours(self, row: Mapping[Path, object]) -> bool:
        model, version = row.get(self.fields.model), row.get(self.fields.version)
        if self._last is not None and self._last[:2] == (model, version):
            return self._last[2]
        series = self._holds.series_of(model, version)
        ours = series is not None and series.key == self._ours
        if isinstance(model, str) and isinstance(version, str):
            self._last = model, version, ours
        return ours

    def _batch(self, rows: SeriesRows, offsets: tuple[OffsetRange, ...] = ()) -> EventBatch:
        if rows.series.key == self._ours:
            self._held.append(self._columns(rows))
        return super()._batch(rows, offsets)

    def _columns(self, rows: SeriesRows) -> EventColumns:
        numeric, categorical = rows.series.of_features
        numbers = {name: rows.numeric[:, at] for at, (name, _) in enumerate(numeric) if name != NOTHING}
        numbers |= self._beside(rows)
        codes, others = {}, {}
        for at, (name, path) in enumerate(categorical):
            codes[name], others[name], count = self._codes(rows, at, path)
            if count >= REBUILT_FROM:
                self.finder.learn(name, others[name])
        ids = None if rows.ids is None or rows.more is None else np.column_stack([rows.ids, rows.more])
        percent = None if rows.weights is None else PERCENT * PART / rows.weights
        return EventColumns(rows.times, numbers, codes, others, self._narrow, rows.groups, ids, rows.served, percent)

    def _beside(self, rows: SeriesRows) -> Mapping[str, NDArray[np.float64]]:
        """Weights and scores, by their columns."""
        found = {
            name: rows.numeric[:, at]
            for at, (name, _) in enumerate(rows.series.numeric[rows.series.own[0] :], rows.series.own[0])
            if name == WEIGHT
        }
        if self._scores is not None:
            table = self._scores.of(rows, Counter())
            found |= {f"{OF_CLASS}{name}": table[:, at] for at, name in enumerate(self._classes)}
        return found

    def _codes(self, rows: SeriesRows, column: int, path: Path) -> tuple[NDArray[np.int32], list[str], int]:
        """The codes of a column, the texts that have none, and how many rows were read again for them."""
        table = rows.series.tables[column]
        codes = rows.codes[:, column].copy()
        unseen = np.flatnonzero(codes == table.unseen)
        codes[codes == table.missing] = MISSING
        others: dict[str | None, int] = {None: MISSING}
        for row, text in zip(unseen.tolist(), self._read_again(rows, unseen.tolist(), path), strict=True):
            codes[row] = others.setdefault(text, -1 - len(others))
        return codes, [text for text in others if text is not None], len(unseen)

    @staticmethod
    def _read_again(rows: SeriesRows, which: Iterable[int], path: Path) -> Iterator[str | None]:
        for row in which:
            (value,) = rows.look(row, [path])
            yield category(value, Counter())
