"""One subgroup against the design: what each chart is to add, and how large each change is."""

from dataclasses import dataclass

import numpy as np

from detectors.calibration.components import (
    LEAST,
    TINY,
    chi2_deviate,
    normal_quantile,
    normal_scores,
    recentred,
    straightened,
)
from detectors.calibration.tails import normalised
from detectors.charts.budget import CERTAIN
from detectors.charts.design import DRIFTS, GAUSSIAN, ChartDesign
from detectors.features import Bools, Floats, Ints

# Changes from which one subgroup may page by itself, if chance is out of the question:
SIGMA_AT_ONCE = 0.5
SHARE_AT_ONCE = 0.2
BEYOND_REACHED = 1.5  # times the largest deviate that the reference's own windows have
SHAPE_AT_ONCE = 1.0  # root mean square of the cells' relative changes


@dataclass(frozen=True, slots=True, eq=False)
class SubgroupCounts:
    """What is judged together: float64[f, w] counts of cells, folded, and their expectation.

    `resting` float64[f] are the reference rows that the expectation rests on, `lack_of_fit` float64[f, 3] what it may miss.
    `effective` float64[f, 3]: how many rows the counts are worth to location, scale and shape; None: as many as they are.
    """

    cells: Floats
    expected: Floats
    resting: Floats
    lack_of_fit: Floats
    effective: Floats | None = None


@dataclass(frozen=True, slots=True, eq=False)
class SubgroupEvidence:
    """`z` float64[f, 5] standard errors beyond what is tolerated, `effects` float64[f, 5] in sigma or share, of the first charts.

    `increments` float64[f, 5] is what each sum is to take, NaN where the chart is not judged; `certain` bool[f, 5]
    whether chance is out of the question and the change large.
    """

    z: Floats
    effects: Floats
    increments: Floats
    certain: Bools


def rows_of(cells: Floats) -> Floats:
    """Return how many rows counts float64[f, w] are of, float64[f]. Whole numbers add up the same in any order, the fastest among them."""
    return np.asarray(cells @ np.ones(cells.shape[1]))


def weigh(design: ChartDesign, counted: SubgroupCounts, judged: Bools) -> SubgroupEvidence:
    """Weigh counts against the design; `judged` bool[f]: which features have values enough, on a holiday none."""
    usable = np.maximum(rows_of(counted.cells), 1.0)
    z, effects = np.empty((2, GAUSSIAN, len(usable))).swapaxes(1, 2)
    _directions(design, counted, usable, z, effects)
    active = design.active[:, :GAUSSIAN] & judged[:, None]
    increments = np.where(active, np.minimum(z - DRIFTS, design.caps), np.nan)
    z[~active] = 0.0
    return SubgroupEvidence(z, effects, increments, active & _certain(design, z, effects))


def _directions(design: ChartDesign, counted: SubgroupCounts, usable: Floats, z: Floats, effects: Floats) -> None:
    """Location, scale and shape."""
    q = counted.expected / usable[:, None]
    apart = counted.cells / usable[:, None] - q
    scores = _scores(design, q)
    moved = np.asfortranarray(np.einsum("fw,fws->fs", apart, scores))
    effective = usable[:, None] if counted.effective is None else np.maximum(counted.effective, TINY)
    x2 = _recentred(design, counted, _Moved(apart, q, moved, scores), effective[:, -1])
    rows, behind = effective[:, :2], counted.resting[:, None]
    resting = np.maximum(design.rows[:, None], behind)
    # An hour's own sampling error differs from hour to hour, as chance does; that of all rows stays, and is tolerated.
    hours_own = 1 + rows / behind - rows / resting
    error = design.deviation(rows) * np.sqrt(hours_own / rows)
    allowed = design.allowed(error) + counted.lack_of_fit[:, :2]
    u, skew = moved / error, design.skew / np.sqrt(rows)
    tolerated = allowed / error + design.reference_error(rows, resting)
    z[:, 0:4:2] = straightened(u - tolerated, skew)  # what is beyond, for far from zero it would bend what is tolerated
    z[:, 1:4:2] = -straightened(u + tolerated, skew)
    effects[:, 0:4:2], effects[:, 1:4:2] = moved, -moved
    effects[:, 2:4] /= np.sqrt(2)  # in relative change of the spread
    seen = _Moved(apart, q, moved, scores)
    z[:, 4], effects[:, 4] = _shape(design, seen, effective[:, -1], counted, x2)


