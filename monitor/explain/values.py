"""What is to be said of a value that few rows have: which one it is, and how its share has changed."""

import numpy as np

from detectors.baseline import FeatureBaseline, NumericBaseline
from monitor.explain.figures import moved, single
from monitor.explain.parts import NOTABLE_SHARE, Part, Reading, sureness
from monitor.explain.samples import legible

LONGEST = 40  # characters of a category
RARE = 1 / 16  # of the rows: what more rows have is told of by other charts
HIDDEN = 0.5  # of a change: a value that explains less of it is not what it is about


def value_part(feature: FeatureBaseline, reading: Reading, *, up: bool) -> list[Part]:
    """Return the part that names the value or category that few rows had (or have), and whose share rose (fell) most surely.

    Where no single one did, the common value beside which the others rose or fell together.
    """
    if not reading.comparable:
        return []
    names = _names(feature)
    change = (reading.now - reading.before) * (1 if up else -1)
    sure = np.array(
        [
            sureness(*shares, reading.usable)
            for shares in zip(reading.before.tolist(), reading.now.tolist(), strict=True)
        ]
    )
    rare = (reading.before < RARE) & np.array([bool(name) for name in names])
    at = int(np.argmax(np.where(rare & (change > 0), sure, -1.0)))
    together = float(change[reading.before < RARE].sum())
    if not (rare[at] and change[at] > HIDDEN * together):
        common = int(np.argmax(np.where([bool(name) for name in names], reading.before, -1.0)))
        at = common if names[common] and change[common] < 0 else at
    if not names[at]:
        return []
    before, now = float(reading.before[at]), float(reading.now[at])
    return [Part("value", f"{names[at]} {moved(before, now)}", abs(now - before) / NOTABLE_SHARE, np.inf)]


def _names(feature: FeatureBaseline) -> list[str]:
    """What each usable cell is called; empty where it is no single value."""
    if isinstance(feature, NumericBaseline):
        bins = zip(feature.tops.tolist(), feature.atoms.tolist(), strict=True)
        return ["", *(f"share of {single(value)}" if atom else "" for value, atom in bins), ""]
    return [*(f'category "{legible(name, LONGEST)}"' for name in feature.categories), ""]
