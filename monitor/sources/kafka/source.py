"""Kafka, assigned by hand: no group, no rebalance; our own positions are the truth, commits are for lag tools."""

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import partial
from threading import Thread
from typing import TypeVar

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from monitor.clock import Clock
from monitor.facts import (
    Fact,
    LagMeasured,
    OffsetsExpired,
    OffsetsLost,
    PartitionsAssigned,
    PartitionsHeld,
    PartitionsUnreachable,
    PositionSuspected,
    ReaderChosen,
    SourceAnswered,
    SourceTroubled,
    StateLost,
    TopicsMissing,
)
from monitor.sources.base import NO_TOPICS, NONE_VERIFIED, Poll, Prepare, SourceError
from monitor.sources.kafka.ahead import Postponed, ReadAhead
from monitor.sources.kafka.audit import CommitAudit
from monitor.sources.kafka.bounds import ask_bounds
from monitor.sources.kafka.client import ALL_DOWN, FATAL, TRANSPORT, KafkaChoice
from monitor.sources.kafka.ends import LeaderEnd, LeaderEnds
from monitor.sources.kafka.identity import TopicIds
from monitor.sources.kafka.lookup import list_partitions
from monitor.sources.kafka.portion import Portion
from monitor.sources.kafka.reader import PartitionReader
from monitor.sources.kafka.reading import reading_client
from monitor.sources.kafka.stalls import Stalls
from monitor.sources.kafka.suspects import DEATHS, SuspectPartitions
from monitor.sources.kafka.troubles import said
from monitor.store.starts import Starts
from monitor.stream.events import SECOND, Nanos, Partition

PATIENCE = 1.0  # seconds: what the loop waits for an answer about topics and bounds while it runs
START_PATIENCE = 5.0  # seconds: same, before it runs
SOON = 0.5  # seconds from a lost connection to the next look-up
ABSENT = (
    5.0  # seconds between two polls after which we were away ourselves; also the age at which a leader's answer is none
)
UNREACHABLE = 60.0  # seconds without an answer of its leader after which a partition is told of

SILENT_CLUSTER = KafkaError._TIMED_OUT  # noqa: SLF001 - librdkafka's own code
SHARED = "has members, as replicas are, and takes no position of a single process: each tells everything; stop one of both, or give it another kafka.group_id"
WHY_LOST = {
    "retention": "retention, or a topic made anew",
    "truncated": "its log was cut, by an election without all replicas or a restored disk",
    "anew": "the topic was made anew",
}

NO_PARTITIONS: frozenset[Partition] = frozenset()

T = TypeVar("T")


