"""Builds a replica from the configuration: one of any number of processes that share a group, and say together what one says (ADR 39, 41)."""

import os
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from threading import Event
from typing import Any, Self

import msgspec
from confluent_kafka import KafkaException

from monitor.app import (
    COMPILED,
    STUCK_AFTER,
    VERSION,
    broker_timed,
    build_board,
    build_decoders,
    build_gate,
    build_pipeline,
    client_properties,
    explain_client,
    kafka_choice,
    patience,
    wanted_parts,
)
from monitor.clock import Clock, SystemClock
from monitor.configuration import Configuration
from monitor.facts import DaemonStarted, DaemonStopped
from monitor.replicas.cells import ReplicaPlan, judge_of, places_of, plan_of
from monitor.replicas.folding import SentRecord
from monitor.replicas.owner import ReplicaOwner
from monitor.runtime.http import Server, Surface
from monitor.runtime.inbox import Inbox
from monitor.runtime.metrics import DaemonStatus, Exposition
from monitor.runtime.outbox import OutboxDesk
from monitor.runtime.process import process_metrics
from monitor.runtime.replica.folding import Folding
from monitor.runtime.replica.judging import MovingStore, PartitionJudge
from monitor.runtime.replica.loop import Members, ReplicaClients, ReplicaLoop, ReplicaTopics
from monitor.runtime.telemetry import Telemetry
from monitor.runtime.writing import Deciding
from monitor.settings import ConfigError, Settings, mask_url
from monitor.settings.replicas import COUNTS, STATE
from monitor.settings.schema import ModelSettings, TopicSettings
from monitor.sources.base import SourceError
from monitor.sources.kafka.client import KafkaChoice
from monitor.sources.kafka.ends import LeaderEnds
from monitor.sources.kafka.identity import TopicIds
from monitor.sources.kafka.internal import COUNTS_KEPT, InternalTopic, InternalTopics
from monitor.sources.kafka.internal_log import InternalLog, read_until
from monitor.sources.kafka.membership import Membership, OwnershipHeard, other_members
from monitor.sources.kafka.reader import PartitionReader
from monitor.sources.kafka.reading import reading_client
from monitor.sources.kafka.sending import AcknowledgedProducer
from monitor.store.outbox import Backlog, Undelivered
from monitor.store.sqlite import claim_directory
from monitor.stream.events import SECOND
from monitor.targets.base import can_follow
from monitor.targets.payloads import RETRAIN, Sender

JOINED = "labels are joined with predictions by id"
UNDECIDED = "decisions are not handed to who owns the model"
JUDGES = ".driftd-judges"  # after the name of the group: that of those that judge
GOING = 3.0  # seconds beyond a session for a member that was killed to be gone
LOOK = 0.5  # seconds from one look at who is a member to the next
CLAIMS = 30.0  # seconds for the state of a judge partition to be read


# --- what is refused --------------------------------------------------------------------------------------------------


def not_replicated(configuration: Configuration) -> Iterator[str]:
    """What of a configuration replicas cannot do yet, a line each."""
    settings = configuration.settings
    if settings.replicas is None:
        return
    for topic in settings.topics:
        yield from _of_topic(topic)
    for model in settings.models:
        yield from _of_model(model)
    skips = settings.kafka.lost_offsets == "skip" or None
    sections: Mapping[str, tuple[object, str]] = {
        "registry": (settings.registry, "new versions are not told of"),
        "dead_letters": (settings.dead_letters, "who folds keeps no rejected records"),
        "reports": (settings.reports, "each replica would make those of its own models"),
        "kafka.lost_offsets": (skips, "a replica stops where a position is gone: it must be stop"),
        "http.token_file": (settings.http.token_file, UNDECIDED),
        "http.token_env": (settings.http.token_env, UNDECIDED),
        "http.approval_links": (settings.http.approval_links, UNDECIDED),
    }
    yield from (_refused(place, why) for place, (section, why) in sections.items() if section is not None)
    for target in configuration.targets:
        if target.wants(RETRAIN) and can_follow(target.target):
            yield _refused(
                f"targets.{target.name}", f"runs of retraining are not followed: leave {RETRAIN} out of its types"
            )


