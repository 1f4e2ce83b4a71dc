"""The detectable shift: what the charts find in a given time."""

import numpy as np

from detectors.calibration.components import TINY
from detectors.charts.budget import DRIFT
from detectors.charts.charts import ENOUGH
from detectors.charts.design import ChartDesign
from detectors.features import Floats

FEWEST_POINTS = 2  # no single subgroup pages by its sum, however far it goes


def detectable_shift(design: ChartDesign, within_ns: int) -> Floats:
    """Return the lasting shift of the mean that the charts of each number find in so long on average, in sigma, float64[k].

    That is what they tolerate, and so much beyond it that the threshold is reached in the points there are, at least in two.
    Infinity for a number that has no such chart. Features of few rows take several subgroups for one, as the charts do.
    """
    calibration, numbers = design.calibration, slice(0, design.numeric)
    known = np.array([feature.count for feature in design.reference.numeric], dtype=np.float64)
    total = np.array([feature.count + feature.missing for feature in design.reference.numeric], dtype=np.float64)
    rows = calibration.rows * design.subgroup_ns / calibration.window_ns * known / np.maximum(total, 1)
    carried = np.ceil(ENOUGH * design.design_effect[numbers] / np.maximum(rows, TINY))
    taken = np.pad(rows * carried, (0, len(design.sd) - design.numeric))
    error = design.deviation(taken)[numbers, 0] / np.sqrt(np.maximum(rows * carried, 1))
    points = np.maximum(within_ns / (design.subgroup_ns * carried), FEWEST_POINTS)
    allowed = design.allowed(np.pad(error[:, None], ((0, len(design.sd) - design.numeric), (0, 1))))[numbers, 0]
    sampling = design.reference_error(rows * carried, design.rows[numbers])
    shift = allowed + (sampling + DRIFT + design.thresholds[0] / points) * error
    return np.where(design.active[numbers, 0], shift, np.inf)
