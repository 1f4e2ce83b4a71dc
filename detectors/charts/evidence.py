"""One pane against the plan: what each chart is to add, and how large each change is."""

from dataclasses import dataclass

import numpy as np

from detectors.calibration.components import LEAST, TINY, chi2_deviate, normal_quantile, straightened
from detectors.charts.budget import CERTAIN
from detectors.charts.plan import CHARTS, COLUMNS, DRIFTS, GAUSSIAN, Plan
from detectors.features import Bools, Floats, Ints, some

# Changes from which one pane may page by itself, if chance is out of the question:
SIGMA_AT_ONCE = 0.5
SHARE_AT_ONCE = 0.2
SHAPE_AT_ONCE = 1.0  # root mean square of the cells' relative changes


@dataclass(frozen=True, slots=True, eq=False)
class Counted:
    """What is judged together: float64[f, w] counts of cells and their expectation, int64[f] missing, unseen, rows.

    `resting` float64[f] are the reference rows that the expectation rests on, `misfit` float64[f, 3] what it may miss.
    """

    cells: Floats
    expected: Floats
    missing: Ints
    unseen: Ints
    rows: Ints
    resting: Floats
    misfit: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """`z` float64[f, 7] standard errors beyond what is tolerated, `effects` float64[f, 7] in sigma or share, of every chart.

    `increments` float64[f, columns] is what each sum is to take, NaN where the chart is not judged; `certain` bool[f, 7]
    whether chance is out of the question and the change large.
    """

    z: Floats
    effects: Floats
    increments: Floats
    certain: Bools


def weigh(plan: Plan, counted: Counted, judged: Bools) -> Found:
    """Weigh counts against the plan; `judged` bool[f]: which features have values enough."""
    usable = np.maximum(counted.cells.sum(axis=1), 1.0)
    z, effects = np.empty((2, len(usable), len(CHARTS)))
    _directions(plan, counted, usable, z, effects)
    _rates(plan, counted, z, effects)
    active = plan.active.copy()
    active[:, :GAUSSIAN] &= judged[:, None]  # rates are weighed by likelihood, which needs no least number of rows
    increments = np.empty((len(usable), COLUMNS))
    increments[:, :GAUSSIAN] = z[:, :GAUSSIAN] - DRIFTS
    increments[:, GAUSSIAN:] = _log_ratios(plan, counted)
    increments[~np.repeat(active, _COLUMNS_OF, axis=1)] = np.nan
    z[~active] = 0.0
    return Found(z, effects, increments, active & _certain(plan, counted, z, effects))


