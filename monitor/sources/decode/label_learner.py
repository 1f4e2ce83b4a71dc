"""Labels by the daemon's own decoder, for a reference that is still to be made: classes are learnt as they come."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from detectors.columns import Coded, Column
from detectors.features import Floats
from detectors.reference.labelling import MOST_LABELS
from monitor.facts import EventsCounted, EventsRejected
from monitor.series.truth import BINARY, MULTICLASS, REGRESSION, Truth
from monitor.sources.base import TopicRecords
from monitor.sources.decode.joining import LabelColumns, RowLabels, as_number, label_fields
from monitor.sources.decode.labels import LabelDecoder
from monitor.sources.decode.topic import Decoded
from monitor.sources.formats.base import Rows, SeriesRows
from monitor.sources.formats.categories import CategoryTable
from monitor.sources.formats.fields import FieldMap, JoinedFields, SeriesFields
from monitor.sources.formats.values import LATEST_NANOS, category
from monitor.stream.events import ANY_VERSION, Partition, SeriesKey
from monitor.stream.join import Rows as LabelRows

MOST_SHOWN = 5  # labels that are none of the two that are named
OTHER = "any other label"  # how a negative label is called that nobody has named


class LabelMeanings:
    """What labels come to as numbers, and those as a column of a table. Of classes each text is the number of those before it."""

    def __init__(self, truth: Truth) -> None:
        self._truth = truth
        self._texts: dict[str, int] = {}
        self._table = CategoryTable(truth.label_classes)
        self.others: dict[str, None] = {}  # some labels that are none of the two that are named

    @property
    def truth(self) -> Truth:
        """How labels are read, with the classes that are known by now."""
        return replace(self._truth, classes=tuple(self._texts)) if self._truth.task == MULTICLASS else self._truth

    def learn(self, text: str) -> float:
        """The number of a class, a new one where there is room; NaN: there are too many."""
        if text not in self._texts and len(self._texts) > MOST_LABELS:
            return np.nan
        return self._texts.setdefault(text, len(self._texts))

    def of(self, texts: Iterable[str | None]) -> Floats:
        """What labels inside predictions are, which were kept as texts: NaN for none, and for what is no label."""
        return np.array([np.nan if text is None else self._of(text) for text in texts], dtype=np.float64)

    def _of(self, text: str) -> float:
        match self._truth.task:
            case "multiclass":
                return self.learn(text)
            case "regression":
                return as_number(text)
            case _:
                code = self._table[text]
                if code == self._table.unseen:
                    self.note(text)
                return (*self._truth.label_values, np.nan)[code]

    def note(self, text: str) -> None:
        """A label that is not the positive one, for who is to name that."""
        if len(self.others) < MOST_SHOWN:
            self.others[text] = None

    def column(self, values: Floats) -> Column:
        """Numbers as a reference is fitted on them."""
        if self._truth.task == REGRESSION:
            return values
        texts: Sequence[str | None] = (*self._texts, None)
        if self._truth.task == BINARY:
            texts = (self._truth.negative or OTHER, self._truth.positive, None)
        return Coded(tuple(texts), np.where(np.isnan(values), len(texts) - 1, values).astype(np.int64))


class LearningColumns(LabelColumns):
    """Labels of which a class that is not known yet is read again, and known from then on."""

    def __init__(self, series: SeriesFields, meanings: LabelMeanings) -> None:
        super().__init__(series, meanings.truth)
        self._meanings = meanings

    def labels(self, part: SeriesRows) -> RowLabels:
        """The labels of rows."""
        held = super().labels(part)
        for place in np.flatnonzero(held.unknown).tolist():
            [value] = part.look(place, [part.series.fields.label])
            text = category(value, Counter())
            if text is not None and not np.isnan(found := self._meanings.learn(text)):
                held.values[place], held.unknown[place] = found, False
        return held


class NotingColumns(LabelColumns):
    """Labels of two, some of which are noted as they are written."""

    def __init__(self, series: SeriesFields, meanings: LabelMeanings) -> None:
        super().__init__(series, meanings.truth)
        self._meanings = meanings

    def labels(self, part: SeriesRows) -> RowLabels:
        """The labels of rows."""
        held = super().labels(part)
        others = np.flatnonzero(held.unknown | (held.values == 0))[:MOST_SHOWN]
        for place in others.tolist() if len(self._meanings.others) < MOST_SHOWN else ():
            [value] = part.look(place, [part.series.fields.label])
            if (text := category(value, Counter())) is not None:
                self._meanings.note(text)
        return held


class LearningLabels(LabelDecoder):
    """A topic's labels of one model, kept until they are drained. `models` are all that take labels from the topic."""

    def __init__(
        self,
        topic: str,
        ours: str,
        models: Iterable[str],
        meanings: LabelMeanings,
        fields: FieldMap,
        form: str = "json",
        *,
        options: Any = None,
    ) -> None:
        self._ours, self._models, self._meanings = ours, tuple(models), meanings
        self._form, self._options = form, options
        self.counts: Counter[str] = Counter()  # labels by outcome
        self.reasons: Counter[str] = Counter()  # rejected ones by reason
        self._held: list[LabelRows] = []
        self._build(topic, fields)

    def _build(self, topic: str, fields: FieldMap) -> None:
        """Make the decoder for the classes known by now."""
        truth = self._meanings.truth
        truths = dict.fromkeys(self._models, Truth(BINARY)) | {self._ours: truth}
        series = {model: [SeriesKey(model, ANY_VERSION)] for model in self._models}
        LabelDecoder.__init__(self, topic, truths, series, fields, LATEST_NANOS, self._form, options=self._options)
        self._built = len(truth.classes)

    def fields_of(self, truth: Truth, fields: FieldMap) -> JoinedFields:
        """The columns of a label; each text is a class until it is known which are one value."""
        return replace(label_fields(truth, fields), spelled=truth.task != MULTICLASS)

    def columns_of(self, series: SeriesFields, truth: Truth) -> LabelColumns:
        """What reads them."""
        kinds = {MULTICLASS: LearningColumns, BINARY: NotingColumns}
        if series.key.model != self._ours or truth.task not in kinds:
            return LabelColumns(series, truth)
        return kinds[truth.task](series, self._meanings)

    def decode(self, records: TopicRecords, now: int) -> Decoded:
        """Decode records."""
        return self._kept(super().decode(records, now))

    def decode_rows(self, rows: Rows, partition: Partition, messages: int | None = None) -> Decoded:
        """Rows on record."""
        return self._kept(super().decode_rows(rows, partition, messages))

    def drain(self) -> list[LabelRows]:
        """The labels decoded since the last time."""
        held, self._held = self._held, []
        return held

    def _kept(self, decoded: Decoded) -> Decoded:
        self._held += [batch.labels for batch in decoded.joins if batch.key.model == self._ours]
        for fact in decoded.facts:
            match fact:
                case EventsRejected():
                    self.reasons[fact.reason] += fact.count
                case EventsCounted():
                    self.counts[fact.outcome] += fact.count
        if len(self._meanings.truth.classes) > self._built:
            read = self._recorded
            self._build(self.topic, self.fields)
            self._recorded = read
        return decoded
