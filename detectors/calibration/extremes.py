"""What the reference's own windows reach beyond what is allowed, once all features' levels are known."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from detectors.calibration.components import chi2_deviate
from detectors.calibration.feature import FeatureCalibration, OwnDeviates
from detectors.calibration.replay import reached, replayed
from detectors.calibration.slow import chance_of_a_draw
from detectors.calibration.tails import NO_TAIL, Tail, heavier_tail, normalised
from detectors.features import Floats

CHARTS = 5  # of a feature


def settled(learnt: Sequence[FeatureCalibration], own: Sequence[OwnDeviates | None]) -> list[FeatureCalibration]:
    """Return calibrations with what is allowed, and with what their own windows reach beyond that."""
    features = [_allowing(feature, len(learnt)) for feature in learnt]
    shapes = [None if each is None else _own_shape(feature, each) for feature, each in zip(features, own, strict=True)]
    means = [0.0 if shape is None else max(float(shape.mean()), 0.0) for shape in shapes]
    clustered = [
        shape - mean
        for feature, shape, mean in zip(features, shapes, means, strict=True)
        if shape is not None and feature.shape[0] > 1
    ]
    tail = heavier_tail(clustered)
    return [
        feature
        if each is None or shape is None
        else _reaching(feature, each, shape, mean, tail if feature.shape[0] > 1 else NO_TAIL, len(learnt))
        for feature, each, shape, mean in zip(features, own, shapes, means, strict=True)
    ]


def _allowing(learnt: FeatureCalibration, features: int) -> FeatureCalibration:
    assert learnt.levels is not None
    chances = [chance_of_a_draw(1.0, level.draws, 4 * features) for level in learnt.levels]
    location, scale, shape = learnt.allowed(chances)
    return replace(learnt, slow=(location, scale), shape_slow=shape)


def _own_shape(learnt: FeatureCalibration, own: OwnDeviates) -> Floats:
    """Return the shape's deviates in the reference's own windows."""
    scale, dof = learnt.shape
    x2, rows = own.x2.astype(np.float64), own.rows.astype(np.float64)
    return chi2_deviate(x2 / scale, np.full(x2.size, dof), rows * learnt.shape_slow / scale) / learnt.shape_sd


def _reaching(
    learnt: FeatureCalibration, own: OwnDeviates, shape: Floats, mean: float, tail: Tail, features: int
) -> FeatureCalibration:
    usual, sd = float(np.median(own.rows)), np.array(learnt.sd)
    bound = np.array(learnt.slow) / (sd * np.sqrt(1 / usual + np.array(learnt.overdispersion)))
    deviates = normalised(shape - mean, *tail)
    found = replayed(own.within_days() / sd, deviates, CHARTS * features)
    return replace(
        learnt,
        shape_mean=mean,
        shape_tail=tail,
        sd=(learnt.sd[0] * found.wider[0], learnt.sd[1] * found.wider[1]),
        shape_sd=learnt.shape_sd * found.wider[2],
        reached=reached(own.u / sd, bound, deviates),
        caps=found.caps,
    )
