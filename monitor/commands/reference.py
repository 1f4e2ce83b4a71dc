"""`driftd reference fit`: a data set's profile."""

import fnmatch
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, count
from pathlib import Path

from detectors import Kind, LabelColumn, Reference
from detectors.calibration.holidays import Holidays, calendar_of
from detectors.encoding import PREDICTION
from detectors.reference.reference import TIMES
from detectors.reference.service import ERROR, LATENCY, ServedColumns
from detectors.univariate.volume import FEATURE as VOLUME
from monitor.commands.calibration import learnt, misgivings
from monitor.commands.dialect import dialect_of
from monitor.commands.excluded import ExcludedSpan, Exclusion
from monitor.commands.exits import Exit
from monitor.commands.progress import ProgressLine
from monitor.commands.remarks import failing, remarks
from monitor.commands.selfreport import remedies, unseen
from monitor.commands.served import served as requests_of
from monitor.commands.shares import in_percent, refuse_odd_sampling
from monitor.commands.show import print_document
from monitor.commands.worth import worth
from monitor.sections import parse_duration
from monitor.settings import ConfigError
from monitor.sources.decode.finding import is_identifier
from monitor.sources.formats.values import DATE, UNITS
from monitor.sources.tables import csv, parquet
from monitor.sources.tables.arrow import so_many_threads
from monitor.sources.tables.base import TableError
from monitor.sources.tables.files import Pieces, chunks, look
from monitor.sources.tables.shape import Shape
from monitor.sources.tables.times import TimeColumn
from monitor.stream.events import SECOND

OUR_NAMES = frozenset({PREDICTION, VOLUME, TIMES, LATENCY, ERROR})
INDEXES = frozenset({parquet.INDEX, csv.INDEX})  # left out, but where they are named
DEFAULT_WINDOW = "5m"
ENVELOPE = frozenset({"model", "version"})  # columns that only events have
SHOWN_LACKING = 5


@dataclass(frozen=True, slots=True)
class FitChoice:
    """What the command line asked for."""

    inputs: list[Path]
    output: Path | None
    columns: list[str] | None = None
    prediction: str | None = None
    timestamp: str | None = None
    group: str | None = None
    label: str | None = None  # empty: named without a column, which only a configuration can tell
    weight: str | None = None
    scores: str | None = None  # how the columns of scores begin
    labels: list[Path] = field(default_factory=list)
    label_topic: str | None = None
    latency: str | None = None
    latency_unit: str | None = None
    error: str | None = None
    fine: list[str] = field(default_factory=list)
    sampling: str | None = None
    sampling_unit: str | None = None
    task: str | None = None
    positive: str | None = None
    negative: str | None = None
    threshold: float | None = None
    timestamp_unit: str = "ms"
    window: str | None = None
    kinds: list[str] | None = None
    timezone: str | None = None
    holidays: str | None = None
    exclude: list[str] | None = None
    delimiter: str = ","
    decimal: str = "."
    json: bool = False
    config: Path | None = None
    model: str | None = None
    version: str | None = None
    topic: str | None = None
    kafka: bool = False
    first: str | None = None
    until: str | None = None
    threads: int = 1
    any_order: bool = False

    def of_labels(self, column: str) -> bool:
        """Whether a column is that of labels, of their weights, or of scores of classes."""
        scored = self.scores is not None and column.startswith(self.scores)
        return column in {self.label, self.weight} or scored

    @property
    def target(self) -> Path:
        """Where the reference is written. Raises ConfigError."""
        if self.output is None:
            raise ConfigError("--output is missing: it names the file that the reference is written to")
        return self.output


