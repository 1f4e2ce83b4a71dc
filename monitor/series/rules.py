"""The explicit rules of a series, over the scores of each closed window."""

from collections.abc import Mapping, Sequence

import msgspec

from detectors import DriftScore, Reference, Sketch
from monitor.alerting.alerts import AlertState, Span
from monitor.alerting.episodes import RuleState, worst_of_each
from monitor.alerting.table import ScoreTable
from monitor.facts import Fact, WindowSpan
from monitor.series.alerts import SavedRule, Teller, calling
from monitor.series.counted import CountedScore, counted
from monitor.series.incident import traced
from monitor.series.operators import Operator
from monitor.series.records import Entry
from monitor.series.traces import RuleTrace, copied_state
from monitor.stream.windows import ClosedWindow

RULES = "rules"


class Rules(Operator[Sketch]):
    """Puts the scores of a window to one rule after the other."""

    name = RULES
    kinds = (RULES,)

    def __init__(
        self, alerts: Sequence[tuple[Teller, RuleState]], reference: Reference | None = None, min_rows: int = 1
    ) -> None:
        self._reference, self._min_rows = reference, min_rows
        self.states = {teller.rule.name: state for teller, state in alerts}
        self._alerts = alerts
        self._changed = True  # also a rule that never fired is saved, so that its end is said

    def on_window(self, window: ClosedWindow[Sketch], scores: ScoreTable) -> list[Fact]:
        """Let every rule's alert take one window."""
        facts: list[Fact] = []
        for teller, state in self._alerts:
            part, active = scores.of(teller.rule.detector), bool(state.alerts)
            if not active and state.episode.state is AlertState.INACTIVE and not part.breaches(teller.rule.name):
                continue  # as nearly always
            span, closed = Span(window.start, window.end), WindowSpan(window.start, window.end, window.sketch.rows)
            called, was = calling(teller, state, part), copied_state(state)
            before, after = state.step(called, span)
            if active or before is not after:
                told = teller.told(before, after, state.evidence(), closed)
                changed = before.state is not after.state
                counts = self._counted(teller, called, window.sketch) if changed else ()
                facts += [traced(fact, RuleTrace(teller, was, called, closed, counts)) for fact in told]
                self._changed = True
        return facts

    def _counted(self, teller: Teller, called: Mapping[str, DriftScore], window: Sketch) -> tuple[CountedScore, ...]:
        """The scores in front with their counts."""
        if self._reference is None:
            return ()
        front = sorted(called, key=lambda name: (-(called[name].value or 0.0), name))
        return counted(self._reference, window, teller.rule.detector, called, front, self._min_rows)

    def standing(self) -> Mapping[str, AlertState]:
        """The features of which an alert is not inactive."""
        standing = [state.shown for state in self.states.values() if state.alerts]
        return worst_of_each(standing) if standing else {}

    def current(self) -> list[Fact]:
        """The alerts that are not inactive."""
        return [
            teller.seen(state.episode, state.evidence())
            for teller, state in self._alerts
            if state.episode.state is not AlertState.INACTIVE
        ]

    # --- state --------------------------------------------------------------------------------------------------

    def changes(self) -> list[Entry]:
        """All rules in one row, if any alert has changed."""
        changed, self._changed = self._changed, False
        return self.snapshot() if changed else []

    def snapshot(self) -> list[Entry]:
        """All rules in one row."""
        saved = {teller.rule.name: SavedRule.of(teller.rule, state) for teller, state in self._alerts}
        return [Entry(RULES, msgspec.json.encode(saved))]

    def restore(self, entries: Sequence[Entry], *, alike: bool) -> list[Fact]:
        """Take up the alerts of rules that have not changed; another reference leaves them as they are."""
        del alike
        saved = {name: rule for entry in entries for name, rule in saved_rules(entry).items()}
        for teller, state in self._alerts:
            found = saved.get(teller.rule.name)
            if found is not None and found.made_under(teller.rule):
                found.restore(state, state.rules)
        return []


def saved_rules(entry: Entry) -> dict[str, SavedRule]:
    """The rules of a row."""
    return msgspec.json.decode(entry.held, type=dict[str, SavedRule])
