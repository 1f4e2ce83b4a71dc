"""The last days of a reference, of what wanders by nature: where comparison with the recent past begins."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np

from detectors.calibration.days import DAY_NS, OwnWindows
from detectors.calibration.feature import FeatureCalibration
from detectors.features import Ints

KEPT = 28  # days: four weeks


def with_recent(
    learnt: Sequence[FeatureCalibration], windows: OwnWindows, names: Collection[str]
) -> tuple[FeatureCalibration, ...]:
    """Return calibrations that hold the last days of these features."""
    layout = windows.merged.layout
    if not names:
        return tuple(learnt)
    days, firsts = np.unique(windows.local // DAY_NS, return_index=True)
    return tuple(
        replace(feature, recent=_days(windows, at, days, firsts)) if layout.names[at] in names else feature
        for at, feature in enumerate(learnt)
    )


def _days(windows: OwnWindows, at: int, days: Ints, firsts: Ints) -> dict[int, tuple[int, ...]]:
    cells = np.add.reduceat(windows.cells[:, at, : windows.merged.sizes[at]], firsts, axis=0, dtype=np.int64)
    last = range(max(len(days) - KEPT, 0), len(days))
    return {int(days[each]): tuple(cells[each].tolist()) for each in last}


def check_recent(name: str, recent: Mapping[int, tuple[int, ...]], cells: int) -> None:
    """Raise ValueError where days are not as they are kept."""
    if len(recent) > KEPT or any(len(counts) != cells or min(counts) < 0 for counts in recent.values()):
        raise ValueError(
            f"calibration: {name}: recent should be at most {KEPT} days of {cells} counts, none below zero"
        )
