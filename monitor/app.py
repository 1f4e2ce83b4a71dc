"""The composition root: settings to objects. Nothing is decided here, and nothing else builds them."""

import hashlib
import os
import re
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from threading import Event
from typing import Any

import msgspec
from confluent_kafka import KafkaException
from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector

from detectors import DETECTORS, Reference, ReferenceFormatError, sketches
from monitor.alerting.judge import FeatureChoice, Judging
from monitor.alerting.retraining import RetrainPolicy
from monitor.alerting.rules import AlertRule, Severity, Thresholds
from monitor.clock import Clock, SystemClock
from monitor.facts import DaemonStarted, DaemonStopped, Fact
from monitor.pipeline import Pipeline
from monitor.runtime.board import Board, SeriesBoard
from monitor.runtime.checkpoint import Checkpointer
from monitor.runtime.http import Server, Surface
from monitor.runtime.loop import Loop
from monitor.runtime.metrics import Exposition, Surroundings
from monitor.runtime.telemetry import Telemetry
from monitor.series import SeriesSpec
from monitor.settings import ConfigError, Settings, masked
from monitor.settings.schema import FeatureSettings, ModelSettings, RuleSettings, TopicSettings, WebhookSettings
from monitor.sinks.notifier import Notifier
from monitor.sinks.payloads import Sender, Subscriber
from monitor.sinks.store import StateError, StateStore
from monitor.sinks.webhook import SecretError, Webhook, decode_secret
from monitor.sources import scanning
from monitor.sources.base import Source
from monitor.sources.client import KafkaChoice
from monitor.sources.decode import FieldMap, SeriesDecoder, TopicDecoder
from monitor.sources.kafka import KafkaSource
from monitor.sources.values import UNITS
from monitor.stream.events import SECOND, Partition, SeriesKey
from monitor.stream.windows import WindowSpec

