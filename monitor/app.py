"""Builds a daemon and its parts from the configuration. Nothing is decided here."""

import re
import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from importlib.metadata import version
from threading import Event
from types import MappingProxyType
from typing import Any, Self

from confluent_kafka import KafkaException

from detectors import sketches
from detectors.reference.service import ERROR, LATENCY
from monitor.audit.chain import AuditNote
from monitor.audit.entries import STARTED, start_note
from monitor.clock import Clock, SystemClock
from monitor.configuration import Configuration, load_access
from monitor.explain.explainer import Explainer
from monitor.facts import DaemonStarted, DaemonStopped, DeadLettersSized, Fact, NoticesUnclaimed, ReferenceStoodIn
from monitor.following import aliases_of, asker, finder, followed_keys, following, policies_of
from monitor.pipeline import DISPENSABLE, Pipeline
from monitor.runtime.approval import ApprovalLinks, Approvals
from monitor.runtime.audit import AuditDesk
from monitor.runtime.board import Board, ContractBoard, SeriesBoard
from monitor.runtime.checkpoint import Checkpointer
from monitor.runtime.dead_letters import DeadLetters, DeadLetterSink
from monitor.runtime.gate import OPEN, Gate
from monitor.runtime.http import Server, Surface
from monitor.runtime.inbox import Inbox
from monitor.runtime.loop import Loop, Parts
from monitor.runtime.metrics import DaemonStatus, Exposition
from monitor.runtime.outbox import OutboxDesk
from monitor.runtime.process import process_metrics
from monitor.runtime.references import Outdoors, ReferenceReader
from monitor.runtime.registry import RegistryPoller
from monitor.runtime.requests import RequestCounts
from monitor.runtime.runs import RunWatch
from monitor.runtime.telemetry import Telemetry
from monitor.runtime.waiting import PatientSource
from monitor.runtime.writing import Deciding, RegistryHook
from monitor.series.contract import ContractSpec, of_rows
from monitor.series.records import FOREIGN
from monitor.series.series import SeriesSpec
from monitor.series.truth import Truth
from monitor.settings import ConfigError, Settings, mask_url
from monitor.settings.fields import BrokerTimeSettings, ConstantSettings
from monitor.settings.schema import SECRET_FILES, KafkaSettings, TopicSettings
from monitor.settings.web import WebAccess
from monitor.sources.base import RecordParts, Source
from monitor.sources.decode.contract import seen_by, slow_columns
from monitor.sources.decode.joining import PredictionColumns, prediction_fields
from monitor.sources.decode.labels import LabelDecoder
from monitor.sources.decode.topic import TopicDecoder
from monitor.sources.formats.fields import FieldMap, SeriesFields
from monitor.sources.formats.json import scanning
from monitor.sources.formats.registry import UnknownFormatError
from monitor.sources.formats.values import UNITS
from monitor.sources.kafka import native
from monitor.sources.kafka.client import KafkaChoice
from monitor.sources.kafka.dead_letters import DeadLetterTopic
from monitor.sources.kafka.secured import SecretFileError, secured
from monitor.sources.kafka.source import KafkaSource
from monitor.store import files
from monitor.store.dead_letters import KIND as DEAD_LETTERS
from monitor.store.dead_letters import DeadLetterFiles
from monitor.store.sqlite import StateError, StateStore
from monitor.store.starts import Starts
from monitor.stream.clocks import TOLERANCE
from monitor.stream.events import SECOND, Nanos, Partition, SeriesKey
from monitor.stream.halves import REQUEST, RESPONSE, WHOLE
from monitor.targets.base import can_follow, still_heard
from monitor.targets.notifier import Notifier
from monitor.targets.payloads import RETRAIN, Sender
from monitor.versions import KINDS as OF_VERSIONS
from monitor.versions import Versions

VERSION = version("driftd")
COMPILED = {
    "reading": native.THERE,
    "decoding": scanning.COMPILED,
    **sketches.COMPILED,
}  # where not, Python does it, several times slower
HALF = {None: WHOLE, "request": REQUEST, "response": RESPONSE}
LABEL = ("label",)  # where a label stands, unless its topic says otherwise
DRAIN = 5.0  # seconds at the end for what can be delivered at once
SCOUTING = 10.0  # seconds that are read ahead of us, at least, where we have died
MOST_NAMED = 20  # notices whose ids a start tells
STUCK_AFTER = 30 * SECOND  # a loop that has not turned for so long is not ready


