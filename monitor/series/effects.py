"""The budget of a cold reference: no charts, but effects so large that they are never usual, for three windows."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from detectors import Reference, ScoreColumns, Sketch, Tally
from detectors.calibration.holidays import NO_HOLIDAYS, Holidays
from monitor.alerting.alerts import AlertState, Span
from monitor.alerting.episodes import Evidence
from monitor.alerting.rules import BUDGET_RULE
from monitor.alerting.table import ScoreTable
from monitor.facts import Fact, WindowSpan
from monitor.series.alerts import calling
from monitor.series.incident import INCIDENT, IncidentAlert, incident_entry, restore_incidents
from monitor.series.operators import Operator
from monitor.series.records import Entry
from monitor.stream.windows import ClosedWindow

DEBIASED, UNLIKELY, JUMP = 0.25, 1e-6, 0.2  # PSI beyond chance, its p-value, points of missing or unseen
FEWEST_ROWS, CERTAIN_JUMP = 30, 5.0  # of a window whose shares are looked at, and its standard errors beyond chance


class EffectBudget(Operator[Sketch]):
    """The incident of one series with a cold reference."""

    name = "effects"
    kinds = (INCIDENT,)

    def __init__(
        self, reference: Reference, alert: IncidentAlert, min_rows: int, holidays: Holidays = NO_HOLIDAYS
    ) -> None:
        self.alert = alert
        self._reference = reference
        self._min_rows = min_rows
        self._holidays = holidays
        self._written: Entry | None = None  # the row that the store holds

    def on_window(self, window: ClosedWindow[Sketch], scores: ScoreTable) -> list[Fact]:
        """Let the incident take one window; one of a holiday says nothing of ordinary days."""
        if self._holidays.cover(window.start, window.end):
            return []
        alert, incident = self.alert, self.alert.incident
        called = calling(alert.teller, alert.state, scores.by_detector[BUDGET_RULE])
        episodes = incident.step(called, Span(window.start, window.end))
        evidence = alert.state.evidence()
        incident.evidence = self._counted(evidence, window.sketch.tally()) if evidence else ()
        return alert.told(episodes, WindowSpan(window.start, window.end, window.sketch.rows))

    def _counted(self, evidence: Sequence[Evidence], window: Tally) -> tuple[Evidence, ...]:
        """The evidence with what charts would say, and the counts of each feature."""
        names, offsets = self._reference.names, self._reference.layout.offsets
        counted = []
        for each in evidence:
            place = names.index(each.feature)
            counts = window.counts[offsets[place] : offsets[place + 1]].tobytes()
            since, chart = self.alert.state.alerts[each.feature].since, worst_chart(self._reference, window, place)
            counted.append(replace(each, chart=chart, since=since, counts=counts))
        return tuple(counted)

    def columns(self, window: Tally, scored: Sequence[ScoreColumns]) -> ScoreColumns:
        """The effect sizes of a window."""
        psi = next(each for each in scored if each.detector == "psi")
        return effect_scores(self._reference, window, psi, self._min_rows)

    def standing(self) -> Mapping[str, AlertState]:
        """The features of the incident."""
        return self.alert.state.shown

    def current(self) -> list[Fact]:
        """The incident, unless it is inactive."""
        return [*self.alert.current()]

    def changes(self) -> list[Entry]:
        """The incident, if it changed."""
        entry, before = incident_entry([self.alert]), self._written
        self._written = entry
        return [] if entry == before else [entry]

    def snapshot(self) -> list[Entry]:
        """The incident."""
        return [incident_entry([self.alert])]

    def restore(self, entries: Sequence[Entry], *, alike: bool) -> list[Fact]:
        """Take up the incident; another reference leaves it open until a window says otherwise."""
        restore_incidents(entries, [self.alert], alike=alike)
        return []


def effect_scores(reference: Reference, window: Tally, psi: ScoreColumns, min_rows: int) -> ScoreColumns:
    """What stands in for charts where the reference is cold: the largest effect of a window over what is never usual.

    Debiased PSI over 0.25 where its p-value is below 1e-6, missing or unseen shares over 20 points more than in the
    reference. Above 1 breaches. A window of fewer rows than `min_rows` may show a jump, but no end of one.
    """
    assert psi.pvalues is not None
    moved = np.where(psi.known & (psi.pvalues < UNLIKELY), psi.details["debiased"] / DEBIASED, 0.0)
    rows = max(window.rows, 1)
    missing = window.missing / rows - reference.missing_shares
    unseen = window.unseen / rows - reference.unseen_shares
    usual = np.stack([reference.missing_shares, reference.unseen_shares])
    jumps = np.stack([missing, unseen])
    chance = CERTAIN_JUMP * np.sqrt((usual * (1 - usual) + 1 / rows) / rows)
    jumps = np.where((jumps > chance) & (window.rows >= FEWEST_ROWS), jumps, 0.0).max(axis=0) / JUMP
    known = psi.known | (jumps > 1) | (window.rows >= max(FEWEST_ROWS, min_rows))
    return ScoreColumns(BUDGET_RULE, psi.names, known=known, rows=window.all, values=np.maximum(moved, jumps))


def worst_chart(reference: Reference, window: Tally, place: int) -> str:
    """Which chart's words say best why a cold feature breaches."""
    rows = max(window.rows, 1)
    jumps = {
        "missing": float(window.missing[place] / rows - reference.missing_shares[place]),
        "unseen": float(window.unseen[place] / rows - reference.unseen_shares[place]),
    }
    name = max(jumps, key=jumps.__getitem__)
    return name if jumps[name] > JUMP else "shape"
