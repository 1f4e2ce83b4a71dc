"""`driftd check`: what a configuration means, what it will cost, and whether its parts can be reached."""

import os
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from socket import AF_INET, AF_INET6, SO_REUSEADDR, SOL_SOCKET, socket
from urllib.parse import urlsplit

import yaml
from confluent_kafka import Consumer, KafkaException

from detectors import DriftScore
from detectors.univariate import volume
from monitor.alerting.alerts import AlertState
from monitor.alerting.retraining import RetrainOutcome
from monitor.app import COMPILED, client_properties, explain_client
from monitor.commands import alarms, memory
from monitor.commands.calibration import changing
from monitor.commands.run import with_absolute_state
from monitor.configuration import Loaded, load
from monitor.runtime.board import DELIVERY_OUTCOMES, WEBHOOK_OUTCOMES
from monitor.runtime.metrics import SCORE_PARTS
from monitor.series.series import SeriesSpec
from monitor.settings import ConfigError, Settings, load_settings, masked, show_duration
from monitor.sources.kafka.client import ABSENT_TOPIC
from monitor.targets.address import AddressRefused, place, resolve

PATIENCE = 10.0  # seconds for a broker to answer
OF_FEATURE = 3  # state, missing, unseen
OF_SERIES = 7 + len(RetrainOutcome)  # rows, end, length, panes, reference, calibration, watermark
OF_BUDGET = 3  # warnings, those expected, whether the calibration is suspect
OF_RULE = 2 + len(AlertState)  # state, info, transitions
OF_TOPIC = 8  # outcomes, lost offsets, the lag of a few partitions
OF_TARGET = 2 + len(DELIVERY_OUTCOMES)
OF_WEBHOOK = len(set(WEBHOOK_OUTCOMES.values()))  # more
OF_DAEMON = 34  # the service's and the process's own


def check(config: Path, *, offline: bool) -> int:
    """Check a configuration. 0 if it would run, else 2. Raises ConfigError."""
    settings = load_settings(config)
    base = config.resolve().parent
    loaded = load(with_absolute_state(settings, base), base)
    raised = alarms.rule_alarms(loaded.specs)
    for line in (*profiles(loaded, raised), *estimate(loaded)):
        print(line)
    for line in (*warnings(loaded), *alarms.over_budget(raised)):
        print(f"warning: {line}")
    problems = list(client_problems(loaded.settings))
    if not offline and not problems:
        problems = list(unreachable(loaded.settings))
    print("\neffective configuration:")
    print(yaml.safe_dump(masked(loaded.settings), sort_keys=False, allow_unicode=True), end="")
    if problems:
        raise ConfigError("\n".join(problems))
    print("\nok" + (" (nothing was connected to)" if offline else ""))
    return 0


def profiles(loaded: Loaded, raised: Sequence[alarms.RuleAlarms]) -> Iterator[str]:
    """Each series in a line, and what is to be expected of its alerts."""
    for spec in loaded.specs:
        yield describe(spec)
        yield from alarms.section(spec, [one for one in raised if one.spec is spec])


def describe(spec: SeriesSpec) -> str:
    """One series in a line."""
    reference, windows = spec.reference, spec.windows
    slide = "" if windows.slide == windows.length else f" sliding by {show_duration(windows.slide)}"
    numeric = len(reference.grid.numeric)
    return (
        f"{spec.key.model} version {spec.key.version}: {numeric} numeric and {len(reference.names) - numeric} "
        f"categorical features, reference {reference.hash} of {reference.rows:,} rows, "
        f"windows of {show_duration(windows.length)}{slide}, rules: {', '.join(rule.name for rule in spec.judging.rules) or 'none'}"
    )


def estimate(loaded: Loaded) -> Iterator[str]:
    """Memory and metric series that this configuration will need."""
    specs, settings = loaded.specs, loaded.settings
    series = series_count(loaded)
    ahead = memory.panes_ahead(specs, settings.idle_after, settings.max_future)
    yield (
        f"memory: about {megabytes(memory.steady(specs, series))} MB, of which {megabytes(memory.references(specs))} MB are "
        f"references and {megabytes(memory.panes(specs))} MB panes"
    )
    yield (
        f"memory while catching up: up to {megabytes(memory.READING_BYTES + ahead)} MB more, of which at most "
        f"{megabytes(ahead)} MB are panes of partitions that run ahead of others"
    )
    yield f"metrics: about {series:,} series"


