"""The versions of a model that came after it was configured: how each is judged, and what is known of its reference. Values alone.

        announced ──► waiting ───────────► given      the registry or a file had its reference
                  │      │ too long
                  └──► learning ─────────► learnt     its predictions are held to its own first rows

Any of them becomes `retired` when enough newer ones are there. A model without `new_versions` has only `seen` ones.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from monitor.stream.events import Nanos

ReferenceFrom = Literal["registry", "file", "learn"]


class VersionSource(StrEnum):
    """Who said first that there is a version."""

    EVENTS = "events"
    REQUEST = "request"
    REGISTRY = "registry"


class VersionState(StrEnum):
    """How a version is judged."""

    SEEN = "seen"  # as any that is not configured, or as it is configured: it has no series on its own account
    WAITING = "waiting"  # inputs against the reference of the version before it, predictions not at all: its own is looked for
    LEARNING = "learning"  # the same, until it has rows enough
    GIVEN = "given"  # against its own reference
    LEARNT = "learnt"  # inputs as before, predictions against its own first rows
    RETIRED = "retired"  # as `seen`: newer ones have taken its place

    @property
    def followed(self) -> bool:
        """Whether it has a series of its own."""
        return self not in {VersionState.SEEN, VersionState.RETIRED}

    @property
    def settled(self) -> bool:
        """Whether it has what its predictions are held against."""
        return self in {VersionState.GIVEN, VersionState.LEARNT}


@dataclass(frozen=True, slots=True)
class VersionPolicy:
    """What becomes of a model's new versions. `wait`: wall time after which a reference that is not there is learnt instead."""

    reference: ReferenceFrom
    rows: int
    wait: Nanos
    keep: int


@dataclass(frozen=True, slots=True)
class Announcement:
    """That there is a version. `place`: a path or URI of its reference, empty: as the configuration says. `at` event time."""

    model: str
    version: str
    source: VersionSource
    at: Nanos
    trained_at: Nanos | None = None
    place: str = ""


@dataclass(frozen=True, slots=True)
class KnownVersion:
    """One version. `seen_at` event time, `since` wall time; `reference` the hash of its own, `why` it has none yet.

    `number`: which of all that were ever told of.
    """

    model: str
    version: str
    source: VersionSource
    seen_at: Nanos
    since: Nanos
    standing: VersionState = VersionState.SEEN
    number: int = 0
    trained_at: Nanos | None = None
    place: str = ""
    reference: str = ""
    why: str = ""
    rows: int = 0  # that its predictions are learnt from
    served: bool = False  # a window of its own series has closed

    @property
    def wanted(self) -> bool:
        """Whether its reference is looked for."""
        return self.standing is VersionState.WAITING or (self.standing is VersionState.LEARNING and bool(self.why))


@dataclass(frozen=True, slots=True)
class OfferedReference:
    """What was found where a version's reference is looked for: the file's content and hash, or in one line why there is none."""

    model: str
    version: str
    place: str
    content: bytes | None = None
    hash: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class ListedVersions:
    """What a registry says of a model: its versions, each with when it was made (wall time), the oldest first; or why it says nothing."""

    model: str
    versions: tuple[tuple[str, Nanos | None], ...] = ()
    why: str = ""
