"""`driftd backtest`: recorded events through the pipeline on a virtual clock; nothing is sent, no state is touched."""

import fnmatch
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from monitor.app import VERSION, build_decoder, label_topics
from monitor.backtest.assembly import CommandRun, NothingFound, assemble
from monitor.backtest.findings import Findings
from monitor.backtest.inject import InjectError, Plant, parse_plants
from monitor.backtest.labelled import with_labels
from monitor.backtest.output import as_json, summary
from monitor.backtest.paired import Paired
from monitor.backtest.policies import Rehearsal, rehearsals
from monitor.backtest.recorded import EmptyRecordError, Recorded, RecordedError
from monitor.backtest.replay import Range, Replay, Turn
from monitor.backtest.result import BacktestResult
from monitor.backtest.sweep import BUDGETS
from monitor.commands.dialect import dialect_of
from monitor.commands.exits import Exit
from monitor.commands.progress import ProgressLine
from monitor.commands.records import files_of, label_topic_of, range_of, range_of_topics, topic_of
from monitor.configuration import Configuration, load
from monitor.pipeline import Pipeline
from monitor.runtime.loop import calm_collector
from monitor.series.series import SeriesSpec
from monitor.settings import ConfigError, Settings, load_settings
from monitor.settings.schema import TopicSettings
from monitor.sources.decode.topic import TopicDecoder
from monitor.sources.formats.values import LATEST_NANOS
from monitor.targets.payloads import rfc3339

MOST_NAMED = 20  # features in an error


@dataclass(frozen=True, slots=True)
class BacktestChoice:
    """What the command line asked for."""

    config: Path
    inputs: list[Path] = field(default_factory=list)
    topic: str | None = None
    kafka: bool = False
    report: Path | None = None
    json: Path | None = None
    inject: list[str] = field(default_factory=list)
    budgets: list[float] | None = None
    shown: list[str] = field(default_factory=list)
    first: str | None = None
    until: str | None = None
    delimiter: str = ","
    decimal: str = "."
    responses: list[Path] = field(default_factory=list)
    labels: list[Path] = field(default_factory=list)
    label_topic: str | None = None
    threads: int = 1  # no part of the command: what is found does not depend on it

    @property
    def command(self) -> str:
        """The same as one would type it."""
        budgets = None if self.budgets is None else ",".join(f"{budget:g}" for budget in self.budgets)
        words = ["driftd", "backtest", "--config", str(self.config), *(["--kafka"] if self.kafka else [])]
        lists = (
            ("--input", self.inputs),
            ("--responses", self.responses),
            ("--labels", self.labels),
            ("--inject", self.inject),
            ("--show", self.shown),
        )
        for option, values in lists:
            words += [option, *map(str, values)] if values else []
        topics = (("--topic", self.topic), ("--label-topic", self.label_topic))
        options = (*topics, ("--from", self.first), ("--until", self.until), ("--budget", budgets))
        words += [word for option, value in options if value is not None for word in (option, value)]
        written = (("--delimiter", self.delimiter, ","), ("--decimal", self.decimal, "."))
        words += [word for option, value, usual in written if value != usual for word in (option, value)]
        return shlex.join(words)


def backtest(choice: BacktestChoice) -> Exit:
    """Replay, and write what was found; where there was nothing to judge, say why. Raises ConfigError."""
    settings = load_settings(choice.config)
    configuration = load(settings, choice.config.resolve().parent, needs_secrets=False, file=choice.config)
    labels = label_topics_of(choice, settings)
    configuration = replace(configuration, specs=tuple(labelled_specs(choice, configuration, labels)))
    within = range_of(choice.first, choice.until)
    check_outputs(choice)
    try:
        plants = parse_plants(choice.inject, configuration.specs)
    except InjectError as error:
        raise ConfigError(str(error)) from None
    recorded = record_of(choice, configuration, within)
    refuse_unknown(choice.shown, configuration)
    budget = settings.alerting.false_alarms_per_month
    findings = Findings(configuration.specs, plants, budget, choice.budgets or BUDGETS, choice.shown, labels)
    run = CommandRun(
        VERSION, str(choice.config), configuration.config_hash, choice.command, inputs_of(choice, configuration)
    )
    try:
        rehearsed = rehearsals(configuration.specs)
        heard = [each.retraining for each in rehearsed]
        replay = Replay(
            Pipeline(configuration.specs, settings.idle_after, settings.max_future, labels, heard),
            recorded,
            plants,
            Range() if choice.kafka else within,
            labels,
        )
        result = replayed(replay, recorded, plants, findings, run, rehearsed)
    except NothingFound as nothing:
        print(f"driftd: {nothing}", file=sys.stderr)
        return Exit.NO
    write_outputs(choice, result)
    for line in summary(result):
        print(line)
    return Exit.OK