# --- the parts ------------------------------------------------------------------------------------------------------


def build_decoders(configuration: Configuration) -> dict[str, TopicDecoder]:
    """A decoder for each topic. Any topic may hold any model."""
    decoders = {topic.name: build_decoder(configuration, topic) for topic in configuration.settings.topics}
    for decoder in decoders.values():
        decoder.keeps_rejected = configuration.settings.dead_letters is not None
    return decoders


def build_decoder(configuration: Configuration, topic: TopicSettings) -> TopicDecoder:
    """One topic's decoder."""
    fields = fields_of(topic)
    refuse_unknown_model(topic, fields, [spec.key.model for spec in configuration.specs])
    if topic.kind == "labels":
        return label_decoder(configuration, topic, fields)
    truths = {
        spec.key: spec.performance.truth
        for spec in configuration.specs
        if spec.performance is not None and topic.kind == "predictions"
    }
    series = [
        SeriesFields(
            spec.key,
            spec.reference.layout,
            fields,
            prediction_fields(truths[spec.key], fields, spec.reference.names) if spec.key in truths else None,
            served=topic.kind == "predictions",
        )
        for spec in configuration.specs
    ]
    joined = {each.key: PredictionColumns(each, truths[each.key]) for each in series if each.key in truths}
    refuse_without_id(topic, fields, [each for each in series if each.key in truths])
    if topic.half is not None:
        refuse_half_without_id(topic, fields, series)
    future, tolerance = configuration.settings.max_future, tolerance_of(configuration)
    new = policies_of(configuration.settings).keys(), followed_keys(configuration)
    contracts, sampled = contracts_of(configuration.specs), any(spec.sampled for spec in configuration.specs)
    return topic_decoder(topic, series, fields, future, tolerance, joined, contracts, *new, sampled=sampled)


def wanted_parts(decoders: Mapping[str, TopicDecoder]) -> dict[str, RecordParts]:
    """What each topic's decoder wants of records beside their values."""
    return {topic: decoder.wants for topic, decoder in decoders.items()}


def contracts_of(specs: Sequence[SeriesSpec]) -> dict[SeriesKey, ContractSpec]:
    """The data contracts of those series that have one."""
    return {spec.key: spec.contract for spec in specs if spec.contract is not None}


def contract_columns(configuration: Configuration, spec: SeriesSpec) -> dict[str, frozenset[str]]:
    """The columns of a series that each topic's mapping sees, by topic; of topics that may bring its events."""
    layout, seen = spec.reference.layout, dict[str, frozenset[str]]()
    for topic in configuration.settings.event_topics:
        fields = fields_of(topic)
        if fields.model_is in {None, spec.key.model}:
            seen[topic.name] = frozenset(seen_by(SeriesFields(spec.key, layout, fields)))
    return seen


def not_checked(contract: ContractSpec, seen: Mapping[str, frozenset[str]]) -> list[str]:
    """What of a contract is not checked live, in words: of all topics, or of the one that it is of."""
    said: dict[str, list[str]] = {}
    for topic, columns in seen.items():
        for words in contract.left_out(columns):
            said.setdefault(words, []).append(topic)
    return [words if len(topics) == len(seen) else f"{', '.join(topics)}: {words}" for words, topics in said.items()]


def slow_contract(configuration: Configuration, spec: SeriesSpec, contract: ContractSpec) -> list[str]:
    """The columns of a contract for which every event of some topic is read again."""
    layout, found = spec.reference.layout, dict[str, None]()
    for topic in configuration.settings.event_topics:
        fields = fields_of(topic)
        compiled = COMPILED["decoding"] and topic.format == "json" and not fields.shapes
        found |= dict.fromkeys(slow_columns(SeriesFields(spec.key, layout, fields), contract, compiled=compiled))
    return list(found)


def contract_board(configuration: Configuration, spec: SeriesSpec, contract: ContractSpec) -> ContractBoard:
    """What is shown of the contract of a series."""
    seen = contract_columns(configuration, spec)
    rules = {rule: 0 for columns in seen.values() for rule in contract.rules(columns)}
    version, left_out = contract.contract.version, tuple(not_checked(contract, seen))
    return ContractBoard(version, tuple(of_rows(rules)), left_out, contract.exclude)


def tolerance_of(configuration: Configuration) -> Nanos:
    """How far clocks may differ before one is taken to run fast."""
    return max([TOLERANCE, *(spec.windows.lateness for spec in configuration.specs)])


