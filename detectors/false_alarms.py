"""How often an explicit threshold is passed by data that has not changed, a month."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from detectors import special
from detectors.baseline import Baseline
from detectors.features import Floats
from detectors.plugins import DETECTORS
from detectors.protocols import JudgedWindows


@dataclass(frozen=True, slots=True)
class Expected:
    """False alarms a month of one rule on one model, summed over its features; None where no law gives them, and why."""

    per_month: float | None
    why: str


def expected_false_alarms(
    baseline: Baseline, detector: str, fire_above: Mapping[str, float], windows: JudgedWindows, *, hold: int = 1
) -> Expected:
    """Return what a rule raises in a month of rows drawn independently from what the baseline was drawn from.

    Args:
        baseline: What unchanged data is drawn from.
        detector: The name of a detector.
        fire_above: Thresholds by feature.
        windows: The windows that are judged.
        hold: Disjoint windows that must breach in a row.

    Returns:
        The figure, or why there is none.

    Raises:
        ValueError: For an unknown feature or detector.

    >>> from detectors import Reference
    >>> reference = Reference.fit({"age": list(range(1000))})
    >>> round(expected_false_alarms(reference, "ks", {"age": 0.1}, JudgedWindows(100, 8640)).per_month, -2)
    2400.0
    """
    chance = chances(baseline, detector, fire_above, windows)
    if chance is None:
        return Expected(None, DETECTORS[detector].lawless)
    looking_back = DETECTORS[detector].memory
    if looking_back:
        hold, windows = _of_memory(looking_back, hold, windows)
    return Expected(float(alarms(chance, windows, hold=hold).sum()), f"at {windows.rows:,.0f} rows a window")


def alarms(chance: Floats, windows: JudgedWindows, *, hold: int = 1) -> Floats:
    """Return the alarms a month of features that breach a window by `chance`: those of disjoint windows, to the power `hold`.

    With `hold` 1, windows that overlap cross a threshold more often: at level c by c sqrt((1 - r²) / 2 pi) of the chance a
    slide, r the correlation of neighbours (Rice 1944), at least as often as disjoint ones and at most once a slide.
    """
    if hold > 1:
        return np.asarray(windows.per_month * chance**hold)

    slides = windows.slides
    level = -special.ndtri(np.clip(chance, 1e-300, 1.0) / 2)
    apart = (2 - 1 / slides) / slides  # 1 - r² for r = 1 - 1 / slides
    crossings = np.clip(slides * level * math.sqrt(apart / (2 * math.pi)), 1.0, slides)
    return np.asarray(windows.per_month * crossings * chance)


def _of_memory(panes: int, hold: int, windows: JudgedWindows) -> tuple[int, JudgedWindows]:
    """A score over so many panes has them for its window, and `hold` shorter ones hardly differ from one."""
    runs = windows.slides / panes
    return 1 + int((hold - 1) * runs), replace(windows, per_month=windows.per_month * runs, slides=panes)


def chances(
    baseline: Baseline, detector: str, fire_above: Mapping[str, float], windows: JudgedWindows
) -> Floats | None:
    """Return for each feature of `fire_above` the chance that a window of unchanged data scores higher, float64.

    0 for a feature that the detector does not judge, or that has fewer usable values than `min_rows`. None where the
    detector has no law. Raises ValueError for an unknown feature or detector.
    """
    if detector not in DETECTORS:
        raise ValueError(f"{detector!r} is no detector; there is {', '.join(DETECTORS)}")
    judge = DETECTORS[detector]
    unknown = [name for name in fire_above if name not in baseline.features and name not in judge.judged(baseline)]
    if unknown:
        raise ValueError(f"the reference has no feature {unknown[0]}")
    found = judge.false_alarm_chance(baseline, fire_above, windows)
    return None if found is None else np.asarray(np.clip(found, 0.0, 1.0))