class KafkaSource:
    """All partitions of some topics, read from positions that the caller keeps."""

    def __init__(self, choice: KafkaChoice, clock: Clock, starts: Starts | None = None) -> None:
        """`starts`: where is kept how often we have died at a position; None: nowhere."""
        self._choice = choice
        self._starts = starts
        self._suspects = SuspectPartitions(choice)
        self._stalls = Stalls()
        self._clock = clock
        self._stored: dict[Partition, int] = {}
        self._stored_topics: dict[str, str] = {}  # the ids of what those are of
        self._missing: tuple[str, ...] | None = None  # None: not looked up yet
        self._listed: Nanos = 0  # when the cluster last said which topics there are, by the wall
        self._taken_on: set[Partition] = set()  # since the last poll
        self._stranded: set[Partition] = set()  # out of bounds while the bounds could not be had
        self._listing: frozenset[Partition] = NO_PARTITIONS  # what there was when we last looked
        self._dropped: set[Partition] = set()  # of a topic that was made anew with fewer partitions
        self._heard: dict[Partition, float] = {}  # when its leader last answered, in monotonic seconds
        self._told: Mapping[Partition, LeaderEnd] = {}  # what leaders had answered by then
        self._unreachable: frozenset[Partition] | None = None  # None: not said yet
        self._pending: list[Fact] = []
        self._fatal: str | None = None
        self._closing: Thread | None = None
        self._last_trouble = ""
        self._last_poll = self._next_lookup = self._next_lag = 0.0
        postponed = Postponed()
        noting = {"error_cb": postponed.wrap(self._note_trouble), "on_commit": postponed.wrap(self._note_commit)}
        chosen = reading_client(choice, **noting)
        self._consumer = chosen.client
        self._pending.append(ReaderChosen(chosen.not_native is None, chosen.not_native, choice.threads))
        many = choice.threads > 1
        self._ahead = ReadAhead(self._consumer, choice.topics, choice.threads, postponed) if many else None
        self._reader = PartitionReader(self._ahead or self._consumer, choice.topics, choice.batch)
        self._portion = Portion(choice.batch)
        self._messages = 0  # of the last poll
        self._audit = CommitAudit(self._consumer)
        self._ends = LeaderEnds(choice, clock, lambda place: self._reader.positions.get(place, 0))
        self._ids = TopicIds(choice)
        self._next_ids = 0.0
        self._topics: dict[str, str] = {}  # the ids of what our positions are of
        self._when_asked: dict[Partition, int] = {}  # our positions when the ids were asked for last
        self._before: dict[
            Partition, int
        ] = {}  # and the time before: whoever answers may not know yet what the leaders do
        self._verified: dict[Partition, int] = {}  # before these nothing was read of a topic that was made after ours

    def _note_trouble(self, error: KafkaError) -> None:
        if error.fatal() or error.code() == FATAL:
            self._fatal = error.str()
        if error.code() != ALL_DOWN:  # it says less than what came before it
            self._last_trouble = said(error.str())
        if error.code() == TRANSPORT:  # look soon which partitions it concerns
            self._next_lookup = min(self._next_lookup, self._clock.elapsed() + SOON)
        self._pending.append(SourceTroubled(error.name(), said(error.str())))

    def _note_commit(self, error: KafkaError | None, offsets: Sequence[TopicPartition]) -> None:
        failed = self._audit.committed(error, offsets)
        if failed is None:
            return
        if failed.code() == KafkaError.UNKNOWN_MEMBER_ID:  # we are no member: others are
            self._pending.append(SourceTroubled(failed.name(), f"group {self._choice.group_id} {SHARED}"))
            return
        self._note_trouble(failed)

    # --- opening ------------------------------------------------------------------------------------------------

    def open(
        self,
        positions: Mapping[Partition, int],
        topics: Mapping[str, str] = NO_TOPICS,
        verified: Mapping[Partition, int] = NONE_VERIFIED,
    ) -> None:
        """Find the partitions and begin. Raises SourceError when the broker is silent for the start-up time."""
        self._stored, self._topics, self._verified = dict(positions), dict(topics), dict(verified)
        self._stored_topics = dict(topics)
        deadline = self._clock.elapsed() + self._choice.startup_timeout
        known_topics = {partition.topic for partition in positions}
        starts, ends = {}, {}
        found = self._insist(self._partitions, deadline)
        unknown = [partition for partition in found if partition not in positions]
        left = self._insist(partial(self._audit.left, unknown), deadline)
        ids = self._insist(partial(self._ids_at_start, {partition.topic for partition in found}), deadline)
        anew = self._differing(ids)
        for partition in found:
            low, high = self._insist(partial(self._bounds, partition), deadline)
            first = low if self._choice.from_earliest or partition.topic in known_topics else high
            made_anew = partition.topic in anew
            starts[partition] = self._start_of(partition, low, high, first, left.get(partition), anew=made_anew)
            ends[partition] = high
        self._topics |= ids
        self._take_on(starts, ends)
        same = {place for place, start in starts.items() if positions.get(place) == start and place.topic not in anew}
        # A record that waited was read, and not counted: it is perhaps read again of another topic.
        self._verified |= {place: min(at, starts[place]) for place, at in verified.items() if place in same}
        self._audit.begin(positions)
        self._look_for_other_committers(START_PATIENCE)
        self._next_lookup = self._next_ids = self._clock.elapsed() + self._choice.lookup_every
        self._ends.begin()

    def _insist(self, ask: Callable[[float], T], deadline: float) -> T:
        """Ask until there is an answer. Raises SourceError at the deadline."""
        while True:
            left = deadline - self._clock.elapsed()
            try:
                return ask(max(0.1, min(START_PATIENCE, left)))
            except KafkaException as error:
                self._consumer.poll(0.1)  # nothing is assigned yet: it brings the reason through error_cb
                if self._clock.elapsed() >= deadline:
                    servers, waited = self._choice.bootstrap_servers, self._choice.startup_timeout
                    reason = self._last_trouble or error.args[0].str()
                    raise SourceError(f"kafka: no answer from {servers} for {waited:g} s: {reason}") from None

    def _partitions(self, patience: float) -> list[Partition]:
        """The partitions of our topics that exist now; topics that do not are remembered as missing."""
        listing = list_partitions(self._consumer, self._choice.topics, patience)
        for topic, error in listing.refused.items():
            self._last_trouble = f"topic {topic}: {error.str()}"
            raise KafkaException(error)
        self._ends.watch(listing.leaders)
        self._listed, self._listing = self._clock.now(), frozenset(listing.partitions)
        self._pending.append(SourceAnswered(self._listed))
        if tuple(listing.missing) != self._missing:
            self._missing = tuple(listing.missing)
            self._pending.append(TopicsMissing(self._missing))
        self._heard |= dict.fromkeys(self._gone(), self._clock.elapsed())
        return listing.partitions

    def _bounds(self, partition: Partition, patience: float) -> tuple[int, int]:
        return ask_bounds(self._consumer, partition, patience)

    def _start_of(
        self, partition: Partition, low: int, high: int, first: int, left: int | None = None, *, anew: bool
    ) -> int:
        """Where to begin: at our own position; where there is none, at `first`. `left`: what we committed where nothing is stored."""
        stored = self._stored.get(partition)
        if stored is not None:
            return self._inside(partition, stored, low, high, anew=anew)
        if left is not None:
            return self._after_loss(partition, left, low, high, first)
        if first == low < high and low:
            self._pending.append(OffsetsExpired(partition, low))
        return first

    def _after_loss(self, partition: Partition, left: int, low: int, high: int, first: int) -> int:
        """Where to begin without the state that we committed from: no later than there, so that no event is left out, or the gap is counted."""
        resumed = min(first, left) if low <= left <= high else low
        if not low <= left <= high:
            self._pending.append(OffsetsLost(partition, left, low))
        self._pending.append(StateLost(partition, left, resumed))
        return resumed

    def _inside(self, partition: Partition, wanted: int, low: int, high: int, *, anew: bool) -> int:
        """The position, if it is there. If not: stop and say so, or count the loss and go on, as configured."""
        if low <= wanted <= high and not (anew and wanted):
            return wanted
        cause, first, resumed = self._loss(partition, wanted, low, high, anew=anew)
        if not self._choice.skip_lost:
            there = "its end" if cause == "truncated" else "there" if resumed == wanted else "its first event"
            raise SourceError(
                f"kafka: {partition}: our position {wanted} is not there, the partition now holds {low} to {high} "
                f"({WHY_LOST[cause]}); set kafka.lost_offsets: skip to go on from {there}"
            )
        self._pending.append(OffsetsLost(partition, first, resumed, cause))
        if anew and resumed == low and low:
            self._pending.append(OffsetsExpired(partition, low))
        return resumed

    def _loss(self, partition: Partition, wanted: int, low: int, high: int, *, anew: bool) -> tuple[str, int, int]:
        """Why our position is not there, from where on events are lost, and where to go on: so that none is read twice."""
        if anew:
            # Of what was read since the ids were the same, nobody knows how much was of the topic as it is now: none of it is read again.
            unsure = low < wanted <= high and wanted > self._verified.get(partition, wanted)
            return "anew", *((0, wanted) if unsure else (wanted, low))
        if wanted > high and partition.topic in self._topics:
            return "truncated", wanted, high  # what lies before the end of a log that was cut was read
        return "retention", wanted, low

    # --- topics made anew ---------------------------------------------------------------------------------------

    def topics(self) -> dict[str, str]:
        """The ids of the topics that our positions are of, as far as the cluster gives any."""
        return dict(self._topics)

    def verified(self) -> dict[Partition, int]:
        """Before which offset nothing was read of a topic made after that of `topics`; from there to the position something may have been."""
        return {place: offset for place, offset in self._verified.items() if place.topic in self._topics}

    def _differing(self, ids: Mapping[str, str]) -> frozenset[str]:
        """The topics that were made anew since our positions were of them."""
        return frozenset(topic for topic, name in ids.items() if self._topics.get(topic, name) != name)

    def _ids_at_start(self, found: AbstractSet[str], patience: float) -> dict[str, str]:
        """The ids of these, waited for where there is something to compare them with. Raises KafkaException."""
        known = found & self._topics.keys()
        self._ids.ask()
        ids = self._ids.answered(patience if known else 0.0)
        if known and ids is None:
            raise KafkaException(KafkaError(SILENT_CLUSTER))
        ids = ids or {}
        for topic in known - ids.keys():  # by brokers that are older than they were
            del self._topics[topic]
        return ids

    def _ids_now(self, topic: str) -> dict[str, str]:
        """The ids as they are now; of a topic of which the cluster gave none there is nothing to ask. Raises KafkaException."""
        ids = (self._ids.asked_anew(PATIENCE) or {}) if topic in self._topics else {}
        if topic in self._topics and topic not in ids:
            raise KafkaException(KafkaError(SILENT_CLUSTER))
        return ids

    def _renew(self, ids: Mapping[str, str]) -> None:
        """Go on in what was made anew while we read, and take the ids for those of our positions. Raises KafkaException and SourceError."""
        for topic in self._differing(ids):
            places = [place for place in self._reader.positions if place.topic == topic]
            listed = any(place.topic == topic for place in self._listing)  # who says it is not there does not know yet
            asked = [place for place in places if place in self._listing or not listed]
            there = {place: self._bounds(place, PATIENCE) for place in asked}
            for place in places:
                self._go_on_anew(place, *there.get(place, (0, 0)))
            self._dropped.update(place for place in places if place not in there)
            self._topics[topic] = ids[topic]
        self._topics |= ids
        self._verified |= {place: offset for place, offset in self._before.items() if place.topic in ids}

    def _go_on_anew(self, partition: Partition, low: int, high: int) -> None:
        """Go on in a topic that was made anew; also where we are: the client may have given the old one up."""
        self._move_to(partition, self._inside(partition, self._reader.positions[partition], low, high, anew=True))
        self._stranded.discard(partition)

    def _move_to(self, partition: Partition, offset: int) -> None:
        self._reader.move_to(partition, offset)
        self._stands_at(partition, offset)

    def _stands_at(self, partition: Partition, offset: int) -> None:
        """What lies from here on was never read, of no topic."""
        for known in (self._verified, self._before, self._when_asked):
            known[partition] = offset

    def _take_on(self, starts: Mapping[Partition, int], ends: Mapping[Partition, int]) -> None:
        if not starts:
            return
        suspected = self._suspected(starts, ends)
        self._reader.take_on(starts, frozenset(each.partition for each in suspected))
        for partition, start in starts.items():
            self._stands_at(partition, start)
        self._suspects.keep(suspected)
        self._pending += suspected
        self._pending.append(PartitionsAssigned(tuple(starts.items())))
        self._taken_on.update(starts)
        self._heard |= dict.fromkeys(starts, self._clock.elapsed())  # its bounds were asked for a moment ago

    def _suspected(self, starts: Mapping[Partition, int], ends: Mapping[Partition, int]) -> list[PositionSuspected]:
        """Those of which something is to be read where we have died again and again. That we begin there is noted before we do; where nothing lies nothing kills."""
        if self._starts is None:
            return []
        deaths = self._starts.begin({place: start for place, start in starts.items() if start < ends[place]})
        return [
            PositionSuspected(place, starts[place], count) for place, count in sorted(deaths.items()) if count >= DEATHS
        ]

    # --- reading ------------------------------------------------------------------------------------------------

    def found(self) -> list[Fact]:
        """What opening has found, such as offsets that are gone."""
        found, self._pending = self._pending, []
        return found

    def poll(self, timeout: float) -> Poll:
        """Records, partition ends and what else was noticed. Raises SourceError when it cannot go on."""
        self._portion.took(self._messages, self._clock.elapsed() - self._last_poll)
        self._reader.batch = self._portion.messages
        self._look_up()
        polled = self._reader.poll(timeout)
        if self._suspects:
            apart, released = self._suspects.poll(self._reader.positions)
            polled.add(apart)
            self._reader.release(released)
        self._messages = polled.messages
        self._pending += polled.skipped
        for _, error in polled.troubles:
            self._note_trouble(error)
        for partition in polled.lost:
            self._recover(partition)
        if (
            polled.ends and polled.brought() < self._reader.positions.keys()
        ):  # who brings records needs no end: the next undoes it
            self._ends.ask_soon()
        ends = self._fresh_ends()
        self._measure_lag(ends)
        if self._unreachable:
            self._hear_again(polled.brought() & self._unreachable)
        if self._fatal is not None:
            raise SourceError(f"kafka: the client cannot go on: {self._fatal}")
        facts = tuple(self.found())
        taken_on, self._taken_on = frozenset(self._taken_on), set()
        choice = self._choice
        records = tuple(taken.records(polled.offsets(taken), choice.parts_of(taken.topic)) for taken in polled.taken)
        confirmed = self._confirmed(ends)
        return Poll(records, frozenset(polled.ends), taken_on, confirmed, self._unconfirmed(), facts)

    def _fresh_ends(self) -> Mapping[Partition, LeaderEnd]:
        """What leaders answered lately, of the partitions that we read."""
        known, now = self._ends.known(), self._clock.elapsed()
        if known is not self._told:
            self._told = known
            for partition, end in known.items():
                self._heard[partition] = max(end.elapsed, self._heard.get(partition, end.elapsed))
        positions = self._reader.positions
        return {place: end for place, end in known.items() if place in positions and now - end.elapsed < ABSENT}

    def _confirmed(self, ends: Mapping[Partition, LeaderEnd]) -> dict[Partition, Nanos]:
        """The partitions beyond whose position nothing lies, and when that was asked. Of a held one nobody says so.

        Nor does an end that lies before where we stood when it was asked: of a topic made anew all is still to come.
        """
        positions, doubtful = self._reader.positions, self._doubtful()
        confirmed = {
            place: end.as_of
            for place, end in ends.items()
            if end.position <= end.offset <= positions[place] and place not in doubtful
        }
        return confirmed | dict.fromkeys(self._gone(), self._listed)

    def _gone(self) -> frozenset[Partition]:
        """Partitions that are not there any more, as the cluster has said: nothing lies beyond our position in them."""
        if not self._missing:
            return frozenset(self._dropped)
        return frozenset(place for place in self._reader.positions if place.topic in self._missing).union(self._dropped)

    def _doubtful(self) -> frozenset[Partition]:
        return self._reader.held.union(self._stranded, self._reader.unreadable)

    def _unconfirmed(self) -> frozenset[Partition]:
        """Partitions whose silence means nothing: their leader is silent, their bounds are not known, we were away or did not read."""
        now = self._clock.elapsed()
        absent = now - self._last_poll > ABSENT
        self._last_poll = now
        silent = {place for place in self._reader.positions if absent or now - self._heard[place] >= ABSENT}
        return (self._doubtful() | silent) - self._gone()

    def _recover(self, partition: Partition) -> None:
        """Our position is out of the partition's bounds while we run, or a broker that lags behind thinks so."""
        self._stands_at(partition, self._reader.positions[partition])  # whatever it holds ends before
        try:
            ids = self._ids_now(partition.topic)  # an end that is nearer may be that of another topic
            if partition.topic in self._differing(ids):
                self._stranded.add(partition)
                self._renew(ids)
                return
            low, high = self._bounds(partition, PATIENCE)
        except KafkaException as error:
            self._note_trouble(error.args[0])
            self._stranded.add(partition)
            return
        self._stranded.discard(partition)
        wanted = self._reader.positions[partition]
        self._move_to(partition, self._inside(partition, wanted, low, high, anew=False))
        if (
            partition.topic not in self._topics
        ):  # an id that was asked for before is perhaps not that of what is read now
            self._ids.forget()

    def _look_up(self) -> None:
        """Every few seconds, look for topics that were missing and partitions that are new."""
        if self._clock.elapsed() < self._next_lookup:
            return
        try:
            for partition in self._partitions(PATIENCE):
                if partition not in self._reader.positions:
                    self._take_on_later(partition)
                elif partition in self._dropped:
                    self._dropped.discard(partition)
                    self._reader.move_to(partition, self._reader.positions[partition])
            self._renew(self._ids.answered() or {})
            # Never sooner, also where a lost connection has us look: whoever answers has so long to know what the leaders do.
            if self._clock.elapsed() >= self._next_ids and self._ids.ask():
                self._before, self._when_asked = self._when_asked, dict(self._reader.positions)
                self._next_ids = self._clock.elapsed() + self._choice.lookup_every
            for partition in sorted(self._stranded - self._gone()):
                self._recover(partition)
        except KafkaException as error:
            self._note_trouble(error.args[0])
        self._next_lookup = self._clock.elapsed() + self._choice.lookup_every

    def _take_on_later(self, partition: Partition) -> None:
        """Read a partition that was not there when we began. Raises KafkaException and SourceError."""
        topic = partition.topic
        ids = self._ids_now(topic) if partition in self._stored else {}
        before = self._stored_topics.get(topic)  # of another partition the id is perhaps known by now
        anew = before is not None and ids.get(topic, before) != before
        low, high = self._bounds(partition, PATIENCE)
        if topic in self._differing(ids):
            self._renew(ids)
        self._take_on({partition: self._start_of(partition, low, high, first=low, anew=anew)}, {partition: high})

    def _measure_lag(self, ends: Mapping[Partition, LeaderEnd]) -> None:
        now = self._clock.elapsed()
        if now < self._next_lag:
            return
        self._next_lag = now + 1.0
        positions = self._reader.positions
        lags = tuple((place, max(0, ends[place].offset - at)) for place, at in positions.items() if place in ends)
        self._pending.append(LagMeasured(lags))
        self._heal(ends, now)
        self._tell_unreachable(now)

    def _heal(self, ends: Mapping[Partition, LeaderEnd], now: float) -> None:
        """Assign anew what nothing comes of though more lies there."""
        doubtful = self._doubtful()
        moving = {place: end.offset for place, end in ends.items() if place not in doubtful}
        for place, seconds in self._stalls.see(self._reader.positions, moving, now):
            self._last_trouble = f"{place}: nothing has come for {seconds:.0f} s though more lies there; assigned anew"
            self._pending.append(SourceTroubled("STALLED", self._last_trouble))
            self._reader.move_to(place, self._reader.positions[place])

    def _hear_again(self, brought: AbstractSet[Partition]) -> None:
        """Leaders that were silent answer: told in the same poll as what they brought, or that nothing lies there, so that it is not judged as if they were silent still."""
        now = self._clock.elapsed()
        self._heard |= dict.fromkeys(brought, now)
        self._tell_unreachable(now)

    def _tell_unreachable(self, now: float) -> None:
        """Say which leaders have been silent for a minute, when that changes."""
        asked = self._reader.positions.keys() - self._gone()
        silent = {place: self._heard[place] for place in asked if now - self._heard[place] >= UNREACHABLE}
        if silent.keys() == self._unreachable:
            return
        changed, self._unreachable = self._unreachable is not None, frozenset(silent)
        wall = self._clock.now()
        since = tuple((place, wall - round((now - heard) * SECOND)) for place, heard in sorted(silent.items()))
        self._pending.append(PartitionsUnreachable(since, changed=changed or bool(since)))

    def prepare_with(self, prepare: Prepare) -> None:
        """How to prepare what is read ahead."""
        if self._ahead is not None:
            self._ahead.prepare_with(prepare)

    # --- holding ------------------------------------------------------------------------------------------------

    def hold(self, partitions: frozenset[Partition]) -> None:
        """Read nothing of these until told otherwise; one whose position is being searched for goes on until found."""
        if self._reader.hold(partitions - self._stranded):
            self._pending.append(PartitionsHeld(tuple(sorted(self._reader.held))))

    # --- positions ----------------------------------------------------------------------------------------------

    def positions(self) -> dict[Partition, int]:
        """The next offset of each partition."""
        return dict(self._reader.positions)

    def commit(self, positions: Mapping[Partition, int]) -> None:
        """Publish positions under our group, after looking whether somebody else did so meanwhile."""
        self._look_for_other_committers()
        try:
            self._audit.commit(positions)
        except KafkaException as error:
            self._note_trouble(error.args[0])

    def _look_for_other_committers(self, patience: float = PATIENCE) -> None:
        now = self._clock.elapsed()
        try:
            self._pending += self._audit.look(self._reader.positions, now, self._choice.audit_every, patience)
        except KafkaException as error:
            self._note_trouble(error.args[0])

    @property
    def other_committer(self) -> bool:
        """Whether somebody else commits under our group."""
        return self._audit.other is not None

    def trouble(self) -> str | None:
        """Why not ready: nothing assigned though topics exist, or another process commits under our group."""
        if (commit := self._audit.other) is not None:
            return (
                f"{commit.partition}: offset {commit.found} was committed under group {self._choice.group_id} "
                "by somebody else: is a second driftd running?"
            )
        if self._unreachable:
            silent, labels = ", ".join(map(str, sorted(self._unreachable))), self._choice.label_topics
            stands = "event time" if any(each.topic not in labels for each in self._unreachable) else "performance"
            return f"{silent}: no leader has answered for a minute, so {stands} stands still"
        if stalled := self._stalls.hopeless(self._clock.elapsed()):
            return f"{', '.join(map(str, stalled))}: nothing comes though more lies there: a transaction that is open, or a broker that is ill"
        return None if self._reader.positions or self._missing else "no partition is assigned yet"

    def close(self) -> None:
        """Close the client; after some seconds it is left behind, since everything that matters is saved."""
        self._ends.close()
        self._suspects.close()
        if self._ahead is not None:
            self._ahead.stop(self._choice.closing)
        if self._closing is None:
            self._closing = Thread(target=self._close_clients, name="kafka-close", daemon=True)
            self._closing.start()
            self._closing.join(self._choice.closing)

    def _close_clients(self) -> None:
        self._ids.close()
        self._consumer.close()