_COLUMNS_OF = np.array([1] * GAUSSIAN + [(COLUMNS - GAUSSIAN) // 2] * 2)


def _directions(plan: Plan, counted: Counted, usable: Floats, z: Floats, effects: Floats) -> None:
    """Location, scale and shape."""
    q = counted.expected / usable[:, None]
    apart = counted.cells / usable[:, None] - q
    moved = np.einsum("fw,fws->fs", apart, plan.scores)
    error = plan.deviation(usable) / np.sqrt(usable)[:, None]
    allowed = plan.floor + plan.slow + counted.misfit[:, :2]
    u, skew = moved / error, plan.skew / np.sqrt(usable)[:, None]
    tolerated = allowed / error + plan.reference_error(usable, counted.resting)[:, None]
    z[:, 0:4:2] = straightened(u - tolerated, skew)  # what is beyond, for far from zero it would bend what is tolerated
    z[:, 1:4:2] = -straightened(u + tolerated, skew)
    effects[:, 0:4:2], effects[:, 1:4:2] = moved, -moved
    effects[:, 2:4] /= np.sqrt(2)  # in relative change of the spread
    z[:, 4], effects[:, 4] = _shape(plan, apart, q, moved, usable, counted)


def _shape(
    plan: Plan, apart: Floats, q: Floats, moved: Floats, usable: Floats, counted: Counted
) -> tuple[Floats, Floats]:
    """What location and scale do not say; of categories all, each beyond its own floor."""
    known, k = np.maximum(q, LEAST / usable[:, None]), plan.numeric
    x2 = np.empty(len(usable))
    x2[:k] = np.maximum((apart[:k] ** 2 / known[:k]).sum(axis=1) - np.square(moved[:k]).sum(axis=1), 0.0)
    x2[k:] = (apart[k:] ** 2 / known[k:]).sum(axis=1)
    tolerated = plan.shape_error * plan.rows / counted.resting + plan.shape_slow + counted.misfit[:, 2]
    tolerated[:k] += np.square(plan.shape_floor)
    _tolerate_mass(plan, apart[k:], known[k:], usable[k:], x2[k:], tolerated[k:])
    scale, dof = plan.shape[:, 0], np.maximum(plan.shape[:, 1], TINY)
    deviate = chi2_deviate(usable * x2 / scale, dof, usable * tolerated / scale) / plan.shape_sd
    effect = np.sqrt(x2)
    effect[k:] = np.abs(apart[k:]).sum(axis=1) / 2
    return deviate, effect


def _tolerate_mass(plan: Plan, apart: Floats, q: Floats, usable: Floats, x2: Floats, tolerated: Floats) -> None:
    """Allow categories their floor, in place: what it may add to X² while that is little beside chance.

    Where windows are so large that it is not, each category is held against its floor alone: then a change between common
    ones is not measured by what the rarest might do.
    """
    tolerated += plan.mass_moved
    beyond = np.maximum(np.abs(apart) - plan.mass_floor[:, None], 0.0)
    alone = usable * plan.mass_moved > 2 * plan.dof[plan.numeric :]
    x2[alone] = (beyond**2 / q).sum(axis=1)[alone]
    tolerated[alone] -= plan.mass_moved[alone]


def _rates(plan: Plan, counted: Counted, z: Floats, effects: Floats) -> None:
    """Missing and unseen."""
    rows = np.maximum(counted.rows, 1).astype(np.float64)
    for column, events in ((5, counted.missing), (6, counted.unseen)):
        which = column - 5
        p, spread = plan.tolerated[:, which], plan.dispersion[:, which]
        z[:, column] = (events - rows * p) / np.sqrt(np.maximum(rows * p * (1 - p), 1.0) * spread)
        effects[:, column] = events / rows - plan.usual_rates[:, which]


def _log_ratios(plan: Plan, counted: Counted) -> Floats:
    """Log likelihood ratios of odds 1.3, 3 and 10 times what is tolerated, float64[f, 6]."""
    events = np.stack([counted.missing, counted.unseen], axis=1)[:, :, None]
    found = (events * plan.log_ratios - counted.rows[:, None, None] * plan.log_costs) / plan.dispersion[:, :, None]
    return np.asarray(found.reshape(len(found), -1))


def _certain(plan: Plan, counted: Counted, z: Floats, effects: Floats) -> Bools:
    numeric, large = plan.numeric, np.empty(effects.shape, dtype=np.bool_)
    large[:, :4] = effects[:, :4] >= SIGMA_AT_ONCE
    large[:numeric, 4] = effects[:numeric, 4] >= SHAPE_AT_ONCE
    large[numeric:, 4] = effects[numeric:, 4] >= SHARE_AT_ONCE
    large[:, 5:] = effects[:, 5:] >= SHARE_AT_ONCE
    certain = large & (z >= normal_quantile(CERTAIN))
    if some(certain[:, GAUSSIAN:]):
        certain[:, GAUSSIAN:] &= _beyond_chance(plan, counted)
    return certain


def _beyond_chance(plan: Plan, counted: Counted) -> Bools:
    """Which rates chance does not explain, bool[f, 2]: Chernoff's bound, since the rare ones follow no normal law.

    Rows that go missing together count as one: an hour's outage a month is no proof of anything, whatever its rows.
    """
    from scipy import special

    rows = np.maximum(counted.rows, 1)[:, None]
    q, p = np.stack([counted.missing, counted.unseen], axis=1) / rows, plan.tolerated
    apart = rows * (special.rel_entr(q, p) + special.rel_entr(1 - q, 1 - p)) / plan.dispersion
    return np.asarray((q > p) & (apart >= -np.log(CERTAIN)))
