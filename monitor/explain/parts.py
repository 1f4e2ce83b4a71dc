"""Pieces of an explanation: each says one thing, and how much it weighs beside the others."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from detectors.baseline import FeatureBaseline, NumericBaseline
from detectors.features import Floats, Ints
from monitor.explain.figures import moved

SURE = 4.0  # standard errors below which a difference is not worth a word
NOTABLE_SHARE = 0.05  # of the rows: weighs as much as NOTABLE_SHIFT
NOTABLE_SHIFT = 0.25  # σ
NOTABLE_SPREAD = 0.25  # of ln(sd / sd)
LEAST = 0.2  # of what is notable: 1 point, 0.05 σ


@dataclass(frozen=True, slots=True)
class Part:
    """A few words. `strength`: 1 is notable; `sureness` in standard errors; what `overrides` makes others needless."""

    kind: str
    text: str
    strength: float
    sureness: float
    overrides: bool = False


def material(part: Part) -> bool:
    """Whether it is both large and certain enough to be said unasked."""
    return part.strength >= LEAST and part.sureness >= SURE


@dataclass(frozen=True, slots=True)
class Reading:
    """The reference's counts and a window's, as shares of usable rows, float64[usable cells]; and what is missing."""

    before: Floats
    now: Floats
    rows: int
    usable: int
    lost_before: float
    lost_now: float
    infinite_before: float
    infinite_now: float

    @classmethod
    def of(cls, feature: FeatureBaseline, before: Ints, now: Ints) -> Self | None:
        """Read two rows of counts; None where one of them is empty. Shares are 0 where no row is usable."""
        rows_before, rows = int(before.sum()), int(now.sum())
        if not rows_before or not rows:
            return None
        tail = 3 if isinstance(feature, NumericBaseline) else 1
        usable_before, usable = before[:-tail], now[:-tail]
        infinite = -2 if tail > 1 else before.size
        return cls(
            before=usable_before / max(int(usable_before.sum()), 1),
            now=usable / max(int(usable.sum()), 1),
            rows=rows,
            usable=int(usable.sum()),
            lost_before=float(before[-tail:].sum() / rows_before),
            lost_now=float(now[-tail:].sum() / rows),
            infinite_before=float(before[infinite:].sum() / rows_before),
            infinite_now=float(now[infinite:].sum() / rows),
        )

    @property
    def comparable(self) -> bool:
        """Whether both have values."""
        return self.usable > 0 and bool(self.before.any())


def sureness(before: float, now: float, rows: int) -> float:
    """Return by how many standard errors a share of so many rows differs from what it was."""
    usual = max(before * (1 - before), 1 / rows)
    return abs(now - before) / float(np.sqrt(usual / rows))


def share_part(kind: str, name: str, before: float, now: float, rows: int) -> Part:
    """Return the part that says how a share of the rows has changed."""
    strength = abs(now - before) / NOTABLE_SHARE
    return Part(kind, f"{name} {moved(before, now)}", strength, sureness(before, now, rows))


def missing_part(reading: Reading) -> Part:
    """Return what is to be said of rows without a usable value."""
    gained = reading.lost_now - reading.lost_before
    infinite = reading.infinite_now - reading.infinite_before
    if infinite > 0.5 * gained > 0:
        return share_part("missing", "infinite", reading.infinite_before, reading.infinite_now, reading.rows)
    return share_part("missing", "missing", reading.lost_before, reading.lost_now, reading.rows)