def replayed(
    replay: Replay,
    recorded: Recorded,
    plants: Sequence[Plant],
    findings: Findings,
    run: CommandRun,
    rehearsed: Sequence[Rehearsal],
) -> BacktestResult:
    """Read the record to its end. Raises NothingFound and ConfigError."""
    progress, events = ProgressLine(terminal=sys.stderr.isatty()), 0

    def take(turn: Turn) -> None:
        nonlocal events
        events += turn.events
        findings.take(turn)
        progress.show(f"read {events:,} events, {turn.done:.0%}")

    calm_collector()
    try:
        replay.run(take)
    except EmptyRecordError as nothing:
        raise NothingFound(str(nothing)) from None
    except RecordedError as error:
        raise ConfigError(str(error)) from None
    finally:
        progress.done()
    result = assemble(run, findings, recorded.notes, rehearsed)
    for plant in plants:
        if not plant.rows:
            span = f"{rfc3339(result.first)} to {rfc3339(result.last)}"
            raise ConfigError(f"--inject {plant.text}: concerns no event of {plant.key}; there are some from {span}")
    for hint in result.hints:
        print(f"driftd: {hint}", file=sys.stderr)
    return result


# --- what was asked for -------------------------------------------------------------------------------------------------


def check_outputs(choice: BacktestChoice) -> None:
    """Refuse an output that cannot be written, before hours of reading. Raises ConfigError."""
    for option, output in (("--report", choice.report), ("--json", choice.json)):
        if output is None:
            continue
        if any(
            output.resolve() == path.resolve()
            for path in (*choice.inputs, *choice.responses, *choice.labels, choice.config)
        ):
            raise ConfigError(f"{option} {output}: is one of the inputs")
        if output.is_dir():
            raise ConfigError(f"{option} {output}: is a directory; name a file")
        if not output.parent.is_dir():
            raise ConfigError(f"{option} {output}: cannot be written: there is no directory {output.parent}")


def refuse_unknown(shown: Sequence[str], configuration: Configuration) -> None:
    """Refuse a name of --show that no feature has. Raises ConfigError."""
    names = list(dict.fromkeys(name for spec in configuration.specs for name in spec.reference.names))
    for each in shown:
        if not fnmatch.filter(names, each):
            raise ConfigError(
                f"--show {each}: no feature is called so; there is {', '.join(names[:MOST_NAMED])}"
                + (", …" if len(names) > MOST_NAMED else "")
            )


def record_of(choice: BacktestChoice, configuration: Configuration, within: Range) -> Recorded:
    """The record that is meant. Raises ConfigError."""
    if choice.kafka == bool(choice.inputs):
        raise ConfigError("backtest needs --input FILE… or --kafka, and not both")
    dialect, responses = dialect_of(choice.delimiter, choice.decimal), response_topic_of(choice, configuration.settings)
    if choice.kafka:
        return topic_range(choice, configuration, within)
    decoder = undated(build_decoder(configuration, topic_of(configuration.settings, choice.topic)))
    events = files_of(choice.inputs, decoder, dialect, threads=choice.threads)
    if responses is not None:
        decoder = undated(build_decoder(configuration, responses))
        answered = files_of(choice.responses, decoder, dialect, "--responses", threads=choice.threads)
        events = Paired(events, answered, halves=True)
    if not choice.labels:
        return events
    decoder = undated(build_decoder(configuration, label_topic_of(configuration.settings, choice.label_topic)))
    return Paired(events, files_of(choice.labels, decoder, dialect, "--labels", threads=choice.threads))