def _scores(design: ChartDesign, q: Floats) -> Floats:
    """Scores under the shares that are expected now; without a season always the same."""
    hourly = design.hourly
    if not hourly.size:
        return design.scores
    scores = design.scores.copy()
    scores[hourly] = normal_scores(q[hourly], design.cells.sizes[hourly], hourly.size)
    return scores


@dataclass(frozen=True, slots=True, eq=False)
class _Moved:
    """Shares less what is expected, what is expected float64[f, w], location and scale [f, 2] and their scores [f, w, 2]."""

    apart: Floats
    q: Floats
    moved: Floats
    scores: Floats


def _shape(
    design: ChartDesign,
    seen: _Moved,
    effective: Floats,
    counted: SubgroupCounts,
    moving: tuple[Ints, Floats],
) -> tuple[Floats, Floats]:
    """What location and scale do not say; of categories all, each beyond its own floor. Usable rows count as `effective` ones."""
    apart, known, k = seen.apart, np.maximum(seen.q, LEAST / effective[:, None]), design.numeric
    x2 = np.empty(len(effective))
    x2[:k] = np.maximum((apart[:k] ** 2 / known[:k]).sum(axis=1) - np.square(seen.moved[:k]).sum(axis=1), 0.0)
    x2[k:] = (apart[k:] ** 2 / known[k:]).sum(axis=1)
    x2[moving[0]] = moving[1]
    tolerated = design.shape_error * design.rows / counted.resting + design.shape_slow + counted.lack_of_fit[:, 2]
    tolerated[:k] += np.square(design.shape_floor)
    _tolerate_mass(design, apart[k:], known[k:], effective[k:], x2[k:], tolerated[k:])
    scale, dof = design.shape[:, 0], np.maximum(design.shape[:, 1], TINY)
    deviate = (
        chi2_deviate(effective * x2 / scale, dof, effective * tolerated / scale) / design.shape_sd - design.shape_mean
    )
    effect = np.sqrt(x2)
    effect[k:] = np.abs(apart[k:]).sum(axis=1) / 2
    return normalised(deviate, *design.shape_tail), effect


def _recentred(design: ChartDesign, counted: SubgroupCounts, seen: _Moved, usable: Floats) -> tuple[Ints, Floats]:
    """Where levels move, the expectation moves along: return which features, and X² a row of what the move does not explain.

    Their scale is put, in place, to that of the stretch alone: a tolerated shift leaves part of itself in both.
    """
    moving = np.flatnonzero(design.moving | (counted.lack_of_fit[: design.numeric, :2] > 0).any(axis=1))
    if not moving.size:
        return moving, np.empty(0)
    q = seen.q[moving]
    there, stretched = recentred(q, seen.moved[moving], seen.scores[moving], design.cells.sizes[moving])
    seen.moved[moving, 1] = stretched - design.scale_mean[moving]
    apart = seen.apart[moving] + q - there
    return moving, (np.square(apart) / np.maximum(there, LEAST / usable[moving, None])).sum(axis=1)


def _tolerate_mass(
    design: ChartDesign, apart: Floats, q: Floats, usable: Floats, x2: Floats, tolerated: Floats
) -> None:
    """Allow categories their floor, in place: what it may add to X² while that is little beside chance.

    Where windows are so large that it is not, each category is held against its floor alone: then a change between common
    ones is not measured by what the rarest might do.
    """
    tolerated += design.mass_moved
    beyond = np.maximum(np.abs(apart) - design.mass_floor[:, None], 0.0)
    alone = usable * design.mass_moved > 2 * design.dof[design.numeric :]
    x2[alone] = (beyond**2 / q).sum(axis=1)[alone]
    tolerated[alone] -= design.mass_moved[alone]


def _certain(design: ChartDesign, z: Floats, effects: Floats) -> Bools:
    numeric, large = design.numeric, np.empty_like(effects, dtype=np.bool_)
    large[:, :4] = effects[:, :4] >= SIGMA_AT_ONCE
    large[:numeric, 4] = effects[:numeric, 4] >= SHAPE_AT_ONCE
    large[numeric:, 4] = effects[numeric:, 4] >= SHARE_AT_ONCE
    return np.asarray(large & (z >= normal_quantile(CERTAIN)) & (z >= BEYOND_REACHED * design.reached))
