"""`driftd init`: a first configuration from a look at the events, and the reference from the same events."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import chain, count, islice
from pathlib import Path
from typing import Any

import msgspec
from confluent_kafka import KafkaException

from detectors import Reference
from detectors.figures import printable
from monitor.app import client_properties, explain_client
from monitor.backtest.recorded import RecordedError, blocks, size_of
from monitor.clock import SystemClock
from monitor.commands.calibration import better_window
from monitor.commands.dialect import dialect_of
from monitor.commands.events import fit_events
from monitor.commands.exits import Exit
from monitor.commands.recognising import Recognised, cause, is_sure, recognise
from monitor.commands.records import holds_lines
from monitor.commands.reference import INDEXES, FitChoice
from monitor.commands.security import beside, kafka_settings, lines_of
from monitor.sections import parse_duration
from monitor.settings import ConfigError
from monitor.settings.schema import KafkaSettings
from monitor.sources.base import TopicRecords
from monitor.sources.decode.guessing import TEXT, Guess, LabelGuess, NothingLikeEvents, guess, guess_labels
from monitor.sources.formats.json import hint
from monitor.sources.formats.json.documents import read_document
from monitor.sources.formats.logged import plain
from monitor.sources.formats.values import Rejected
from monitor.sources.kafka.newest import SampleError, newest_of
from monitor.sources.tables.base import Dialect, TableError, explained, levels
from monitor.sources.tables.files import look, objects_of, table_of
from monitor.stream.events import SECOND

SAMPLED = 1000  # rows of a file
WINDOWS = ("1m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "12h", "1d")  # each a part of a day
ROOMY = 400  # rows of a usual window: twice those that are judged
FEWEST = 20  # rows that are judged at all
LONGEST_STEM = 200  # bytes; a file's name has 255
WAIT = "7d"  # for labels
BROKERS = "127.0.0.1:9092"
USUAL_UNIT = "ms"  # of times as numbers, where those that were seen are texts


@dataclass(frozen=True, slots=True)
class InitChoice:
    """What the command line asked for."""

    output: Path
    files: Sequence[Path] = ()
    kafka: str | None = None
    topic: str | None = None
    properties: Sequence[str] = ()
    ca_file: Path | None = None
    delimiter: str = ","
    decimal: str = "."


def init(choice: InitChoice) -> Exit:
    """Look at events, write a configuration, and fit the references. What fails leaves nothing. Raises ConfigError."""
    if choice.output.exists():
        raise ConfigError(f"{choice.output}: is there already; name another by --output")
    if not choice.output.resolve().parent.is_dir():
        raise ConfigError(f"{choice.output}: there is no directory {choice.output.resolve().parent}")
    broker = broker_of(choice)
    labels = label_files(choice)
    if labels:
        choice = replace(choice, files=[path for path in choice.files if path not in labels])
    topic = topic_name(choice)
    rows, form = sample(choice, broker, topic)
    where = ", ".join(map(str, choice.files)) or topic
    refuse_labels_alone(rows, where)
    found = guessed(rows, form, where, is_file=broker is None)
    of_labels = [LabelTopic(topic_of_labels(path, topic), guessed) for path, guessed in labels.items()]
    references = references_of(found.models or (topic,), choice)
    windows = {model: ModelWindow(window_for(found.times)) for model in references}
    with ExitStack() as made:
        for path in (choice.output, *references.values()):
            made.callback(path.unlink, missing_ok=True)
        write(choice.output, written(found, choice, topic, broker, references, windows, of_labels, form))
        for line in (*words(found, choice, len(rows), form), *label_words(found, labels)):
            print(line)
        apart = form is not None and form.apart
        for path in references.values() if apart else ():
            print(
                printable(
                    f"  reference: none yet; messages are halves of predictions: `driftd reference fit --input TABLE --output {path}`"
                )
            )
        for model, path in references.items() if not apart else ():
            fit_events(fitted(choice, model))
            if (able := calibrated_by(Reference.load(path), windows[model])) is not None:
                print(
                    f"{model}: windows of {able.length} in place of {windows[model].length}, so that the reference is calibrated"
                )
                windows[model] = able
                write(choice.output, written(found, choice, topic, broker, references, windows, of_labels, form))
                fit_events(fitted(choice, model))
        made.pop_all()
    offline = " --offline" if choice.files else ""
    print(f"next: look through {choice.output}, then `driftd check --config {choice.output}{offline}`")
    return Exit.OK


def guessed(rows: Sequence[Mapping[str, Any]], form: Recognised | None, where: str, *, is_file: bool) -> Guess:
    """What the parts of the events may be. Raises ConfigError."""
    why = cause(rows, form, is_file=is_file)
    if why and is_sure(rows, form):
        raise ConfigError(f"{where}: {why}")
    try:
        return guess(rows, SystemClock().now())
    except NothingLikeEvents as error:
        raise ConfigError(f"{where}: {why or error}") from None


def write(config: Path, lines: Iterable[str]) -> None:
    """Write the configuration. Raises ConfigError."""
    try:
        config.write_text("\n".join(lines) + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{config}: cannot be written: {error.strerror or error}") from None


def fitted(choice: InitChoice, model: str) -> FitChoice:
    """The reference of one model, of all the events there are."""
    return FitChoice(
        list(choice.files),
        None,
        config=choice.output,
        model=model,
        kafka=not choice.files,
        delimiter=choice.delimiter,
        decimal=choice.decimal,
    )


def references_of(models: Sequence[str], choice: InitChoice) -> dict[str, Path]:
    """A file for the reference of each model, beside the configuration. Raises ConfigError where one is there already."""
    home = choice.output.parent
    taken = {path.name.casefold() for path in (choice.output, *choice.files)}
    found: dict[str, Path] = {}
    for model in models:
        stem = file_stem(model)
        names = (f"{stem}{number}.json" for number in chain([""], (f"-{number}" for number in count(2))))
        name = next(name for name in names if name.casefold() not in taken)  # some file systems know no capitals
        taken.add(name.casefold())
        found[model] = home / name
    if there := [path for path in found.values() if path.exists()]:
        raise ConfigError(
            f"{there[0]}: is there already, and the reference would be written there; move it, or name another directory by --output"
        )
    return found


def file_stem(model: str) -> str:
    """The name of a model as that of a file, which no system refuses."""
    plain = "".join(each if each.isalnum() or each in "._-" else "-" for each in model).lstrip(".")
    return plain.encode()[:LONGEST_STEM].decode(errors="ignore") or "model"


def topic_name(choice: InitChoice) -> str:
    """The topic, or what a file's may be called."""
    if choice.topic is not None:
        return choice.topic
    return name_of(choice.files[0]) if choice.files else "events"