def fit(choice: FitChoice) -> Exit:
    """Profile a data set into a reference file. Raises ConfigError."""
    refuse_events_only(choice)
    given = parse_kinds(choice.kinds or [])
    window = parse_window(choice)
    calendar = parse_calendar(choice)
    refuse_timeless_group(choice)
    label = parse_label(choice)
    served = parse_served(choice)
    refuse_odd_sampling(
        choice.sampling,
        choice.sampling_unit,
        {
            "--timestamp": choice.timestamp,
            "--prediction": choice.prediction,
            "--group": choice.group,
            "--label": choice.label,
            "--latency": choice.latency,
            "--error": choice.error,
        },
    )
    excluded = parse_excluded(choice)
    check_output(choice.target, choice.inputs)
    progress = ProgressLine(terminal=sys.stderr.isatty())
    try:
        dialect = dialect_of(choice.delimiter, choice.decimal)
        inputs = sorted(choice.inputs)  # so that their order on the command line tells nothing
        shape = look(inputs, lambda rows: progress.show(f"looked at {rows:,} rows"), dialect)
        progress.done()
        kinds = spread(given, shape, choice)
        wanted = features_of(choice, shape, kinds, given)
        with so_many_threads(choice.threads):
            reference = profile(choice, shape, wanted, kinds, window, calendar, excluded, progress, label, served)
    except (TableError, ValueError) as error:
        raise ConfigError(str(error)) from None
    finally:
        progress.done()
    return hand_over(reference, choice.target, window, kinds, as_json=choice.json)


def refuse_events_only(choice: FitChoice) -> None:
    """Raise ConfigError for what only the mapping of a configuration can tell, and for nothing to read."""
    only = {"--kafka": choice.kafka, "--model": choice.model, "--version": choice.version, "--topic": choice.topic}
    labels = {"--labels": choice.labels, "--label-topic": choice.label_topic}
    for option, value in {**only, **labels, "--from": choice.first, "--until": choice.until}.items():
        if value:
            raise ConfigError(f"{option} needs --config: the configuration says how messages are read")
    if not choice.inputs:
        raise ConfigError("reference fit needs --input FILE…, or --config driftd.yaml with --kafka or --input")


def hand_over(
    reference: Reference, output: Path, window: int | None, kinds: Mapping[str, Kind], *, as_json: bool
) -> Exit:
    """Write a reference and say what it is. Raises ConfigError."""
    try:
        reference.save(output)
    except OSError as error:
        raise ConfigError(f"{output}: cannot be written: {error.strerror or error}") from None
    for name, feature in reference.features.items():
        if not feature.count:
            say(f"{name} holds no value of its kind, {feature.kind.value}; --columns can leave it out")
    for line in (*remarks(reference, kinds), *failing(reference), *misgivings(reference), *remedies(reference)):
        say(line)
    if as_json:
        print_document(output, reference)
        return Exit.OK
    numeric = len(reference.layout.numeric)
    print(
        f"{output}: {reference.rows:,} rows, {numeric} numeric and {len(reference.names) - numeric} categorical "
        f"features, hash {reference.hash}"
    )
    if (hidden := unseen(reference)) is not None:
        print(hidden)
    print(learnt(reference, window))
    for said in filter(None, (worth(reference), requests_of(reference))):
        print(said)
    return Exit.OK