def label_decoder(configuration: Configuration, topic: TopicSettings, fields: FieldMap) -> LabelDecoder:
    """The decoder of a topic of labels: of the models that have some, from this topic. Raises ConfigError."""
    truths: dict[str, Truth] = {}
    series: dict[str, list[SeriesKey]] = {}
    for spec, model in zip(configuration.specs, configuration.settings.models, strict=True):
        if spec.performance is None or model.labels is None or model.labels.topic not in {None, topic.name}:
            continue
        truth = truths.setdefault(spec.key.model, spec.performance.truth)
        if (truth.label_classes, truth.task) != (spec.performance.truth.label_classes, spec.performance.truth.task):
            raise ConfigError(f"models.{spec.key.model}: its versions have labels of different tasks or classes")
        series.setdefault(spec.key.model, []).append(spec.key)
    if not series:
        raise ConfigError(f"topics.{topic.name}: is of kind labels, but no model takes labels from it (labels.topic)")
    if fields.model_is is not None and fields.model_is not in series:
        raise ConfigError(f"topics.{topic.name}.fields.model: {told(topic, fields)} takes no labels from this topic")
    try:
        decoder = LabelDecoder(
            topic.name,
            truths,
            series,
            fields,
            configuration.settings.max_future,
            topic.format,
            tolerance=tolerance_of(configuration),
            options=topic.options,
        )
    except UnknownFormatError as error:
        raise ConfigError(f"topics.{topic.name}.format: {error}") from None
    refuse_without_id(topic, fields, [*decoder.series.values()])
    return decoder


def fields_of(topic: TopicSettings) -> FieldMap:
    """Where a topic's messages keep what is needed. Those of labels have no features."""
    fields = FieldMap.parse(topic.fields.model_dump(), UNITS[topic.timestamp_unit], topic.name)
    if topic.kind == "labels":
        return replace(fields, features=(), label=fields.label or LABEL)
    return replace(fields, predicts=topic.kind == "predictions")


def broker_timed(settings: Settings) -> tuple[str, ...]:
    """The topics whose events have the broker's timestamp, because the configuration says so."""
    return tuple(topic.name for topic in settings.topics if isinstance(topic.fields.timestamp, BrokerTimeSettings))


def refuse_without_id(topic: TopicSettings, fields: FieldMap, joined: Sequence[SeriesFields]) -> None:
    """Raise ConfigError where labels are joined by an id that is not read."""
    for series in joined:
        if not series.id and fields.model_is in {None, series.key.model}:
            where = ".".join(fields.id)
            why = f"{where} is read as something else, such as a feature" if where else "there is none"
            raise ConfigError(
                f"topics.{topic.name}.fields.id: {why}, but models.{series.key.model}.labels are joined by it: map another path"
            )


HALVES_LEFT_OUT = "requests and responses, which nobody joins here: take a table of whole predictions"


def refuse_half(topic: TopicSettings) -> None:
    """Raise ConfigError for a topic of halves, where whole predictions are needed and nobody joins them."""
    if topic.half is not None:
        raise ConfigError(
            f"topics.{topic.name}.half: its rows are {topic.half}s, and whole predictions are needed: take a table of them"
        )


def refuse_half_without_id(topic: TopicSettings, fields: FieldMap, series: Sequence[SeriesFields]) -> None:
    """Raise ConfigError where halves are joined by an id that is not read."""
    for each in series:
        if not each.id and fields.model_is in {None, each.key.model}:
            raise ConfigError(
                f"topics.{topic.name}.half: a {topic.half} meets its other half by its id, and topics.{topic.name}.fields.id names none, "
                "or what is read as something else"
            )


def refuse_unknown_model(topic: TopicSettings, fields: FieldMap, models: Sequence[str]) -> None:
    """Raise ConfigError for a constant model that is not configured."""
    if fields.model_is is not None and fields.model_is not in models:
        there_is = ", ".join(dict.fromkeys(models))
        raise ConfigError(
            f"topics.{topic.name}.fields.model: {told(topic, fields)} is no configured model; there is {there_is}"
        )


def told(topic: TopicSettings, fields: FieldMap) -> str:
    """A constant model as the mapping says it."""
    return f"{'const ' if isinstance(topic.fields.model, ConstantSettings) else ''}{fields.model_is}"


