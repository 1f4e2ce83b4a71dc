"""`driftd reference fit --config`: the reference from the very events, read as the daemon reads them."""

import fnmatch
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, count
from pathlib import Path

import numpy as np

from detectors import Kind, LabelColumn, Reference
from detectors.calibration.holidays import Holidays, calendar_of
from detectors.reference.grouping import GroupColumn
from detectors.reference.service import ERROR, LATENCY, ServedColumns, as_columns_of
from detectors.sketches.served import UNKNOWN
from monitor.app import HALVES_LEFT_OUT, fields_of, refuse_half, refuse_unknown_model, refuse_without_id
from monitor.backtest.recorded import EmptyRecordError, Recorded, RecordedError
from monitor.backtest.replay import Range
from monitor.commands.dialect import dialect_of
from monitor.commands.event_labels import EventLabels, LabelSlices
from monitor.commands.excluded import ExcludedSpan, Exclusion
from monitor.commands.exits import Exit
from monitor.commands.progress import ProgressLine
from monitor.commands.records import files_of, holds_lines, range_of, range_of_topics, topic_of
from monitor.commands.reference import FitChoice, check_output, hand_over, is_span, parse_kinds, say
from monitor.sections import parse_duration
from monitor.settings import ConfigError, Settings, load_settings
from monitor.settings.schema import ModelSettings, TopicSettings
from monitor.sources.ahead import ahead
from monitor.sources.decode.class_scores import is_score
from monitor.sources.decode.finding import FeatureFinder
from monitor.sources.decode.learner import EventColumns, LearningDecoder, joined
from monitor.sources.decode.shaping import ShapedDecoder
from monitor.sources.decode.spool import Spool
from monitor.sources.formats.fields import LABELLED, SAMPLING, WEIGHT, FieldMap
from monitor.sources.formats.logged import LogDecoder
from monitor.sources.formats.values import LATEST_NANOS
from monitor.sources.tables.base import TableError
from monitor.sources.tables.files import Pieces
from monitor.stream.events import Nanos, SeriesKey

TIME = "event time"  # of the rows; beside features, none of which is called so by the mapping
GROUP = "group of the row"  # likewise
SHOWN_LEFT_OUT = 20
SHOWN_FOUND = 50


def fit_events(choice: FitChoice) -> Exit:
    """Profile the events of one model into its reference. Raises ConfigError."""
    assert choice.config is not None
    refuse_mapped(choice)
    settings = load_settings(choice.config)
    model = model_of(settings, choice.model, choice.version)
    output = choice.output or choice.config.resolve().parent / model.reference
    check_output(output, [*choice.inputs, *choice.labels, choice.config])
    window = window_of(choice, model)
    learning = ModelEvents.begin(settings, model, choice)
    excluded = [ExcludedSpan.parse(text) for text in choice.exclude or () if is_span(text)]
    within = range_of(choice.first, choice.until)
    recorded = learning.record(choice, within)
    progress = ProgressLine(terminal=sys.stderr.isatty())
    calendar = calendar_for(choice, model, choice.config.resolve().parent)
    try:
        reference = learning.profile(
            recorded, Range() if choice.kafka else within, window, calendar, excluded, progress
        )
        refuse_misnamed(choice, learning.finder)
    except (RecordedError, TableError, ValueError) as error:
        if learning.taken:
            refuse_misnamed(choice, learning.finder)  # which may be why there is nothing to profile
        raise ConfigError(str(error)) from None
    except OSError as error:
        raise ConfigError(
            f"events cannot be kept while they are counted: {error.strerror or error}; TMPDIR says where"
        ) from None
    finally:
        progress.done()
    for line in (*learning.words(), *recorded.notes):
        say(line)
    return hand_over(reference, output, window, asked_kinds(choice, reference.names), as_json=choice.json)


def asked_kinds(choice: FitChoice, names: Collection[str]) -> dict[str, Kind]:
    """The features whose kind somebody has given, by name or by pattern."""
    finder = FeatureFinder(FieldMap(), kinds=parse_kinds(choice.kinds or []))
    return {name: kind for name in names if (kind := finder.kind_asked(name)) is not None}