def megabytes(size: int) -> int:
    """Rounded, at least one."""
    return max(1, round(size / 1e6))


def series_count(loaded: Loaded) -> int:
    """Time series of /metrics once every model has had a full window."""
    told = sum(OF_TARGET + (target.type == "webhook") * OF_WEBHOOK for _, target in loaded.settings.told)
    return len(loaded.settings.topics) * OF_TOPIC + told + OF_DAEMON + sum(series_of(spec) for spec in loaded.specs)


def series_of(spec: SeriesSpec) -> int:
    """Time series of one model, found by scoring its reference against itself."""
    judging, reference = spec.judging, spec.reference
    scores = [
        *reference.compare(reference.sketch),
        *(DriftScore(feature.name, "adwin", 0.0, 1, details={"direction": 1}) for feature in reference.grid.numeric),
    ]
    wanted = [score for score in scores if judging.wants(score.feature, score.detector)]
    parts = sum(1 + (score.pvalue is not None) + len(score.details.keys() & SCORE_PARTS) for score in wanted)
    ruled = {(feature, rule.detector) for rule in judging.rules for feature in judging.rules_for(rule)}
    volume = 2  # score and state
    shifts = len(reference.grid.numeric)
    features = len(reference.names) * OF_FEATURE + shifts
    return (
        parts + len(ruled) + volume + features + series_of_budget(spec) + len(judging.all_rules) * OF_RULE + OF_SERIES
    )


def series_of_budget(spec: SeriesSpec) -> int:
    """Time series of the budget's own rule: a score and its threshold a feature, and what the self-check says."""
    if spec.judging.plan is None:
        return 0
    return 2 * len(spec.reference.names) + (OF_BUDGET if spec.reference.calibration is not None else 0)


def warnings(loaded: Loaded) -> Iterator[str]:
    """What would run but may not be meant."""
    settings = loaded.settings
    slow = [part for part, used in COMPILED.items() if not used]
    if slow:
        yield f"{' and '.join(slow)}: Python does it, several times slower than the compiled part, which is not here"
    if not settings.alerting.rules and settings.alerting.false_alarms_per_month is None:
        yield "alerting: there is neither a budget nor a rule: scores are exported, nothing fires"
    yield from reference_warnings(loaded)
    yield from rule_warnings(loaded)
    for topic in settings.topics:
        if topic.kind == "features" and any("__prediction__" in spec.reference.names for spec in loaded.specs):
            yield f"topics.{topic.name}: its rows have no prediction and count as missing in __prediction__"
    yield from target_warnings(settings)


def reference_warnings(loaded: Loaded) -> Iterator[str]:
    """References that are not the same from beginning to end, which `fit` and `show` tell in the same words."""
    for spec in loaded.specs:
        found = spec.reference.calibration
        for line in () if found is None else changing(found):
            yield f"{spec.key.model} version {spec.key.version}: {line}"


def rule_warnings(loaded: Loaded) -> Iterator[str]:
    """Rules, and patterns in them, that can never fire."""
    models = [model.name for model in loaded.settings.models]
    for rule in loaded.settings.alerting.rules:
        for pattern in rule.models:
            if not any(fnmatchcase(name, pattern) for name in models):
                yield f"alerting.rules.{rule.name}: models: {pattern!r} matches none; there is {', '.join(models)}"
    for spec in loaded.specs:
        judged = judged_by(spec)
        for own in spec.judging.rules:
            for pattern in own.features:
                if not any(fnmatchcase(name, pattern) for name in judged.get(own.detector, ())):
                    yield (
                        f"alerting.rules.{own.name}: features: {pattern!r} matches nothing of {spec.key.model} "
                        f"that {own.detector} can judge"
                    )