def topic_decoder(
    topic: TopicSettings,
    series: Sequence[SeriesFields],
    fields: FieldMap,
    max_future: Nanos,
    tolerance: Nanos,
    joined: Mapping[SeriesKey, PredictionColumns] = MappingProxyType({}),
    contracts: Mapping[SeriesKey, ContractSpec] = MappingProxyType({}),
    renewed: Collection[str] = (),
    followed: Collection[SeriesKey] = (),
    *,
    sampled: bool = False,
) -> TopicDecoder:
    """A decoder of these series. Raises ConfigError."""
    try:
        return TopicDecoder(
            topic.name,
            series,
            fields,
            max_future,
            topic.format,
            tolerance=tolerance,
            joined=joined,
            contracts=contracts,
            renewed=renewed,
            followed=followed,
            options=topic.options,
            half=HALF[topic.half],
            sampled=sampled,
        )
    except UnknownFormatError as error:
        raise ConfigError(f"topics.{topic.name}.format: {error}") from None


def label_topics(settings: Settings) -> frozenset[str]:
    """The topics of labels."""
    return frozenset(topic.name for topic in settings.topics if topic.kind == "labels")


def build_source(
    settings: Settings,
    clock: Clock,
    threads: int = 1,
    parts: Mapping[str, RecordParts] = MappingProxyType({}),
    starts: Starts | None = None,
) -> KafkaSource:
    """The Kafka source; `parts` of records are wanted beside their values, by topic. Raises ConfigError for properties that the client refuses."""
    choice = kafka_choice(settings, threads, parts)
    try:
        return KafkaSource(choice, clock, starts)
    except (KafkaException, ValueError, TypeError) as error:  # many kinds, all of them about its configuration
        raise ConfigError(f"kafka.properties: {explain_client(error)}") from None


def kafka_choice(
    settings: Settings, threads: int = 1, parts: Mapping[str, RecordParts] = MappingProxyType({})
) -> KafkaChoice:
    """What the operator chose of the client. Raises ConfigError."""
    kafka = settings.kafka
    return KafkaChoice(
        bootstrap_servers=kafka.bootstrap_servers,
        group_id=kafka.group_id,
        topics=tuple(topic.name for topic in settings.topics),
        from_earliest=kafka.start_from == "earliest",
        properties=broker_properties(kafka),
        startup_timeout=kafka.startup_timeout / SECOND,
        skip_lost=kafka.lost_offsets == "skip",
        parts=parts,
        label_topics=label_topics(settings),
        threads=threads,
        scouting=max(SCOUTING, 2 * settings.checkpoint_interval / SECOND),
    )


def broker_properties(kafka: KafkaSettings) -> dict[str, Any]:
    """The properties of the client, with what their files hold. Raises ConfigError."""
    try:
        return secured(kafka.properties, kafka.ca_file, SECRET_FILES)
    except SecretFileError as error:
        raise ConfigError(str(error)) from None


def client_properties(kafka: KafkaSettings) -> dict[str, Any]:
    """What a client of ours needs to reach the broker."""
    return {
        "log_level": 0,
        "socket.timeout.ms": 10_000,
        **broker_properties(kafka),
        "bootstrap.servers": kafka.bootstrap_servers,
    }


def build_letters(settings: Settings, clock: Clock) -> DeadLetterSink | None:
    """Where rejected records are kept; None: nowhere. Raises StateError for a directory that cannot be had, ConfigError for properties that the client refuses."""
    kept = settings.dead_letters
    if kept is None:
        return None
    if kept.directory is not None:
        return DeadLetterFiles(kept.directory, kept.max_size, drop_oldest=kept.when_full == "drop_oldest")
    assert kept.topic is not None
    try:
        return DeadLetterTopic(kept.topic, client_properties(settings.kafka), clock.elapsed)
    except (KafkaException, ValueError, TypeError) as error:
        raise ConfigError(f"dead_letters.topic: kafka.properties: {explain_client(error)}") from None


def explain_client(error: Exception) -> str:
    """The Kafka client's own words, without values: they could be secrets."""
    reason = error.args[0] if error.args else error
    text = reason.str() if hasattr(reason, "str") else str(reason)
    text = re.sub('value ".*" for configuration', "value for configuration", text, flags=re.DOTALL)
    return text.split(" = ", maxsplit=1)[0].split('value "', maxsplit=1)[0].strip()


def _unreadable(store: StateStore, error: Exception) -> StateError:
    """A row cannot be taken up: its checksum is right, so it is no damage."""
    why = " ".join(f"{type(error).__name__} {error}".split())
    return StateError(
        f"state: {store.path} cannot be read: {why}; move it away to begin anew, positions and alerts included"
    )


