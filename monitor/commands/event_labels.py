"""Labels of the events that a reference is fitted on: read as the daemon reads them, and joined as it joins them."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from detectors import Kind, LabelColumn
from detectors.columns import Coded, Column, as_written_floats
from detectors.durations import show_duration
from detectors.features import Floats, Ints
from monitor.app import fields_of, refuse_unknown_model, refuse_without_id
from monitor.backtest.recorded import Recorded
from monitor.commands.dialect import dialect_of
from monitor.commands.records import files_of, label_topic_of, range_of, range_of_topics
from monitor.commands.reference import FitChoice, label_option
from monitor.series.truth import BINARY, MULTICLASS, REGRESSION, Truth
from monitor.settings import ConfigError, Settings
from monitor.settings.schema import LabelsSettings, ModelSettings, PerformanceSettings, TopicSettings
from monitor.sources.decode.class_scores import OF_CLASS, is_score
from monitor.sources.decode.finding import FeatureFinder
from monitor.sources.decode.joining import INVALID, UNKNOWN, WEIGHT_INVALID, weights_in
from monitor.sources.decode.label_learner import LabelMeanings, LearningLabels
from monitor.sources.decode.learner import EventColumns
from monitor.sources.formats.base import only_rows
from monitor.sources.formats.fields import LABELLED, PREDICTION, WEIGHT
from monitor.sources.tables.files import Pieces
from monitor.stream.clocks import LatestTimes
from monitor.stream.events import Nanos
from monitor.stream.join import (
    INLINE,
    Join,
    JoinSpec,
    Rows,
    firsts,
    no_rows,
    order_by_hash_and_time,
    rows_of,
)
from monitor.stream.join import (
    LABEL as LABELS,
)
from monitor.stream.join import (
    PREDICTION as PREDICTIONS,
)

LABEL, WEIGHED = (
    "label of the event",
    "weight of its label",
)  # of the rows; beside features, none of which is called so by the mapping
UNBOUNDED = 1 << 62  # bytes: a reference is of all rows


class LabelSlices:
    """Columns that are handed out a piece at a time."""

    def __init__(self, columns: Mapping[str, Column]) -> None:
        self._columns = columns
        self._at = 0

    def next(self, rows: int) -> dict[str, Column]:
        """The next rows."""
        self._at += rows
        which = np.arange(self._at - rows, self._at)
        return {name: only_rows(column, which) for name, column in self._columns.items()}


@dataclass(slots=True)
class EventLabels:
    """The labels of one model's events on their way to a column: ids and times of all rows, 32 bytes each; a label by itself takes 48.

    `topics` are those that labels are read from, beside those inside predictions.
    """

    settings: Settings
    model: ModelSettings
    choice: FitChoice
    topics: Sequence[TopicSettings]
    inside: bool
    weighted: bool = False
    classes: Sequence[str] | None = ()  # whose scores are read; None: those that events name
    _scored: bool = False  # any was found
    _parts: list[Rows] = field(default_factory=list)
    _span: tuple[float, float] = (np.inf, -np.inf)  # of the predictions
    _classes: dict[str | None, int] = field(default_factory=dict)  # predicted ones, by what they are among the rows
    _often: Counter[str | None] = field(default_factory=Counter)  # how many predictions are of each
    _meanings: LabelMeanings | None = None
    _values: Floats = field(default_factory=lambda: np.empty(0))
    _weights: Floats = field(default_factory=lambda: np.empty(0))
    _said: list[str] = field(default_factory=list)

    @classmethod
    def begin(
        cls, settings: Settings, model: ModelSettings, choice: FitChoice, events: Sequence[TopicSettings]
    ) -> "EventLabels | None":
        """What the command line asks for; None: no labels. Raises ConfigError."""
        if choice.label is None and not choice.labels:
            option = label_option(choice) or (None if choice.label_topic is None else "--label-topic")
            if option is not None:
                raise ConfigError(f"{option} needs --label: it is about labels")
            return None
        topics = label_topics_of(settings, model, choice)
        inside = any(topic.kind == "predictions" and topic.fields.label for topic in events)
        if not topics and not inside:
            raise ConfigError(
                "--label: no labels are read: --labels FILE… names recorded ones, --kafka reads those of a topic of kind labels, "
                "and topics.fields.label says where they stand inside predictions"
            )
        weighted = any(topic.fields.weight for topic in (*topics, *events))
        named = None if model.performance is None else model.performance.classes
        return cls(settings, model, choice, topics, inside, weighted, named)

    # --- events -----------------------------------------------------------------------------------------------------

    def take(self, columns: EventColumns, finder: FeatureFinder) -> None:
        """More rows, in the order in which they are read again."""
        rows = rows_of(PREDICTIONS, time=columns.times)
        if columns.ids is not None:
            rows["high"], rows["low"] = columns.ids.T
        rows["value"] = columns.numbers.get(PREDICTION, 0.0)
        if PREDICTION in columns.codes:
            said = columns.coded(PREDICTION, finder)
            known = [self._classes.setdefault(_text(text), len(self._classes)) for text in said.values]
            rows["value"] = np.array(known)[said.rows]
        self._parts.append(rows)
        self._scored |= any(map(is_score, columns.numbers))

    def see(self, chunk: Pieces) -> None:
        """The same as they are profiled, without what is left out: between what numbers predictions lie."""
        said = chunk.get(PREDICTION)
        if isinstance(said, Coded):
            counts = np.bincount(said.rows, minlength=len(said.values)).tolist()
            self._often.update(dict(zip(map(_text, said.values), counts, strict=True)))
            return
        if said is None:
            return
        numbers = as_written_floats(said)
        numbers = numbers[np.isfinite(numbers)]
        if numbers.size:
            self._span = min(self._span[0], float(numbers.min())), max(self._span[1], float(numbers.max()))

    # --- labels -----------------------------------------------------------------------------------------------------

    def join(self, finder: FeatureFinder, again: Callable[[], Iterator[EventColumns]]) -> LabelColumn:
        """Read the labels and find each row's; how they are to be counted. Raises RecordedError, ValueError and ConfigError."""
        column = self._counted_as(finder)
        truth = Truth(column.task or BINARY, column.threshold, column.positive, column.negative, weighted=self.weighted)
        self._meanings = LabelMeanings(truth)
        events = np.concatenate(self._parts)
        self._parts = []
        if self._classes:
            events["value"] = self._ranks()[events["value"].astype(np.int64)]
        join = Join(self._spec)
        if self.inside:
            join.add(no_rows(PREDICTIONS), self._inside(events, finder, again()))
        latest = LatestTimes()
        for labels in self._read(self._meanings):
            join.add(no_rows(PREDICTIONS), labels)
            latest.show(labels["time"])
        self._values = self._joined(join, events, latest.reached(int(events["time"].max())) if self.topics else None)
        self._refuse_without(truth, self._meanings)
        return column

    def _refuse_without(self, truth: Truth, meanings: LabelMeanings) -> None:
        """Raise ValueError, with what became of the labels, where none can be used, or none is the positive one."""
        why = "; ".join(self._said)
        if np.isnan(self._values).all():
            raise ValueError(f"--label: no event has a label that can be used; {why}")
        if truth.task == BINARY and not (self._values == 1).any():
            others = ", ".join(map(repr, meanings.others))
            raise ValueError(
                f"--label: no row has the positive label {truth.positive!r}; others are {others}: "
                f"name it by labels.positive (--positive); {why}"
            )

    def _ranks(self) -> Floats:
        """What each class is among those of the reference, by which the daemon chooses between predictions of one id and time; none comes last."""
        texts = sorted(self._classes, key=lambda text: (text is None, -self._often[text], "" if text is None else text))
        places = {text: place for place, text in enumerate(texts)}
        return np.array([places[text] for text in self._classes], dtype=np.float64)

    def _counted_as(self, finder: FeatureFinder) -> LabelColumn:
        predicted, choice = finder.features.get(PREDICTION), self.choice
        if predicted is None:
            raise ValueError("--label: no event has a prediction, and labels are the truth of it")
        chosen, labels = self.model.performance or PerformanceSettings(), self.model.labels or LabelsSettings()
        usual = BINARY if self._span[0] >= 0 and self._span[1] <= 1 else REGRESSION
        task = choice.task or chosen.task or (MULTICLASS if predicted.kind is Kind.CATEGORICAL else usual)
        return LabelColumn(
            LABEL,
            task,
            labels.positive if choice.positive is None else choice.positive,
            labels.negative if choice.negative is None else choice.negative,
            chosen.threshold if choice.threshold is None else choice.threshold,
            WEIGHED if self.weighted else None,
            OF_CLASS if self._scored and task == MULTICLASS else None,
        )

    @property
    def _age(self) -> Nanos:
        return (self.model.labels or LabelsSettings()).ages[-1]

    @property
    def _spec(self) -> JoinSpec:
        model = self.model
        return JoinSpec(model.window, model.slide or model.window, self._age, UNBOUNDED)

    def _inside(self, events: Rows, finder: FeatureFinder, again: Iterator[EventColumns]) -> Rows:
        """The labels that stand inside their predictions."""
        assert self._meanings is not None
        found, at, unusable, unfair = [no_rows(LABELS)], 0, 0, 0
        for columns in again:
            rows = events[at : at + columns.times.size]
            at += rows.size
            if LABELLED not in columns.codes:
                continue
            coded = columns.coded(LABELLED, finder)
            values = self._meanings.of(coded.values)[coded.rows]  # type: ignore[arg-type]  # texts and None
            there = np.array([text is not None for text in coded.values])[coded.rows]
            weights, fair = weights_in(columns.numbers.get(WEIGHT), rows.size)
            unusable += int(np.count_nonzero(there & np.isnan(values)))
            unfair += int(np.count_nonzero(~np.isnan(values) & ~fair))
            kept = (rows["high"] != 0) & ~np.isnan(values) & fair
            held = {name: rows[name][kept] for name in ("high", "low", "time")}
            found.append(rows_of(LABELS, **held, offset=INLINE, value=values[kept], weight=weights[kept]))
        if unusable:
            reason = INVALID if self._meanings.truth.task == REGRESSION else UNKNOWN
            self._said.append(f"{unusable:,} labels inside predictions were rejected: {reason} {unusable:,}")
        if unfair:
            self._said.append(f"{unfair:,} labels inside predictions were rejected: {WEIGHT_INVALID} {unfair:,}")
        return np.concatenate(found)

    def _read(self, meanings: LabelMeanings) -> Iterator[Rows]:
        """The labels that come by themselves. Raises RecordedError and ConfigError."""
        if not self.topics:
            return
        decoders = {topic.name: self._decoder(topic, meanings) for topic in self.topics}
        for _ in self._record(decoders).pieces():
            for decoder in decoders.values():
                yield from decoder.drain()
        for decoder in decoders.values():
            self._said += _refused(decoder)

    def _decoder(self, topic: TopicSettings, meanings: LabelMeanings) -> LearningLabels:
        fields = fields_of(topic)
        refuse_unknown_model(topic, fields, [model.name for model in self.settings.models])
        takers = [each.name for each in self.settings.models if _takes(each, topic)]
        decoder = LearningLabels(
            topic.name, self.model.name, takers, meanings, fields, topic.format, options=topic.options
        )
        refuse_without_id(topic, fields, [*decoder.series.values()])
        return decoder

    def _record(self, decoders: Mapping[str, LearningLabels]) -> Recorded:
        choice = self.choice
        if choice.kafka:
            longer = dict.fromkeys(decoders, self._age + self.model.window)
            return range_of_topics(self.settings, decoders, range_of(choice.first, choice.until), longer)
        (decoder,) = decoders.values()
        return files_of(sorted(choice.labels), decoder, dialect_of(choice.delimiter, choice.decimal), "--labels")

    def _joined(self, join: Join, events: Rows, until: Nanos | None) -> Floats:
        """The label of each row, NaN where there is none. Panes that `until` has not passed by the age at which they are judged have none."""
        values, spec = np.full(events.size, np.nan), join.spec
        self._weights = np.ones(events.size)
        order = np.argsort(events["time"], kind="stable")
        panes = events["time"][order] // spec.slide
        edges = [*np.flatnonzero(np.diff(panes, prepend=panes[0] - 1)).tolist(), panes.size]
        tallies: Counter[str] = Counter()
        waiting = 0
        for first, last in pairwise(edges):
            start = int(panes[first]) * spec.slide
            if until is not None and start + spec.slide + spec.wait > until:
                waiting += last - first
                continue
            rows = _one_an_id(events, order[first:last])
            matched = join.match(events[rows], start, spec.wait)
            values[rows], self._weights[rows] = matched.labels, matched.weights
            tallies.update(matched.tallies)
        self._said += self._words(tallies, waiting, events.size)
        return values

    def column(self) -> LabelSlices:
        """The labels of all rows, in their order."""
        assert self._meanings is not None
        columns: dict[str, Column] = {LABEL: self._meanings.column(self._values)}
        return LabelSlices(columns | ({WEIGHED: self._weights} if self.weighted else {}))

    # --- what is to be known ----------------------------------------------------------------------------------------

    def _words(self, tallies: Mapping[str, int], waiting: int, rows: int) -> Iterator[str]:
        names = ("joined", "corrected", "withdrawn")
        counts = ", ".join(f"{tallies.get(name, 0):,} {name}" for name in names)
        yield f"labels of {rows:,} events: {counts}"
        if waiting:
            yield (
                f"{waiting:,} events are without a label, for theirs may still come: the record ends before "
                f"their windows are {show_duration(self._age)} old (labels.wait, judge_at)"
            )

    def words(self) -> Sequence[str]:
        """What became of the labels."""
        return self._said


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def label_topics_of(settings: Settings, model: ModelSettings, choice: FitChoice) -> list[TopicSettings]:
    """The topics that a model's labels are read from. Raises ConfigError."""
    if choice.kafka and choice.labels:
        raise ConfigError("--labels FILE… goes with --input FILE…; with --kafka the topics of labels are read")
    if choice.label_topic is not None and not choice.labels:
        raise ConfigError(f"--label-topic {choice.label_topic}: needs --labels FILE…")
    taken = [topic for topic in settings.topics if topic.kind == "labels" and _takes(model, topic)]
    if choice.kafka or not choice.labels:
        return taken if choice.kafka else []
    topic = label_topic_of(settings, choice.label_topic or (taken[0].name if taken else None))
    if topic not in taken:
        raise ConfigError(f"--labels: models.{model.name} takes no labels from {topic.name} (models.labels)")
    return [topic]


def _takes(model: ModelSettings, topic: TopicSettings) -> bool:
    return model.labels is not None and model.labels.topic in {None, topic.name}


def _one_an_id(events: Rows, places: Ints) -> Ints:
    """The places of the first event of each id of a pane, as the join wants them; of those without an id none."""
    places = places[events["high"][places] != 0]
    ordered = places[order_by_hash_and_time(events[places])]
    return ordered[firsts(events[ordered])]


def _refused(decoder: LearningLabels) -> Iterator[str]:
    if decoder.reasons:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in decoder.reasons.most_common(3))
        yield f"{decoder.topic}: {decoder.reasons.total():,} labels were rejected: {reasons}; `driftd explain --topic {decoder.topic}` shows why"
    if count := decoder.counts["unmonitored"]:
        yield f"{decoder.topic}: {count:,} labels are of models that have none configured"