VERSION = version("driftd")
COMPILED = {"decoding": scanning.COMPILED, **sketches.COMPILED}  # where not, Python does it, several times slower
DRAIN = 5.0  # seconds at the end for what can be delivered at once
STUCK_AFTER = 30 * SECOND  # a loop that has not turned for so long is not ready


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings with what they point at: references and secrets, read and checked."""

    settings: Settings
    specs: tuple[SeriesSpec, ...]
    webhooks: tuple[Webhook, ...]

    @property
    def config_hash(self) -> str:
        """Short hash of the effective configuration, secrets apart."""
        return hashlib.sha256(msgspec.json.encode(masked(self.settings))).hexdigest()[:12]


# --- what the settings point at -----------------------------------------------------------------------------------


def load(
    settings: Settings, base: Path, environment: Mapping[str, str] = os.environ, *, needs_secrets: bool = True
) -> Loaded:
    """Read references and secrets; paths are relative to `base`. Raises ConfigError, a line for each problem."""
    problems: list[str] = []
    specs, webhooks = [], []
    shared: dict[Path, Reference] = {}
    for at, model in enumerate(settings.models):
        try:
            path = base / model.reference
            if path not in shared:
                shared[path] = load_reference(path, f"models[{at}]")
            specs.append(series_spec(settings, model, shared[path]))
        except ConfigError as error:
            problems.append(str(error))
    for webhook in settings.webhooks if needs_secrets else ():
        try:
            webhooks.append(load_webhook(webhook, base, environment))
        except ConfigError as error:
            problems.append(str(error))
    if problems:
        raise ConfigError("\n".join(problems))
    return Loaded(settings, tuple(specs), tuple(webhooks))


def load_reference(path: Path, key: str) -> Reference:
    """A reference file. Raises ConfigError."""
    try:
        return Reference.load(path)
    except FileNotFoundError:
        raise ConfigError(f"{key}.reference: {path} does not exist; make it with `driftd reference fit`") from None
    except OSError as error:
        raise ConfigError(f"{key}.reference: {path} cannot be read: {error.strerror or error}") from None
    except ReferenceFormatError as error:
        raise ConfigError(f"{key}.reference: {path}: {error}") from None


def load_webhook(webhook: WebhookSettings, base: Path, environment: Mapping[str, str]) -> Webhook:
    """A webhook with its secret. Raises ConfigError, which never holds the secret."""
    key = f"webhooks.{webhook.name}"
    if webhook.secret_file is not None:
        path = base / webhook.secret_file
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"{key}.secret_file: {path} cannot be read: {error.strerror or error}") from None
        except UnicodeDecodeError:
            raise ConfigError(f"{key}.secret_file: {path} is no text") from None
        where = f"{key}.secret_file: the secret in {path}"
    else:
        assert webhook.secret_env is not None
        found = environment.get(webhook.secret_env)
        if found is None:
            raise ConfigError(f"{key}.secret_env: {webhook.secret_env} is not set")
        text, where = found, f"{key}.secret_env: the secret in {webhook.secret_env}"
    try:
        return Webhook(webhook.name, webhook.url, decode_secret(text), webhook.timeout / SECOND)
    except SecretError as error:
        raise ConfigError(f"{where} {error}") from None


def series_spec(settings: Settings, model: ModelSettings, reference: Reference) -> SeriesSpec:
    """What one series is monitored by. Raises ConfigError."""
    where = f"models.{model.name}.features"
    for name, feature in model.features.items():
        if name not in reference.names:
            raise ConfigError(f"{where}.{name}: the reference has no such feature; it has {', '.join(reference.names)}")
        for detector in (*(feature.detectors or ()), *feature.thresholds):
            known_detector(f"{where}.{name}", detector)
    ignored = {name for name, feature in model.features.items() if feature.ignore}
    if ignored:
        kept = [name for name in reference.names if name not in ignored]
        if not kept:
            raise ConfigError(f"{where}: every feature is ignored")
        reference = reference.select(kept)
    rules = tuple(alert_rule(rule) for rule in settings.alerting.rules if matches_model(rule, model))
    return SeriesSpec(
        key=SeriesKey(model.name, model.series_version),
        windows=WindowSpec(model.window, model.slide or model.window, model.lateness),
        judging=Judging(
            reference=reference,
            window_length=model.window,
            rules=rules,
            min_rows=model.min_rows,
            choices={name: feature_choice(feature) for name, feature in model.features.items() if not feature.ignore},
        ),
        retraining=RetrainPolicy(settings.retraining.cooldown, settings.retraining.max_per_week),
    )


def matches_model(rule: RuleSettings, model: ModelSettings) -> bool:
    """Whether a rule is meant for a model."""
    return AlertRule(rule.name, rule.detector, 0, 0, features=tuple(rule.models)).applies_to(model.name)


def alert_rule(rule: RuleSettings) -> AlertRule:
    """A rule as the alert machine takes it. Raises ConfigError for an unknown detector."""
    known_detector(f"alerting.rules.{rule.name}", rule.detector)
    return AlertRule(
        name=rule.name,
        detector=rule.detector,
        fire_above=rule.fire_above,
        clear_below=rule.fire_above if rule.clear_below is None else rule.clear_below,
        features=tuple(rule.features),
        hold=rule.hold,
        keep_firing_for=rule.keep_firing_for,
        min_rows=rule.min_rows,
        severity=Severity(rule.severity),
    )


def known_detector(key: str, name: str) -> None:
    """Raise ConfigError for a detector that there is not."""
    if name not in DETECTORS:
        raise ConfigError(f"{key}: {name!r} is no detector; there is {', '.join(sorted(DETECTORS))}")


def feature_choice(feature: FeatureSettings) -> FeatureChoice:
    """What the settings say of one feature."""
    return FeatureChoice(
        None if feature.detectors is None else frozenset(feature.detectors),
        {name: Thresholds(own.fire_above, own.clear_below) for name, own in feature.thresholds.items()},
    )


# --- the parts ------------------------------------------------------------------------------------------------------


def build_decoders(loaded: Loaded) -> dict[str, TopicDecoder]:
    """A decoder for each topic. Any topic may hold any model."""
    return {topic.name: build_decoder(loaded, topic) for topic in loaded.settings.topics}


def build_decoder(loaded: Loaded, topic: TopicSettings) -> TopicDecoder:
    """One topic's decoder."""
    fields = FieldMap.parse(topic.fields.model_dump(), UNITS[topic.timestamp_unit])
    series = [SeriesDecoder(spec.key, spec.reference.grid, fields) for spec in loaded.specs]
    return TopicDecoder(topic.name, series, fields, loaded.settings.max_future)


def build_source(settings: Settings, clock: Clock) -> KafkaSource:
    """The Kafka source. Raises ConfigError for properties that the client refuses."""
    kafka = settings.kafka
    choice = KafkaChoice(
        bootstrap_servers=kafka.bootstrap_servers,
        group_id=kafka.group_id,
        topics=tuple(topic.name for topic in settings.topics),
        from_earliest=kafka.start_from == "earliest",
        properties=kafka.properties,
        startup_timeout=kafka.startup_timeout / SECOND,
        skip_lost=kafka.lost_offsets == "skip",
    )
    try:
        return KafkaSource(choice, clock)
    except (
        KafkaException,
        ValueError,
        TypeError,
    ) as error:  # the client raises many kinds, all of them about its configuration
        raise ConfigError(f"kafka.properties: {explain_client(error)}") from None


def client_properties(settings: Settings) -> dict[str, Any]:
    """What a client of ours needs to reach the broker."""
    return {
        "log_level": 0,
        "socket.timeout.ms": 10_000,
        **settings.kafka.properties,
        "bootstrap.servers": settings.kafka.bootstrap_servers,
    }


def explain_client(error: Exception) -> str:
    """The Kafka client's own words, without values: they could be secrets."""
    found = error.args[0] if error.args else error
    text = found.str() if hasattr(found, "str") else str(found)
    text = re.sub('value ".*" for configuration', "value for configuration", text, flags=re.DOTALL)
    return text.split(" = ", maxsplit=1)[0].split('value "', maxsplit=1)[0].strip()