def _of_topic(topic: TopicSettings) -> Iterator[str]:
    if topic.kind == "labels":
        yield _refused(f"topics.{topic.name}.kind", JOINED)
    if topic.half is not None:
        yield _refused(f"topics.{topic.name}.half", "halves are joined by id")
    if topic.options is not None and _has_registry(topic.options.model_dump(mode="json")):
        yield _refused(f"topics.{topic.name}.options.registry", "messages wait for schemas")


def _of_model(model: ModelSettings) -> Iterator[str]:
    place = f"models.{model.name}"
    if model.labels is not None:
        yield _refused(f"{place}.labels", JOINED)
    if model.contract is not None:
        yield _refused(f"{place}.contract", "which columns rows have is known by their order")
    if model.version is None:
        yield _refused(f"{place}.version", "without one any version is taken, and which came is not told: name it")
    if model.new_versions is not None:
        yield _refused(f"{place}.new_versions", "new versions are not told of")


def _refused(place: str, why: str) -> str:
    return f"{place}: not with replicas yet: {why}"


def _has_registry(options: object) -> bool:
    """Whether a format's options, or those of the format within, name a registry of schemas."""
    if not isinstance(options, Mapping):
        return False
    return any((name == "registry" and held is not None) or _has_registry(held) for name, held in options.items())


def refuse_unreplicated(configuration: Configuration) -> None:
    """Raise ConfigError where replicas cannot do what is configured."""
    if refused := list(not_replicated(configuration)):
        raise ConfigError("\n".join(refused))


# --- the parts --------------------------------------------------------------------------------------------------------


def internal_topics(settings: Settings) -> tuple[InternalTopic, InternalTopic]:
    """The topics that replicas of this configuration need."""
    assert settings.replicas is not None
    named = partial(settings.replicas.topic_of, group=settings.kafka.group_id)
    judges = settings.replicas.judge_partitions
    return InternalTopic(named(COUNTS), judges, COUNTS_KEPT), InternalTopic(named(STATE), judges, None)


def replica_plan(configuration: Configuration) -> ReplicaPlan:
    """What all replicas agree on: whoever decodes or counts otherwise has another hash."""
    settings = configuration.settings
    assert settings.replicas is not None
    decoding = {name: told for name, told in configuration.section_hashes().items() if name.startswith("topics")}
    told = msgspec.msgpack.encode([sorted(decoding.items()), settings.max_future])
    return plan_of(configuration.specs, told, settings.replicas.judge_partitions, settings.replicas.cell)


def judged_by(configuration: Configuration, judges: Collection[int]) -> Configuration:
    """The configuration with the series alone that some judge partitions own."""
    assert configuration.settings.replicas is not None
    count = configuration.settings.replicas.judge_partitions
    return replace(
        configuration, specs=tuple(each for each in configuration.specs if judge_of(each.key.model, count) in judges)
    )