def name_of(path: Path) -> str:
    """What the topic of a file's messages may be called."""
    stem = path.name.partition(".")[0]
    return "".join(each if each.isascii() and (each.isalnum() or each in "._-") else "-" for each in stem) or "events"


# --- labels -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LabelTopic:
    """A topic of labels, and where its messages have their parts."""

    topic: str
    found: LabelGuess


def label_files(choice: InitChoice) -> dict[Path, LabelGuess]:
    """The files that hold labels alone, beside one of events at least. Raises ConfigError."""
    if len(choice.files) < 2:  # noqa: PLR2004 - a file by itself is of events
        return {}
    dialect, now = dialect_of(choice.delimiter, choice.decimal), SystemClock().now()
    looked = {path: guess_labels(list(islice(rows_of_file(path, dialect), SAMPLED)), now) for path in choice.files}
    found = {path: guessed for path, guessed in looked.items() if guessed is not None}
    return found if len(found) < len(looked) else {}


def topic_of_labels(path: Path, topic: str) -> str:
    """What the topic of a file of labels may be called, apart from that of the events."""
    name = name_of(path)
    return name if name != topic else f"{topic}-labels"


def refuse_labels_alone(rows: Sequence[Mapping[str, Any]], where: str) -> None:
    """Raise ConfigError for messages that are labels, of which nothing says what they are the truth of."""
    found = guess_labels(rows, SystemClock().now())
    if found is not None and found.beside.label is not None:
        raise ConfigError(
            f"{where}: these are labels ({found.identifier}, {dotted(found.beside.label)}) and no events: name a file of the predictions that they are of too, "
            "or add a topic of kind labels to a configuration (docs/performance.md)"
        )


