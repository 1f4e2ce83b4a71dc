"""New versions of all models: who told of them, how each is judged, what its reference is. It owns its state and asks nobody.

Three sources meet in `see`: events, people or pipelines that announce, and a registry. A repeat is harmless. What is followed,
a series of its own for each version, is read from here by whoever builds series: `follows`. When that changes, `moved` says so,
and the same state makes the same series at the next start.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import msgspec

from monitor.alerting.retraining import KEPT_VERSIONS
from monitor.alerting.versions import (
    Announcement,
    KnownVersion,
    ListedVersions,
    OfferedReference,
    VersionPolicy,
    VersionSource,
    VersionState,
)
from monitor.facts import (
    Fact,
    FirstRowsCounted,
    ReferenceAbsent,
    VersionChanged,
    VersionSeen,
    VersionsStand,
    WindowClosed,
)
from monitor.series.records import Record
from monitor.stream.events import ANY_VERSION, HOUR, Nanos, SeriesKey

STATE, CONTENT, LISTED = "version", "version_reference", "version_listed"  # kinds of rows
KINDS = frozenset({STATE, CONTENT, LISTED})
Place = tuple[str, str]  # model and version
LONGEST, MOST_AN_HOUR = 128, 3  # characters of a version that is followed; versions of a model that events may bring


@dataclass(frozen=True, slots=True)
class Follow:
    """A version with a series of its own. `content`: the reference file that was given, or the counts that were learnt; empty before."""

    known: KnownVersion
    content: bytes = b""


class Versions:
    """The versions of all models. `policies` of those with `new_versions`; `configured` series stand in the configuration."""

    def __init__(
        self, policies: Mapping[str, VersionPolicy] | None = None, configured: Collection[SeriesKey] = ()
    ) -> None:
        self.policies = dict(policies or {})
        self.known: dict[Place, KnownVersion] = {}
        self.moved = False  # another set of series, or another reference of one, follows from what was heard
        self._configured = frozenset(configured)
        self._content: dict[Place, bytes] = {}
        self._listed: dict[str, list[str]] = {}  # by model, what its registry has told of
        self._refused: dict[Place, str] = {}  # hashes of references that could not be used after all
        self._dirty: dict[tuple[str, str], None] = {}  # rows to be saved: kind and key

    # --- what is heard ----------------------------------------------------------------------------------------

    def see(self, told: Announcement, now: Nanos, *, new: bool) -> list[Fact]:
        """There is a version; `new`: it is not what the model has had all along."""
        place = told.model, told.version
        known = self.known.get(place)
        if known is not None:
            return self._again(known, told, now)
        if not new or told.version == ANY_VERSION:
            return []
        known = KnownVersion(
            told.model,
            told.version,
            told.source,
            told.at,
            now,
            number=self._next_number(),
            trained_at=told.trained_at,
            place=told.place,
            standing=self._first_standing(told, now),
        )
        self._put(known)
        facts: list[Fact] = [VersionSeen(known)]
        if known.standing.followed:
            self.moved = True
            facts += self._retire_beyond(told.model)
        self._forget_beyond(told.model)
        return facts

    def _next_number(self) -> int:
        return 1 + max((each.number for each in self.known.values()), default=0)

    def _first_standing(self, told: Announcement, now: Nanos) -> VersionState:
        policy = self.policies.get(told.model)
        if policy is None or SeriesKey(told.model, told.version) in self._configured or len(told.version) > LONGEST:
            return VersionState.SEEN
        if told.source is VersionSource.EVENTS and self._by_events(told.model, now) >= MOST_AN_HOUR:
            return VersionState.SEEN  # whoever writes events makes no series at will
        return VersionState.LEARNING if policy.reference == "learn" and not told.place else VersionState.WAITING

    def _by_events(self, model: str, now: Nanos) -> int:
        """How many versions of a model events have told of within an hour."""
        lately = (each for each in self.known.values() if each.model == model and now - each.since < HOUR)
        return sum(each.source is VersionSource.EVENTS for each in lately)

    def _again(self, known: KnownVersion, told: Announcement, now: Nanos) -> list[Fact]:
        """The same version once more: what is new of it is where its reference is, as long as it has none.

        One that is not followed, as too many came by events, nobody wanted any, or newer ones came, is once somebody tells of it.
        """
        unsettled = known.standing in {VersionState.WAITING, VersionState.LEARNING}
        if not known.standing.followed and told.source is not VersionSource.EVENTS:
            return self._vouched(known, told, now)
        if not told.place or told.place == known.place or not unsettled:
            return []
        known = replace(known, place=told.place, standing=VersionState.WAITING)
        self._put(known)
        return [VersionChanged(known)]

    def _vouched(self, known: KnownVersion, told: Announcement, now: Nanos) -> list[Fact]:
        """What a person, a pipeline or a registry says of a version that has no series; after a refusal it takes a person."""
        standing = self._first_standing(told, now)
        if not standing.followed or (known.why and told.source is not VersionSource.REQUEST):
            return []
        del self.known[known.model, known.version]  # it is the newest now
        known = replace(
            known,
            since=now,
            standing=standing,
            number=self._next_number(),
            trained_at=known.trained_at if told.trained_at is None else told.trained_at,
            place=told.place,
            why="",
        )
        self._put(known)
        self.moved = True
        return [VersionChanged(known), *self._retire_beyond(told.model)]

    def hear_registry(self, listed: ListedVersions) -> list[tuple[str, Nanos | None]]:
        """The versions that a registry tells of for the first time, each with when it was made; of a first answer none is new."""
        before = self._listed.get(listed.model)
        new = [each for each in listed.versions if each[0] not in (before or ())]
        if before is None or new:
            self._listed[listed.model] = [name for name, _ in listed.versions]
            self._dirty[LISTED, listed.model] = None
        return new if before is not None else []

    def take(self, offered: OfferedReference) -> list[Fact]:
        """What was found where the reference of a version was looked for."""
        place = offered.model, offered.version
        known = self.known.get(place)
        if known is None or not known.wanted or offered.place != known.place:
            return []
        if offered.hash and self._refused.get(place) == offered.hash:
            return []  # it is what could not be used before
        if offered.content is None:
            known = replace(known, why=offered.why)
            if known != self.known[place]:
                self._put(known)
            return [ReferenceAbsent(known)]
        known = replace(known, standing=VersionState.GIVEN, reference=offered.hash, why="")
        self._put(known, offered.content)
        self.moved = True
        return [VersionChanged(known)]

    def refuse(self, place: Place, why: str) -> list[Fact]:
        """The reference of a version cannot be used after all: it waits for another. Without one there can be no series of it."""
        given = self.known[place].standing is VersionState.GIVEN
        self._refused[place] = self.known[place].reference
        standing = VersionState.WAITING if given else VersionState.SEEN
        known = replace(self.known[place], standing=standing, reference="", why=why)
        self._put(known)
        self._forget_content(place)
        return [ReferenceAbsent(known)]

    def note(self, facts: Iterable[Fact]) -> list[Fact]:
        """Take the first rows of a version, where these were counted, and that it has events at all."""
        told: list[Fact] = []
        for fact in facts if self.known else ():
            if isinstance(fact, WindowClosed):
                self._note_served((fact.key.model, fact.key.version))
            elif isinstance(fact, FirstRowsCounted):
                known = self.known.get((fact.key.model, fact.key.version))
                if known is not None and known.standing is VersionState.LEARNING:
                    known = replace(known, standing=VersionState.LEARNT, rows=fact.rows, why="")
                    self._put(known, fact.counts)
                    self.moved = True
                    told.append(VersionChanged(known))
        return told

    def _note_served(self, place: Place) -> None:
        known = self.known.get(place)
        if known is not None and known.standing.followed and not known.served:
            self._put(replace(known, served=True))

    def expire(self, now: Nanos) -> list[Fact]:
        """Let what has waited too long for its reference learn it; it is looked for on, until it is learnt."""
        facts: list[Fact] = []
        waiting = [each for each in self.known.values() if each.standing is VersionState.WAITING]
        for known in waiting:
            policy = self.policies.get(known.model)
            if policy is not None and now - known.since >= policy.wait:
                learns = replace(known, standing=VersionState.LEARNING, why=known.why or "it was not there in time")
                self._put(learns)
                self.moved = True
                facts.append(VersionChanged(learns))
        return facts

    def _retire_beyond(self, model: str) -> list[Fact]:
        """Let those give way that are too many: what nobody sends events of, then the oldest; never the newest."""
        *others, newest = [each for each in self.known.values() if each.model == model and each.standing.followed]
        del newest
        facts: list[Fact] = []
        gives_way = sorted(others, key=lambda each: each.served)
        for known in gives_way[: max(0, len(others) + 1 - self.policies[model].keep)]:
            retired = replace(known, standing=VersionState.RETIRED, why="")
            self._put(retired)
            self._forget_content((known.model, known.version))
            facts.append(VersionChanged(retired))
        return facts

    def _forget_beyond(self, model: str) -> None:
        own = [place for place in self.known if place[0] == model]
        idle = [place for place in own if not self.known[place].standing.followed]
        for place in idle[: max(0, len(own) - KEPT_VERSIONS)]:
            del self.known[place]
            self._dirty[STATE, _key(place)] = None

    # --- what follows -----------------------------------------------------------------------------------------

    def follows(self) -> list[Follow]:
        """The versions that have a series of their own, the oldest first, with what is known of their references."""
        return [
            Follow(known, self._content.get(place, b""))
            for place, known in self.known.items()
            if known.standing.followed and known.model in self.policies and SeriesKey(*place) not in self._configured
        ]

    def wanted(self) -> tuple[KnownVersion, ...]:
        """The versions whose references are to be looked for."""
        return tuple(each.known for each in self.follows() if each.known.wanted and not self._learns_alone(each.known))

    def _learns_alone(self, known: KnownVersion) -> bool:
        return self.policies[known.model].reference == "learn" and not known.place

    # --- state ------------------------------------------------------------------------------------------------

    def _put(self, known: KnownVersion, content: bytes = b"") -> None:
        place = known.model, known.version
        self.known[place] = known
        self._dirty[STATE, _key(place)] = None
        if content:
            self._content[place] = content
            self._dirty[CONTENT, _key(place)] = None

    def _forget_content(self, place: Place) -> None:
        if self._content.pop(place, None) is not None:
            self._dirty[CONTENT, _key(place)] = None

    def current(self) -> list[Fact]:
        """All that are known; nothing where none is."""
        return [VersionsStand(tuple(self.known.values()))] if self.known else []

    def changes(self) -> list[Record]:
        """The rows that changed since the last call."""
        dirty, self._dirty = self._dirty, {}
        return [self._row(kind, key) for kind, key in dirty]

    def snapshot(self) -> list[Record]:
        """All rows."""
        self._dirty.clear()
        states = [self._row(STATE, _key(place)) for place in self.known]
        contents = [self._row(CONTENT, _key(place)) for place in self._content]
        return [*states, *contents, *(self._row(LISTED, model) for model in self._listed)]

    def _row(self, kind: str, key: str) -> Record:
        match kind:
            case "version":
                known = self.known.get(_place(key))
                return Record(kind, key, None if known is None else msgspec.json.encode(known))
            case "version_reference":
                return Record(kind, key, self._content.get(_place(key)))
            case _:
                return Record(kind, key, msgspec.json.encode(self._listed[key]))

    def restore(self, record: Record) -> None:
        """Take up a row."""
        assert record.payload is not None
        match record.kind:
            case "version":
                self._take_up(msgspec.json.decode(record.payload, type=KnownVersion))
            case "version_reference":
                self._content[_place(record.key)] = record.payload
            case _:
                self._listed[record.key] = msgspec.json.decode(record.payload, type=list[str])

    def _take_up(self, known: KnownVersion) -> None:
        """Rows come in no order; that of the versions is that in which they were told of."""
        others = [*self.known.values(), known]
        self.known = {(each.model, each.version): each for each in sorted(others, key=lambda each: each.number)}


def _key(place: Place) -> str:
    return msgspec.json.encode(place).decode()


def _place(key: str) -> Place:
    model, version = msgspec.json.decode(key, type=tuple[str, str])
    return model, version


def announced(told: Iterable[tuple[str, Nanos | None]], model: str, at: Nanos) -> Iterator[Announcement]:
    """What a registry's new versions are, as announcements."""
    for version, made in told:
        yield Announcement(model, version, VersionSource.REGISTRY, at, made)