def judged_by(spec: SeriesSpec) -> dict[str, list[str]]:
    """The features that each detector judges."""
    judging, reference = spec.judging, spec.reference
    pairs = [(score.detector, score.feature) for score in reference.compare(reference.sketch)]
    pairs += [("adwin", feature.name) for feature in reference.grid.numeric]
    pairs.append(("volume", volume.FEATURE))
    found: dict[str, list[str]] = {}
    for detector, feature in pairs:
        if judging.wants(feature, detector):
            found.setdefault(detector, []).append(feature)
    return found


def target_warnings(settings: Settings) -> Iterator[str]:
    """What would be said in the open, or never."""
    for key, target in settings.told:
        if any(urlsplit(url).scheme == "http" for url in target.urls()):
            yield f"{key}: plain http, anyone on the way can read it"
    critical = any(rule.severity == "critical" for rule in settings.alerting.rules)
    budget = settings.alerting.false_alarms_per_month is not None  # its own rule is critical
    wanted = {key.partition(".")[0] for key, target in settings.told if "model.retrain.requested" in target.types}
    if wanted and not (critical or budget):
        yield f"{' and '.join(sorted(wanted))} want model.retrain.requested, but no rule is critical: retraining will never be asked for"


def unreachable(settings: Settings) -> Iterator[str]:
    """What cannot be reached now."""
    yield from broker_problems(settings)
    for key, target in settings.told:
        for url in target.urls():
            yield from address_problems(key, url)
    yield from local_problems(settings)


def address_problems(key: str, url: str) -> Iterator[str]:
    """Whether the host of an address has one that may be connected to."""
    host, port = place(url)
    try:
        resolve(host, port)
    except AddressRefused as error:
        yield f"{key}: {error}, which is never connected to"
    except OSError as error:
        yield f"{key}: {host} cannot be resolved: {error.strerror or error}"


def local_problems(settings: Settings) -> Iterator[str]:
    """What stands in the way on this machine: the state's directory and the port."""
    place = next(path for path in (settings.state, *settings.state.parents) if path.exists())
    if not place.is_dir():
        yield f"state: {settings.state} cannot be used: {place} is no directory"
    elif not os.access(place, os.W_OK | os.X_OK):
        yield f"state: {settings.state} cannot be used: {place} is not writable"
    host, port = settings.http.host, settings.http.port
    try:
        with socket(AF_INET6 if ":" in host else AF_INET) as probe:
            probe.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)  # as the server does
            probe.bind((host, port))
            probe.listen()  # with the address reused, two may bind and one may listen
    except OSError as error:
        yield f"http: {host}:{port} cannot be bound: {error.strerror or error}; is driftd running already?"


def client_problems(settings: Settings) -> Iterator[str]:
    """Whether the client takes its properties; nothing is connected to."""
    try:
        Consumer({**client_properties(settings), "bootstrap.servers": "", "group.id": settings.kafka.group_id}).close()
    except (KafkaException, ValueError) as error:
        yield f"kafka.properties: {explain_client(error)}"


def broker_problems(settings: Settings) -> Iterator[str]:
    """Whether the broker answers; topics that it does not have are said, they are waited for."""
    said: list[str] = []
    consumer = Consumer(
        {
            **client_properties(settings),
            "group.id": settings.kafka.group_id,
            "error_cb": lambda error: said.append(error.str()),
        }
    )
    try:
        known = consumer.list_topics(timeout=PATIENCE).topics
    except KafkaException as error:
        consumer.poll(0)  # brings the reason
        reason = said[0] if said else explain_client(error)
        yield f"kafka.bootstrap_servers: {settings.kafka.bootstrap_servers} does not answer: {reason}"
        return
    finally:
        consumer.close()
    for topic in settings.topics:
        found = known.get(topic.name)
        if found is None or (found.error is not None and found.error.code() in ABSENT_TOPIC):
            print(f"warning: topic {topic.name} does not exist yet; it will be waited for")
        elif found.error is not None:
            yield f"topics.{topic.name}: {found.error.str()}"
        else:
            print(f"topic {topic.name}: {len(found.partitions)} partitions")