def refuse_mapped(choice: FitChoice) -> None:
    """Raise ConfigError for what the configuration's mapping says already, and for no or two kinds of input."""
    for option, value in (
        ("--timestamp", choice.timestamp),
        ("--prediction", choice.prediction),
        ("--group", choice.group),
        ("--label", choice.label or None),
        ("--weight", choice.weight),
        ("--scores", choice.scores),
        ("--fine", choice.fine or None),
        ("--sampling", choice.sampling),
    ):
        if value is not None:
            raise ConfigError(f"{option}: the configuration says it, in topics.fields")
    if choice.any_order:
        raise ConfigError("--any-order is for tables: events are counted in the order of their topics")
    if (asked := choice.latency or choice.error) is not None:
        raise ConfigError(
            f"{'--latency' if choice.latency else '--error'} {asked}: is a column of a table; with --config it is topics[].fields that names the path"
        )
    if choice.kafka == bool(choice.inputs):
        raise ConfigError("reference fit --config needs --input FILE… or --kafka, and not both")


def refuse_misnamed(choice: FitChoice, finder: FeatureFinder) -> None:
    """Raise ConfigError for a name or pattern of the command line that nothing in the events is called."""
    found = finder.names
    beside = {*finder.envelope, *finder.fields.prediction[-1:]}  # named for nothing, but not by mistake
    for option, asked, known in (
        ("--columns", choice.columns or (), {*found, *finder.fields.prediction[-1:]}),
        ("--kind", parse_kinds(choice.kinds or []), found),
        ("--exclude", [text for text in choice.exclude or () if not is_span(text)], {*found, *beside}),
    ):
        for name in asked:
            if name not in known and (option == "--columns" or not fnmatch.filter(known, name)):
                more = f" and {len(found) - SHOWN_FOUND} more" if len(found) > SHOWN_FOUND else ""
                there = ", ".join([*found][:SHOWN_FOUND])
                raise ConfigError(f"{option}: no feature of the events is called {name}; there are {there}{more}")


def model_of(settings: Settings, name: str | None, version: str | None) -> ModelSettings:
    """The model that is meant. Raises ConfigError."""
    meant = [
        model for model in settings.models if name in {None, model.name} and version in {None, model.series_version}
    ]
    if len(meant) == 1:
        return meant[0]
    there_is = ", ".join(f"{model.name} version {model.series_version}" for model in meant or settings.models)
    asked = " ".join(f"{option} {value}" for option, value in (("--model", name), ("--version", version)) if value)
    raise ConfigError(f"{asked or 'reference fit'}: name one by --model and --version; there is {there_is}")


def window_of(choice: FitChoice, model: ModelSettings) -> Nanos:
    """The window that the calibration is learnt from: the model's own where none is named. Raises ConfigError."""
    if choice.window is None:
        return model.window
    try:
        window = parse_duration(choice.window)
    except ValueError as error:
        raise ConfigError(f"--window {choice.window}: {error}") from None
    if window <= 0:
        raise ConfigError(f"--window {choice.window}: must be longer than zero")
    return window


def calendar_for(choice: FitChoice, model: ModelSettings, base: Path) -> Holidays:
    """The calendar asked for, else the model's. Raises ConfigError."""
    own = model.holidays
    if isinstance(own, str) and (base / own).is_file():
        own = str(base / own)
    try:
        return calendar_of(choice.holidays or own or (), choice.timezone or model.timezone)
    except ValueError as error:
        raise ConfigError(f"--{error}") from None


