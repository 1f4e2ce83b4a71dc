"""`driftd check`: what a configuration means, what it will cost, and whether its parts can be reached."""

import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import yaml
from confluent_kafka import Consumer, KafkaException

from monitor.app import Loaded, client_properties, explain_client, load
from monitor.commands.run import with_absolute_state
from monitor.runtime.metrics import METRICS
from monitor.series import SeriesSpec
from monitor.settings import ConfigError, Settings, load_settings, masked, show_duration
from monitor.sinks.address import AddressRefused, resolve

BASE_BYTES = 130 << 20  # interpreter and libraries: measured by benchmarks/end_to_end.py on an idle daemon
COUNT_BYTES = 8
QUEUE_BYTES = 64 << 20  # the client's queue and one poll
PER_SCORE = 5  # drift_score, pvalue, threshold and about two of the details
PER_FEATURE = 3  # state, missing, unseen


def check(config: Path, *, offline: bool) -> int:
    """Check a configuration. 0 if it would run, else 2. Raises ConfigError."""
    settings = load_settings(config)
    base = config.resolve().parent
    loaded = load(with_absolute_state(settings, base), base)
    for spec in loaded.specs:
        print(describe(spec))
    for line in estimate(loaded):
        print(line)
    for line in warnings(loaded):
        print(f"warning: {line}")
    problems = [] if offline else list(unreachable(loaded.settings))
    print("\neffective configuration:")
    print(yaml.safe_dump(masked(loaded.settings), sort_keys=False, allow_unicode=True), end="")
    if problems:
        raise ConfigError("\n".join(problems))
    print("\nok" + (" (nothing was connected to)" if offline else ""))
    return 0


def describe(spec: SeriesSpec) -> str:
    """One series in a line."""
    reference, windows = spec.reference, spec.windows
    slide = "" if windows.slide == windows.length else f" sliding by {show_duration(windows.slide)}"
    numeric = len(reference.grid.numeric)
    return (
        f"{spec.key.model} version {spec.key.version}: {numeric} numeric and {len(reference.names) - numeric} "
        f"categorical features, reference {reference.hash} of {reference.rows:,} rows, "
        f"windows of {show_duration(windows.length)}{slide}, {len(spec.judging.rules)} rules"
    )


def estimate(loaded: Loaded) -> Iterator[str]:
    """Memory and metric series that this configuration will need."""
    panes = sum(pane_bytes(spec) for spec in loaded.specs)
    total = BASE_BYTES + QUEUE_BYTES + panes
    yield f"memory: about {total >> 20} MiB, of which {max(panes >> 20, 1)} MiB are panes"
    series = sum(series_of(spec) for spec in loaded.specs) + len(METRICS)
    yield f"metrics: about {series:,} series"


def pane_bytes(spec: SeriesSpec) -> int:
    """Bytes of the panes that are open at once, the window's own sum and the reference."""
    windows = spec.windows
    panes = windows.length // windows.slide + windows.lateness // windows.slide + 4
    return int(panes) * int(spec.reference.grid.size) * COUNT_BYTES


def series_of(spec: SeriesSpec) -> int:
    """Time series of one model: at most four detectors and two shares a feature."""
    numeric = len(spec.reference.grid.numeric)
    features = len(spec.reference.names)
    scores = numeric * 5 + (features - numeric) * 4
    return scores * PER_SCORE + features * PER_FEATURE + len(spec.judging.rules) * 5 + 8


def warnings(loaded: Loaded) -> Iterator[str]:
    """What would run but may not be meant."""
    settings = loaded.settings
    if settings.alerting.false_alarms_per_month is not None:
        yield "alerting.false_alarms_per_month is accepted but not used yet: only explicit rules apply"
    if not settings.alerting.rules:
        yield "alerting.rules is empty: scores are exported, nothing fires"
    for spec in loaded.specs:
        for rule in spec.judging.rules:
            if not spec.judging.rules_for(rule):
                yield f"alerting.rules.{rule.name}: matches no feature of {spec.key.model} that {rule.detector} can judge"
    for model in settings.models:
        if any(feature.importance is not None for feature in model.features.values()):
            yield f"models.{model.name}.features: importance is accepted but not used yet"
    yield from webhook_warnings(settings)


def webhook_warnings(settings: Settings) -> Iterator[str]:
    """What would be said in the open, or never."""
    for webhook in settings.webhooks:
        if urlsplit(webhook.url).scheme == "http":
            yield f"webhooks.{webhook.name}: plain http, anyone on the way can read it"
    if any("model.retrain.requested" in webhook.types for webhook in settings.webhooks) and not any(
        rule.severity == "critical" for rule in settings.alerting.rules
    ):
        yield "webhooks want model.retrain.requested, but no rule is critical: retraining will never be asked for"


def unreachable(settings: Settings) -> Iterator[str]:
    """What cannot be reached now."""
    yield from broker_problems(settings)
    for webhook in settings.webhooks:
        parts = urlsplit(webhook.url)
        try:
            resolve(parts.hostname or "", parts.port or 443)
        except AddressRefused as error:
            yield f"webhooks.{webhook.name}: {error}, which is never connected to"
        except OSError as error:
            yield f"webhooks.{webhook.name}: {parts.hostname} cannot be resolved: {error.strerror or error}"
    if settings.state.exists() and not os.access(settings.state, os.W_OK | os.X_OK):
        yield f"state: {settings.state} is not writable"


def broker_problems(settings: Settings) -> Iterator[str]:
    """Whether the broker answers; topics that it does not have are said, they are waited for."""
    try:
        consumer = Consumer({**client_properties(settings), "group.id": settings.kafka.group_id})
    except (KafkaException, ValueError, TypeError) as error:
        yield f"kafka.properties: {explain_client(error)}"
        return
    try:
        known = consumer.list_topics(timeout=10).topics
    except KafkaException as error:
        yield f"kafka.bootstrap_servers: {settings.kafka.bootstrap_servers} does not answer: {explain_client(error)}"
        return
    finally:
        consumer.close()
    for topic in settings.topics:
        found = known.get(topic.name)
        if found is None or found.error is not None:
            print(f"warning: topic {topic.name} does not exist yet; it will be waited for")
        else:
            print(f"topic {topic.name}: {len(found.partitions)} partitions")
