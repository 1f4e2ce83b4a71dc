"""What a detector is: a name and a configuration, prepared once for a baseline, then asked about window after window."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

from detectors.baseline import Baseline
from detectors.encoding import window_of
from detectors.features import Floats
from detectors.results import Scores
from detectors.scores import ScoreColumns
from detectors.sketches import Sketch, Tally, TallyStack
from detectors.tables import TableLike, library_of


@dataclass(frozen=True, slots=True)
class DetailMetric:
    """A detail of a score that is exported beside it, as `driftd_drift_<name>`."""

    name: str
    help: str


@dataclass(frozen=True, slots=True)
class JudgedWindows:
    """The windows a rule judges: rows in each, how many disjoint ones a month, slides a window (1: they do not overlap).

    `min_rows` are the usable values below which a score is no data.
    """

    rows: float
    per_month: float
    slides: int = 1
    min_rows: int = 1


class Scorer(Protocol):
    """A detector prepared for one baseline."""

    def __call__(self, window: Tally, min_rows: int = 1) -> ScoreColumns:
        """Score a window, None below `min_rows` usable rows. Raises LayoutMismatchError for a window of another layout."""


@runtime_checkable
class ManyScorer(Scorer, Protocol):
    """One that scores several windows in little more time than one."""

    def many(self, windows: TallyStack, min_rows: int = 1) -> list[ScoreColumns]:
        """Score windows, each to the last bit as by itself."""


class Detector(ABC):
    """A frozen dataclass that is its own configuration. `name` is what rules, metrics and settings call it.

    `help` says in a line what a score of 1 means; `metrics` are the details it exports, by their name among a score's
    details. `judges_all_rows`: not only rows with a value, so that few values are enough. `memory`: panes that a score
    looks back on; 0 where it is of one window alone.
    """

    name: ClassVar[str]
    help: ClassVar[str]
    judges_all_rows: ClassVar[bool] = False
    metrics: ClassVar[Mapping[str, DetailMetric]] = {}
    memory: ClassVar[int] = 0
    lawless: ClassVar[str] = "has no law that says it"  # why there is no figure, where there is none

    @abstractmethod
    def judged(self, baseline: Baseline) -> tuple[str, ...]:
        """Return the features that get a score."""

    def false_alarm_chance(
        self, baseline: Baseline, limits: Mapping[str, float], windows: JudgedWindows
    ) -> Floats | None:
        """Return the chance that a window of unchanged data scores higher.

        Args:
            baseline: What the windows were drawn from.
            limits: A threshold of each feature that is asked for.
            windows: The windows that are judged.

        Returns:
            float64, in the order of `limits`; 0 for a feature that is not judged, or has fewer usable values than it
            takes. None where no law gives it.
        """
        del baseline, limits, windows
        return None


class WindowDetector(Detector):
    """A detector that judges a window by its counts alone."""

    @abstractmethod
    def prepare(self, baseline: Baseline) -> Scorer:
        """Work out what every window is held against.

        Args:
            baseline: The counts of the reference, or any others on its layout.

        Returns:
            A scorer of windows on that layout.
        """

    def judged(self, baseline: Baseline) -> tuple[str, ...]:
        """Return the features that get a score: those of any window."""
        return self.columns(baseline, baseline.sketch.tally()).names

    def columns(self, baseline: Baseline, window: Tally, *, min_rows: int = 1) -> ScoreColumns:
        """Return the scores of a window as columns."""
        return prepared(self, baseline)(window, min_rows)

    def score(
        self, baseline: Baseline, data: TableLike | Sketch, *, prediction: str | None = None, min_rows: int = 1
    ) -> Scores:
        """Return the scores of a table, one for each feature that the detector applies to.

        Args:
            baseline: What the rows are held against: a reference is one.
            data: A table of pandas, polars or pyarrow, a dictionary of arrays, or a sketch.
            prediction: The column that holds the prediction, where the baseline has one.
            min_rows: Usable rows below which a feature is not scored.

        Returns:
            By feature, `scores["age"]`, and a sequence.

        Raises:
            LayoutMismatchError: A sketch on another layout.
            ValueError: A table without any of the features, or without the prediction.
        """
        window = window_of(baseline.layout, data, prediction)
        return Scores(self.columns(baseline, window.tally(), min_rows=min_rows).scores(), library_of(data))


def prepared(detector: WindowDetector, baseline: Baseline) -> Scorer:
    """Return the detector prepared for this baseline: once, for all who share the baseline."""
    found: Scorer | None = baseline.scorers.get(detector)
    if found is None:
        found = baseline.scorers[detector] = detector.prepare(baseline)
    return found
