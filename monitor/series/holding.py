"""Whether a data contract is kept: an incident of its own where a rule is broken by more rows than its reference lets expect."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

import msgspec

from detectors import Sketch
from detectors.charts import IncidentKind
from detectors.charts.rules import FiringRule, RuleCharts
from detectors.sketches.violations import Rule
from monitor.alerting.alerts import AlertState, Span
from monitor.alerting.budget import BY_CONTRACT
from monitor.alerting.episodes import Evidence
from monitor.alerting.rules import CONTRACT_RULE
from monitor.alerting.severity import severity_of
from monitor.facts import Fact, WindowSpan
from monitor.series.alerts import Teller
from monitor.series.contract import ID, SHARE, TIME, UNIQUE
from monitor.series.evidence import integers
from monitor.series.incident import IncidentAlert, incident_row, restore_row
from monitor.series.judging import Judging
from monitor.series.operators import NOWHERE, Elsewhere, Operator
from monitor.series.records import Entry
from monitor.stream.events import Nanos, SeriesKey
from monitor.stream.windows import SealedPane

CHARTS = "contract_charts"  # kind of the row of what was counted


class Subgroup(msgspec.Struct):
    """Whole panes that are judged together: rows, those that break rules by name, and whether it is long enough."""

    number: int
    start: Nanos
    end: Nanos
    rows: int = 0
    counts: list[tuple[str, str, int]] = []


class ContractHeld(Operator[Sketch]):
    """The incident of a contract, judged in disjoint runs of panes as long as a window.

    `told_already`: columns whose data another incident already calls bad; they are not told twice. Of those of which `elsewhere` tells
    the charts are set back.
    """

    name = CONTRACT_RULE
    kinds = (CONTRACT_RULE, CHARTS)

    def __init__(self, key: SeriesKey, judging: Judging, elsewhere: Elsewhere = NOWHERE) -> None:
        assert judging.contract is not None
        assert judging.plan is not None
        columns = judging.contract.contract.columns
        rules = list(judging.contract.rules({*judging.reference.names, ID, TIME}))
        agreed = {rule: columns[rule[0]].max_missing or 0.0 for rule in rules if rule[1] == SHARE}
        rules = [rule for rule in rules if agreed.get(rule, 0.0) < 1]
        self.charts = RuleCharts(
            rules,
            agreed,
            judging.reference.rows,
            judging.plan.per_month,
            judging.window_length,
            judging.plan.floors.missing,
        )
        self.alert = IncidentAlert(
            Teller(key, BY_CONTRACT, judging.reference.hash, judging.window_length, kind=IncidentKind.DATA_QUALITY),
            tuple(dict.fromkeys(column for column, _ in rules)),
        )
        self._length = judging.window_length
        self._allowed: Mapping[Rule, float] = agreed
        self._subgroup: Subgroup | None = None
        self._elsewhere = elsewhere
        self.told_already: Callable[[], Collection[str]] = tuple
        self.repeats: Callable[[], int] = int  # rows of the last pane that repeat an id
        self._changed = self._moved = True  # counts; the incident

    def told(self) -> Collection[str]:
        """The columns that the incident tells of."""
        return self.alert.state.alerts

    def on_pane(self, pane: SealedPane[Sketch]) -> list[Fact]:
        """Take a sealed pane, which may end a subgroup, or two after a gap."""
        self._changed, number = True, pane.start // self._length
        facts: list[Fact] = []
        if self._subgroup is not None and self._subgroup.number != number:
            facts += self._complete()
        self._add(pane, number)
        if pane.end % self._length == 0:
            facts += self._complete()
        return facts

    def _add(self, pane: SealedPane[Sketch], number: int) -> None:
        found = self._subgroup or Subgroup(number, pane.start, pane.end)
        violations = pane.sketch.violations
        counts = Counter({(column, rule): count for column, rule, count in found.counts})
        if violations is not None:
            counts.update(violations.counts)
        if repeats := self.repeats():
            counts[ID, UNIQUE] += repeats
        rows = found.rows + pane.sketch.arrived
        held = [(column, rule, count) for (column, rule), count in sorted(counts.items())]
        self._subgroup = Subgroup(number, found.start, pane.end, rows, held)

    def _complete(self) -> list[Fact]:
        """Judge what the subgroup holds."""
        subgroup, self._subgroup = self._subgroup, None
        assert subgroup is not None
        counts = {(column, rule): count for column, rule, count in subgroup.counts}
        firing = self._not_elsewhere(self.charts.follow(counts, subgroup.rows, subgroup.start), subgroup.start)
        incident, span = self.alert.incident, Span(subgroup.start, subgroup.end)
        worst: dict[str, FiringRule] = {}
        others = self.told_already()
        for each in firing:
            column = each.rule[0]
            if column in incident.state.alerts or column not in others:
                worst.setdefault(column, each)
        if not worst and not incident.state.alerts:
            return []
        fires = {each.rule for each in firing}
        found = [self._worst(self._evidence(each, subgroup.rows), fires) for each in worst.values()]
        since = {column: each.since + self._length for column, each in worst.items()}
        self._moved = True
        episodes = incident.follow(since, found, span)
        return [*self.alert.told(episodes, WindowSpan(span.start, span.end, subgroup.rows))]

    def _not_elsewhere(self, firing: Sequence[FiringRule], start: Nanos) -> list[FiringRule]:
        """What fires and is not told elsewhere, nor is about to be. What was told here before stays."""
        ours = self.alert.incident.state.alerts
        told = {name for name in self._elsewhere.told(start) if name not in ours}
        self.charts.set_back(told)
        awaited = {name for name in self._elsewhere.awaited() if name not in ours}
        return [each for each in firing if each.rule[0] not in told | awaited]

    def _worst(self, now: Evidence, fires: Collection[Rule]) -> Evidence:
        """The evidence of the window in which most rows broke a column's rules that fire: once they are kept again, words say how bad it was."""
        known = next((each for each in self.alert.incident.evidence if each.feature == now.feature), None)
        if known is None or not known.counts or (known.feature, known.chart) not in fires:
            return now
        if (now.effect or 0.0) >= (known.effect or 0.0):
            return now
        return replace(known, score=now.score, since=now.since)

    def _evidence(self, each: FiringRule, rows: int) -> Evidence:
        column, rule = each.rule
        allowed = self._allowed.get(each.rule, 0.0)
        return Evidence(
            feature=column,
            detector=CONTRACT_RULE,
            score=max(each.score, 1.0),
            threshold=1.0,
            pvalue=None,
            rows=rows,
            chart=rule,
            since=each.since + self._length,
            effect=each.share - allowed,
            severity=severity_of("missing", each.share - allowed, usual=allowed),
            counts=integers(each.count, rows, round(1e6 * allowed)),
        )

    def standing(self) -> Mapping[str, AlertState]:
        """The columns that the incident is of."""
        return self.alert.state.shown

    def current(self) -> list[Fact]:
        """The incident, unless it is inactive."""
        return [*self.alert.current()]

    # --- state --------------------------------------------------------------------------------------------------

    def changes(self) -> list[Entry]:
        """The charts and the incident, if they changed."""
        charts = [self._charts()] if self._changed else []
        incident = [incident_row(CONTRACT_RULE, self.alert)] if self._moved else []
        self._changed = self._moved = False
        return [*charts, *incident]

    def snapshot(self) -> list[Entry]:
        """A row of each."""
        return [self._charts(), incident_row(CONTRACT_RULE, self.alert)]

    def _charts(self) -> Entry:
        return Entry(CHARTS, msgspec.msgpack.encode((self._subgroup, self.charts.to_bytes())))

    def restore(self, entries: Sequence[Entry], *, alike: bool) -> list[Fact]:
        """Take up the incident; the counts where panes are those that they were."""
        for entry in entries:
            if entry.kind == CONTRACT_RULE:
                restore_row(entry, self.alert)
            elif alike:
                self._subgroup, charts = msgspec.msgpack.decode(entry.held, type=tuple[Subgroup | None, bytes])
                self.charts.restore(charts)
        return []