class Daemon:
    """Everything of one running driftd."""

    def __init__(self, loaded: Loaded, *, clock: Clock | None = None, source: Source | None = None) -> None:
        settings = loaded.settings
        self.clock = clock or SystemClock()
        self.source = source or build_source(settings, self.clock)
        self.pipeline = Pipeline(loaded.specs, settings.idle_after, settings.max_future)
        self.stopping = Event()
        self.store = StateStore(settings.state)
        board = build_board(loaded)
        self.telemetry = Telemetry(board, self.clock.now)
        self.checkpointer = Checkpointer(
            self.store, self.pipeline, self.source, self.clock, settings.checkpoint_interval / SECOND
        )
        self.notifiers = [
            Notifier(webhook, self.store, self.clock, lambda fact: self.telemetry.record([fact]))
            for webhook in loaded.webhooks
        ]
        self.loop = Loop(
            self.source,
            build_decoders(loaded),
            self.pipeline,
            self.checkpointer,
            self.telemetry,
            self.clock,
            subscribers=[Subscriber(webhook.name, frozenset(webhook.types)) for webhook in settings.webhooks],
            sender=Sender(loaded.config_hash, VERSION),
            wake=self._wake,
        )
        self._opened = False
        self._loaded = loaded
        try:
            self.server = Server(settings.http.host, settings.http.port, self._surface(loaded))
        except BaseException:
            self.store.close()
            raise

    def _surface(self, loaded: Loaded) -> Surface:
        around = Surroundings(
            version=VERSION,
            now=self.clock.now,
            ready=self.ready,
            foreign=lambda: self.source.foreign,
            backlog=self.store.backlog,
            webhooks=tuple(webhook.name for webhook in loaded.webhooks),
            started=self.clock.now(),
            compiled=COMPILED,
        )
        process = CollectorRegistry()
        ProcessCollector(registry=process)
        PlatformCollector(registry=process)
        return Surface(self.telemetry, Exposition(self.telemetry.look, around, process), self.ready)

    def _wake(self) -> None:
        for notifier in self.notifiers:
            notifier.wake()

    def ready(self) -> str | None:
        """Why the daemon is not ready, in one line; None when it is."""
        if not self._opened:
            return "starting: positions are being looked up"
        if self.checkpointer.failing is not None:
            return self.checkpointer.failing
        turned = self.telemetry.look(lambda board: board.turned_at)
        if turned is not None and self.clock.now() - turned > STUCK_AFTER:
            return "the loop has not turned for 30 s"
        for notifier in self.notifiers:
            if not notifier.is_alive():
                return f"{notifier.name} has ended: its webhook is no longer told anything"
        return self.source.trouble()

    def run(self) -> None:
        """Restore, read until told to stop, then drain and save. Raises SourceError or StateError when it cannot go on."""
        self.server.start()
        try:
            facts, positions = self._restore()
            for notifier in self.notifiers:
                notifier.start()
            brokers = self._loaded.settings.kafka.bootstrap_servers
            started = DaemonStarted(self.server.url, brokers, VERSION, self._loaded.config_hash, all(COMPILED.values()))
            self.telemetry.record([started])
            self.source.open(positions)
            self._opened = True
            self.loop.begin(facts)
            self.loop.run(self.stopping)
            if self.checkpointer.failing is not None:
                raise StateError(f"{self.checkpointer.failing}; what was not saved is read again")
            self.telemetry.record([DaemonStopped()])
        finally:
            self.close()

    def _restore(self) -> tuple[list[Fact], dict[Partition, int]]:
        """Take up the saved state. Raises StateError where it cannot be read."""
        try:
            records, positions = self.store.records(), self.store.positions()
            facts = self.pipeline.restore(records, self.clock.now())
        except (sqlite3.Error, msgspec.MsgspecError, ValueError) as error:
            raise StateError(
                f"state: {self.store.path} cannot be read: {error}; move it away to begin anew, positions and alerts included"
            ) from None
        self.checkpointer.whole = bool(facts)
        self.telemetry.restore(self.pipeline.current())
        return facts, positions

    def stop(self) -> None:
        """Ask for the end, from a signal. While positions are looked up nothing has been read: the end comes at once."""
        starting = not self._opened and not self.stopping.is_set()
        self.stopping.set()
        if starting:
            raise SystemExit(0)

    def close(self) -> None:
        """Let go of everything, in bounded time."""
        for notifier in self.notifiers:
            notifier.stop()
        deadline = self.clock.elapsed() + DRAIN
        for notifier in self.notifiers:
            if notifier.is_alive():
                notifier.join(max(0.1, deadline - self.clock.elapsed()))
        self.source.close()
        self.server.shutdown()
        self.server.server_close()
        self.store.close()


def build_board(loaded: Loaded) -> Board:
    """An empty board of everything that will be shown."""
    board = Board(
        {
            spec.key: SeriesBoard(
                spec.reference.hash,
                spec.reference.rows,
                {rule.name: rule.severity.value for rule in spec.judging.rules},
                spec.windows.length,
            )
            for spec in loaded.specs
        }
    )
    board.expect(
        topics=[topic.name for topic in loaded.settings.topics],
        webhooks=[webhook.name for webhook in loaded.webhooks],
        rules=[(spec.key, rule.name) for spec in loaded.specs for rule in spec.judging.rules],
    )
    return board