@dataclass(slots=True)
class ModelEvents:
    """One model's events on their way to a reference: a decoder a topic, what was found in all of them, counts."""

    settings: Settings
    topics: Sequence[TopicSettings]
    finders: dict[str, FeatureFinder]
    decoders: dict[str, LearningDecoder]
    outside: int = 0
    excluded: Exclusion | None = None
    taken: int = 0
    ungrouped: str = ""  # why rows are taken for independent, where a mapping says what they belong to
    labels: EventLabels | None = None
    threads: int = 1

    @classmethod
    def begin(cls, settings: Settings, model: ModelSettings, choice: FitChoice) -> "ModelEvents":
        """Make the decoders. Raises ConfigError."""
        several = choice.kafka and choice.topic is None
        topics = list(settings.event_topics) if several else [topic_of(settings, choice.topic)]
        keys = [SeriesKey(each.name, each.series_version) for each in settings.models]
        ours = SeriesKey(model.name, model.series_version)
        labels = EventLabels.begin(settings, model, choice, topics)
        found = shared_finder(choice, labelled=labels is not None)
        finders, decoders = {}, {}
        for topic in topics:
            refuse_half(topic)
            fields = fields_of(topic)
            refuse_unknown_model(topic, fields, [key.model for key in keys])
            finder = found(topic)
            finders[topic.name] = finder
            decoder = LearningDecoder(
                topic.name,
                keys,
                ours,
                fields,
                finder,
                topic.format,
                joined=labels is not None and fields.predicts,
                weighted=labels is not None and labels.weighted,
                classes=() if labels is None else labels.classes,
                options=topic.options,
            )
            decoders[topic.name] = decoder
            if labels is not None:
                refuse_without_id(topic, fields, [decoder.series[ours]] if fields.predicts else [])
        return cls(settings, topics, finders, decoders, labels=labels, threads=choice.threads)

    def record(self, choice: FitChoice, within: Range) -> Recorded:
        """The events that are meant. Raises ConfigError."""
        if choice.kafka:
            return range_of_topics(self.settings, self.decoders, within, threads=self.threads)
        (decoder,) = self.decoders.values()
        dialect = dialect_of(choice.delimiter, choice.decimal)
        inputs = sorted(choice.inputs)  # so that their order on the command line tells nothing
        if not holds_lines(inputs) and not isinstance(decoder.bare, LogDecoder):
            from monitor.backtest.tables import find_features, find_inside, score_names

            try:
                if isinstance(decoder.format, ShapedDecoder):
                    find_inside(inputs, decoder, decoder.finder, dialect)
                else:
                    find_features(inputs, decoder.fields, decoder.finder, dialect)
                decoder.learn_classes(score_names(inputs, decoder.fields, dialect))
            except TableError as error:
                raise ConfigError(str(error)) from None
            refuse_misnamed(choice, decoder.finder)
            decoder.build_anew()
        return files_of(inputs, decoder, dialect)

    @property
    def finder(self) -> FeatureFinder:
        """One of the finders: what was found is the same in all."""
        return next(iter(self.finders.values()))

    # --- two passes -------------------------------------------------------------------------------------------------

    def profile(
        self,
        recorded: Recorded,
        within: Range,
        window: Nanos,
        calendar: Holidays,
        excluded: list[ExcludedSpan],
        progress: ProgressLine,
    ) -> Reference:
        """Read the record once, and what was kept of it again. Raises RecordedError, ValueError and OSError."""
        self.excluded = Exclusion(excluded, TIME) if excluded else None
        with Spool() as spool:
            first, label = self._first(recorded, within, spool), None
            if self.labels is not None:
                label = self._labelled(self.labels, first, spool)
                first = self._again(spool)
            passes = chain([first], (self._again(spool) for _ in count()))
            reference = self._fitted(lambda: next(passes), window, calendar, progress, label)
        progress.done()
        return reference

    def _labelled(self, labels: EventLabels, first: Iterator[Pieces], spool: Spool) -> LabelColumn:
        """Read all events, then their labels, and join them. Raises RecordedError, ValueError and OSError."""
        for chunk in first:
            labels.see(chunk)
        if not self.taken:
            raise ValueError(self._nothing())
        return labels.join(self.finder, spool.read)

    def _fitted(
        self,
        chunks: Callable[[], Iterator[Pieces]],
        window: Nanos,
        calendar: Holidays,
        progress: ProgressLine,
        label: LabelColumn | None,
    ) -> Reference:
        try:
            return Reference.fit_chunks(
                chunks,
                timestamp=TIME,
                window_ns=window,
                progress=lambda rows: progress.show(
                    f"read {rows:,} rows ({'two' if self._served is None else 'four'} passes)"
                ),
                calendar=calendar,
                group=GroupColumn(GROUP, hashed=True, few=self._few) if self._group else None,
                label=label,
                served=self._served,
                threads=self.threads,
                sampling=SAMPLING,
            )
        except ValueError as error:
            raise (error if self.taken or not isinstance(error, ValueError) else ValueError(self._nothing())) from error

    def _nothing(self) -> str:
        """Why there is no row to profile."""
        return "no event is of the model" + "".join(f"; {line}" for line in self._refused())

    def _first(self, recorded: Recorded, within: Range, spool: Spool) -> Iterator[Pieces]:
        chunks = self._ahead(self._read(recorded, within, spool))
        return chunks if self.excluded is None else self.excluded.without(chunks)

    def _ahead(self, pieces: Iterator[Pieces]) -> Iterator[Pieces]:
        return ahead(pieces) if self.threads > 1 else pieces

    def _again(self, spool: Spool) -> Iterator[Pieces]:
        labels = None if self.labels is None else self.labels.column()
        chunks = self._ahead(self._pieces(columns, labels) for columns in spool.read())
        return chunks if self.excluded is None else Exclusion(self.excluded.spans, TIME).without(chunks)

    def _read(self, recorded: Recorded, within: Range, spool: Spool) -> Iterator[Pieces]:
        try:
            for columns in joined(self._drained(recorded, within)):
                if self.labels is not None:
                    self.labels.take(columns, self.finder)
                spool.write(replace(columns, ids=None))
                yield self._pieces(columns)
        except EmptyRecordError as error:
            raise ValueError(str(error)) from None

    def _drained(self, recorded: Recorded, within: Range) -> Iterator[EventColumns]:
        for _ in recorded.pieces():
            for decoder in self.decoders.values():
                for columns in decoder.drain():
                    kept = self._within(columns, within)
                    if kept.times.size:
                        self.taken += kept.times.size
                        yield kept

    def _within(self, columns: EventColumns, within: Range) -> EventColumns:
        if not within.limited:
            return columns
        first, until = within.first or -LATEST_NANOS, within.until or LATEST_NANOS
        which = (columns.times >= first) & (columns.times < until)
        self.outside += int(which.size - np.count_nonzero(which))
        return columns.where(which)

    def _pieces(self, columns: EventColumns, labels: LabelSlices | None = None) -> Pieces:
        pieces: Pieces = {**columns.columns(self.finder), TIME: columns.times.view("datetime64[ns]")}
        beside = (LABELLED, WEIGHT, *(name for name in pieces if is_score(name) and labels is None))
        for name in beside:  # what stands inside events; what counts may have come later
            pieces.pop(name, None)
        if labels is not None:
            pieces |= labels.next(columns.times.size)
        groups = columns.groups
        if self._group and groups is None:  # of a topic whose mapping names none
            groups = np.zeros(columns.times.size, dtype=np.uint64)
        if self._served is not None:
            nothing = np.full((columns.times.size, 2), UNKNOWN, dtype=np.int16)
            said = as_columns_of(nothing if columns.served is None else columns.served)
            pieces |= {name: said[name] for name in self._served.names}
        pieces |= {} if columns.percent is None else {SAMPLING: columns.percent}
        return pieces if groups is None else pieces | {GROUP: groups}

    @property
    def _served(self) -> ServedColumns | None:
        """What the mapping says of requests; None where it names neither of their paths."""
        fields = [each.fields for each in self.decoders.values()]
        latency, error = any(each.latency for each in fields), any(each.error for each in fields)
        return ServedColumns(LATENCY if latency else None, 1.0, ERROR if error else None) if latency or error else None

    @property
    def _group(self) -> str:
        """What rows are grouped by, as the mapping calls it; empty where they are not."""
        return next((".".join(each.fields.group) for each in self.decoders.values() if each.fields.group), "")

    def _few(self, said: int, events: int) -> None:
        """Hear that too few say what they belong to."""
        self.ungrouped = f"{said:,} of {events:,} events say what they belong to in {self._group}: too few, rows are taken for independent"

    # --- what is to be known ----------------------------------------------------------------------------------------

    def words(self) -> Iterator[str]:
        """What was not taken, and why."""
        finder = self.finder
        for name, reason in list(finder.left_out.items())[:SHOWN_LEFT_OUT]:
            yield f"left out {name}: {reason}"
        yield from list(finder.odd.values())[:SHOWN_LEFT_OUT]
        yield from self._refused()
        if self.labels is not None:
            yield from self.labels.words()
        if self.ungrouped:
            yield self.ungrouped
        if self.excluded is not None:
            yield f"left out {self.excluded.rows:,} rows by --exclude"

    def _refused(self) -> Iterator[str]:
        for decoder in self.decoders.values():
            if decoder.reasons:
                reasons = ", ".join(f"{reason} {count:,}" for reason, count in decoder.reasons.most_common(3))
                yield f"{decoder.topic}: {decoder.reasons.total():,} events were rejected: {reasons}; `driftd explain` shows why"
            if decoder.halves:
                yield f"{decoder.topic}: left out {decoder.halves:,} {HALVES_LEFT_OUT}"
            if count := decoder.counts["unmonitored"]:
                yield f"{decoder.topic}: {count:,} events are of models that are not configured"
        if self.outside:
            yield f"left out {self.outside:,} events outside --from and --until"


def shared_finder(choice: FitChoice, *, labelled: bool) -> Callable[[TopicSettings], FeatureFinder]:
    """Gives each topic a finder that knows its mapping; all of them collect the same features."""
    kinds = parse_kinds(choice.kinds or [])
    shared: list[FeatureFinder] = []

    def finder(topic: TopicSettings) -> FeatureFinder:
        fields = fields_of(topic)
        made = FeatureFinder(
            fields,
            predicted=fields.predicts,
            labelled=labelled and fields.predicts and bool(fields.label),
            only=choice.columns,
            kinds=kinds,
            without=[text for text in choice.exclude or () if not is_span(text)],
            identifier=fields.id,
        )
        if shared:
            made.features, made.left_out, made.order, made.odd = (
                shared[0].features,
                shared[0].left_out,
                shared[0].order,
                shared[0].odd,
            )
        shared.append(made)
        return made

    return finder
