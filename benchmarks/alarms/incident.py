"""The incident that people see, from points of the charts: when it opens, when it resolves, what stands first."""

import numpy as np

from benchmarks.alarms.model import Model
from detectors.charts import ChartPoint, FiringReader
from monitor.alerting.alerts import Span
from monitor.alerting.episodes import OPEN, RuleState
from monitor.alerting.incidents import Incident as Daemons
from monitor.series.evidence import onsets


class Incident:
    """One model's, as the daemon keeps it; of one feature only where the pages of others would be false ones."""

    def __init__(self, model: Model, only: str | None = None) -> None:
        grid = model.reference.layout
        self._only = only
        self._reader = FiringReader(grid, np.ones(len(grid.names)), model.world.window_ns)
        self._incident = Daemons(RuleState({}))
        self.pages = self.resolves = 0

    @property
    def open(self) -> bool:
        """Whether people have been told and it is not over."""
        return self._incident.state.episode.state in OPEN

    def follow(self, point: ChartPoint) -> bool:
        """Take one subgroup; whether a page is sent now."""
        firing = onsets(self._reader.read(point))
        if self._only is not None:
            firing = {name: since for name, since in firing.items() if name == self._only}
        before, after = self._incident.follow(firing, (), Span(point.start, point.end))
        opened = before.state not in OPEN and after.state in OPEN
        self.pages += opened
        self.resolves += before.state in OPEN and after.state not in OPEN
        return opened

    def first(self, point: ChartPoint) -> str:
        """The feature that stands first on the page."""
        return self._reader.read(point)[0].feature
