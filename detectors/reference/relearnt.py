"""A reference of which one feature is learnt anew from other rows: the predictions of a new version, beside inputs that stay.

Bins are frozen before anything is counted, and nobody knows where another model's predictions will lie. So they are counted on
bins that reach further (`widened`), and what is learnt keeps those that held any (`relearnt`).
"""

from dataclasses import replace

import numpy as np

from detectors.baseline import Baseline, FeatureBaseline, NumericBaseline
from detectors.calibration.calibration import Calibration
from detectors.calibration.cells import MergedCells
from detectors.calibration.feature import FeatureCalibration
from detectors.calibration.rates import MISSING
from detectors.calibration.slow import Level
from detectors.features import Floats, Ints, NumericFeature
from detectors.reference.live import recounted_feature
from detectors.reference.reference import Reference

BEYOND = 4.0  # times the range of a number, on either side
FINE = 64  # bins there
SURE_DOF = 1e6


def widened(reference: Reference, name: str) -> Reference:
    """Return the reference with further bins for a number, empty ones on either side: between 0 and 1 where it is a share.

    A category, a number of few values, and a name that is none of its features are left as they are.
    """
    feature = reference.features.get(name)
    if not isinstance(feature, NumericBaseline) or feature.discrete or not feature.bins:
        return reference
    low, high = feature.min, feature.max
    share = low >= 0 and high <= 1
    reach = BEYOND * (high - low)
    below = _grid(0.0 if share else low - reach, float(feature.edges[0]))
    above = _grid(1.0 if share else high + reach, float(feature.edges[-1]))[::-1]
    edges = np.concatenate([below, feature.edges, above])
    counts = np.concatenate(
        [
            feature.counts[:1],
            np.zeros(below.size, np.int64),
            feature.counts[1 : feature.usable - 1],
            np.zeros(above.size, np.int64),
            feature.counts[feature.usable - 1 :],
        ]
    )
    means = np.concatenate([edges[:1], _middles(edges), edges[-1:]])
    means[1 + below.size : 1 + below.size + feature.bins] = feature.bin_means[1:-1]
    wide = _numeric(feature, edges, counts, means)
    return _with_feature(reference, wide)


def _grid(end: float, edge: float) -> Floats:
    """Edges from the far end to those that are there, without these; none where there is no room."""
    places = np.linspace(end, edge, FINE + 1)[:-1]
    places[0] = np.nextafter(end, -np.inf) if end < edge else end  # the value itself lies in the first bin
    finite = bool(np.isfinite(places).all()) and bool((np.diff(np.append(places, edge)) != 0).all())
    return places if finite and end != edge and not 0 <= edge - end < np.spacing(abs(edge)) * FINE else np.empty(0)


def _middles(edges: Floats) -> Floats:
    return np.asarray(edges[:-1] / 2 + edges[1:] / 2)


def _numeric(feature: NumericBaseline, edges: Floats, counts: Ints, means: Floats) -> NumericBaseline:
    """A number on other edges. Its moments follow from its counts."""
    bare = NumericBaseline(
        feature.name, edges, feature.discrete, counts, _held(feature.name, edges, means), float(edges[-1]), 0.0
    )
    return recounted_feature(bare, counts)  # type: ignore[return-value]


def _held(name: str, edges: Floats, means: Floats) -> Floats:
    """Means inside their bins, with the minimum and the maximum at the ends."""
    probe = NumericFeature(name, edges, discrete=False)
    inner = np.clip(means[1:-1], np.nextafter(edges[:-1], np.inf), edges[1:])
    return np.concatenate([[probe.min], inner, [probe.max]])


