"""A score with the counts that it is of: the reference's of one feature and the window's, so that it can be computed again."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from detectors import Baseline, DriftScore, Reference, Sketch, window_detectors
from detectors.plugins import columns_of
from detectors.reference.file import feature_to_dict, features_from

MOST_COUNTED = 3  # features of an alert, those in front


@dataclass(frozen=True, slots=True)
class CountedScore:
    """`baseline`: the feature as a reference file has it, of so many rows; `counts`: the window's, by the same bins.

    Until it is written down, which a backtest never does, both are what the daemon holds.
    """

    feature: str
    detector: str
    min_rows: int
    baseline: Any
    baseline_rows: int
    rows: int
    counts: Any
    value: float

    def plain(self) -> "CountedScore":
        """It in plain values."""
        return replace(self, baseline=feature_to_dict(self.baseline), counts=self.counts.tolist())

    def again(self) -> float | None:
        """The score, by the detector itself. Raises ValueError for what is no feature, KeyError for an unknown detector."""
        baseline = Baseline.of(features_from([dict(self.baseline)], self.baseline_rows), self.baseline_rows)
        window = Sketch(baseline.layout, self.rows, np.array(self.counts, dtype=np.int64))
        columns = columns_of(window_detectors()[self.detector], baseline, window.tally(), self.min_rows)
        return columns.one(columns.names.index(self.feature)).value


def counted(
    reference: Reference,
    window: Sketch,
    detector: str,
    scores: Mapping[str, DriftScore],
    features: Iterable[str],
    min_rows: int,
) -> tuple[CountedScore, ...]:
    """The scores of these features with their counts, where the detector judges a window by its counts alone."""
    judge = window_detectors().get(detector)
    if judge is None or not type(judge).__module__.startswith("detectors."):  # an auditor may not have other packages
        return ()
    places = {name: place for place, name in enumerate(reference.names)}
    found = []
    for name in list(features)[:MOST_COUNTED]:
        score, place = scores.get(name), places.get(name)
        if score is None or score.value is None or place is None:
            continue
        row, feature = window.row(name).copy(), reference.features[name]
        found.append(CountedScore(name, detector, min_rows, feature, reference.rows, window.rows, row, score.value))
    return tuple(found)
