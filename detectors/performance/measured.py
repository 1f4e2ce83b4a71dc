"""What a metric says: a number with its certainty, or why there is none."""

import math
from dataclasses import dataclass

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Measured:
    """A metric of some rows.

    `interval` is the confidence interval, for independent rows; `standard_error` is that of the value. Either is None where the
    rows cannot say: one row has no spread. `bounds` hold the value of the very rows, to the last digit, where scores were
    counted on bins: `value` is then the best guess between them, and the interval is widened by them. Raises ValueError for
    NaN and infinities: a metric is a number or it is absent.

    >>> Measured(0.9, rows=1000, standard_error=0.0095, interval=(0.88, 0.917))
    Measured(value=0.9, rows=1000, standard_error=0.0095, interval=(0.88, 0.917), bounds=None)
    """

    value: float
    rows: int
    standard_error: float | None = None
    interval: Interval | None = None
    bounds: Interval | None = None

    def __post_init__(self) -> None:
        both = sum(self.interval or ()) + sum(self.bounds or ())
        if not math.isfinite(self.value + (self.standard_error or 0.0) + both):
            self._refuse()

    def _refuse(self) -> None:
        for name, numbers in (
            ("value", (self.value,)),
            ("standard_error", (self.standard_error or 0.0,)),
            ("interval", self.interval or ()),
            ("bounds", self.bounds or ()),
        ):
            if not all(map(math.isfinite, numbers)):
                raise ValueError(f"{name} is {numbers}, which is no finite number")


@dataclass(frozen=True, slots=True)
class Unavailable:
    """A metric that cannot be computed, and the reason in words.

    >>> Unavailable("no positive label").reason
    'no positive label'
    """

    reason: str
    rows: int = 0


Metric = Measured | Unavailable