def relearnt(reference: Reference, name: str, counts: Ints) -> Reference:
    """Return the reference with one feature as other rows have it, `counts` int64 in its bins.

    Their shares are taken, of as many rows as the reference has; that they are known from few is allowed for. How far that feature's
    windows go is still what the reference's teach, without its hours and days, which other rows need not follow. The rest is as it
    was. A name that is none of its features, and no row at all, leave all as it was.
    """
    feature, rows = reference.features.get(name), int(counts.sum())
    if feature is None or not rows:
        return reference
    counts = _shared_out(counts, reference.rows)
    if isinstance(feature, NumericBaseline) and not feature.discrete:
        feature, counts = _trimmed(feature, counts)
    return _with_feature(reference, recounted_feature(feature, counts), rows)


def _shared_out(counts: Ints, rows: int) -> Ints:
    """So many rows in the shares of these, by largest remainders."""
    exact = counts / counts.sum() * rows
    whole = np.floor(exact).astype(np.int64)
    first = np.argsort(whole - exact, kind="stable")[: rows - int(whole.sum())]
    whole[first] += 1
    return np.asarray(whole)


def _trimmed(feature: NumericBaseline, counts: Ints) -> tuple[NumericBaseline, Ints]:
    """The bins of a number from the first that holds any to the last: what is beyond is beyond its range."""
    held = np.flatnonzero(counts[1 : feature.usable - 1])
    first = 0 if counts[0] or not held.size else int(held[0])
    last = feature.bins if counts[feature.usable - 1] or not held.size else int(held[-1]) + 1
    edges = feature.edges[first : last + 1].copy()
    ends = [counts[:1], counts[1 + first : 1 + last], counts[feature.usable - 1 :]]
    means = np.concatenate([edges[:1], feature.bin_means[1 + first : 1 + last], edges[-1:]])
    kept = np.concatenate(ends)
    return _numeric(feature, edges, kept, means), kept


def _with_feature(reference: Reference, feature: FeatureBaseline, seen: int | None = None) -> Reference:
    """The reference with another feature in place of its own, known from `seen` rows, where these are not its own."""
    features = [feature if each.name == feature.name else each for each in reference.features.values()]
    baseline = Baseline.of(features, reference.rows)
    learnt = reference.calibration
    calibration = None if learnt is None else _calibrated(learnt, baseline, reference.names.index(feature.name), seen)
    return replace(reference, **baseline.parts(), calibration=calibration)


def _calibrated(learnt: Calibration, baseline: Baseline, at: int, seen: int | None) -> Calibration:
    """The calibration on another layout, of which one feature has other cells and no hours."""
    cells = MergedCells.of(baseline.layout, baseline.counts, learnt.rows)
    cuts, joined = [*learnt.cells.cuts], [*learnt.cells.joined]
    cuts[at], joined[at] = cells.cuts[at], cells.joined[at]
    features = [*learnt.features]
    rates = {place: rate for place, rate in features[at].rates.items() if place == MISSING}
    features[at] = replace(
        features[at], season=0, profile=None, lack_of_fit=None, on_holidays=(), recent={}, rates=rates
    )
    if seen is not None:
        features[at] = _known_from(features[at], seen, cuts[at].size - 1)
    return replace(learnt, cells=MergedCells(baseline.layout, tuple(cuts), tuple(joined)), features=tuple(features))


def _known_from(learnt: FeatureCalibration, rows: int, dof: int) -> FeatureCalibration:
    """Let levels go as much further as the mean score of so many rows may lie from what it will be: 1 / rows of its variance.

    Of the shape that is X² a row, dof / rows.
    """
    error, shape = 1 / rows, max(dof, 1) / rows
    if learnt.levels is None:
        slow = tuple(float(np.hypot(each, 2 * np.sqrt(error))) for each in learnt.slow)
        return replace(learnt, slow=(slow[0], slow[1]), shape_slow=learnt.shape_slow + shape)
    location, scale, form = learnt.levels
    return replace(learnt, levels=(_further(location, error), _further(scale, error), _further(form, shape)))


def _further(level: Level, error: float) -> Level:
    """A level with this error besides, which is known for sure."""
    return replace(level, variance=level.variance + error, dof=level.dof if level.variance else SURE_DOF)
