"""What became of the versions of a model that came after it was configured."""

from dataclasses import dataclass

from monitor.alerting.versions import KnownVersion
from monitor.stream.events import Nanos, SeriesKey


@dataclass(frozen=True, slots=True)
class VersionSeen:
    """A version is told of for the first time. One that is new to the model ends what is in flight."""

    known: KnownVersion


@dataclass(frozen=True, slots=True)
class VersionChanged:
    """A version is judged in another way."""

    known: KnownVersion


@dataclass(frozen=True, slots=True)
class ReferenceAbsent:
    """The reference of a version could not be had: `known.why` says why. It is tried again."""

    known: KnownVersion


@dataclass(frozen=True, slots=True)
class VersionsStand:
    """All versions that are known."""

    known: tuple[KnownVersion, ...]


@dataclass(frozen=True, slots=True)
class FirstRowsCounted:
    """A version has had the rows that its predictions are learnt from: `counts` of the prediction, in the reference's bins."""

    key: SeriesKey
    at: Nanos
    rows: int
    counts: bytes


@dataclass(frozen=True, slots=True)
class ChartsTakenOver:
    """The charts of a new version go on where those of `before` stood, of these features; the others began anew."""

    key: SeriesKey
    at: Nanos
    before: str
    features: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReferenceStoodIn:
    """At a start: a reference could not be had from its registry, and is the one that was kept. `place`: as it is configured."""

    place: str
    why: str


@dataclass(frozen=True, slots=True)
class RegistryAnswered:
    """A registry was asked for the versions of a model; `why` in one line where it could not say."""

    model: str
    why: str = ""
