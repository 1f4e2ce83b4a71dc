"""What a feature is compared with: the reference, or its own recent past."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from detectors.durations import nanoseconds, show_duration

DAY_NS = 86_400 * 10**9
USUAL_DAYS = 28  # four weeks: as many Mondays as Sundays
FEWEST_DAYS, MOST_DAYS = 3, 90
VALID = "auto, reference, or trailing and a duration such as trailing 28d"


class Against(StrEnum):
    """What a feature is held against. `auto`: its recent past where the reference says that it wanders by nature."""

    AUTO = "auto"
    REFERENCE = "reference"
    TRAILING = "trailing"


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a feature is compared with; `days` of its own recent past where it is that.

    >>> Comparison.parse("trailing 14d").days, str(Comparison.parse("auto"))
    (14, 'auto')
    """

    against: Against = Against.AUTO
    days: int = USUAL_DAYS

    @classmethod
    def parse(cls, text: str) -> "Comparison":
        """Read what a configuration says. Raises ValueError with one line."""
        name, _, span = text.strip().partition(" ")
        if name not in set(Against) or (span and name != Against.TRAILING):
            raise ValueError(f"baseline {text!r} is not known; valid are {VALID}")
        if not span:
            return cls(Against(name))
        nanos = nanoseconds(span.strip())
        if nanos % DAY_NS or not FEWEST_DAYS <= nanos // DAY_NS <= MOST_DAYS:
            raise ValueError(f"baseline {text!r}: a trailing one is of {FEWEST_DAYS} to {MOST_DAYS} whole days")
        return cls(Against.TRAILING, nanos // DAY_NS)

    def __str__(self) -> str:
        span = f" {show_duration(self.days * DAY_NS)}" if self.against is Against.TRAILING else ""
        return f"{self.against}{span}"

    def trailing(self, feature: str, wandering: Collection[str]) -> int:
        """Return how many days of its recent past a feature is compared with; 0 for the reference."""
        wanders = self.against is Against.AUTO and feature in wandering
        return self.days if wanders or self.against is Against.TRAILING else 0


AUTO = Comparison()
