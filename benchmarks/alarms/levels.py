"""Levels that wander while nothing is wrong: waves, days of their own luck, slow and long memory. In σ, float64[w, f].

A process is drawn once for the whole of a model's life, its reference included, so that what is learnt and what is judged
come from one path.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from detectors.features import Floats

HOURS_A_DAY = 24.0
HOURS_A_WEEK = 168.0


@dataclass(frozen=True, slots=True, eq=False)
class Timeline:
    """When windows begin: `hours` float64[w] since a Monday's midnight, `local` the same by the clocks of people."""

    hours: Floats
    local: Floats

    @classmethod
    def of(cls, windows: int, length: float, clocks: float | None = None) -> "Timeline":
        """So many windows of `length` hours; from hour `clocks` on the clocks of people are one hour ahead."""
        hours = np.arange(windows, dtype=np.float64) * length
        return cls(hours, hours if clocks is None else hours + (hours >= clocks))


Process = Callable[[Timeline, int, np.random.Generator], Floats]


def waves(amplitude: float, weekly: float | None = None) -> Process:
    """A daily and a weekly sine, each feature with phases of its own."""

    def draw(time: Timeline, features: int, rng: np.random.Generator) -> Floats:
        phases = rng.random((2, features))
        sizes = amplitude, amplitude if weekly is None else weekly
        turns = (time.local / HOURS_A_DAY, time.local / HOURS_A_WEEK)
        parts = [
            size * np.sin(2 * np.pi * (turn[:, None] + phase))
            for size, turn, phase in zip(sizes, turns, phases, strict=True)
        ]
        return np.asarray(np.sum(parts, axis=0))

    return draw


def days(sd: float, tails: float = np.inf) -> Process:
    """A level that each day draws anew for each feature, of standard deviation `sd`; `tails`: degrees of freedom of Student's t."""

    def draw(time: Timeline, features: int, rng: np.random.Generator) -> Floats:
        day = (time.local // HOURS_A_DAY).astype(np.int64)
        shape = int(day.max(initial=0)) + 1, features
        if np.isinf(tails):
            return np.asarray(sd * rng.standard_normal(shape)[day])
        return np.asarray(sd * rng.standard_t(tails, shape)[day] / np.sqrt(tails / (tails - 2)))

    return draw


def wandering(sd: float, hours: float = HOURS_A_DAY) -> Process:
    """An Ornstein-Uhlenbeck level: correlated by 1/e after so many hours."""

    def draw(time: Timeline, features: int, rng: np.random.Generator) -> Floats:
        kept = np.exp(-np.diff(time.hours) / hours)
        noise = rng.standard_normal((time.hours.size, features))
        found = np.empty_like(noise)
        found[0] = noise[0]
        for at, phi in enumerate(kept.tolist(), 1):
            found[at] = phi * found[at - 1] + np.sqrt(1 - phi * phi) * noise[at]
        return np.asarray(sd * found)

    return draw


def long_memory(d: float, sd: float) -> Process:
    """ARFIMA(0, d, 0), exactly, by circulant embedding (Davies and Harte 1987; autocovariance of Hosking 1981)."""

    def draw(time: Timeline, features: int, rng: np.random.Generator) -> Floats:
        lags = np.arange(1, time.hours.size + 1)
        covariance = np.concatenate([[1.0], np.cumprod((lags - 1 + d) / (lags - d))])
        power = np.fft.rfft(np.concatenate([covariance, covariance[-2:0:-1]])).real
        size = 2 * (covariance.size - 1)
        white = np.fft.rfft(rng.standard_normal((features, size)), axis=1)
        found = np.fft.irfft(white * np.sqrt(np.maximum(power, 0.0)), n=size, axis=1)
        return np.asarray(sd * found[:, : time.hours.size].T)

    return draw


def trend(a_day: float, features_of: int) -> Process:
    """So many of the features, drawn at random, move by `a_day` σ a day, for ever."""

    def draw(time: Timeline, features: int, rng: np.random.Generator) -> Floats:
        slopes = np.zeros(features)
        slopes[rng.choice(features, min(features_of, features), replace=False)] = a_day
        return np.asarray(time.hours[:, None] / HOURS_A_DAY * slopes)

    return draw


def together(processes: Sequence[Process], time: Timeline, features: int, rng: np.random.Generator) -> Floats:
    """The sum of some processes, each drawn on its own."""
    return np.asarray(sum((draw(time, features, rng) for draw in processes), np.zeros((time.hours.size, features))))
