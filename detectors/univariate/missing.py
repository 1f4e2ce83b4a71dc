"""How much more, or less, of a feature is missing than in the reference."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from detectors.baseline import Baseline
from detectors.features import Floats
from detectors.protocols import JudgedWindows, Scorer, WindowDetector
from detectors.univariate.laws import limits_by_place, outside
from detectors.univariate.shares import change_of_shares


@dataclass(frozen=True, slots=True)
class Missing(WindowDetector):
    """|share of rows without a value - the same share of the baseline|, in [0, 1], of every feature.

    Missing is what is absent, null, not finite or of the wrong type. Judged on all rows, however few (`min_rows` has no
    say); None only for a window of no rows. Details hold `ratio`, the share in the window.

    >>> from detectors import Reference
    >>> reference = Reference.fit({"age": [20, 30, 40, 50]})
    >>> [score.value for score in reference.compare({"age": [20, None]}) if score.detector == "missing"]
    [0.5]
    """

    name: ClassVar[str] = "missing"
    help: ClassVar[str] = "change of the share of rows"
    judges_all_rows: ClassVar[bool] = True

    def prepare(self, baseline: Baseline) -> Scorer:
        """Take the baseline's shares."""
        layout, shares = baseline.layout, baseline.missing_shares
        return lambda window, min_rows=1: change_of_shares(self.name, layout, window, window.missing, shares)  # noqa: ARG005

    def false_alarm_chance(self, baseline: Baseline, limits: Mapping[str, float], windows: JudgedWindows) -> Floats:
        """Return the chance of a larger change: binomial at the baseline's share."""
        places, above = limits_by_place(baseline, limits)
        share = baseline.missing_shares[places]
        hidden = (share * baseline.rows + 0.5) / (baseline.rows + 1)  # none in so many rows is not never
        return outside(hidden, windows.rows, windows.rows * (share - above), windows.rows * (share + above))


score = Missing().score
