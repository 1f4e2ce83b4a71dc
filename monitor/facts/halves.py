"""What became of requests and responses that come apart."""

from collections.abc import Mapping
from dataclasses import dataclass

from monitor.stream.events import SeriesKey


@dataclass(frozen=True, slots=True)
class HalvesCounted:
    """Halves of predictions from a topic, by what became of them: joined, unmatched, evicted, repeated."""

    key: SeriesKey
    topic: str
    half: str  # request or response
    outcomes: Mapping[str, int]