def with_versions(
    configuration: Configuration, store: StateStore
) -> tuple[Configuration, Mapping[tuple[str, str], str]]:
    """The configuration with the new versions that the state follows, and why the reference of one cannot be used. Raises StateError."""
    versions = build_versions(configuration)
    try:
        for record in store.records_of(OF_VERSIONS):
            versions.restore(record)
    except (sqlite3.Error, *FOREIGN) as error:
        raise _unreadable(store, error) from None
    followed = following(configuration, versions.follows())
    return followed.configuration, followed.refused


def build_versions(configuration: Configuration) -> Versions:
    """What is to become of new versions; those that have an entry of their own are none."""
    own = [spec.key for spec in configuration.specs[: len(configuration.references)]]
    return Versions(policies_of(configuration.settings), own)


def build_pipeline(configuration: Configuration) -> tuple[Pipeline, Explainer]:
    """The pipeline of a daemon, and who words its alerts."""
    settings, versions = configuration.settings, build_versions(configuration)
    pipeline = Pipeline(
        configuration.specs,
        settings.idle_after,
        settings.max_future,
        label_topics(settings),
        reports=configuration.reports,
        versions=versions,
        instance=settings.instance or "",
    )
    pipeline.retraining.heard = models_heard(configuration)
    references = {spec.key: spec.reference for spec in configuration.specs}
    return pipeline, Explainer(references, pipeline.watermark.behind)


def build_outside(configuration: Configuration, clock: Clock) -> Outdoors:
    """Who looks for references, and asks the registry where there is one."""
    reader, section = ReferenceReader(finder(configuration, clock), clock.elapsed), configuration.settings.registry
    if section is None or configuration.registry is None:
        return Outdoors(reader)
    ask, models = asker(configuration, clock), aliases_of(configuration.settings)
    return Outdoors(reader, RegistryPoller(ask, models, section.poll / SECOND))


