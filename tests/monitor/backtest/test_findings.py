"""What a planted change comes to: found by an incident that names it, by its chart beside another incident, or not at all."""

from dataclasses import replace

import numpy as np
import pytest

from detectors import Reference
from detectors.charts import ChartPoint
from detectors.charts.design import CHARTS
from monitor.alerting.alerts import AlertState
from monitor.alerting.episodes import Evidence
from monitor.alerting.rules import BUDGET_RULE, Severity
from monitor.backtest.findings import Findings, Hunt
from monitor.backtest.output import _finding
from monitor.backtest.replay import Turn
from monitor.backtest.result import Injected
from monitor.facts import AlertChanged, SubgroupCharted, WindowSpan
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
