"""How far a feature has moved and what that rests on: one number of one feature, or a column for many."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import repeat

import numpy as np

from detectors.features import Bools, Floats, Ints, every


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
    def statistic(self) -> float | None:
        """The value, by scipy's name for it."""
        return self.value

    @property
    def insufficient(self) -> bool:
        """Whether there were too few rows to say anything."""
        return self.value is None


@dataclass(slots=True, eq=False)  # not frozen, which takes four times as long; nobody changes one
class ScoreColumns:
    """The scores of one detector over many features, a column for each part of `DriftScore`.

    `known` bool[s]: whether the score is a number; where it is not, only the rows count. `rows` int64[s], `values`,
    `pvalues` and each of `details` float64[s] (a count may be int64). Raises ValueError for NaN and infinities among the known.
    """

    detector: str
    names: tuple[str, ...]
    known: Bools
    rows: Ints
    values: Floats
    pvalues: Floats | None = None
    details: Mapping[str, Floats | Ints] = field(default_factory=dict)
    most: float = field(default=math.inf, init=False, repr=False)  # no value is more, where that is known

    def __post_init__(self) -> None:
        for column in (self.values, self.pvalues, *self.details.values()):
            if column is not None and not every(np.isfinite(column)):
                self.scores()  # the first bad one says which it is
                return

    def __len__(self) -> int:
        return len(self.names)

    def settle(self) -> "ScoreColumns":
        """Return the same, of which nothing is left to be worked out."""
        return self

    def take(self, places: Ints) -> "ScoreColumns":
        """Return the scores in these places."""
        return ScoreColumns(
            self.detector,
            tuple(self.names[at] for at in places.tolist()),
            self.known[places],
            self.rows[places],
            self.values[places],
            None if self.pvalues is None else self.pvalues[places],
            {name: column[places] for name, column in self.details.items()},
        )

    def one(self, at: int, threshold: float | None = None) -> DriftScore:
        """Return the score in place `at`."""
        rows = int(self.rows[at])
        if not self.known[at]:
            return DriftScore(self.names[at], self.detector, None, rows, threshold=threshold)
        pvalue = None if self.pvalues is None else float(self.pvalues[at])
        details = {name: float(column[at]) for name, column in self.details.items()}
        return DriftScore(self.names[at], self.detector, float(self.values[at]), rows, pvalue, threshold, details)

    def scores(self, thresholds: Iterable[float | None] = repeat(None)) -> list[DriftScore]:
        """Return all scores, in the order of the features, each with its threshold."""
        pvalues: Iterable[float | None] = repeat(None) if self.pvalues is None else self.pvalues.tolist()
        parts = [column.tolist() for column in self.details.values()]
        details = zip(*parts, strict=True) if parts else repeat(())
        columns = (self.known.tolist(), self.rows.tolist(), self.values.tolist())
        return [
            DriftScore(
                name, self.detector, value, rows, pvalue, threshold, dict(zip(self.details, detail, strict=True))
            )
            if known
            else DriftScore(name, self.detector, None, rows, threshold=threshold)
            for name, known, rows, value, pvalue, threshold, detail in zip(
                self.names, *columns, pvalues, thresholds, details, strict=False
            )
        ]


Rest = tuple[Floats | None, Mapping[str, Floats | Ints]]  # p-values and details


class LateColumns(ScoreColumns):
    """The same, of which p-values and details, which nobody decides by, are worked out when they are read. Then all are looked at.

    `rest` does that, and holds on to no counts of a whole window; None: there are none. `most`: no value is more.
    """

    __slots__ = ("_found", "_rest")

    def __init__(
        self,
        detector: str,
        names: tuple[str, ...],
        known: Bools,
        rows: Ints,
        values: Floats,
        rest: Callable[["ScoreColumns"], Rest] | None = None,
        most: float = math.inf,
    ) -> None:
        self.detector = detector
        self.names = names
        self.known = known
        self.rows = rows
        self.values = values
        self.most = most
        self._rest = rest
        self._found: ScoreColumns | None = None

    def settle(self) -> ScoreColumns:
        """Work them out."""
        work_out, found = self._rest, self._found  # in this order: another thread may do the same
        if found is None:
            rest = (None, {}) if work_out is None else work_out(self)
            found = self._found = ScoreColumns(self.detector, self.names, self.known, self.rows, self.values, *rest)
            self._rest = None
        return found

    @property
    def pvalues(self) -> Floats | None:  # type: ignore[override]
        """The p-values."""
        return self.settle().pvalues

    @property
    def details(self) -> Mapping[str, Floats | Ints]:  # type: ignore[override]
        """The details."""
        return self.settle().details


def largest(values: Floats) -> list[float]:
    """Return the largest of each row of scores, float64[w, s], as `LateColumns` takes it; of a row alone it is not looked for, for that takes as long as to ask."""
    if len(values) == 1:
        return [math.inf]
    found: list[float] = np.maximum.reduce(values, axis=1, initial=-math.inf).tolist()
    return found