class Daemon:
    """One running driftd. The source, the locked state and the bound port are given to it; the other parts it makes."""

    def __init__(
        self,
        configuration: Configuration,
        clock: Clock,
        source: Source,
        store: StateStore,
        server: Server,
        decoders: Mapping[str, TopicDecoder] | None = None,
        letters: DeadLetterSink | None = None,
    ) -> None:
        """`decoders`: of the configuration as it is given, where they are built already. `letters`: where rejected records are kept."""
        settings = configuration.settings
        self.clock = clock
        self.source = source = PatientSource(source)
        self.store = store
        self.server = server
        self._base = configuration  # without the new versions that are followed
        configuration, self._refused = with_versions(configuration, store)
        self._configuration = configuration
        if decoders is None or configuration is not self._base:
            decoders = build_decoders(configuration)
        self.pipeline, self.explainer = build_pipeline(configuration)
        self.stopping = Event()
        self.telemetry = Telemetry(build_board(configuration), clock.now, settings.http.external_url)
        self.outside = build_outside(self._base, clock)
        self._letters = letters
        kept = None if letters is None else DeadLetters(letters)
        interval = settings.checkpoint_interval / SECOND
        self.checkpointer = Checkpointer(store, self.pipeline, source, clock, interval, kept)
        self.notifiers = [
            Notifier(target, store, clock, lambda fact: self.telemetry.record([fact]))
            for target in configuration.subscribers
        ]
        self.inbox = Inbox()
        self.links = approval_links(configuration, clock)
        self.runs = RunWatch.of(configuration.targets, store, self.telemetry, self.inbox, clock)
        self.loop = Loop(
            source,
            decoders,
            self.pipeline,
            self.checkpointer,
            self.telemetry,
            clock,
            explainer=self.explainer,
            subscribers=configuration.subscribers,
            sender=Sender(
                self._base.config_hash,
                VERSION,
                settings.http.external_url,
                None if self.links is None else self.links.of,
                settings.instance or "",
            ),
            inbox=self.inbox,
            wake=self._wake,
            outside=self.outside,
            renew=self._renewed,
        )
        self._patience = patience(configuration)
        self.surface = self._surface(configuration)
        self._opened = False  # positions were found: a stop no longer ends the start at once
        self._begun = False  # where reading begins is saved: a crash from now on loses nothing

    @classmethod
    def start(
        cls,
        configuration: Configuration,
        *,
        clock: Clock | None = None,
        source: Source | None = None,
        threads: int = 1,
    ) -> Self:
        """Take a client of Kafka, the state's directory, that of dead letters and the port, in this order, and make a daemon of them.

        Where one of them cannot be had, those taken before are released. Raises ConfigError, StateError, and OSError
        for the port.
        """
        settings, clock = configuration.settings, clock or SystemClock()
        with ExitStack() as taken:
            decoders = build_decoders(configuration)
            source = source or build_source(settings, clock, threads, wanted_parts(decoders), Starts(settings.state))
            taken.callback(source.close)
            store = StateStore(settings.state, settings.audit_keep, DISPENSABLE | {DEAD_LETTERS})
            taken.callback(store.close)
            letters = build_letters(settings, clock)
            if letters is not None:
                taken.callback(letters.close)
            secured = configuration.access is not None and configuration.access.context is not None
            server = Server(settings.http.host, settings.http.port, secured=secured)
            taken.callback(server.close)
            daemon = cls(configuration, clock, source, store, server, decoders, letters)
            taken.pop_all()
            return daemon

    def _surface(self, configuration: Configuration) -> Surface:
        status = DaemonStatus(
            version=VERSION,
            now=self.clock.now,
            ready=self.ready,
            other_committer=lambda: self.source.other_committer,
            backlog=self.store.backlog,
            targets=tuple(target.name for target in configuration.subscribers),
            started=self.clock.now(),
            compiled=COMPILED,
            addresses={
                target.name: (target.type, " ".join(map(mask_url, target.urls())))
                for _, target in configuration.settings.told
            },
            patience=self._patience,
            outcomes=self.telemetry.outcomes,
            audited=lambda: self.store.audit_head.seq,
            stood_in=configuration.stood_in,
        )
        exposition = Exposition(self.telemetry.look, status, process_metrics())
        deciding = Deciding(configuration.token, self.inbox, self.telemetry.look)
        outbox = OutboxDesk(
            self.store.undelivered,
            lambda chosen, told, to: self.store.retry(chosen, self.clock.now(), told, to),
            self.store.drop,
            lambda: self.telemetry.look(lambda board: dict(board.deliveries)),
            self.telemetry.record,
            self._try_now,
            {target.name: target for target in configuration.subscribers},
            self.clock.now,
        )
        approvals = None if self.links is None else Approvals(self.links, self.inbox, self.telemetry, status)
        audit = AuditDesk(lambda: self.store.audit_head, self.store.audit_page)
        hook = RegistryHook(configuration.webhook_secret, self.clock.now, self.outside.look_now)
        gate = build_gate(configuration, lambda fact: self.telemetry.record([fact]))
        return Surface(
            self.telemetry,
            exposition,
            self.ready,
            deciding,
            outbox,
            audit=audit,
            approvals=approvals,
            hook=hook,
            gate=gate,
        )

    def _try_now(self, targets: Collection[str]) -> None:
        for notifier in self.notifiers:
            if notifier.told in targets:
                notifier.try_now()

    def _wake(self) -> None:
        for notifier in self.notifiers:
            notifier.wake()
        if self.runs is not None:
            self.runs.wake()

    def ready(self) -> str | None:
        """Why the daemon is not ready, in one line; None when it is."""
        if not self._begun:
            return "starting: positions are being looked up"
        if self.checkpointer.failing is not None:
            return self.checkpointer.failing
        if self.loop.held is not None:
            return self.loop.held
        turned = self.telemetry.look(lambda board: board.turned_at)
        if turned is not None and self.clock.now() - turned > STUCK_AFTER:
            return "the loop has not turned for 30 s"
        return self._ended() or self.source.trouble()

    def _ended(self) -> str | None:
        """Which of the threads beside the loop has ended, and what is not done for that; None where all are there."""
        for notifier in self.notifiers:
            if not notifier.is_alive():
                return f"{notifier.name} has ended: its target is no longer told anything"
        if self.runs is not None and not self.runs.is_alive:
            return "following runs has ended: nobody asks any more how they stand"
        if (ended := self.outside.ended) is not None:
            return f"{ended} has ended: nobody looks for new versions and their references any more"
        return None

    def run(self) -> None:
        """Restore, read until told to stop, then drain and save. Raises SourceError or StateError when it cannot go on."""
        with Starts(self.store.directory).orderly():
            self._run()

    def _run(self) -> None:
        self.loop.look_at_clock()
        self.server.serve(self.surface)
        try:
            facts, positions, topics, verified = self._restore()
            self._begin_letters()
            self.telemetry.restore(self.explainer.explain(self.pipeline.current()))
            for notifier in self.notifiers:
                notifier.start()
            self.outside.start()
            settings = self._configuration.settings
            about = VERSION, self._base.config_hash, all(COMPILED.values()), broker_timed(settings)
            started = DaemonStarted(self.server.url, settings.kafka.bootstrap_servers, *about)
            self.telemetry.record([started])
            self.checkpointer.note([self._started()])
            self.source.open(positions, topics, verified)
            self._opened = True
            stood_in = [ReferenceStoodIn(place, why) for place, why in self._base.stood_in.items()]
            found = self.source.found()
            self.explainer.hear(found)
            self.loop.begin([*self.store.found, *stood_in, *self._unclaimed(), *found, *facts])
            self._forget_standing()
            self._begun = True
            self.loop.run(self.stopping)
            if self.checkpointer.failing is not None:
                raise StateError(f"{self.checkpointer.failing}; what was not saved is read again")
            self.telemetry.record([DaemonStopped()])
        except sqlite3.Error as error:  # of reading: what cannot be written is tried again
            if files.is_mistake(error):
                raise
            raise StateError(f"state: {self.store.path} cannot be read: {error}") from None
        finally:
            if not self._begun:  # nobody else would say it: at the next start the state is whole
                self.telemetry.record(self.store.found)
            self.close()

    def _restore(self) -> tuple[list[Fact], dict[Partition, int], dict[str, str], dict[Partition, int]]:
        """Take up the saved state. Raises StateError where it cannot be read."""
        try:
            records, positions, topics = self.store.records(), self.store.positions(), self.store.topics()
            verified = self.store.verified()
            facts = self.pipeline.restore((each for each in records if each.kind != DEAD_LETTERS), self.clock.now())
        except (sqlite3.Error, *FOREIGN) as error:
            raise _unreadable(self.store, error) from None
        facts += [each for place, why in self._refused.items() for each in self.pipeline.versions.refuse(place, why)]
        self.checkpointer.whole = bool(facts)
        return facts, positions, topics, verified

    def _begin_letters(self) -> None:
        """Go on with dead letters from where the state is. Raises StateError."""
        if self._letters is not None:
            saved = next((each.payload for each in self.store.records_of([DEAD_LETTERS])), None)
            self._letters.begin(saved)
            self.telemetry.record([] if self._letters.size is None else [DeadLettersSized(self._letters.size)])

    def _started(self) -> AuditNote:
        """What the audit log is to say of this start: which sections of the configuration have changed since the last one."""
        configuration, before = self._base, self.store.last_audited(STARTED)
        sections = {**configuration.section_hashes(), **references_of(configuration)}
        return start_note(VERSION, configuration.config_hash, sections, before, self.clock.now())

    def _unclaimed(self) -> list[Fact]:
        """What is owed to targets that were renamed or removed: it waits until somebody decides."""
        told = {target.name for target in self._configuration.subscribers}
        return [
            NoticesUnclaimed(
                target, owed.pending, owed.oldest or 0, tuple(self.store.first_waiting(target, MOST_NAMED))
            )
            for target, owed in sorted(self.store.backlog().items())
            if target not in told
        ]

    def _renewed(self) -> Parts:
        """All that depends on which series there are, anew: for the versions that are followed now, from what was just saved."""
        self._configuration, self._refused = with_versions(self._base, self.store)
        before, explained = self.pipeline, self.explainer
        self.pipeline, self.explainer = build_pipeline(self._configuration)
        self.explainer.go_on_from(explained)
        patient = patience(self._configuration)
        self._patience |= patient  # read by other threads meanwhile: none that stays is ever missing
        for gone in self._patience.keys() - patient.keys():
            del self._patience[gone]
        facts, *_ = self._restore()
        self.pipeline.go_on_from(before)
        self.telemetry.renew(build_board(self._configuration), self.explainer.explain(self.pipeline.current()))
        return Parts(build_decoders(self._configuration), self.pipeline, self.explainer, facts)

    def _forget_standing(self) -> None:
        """Forget what stands of targets and series that are gone, once the ends that a restore found are saved: who is told of these is told."""
        if self.checkpointer.failing is None:
            owed = self.store.backlog().keys()  # who is owed something may yet get another name
            series = (spec.key for spec in self._configuration.specs)
            with suppress(sqlite3.Error):  # at the next start, then
                self.store.forget_standing_of_others(still_heard(self._configuration.subscribers, series, owed))

    def stop(self) -> None:
        """Ask for the end, from a signal. While positions are looked up nothing has been read: the end comes at once."""
        starting = not self._opened and not self.stopping.is_set()
        self.stopping.set()
        if starting:
            raise SystemExit(0)

    def close(self) -> None:
        """Deliver what can be delivered at once, and release everything, in bounded time."""
        self.inbox.close()
        self.outside.stop()
        for notifier in self.notifiers:
            notifier.stop()
        deadline = self.clock.elapsed() + DRAIN
        for notifier in self.notifiers:
            if notifier.is_alive():
                notifier.join(max(0.1, deadline - self.clock.elapsed()))
        if self.runs is not None:
            self.runs.stop(max(0.1, deadline - self.clock.elapsed()))
        self.source.close()
        if self._letters is not None:
            self._letters.close()
        self.server.close()
        self.store.close()