def profile(
    choice: FitChoice,
    shape: Shape,
    wanted: list[str],
    kinds: dict[str, Kind],
    window: int | None,
    calendar: Holidays,
    excluded: list[ExcludedSpan],
    progress: ProgressLine,
    label: LabelColumn | None = None,
    served: ServedColumns | None = None,
) -> Reference:
    """Read the files twice. Raises TableError and ValueError."""
    settled = {**settled_kinds(shape, wanted), **kinds}
    exact = [] if choice.group is None else [choice.group]
    of_labels = [name for name in shape.columns if label is not None and label.holds(name)]
    beside = [*([] if served is None else served.names), *([] if choice.sampling is None else [choice.sampling])]
    read = [*wanted, *of_labels, *beside, *exact]
    time = None if choice.timestamp is None else TimeColumn(choice.timestamp, UNITS[choice.timestamp_unit])
    times = chain([time], (None if time is None else replace(time) for _ in count()))  # absent ones are counted once

    first = Exclusion(excluded, choice.timestamp or "")
    exclusions = chain([first], (replace(first) for _ in count()))

    def passes() -> Iterator[Pieces]:
        pieces = chunks(sorted(choice.inputs), shape, read, next(times), kinds, exact, choice.threads)
        pieces = in_percent(pieces, choice.sampling, choice.sampling_unit)
        return next(exclusions).without(pieces) if excluded else pieces

    reference = Reference.fit_chunks(
        passes,
        kinds=settled,
        prediction=choice.prediction,
        timestamp=choice.timestamp,
        window_ns=window,
        progress=lambda rows: progress.show(f"read {rows:,} rows ({passes_of(choice, served)} passes)"),
        calendar=calendar,
        group=choice.group,
        label=label,
        served=served,
        threads=choice.threads,
        sampling=choice.sampling,
        any_order=choice.any_order,
    )
    progress.done()
    if excluded:
        say(f"left out {first.rows:,} rows by --exclude")
    if time is not None and time.absent:
        say(f"{time.name}: {time.absent:,} of {reference.rows:,} rows have no time; they are profiled all the same")
    return reference


def passes_of(choice: FitChoice, served: ServedColumns | None) -> str:
    """How often the files are read."""
    return "two or more" if choice.any_order else "two" if served is None else "four"


def settled_kinds(shape: Shape, wanted: list[str]) -> dict[str, Kind]:
    """The kinds of the columns in all files together, where something tells them."""
    numeric = {name: shape.numeric(name) for name in wanted}
    coded = {name for name, tally in shape.texts.items() if tally.codes}
    return {
        name: Kind.NUMERIC if is_number and name not in coded else Kind.CATEGORICAL
        for name, is_number in numeric.items()
        if is_number is not None
    }


def say(text: str) -> None:
    """Something to know that is no error."""
    print(f"driftd: {text}", file=sys.stderr)


def check_output(output: Path, inputs: Sequence[Path]) -> None:
    """Refuse an output that cannot be meant, before hours of reading. Raises ConfigError."""
    if any(output.resolve() == path.resolve() for path in inputs):
        raise ConfigError(f"--output {output}: is one of the inputs")
    if output.is_dir():
        raise ConfigError(f"--output {output}: is a directory; name a file")
    if not output.parent.is_dir():
        raise ConfigError(f"--output {output}: cannot be written: there is no directory {output.parent}")
    if not os.access(output if output.exists() else output.parent, os.W_OK):
        raise ConfigError(f"--output {output}: cannot be written: permission denied")


def parse_kinds(texts: list[str]) -> dict[str, Kind]:
    """`COL=numeric` to kinds. Raises ConfigError."""
    kinds = {}
    for text in texts:
        name, separator, kind = text.rpartition("=")
        if not separator or kind not in {one.value for one in Kind}:
            raise ConfigError(f"--kind {text}: must be COLUMN=numeric or COLUMN=categorical")
        kinds[name] = Kind(kind)
    return kinds


def spread(given: dict[str, Kind], shape: Shape, choice: FitChoice) -> dict[str, Kind]:
    """Kinds by column, of names and globs; a column's own name counts first, then the last glob. Raises ConfigError."""
    kinds: dict[str, Kind] = {}
    for pattern, kind in given.items():
        if pattern in shape.columns or not is_glob(pattern):
            continue
        matched = [name for name in fnmatch.filter(shape.columns, pattern) if can_be_feature(name, shape, choice)]
        if not matched:
            raise ConfigError(
                f"--kind {pattern}={kind}: no column is called so; there are {', '.join(shape.columns[:50])}"
            )
        kinds |= dict.fromkeys(matched, kind)
    return kinds | {name: kind for name, kind in given.items() if name in shape.columns or not is_glob(name)}


