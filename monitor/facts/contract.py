"""What of a model's events breaks its data contract."""

from collections.abc import Mapping
from dataclasses import dataclass

from detectors.sketches.violations import Rule
from monitor.alerting.episodes import FirstOffset
from monitor.stream.events import Nanos, SeriesKey


@dataclass(frozen=True, slots=True)
class ContractSample:
    """A value that breaks a rule, in words: for display alone, never saved, never an id."""

    rule: Rule
    words: str


@dataclass(frozen=True, slots=True)
class SchemaChanged:
    """A column that is otherwise than agreed at this event time: `gone`, of a new `type`, or `new`. `first`: where it began.

    `ended`: it is as agreed again.
    """

    key: SeriesKey
    field: str
    change: str
    at: Nanos
    first: tuple[FirstOffset, ...]
    ended: bool = False


@dataclass(frozen=True, slots=True)
class ContractBroken:
    """Events of one poll that break a contract, by rule, and a few of the values."""

    key: SeriesKey
    counts: Mapping[Rule, int]
    samples: tuple[ContractSample, ...] = ()
