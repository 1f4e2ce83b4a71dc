"""river: an ADWIN a number, fed with raw rows as they come, its own settings; a window with a drift in it alarms."""

import numpy as np
from alarm_work import Alarms, Column, Given, run
from river.drift import ADWIN

WARM = 24  # hours of the reference that each detector sees before


def judge(given: Given) -> Alarms:
    """Texts have no detector and never alarm."""
    alarms = np.zeros((len(given.windows), len(given.names)), dtype=bool)
    warm = given.before >= given.before.max() - WARM
    for at, name in enumerate(given.names):
        if name not in given.texts:
            alarms[:, at] = drifts(given.reference[name][warm], given.live[name], given.now, given.windows)
    return alarms


def drifts(before: Column, values: Column, now: Column, windows: list[int]) -> Alarms:
    """In which windows a drift was detected, bool[w]."""
    detector, found = ADWIN(), set()
    for value in before[~np.isnan(before)].tolist():
        detector.update(value)
    for value, window in zip(values.tolist(), now.tolist(), strict=True):
        if value == value:  # noqa: PLR0124 - not missing
            detector.update(value)
            if detector.drift_detected:
                found.add(window)
    return np.array([window in found for window in windows], dtype=bool)


if __name__ == "__main__":
    run("river", judge)
