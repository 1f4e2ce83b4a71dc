"""`driftd check`: what a configuration means, what it will cost, and whether its parts can be reached."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from detectors import PluginError
from detectors.charts import Against, Comparison
from monitor.app import VERSION, build_decoders
from monitor.commands import alarms, memory
from monitor.commands.calibration import learnt
from monitor.commands.cautions import warnings
from monitor.commands.connections import Connections, connect
from monitor.commands.exits import Exit
from monitor.commands.judges import estimates_document, expected_worth, judges_words
from monitor.commands.run import with_absolute_state
from monitor.commands.served import served, served_document
from monitor.commands.time_series import time_series
from monitor.configuration import Configuration, load
from monitor.explain.documents import as_lines
from monitor.replica import refuse_unreplicated
from monitor.series.series import SeriesSpec
from monitor.settings import ConfigError, load_settings, masked, show_duration


def check(config: Path, *, offline: bool, as_json: bool = False) -> Exit:
    """Check a configuration. Raises ConfigError where it would not run."""
    try:
        checked = look_at(config)
    except (ConfigError, PluginError) as error:
        if as_json:
            print_json(refusal(config, str(error).splitlines()))
        raise
    if not as_json:
        print_lines(meaning(checked))
    connections = connect(checked.configuration, offline=offline)
    if as_json:
        print_json(document(config, checked, connections, offline=offline))
    else:
        print_lines(reached(checked, connections))
    if connections.problems:
        raise ConfigError("\n".join(connections.problems))
    if not as_json:
        print("\nok" + (" (nothing was connected to)" if offline else ""))
    return Exit.OK


@dataclass(frozen=True, slots=True)
class Checked:
    """A configuration that can be loaded, with what is to be expected of it."""

    configuration: Configuration
    raised: Sequence[alarms.RuleAlarms]
    estimate: "Estimate"
    warnings: Sequence[str]


@dataclass(frozen=True, slots=True)
class Estimate:
    """What it will cost: bytes of a daemon that keeps up, and what comes on top while it catches up; time series."""

    memory_bytes: int
    references_bytes: int
    panes_bytes: int
    catching_up_bytes: int
    panes_ahead_bytes: int
    time_series: int


def look_at(config: Path) -> Checked:
    """Load a configuration and work out what it means. Raises ConfigError."""
    settings, base = load_settings(config), config.resolve().parent
    configuration = load(with_absolute_state(settings, base), base, file=config)
    build_decoders(configuration)
    refuse_unreplicated(configuration)
    raised = alarms.rule_alarms(configuration.specs)
    return Checked(
        configuration, raised, estimate(configuration), [*warnings(configuration), *alarms.over_budget(raised)]
    )


def estimate(configuration: Configuration) -> Estimate:
    """Memory and time series that this configuration will need."""
    specs, settings = configuration.specs, configuration.settings
    series = time_series(configuration)
    more = {"grouped": memory.grouped(settings.event_topics), "served": memory.served(settings.event_topics)}
    ahead = memory.panes_ahead(specs, settings.idle_after, settings.max_future, **more)
    return Estimate(
        memory_bytes=memory.steady(specs, series, **more) + memory.halves(specs, settings.event_topics),
        references_bytes=memory.references(specs),
        panes_bytes=memory.panes(specs, **more),
        catching_up_bytes=memory.READING_BYTES + ahead,
        panes_ahead_bytes=ahead,
        time_series=series,
    )


# --- for people ---------------------------------------------------------------------------------------------------------


def print_lines(lines: Iterator[str]) -> None:
    """Print each line."""
    for line in lines:
        print(line)


def meaning(checked: Checked) -> Iterator[str]:
    """What a configuration means and costs."""
    for spec, model in zip(checked.configuration.specs, checked.configuration.settings.models, strict=True):
        yield describe(spec)
        yield from compared_words(spec)
        yield from filter(None, [served(spec.reference)])
        yield from judges_words(spec, model)
        yield from expected_worth(spec)
        yield from alarms.section(spec, [rule for rule in checked.raised if rule.spec is spec])
    yield from estimate_words(checked.estimate)
    for line in checked.warnings:
        yield f"warning: {line}"


def reached(checked: Checked, connections: Connections) -> Iterator[str]:
    """What connecting brought, and the configuration that was meant."""
    for topic, partitions in connections.topics.items():
        if partitions is None:
            yield f"warning: {absent(topic)}"
        else:
            yield f"topic {topic}: {partitions} partitions"
    for sample in connections.samples:
        yield sample.words()
        yield from (f"warning: {line}" for line in sample.warnings())
    yield from (f"warning: {line}" for line in connections.warnings)
    yield "\neffective configuration:"
    yield yaml.safe_dump(masked(checked.configuration.settings), sort_keys=False, allow_unicode=True).removesuffix("\n")


def absent(topic: str) -> str:
    """A topic that the broker does not have."""
    return f"topic {topic} does not exist yet; it will be waited for"


def describe(spec: SeriesSpec) -> str:
    """One series in a line."""
    reference, windows = spec.reference, spec.windows
    slide = "" if windows.slide == windows.length else f" sliding by {show_duration(windows.slide)}"
    numeric = len(reference.layout.numeric)
    return (
        f"{spec.key.model} version {spec.key.version}: {numeric} numeric and {len(reference.names) - numeric} "
        f"categorical features, reference {reference.hash} of {reference.rows:,} rows, "
        f"windows of {show_duration(windows.length)}{slide}, rules: {', '.join(rule.name for rule in spec.judging.rules) or 'none'}"
    )


def trailing(spec: SeriesSpec) -> dict[str, str]:
    """The features that are compared with their recent past, each with how much of it."""
    plan, calibration = spec.judging.plan, spec.reference.calibration
    if plan is None or calibration is None:
        return {}
    days = plan.trailing_days(spec.reference.names, calibration).tolist()
    return {
        name: str(Comparison(Against.TRAILING, held))
        for name, held in zip(spec.reference.names, days, strict=True)
        if held
    }


def compared_words(spec: SeriesSpec) -> Iterator[str]:
    """What of a series is compared with its recent past instead of the reference."""
    for name, baseline in trailing(spec).items():
        yield f"  {name}: baseline {baseline}, its own recent past instead of the reference"


def estimate_words(cost: Estimate) -> Iterator[str]:
    """What it costs."""
    yield (
        f"memory: about {megabytes(cost.memory_bytes)} MB, of which {megabytes(cost.references_bytes)} MB are "
        f"references and {megabytes(cost.panes_bytes)} MB panes"
    )
    yield (
        f"memory while catching up: up to {megabytes(cost.catching_up_bytes)} MB more, of which at most "
        f"{megabytes(cost.panes_ahead_bytes)} MB are panes of partitions that run ahead of others"
    )
    yield f"metrics: about {cost.time_series:,} series"


def megabytes(size: int) -> int:
    """Rounded, at least one."""
    return max(1, round(size / 1e6))


# --- for programs -------------------------------------------------------------------------------------------------------


def print_json(said: dict[str, Any]) -> None:
    """Print a document."""
    print(as_lines(said).decode())


def document(config: Path, checked: Checked, connections: Connections, *, offline: bool) -> dict[str, Any]:
    """Everything that was found, secrets masked."""
    configuration = checked.configuration
    missing = [absent(topic) for topic, partitions in connections.topics.items() if partitions is None]
    samples = {sample.topic: sample.document() for sample in connections.samples}
    topics = [
        {"topic": topic, "partitions": partitions, "sample": samples.get(topic)}
        for topic, partitions in connections.topics.items()
    ]
    return refusal(config, connections.problems) | {
        "ok": not connections.problems,
        "config_hash": configuration.config_hash,
        "connected": not offline,
        "models": [
            series_document(spec, [rule for rule in checked.raised if rule.spec is spec])
            for spec in configuration.specs
        ],
        "estimate": asdict(checked.estimate),
        "topics": topics,
        "warnings": [*checked.warnings, *missing, *connections.warnings],
        "configuration": masked(configuration.settings),
    }


def refusal(config: Path, problems: Sequence[str]) -> dict[str, Any]:
    """The document of a configuration that cannot be loaded: the same keys, and the problems."""
    return {
        "driftd_version": VERSION,
        "config": str(config),
        "config_hash": None,
        "ok": False,
        "connected": False,
        "models": [],
        "estimate": None,
        "topics": [],
        "warnings": [],
        "problems": list(problems),
        "configuration": None,
    }


def series_document(spec: SeriesSpec, raised: Sequence[alarms.RuleAlarms]) -> dict[str, Any]:
    """One series, and what is to be expected of its alerts."""
    reference, windows, numeric = spec.reference, spec.windows, len(spec.reference.layout.numeric)
    usual = alarms.usual(spec)
    return {
        "model": spec.key.model,
        "version": spec.key.version,
        "window": show_duration(windows.length),
        "slide": show_duration(windows.slide),
        "reference": {"hash": reference.hash, "rows": reference.rows},
        "features": {"numeric": numeric, "categorical": len(reference.names) - numeric},
        "trailing": trailing(spec),
        "calibration": spec.judging.calibration,
        "calibration_words": learnt(reference, windows.length).removeprefix("calibration: "),
        "learn_for": show_duration(spec.judging.learn_for) if spec.judging.learns else None,
        "learning_words": alarms.learning(spec) if spec.judging.learns else None,
        "usual_rows": usual.rows,
        "usual_rows_source": usual.source,
        "service": served_document(spec.reference),
        "learning_requests": alarms.learning_requests(spec) if spec.judging.learns_service else None,
        "budget": budget_document(spec),
        "rules": [rule_document(rule) for rule in raised],
        "estimates": estimates_document(spec),
    }


def budget_document(spec: SeriesSpec) -> dict[str, Any] | None:
    """What the budget comes to; None where it is off, figures None where the reference is cold."""
    asked, figures = spec.judging.plan, alarms.budget_figures(spec)
    if asked is None:
        return None
    shift = None if figures is None or figures.detectable is None else asdict(figures.detectable)
    return {
        "false_alarms_per_month": asked.per_month,
        "expected_false_alarms_per_month": None if figures is None else asked.per_month,
        "charts": None if figures is None else figures.charts,
        "subgroup": None if figures is None else show_duration(figures.subgroup),
        "threshold": None if figures is None else figures.threshold,
        "detectable_shift": None if shift is None else shift | {"within": show_duration(shift["within"])},
        "words": alarms.budget(spec),
    }


def rule_document(raised: alarms.RuleAlarms) -> dict[str, Any]:
    """An explicit rule, and what it raises when nothing has changed."""
    return {
        "rule": raised.rule.name,
        "detector": raised.rule.detector,
        "severity": raised.rule.severity.value,
        "false_alarms_per_month": raised.expected.per_month,
        "words": alarms.words(raised),
    }
