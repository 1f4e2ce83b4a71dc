"""The budget of a cold reference: no charts, but effects so large that they are never usual, for three windows."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np

from detectors import Reference, ScoreColumns, Sketch, Tally, window_detectors
from detectors.calibration.holidays import NO_HOLIDAYS, Holidays
from detectors.plugins import columns_of
from monitor.alerting.alerts import AlertState, Span
from monitor.alerting.episodes import Evidence
from monitor.alerting.rules import BUDGET_RULE
from monitor.alerting.table import ScoreTable
from monitor.facts import Fact, WindowSpan
from monitor.series.accepted import ACCEPTED, AcceptedLevels
from monitor.series.alerts import calling
from monitor.series.incident import INCIDENT, IncidentAlert, incident_entry, restore_incidents
from monitor.series.operators import NOWHERE, Elsewhere, Operator
from monitor.series.records import Entry
from monitor.stream.events import Nanos
from monitor.stream.windows import ClosedWindow

DEBIASED, UNLIKELY, JUMP = 0.25, 1e-6, 0.2  # PSI beyond chance, its p-value, points of missing or unseen
FEWEST_ROWS, CERTAIN_JUMP = 30, 5.0  # of a window whose shares are looked at, and its standard errors beyond chance


class EffectBudget(Operator[Sketch]):
    """The incident of one series with a cold reference."""

    name = "effects"
    kinds = (INCIDENT, ACCEPTED)
    reads, gives = frozenset({"psi"}), BUDGET_RULE

    def __init__(
        self,
        reference: Reference,
        alert: IncidentAlert,
        min_rows: int,
        holidays: Holidays = NO_HOLIDAYS,
        elsewhere: Elsewhere = NOWHERE,
    ) -> None:
        self.alert = alert
        self._reference = reference
        self._min_rows = min_rows
        self._levels = AcceptedLevels(reference)
        self._levels_changed = False
        self._written: Entry | None = None  # the row of the incident that the store holds
        self._holidays = holidays
        self.elsewhere = elsewhere

    def on_window(self, window: ClosedWindow[Sketch], scores: ScoreTable) -> list[Fact]:
        """Let the incident take one window; one of a holiday says nothing of ordinary days."""
        if self._holidays.cover(window.start, window.end):
            return []
        alert, incident = self.alert, self.alert.incident
        self._levels_changed |= self._levels.see(window.sketch, window.end, max(FEWEST_ROWS, self._min_rows))
        called = calling(alert.teller, alert.state, scores.of(BUDGET_RULE))
        frozen = {*self.elsewhere.told(window.start), *self.elsewhere.usual(window.start)}
        called = {name: score for name, score in called.items() if name not in frozen}
        span = Span(window.start, window.end)
        episodes = incident.step(called, span)
        evidence = alert.state.evidence()
        incident.remember(self._counted(evidence, window.sketch.tally()) if evidence else (), span)
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
        found = effect_scores(self._reference, window, psi, self._min_rows)
        return self._levels.scored(found, window, self._against)

    @property
    def excepted(self) -> bool:
        """Whether something is accepted for a time: it is not how things usually are."""
        return any(level.until is not None for level in self._levels.levels)

    @property
    def settled(self) -> frozenset[str]:
        """Features whose level has lasted: an alert of them, where they swing about it, is usual."""
        return frozenset(name for level in self._levels.levels if level.settled for name in level.features)

    def _against(self, baseline: Reference, window: Tally) -> ScoreColumns:
        psi = columns_of(window_detectors()["psi"], baseline, window, self._min_rows)
        return effect_scores(baseline, window, psi, self._min_rows)

    def accept(
        self, features: Collection[str], until: Nanos | None, at: Nanos, live: Sketch | None = None
    ) -> list[Fact]:
        """Compare these features with `live`, or with the next window; of what was open for them alone the end is told."""
        self._levels.accept(features, until, live)
        self._levels_changed = True
        state, incident = self.alert.state, self.alert.incident
        state.alerts = {name: alert for name, alert in state.alerts.items() if name not in features}
        state.scores = {name: score for name, score in state.scores.items() if name in state.alerts}
        incident.evidence = tuple(each for each in incident.evidence if each.feature not in features)
        return self.alert.told(incident.step({}, Span(at, at)), WindowSpan(at, at, 0))

    def standing(self) -> Mapping[str, AlertState]:
        """The features of the incident."""
        return self.alert.state.shown

    def current(self) -> list[Fact]:
        """The incident, unless it is inactive."""
        return [*self.alert.current()]

    def changes(self) -> list[Entry]:
        """The incident and what was accepted, if they changed."""
        entry, before = incident_entry([self.alert]), self._written
        levels = [self._levels.entry()] if self._levels_changed else []
        self._written, self._levels_changed = entry, False
        return levels if entry == before else [entry, *levels]

    def snapshot(self) -> list[Entry]:
        """The incident, and what was accepted."""
        return [incident_entry([self.alert]), *([self._levels.entry()] if self._levels.levels else [])]

    def restore(self, entries: Sequence[Entry], *, alike: bool) -> list[Fact]:
        """Take up the incident; another reference leaves it open until a window says otherwise."""
        restore_incidents(entries, [self.alert], alike=alike)
        if alike:
            self._levels.restore(entries)
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