class Replica:
    """One running replica. The claimed directory and the bound port are given to it."""

    def __init__(self, configuration: Configuration, clock: Clock, server: Server) -> None:
        """Raises ConfigError for properties that the client refuses."""
        settings = configuration.settings
        assert settings.replicas is not None
        self._configuration = configuration
        self._settings, self._replicas = settings, settings.replicas
        self.clock = clock
        self.server = server
        self.stopping = Event()
        self._begun = False
        self._plan, self._places = replica_plan(configuration), places_of(configuration.specs)
        self.telemetry = Telemetry(build_board(judged_by(configuration, ())), clock.now, settings.http.external_url)
        self._decoders = build_decoders(configuration)
        self._counts, self._state = internal_topics(settings)
        try:
            self.loop = self._loop(kafka_choice(settings, parts=wanted_parts(self._decoders)))
        except (KafkaException, ValueError, TypeError) as error:
            raise ConfigError(f"kafka.properties: {explain_client(error)}") from None
        self.surface = self._surface()

    @classmethod
    def start(cls, configuration: Configuration, clock: Clock | None = None) -> Self:
        """Take the directory of the state and the port, and make a replica. Raises ConfigError, StateError, SourceError, and OSError for the port."""
        settings = configuration.settings
        refuse_unreplicated(configuration)
        with ExitStack() as taken:
            settings.state.mkdir(mode=0o700, parents=True, exist_ok=True)
            taken.callback(os.close, claim_directory(settings.state))
            secured = configuration.access is not None and configuration.access.context is not None
            server = Server(settings.http.host, settings.http.port, secured=secured)
            taken.callback(server.close)
            made = cls(configuration, clock or SystemClock(), server)
            taken.pop_all()
            return made

    def _loop(self, choice: KafkaChoice) -> ReplicaLoop:
        client, properties = reading_client(choice).client, client_properties(self._settings.kafka)
        reader = PartitionReader(client, choice.topics, choice.batch)
        ends = LeaderEnds(choice, self.clock, lambda place: reader.positions.get(place, 0))
        state = partial(
            read_until, properties, choice.group_id, self._state.name, elapsed=self.clock.elapsed, patience=CLAIMS
        )
        clients = ReplicaClients(
            client,
            ends,
            TopicIds(choice),
            AcknowledgedProducer(properties, self.clock.elapsed),
            InternalLog(properties, self._counts.name, choice.group_id),
            state,
        )
        session, mark = self._replicas.session_timeout / SECOND, self._plan.config.hex()

        def join(heard: OwnershipHeard) -> Members:
            folding, judging = choice.group_id, choice.group_id + JUDGES
            return Members(
                Membership(properties, folding, choice.topics, session, heard, mark),
                Membership(properties, judging, [self._counts.name], session, heard, mark),
            )

        def folding(send: Callable[[SentRecord], int]) -> Folding:
            return Folding(reader, choice, self._decoders, self._plan, self._places, ends.known, send)

        return ReplicaLoop(
            choice,
            ReplicaTopics(self._counts.name, self._state.name),
            clients,
            folding,
            join,
            self._judge,
            self.telemetry,
            self.clock,
            flush_every=self._replicas.flush_interval / SECOND,
            session=session,
            changed=self._judges_changed,
        )

    def _judge(self, number: int, image: bytes | None, ours: Callable[[], bool]) -> PartitionJudge | None:
        """Who judges a judge partition, from a saved state on; None where no model is its. Raises StateError."""
        configuration = judged_by(self._configuration, {number})
        if not configuration.specs:
            return None
        settings = self._settings
        pipeline, explainer = build_pipeline(configuration)
        store = MovingStore(settings.state / f"judge-{number}", image, settings.audit_keep, ours)
        judge = PartitionJudge(
            number,
            ReplicaOwner(pipeline, self._plan, self._places, number),
            explainer,
            store,
            self._counts.name,
            clock=self.clock,
            interval=settings.checkpoint_interval / SECOND,
            telemetry=self.telemetry,
            subscribers=configuration.subscribers,
            sender=Sender(
                self._configuration.config_hash, VERSION, settings.http.external_url, None, settings.instance or ""
            ),
        )
        self.telemetry.renew(
            build_board(judged_by(self._configuration, {number, *self._judging})), self._current(self._judging)
        )
        judge.begin(store.records(), self.clock.now())
        return judge

    @property
    def _judging(self) -> Mapping[int, PartitionJudge]:
        """Who judges here."""
        return self.loop.judges

    @staticmethod
    def _current(judges: Mapping[int, PartitionJudge]) -> list[Any]:
        return [fact for judge in judges.values() for fact in judge.current()]

    def _judges_changed(self, judges: Mapping[int, PartitionJudge]) -> None:
        """Show the series that are judged here now, and no others."""
        self.telemetry.renew(build_board(judged_by(self._configuration, judges)), self._current(judges))

    # --- what can be asked --------------------------------------------------------------------------------------

    def _surface(self) -> Surface:
        configuration, settings = self._configuration, self._settings
        status = DaemonStatus(
            version=VERSION,
            now=self.clock.now,
            ready=self.ready,
            other_committer=lambda: False,
            backlog=self._backlog,
            targets=tuple(target.name for target in configuration.subscribers),
            started=self.clock.now(),
            compiled=COMPILED,
            addresses={
                target.name: (target.type, " ".join(map(mask_url, target.urls()))) for _, target in settings.told
            },
            patience=patience(configuration),
            outcomes=self.telemetry.outcomes,
        )
        outbox = OutboxDesk(
            self._undelivered,
            lambda _chosen, _told, _to: [],
            lambda _chosen, _told: [],
            lambda: self.telemetry.look(lambda board: dict(board.deliveries)),
            self.telemetry.record,
            lambda _targets: None,
            {target.name: target for target in configuration.subscribers},
            self.clock.now,
        )
        return Surface(
            self.telemetry,
            Exposition(self.telemetry.look, status, process_metrics()),
            self.ready,
            Deciding(None, Inbox(), self.telemetry.look),
            outbox,
            gate=build_gate(configuration, lambda fact: self.telemetry.record([fact])),
        )

    def _undelivered(self, most: int) -> list[Undelivered]:
        found = [row for judge in self._judging.values() for row in judge.store.undelivered(most)]
        return found if most < 0 else found[:most]

    def _backlog(self) -> dict[str, Backlog]:
        """What targets wait for, of all that is judged here."""
        found = dict[str, Backlog]()
        for judge in self._judging.values():
            for target, held in judge.store.backlog().items():
                known = found.get(target, Backlog(0, None))
                oldest = [each for each in (known.oldest, held.oldest) if each is not None]
                found[target] = Backlog(known.pending + held.pending, min(oldest, default=None))
        return found

    def ready(self) -> str | None:
        """Why the replica is not ready, in one line; None when it is."""
        if not self._begun:
            return "starting"
        turned = self.telemetry.look(lambda board: board.turned_at)
        if turned is not None and self.clock.now() - turned > STUCK_AFTER:
            return "the loop has not turned for 30 s"
        return self.loop.trouble()

    # --- its life -----------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Fold and judge until told to stop, then hand everything on. Raises SourceError or StateError when it cannot go on."""
        self.server.serve(self.surface)
        kafka = self._settings.kafka
        about = VERSION, self._configuration.config_hash, all(COMPILED.values()), broker_timed(self._settings)
        try:
            self.telemetry.record([DaemonStarted(self.server.url, kafka.bootstrap_servers, *about)])
            self._refuse_topics()
            self._refuse_others()
            self._begun = True
            self.loop.run(self.stopping)
            self.telemetry.record([DaemonStopped()])
        finally:
            self.loop.close()
            self.server.close()

    def _refuse_topics(self) -> None:
        """Raise SourceError where an internal topic is not as it must be."""
        topics = InternalTopics(client_properties(self._settings.kafka), (self._counts, self._state))
        try:
            wrong = topics.check()
        except KafkaException as error:
            raise SourceError(f"kafka: {explain_client(error)}") from None
        if wrong:
            raise SourceError("\n".join(wrong))

    def _refuse_others(self) -> None:
        """Raise SourceError where replicas of another configuration are in our groups: what they count we could not use, nor they what we do.

        Those that were killed are members for as long as a session takes, so they have that time to be gone.
        """
        group, mark = self._settings.kafka.group_id, self._plan.config.hex()
        deadline = self.clock.elapsed() + self._replicas.session_timeout / SECOND + GOING
        while not self.stopping.is_set():
            late = self.clock.elapsed() >= deadline
            try:
                others = other_members(client_properties(self._settings.kafka), {group, group + JUDGES}, mark)
            except KafkaException:  # as where a group has no coordinator yet
                others = None
            if others == [] or (late and others is None):
                return
            if late and others:
                raise SourceError(
                    f"kafka: replicas of another configuration share group {group}: {others[0]}, and ours is {mark}: "
                    "stop them first, or give one of both another kafka.group_id"
                )
            self.stopping.wait(LOOK)

    def stop(self) -> None:
        """Ask for the end, from a signal."""
        self.stopping.set()