def is_glob(text: str) -> bool:
    """Whether a text stands for several names."""
    return any(mark in text for mark in "*?[")


def can_be_feature(name: str, shape: Shape, choice: FitChoice) -> bool:
    """Whether nothing stands in the way of a column that only a glob names."""
    if (
        name in {choice.timestamp, choice.label, choice.latency, choice.error, choice.sampling}
        or name in shape.left_out
        or name in excluded_columns(choice, shape)
    ):
        return False
    return choice.columns is None or name in {*choice.columns, choice.prediction}


def excluded_columns(choice: FitChoice, shape: Shape) -> set[str]:
    """The columns that `--exclude` names. Raises ConfigError for a name that no column has."""
    found: set[str] = set()
    for text in choice.exclude or ():
        if text in shape.columns:
            found.add(text)
        elif not is_span(text):
            matched = fnmatch.filter(shape.columns, text)
            if not matched:
                columns = ", ".join(shape.columns[:50])
                raise ConfigError(
                    f"--exclude {text}: is no FROM..TO such as 2026-11-01..2026-11-03 and no column; there are {columns}"
                )
            found |= set(matched)
    return found


def is_span(text: str) -> bool:
    """Whether a word after `--exclude` is a span of time, not a column."""
    return ".." in text or DATE.match(text) is not None


def parse_window(choice: FitChoice) -> int | None:
    """`--window` in nanoseconds, where there is a timestamp to cut windows by. Raises ConfigError."""
    if choice.timestamp is None:
        if choice.window is not None:
            raise ConfigError("--window needs --timestamp: windows are cut by event time")
        return None
    text = choice.window or DEFAULT_WINDOW
    try:
        window = parse_duration(text)
    except ValueError as error:
        raise ConfigError(f"--window {text}: {error}") from None
    if window <= 0:
        raise ConfigError(f"--window {text}: must be longer than zero")
    return window


def parse_calendar(choice: FitChoice) -> Holidays:
    """`--timezone` and `--holidays`, where there is a timestamp. Raises ConfigError."""
    for option, value in (("--timezone", choice.timezone), ("--holidays", choice.holidays)):
        if choice.timestamp is None and value is not None:
            raise ConfigError(f"{option} needs --timestamp: hours and days are those of the event time")
    try:
        return calendar_of(choice.holidays or (), choice.timezone)
    except ValueError as error:
        raise ConfigError(f"--{error}") from None


def refuse_timeless_group(choice: FitChoice) -> None:
    """Raise ConfigError where there are no windows that rows of one group could be in."""
    if choice.group is not None and choice.timestamp is None:
        raise ConfigError("--group needs --timestamp: rows come together in windows of event time")
    if choice.group is not None and choice.group == choice.timestamp:
        raise ConfigError(f"--group: {choice.group} is the --timestamp")


def label_settings(choice: FitChoice) -> dict[str, str | float]:
    """What the command line says of how labels are read."""
    how: dict[str, str | float | None] = {"weight": choice.weight, "scores": choice.scores}
    how |= {
        "task": choice.task,
        "positive": choice.positive,
        "negative": choice.negative,
        "threshold": choice.threshold,
    }
    return {name: value for name, value in how.items() if value is not None}


def label_option(choice: FitChoice) -> str | None:
    """The first option about labels that was given."""
    return "--label" if choice.label is not None else next((f"--{name}" for name in label_settings(choice)), None)