def build_gate(configuration: Configuration, tell: Callable[[Fact], None]) -> Gate:
    """Who is let in."""
    settings, access = configuration.settings, configuration.access
    if access is None:
        return OPEN
    return Gate(access, lambda: load_access(settings, configuration.base) or WebAccess(), tell, configuration.token)


def models_heard(configuration: Configuration) -> frozenset[str]:
    """The models of which a request for retraining is told to somebody."""
    told = [each for each in configuration.targets if each.wants(RETRAIN)]
    models = {spec.key.model for spec in configuration.specs}
    return frozenset(model for model in models if any(each.routing.takes_model(model) for each in told))


def approval_links(configuration: Configuration, clock: Clock) -> ApprovalLinks | None:
    """What signs approval links; None where there are none."""
    http, key = configuration.settings.http, configuration.approval_key
    if http.approval_links is None or http.external_url is None or key is None:
        return None
    return ApprovalLinks(key, http.external_url, http.approval_links.expires, clock.now)


def references_of(configuration: Configuration) -> dict[str, str]:
    """The hash of each series' reference, by a name as of a section."""
    return {f"reference {spec.key.model}/{spec.key.version}": spec.reference.hash for spec in configuration.specs}


def patience(configuration: Configuration) -> dict[SeriesKey, Nanos]:
    """How old a series' last window may be: its next one should have closed by then, and a window's length has gone by since."""
    idle = configuration.settings.idle_after
    windows = {spec.key: spec.windows for spec in configuration.specs}
    return {key: spec.length + spec.slide + spec.lateness + idle for key, spec in windows.items()}


