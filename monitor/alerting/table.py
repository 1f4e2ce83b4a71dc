"""All scores of one window, kept as columns: a window is scored far more often than its scores are read."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import overload

import numpy as np
from numpy.typing import NDArray

from detectors import DriftScore, ScoreColumns
from detectors.features import some
from detectors.sketches.sums import nearest


@dataclass(frozen=True, slots=True, eq=False)
class AskedScores:
    """What is asked of one detector, for each feature that it scores.

    `kept` int64[w] are the places of the wanted ones, None for all; `features` int64[w] their numbers in the series.
    `limits` float64[s] by rule: the score above which a feature breaches it, infinity where it does not apply.
    """

    places: Mapping[str, int]
    kept: NDArray[np.int64] | None
    features: NDArray[np.int64]
    thresholds: tuple[float | None, ...]
    limits: Mapping[str, NDArray[np.float64]]
    bounds: NDArray[np.float64] = field(
        init=False
    )  # float64[w]: the threshold of each wanted score, NaN where it has none
    bounded: bool = field(init=False)  # whether any has one
    least: Mapping[str, float] = field(init=False)  # by rule: no lower score breaches it

    def __post_init__(self) -> None:
        bounds = np.array([np.nan if each is None else each for each in self.thresholds])
        object.__setattr__(self, "bounds", bounds if self.kept is None else bounds[self.kept])
        object.__setattr__(self, "bounded", not np.isnan(self.bounds).all())
        least = {rule: float(limits.min(initial=np.inf)) for rule, limits in self.limits.items()}
        object.__setattr__(self, "least", least)


@dataclass(slots=True, eq=False)  # not frozen: some are made for each window, and it takes a third of the time
class DetectorScores:
    """What one detector said, and what was asked of it."""

    columns: ScoreColumns
    asked: AskedScores

    def __len__(self) -> int:
        return len(self.asked.features)

    def one(self, at: int) -> DriftScore:
        """The score in place `at` of the columns."""
        return self.columns.one(at, self.asked.thresholds[at])

    def wanted(self) -> tuple[ScoreColumns, Sequence[float | None]]:
        """What is asked for: columns, and the threshold of each score."""
        kept, thresholds = self.asked.kept, self.asked.thresholds
        if kept is None:
            return self.columns, thresholds
        return self.columns.take(kept), [thresholds[at] for at in kept.tolist()]

    def of_threshold(self) -> NDArray[np.float64]:
        """Each score asked for ÷ its threshold, float64[w]; NaN where it is not known or has none."""
        near = np.full((1, len(self)), np.nan)
        nearest(self.values[None], self.known[None], self.asked.bounds, np.arange(len(self)), near)
        return np.asarray(near[0])

    @property
    def values(self) -> NDArray[np.float64]:
        """The scores asked for, float64[w]; only the known ones say anything."""
        return self.columns.values if self.asked.kept is None else self.columns.values[self.asked.kept]

    def scores(self) -> list[DriftScore]:
        """The scores that are asked for."""
        columns, thresholds = self.wanted()
        return columns.scores(thresholds)

    def breaches(self, rule: str) -> bool:
        """Whether any value is above what a rule allows, known or not."""
        columns, asked = self.columns, self.asked
        return not columns.most <= asked.least[rule] and some(columns.values > asked.limits[rule])

    def above(self, rule: str, min_rows: int) -> list[int]:
        """The places of the scores that breach a rule, of those that rest on so many rows."""
        found = self.columns.values > self.asked.limits[rule]
        if not some(found):
            return []
        found &= self.columns.known & (self.columns.rows >= min_rows)
        places: list[int] = np.flatnonzero(found).tolist()
        return places

    @property
    def known(self) -> NDArray[np.bool_]:
        """Which of the scores asked for are numbers, bool[w]."""
        return self.columns.known if self.asked.kept is None else self.columns.known[self.asked.kept]


def raise_nearness(windows: Sequence[DetectorScores], near: NDArray[np.float64]) -> None:
    """Raise what is said of all features of a series, float64[n, f], to each score asked for ÷ its threshold, where both are known.

    `windows` are what one detector said of n windows, asked for the same of each.
    """
    asked = windows[0].asked
    if asked.kept is None:
        columns = [one.columns for one in windows]
        values, known = [one.values for one in columns], [one.known for one in columns]
    else:
        values, known = [one.values for one in windows], [one.known for one in windows]
    shape = len(windows), -1
    nearest(
        np.concatenate(values).reshape(shape), np.concatenate(known).reshape(shape), asked.bounds, asked.features, near
    )


class ScoreTable(Sequence[DriftScore]):
    """A window's scores. Reads like a tuple; each reading makes the values anew, and none is kept.

    Of a window among many that close together most scores are read by nobody. `ready` are the parts that somebody decides by;
    `work_out` gives all of them, in the order of the detectors, when a part is first asked for that is not among these.
    """

    __slots__ = ("_work_out", "ready")
    __hash__ = None  # type: ignore[assignment]  # it is equal to a tuple of the same scores

    def __init__(
        self,
        ready: tuple[DetectorScores, ...],
        work_out: Callable[[], tuple[DetectorScores, ...]] | None = None,
    ) -> None:
        self.ready = ready
        self._work_out = work_out

    @property
    def parts(self) -> tuple[DetectorScores, ...]:
        """What each detector said; two threads may work it out at once, and find the same."""
        work_out = self._work_out
        if work_out is not None:
            self.ready, self._work_out = work_out(), None
        return self.ready

    def of(self, detector: str) -> DetectorScores:
        """What a detector said. Raises KeyError."""
        for part in self.ready:
            if part.columns.detector == detector:
                return part
        return {part.columns.detector: part for part in self.parts}[detector]

    def __len__(self) -> int:
        return sum(len(part) for part in self.parts)

    def __iter__(self) -> Iterator[DriftScore]:
        for part in self.parts:
            yield from part.scores()

    @overload
    def __getitem__(self, at: int) -> DriftScore: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[DriftScore]: ...
    def __getitem__(self, at: int | slice) -> DriftScore | Sequence[DriftScore]:
        return tuple(self)[at]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ScoreTable | tuple) and tuple(self) == tuple(other)

    def __repr__(self) -> str:
        return f"ScoreTable{tuple(self)}"
