"""What a planted change comes to: found by an incident that names it, by its chart beside another incident, or not at all."""

from dataclasses import replace

import numpy as np

from detectors.charts.design import CHARTS
from monitor.backtest.findings import Hunt
from monitor.backtest.output import _finding
from tests.monitor.backtest.test_sweep import NAMES, PANE, a_plant, a_step

AGE = (NAMES.index("age"),)


def hunted(*told: bool) -> Hunt:
    """A change of age, whose chart fires ever after; an incident is open at a subgroup, or none is."""
    hunt = Hunt(a_plant(5))
    for number, each in enumerate(told):
        step = a_step(number, [0.0, 0.0])
        firing = np.zeros_like(step.firing)
        firing[AGE[0], 0] = number > 0
        hunt.chart(replace(step, firing=firing), AGE, PANE, told=each)
    return hunt


def test_a_chart_that_fires_while_no_incident_is_open_finds_nothing() -> None:
    injected = hunted(False, False, False).injected

    assert (injected.found_at, injected.rule, injected.delay) == (None, "", None)
    assert injected.chart == CHARTS[0]
    assert _finding(injected) == f"not found (its chart {CHARTS[0]} fired, nobody is told; 0 events changed)"


def test_a_chart_that_fires_beside_another_incident_finds_the_change_when_that_is_open() -> None:
    injected = hunted(True, False, True).injected

    assert (injected.rule, injected.delay, injected.rank) == ("drift", 2, None)
    assert _finding(injected).endswith(f"chart {CHARTS[0]}, while another incident was open")
