"""How much more of a feature than in the reference lies outside the reference's range or categories."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from detectors import special
from detectors.baseline import Baseline, CategoricalBaseline, FeatureBaseline, NumericBaseline
from detectors.features import Floats
from detectors.protocols import JudgedWindows, Scorer, WindowDetector
from detectors.univariate.laws import SURE, TIE, limits_by_place
from detectors.univariate.shares import change_of_shares


@dataclass(frozen=True, slots=True)
class Unseen(WindowDetector):
    """|share of rows outside the layout - the same share of the baseline itself|, in [0, 1], of every feature.

    Outside is below the minimum, above the maximum or none of the categories; only a reference of more than 1000
    categories has such rows itself. Judged on all rows, however few (`min_rows` has no say); None only for a window of
    no rows. Details hold `ratio`, the share in the window.

    References:
        Good 1953, of what a sample has not seen yet.

    >>> from detectors import Reference
    >>> reference = Reference.fit({"plan": ["free", "pro"]})
    >>> [score.value for score in reference.compare({"plan": ["free", "team"]}) if score.detector == "unseen"]
    [0.5]
    """

    name: ClassVar[str] = "unseen"
    help: ClassVar[str] = "change of the share of rows"
    judges_all_rows: ClassVar[bool] = True

    def prepare(self, baseline: Baseline) -> Scorer:
        """Take the baseline's shares."""
        layout, shares = baseline.layout, baseline.unseen_shares
        return lambda window, min_rows=1: change_of_shares(self.name, layout, window, window.unseen, shares)  # noqa: ARG005

    def false_alarm_chance(self, baseline: Baseline, limits: Mapping[str, float], windows: JudgedWindows) -> Floats:
        """Return the chance of a larger share: beta-binomial by what a baseline of that many rows had not yet seen.

        Beyond a baseline of m rows lies a share that follows Beta(a, m - a): of a continuous number a is 2, one at each
        end. Of values that repeat it is how many the baseline saw once (Good 1953). A count by it, at shares as small as
        these, is negative binomial.
        """
        places, above = limits_by_place(baseline, limits)
        share = baseline.unseen_shares[places]
        count = np.floor(windows.rows * (share + above) + TIE) + 1
        apart, known = windows.rows / (windows.rows + baseline.rows), share * baseline.rows
        chances = special.betainc(count, known + 2, apart)  # of a number at most
        looked = np.flatnonzero((chances > SURE) | (places >= len(baseline.numeric)))
        features = list(baseline.features.values())
        unseen = np.array([_unseen_mass(features[at]) for at in places[looked].tolist()])
        chances[looked] = special.betainc(count[looked], known[looked] + unseen, apart)
        return np.asarray(chances)


score = Unseen().score


def _unseen_mass(feature: FeatureBaseline) -> float:
    """The a of the law."""
    if isinstance(feature, CategoricalBaseline):
        return max(float(np.count_nonzero(feature.counts[:-2] == 1)), 0.5)
    if feature.bins and not feature.discrete:
        return _end(feature, 1) + _end(feature, feature.bins)
    return 0.5


def _end(feature: NumericBaseline, cell: int) -> float:
    """One where a number ends with a value of its own, a half where it ends in one that repeats."""
    single = feature.atoms[cell - 1]
    return 0.5 if single and feature.counts[cell] > 1 else 1.0
