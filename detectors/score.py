"""One number that says how far a feature has moved, and what it rests on."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class DriftScore:
    """How far one feature is from its reference, as one detector sees it.

    `value` grows with the distance and is in the detector's own unit; None means that too few rows were usable.
    `rows` are the rows behind it. `details` are further finite numbers, named in the detector's module. Raises
    ValueError for NaN and infinities: a score is a number or it is absent.

    >>> DriftScore("age", "ks", 0.12, rows=500, details={"upper": 0.123}).insufficient
    False
    >>> DriftScore("age", "ks", None, rows=3).insufficient
    True
    """

    feature: str
    detector: str
    value: float | None
    rows: int
    pvalue: float | None = None
    threshold: float | None = None
    details: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, number in (("value", self.value), ("pvalue", self.pvalue), ("threshold", self.threshold)):
            if number is not None and not math.isfinite(number):
                raise ValueError(f"{self.feature}, {self.detector}: {name} is {number}, which is no finite number")
        for name, number in self.details.items():
            if not math.isfinite(number):
                raise ValueError(f"{self.feature}, {self.detector}: {name} is {number}, which is no finite number")
        if self.rows < 0:
            raise ValueError(f"{self.feature}, {self.detector}: rows is {self.rows}, which is below zero")

    @property
    def insufficient(self) -> bool:
        """Whether there were too few rows to say anything."""
        return self.value is None
