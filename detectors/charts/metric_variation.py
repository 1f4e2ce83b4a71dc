"""How a metric varies from one labelled window of a reference to the next, beyond what so few rows explain.

Deviates z of the windows (in standard errors by their rows) are taken for an autoregression of the first order, z_t = φ·z_{t-1} + noise.
With φ, corrected for the bias of few windows (Kendall, Biometrika 41, 1954), sums of windows vary τ = (1 + φ) / (1 − φ) times as much as
those of independent ones, and k windows are worth k / τ.

A chart adds windows up, so it is given the largest variation of sums that the windows do not speak against: an underestimate would cost the
budget more than an overestimate costs delay. So is an e-detector, whose bets add up too.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from detectors.features import Floats

FEWEST: Final = 60  # windows
FEWEST_WORTH: Final = 10.0  # independent ones that they are worth
MOST_MEMORY: Final = 0.97  # of φ
SURE: Final = 1.645  # standard errors that what is estimated may be off


@dataclass(frozen=True, slots=True)
class MetricVariation:
    """What windows vary, in standard errors by their rows.

    `lasting`, at least 1: what sums of neighbours vary, over what they would by their rows. `centre`: how uncertain the middle of all windows is. `worth`: how many independent
    windows they are worth at least.
    """

    lasting: float = 1.0
    centre: float = 0.0
    worth: float = float(FEWEST)

    @property
    def enough(self) -> bool:
        """Whether the windows have seen their slow variation go up and down a few times: else nobody knows what is usual."""
        return self.worth >= FEWEST_WORTH

    @classmethod
    def of(cls, deviates: Sequence[float]) -> "MetricVariation":
        """Return that of the deviates of windows, in time order. Raises ValueError for fewer than 60.

        >>> rng = np.random.default_rng(1)
        >>> round(MetricVariation.of(rng.standard_normal(2000).tolist()).lasting, 1)
        1.1
        >>> round(MetricVariation.of((2 * rng.standard_normal(2000)).tolist()).lasting, 1)
        2.1
        """
        z = np.asarray(deviates, dtype=np.float64)
        if z.size < FEWEST:
            raise ValueError(f"{FEWEST} windows at least, not {z.size}")
        found = _memory(z)
        likely, most = (_times(each) for each in (_surely(found, z.size), found + SURE * _error(found, z.size)))
        variance = float(np.square(z).mean()) * z.size / max(z.size - likely, z.size / 4)
        largest = max(1.0, variance) * (1 + math.sqrt(most / (2 * z.size))) ** 2
        return cls(math.sqrt(largest * most), math.sqrt(max(1.0, variance) * most / z.size), z.size / most)


def _memory(z: Floats) -> float:
    """φ, corrected."""
    apart = z - z.mean()
    whole = float(np.square(apart).sum())
    found = float((apart[1:] * apart[:-1]).sum()) / whole if whole > 0 else 0.0
    return found + (1 + 4 * found) / z.size


def _error(memory: float, windows: int) -> float:
    return math.sqrt(max(1 - memory**2, 0.05) / windows)


def _surely(memory: float, windows: int) -> float:
    """φ, 0 where it may be chance."""
    return memory if memory > SURE / math.sqrt(windows) else 0.0


def _times(memory: float) -> float:
    """τ."""
    memory = min(max(memory, 0.0), MOST_MEMORY)
    return (1 + memory) / (1 - memory)