def response_topic_of(choice: BacktestChoice, settings: Settings) -> TopicSettings | None:
    """The topic that `--responses` are of; None where none are read. Raises ConfigError where a half is read without the other."""
    if choice.kafka:
        if choice.responses:
            raise ConfigError("--responses FILE… goes with --input FILE…; with --kafka both topics are read")
        if choice.topic is not None and topic_of(settings, choice.topic).half is not None:
            raise ConfigError(
                f"--topic {choice.topic}: holds halves of predictions, which are joined with another topic's"
            )
        return None
    topic = topic_of(settings, choice.topic)
    if topic.half != "request":
        if topic.half is not None or choice.responses:
            raise ConfigError(f"--topic: {topic.name} is no topic of requests; name one that has half: request")
        return None
    if not choice.responses:
        raise ConfigError(
            f"--input: topics.{topic.name} holds requests; --responses FILE… names what they were answered"
        )
    return next(other for other in settings.topics if other.half == "response")


def label_topics_of(choice: BacktestChoice, settings: Settings) -> frozenset[str]:
    """The topics that labels are read from. Raises ConfigError."""
    if choice.kafka and choice.labels:
        raise ConfigError("--labels FILE… goes with --input FILE…; with --kafka the topics of labels are read")
    if choice.label_topic is not None and not choice.labels:
        raise ConfigError(f"--label-topic {choice.label_topic}: needs --labels FILE…")
    if choice.kafka:
        return label_topics(settings)
    return frozenset({label_topic_of(settings, choice.label_topic).name}) if choice.labels else frozenset()


def labelled_specs(
    choice: BacktestChoice, configuration: Configuration, topics: frozenset[str]
) -> Iterator[SeriesSpec]:
    """The series, with performance where labels of theirs are read; where they are not, that is said."""
    settings = configuration.settings
    events = settings.event_topics if choice.kafka and choice.topic is None else [topic_of(settings, choice.topic)]
    inside = any(topic.kind == "predictions" and topic.fields.label for topic in events)
    for before, spec in zip(configuration.specs, with_labels(configuration.specs, topics, inside=inside), strict=True):
        if before.performance is not None and spec.performance is None:
            print(f"driftd: {spec.key}: none of its labels are read; --labels FILE… names them", file=sys.stderr)
        yield spec


def undated(decoder: TopicDecoder) -> TopicDecoder:
    """The decoder, taking no event for one of the future: what is recorded has happened, whatever the clock says now."""
    decoder.max_future = LATEST_NANOS
    return decoder


def topic_range(choice: BacktestChoice, configuration: Configuration, within: Range) -> Recorded:
    """A range of the configured topics, or of one. Raises ConfigError."""
    settings = configuration.settings
    topics = settings.event_topics if choice.topic is None else [topic_of(settings, choice.topic)]
    topics = [*topics, *(topic for topic in settings.topics if topic.kind == "labels")]
    decoders = {topic.name: undated(build_decoder(configuration, topic)) for topic in topics}
    waits = [
        spec.performance.join.wait + spec.performance.join.length for spec in configuration.specs if spec.performance
    ]
    longer = dict.fromkeys(label_topics(settings), max(waits, default=0))
    return range_of_topics(settings, decoders, within, longer)


def inputs_of(choice: BacktestChoice, configuration: Configuration) -> tuple[str, ...]:
    """What was read, for the report."""
    if not choice.kafka:
        return tuple(map(str, (*choice.inputs, *choice.responses, *choice.labels)))
    names = [topic.name for topic in configuration.settings.event_topics] if choice.topic is None else [choice.topic]
    return tuple(f"{name} at {configuration.settings.kafka.bootstrap_servers}" for name in names)


def write_outputs(choice: BacktestChoice, result: BacktestResult) -> None:
    """JSON and report, where they were asked for. Raises ConfigError."""
    for output in (choice.json, choice.report):
        if output is None:
            continue
        try:
            if output is choice.json:
                output.write_bytes(as_json(result))
            else:
                from monitor.backtest.report import write_report

                write_report(result, output)
        except OSError as error:
            raise ConfigError(f"{output}: cannot be written: {error.strerror or error}") from None
