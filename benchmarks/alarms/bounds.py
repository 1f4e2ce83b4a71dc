"""What theory allows: the windows that any rule of the same budget needs for each change."""

import numpy as np

from benchmarks.alarms.scenarios import SCENARIOS, Scenario
from benchmarks.alarms.scoring import cells_divergence, lorden, normal_divergence, share_divergence
from benchmarks.alarms.trials import FLOORS, Trial
from benchmarks.alarms.truth import NOTHING, USUAL_MISSING, Categories, changed_shares

FEATURES = 200
AT_LEAST_SEEN = 0.5  # rows: what one may believe of a category that a reference never held


def divergence(scenario: Scenario, trial: Trial) -> float:
    """Kullback-Leibler of one row, of the change beyond the floor; 0 where there is no such number."""
    change, floor = trial.change, FLOORS[trial.floor]
    if change.missing is not None:
        return share_divergence(change.missing, USUAL_MISSING)
    if change.unseen:
        rows = scenario.world.rows * scenario.weeks * 7 * 288
        return share_divergence(change.unseen, AT_LEAST_SEEN / rows)
    if change.moved:
        ten = Categories.of(10)
        return cells_divergence(changed_shares(ten, change), changed_shares(ten, NOTHING))
    if change.shift:
        return normal_divergence(max(change.shift - floor.shift, 0.0))
    return normal_divergence(0.0, change.stretch / (1 + floor.scale)) if change.stretch != 1 else 0.0


def independent(scenario: Scenario) -> float:
    """Rows of a window that say as much, were they independent."""
    phi = scenario.world.phi
    return scenario.world.rows * (1 - phi) / (1 + phi)


def bounds() -> dict[tuple[str, str], float]:
    """Lorden's bound of every trial for which there is one, in windows."""
    found = {}
    for scenario in SCENARIOS:
        for trial in scenario.trials:
            divided = divergence(scenario, trial) * independent(scenario)
            if divided > 0 and not scenario.world.season:
                found[scenario.key, trial.key] = lorden(FEATURES, divided)
    return found


def shifts(scenario: Scenario, floor: str) -> list[tuple[float, str]]:
    """The plain shifts of a scenario, by size, with their trials' names."""
    found = [(one.change.shift, one.key) for one in scenario.trials if one.change.shift and one.floor == floor]
    return sorted(found)


def by_shift(scenario: Scenario, floor: float, sizes: list[float]) -> list[tuple[float, float]]:
    """Lorden's bound along shifts."""
    rows = independent(scenario)
    return [(size, lorden(FEATURES, normal_divergence(size - floor) * rows)) for size in np.unique(sizes).tolist()]