def dotted(path: Sequence[str]) -> str:
    """A path as the configuration has it."""
    return ".".join(path)


def label_words(found: Guess, labels: Mapping[Path, LabelGuess]) -> Iterator[str]:
    """What was found of labels and of requests."""
    said, unsure = found.beside, found.unsure
    for key, path in zip(("label", "latency", "error", "sampling"), said.places, strict=True):
        if path is not None:
            unit = f" ({said.unit or 's'})" if key == "latency" else ""
            yield printable(f"  {key}: {dotted(path)}{unit}{f' (unsure: {unsure[key]})' if key in unsure else ''}")
    if said.label is not None and found.identifier is None:
        yield "  label: is not joined, for no id is known"
    for file, each in labels.items():
        yield printable(f"  labels: {file}: label {dotted(each.beside.label or ())}, id {each.identifier}")


def beside_lines(found: Guess) -> Iterator[str]:
    """The fields of a topic beside features and prediction."""
    said = found.beside
    if said.label is not None:
        mark = "" if found.identifier is not None else "# "
        yield f"      {mark}label: {_text(dotted(said.label))}  # by its name what came true"
    if said.sampling is not None:
        yield f"      sampling: {sampling_words(found)}"
    if said.latency is not None:
        unsure = f"  # unsure: {found.unsure['latency']}" if "latency" in found.unsure else ""
        yield f"      latency: {{path: {_text(dotted(said.latency))}, unit: {said.unit or 's'}}}{unsure}"
    if said.error is not None:
        fine = f", fine: [{', '.join(map(_text, said.fine))}]" if said.fine else ""
        yield f"      error: {{path: {_text(dotted(said.error))}{fine}}}"


def label_topic_lines(each: LabelTopic, found: Guess, topic: str) -> Iterator[str]:
    """A topic of labels."""
    guessed = each.found
    yield f"  - name: {_text(each.topic)}"
    yield "    kind: labels"
    yield f"    timestamp_unit: {USUAL_UNIT if guessed.unit == TEXT else guessed.unit}"
    yield "    fields:"
    if guessed.timestamp is not None:
        yield f"      timestamp: {_text(guessed.timestamp)}  # when it became known"
    yield f"      id: {_text(guessed.identifier)}  # that of its prediction"
    yield f"      label: {_text(dotted(guessed.beside.label or ()))}"
    model = found.models[0] if found.models else topic
    unsure = "  # unsure: there are more models" if len(found.models) > 1 else ""
    yield f"      model: {_text(guessed.model) if guessed.model else f'{{const: {_text(model)}}}'}{unsure}"


def labels_lines(found: Guess, labels: Sequence[LabelTopic]) -> Iterator[str]:
    """Where a model's labels come from."""
    inside = found.beside.label is not None
    if not inside and not labels:
        return
    mark = "" if found.identifier is not None else "# "
    positive = labels[0].found.beside.positive if labels else found.beside.positive
    topic = f", topic: {_text(labels[0].topic)}" if len(labels) == 1 else ""
    named = "" if positive is None else f", positive: {_text(positive)}"
    unsure = "" if positive is None else "; unsure: which of two words is the positive label"
    yield f"    {mark}labels: {{wait: {WAIT}{topic}{named}}}  # how long they are waited for: docs/performance.md{unsure}"


# --- a sample -----------------------------------------------------------------------------------------------------------


def broker_of(choice: InitChoice) -> KafkaSettings | None:
    """How the broker is reached, as the configuration will say it; None for a file. Raises ConfigError."""
    if bool(choice.files) == (choice.kafka is not None):
        raise ConfigError("init needs FILE…, or --kafka BROKERS and --topic NAME")
    if choice.kafka is None and (choice.properties or choice.ca_file is not None):
        raise ConfigError(f"--{'property' if choice.properties else 'ca-file'}: is of a broker, which --kafka names")
    return None if choice.kafka is None else kafka_settings(choice.kafka, choice.properties, choice.ca_file)


