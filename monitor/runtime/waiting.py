"""Records that cannot be decoded yet: kept, with the positions before them, and brought again by the next poll."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace

from monitor.facts import Fact, OffsetsLost, RecordsWaiting
from monitor.sources.base import NO_TOPICS, NONE_VERIFIED, Poll, Prepare, Source, TopicRecords
from monitor.stream.events import Nanos, Partition


class PatientSource:
    """A source that takes records back. Their partitions are held meanwhile: what is kept is one poll's at most of each.

    Kept records of a topic that is made anew meanwhile are lost, and told: no position of the new topic stands for them, so
    nobody would miss them after a crash.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._kept: list[TopicRecords] = []
        self._firsts: dict[Partition, int] = {}  # of what is kept
        self._ends: dict[Partition, int] = {}  # after it
        self._before: dict[Partition, int] = {}  # where the last poll began
        self._whys: dict[str, str] = {}  # by topic
        self._told: RecordsWaiting | None = None

    def keep(self, records: TopicRecords, why: str | None = None) -> None:
        """Take back what the last poll brought: the next one brings it again, before all that comes after. Without a `why`: for that of its topic."""
        self._kept.append(records)
        if why is not None:
            self._whys[records.topic] = why
        firsts = {partition: first for partition, first, _ in records.offsets}
        ends = self._source.positions()
        for partition in partitions_of(records):
            if partition in ends:
                self._ends[partition] = ends[partition]
            if (first := firsts.get(partition, self._before.get(partition))) is not None:
                self._firsts[partition] = min(first, self._firsts.get(partition, first))

    @property
    def _why(self) -> str | None:
        """All that is waited for, each once."""
        return "; ".join(sorted({*self._whys.values()})) or None

    @property
    def waiting(self) -> frozenset[Partition]:
        """The partitions of what is kept."""
        return frozenset(partition for records in self._kept for partition in partitions_of(records))

    def poll(self, timeout: float) -> Poll:
        """As any source does; what was kept comes first."""
        self._before = self._source.positions() | self._firsts
        poll, kept = self._source.poll(timeout), self._kept
        if not kept:
            return poll
        lost = self._lost(poll.facts)
        gone = {each.partition for each in lost}
        self._kept, self._whys = [], {}
        self._firsts.clear()
        self._ends.clear()
        again = [left for each in kept if (left := _without(each, gone)).values]
        return replace(poll, records=(*again, *poll.records), facts=(*lost, *poll.facts))

    def _lost(self, facts: Sequence[Fact]) -> list[OffsetsLost]:
        """What of the kept records is lost, because their topic was made anew."""
        anew = [each.partition for each in facts if isinstance(each, OffsetsLost) and each.cause == "anew"]
        kept = [place for place in anew if place in self._firsts and place in self._ends]
        return [OffsetsLost(place, self._firsts[place], self._ends[place], "anew") for place in kept]

    def news(self, now: Nanos) -> list[Fact]:
        """What waits, where that is not what was told last: that records wait, others or for another reason, or no longer."""
        counts: Counter[str] = Counter()
        for each in self._kept:
            counts[each.topic] += len(each.values)
        records, told = tuple(sorted(counts.items())), self._told
        if told is None and not records:
            return []
        if told is not None and told.records == records and told.why == self._why:
            return []
        before = now if told is None else told.since
        found = RecordsWaiting(records, self._why or ("" if told is None else told.why), before, now)
        self._told = found if records else None
        return [found]

    def hold(self, partitions: frozenset[Partition]) -> None:
        """As any source does; partitions of what is kept are held in any case."""
        self._source.hold(partitions | self.waiting if self._kept else partitions)

    def positions(self) -> dict[Partition, int]:
        """The next offset of each partition; of what is kept the first one, but where its log begins anew or was cut before that."""
        positions = self._source.positions()
        return positions | {place: min(first, positions.get(place, first)) for place, first in self._firsts.items()}

    def trouble(self) -> str | None:
        """Why the source is not ready, or why records wait."""
        return self._source.trouble() or self._why

    # --- passed on as they are ----------------------------------------------------------------------------------------

    def open(
        self,
        positions: Mapping[Partition, int],
        topics: Mapping[str, str] = NO_TOPICS,
        verified: Mapping[Partition, int] = NONE_VERIFIED,
    ) -> None:
        """Begin at these positions."""
        self._source.open(positions, topics, verified)

    def found(self) -> list[Fact]:
        """What opening has found."""
        return self._source.found()

    def topics(self) -> dict[str, str]:
        """The ids of the topics."""
        return self._source.topics()

    def verified(self) -> dict[Partition, int]:
        """Before which offsets all is of these topics."""
        return self._source.verified()

    def prepare_with(self, prepare: Prepare) -> None:
        """How to prepare what is read ahead."""
        self._source.prepare_with(prepare)

    def commit(self, positions: Mapping[Partition, int]) -> None:
        """Publish positions for lag tools."""
        self._source.commit(positions)

    @property
    def other_committer(self) -> bool:
        """Whether somebody else publishes positions under our name."""
        return self._source.other_committer

    def close(self) -> None:
        """Let go of connections."""
        self._source.close()


def partitions_of(records: TopicRecords) -> Iterator[Partition]:
    """The partitions of some records, each once."""
    if records.offsets:  # they say it, of each
        return (each.partition for each in records.offsets)
    return (Partition(records.topic, index) for index in records.indexes)


def _without(records: TopicRecords, gone: AbstractSet[Partition]) -> TopicRecords:
    """The records of all other partitions."""
    if gone.isdisjoint(partitions_of(records)):
        return records
    places = [at for at, index in enumerate(records.partitions) if Partition(records.topic, index) not in gone]
    spans = tuple(each for each in records.offsets if each.partition not in gone)
    return replace(records.with_all(places), offsets=spans)
