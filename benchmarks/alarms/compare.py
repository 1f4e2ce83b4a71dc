"""Naive rules and dummies on the same simulated traffic, as raw rows: false pages, delays, episodes found."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import signal

from benchmarks.alarms import dummies
from benchmarks.alarms.naive import (
    CHUNKS,
    RULES,
    SEQUENTIAL,
    CountedReference,
    RawReference,
    RawRules,
    one_changed,
    sequential,
)
from benchmarks.alarms.scoring import MONTH, garwood, onsets
from benchmarks.alarms.streams import Season, World
from benchmarks.measure import Figures
from detectors.features import Floats

FEATURES = 200
EVEN = 1024  # cells of the counts that stand for rows where these are too many
TOO_MANY = 20_000  # rows a window
SOUGHT = 100  # windows that a change is looked for


@dataclass(frozen=True, slots=True)
class Contest:
    """A world, how many windows of it, and the changes that are looked for in it."""

    key: str
    world: World
    windows: int
    shifts: tuple[float, ...] = ()
    river: int = 0  # windows for ADWIN; KSWIN, eighty times as slow, gets a thirtieth


class Rows:
    """Windows of rows of all features, float64[f, n], standard normal while nothing changes."""

    def __init__(self, world: World, features: int, rng: np.random.Generator) -> None:
        self.world, self.rng = world, rng
        self._last = rng.standard_normal((features, 1)) * world.phi
        self.season: Season | None = world.season_of(features, rng)
        self.at = 0

    def draw(self, shift: float = 0.0, at: int | None = None) -> Floats:
        """Return the next window, or one of another time."""
        size = (len(self._last), self.world.rows)
        if self.world.rows > TOO_MANY:
            return self.rng.multinomial(self.world.rows, np.full((len(self._last), EVEN), 1 / EVEN)).astype(np.float64)
        rows = self.rng.standard_normal(size)
        if self.world.phi:
            scale = np.sqrt(1 - self.world.phi**2)
            rows, self._last = signal.lfilter([scale], [1, -self.world.phi], rows, zi=self._last)
        if self.season is not None:
            rows += self.season.levels(self.at if at is None else at, 1)[0][:, None]
        self.at += 1
        return rows + shift


def reference(rows: Rows, rng: np.random.Generator) -> RawRules:
    """A reference of CHUNKS windows, from any time of two weeks."""
    windows = [rows.draw(at=int(rng.integers(0, 4032))) for _ in range(CHUNKS)]
    return CountedReference.of(windows) if rows.world.rows > TOO_MANY else RawReference.of(windows)


def contest(of: Contest, rng: np.random.Generator) -> Figures:
    """Run all rules."""
    rows = Rows(of.world, FEATURES, rng)
    own = reference(rows, rng)
    found: Figures = {"key": of.key, "rules": false_pages(of, rows, own), "found": {}}
    for shift in of.shifts:
        found["found"][f"{shift:g}"] = sought(rows, own, shift)
    if of.river:
        for name in SEQUENTIAL:
            windows = of.river if name == "ADWIN" else max(of.river // 30, 5)
            found["rules"][SEQUENTIAL[name]] = river_false(name, of.world, windows, rng)
            for shift in of.shifts:
                found["found"][f"{shift:g}"][SEQUENTIAL[name]] = river_sought(name, of.world, shift, rng)
    return found


def false_pages(of: Contest, rows: Rows, own: RawRules) -> Figures:
    """Windows without a change: which of them alarm."""
    alarms: dict[str, list[int]] = {rule: [] for rule in RULES}
    for _ in range(of.windows):
        seen = own.compare(rows.draw())
        for rule, judge in RULES.items():
            alarms[rule].append(int(judge(seen, own).sum()))
    return {rule: _rate(np.array(counts)) for rule, counts in alarms.items()}


def _rate(counts: np.ndarray) -> Figures:
    """A page is a window with an alarm after one without."""
    alarmed = counts > 0
    pages = onsets(alarmed, before=alarmed[0])  # what goes on when a sample begins is no page of its own
    low, high = garwood(pages, alarmed.size / MONTH)
    return {
        "windows": int(alarmed.size),
        "features": FEATURES,
        "pages": pages * MONTH / alarmed.size,
        "low": low,
        "high": high,
        "alarmed": float(alarmed.mean()),
        "feature_alarms": float(counts.mean()) * MONTH,
    }


def sought(rows: Rows, own: RawRules, shift: float) -> Figures:
    """Windows until each rule names the one feature of 200 that has shifted; every feature in turn."""
    delay = {rule: np.full(FEATURES, np.inf) for rule in RULES}
    for window in range(1, SOUGHT + 1):
        before, after = own.compare(rows.draw()), own.compare(rows.draw(shift))
        for rule, found in delay.items():
            found[np.isinf(found) & one_changed(rule, before, after, own)] = window
    return {rule: found.tolist() for rule, found in delay.items()}


def river_false(name: str, world: World, windows: int, rng: np.random.Generator, features: int = 4) -> Figures:
    """The rate of one feature, scaled to all: their windows are taken as independent."""
    rows = Rows(world, features, rng)
    watch = [sequential(name, int(rng.integers(2**31))) for _ in range(features)]
    alarms = 0
    for _ in range(windows):
        alarms += sum(any(_fed(one, values)) for one, values in zip(watch, rows.draw(), strict=True))
    seen = windows * features
    low, high = garwood(alarms, seen)
    return {
        "windows": windows,
        "features": features,
        "pages": _of_all(alarms / seen),
        "low": min(_of_all(low), _of_all(min(high, 1.0))),
        "high": max(_of_all(low), _of_all(min(high, 1.0)), _of_all(alarms / seen)),
        "alarmed": _any(alarms / seen),
        "feature_alarms": alarms / seen * FEATURES * MONTH,
    }


def _any(chance: float) -> float:
    return float(1 - (1 - chance) ** FEATURES)


def _of_all(chance: float) -> float:
    """Pages a month from the chance that one feature alarms in a window."""
    return MONTH * _any(chance) * (1 - _any(chance))


def _fed(detector: object, values: Floats) -> list[bool]:
    """Whether it alarms, row by row."""
    found = []
    for value in values.tolist():
        detector.update(value)  # type: ignore[attr-defined] # river's interface
        found.append(detector.drift_detected)  # type: ignore[attr-defined]
    return found


def river_sought(name: str, world: World, shift: float, rng: np.random.Generator) -> list[float]:
    """Windows to the first alarm after a shift, one feature a trial; a few windows of history each."""
    trials, history, longest = (20, 5, SOUGHT) if name == "ADWIN" else (5, 1, 5)
    rows = Rows(world, trials, rng)
    watch = [sequential(name, int(rng.integers(2**31))) for _ in range(trials)]
    delay = np.full(trials, np.inf)
    for window in range(1 - history, longest + 1):
        drawn = rows.draw(shift if window > 0 else 0.0)
        for at in np.flatnonzero(np.isinf(delay)).tolist():
            if any(_fed(watch[at], drawn[at])) and window > 0:
                delay[at] = window
        if np.isfinite(delay).all():
            break
    return delay.tolist()


def dummy_figures(rng: np.random.Generator) -> Figures:
    """Dummies: they do not look at the traffic, so one month is every month."""
    rules, found = {}, {}
    for name, rule in dummies.DUMMIES.items():
        alarmed = rule(MONTH)
        pages = float(onsets(alarmed))
        rules[name] = {"windows": MONTH, "features": FEATURES, "pages": pages, "low": pages, "high": pages}
        rules[name] |= {"alarmed": float(alarmed.mean()), "feature_alarms": float(alarmed.sum())}
        found[name] = dummies.delays_of(rule, 1000, rng).tolist()
    return {"rules": rules, "found": found}


Job = Callable[[np.random.Generator], Figures]