def parse_label(choice: FitChoice) -> LabelColumn | None:
    """`--label` with what says how it is read. Raises ConfigError."""
    if choice.label is None:
        if (option := label_option(choice)) is not None:
            raise ConfigError(f"{option} needs --label: the column of what came true")
        return None
    if not choice.label:
        raise ConfigError("--label: name the column of what came true; with --config the mapping says where it stands")
    if choice.prediction is None:
        raise ConfigError("--label needs --prediction: labels are the truth of it")
    for option, name in (
        ("--prediction", choice.prediction),
        ("--timestamp", choice.timestamp),
        ("--group", choice.group),
    ):
        if choice.label == name:
            raise ConfigError(f"--label: {name} is the {option}")
        if name is not None and choice.of_labels(name):
            raise ConfigError(f"{'--weight' if choice.weight == name else '--scores'}: {name} is the {option}")
    try:
        return LabelColumn(choice.label, **label_settings(choice))  # type: ignore[arg-type]  # each of its own type
    except ValueError as error:
        raise ConfigError(f"--label {choice.label}: {error}") from None


def parse_served(choice: FitChoice) -> ServedColumns | None:
    """`--latency` and `--error`. Raises ConfigError."""
    if choice.latency_unit is not None and choice.latency is None:
        raise ConfigError("--latency-unit needs --latency: the column of what requests took")
    if choice.fine and choice.error is None:
        raise ConfigError("--fine needs --error: the column that says whether requests failed")
    if choice.latency is None and choice.error is None:
        return None
    taken = {"--prediction": choice.prediction, "--timestamp": choice.timestamp, "--group": choice.group}
    taken |= {"--label": choice.label}
    for option, name in (("--latency", choice.latency), ("--error", choice.error)):
        other = next((other for other, held in taken.items() if name is not None and held == name), None)
        if other is not None:
            raise ConfigError(f"{option}: {name} is the {other}")
        taken |= {option: name}
    return ServedColumns(
        choice.latency, UNITS[choice.latency_unit or "s"] / SECOND, choice.error, frozenset(choice.fine)
    )


def parse_excluded(choice: FitChoice) -> list[ExcludedSpan]:
    """The spans of `--exclude`, where there is a timestamp to tell what lies in them. Raises ConfigError."""
    spans = [text for text in choice.exclude or () if is_span(text)]
    if spans and choice.timestamp is None:
        raise ConfigError("--exclude needs --timestamp: rows are left out by event time")
    return [ExcludedSpan.parse(text) for text in spans]


def features_of(choice: FitChoice, shape: Shape, kinds: dict[str, Kind], given: dict[str, Kind]) -> list[str]:
    """The columns to profile; what is to be known of them is said. Raises ConfigError for one that cannot be had."""
    check_columns(choice, shape, {name: kind for name, kind in kinds.items() if name in given})
    refuse_nested_events(choice, shape)
    without = excluded_columns(choice, shape)
    named = {
        *(choice.columns or ()),
        *(kinds.keys() & given.keys()),
        *([choice.prediction] if choice.prediction is not None else []),
    }
    wanted = []
    for name in shape.columns:
        if (
            name in {choice.timestamp, choice.group, choice.latency, choice.error, choice.sampling}
            or choice.of_labels(name)
            or name in without
            or (choice.columns is not None and name not in named)
        ):
            continue
        reason = shape.left_out.get(name)
        if name in named and reason in INDEXES:
            reason = None
        if reason is None and is_identifier(name) and name not in named:
            reason = "an identifier; name it in --columns to keep it"
        if reason is None:
            wanted.append(name)
        else:
            say(f"left out {name}: {reason}")
    for lacking in shape.lacking[:SHOWN_LACKING]:
        say(lacking)
    if not wanted:
        raise ConfigError(f"{choice.inputs[0]}: no column is left to profile")
    check_names(choice, wanted)
    remarked = {name: lines for name in wanted if name not in kinds and (lines := list(shape.remarks(name)))}
    differing = (line for name, line in shape.differing() if name in wanted and name not in {*kinds, *remarked})
    for line in (*(line for lines in remarked.values() for line in lines), *differing):
        say(line)
    return wanted


