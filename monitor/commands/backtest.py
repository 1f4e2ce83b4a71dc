"""`driftd backtest`: recorded events through the pipeline on a virtual clock; nothing is sent, no state is touched."""

import fnmatch
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from monitor.app import VERSION, build_decoder
from monitor.backtest.assembly import CommandRun, NothingFound, assemble
from monitor.backtest.findings import Findings
from monitor.backtest.inject import InjectError, Plant, parse_plants
from monitor.backtest.output import as_json, summary
from monitor.backtest.recorded import EmptyRecordError, Recorded, RecordedError
from monitor.backtest.replay import Range, Replay, Turn
from monitor.backtest.result import BacktestResult
from monitor.backtest.sweep import BUDGETS
from monitor.commands.dialect import dialect_of
from monitor.commands.exits import Exit
from monitor.commands.progress import ProgressLine
from monitor.commands.records import files_of, range_of, range_of_topics, topic_of
from monitor.configuration import Configuration, load
from monitor.pipeline import Pipeline
from monitor.runtime.loop import calm_collector
from monitor.settings import ConfigError, load_settings
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

    @property
    def command(self) -> str:
        """The same as one would type it."""
        budgets = None if self.budgets is None else ",".join(f"{budget:g}" for budget in self.budgets)
        words = ["driftd", "backtest", "--config", str(self.config), *(["--kafka"] if self.kafka else [])]
        for option, values in (("--input", self.inputs), ("--inject", self.inject), ("--show", self.shown)):
            words += [option, *map(str, values)] if values else []
        options = (("--topic", self.topic), ("--from", self.first), ("--until", self.until), ("--budget", budgets))
        words += [word for option, value in options if value is not None for word in (option, value)]
        written = (("--delimiter", self.delimiter, ","), ("--decimal", self.decimal, "."))
        words += [word for option, value, usual in written if value != usual for word in (option, value)]
        return shlex.join(words)


def backtest(choice: BacktestChoice) -> Exit:
    """Replay, and write what was found; where there was nothing to judge, say why. Raises ConfigError."""
    settings = load_settings(choice.config)
    configuration = load(settings, choice.config.resolve().parent, needs_secrets=False)
    within = range_of(choice.first, choice.until)
    check_outputs(choice)
    try:
        plants = parse_plants(choice.inject, configuration.specs)
    except InjectError as error:
        raise ConfigError(str(error)) from None
    recorded = record_of(choice, configuration, within)
    refuse_unknown(choice.shown, configuration)
    budget = settings.alerting.false_alarms_per_month
    findings = Findings(configuration.specs, plants, budget, choice.budgets or BUDGETS, choice.shown)
    run = CommandRun(
        VERSION, str(choice.config), configuration.config_hash, choice.command, inputs_of(choice, configuration)
    )
    try:
        result = replayed(configuration, recorded, plants, Range() if choice.kafka else within, findings, run)
    except NothingFound as nothing:
        print(f"driftd: {nothing}", file=sys.stderr)
        return Exit.NO
    write_outputs(choice, result)
    for line in summary(result):
        print(line)
    return Exit.OK


def replayed(
    configuration: Configuration,
    recorded: Recorded,
    plants: Sequence[Plant],
    within: Range,
    findings: Findings,
    run: CommandRun,
) -> BacktestResult:
    """Read the record to its end. Raises NothingFound and ConfigError."""
    settings = configuration.settings
    pipeline = Pipeline(configuration.specs, settings.idle_after, settings.max_future)
    progress, events = ProgressLine(terminal=sys.stderr.isatty()), 0

    def take(turn: Turn) -> None:
        nonlocal events
        events += turn.events
        findings.take(turn)
        progress.show(f"read {events:,} events, {turn.done:.0%}")

    calm_collector()
    try:
        Replay(pipeline, recorded, plants, within).run(take)
    except EmptyRecordError as nothing:
        raise NothingFound(str(nothing)) from None
    except RecordedError as error:
        raise ConfigError(str(error)) from None
    finally:
        progress.done()
    result = assemble(run, findings, recorded.notes)
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
        if any(output.resolve() == path.resolve() for path in (*choice.inputs, choice.config)):
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
    if choice.kafka:
        return topic_range(choice, configuration, within)
    decoder = undated(build_decoder(configuration, topic_of(configuration.settings, choice.topic)))
    return files_of(choice.inputs, decoder, dialect_of(choice.delimiter, choice.decimal))


def undated(decoder: TopicDecoder) -> TopicDecoder:
    """The decoder, taking no event for one of the future: what is recorded has happened, whatever the clock says now."""
    decoder.max_future = LATEST_NANOS
    return decoder


def topic_range(choice: BacktestChoice, configuration: Configuration, within: Range) -> Recorded:
    """A range of the configured topics, or of one. Raises ConfigError."""
    settings = configuration.settings
    topics = settings.event_topics if choice.topic is None else [topic_of(settings, choice.topic)]
    decoders = {topic.name: undated(build_decoder(configuration, topic)) for topic in topics}
    return range_of_topics(settings, decoders, within)


def inputs_of(choice: BacktestChoice, configuration: Configuration) -> tuple[str, ...]:
    """What was read, for the report."""
    if not choice.kafka:
        return tuple(map(str, choice.inputs))
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
