"""The loop of a replica: who it is in the group, what it folds, what it judges, and what of that is safe."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Event

from confluent_kafka import KafkaException

from monitor.clock import Clock
from monitor.facts import ReplicaAssigned, SourceAnswered, SourceTroubled, TopicsMissing
from monitor.replicas.cells import SourceLog
from monitor.replicas.folding import SentRecord
from monitor.runtime.replica.folding import Folding, GroupStart, partitions_at_start
from monitor.runtime.replica.judging import PartitionJudge
from monitor.runtime.replica.moving import CLAIM, PLACES, FoundState, StateRecord, StateWriter, found_state
from monitor.runtime.telemetry import Telemetry
from monitor.sources.base import SourceError
from monitor.sources.kafka.bounds import ask_bounds
from monitor.sources.kafka.client import AskingClient, KafkaChoice
from monitor.sources.kafka.ends import LeaderEnds
from monitor.sources.kafka.identity import TopicIds
from monitor.sources.kafka.internal_log import InternalLog, InternalRecord
from monitor.sources.kafka.lookup import list_partitions
from monitor.sources.kafka.membership import GroupPosition, Membership, OwnershipHeard
from monitor.sources.kafka.sending import AcknowledgedProducer
from monitor.stream.events import Partition

POLL = 0.1  # seconds: small batches are collected for so long, and a stop is noticed as soon
MOST = 2_000  # records of the counts topic at once, so that folding and the group have their turn
LOOK_EVERY = 5.0  # seconds from one look at which partitions there are to the next
LOOK_SOON = 0.25  # the same while somebody waits for it
PATIENCE = 10.0  # seconds for a broker to answer
STRANGE = 1_000  # logs that are remembered as none of ours
UNANSWERED = 60.0  # seconds without an answer of the cluster after which a replica is not ready
LEAVING = 5.0  # seconds for what was sent to be acknowledged before partitions are given up


@dataclass(slots=True)
class OwnedJudge:
    """A judge partition that is ours.

    `published`: how many records must be acknowledged before all that is saved is safe; None: it is. `begins`: where snapshots begin in the
    state topic, of those that are acknowledged.
    """

    judge: PartitionJudge
    writer: StateWriter
    stale: Sequence[bytes]
    listening: bool = False
    published: int | None = None
    begins: deque[int] = field(default_factory=lambda: deque(maxlen=len(PLACES)))
    put_off: list[tuple[int, bytes | None]] = field(
        default_factory=list
    )  # read, and waiting for an answer of the group


@dataclass(frozen=True, slots=True)
class ReplicaClients:
    """The ways to the broker."""

    source: AskingClient
    ends: LeaderEnds
    ids: TopicIds
    producer: AcknowledgedProducer
    counts: InternalLog
    state: Callable[
        [int, int | None, int], list[InternalRecord] | str
    ]  # a judge partition's, from one offset to another


@dataclass(frozen=True, slots=True)
class ReplicaTopics:
    """The internal topics."""

    counts: str
    state: str


@dataclass(frozen=True, slots=True)
class Members:
    """What a replica is in: the group of those that fold, and that of those that judge. Two, so that each kind of work is divided evenly by itself."""

    folding: Membership
    judging: Membership

    def poll(self) -> None:
        """Hear of changes in both. Raises SourceError."""
        self.folding.poll(0.0)
        self.judging.poll(0.0)

    @property
    def trouble(self) -> str | None:
        """Why one of them is not joined yet; None where both are."""
        for member in (self.folding, self.judging):
            if not member.joined:
                return f"joining group {member.group}{f': {member.trouble}' if member.trouble else ''}"
        return None

    def close(self) -> None:
        """Leave both: first what was folded is sent, then what is judged is handed on."""
        self.folding.close()
        self.judging.close()


class ReplicaLoop:
    """Folds and judges what the group gives to it, until it is stopped."""

    def __init__(
        self,
        choice: KafkaChoice,
        topics: ReplicaTopics,
        clients: ReplicaClients,
        folding: Callable[[Callable[[SentRecord], int]], Folding],
        join: Callable[[OwnershipHeard], Members],
        judge: Callable[[int, bytes | None, Callable[[], bool]], PartitionJudge | None],
        telemetry: Telemetry,
        clock: Clock,
        *,
        flush_every: float,
        session: float,
        changed: Callable[[Mapping[int, PartitionJudge]], None],
    ) -> None:
        """`judge` makes one of a saved state, None where no model is its; `changed` hears who judges now. Times in seconds."""
        self._choice = choice
        self._topics = topics
        self._clients = clients
        self._judge = judge
        self._telemetry = telemetry
        self._clock = clock
        self._flush_every = flush_every
        self._session = session
        self._changed = changed
        self._folding = folding(self._send)
        self._gained: list[Partition] = []
        self._owned: dict[int, OwnedJudge] = {}
        self._stands: dict[Partition, GroupPosition] = {}  # in the group, as we have written it
        self._next_flush = self._next_look = 0.0
        self._heard_at = clock.elapsed()  # when the group last had a word from us
        self._doubtful = (
            False  # we were away for longer than a session, and nothing has said yet that we still own what we did
        )
        self._judged: dict[Partition, GroupPosition] = {}  # what the group has taken from us of judge partitions
        self._looked_at: float | None = None  # when the cluster last said which partitions there are
        self._missing: tuple[str, ...] = ()  # topics
        self._came_later: set[str] = set()  # topics that were not there when we looked first
        self._strange: set[SourceLog] = set()  # of which counts came, and which the group has never begun
        self._next_take = 0.0
        self._waits = ""  # why what was gained cannot be begun with yet
        self._members = join(OwnershipHeard(self._gained.extend, self._revoked, self._lost))

    @property
    def judges(self) -> dict[int, PartitionJudge]:
        """Who judges here, by judge partition."""
        return {number: owned.judge for number, owned in list(self._owned.items())}

    def trouble(self) -> str | None:
        """Why the replica is not ready, in a line; None where it is."""
        if (joining := self._members.trouble) is not None or self._looked_at is None:
            return f"starting: {joining or 'looking up partitions'}"
        if self._clock.elapsed() - self._looked_at >= UNANSWERED:
            return "kafka: the cluster has not answered for a minute"
        if self._gained:
            return f"taking over partitions{self._because(self._waits)}"
        return next((why for judge in self.judges.values() if (why := judge.trouble) is not None), None)

    @staticmethod
    def _because(trouble: str) -> str:
        return f": {trouble}" if trouble else ""

    # --- turning ------------------------------------------------------------------------------------------------

    def run(self, stopping: Event) -> None:
        """Turn until stopped, then hand everything on. Raises SourceError and StateError when it cannot go on."""
        self._clients.ends.begin()
        while not stopping.is_set():
            self._telemetry.turned()
            self.turn()
        self._members.close()  # which has us hand on what we own

    def turn(self) -> None:
        """Once round."""
        self._doubtful = self._doubtful or self._away
        self._members.poll()
        self._heard_at = self._clock.elapsed()
        self._take_on()
        self._look_up()
        if self._clients.producer.full:
            self._clients.producer.hear(POLL)
        else:
            self._telemetry.record(self._folding.turn(POLL, self._clock.now()))
        self._hear_counts()
        if self._clock.elapsed() >= self._next_flush:
            self._next_flush = self._clock.elapsed() + self._flush_every
            self._folding.flush(self._clock.now(), self._clock.elapsed())
            self._telemetry.record([self._folding.lags()])
        self._clients.producer.hear()
        self._save()
        self._make_safe()

    def _send(self, record: SentRecord) -> int:
        self._clients.producer.send(self._topics.counts, record.judge, record.key, record.value)
        return self._clients.producer.sent

    def _ours(self) -> bool:
        """Whether the group has had a word from us lately: who was away for longer is no owner any more. Asked by threads that tell."""
        return not self._away and not self._doubtful

    @property
    def _away(self) -> bool:
        """Whether the group may have given us up: the last heartbeat was perhaps sent a quarter of a session before we were last heard."""
        return self._clock.elapsed() - self._heard_at >= self._session / 2

    def _sure(self) -> bool:
        """Whether we own what we did. Who was away asks the group to take again what it took from us: of what is lost it takes nothing."""
        if self._away or self._doubtful:
            held = {place: at for place, at in self._judged.items() if place.index in self._owned}
            self._doubtful = bool(self._owned) and not (held and self._members.judging.commit(held))
            if not self._doubtful:
                self._heard_at = self._clock.elapsed()
        return not self._doubtful

    def _hear_counts(self) -> None:
        now = self._clock.now()
        if any(owned.judge.failing for owned in self._owned.values()):  # what cannot be saved is not heard
            return
        if not self._sure():
            return
        if not any(owned.put_off for owned in self._owned.values()):
            for record in self._clients.counts.poll(MOST, 0.0 if self._folding.logs else POLL):
                if (owned := self._owned.get(record.index)) is not None:
                    owned.put_off.append((record.offset, record.value))
        for owned in self._owned.values():
            if owned.put_off:
                del owned.put_off[: owned.judge.hear(owned.put_off, now, self._begun)]
            owned.judge.rest(now)

    def _begun(self, log: SourceLog) -> Mapping[SourceLog, int] | None:
        """Where the group began to read each log, asked for one that is unknown; None where nobody answers. What was found to be strange is not asked for again."""
        if log in self._strange:
            return {}
        try:
            listing = list_partitions(self._clients.source, self._choice.topics, PATIENCE)
            begins = _begins(self._members.folding.committed(listing.partitions))
        except KafkaException as error:
            self._trouble(error)
            return None
        if log not in begins:
            if len(self._strange) >= STRANGE:
                self._strange.clear()
            self._strange.add(log)
        return begins

    def _trouble(self, error: KafkaException) -> str:
        self._telemetry.record([SourceTroubled(error.args[0].name(), error.args[0].str())])
        return str(error.args[0].str())

    # --- which partitions there are -----------------------------------------------------------------------------

    def _look_up(self) -> None:
        """See which partitions there are, and tell judges where the group began to read each."""
        waiting = self._looked_at is None or any(owned.judge.waits for owned in self._owned.values())
        if self._clock.elapsed() < self._next_look:
            return
        self._next_look = self._clock.elapsed() + (LOOK_SOON if waiting else LOOK_EVERY)
        try:
            listing = list_partitions(self._clients.source, self._choice.topics, PATIENCE)
            stands = self._members.folding.committed(listing.partitions)
        except KafkaException as error:
            self._trouble(error)
            return
        self._clients.ends.watch(listing.leaders)
        self._looked_at = self._clock.elapsed()
        self._telemetry.record([SourceAnswered(self._clock.now())])
        self._came_later.update(listing.missing)
        if tuple(listing.missing) != self._missing:
            self._missing = tuple(listing.missing)
            self._telemetry.record([TopicsMissing(self._missing)])
        begins = _begins(stands)
        for number, owned in self._owned.items():
            if not owned.judge.waits or (begins and len(begins) == len(listing.partitions)):
                owned.judge.expect(begins, self._clock.now())
            if not owned.listening and not owned.judge.waits:
                owned.listening = True
                self._clients.counts.take_on(number, owned.judge.position.offset)

    # --- what becomes ours --------------------------------------------------------------------------------------

    def _take_on(self) -> None:
        """Begin with what the group has given to us; what cannot be begun with yet waits."""
        if not self._gained or self._clock.elapsed() < self._next_take:
            return
        gained, self._gained[:] = sorted(self._gained), []
        folded = [each for each in gained if each.topic != self._topics.counts]
        waiting = folded if folded and not self._fold(folded) else []
        judged = [each for each in gained if each.topic == self._topics.counts]
        while judged and self._own(judged[0].index):
            judged.pop(0)
        waiting += judged
        self._gained += waiting
        if waiting:
            self._next_take = self._clock.elapsed() + LOOK_SOON
        if len(waiting) < len(gained):
            self._next_look = 0.0
            self._tell()

    def _fold(self, partitions: Sequence[Partition]) -> bool:
        """Fold these, each from the beginning of the cell that is open; whether it was begun. Raises SourceError.

        Where the group begins with each, and of which topic, stands in the group before the first record is folded.
        """
        try:
            listing = list_partitions(self._clients.source, self._choice.topics, PATIENCE)
            if not set(partitions) <= set(listing.partitions):
                self._waits = "the cluster does not list them"
                return False
            stands = self._members.folding.committed(listing.partitions)
            self._clients.ids.ask()
            ids = self._clients.ids.answered(PATIENCE)
            if ids is None and self._clients.ids.able:
                self._waits = "which topics these are is not answered"
                return False
            begins = {place: self._begin(place, stands, listing.partitions, ids or {}) for place in partitions}
        except KafkaException as error:
            self._waits = self._trouble(error)
            return False
        new = {place: held for place, held in begins.items() if stands.get(place) != held}
        if new and not self._members.folding.commit(new):
            self._waits = (
                f"group {self._members.folding.group} takes no position{self._because(self._members.folding.trouble)}"
            )
            return False
        for place, held in begins.items():
            start = GroupStart.read(held.beside)
            assert start is not None  # we have written it
            self._stands[place] = held
            log = SourceLog(place.topic, start.topic, place.index)
            self._folding.take_on(log, held.offset, start, self._clock.elapsed())
        self._next_flush = 0.0
        return True

    def _begin(
        self,
        place: Partition,
        stands: Mapping[Partition, GroupPosition],
        there: Iterable[Partition],
        ids: Mapping[str, str],
    ) -> GroupPosition:
        """What stands in the group for a partition, or is to stand there. Raises KafkaException and SourceError."""
        held = stands.get(place)
        start = None if held is None else GroupStart.read(held.beside)
        if held is None or start is None:
            starts = {
                each.index: GroupStart.read(at.beside) for each, at in stands.items() if each.topic == place.topic
            }
            count = partitions_at_start(starts, sum(each.topic == place.topic for each in there))
            begin = self._first(place, added=place.index >= count) if held is None else held.offset
            return GroupPosition(begin, GroupStart(begin, ids.get(place.topic, ""), count).written())
        if start.topic != ids.get(place.topic, start.topic):
            raise SourceError(
                f"kafka: topic {place.topic} was made anew since group {self._choice.group_id} began to read it: give replicas another kafka.group_id"
            )
        return held

    def _first(self, partition: Partition, *, added: bool) -> int:
        """Where the group begins to read a partition; one that was added later, from its beginning on. Raises KafkaException."""
        low, high = ask_bounds(self._clients.source, partition, PATIENCE)
        return low if added or self._choice.from_earliest or partition.topic in self._came_later else high

    def _own(self, number: int) -> bool:
        """Own a judge partition: claim its state, and take up what was written before; whether that was there. Raises SourceError and StateError."""
        claimed = list[int]()
        producer = self._clients.producer
        producer.send(self._topics.state, number, CLAIM, b"", claimed.append)
        if not producer.wait(producer.sent, PATIENCE):
            self._waits = f"{self._topics.state}/{number} takes no claim{self._because(producer.trouble)}"
            return False
        try:
            first = self._snapshots_from(number)
        except KafkaException as error:
            self._waits = self._trouble(error)
            return False
        read = self._clients.state(number, first, claimed[0])
        if isinstance(read, str):
            self._waits = read
            return False
        found: FoundState = found_state(StateRecord(each.offset, each.key, each.value) for each in read)
        if found.image is None and first is not None:
            raise SourceError(
                f"kafka: {self._topics.state}/{number} holds no whole snapshot where one stood at {first}: it was deleted, made anew or cut off; "
                f"delete the offsets of group {self._members.judging.group} to judge all counts again that are kept, or give replicas another kafka.group_id"
            )
        judge = self._judge(number, found.image, self._ours)
        if judge is not None:
            self._owned[number] = OwnedJudge(judge, StateWriter(claimed[0]), found.stale)
            self._publish(number, self._owned[number])
        return True

    def _snapshots_from(self, number: int) -> int | None:
        """Where the last snapshots of a judge partition begin in the state topic, of those that an owner has made safe. Raises KafkaException."""
        place = Partition(self._topics.counts, number)
        held = self._members.judging.committed([place]).get(place)
        return int(held.beside) if held is not None and held.beside.isdecimal() else None

    # --- what is safe -------------------------------------------------------------------------------------------

    def _save(self) -> None:
        """Save what is due, and send it to where others could take it up."""
        for number, owned in self._owned.items():
            if owned.judge.due:
                owned.judge.save()
                if not owned.judge.failing:
                    self._publish(number, owned)
            elif owned.judge.store.acknowledged and owned.published is None:
                self._publish(number, owned)

    def _publish(self, number: int, owned: OwnedJudge) -> None:
        producer = self._clients.producer
        (first, value), *others = owned.writer.records(owned.judge.image())
        producer.send(self._topics.state, number, first, value, owned.begins.append)
        for key, value in others:
            producer.send(self._topics.state, number, key, value)
        owned.published = producer.sent

    def _make_safe(self) -> bool:
        """Write to the group what who takes over may begin with; whether all that we have stands there.

        A snapshot is acknowledged first. That the group takes a position of ours after that says that nobody had owned the partition by then.
        """
        acknowledged = self._clients.producer.acknowledged
        ready = {
            number: owned
            for number, owned in self._owned.items()
            if owned.published is not None and owned.published <= acknowledged
        }
        moved = {
            partition: GroupPosition(log.safe(acknowledged), log.start.written())
            for partition, log in self._folding.logs.items()
        }
        moved = {place: held for place, held in moved.items() if self._stands.get(place) != held}
        judged = {
            Partition(self._topics.counts, number): GroupPosition(
                owned.judge.position.offset or 0, str(owned.begins[0])
            )
            for number, owned in ready.items()
        }
        safe = True
        if moved:
            safe = self._members.folding.commit(moved)
            self._stands |= moved if safe else {}
        if judged and self._members.judging.commit(judged):
            self._judged |= judged
            self._doubtful = False
            for number, owned in ready.items():
                self._release(number, owned)
        return safe and all(owned.published is None for owned in self._owned.values())

    def _release(self, number: int, owned: OwnedJudge) -> None:
        owned.published = None
        owned.judge.release()
        for key in owned.stale:  # what others have left: nobody will ask for it
            self._clients.producer.send(self._topics.state, number, key, None)
        owned.stale = ()

    # --- what is ours no longer ---------------------------------------------------------------------------------

    def _revoked(self, partitions: Sequence[Partition]) -> None:
        """Hand these on: all that was sent of them is made safe, for as long as that takes no longer than others should wait."""
        gone = self._leaving(partitions)
        if len(gone) < len(partitions):
            self._folding.flush(self._clock.now(), self._clock.elapsed())
        for number, owned in gone.items():
            owned.judge.hush()
            owned.judge.save()
            self._publish(number, owned)
        producer, deadline = self._clients.producer, self._clock.elapsed() + LEAVING
        with suppress(SourceError):  # what is not safe is folded again, and judged again from the last snapshot
            producer.wait(producer.sent, LEAVING)
            while not self._make_safe() and self._clock.elapsed() < deadline:
                producer.hear(POLL)
        self._drop(partitions)

    def _lost(self, partitions: Sequence[Partition]) -> None:
        """Others own these by now: nothing of ours counts any more."""
        self._drop(partitions)

    def _leaving(self, partitions: Iterable[Partition]) -> dict[int, OwnedJudge]:
        numbers = {each.index for each in partitions if each.topic == self._topics.counts}
        return {number: owned for number, owned in self._owned.items() if number in numbers}

    def _drop(self, partitions: Sequence[Partition]) -> None:
        self._gained[:] = [each for each in self._gained if each not in partitions]
        for number, owned in self._leaving(partitions).items():
            if owned.listening:
                self._clients.counts.let_go(number)
            del self._owned[number]
            owned.judge.close()
        for partition in partitions:
            self._folding.let_go(partition)
            self._stands.pop(partition, None)
            self._judged.pop(partition, None)
        self._tell()

    def _tell(self) -> None:
        """Say what we do from now on."""
        self._changed(self.judges)
        self._telemetry.record([ReplicaAssigned(tuple(sorted(self._folding.logs)), tuple(sorted(self._owned)))])

    def close(self) -> None:
        """Let go of everything, without handing on."""
        self._clients.ends.close()
        for owned in self._owned.values():
            owned.judge.close()
        self._owned.clear()
        self._clients.counts.close()
        self._clients.producer.close()
        self._clients.ids.close()
        self._clients.source.close()


def _begins(stands: Mapping[Partition, GroupPosition]) -> dict[SourceLog, int]:
    """Where the group began to read each partition, of those of which somebody has written that down."""
    found = {place: GroupStart.read(held.beside) for place, held in stands.items()}
    return {
        SourceLog(place.topic, start.topic, place.index): start.first
        for place, start in found.items()
        if start is not None
    }
