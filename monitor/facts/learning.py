"""A cold reference that learns from live traffic: how far it has come, and what it has learnt."""

from dataclasses import dataclass, field

from detectors import Reference
from detectors.reference.live import Difference
from monitor.stream.events import DAY, Nanos, SeriesKey


@dataclass(frozen=True, slots=True)
class CalibrationLearning:
    """How much live traffic was taken for learning until `at`: `learnt` of `wanted`, as `windows` windows of at least `needed`.

    `apart`: an alert is open, and what is learnt meanwhile counts only if it lasts as long. `why` it goes on, where the
    time has passed and the windows still say too little.
    """

    key: SeriesKey
    at: Nanos
    learnt: Nanos
    wanted: Nanos
    windows: int
    needed: int
    apart: bool = False
    why: str = ""

    @property
    def share(self) -> float:
        """How much of it is done, at most 1: of the time, or of the windows where those are scarcer."""
        return min(self.learnt / max(self.wanted, 1), self.windows / self.needed, 1.0)

    @property
    def words(self) -> str:
        """How far it has come, in a few words.

        >>> CalibrationLearning(SeriesKey("churn", "3"), 0, 3 * DAY, 14 * DAY, 72, 52).words
        'learning 3/14 d'
        >>> CalibrationLearning(SeriesKey("churn", "3"), 0, 14 * DAY, 14 * DAY, 14, 52).words
        'learning 14/52 windows'
        """
        if self.windows * self.wanted < self.needed * self.learnt or self.learnt >= self.wanted:
            return f"learning {self.windows}/{self.needed} windows" if self.windows < self.needed else "learning, late"
        return f"learning {self.learnt / DAY:.3g}/{self.wanted / DAY:.3g} d"


@dataclass(frozen=True, slots=True)
class CalibrationLearnt:
    """A cold reference has calibrated itself from `windows` windows of live traffic, over `span` nanoseconds until `at`.

    From here on charts decide. `calibration` is the new kind; `before` and `after` are hashes of the training set and of
    what the charts are held against, `reference` is that itself. `differs`: where live traffic is not like the training set, furthest first;
    `changes`: what changed while it was learnt, in words.
    """

    key: SeriesKey
    at: Nanos
    calibration: str
    before: str
    after: str
    windows: int
    span: Nanos
    differs: tuple[Difference, ...]
    changes: tuple[str, ...]
    reference: Reference = field(repr=False, compare=False)