def sample(
    choice: InitChoice, broker: KafkaSettings | None, topic: str
) -> tuple[Sequence[Mapping[str, Any]], Recognised | None]:
    """Some events as objects, and the format that they are in, None of JSON. Raises ConfigError."""
    if choice.files:
        dialect = dialect_of(choice.delimiter, choice.decimal)
        each = -(-SAMPLED // len(choice.files))  # so that what a later file holds is seen
        where = ", ".join(map(str, choice.files))
        if (form := recognise_files(choice.files, topic, each, where)) is not None:
            return form.rows, form
        rows = [row for path in choice.files for row in islice(rows_of_file(path, dialect), each)]
        return rows or _nothing(where), None
    assert broker is not None
    if choice.topic is None:
        raise ConfigError("--kafka needs --topic NAME")
    try:
        newest = newest_of(client_properties(broker), choice.topic)
    except SampleError as error:
        raise ConfigError(f"--kafka {choice.kafka}: {error}") from None
    except (KafkaException, ValueError) as error:
        raise ConfigError(f"--kafka: {explain_client(error)}") from None
    where = f"topic {choice.topic}"
    form = recognise(newest.records, where)
    return (objects(newest.records.values, where), None) if form is None else (form.rows, form)


def recognise_files(paths: Sequence[Path], topic: str, each: int, where: str) -> Recognised | None:
    """The format of what some files hold, lines or rows of tables; None of plain tables, and of JSON. Raises ConfigError."""
    lines = [holds_lines([path]) for path in paths]
    if any(path.suffix.lower() == ".csv" for path in paths) or len(set(lines)) > 1:
        return None
    try:
        first = first_lines if all(lines) else first_rows
        values = [value for path in paths for value in islice(first(path), each)]
    except (RecordedError, TableError) as error:
        raise ConfigError(str(error)) from None
    return recognise(TopicRecords(topic, [0] * len(values), values), where, logs_alone=not all(lines))


def first_rows(path: Path) -> Iterator[bytes | None]:
    """The rows of a table as messages would have them. Raises RecordedError and TableError."""
    size_of(path)
    for rows, _ in objects_of(path, SAMPLED):
        yield from (msgspec.json.encode(plain(row)) for row in rows)


def first_lines(path: Path) -> Iterator[bytes | None]:
    """The lines of a file. Raises RecordedError."""
    size_of(path)
    return chain.from_iterable(messages for _, messages in blocks(path))


def _nothing(where: str) -> list[Mapping[str, Any]]:
    raise ConfigError(f"{where}: holds no event")


def rows_of_file(path: Path, dialect: Dialect) -> Iterator[Mapping[str, Any]]:
    """The rows of a file of lines, or of a table. Raises ConfigError."""
    try:
        size_of(path)
        if holds_lines([path]):
            yield from objects(list(islice(first_lines(path), SAMPLED)), str(path))
            return
        yield from table_rows(path, dialect)
    except (RecordedError, TableError) as error:
        raise ConfigError(str(error)) from None


def table_rows(path: Path, dialect: Dialect) -> Iterator[Mapping[str, Any]]:
    """The rows of a table's first chunk; dots in the names of columns are levels. Raises TableError."""
    shape = look([path], dialect=dialect)
    with explained(path):
        table = table_of(path, dialect)
        texts = shape.reading({}, None)
        wanted = {name for name in table.names if shape.left_out.get(name) not in INDEXES}
        chunk, _ = next(iter(table.read(wanted, texts)), ({}, 0.0)) if wanted else ({}, 0.0)
        chunk = {name: column for name, column in chunk.items() if name in wanted}  # more may be read
    places = [levels(name, chunk) for name in chunk]
    for values in zip(*map(_plain, chunk.values()), strict=True):
        row: dict[str, Any] = {}
        for (*above, last), value in zip(places, values, strict=True):
            held = row
            for each in above:
                held = held.setdefault(each, {})
            held[last] = value
        yield row


def _plain(column: Any) -> list[Any]:
    """Some values of a column as a message would hold them."""
    if getattr(column, "dtype", None) is not None and column.dtype.kind == "M":
        return [None if str(time) == "NaT" else f"{time}Z" for time in column[:SAMPLED].astype("datetime64[us]")]
    values = column.tolist()[:SAMPLED]
    return [None if isinstance(value, float) and value != value else value for value in values]  # noqa: PLR0124 - NaN


def objects(values: Sequence[bytes | None], where: str) -> list[Mapping[str, Any]]:
    """The messages that are JSON objects. Raises ConfigError where none is."""
    rows, reasons = list[Mapping[str, Any]](), list[str]()
    for value in values:
        try:
            rows.append(read_document(value))
        except Rejected as reason:
            reasons.append(str(reason))
    held = next((value for value in values if value), None)
    if not rows and held is not None:
        help_ = f"{hint(held)}: `init` asks no registry; docs/formats/schema-registry.md says how it is configured"
        raise ConfigError(f"{where}: messages are {help_ if hint(held) else f'no JSON objects: {reasons[0]}'}")
    return rows or _nothing(where)


# --- what is said and written -------------------------------------------------------------------------------------------


def words(found: Guess, choice: InitChoice, rows: int, form: Recognised | None) -> Iterator[str]:
    """What was found in the events, and what is not sure."""
    yield f"{choice.output}: from {rows:,} events"
    if form is not None:
        yield f"  format: {form.form}{f' (unsure: they look like {form.others[0]}, too)' if form.others else ''}"
    for key, path in parts(found).items():
        note = f" (unsure: {found.unsure[key]})" if key in found.unsure else ""
        yield printable(f"  {key}: {path or 'none'}{note}")
    yield printable(f"  models: {', '.join(found.models) or 'none is named; all events are of one'}")


def parts(found: Guess) -> dict[str, str | None]:
    """What was found where."""
    return {
        "timestamp": f"{found.timestamp} ({'RFC 3339' if found.unit == TEXT else found.unit})",
        "id": found.identifier,
        "model": found.model,
        "version": found.version,
        "features": f"{found.features or 'the message itself'}: {', '.join(found.names[:10])}"
        + (f" and {len(found.names) - 10} more" if len(found.names) > 10 else ""),  # noqa: PLR2004 - as many as fit a line
        "prediction": found.prediction,
    }


@dataclass(frozen=True, slots=True)
class ModelWindow:
    """A model's window; `rows` that it usually holds, where those are few, None else."""

    length: str
    rows: int | None = None

    def lines(self) -> Iterator[str]:
        """The keys of a model."""
        if self.rows is None:
            yield f"    window: {self.length}  # by the rate of the events"
        else:
            yield f"    window: {self.length}  # so many of them calibrate a reference of this length"
        if self.rows is not None and self.rows < ROOMY:
            yield f"    min_rows: {max(FEWEST, self.rows // 2)}  # a usual window holds {self.rows:,}"


def calibrated_by(reference: Reference, window: ModelWindow) -> ModelWindow | None:
    """A shorter window that calibrates a reference which is cold by this one; None: it is not, or none does."""
    length = parse_duration(window.length)
    able = None if reference.calibration is not None else better_window(reference, length)
    if able is None or parse_duration(able) >= length or reference.rows_per_second is None:
        return None
    return ModelWindow(able, round(reference.rows_per_second * parse_duration(able) / SECOND))


def window_for(times: Sequence[int]) -> str:
    """The shortest window that usually holds enough rows."""
    span = max(times) - min(times) if times else 0
    if span <= 0:
        return "5m"
    return next((each for each in WINDOWS if len(times) * parse_duration(each) / span >= ROOMY), WINDOWS[-1])


def written(
    found: Guess,
    choice: InitChoice,
    topic: str,
    broker: KafkaSettings | None,
    references: Mapping[str, Path],
    windows: Mapping[str, ModelWindow],
    labels: Sequence[LabelTopic] = (),
    form: Recognised | None = None,
) -> Iterator[str]:
    """The lines of the configuration."""
    yield "# Written by `driftd init` from a look at the events. What is not sure says so; `driftd explain` shows each message."
    yield "kafka:"
    if broker is None:
        yield f"  bootstrap_servers: {_text(BROKERS)}  # unsure: a file says nothing of a broker"
    else:
        yield from broker_lines(broker, choice.output.parent)
    yield "topics:"
    yield f"  - name: {_text(topic)}"
    if form is not None:
        others = f"  # unsure: they look like {', '.join(form.others)}, too" if form.others else "  # by its look"
        yield f"    format: {form.form}{others}"
    yield from canonical_lines(found, topic, form) if form is not None and form.canonical else field_lines(found, topic)
    for each in labels:
        yield from label_topic_lines(each, found, topic)
    yield from model_lines(found, references, windows, labels, apart=form is not None and form.apart)
    yield "state: driftd-state  # beside this file"
    yield "# webhooks:  # who is told; docs/webhooks.md"
    yield "#   - {name: team, url: https://…, secret_env: DRIFTD_SECRET}"


def canonical_lines(found: Guess, topic: str, form: Recognised) -> Iterator[str]:
    """The fields of a topic whose format gives rows that the defaults fit: what no message says."""
    said = {}
    if form.broker_timed:
        said["timestamp"] = "{broker: true}  # no message says when it was: the broker's timestamp stands in"
    if not found.model:
        said["model"] = f"{{const: {_text(topic)}}}  # no message names its model"
    if found.beside.sampling is not None:
        said["sampling"] = sampling_words(found)
    if said:
        yield "    fields:"
        yield from (f"      {name}: {words}" for name, words in said.items())


def sampling_words(found: Guess) -> str:
    """Where messages say which share of requests is logged, as a mapping says it."""
    path = _text(dotted(found.beside.sampling or ()))
    where = f"{{path: {path}, unit: fraction}}" if found.beside.of_one else path
    return f"{where}  # the share of all requests that is logged: volume is that of all"


def field_lines(found: Guess, topic: str) -> Iterator[str]:
    """The fields of a topic, as they were found."""
    unsure = {key: f"  # unsure: {printable(why)}" for key, why in found.unsure.items()}
    yield f"    timestamp_unit: {USUAL_UNIT if found.unit == TEXT else found.unit}  # of numbers; texts are RFC 3339"
    yield "    fields:"
    yield f"      timestamp: {_text(found.timestamp)}{unsure.get('timestamp', '')}"
    if found.identifier is not None:
        yield f"      id: {_text(found.identifier)}{unsure.get('id', '')}"
    if found.group is not None:
        yield f"      # group: {_text(found.group)}  # if rows of one share their values, windows weigh by it: docs/tune.md#sessions"
    constant = f"{{const: {_text(topic)}}}  # no message names its model"
    yield f"      model: {_text(found.model) if found.model else constant}{unsure.get('model', '')}"
    if found.version is not None:
        yield f"      version: {_text(found.version)}"
    yield f"      features: {_text(found.features)}  # {printable(', '.join(found.names[:5]))}, …{unsure.get('features', '')}"
    prediction = found.prediction or "prediction"
    yield f"      prediction: {_text(prediction)}{unsure.get('prediction', '')}"
    yield from beside_lines(found)


def model_lines(
    found: Guess,
    references: Mapping[str, Path],
    windows: Mapping[str, ModelWindow],
    labels: Sequence[LabelTopic],
    *,
    apart: bool,
) -> Iterator[str]:
    """The section of models; where messages are halves of predictions, references are of tables."""
    made = (
        "to be made of a table of whole predictions, as of the training data: docs/formats/halves.md"
        if apart
        else "of all events there were; `driftd reference fit --config` makes it anew"
    )
    yield "models:"
    for model, reference in references.items():
        yield f"  - name: {_text(model)}  # every version"
        yield f"    reference: {_text(reference.name)}  # {made}"
        yield from windows[model].lines()
        yield from labels_lines(found, labels)


def broker_lines(broker: KafkaSettings, home: Path) -> Iterator[str]:
    """How the broker is reached, in the configuration's keys."""
    yield f"  bootstrap_servers: {_text(broker.bootstrap_servers)}"
    if broker.ca_file is not None:
        yield f"  ca_file: {_text(beside(broker.ca_file, home))}"
    if broker.properties:
        yield "  properties:"
        yield from (f"    {_text(name)}: {_text(value)}" for name, value in lines_of(broker, home))


def _text(text: str) -> str:
    """A text as JSON and YAML both write it."""
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(each if each.isprintable() else f"\\U{ord(each):08x}" for each in quoted)
