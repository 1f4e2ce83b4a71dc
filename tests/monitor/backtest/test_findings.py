"""What a planted change comes to: found by an incident that names it, by its chart beside another incident, or not at all."""

from dataclasses import replace

import numpy as np
import pytest

from detectors import Reference
from detectors.charts import ChartPoint
from detectors.charts.design import CHARTS
from monitor.alerting.alerts import AlertState
from monitor.alerting.episodes import Evidence
from monitor.alerting.rules import (
    BUDGET_RULE,
    CONTRACT_RULE,
    ERRORS_RULE,
    FROZEN_RULE,
    PERFORMANCE_RULE,
    SELF_CHECK_RULE,
    Severity,
)
from monitor.backtest.findings import Findings, Hunt
from monitor.backtest.output import _finding, paged_words
from monitor.backtest.replay import Turn
from monitor.backtest.result import Injected
from monitor.facts import AlertChanged, AlertSeen, SubgroupCharted, WindowClosed, WindowSpan
from tests.build import KEY, at, make_spec
from tests.monitor.backtest.test_sweep import NAMES, PANE, a_plant, a_step

REFERENCE = Reference.fit({name: np.arange(400.0) for name in NAMES})
AGE = (NAMES.index("age"),)


def hunted(*told: bool) -> Hunt:
    """A change of age, whose chart fires ever after; an incident is open at a subgroup, or none is."""
    hunt = Hunt(a_plant(5))
    for number, each in enumerate(told):
        hunt.chart(a_firing_step(number), AGE, PANE, told=each)
    return hunt


def a_firing_step(number: int) -> ChartPoint:
    """From the second subgroup on the first chart of age fires."""
    step = a_step(number, [0.0, 0.0])
    firing = np.zeros_like(step.firing)
    firing[AGE[0], 0] = number > 0
    return replace(step, firing=firing)


def test_a_chart_that_fires_while_no_incident_is_open_finds_nothing() -> None:
    injected = hunted(False, False, False).injected

    assert (injected.found_at, injected.rule, injected.delay) == (None, "", None)
    assert injected.chart == CHARTS[0]
    assert _finding(injected) == f"not found (its chart {CHARTS[0]} fired, nobody is told; 0 events changed)"


def test_a_chart_that_fires_beside_another_incident_finds_the_change_when_that_is_open() -> None:
    injected = hunted(True, False, True).injected

    assert (injected.rule, injected.delay, injected.rank) == ("drift", 2, None)
    assert _finding(injected).endswith(f"chart {CHARTS[0]}, while another incident was open")


def found_beside(rule: str) -> Injected:
    """A change of age, whose chart fires from the next subgroup on, while an alert of income stands open."""
    findings = Findings([make_spec(reference=REFERENCE)], [a_plant(5)], 1.0, (1.0,))
    income = Evidence("income", "drift", 2.0, 1.0, None, 900)
    opened = AlertChanged(
        KEY,
        rule,
        Severity.WARNING,
        AlertState.INACTIVE,
        AlertState.FIRING,
        at(0),
        1,
        WindowSpan(at(0), at(5), 900),
        (income,),
        "9f86",
    )
    facts = [opened, *(SubgroupCharted(KEY, step.start, step.end, 900, step) for step in map(a_firing_step, range(6)))]
    findings.take(Turn(facts, (), 0, 0, 1.0))
    (hunt,) = findings.series[KEY].hunts
    return hunt.injected


@pytest.mark.parametrize(("rule", "found"), [(BUDGET_RULE, True), ("psi", False)])
def test_an_alert_of_a_rule_of_ones_own_is_no_incident_that_the_change_joins(rule: str, found: bool) -> None:
    injected = found_beside(rule)

    assert (injected.found_at is not None) is found
    assert injected.chart == CHARTS[0]


def changed(rule: str, severity: Severity, start: int, *, closed: bool = False) -> AlertChanged:
    """An alert of a rule opens, or ends, on this minute."""
    states = (AlertState.INACTIVE, AlertState.FIRING)
    evidence = (Evidence("income", "drift", 2.0, 1.0, None, 900),)
    span, since = WindowSpan(at(start - 5), at(start), 900), at(start if not closed else 5)
    return AlertChanged(KEY, rule, severity, *(states[::-1] if closed else states), since, 1, span, evidence, "9f86")


def replayed(*changes: AlertChanged) -> Findings:
    """An hour of windows, with these alerts in it."""
    findings = Findings([make_spec(reference=REFERENCE)], [], 1.0, (1.0,))
    closed = [WindowClosed(KEY, at(5 * n), at(5 * n + 5), 900, ()) for n in range(12)]
    findings.take(Turn([*changes, *closed], (), 0, 0, 1.0))
    return findings


@pytest.mark.parametrize("rule", [BUDGET_RULE, PERFORMANCE_RULE, FROZEN_RULE, CONTRACT_RULE, ERRORS_RULE, "psi-high"])
def test_time_with_any_alert_open_is_time_under_alarm_and_what_is_critical_is_a_page(rule: str) -> None:
    findings = replayed(changed(rule, Severity.CRITICAL, 5), changed(rule, Severity.CRITICAL, 35, closed=True))
    by_budget = "" if rule == BUDGET_RULE else ", not by the budget"

    assert findings.open_share(KEY) == pytest.approx(30 / 60)
    assert list(paged_words(findings.alerts, budget=True)) == [f"1 page{by_budget}"]


def test_what_was_a_warning_first_is_a_page_once_it_is_critical_and_the_self_check_is_neither() -> None:
    opened = changed(BUDGET_RULE, Severity.WARNING, 5)
    seen = AlertSeen(KEY, BUDGET_RULE, Severity.CRITICAL, AlertState.FIRING, at(5), 1, opened.evidence)
    checked = changed(SELF_CHECK_RULE, Severity.WARNING, 5)
    slight = changed(PERFORMANCE_RULE, Severity.WARNING, 30)

    assert list(paged_words(replayed(opened, slight, checked).alerts, budget=True)) == ["0 pages", "2 warnings"]
    findings = replayed(opened, slight, checked)
    findings.take(Turn([seen], (), 0, 0, 1.0))
    assert list(paged_words(findings.alerts, budget=True)) == ["1 page", "1 warning"]
    assert replayed(checked).open_share(KEY) == 0
