"""The incident that people see, from steps of the charts: when it opens, when it resolves, what stands first."""

import numpy as np

from benchmarks.alarms.model import Model
from detectors.charts import Step
from monitor.alerting.alerts import Span
from monitor.alerting.episodes import OPEN
from monitor.series.drift import ChartReader, DriftState


class Incident:
    """One model's, as the daemon keeps it; of one feature only where the pages of others would be false ones."""

    def __init__(self, model: Model, only: str | None = None) -> None:
        grid = model.reference.grid
        self._only = only
        self._reader = ChartReader(grid, np.ones(len(grid.names)), model.world.window_ns)
        self._state = DriftState({})
        self.pages = self.resolves = 0

    @property
    def open(self) -> bool:
        """Whether people have been told and it is not over."""
        return self._state.episode.state in OPEN

    def follow(self, step: Step) -> bool:
        """Take one pane; whether a page is sent now."""
        firing = self._reader.firing(step)
        if self._only is not None:
            firing = {name: since for name, since in firing.items() if name == self._only}
        before, after = self._state.follow(firing, (), Span(step.start, step.end))
        opened = before.state not in OPEN and after.state in OPEN
        self.pages += opened
        self.resolves += before.state in OPEN and after.state not in OPEN
        return opened

    def first(self, step: Step) -> str:
        """The feature that stands first on the page."""
        return self._reader.evidence(step)[0].feature