def refuse_nested_events(choice: FitChoice, shape: Shape) -> None:
    """Raise ConfigError for events, whose features stand in an object of their own: beside it only the envelope is left."""
    nested = [name for name, reason in shape.left_out.items() if reason == "nested"]
    if choice.columns is None and nested and ENVELOPE & set(shape.columns):
        raise ConfigError(
            f"{choice.inputs[0]}: holds events with features inside {', '.join(nested[:SHOWN_LACKING])}: "
            "`driftd reference fit --config driftd.yaml --input …` reads them as the daemon does; "
            "--columns takes columns beside them as they are"
        )


def check_names(choice: FitChoice, wanted: list[str]) -> None:
    """Raise ConfigError for a feature that has a name of ours."""
    for name in wanted:
        if name in OUR_NAMES and name != choice.prediction:
            meant = f"--prediction {name} if it is the prediction, " if name == PREDICTION else ""
            raise ConfigError(
                f"{choice.inputs[0]}: a feature cannot be called {name}, which is a name of driftd's own; {meant}"
                f"--exclude {name} leaves it out"
            )
    if choice.prediction in OUR_NAMES - {PREDICTION}:
        raise ConfigError(f"--prediction {choice.prediction}: is a name of driftd's own")


def check_columns(choice: FitChoice, shape: Shape, kinds: dict[str, Kind]) -> None:
    """Raise ConfigError for a column that an option names and that is not there or cannot be what it is said to be."""
    asked = [("--columns", name) for name in choice.columns or ()] + [("--kind", name) for name in kinds]
    asked += [("--prediction", choice.prediction)] if choice.prediction is not None else []
    beside = (
        ("--timestamp", choice.timestamp),
        ("--group", choice.group),
        ("--label", choice.label),
        ("--weight", choice.weight),
        ("--latency", choice.latency),
        ("--error", choice.error),
        ("--sampling", choice.sampling),
    )
    if choice.scores is not None and not any(name.startswith(choice.scores) for name in shape.columns):
        raise ConfigError(
            f"--scores: {choice.inputs[0]} has no column that begins with {choice.scores}; it has {', '.join(shape.columns[:50])}"
        )
    for option, name in [*asked, *((option, name) for option, name in beside if name is not None)]:
        if name not in shape.columns:
            found = ", ".join(shape.columns[:50])
            raise ConfigError(f"{option}: {choice.inputs[0]} has no column {name}; it has {found}")
    for option, name in asked:
        for other, column in beside:
            if name == column:
                raise ConfigError(f"{option}: {name} is the {other} and cannot be a feature as well")
        if name in shape.left_out and shape.left_out[name] not in INDEXES:
            raise ConfigError(f"{option}: {name} is {shape.left_out[name]} and cannot be a feature")
    check_beside(choice, shape)
    for name in kinds:
        if choice.columns is not None and name not in {*choice.columns, choice.prediction}:
            raise ConfigError(f"--kind: {name} is not among --columns {','.join(choice.columns)}")


def check_beside(choice: FitChoice, shape: Shape) -> None:
    """Raise ConfigError for a column beside the features that cannot be read."""
    for option, name, meant in (
        ("--group", choice.group, "cannot say what rows come together in: texts and numbers can"),
        ("--label", choice.label, "cannot be what came true: texts, numbers and truth can"),
        ("--weight", choice.weight, "cannot be what labels weigh: numbers can"),
        ("--latency", choice.latency, "cannot be what requests took: numbers can"),
        ("--error", choice.error, "cannot say whether requests failed: texts, numbers and truth can"),
        ("--sampling", choice.sampling, "cannot be a share of rows: numbers can"),
    ):
        if name is not None and shape.left_out.get(name, "") not in {"", *INDEXES}:
            raise ConfigError(f"{option}: {name} is {shape.left_out[name]} and {meant}")
    if choice.sampling is not None and shape.numeric(choice.sampling) is False:
        raise ConfigError(f"--sampling: {choice.sampling} holds texts and cannot be a share of rows: numbers can")
