"""What the charts can find, and how soon."""

import numpy as np

from detectors.calibration.components import TINY
from detectors.charts.budget import DRIFT
from detectors.charts.charts import ENOUGH
from detectors.charts.plan import Plan
from detectors.features import Floats

FEWEST_STEPS = 2  # no single pane pages by its sum, however far it goes


def smallest_shift(plan: Plan, within_ns: int) -> Floats:
    """Return the lasting shift of the mean that the charts of each number find in so long on average, in sigma, float64[k].

    That is what they tolerate, and so much beyond it that the threshold is reached in the steps there are, at least in two.
    Infinity for a number that has no such chart. Features of few rows take several steps for one, as the charts do.
    """
    calibration, numbers = plan.calibration, slice(0, plan.numeric)
    known = np.array([feature.count for feature in plan.grid.numeric], dtype=np.float64)
    total = np.array([feature.count + feature.missing for feature in plan.grid.numeric], dtype=np.float64)
    rows = calibration.rows * plan.block_ns / calibration.window_ns * known / np.maximum(total, 1)
    carried = np.ceil(ENOUGH * plan.design[numbers] / np.maximum(rows, TINY))
    taken = np.pad(rows * carried, (0, len(plan.sd) - plan.numeric))
    error = plan.deviation(taken)[numbers, 0] / np.sqrt(np.maximum(rows * carried, 1))
    steps = np.maximum(within_ns / (plan.block_ns * carried), FEWEST_STEPS)
    allowed = (plan.floor + plan.slow)[numbers, 0]
    own = plan.reference_error(rows * carried, plan.rows[numbers])
    found = allowed + (own + DRIFT + plan.thresholds[0] / steps) * error
    return np.where(plan.active[numbers, 0], found, np.inf)
