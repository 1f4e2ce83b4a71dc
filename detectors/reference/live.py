"""A reference made of live traffic on the layout of another: its edges and categories stay, its counts are what was seen."""

from dataclasses import dataclass, replace

import numpy as np

from detectors.baseline import Baseline, CategoricalBaseline, FeatureBaseline, NumericBaseline
from detectors.calibration.calibration import Calibration
from detectors.features import Floats, Ints
from detectors.plugins import columns_of, window_detectors
from detectors.reference.reference import Reference
from detectors.sketches import Sketch

DIFFERENT_PSI = 0.1  # beyond chance: where the usual reading of PSI stops saying "no change" (Siddiqi 2006)
DIFFERENT_SHIFT = 0.2  # sigma: a small effect (Cohen 1988)
DIFFERENT_SHARE = 0.005  # of the rows: half a point more or fewer missing or unseen
UNLIKELY = 1e-4  # the p-value of a PSI that is not chance's
SURE = 4.0  # standard errors of the smaller of the two


@dataclass(frozen=True, slots=True)
class Difference:
    """How far live traffic lies from a training set in one feature.

    `psi` less what chance brings; `shift` of the mean in the training set's sigma, None of a category; `missing` and
    `unseen` in share of the rows, more than in training.
    """

    feature: str
    psi: float
    shift: float | None
    missing: float
    unseen: float

    @property
    def words(self) -> str:
        """The difference in words, what is large enough to name.

        >>> Difference("age", 0.312, 0.5, 0.001, 0.02).words
        'age PSI 0.31, mean +0.50 σ, unseen +2.0 points'
        """
        parts = [f"PSI {self.psi:.2f}"] if self.psi > DIFFERENT_PSI else []
        if self.shift is not None and abs(self.shift) > DIFFERENT_SHIFT:
            parts.append(f"mean {self.shift:+.2f} σ")
        shares = {"missing": self.missing, "unseen": self.unseen}
        parts += [f"{name} {more * 100:+.1f} points" for name, more in shares.items() if abs(more) > DIFFERENT_SHARE]
        return f"{self.feature} {', '.join(parts)}"


def learnt_reference(
    training: Reference, live: Sketch, calibration: Calibration, period: tuple[int, int] | None
) -> Reference:
    """Return what charts of live traffic are held against: its counts on the training set's layout, and what its windows teach.

    Means inside a bin are those of the training set, for counts do not tell them; mean and deviation follow from both.
    """
    rate = calibration.rows / (calibration.window_ns / 1e9)
    seen = recounted(training, live)
    return replace(seen, period=period, rows_per_second=rate, calibration=calibration, cold="")


def recounted(training: Reference, live: Sketch) -> Reference:
    """Return the training set with live counts in place of its own, still without calibration."""
    offsets = training.layout.offsets
    features = [
        recounted_feature(feature, live.counts[first:last].copy())
        for feature, first, last in zip(
            training.features.values(), offsets[:-1].tolist(), offsets[1:].tolist(), strict=True
        )
    ]
    parts = {**Baseline.of(features, live.rows).parts(), "layout": training.layout}
    return replace(training, **parts)


def recounted_feature(feature: FeatureBaseline, counts: Ints) -> FeatureBaseline:
    """Return a feature with other counts on its bins or categories."""
    if isinstance(feature, CategoricalBaseline):
        return CategoricalBaseline(feature.name, feature.categories, counts)
    mean, std = _moments(feature, counts[: feature.usable].astype(np.float64))
    return NumericBaseline(feature.name, feature.edges, feature.discrete, counts, feature.bin_means, mean, std)


def _moments(feature: NumericBaseline, counts: Floats) -> tuple[float, float]:
    """Mean and deviation of counts, the training set's where there is no row; in halves, for a distance may overflow."""
    rows = counts.sum()
    if not rows or not feature.bins:
        return feature.mean, feature.std
    shares, places = counts / rows, feature.bin_means
    mean = float(np.clip((shares * places).sum(), feature.min, feature.max))
    apart = places / 2 - mean / 2
    furthest = float(np.abs(apart).max())
    if not furthest:
        return mean, 0.0
    half = furthest * float(np.sqrt((shares * np.square(apart / furthest)).sum()))
    return mean, min(half, np.finfo(np.float64).max / 2) * 2


def differences(training: Reference, live: Sketch) -> tuple[Difference, ...]:
    """Return the features in which live traffic differs from the training set by more than a trifle, furthest first."""
    window, rows = live.tally(), min(live.rows, training.rows)
    scored = columns_of(window_detectors()["psi"], training, window)
    assert scored.pvalues is not None
    psi = np.where(scored.pvalues < UNLIKELY, np.nan_to_num(scored.details["debiased"]), 0.0)
    shift = np.full(psi.size, np.nan)
    shift[: len(training.numeric)] = training.mean_shift(window)
    missing, unseen = window.missing / max(live.rows, 1), window.unseen / max(live.rows, 1)
    values = np.minimum(window.usable, [feature.count for feature in training.features.values()])
    excess = np.max(
        [
            psi / DIFFERENT_PSI,
            np.nan_to_num(np.abs(shift)) / np.maximum(DIFFERENT_SHIFT, SURE / np.sqrt(np.maximum(values, 1))),
            _beyond(missing, training.missing_shares, rows),
            _beyond(unseen, training.unseen_shares, rows),
        ],
        axis=0,
    )
    more = np.stack([missing - training.missing_shares, unseen - training.unseen_shares])
    furthest = [at for at in np.argsort(-excess, kind="stable").tolist() if excess[at] > 1]
    return tuple(
        Difference(
            training.names[at],
            float(psi[at]),
            float(shift[at]) if np.isfinite(shift[at]) else None,
            float(more[0, at]),
            float(more[1, at]),
        )
        for at in furthest
    )


def _beyond(now: Floats, before: Floats, rows: int) -> Floats:
    """How far shares differ, in what is named."""
    rows = max(rows, 1)
    chance = SURE * np.sqrt((before * (1 - before) + 1 / rows) / rows)
    return np.asarray(np.abs(now - before) / np.maximum(DIFFERENT_SHARE, chance))
