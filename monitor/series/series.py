"""One series: a key and its views."""

from dataclasses import dataclass, replace
from typing import Any

from detectors import Reference
from monitor.alerting.budget import BY_PERFORMANCE
from monitor.alerting.retraining import RetrainPolicy
from monitor.alerting.rules import AlertRule
from monitor.series.contract import ContractSpec
from monitor.series.features import feature_view
from monitor.series.halves import HalvesWait, half_shape
from monitor.series.judging import Judging
from monitor.series.performance import PerformanceSpec
from monitor.series.view import View, ViewSpec
from monitor.stream.events import FEATURES, SeriesKey
from monitor.stream.halves import HalfSpec
from monitor.stream.windows import WindowSpec


@dataclass(frozen=True, slots=True)
class SeriesSpec:
    """All that one series is monitored by. `windows` and `judging` are those of its features; `others` are views besides."""

    key: SeriesKey
    windows: WindowSpec
    judging: Judging
    retraining: RetrainPolicy
    others: tuple[ViewSpec[Any], ...] = ()
    performance: PerformanceSpec | None = None  # None: no labels are joined
    after: "Predecessor | None" = None  # of a new version, what it comes after
    halves: HalvesWait | None = None  # None: requests and responses that come apart wait as long as events may be late
    sampled: bool = False  # a topic says how much of all requests its log holds

    @property
    def contract(self) -> ContractSpec | None:
        """The data contract that its events are held against; None: none is checked."""
        return self.judging.contract

    @property
    def halves_spec(self) -> HalfSpec:
        """How halves of its predictions are joined."""
        layout = self.reference.layout
        numeric, categorical = ([each.name for each in columns] for columns in (layout.numeric, layout.categorical))
        truth = None if self.performance is None else self.performance.truth
        held = self.halves or HalvesWait(self.windows.lateness)
        shape = half_shape(numeric, categorical, truth, self.contract, sampled=self.sampled)
        if shape.predicted is not None and shape.predicted[0]:
            shape = replace(shape, no_prediction=len(layout.categorical[shape.predicted[1]].categories) + 1)
        return HalfSpec(shape, held.wait, held.memory, held.unanswered)

    @property
    def views(self) -> tuple[ViewSpec[Any], ...]:
        """All its views, that of its features first."""
        return (feature_view(self.windows, self.judging), *self.others)

    @property
    def reference(self) -> Reference:
        """The reference that the series is held against."""
        return self.judging.reference

    @property
    def rules(self) -> tuple[AlertRule, ...]:
        """All rules that it may have alerts of."""
        decides = self.performance is not None and self.performance.decision is not None
        return (*self.judging.all_rules, *((BY_PERFORMANCE,) if decides else ()))


@dataclass(frozen=True, slots=True)
class Predecessor:
    """The series that a new version comes after, the reference that this one is held against, and the one of the version's own first rows."""

    key: SeriesKey
    reference: Reference
    first: Reference


class Series:
    """One series at work."""

    def __init__(self, spec: SeriesSpec) -> None:
        self.spec = spec
        self.views: dict[str, View[Any]] = {each.name: View(spec.key, each) for each in spec.views}

    @property
    def features(self) -> View[Any]:
        """The view of its features."""
        return self.views[FEATURES]

    @property
    def open_panes(self) -> int:
        """How many panes it holds: what memory depends on."""
        return sum(len(view.windows.panes) for view in self.views.values())
