"""Where logs are cut, and who owns a model: boundaries that are the same after any crash, in every process."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from monitor.series.series import SeriesSpec
from monitor.series.view import ViewSpec
from monitor.stream.events import FEATURES, Partition, SeriesKey

CELL_LENGTH = 10_000  # offsets
CONFIG_BYTES = 8


class SourceLog(msgspec.Struct, frozen=True, order=True, cache_hash=True, array_like=True):
    """One partition of one topic, by the id that the topic has for as long as it is not made anew."""

    topic: str
    topic_id: str
    index: int

    @property
    def partition(self) -> Partition:
        """Where it is."""
        return Partition(self.topic, self.index)

    def __str__(self) -> str:
        return f"{self.topic}/{self.index}"


class ViewPlace(msgspec.Struct, frozen=True, order=True, cache_hash=True, array_like=True):
    """What is counted by itself: a view of a series."""

    model: str
    version: str
    segment: str = ""
    view: str = FEATURES

    @classmethod
    def of(cls, key: SeriesKey, view: str) -> "ViewPlace":
        """A view of a series."""
        return cls(key.model, key.version, key.segment, view)

    @property
    def key(self) -> SeriesKey:
        """The series."""
        return SeriesKey(self.model, self.version, self.segment)

    def __str__(self) -> str:
        return str(self.key) if self.view == FEATURES else f"{self.key} ({self.view})"


def cell_end(begin: int, length: int = CELL_LENGTH) -> int:
    """The offset after the last of the cell that begins here, or in which reading began here: cells end at multiples of their length.

    >>> cell_end(0, 100), cell_end(130, 100), cell_end(200, 100)
    (100, 200, 300)
    """
    return begin - begin % length + length


def judge_of(model: str, judges: int) -> int:
    """The number of the judge partition that owns a model, with all its versions and segments: these share retraining.

    >>> judge_of("churn", 8), judge_of("churn", 1)
    (1, 0)
    """
    return int.from_bytes(hashlib.blake2b(model.encode(errors="surrogatepass"), digest_size=8).digest()) % judges


@dataclass(frozen=True, slots=True)
class ReplicaPlan:
    """What all replicas agree on: how long cells are, in offsets, how many judge partitions there are, and `config`.

    `config` is a hash of all that counting depends on, `CONFIG_BYTES` long: who sends under another one is not listened to. Raises ValueError.
    """

    config: bytes
    judges: int = 1
    length: int = CELL_LENGTH

    def __post_init__(self) -> None:
        if len(self.config) != CONFIG_BYTES:
            raise ValueError(f"config: {len(self.config)} bytes where there should be {CONFIG_BYTES}")
        if self.judges < 1 or self.length < 1:
            raise ValueError(f"judges {self.judges} and length {self.length} must be at least 1")


def plan_of(
    specs: Iterable[SeriesSpec], decoding: bytes = b"", judges: int = 1, length: int = CELL_LENGTH
) -> ReplicaPlan:
    """The plan of some series; `decoding` says what else counts depend on, such as how topics are mapped and which contracts rows are held to."""
    told = sorted(
        (place.model, place.version, place.segment, place.view, view.fingerprint, view.windows.slide)
        for place, view in places_of(specs).items()
    )
    digest = hashlib.blake2b(msgspec.msgpack.encode([told, decoding, judges, length]), digest_size=CONFIG_BYTES)
    return ReplicaPlan(digest.digest(), judges, length)


def places_of(specs: Iterable[SeriesSpec]) -> Mapping[ViewPlace, ViewSpec[Any]]:
    """All views of some series."""
    return {ViewPlace.of(spec.key, view.name): view for spec in specs for view in spec.views}