def requests_begun(configuration: Configuration) -> dict[SeriesKey, RequestCounts]:
    """The counters of requests of every series of which some topic says how these were served."""
    return {
        spec.key: RequestCounts.begun(latency=LATENCY in spec.judging.served, error=ERROR in spec.judging.served)
        for spec in configuration.specs
        if spec.judging.served
    }


def build_board(configuration: Configuration) -> Board:
    """A board on which every series and counter stands, and nothing has happened yet."""
    board = Board(
        {
            spec.key: SeriesBoard(
                spec.reference.hash,
                spec.reference.rows,
                {rule.name: rule.severity.value for rule in spec.rules},
                spec.windows.length,
                spec.judging.calibration,
                min_rows=spec.judging.min_rows,
                baseline=spec.reference,
            )
            for spec in configuration.specs
        },
        performance={spec.key: {} for spec in configuration.specs if spec.performance is not None},
        estimated={spec.key: None for spec in configuration.specs if spec.judging.estimate is not None},
        requests=requests_begun(configuration),
    )
    for spec in configuration.specs:
        if spec.contract is not None:
            topics = [topic.name for topic in configuration.settings.event_topics]
            board.expect_contract(spec.key, contract_board(configuration, spec, spec.contract), topics)
    board.champions = {model.name: model.series_version for model in configuration.settings.models if model.champion}
    for model in () if configuration.reports is None else configuration.reports.models:
        board.counters["driftd_reports_total"][(model,)] += 0
    board.expect(
        topics=[topic.name for topic in configuration.settings.topics],
        targets=[(target.name, target.type) for target in configuration.subscribers],
        rules=[(spec.key, rule.name) for spec in configuration.specs for rule in spec.rules],
    )
    settings = configuration.settings
    if settings.dead_letters is not None:
        board.expect_letters()
    board.expect_halves([(topic.name, topic.half) for topic in settings.topics if topic.half is not None])
    board.expect_versions(policies_of(settings), () if settings.registry is None else aliases_of(settings))
    board.expect_runs([each.name for each in configuration.targets if each.wants(RETRAIN) and can_follow(each.target)])
    return board
