"""The rows themselves: what is usual is learnt from the traffic, half and twice of it are let pass, a tenth is not."""

from typing import Any

import numpy as np
import pytest

from detectors import Reference
from detectors.decision import ChartPlan, Charts, Step
from detectors.decision.traffic import LEARNING
from tests.charted import MONDAY, WINDOW, Charted, fitted, pane, seeded

FEW, MANY = 0, 1


@pytest.fixture(scope="module")
def learnt() -> Reference:
    rng = seeded()
    return fitted(rng, {"x": rng.normal(size=30_000)})


def fed(charted: Charted, rows: int, panes: int) -> list[Step]:
    rng = np.random.default_rng(rows)
    return [charted.feed({"x": rng.normal(size=rows)}) for _ in range(panes)]


def firing(steps: list[Step]) -> list[Any]:
    return [step.volume_firing.tolist() for step in steps]


@pytest.mark.parametrize("rows", [10, 100, 3_000])
def test_a_reference_is_often_a_sample_so_the_usual_rows_are_learnt(learnt: Reference, rows: int) -> None:
    charted = Charted(learnt)
    steps = fed(charted, rows, LEARNING + 30)

    assert not any(any(one) for one in firing(steps))
    assert steps[LEARNING - 2].usual_rows is None
    assert steps[-1].usual_rows == pytest.approx(rows)


@pytest.mark.parametrize(("rows", "chart"), [(20, FEW), (700, MANY)])
def test_far_fewer_and_far_more_rows_fire(learnt: Reference, rows: int, chart: int) -> None:
    charted = Charted(learnt)
    fed(charted, 100, LEARNING + 5)
    onset = charted.at
    steps = fed(charted, rows, 4)

    assert not any(firing(steps)[0])  # one pane may be a deployment
    assert firing(steps)[-1][chart]
    assert not firing(steps)[-1][1 - chart]
    assert steps[-1].volume_since[chart] == onset
    assert steps[-1].any_firing


@pytest.mark.parametrize("rows", [55, 190])
def test_half_and_twice_the_rows_are_let_pass(learnt: Reference, rows: int) -> None:
    charted = Charted(learnt)
    fed(charted, 100, LEARNING + 5)

    assert not any(any(one) for one in firing(fed(charted, rows, 200)))


def test_they_come_to_rest(learnt: Reference) -> None:
    charted = Charted(learnt)
    fed(charted, 100, LEARNING + 5)
    assert firing(fed(charted, 10, 10))[-1][FEW]
    steps = fed(charted, 100, 60)

    assert not any(firing(steps)[-1])
    assert not steps[-1].volume.any()


def test_traffic_that_has_grown_for_good_is_the_usual_one_a_day_later(learnt: Reference) -> None:
    charted = Charted(learnt)
    fed(charted, 100, LEARNING + 5)
    grown = fed(charted, 400, 24 * 12 + LEARNING + 2)

    assert firing(grown)[10][MANY]
    assert firing(grown)[24 * 12 - 10][MANY]
    assert not any(firing(grown)[-1])
    assert grown[-1].usual_rows == pytest.approx(400)


def test_a_second_lack_of_rows_began_when_it_began(learnt: Reference) -> None:
    """Not when the first did."""
    charted = Charted(learnt)
    fed(charted, 100, LEARNING + 5)
    fed(charted, 10, 10)
    fed(charted, 100, 60)
    onset = charted.at

    assert fed(charted, 10, 4)[-1].volume_since[FEW] == onset


def test_blocks_cut_short_by_gaps_are_no_lack_of_rows(learnt: Reference) -> None:
    """Panes of a minute, of which only the last of each five comes, with as many rows as ever."""
    charts, minute, rng = Charts(learnt, ChartPlan(step_ns=WINDOW // 5)), WINDOW // 5, seeded()
    steps: list[Step] = []
    for number in range(5 * (LEARNING + 15)):
        if number < 5 * (LEARNING + 5) or number % 5 == 4:
            tally = pane(learnt, {"x": rng.normal(size=20)}).tally()
            steps += charts.update(tally, MONDAY + number * minute, MONDAY + (number + 1) * minute)

    assert len(steps) == LEARNING + 15
    assert not any(any(one) for one in firing(steps))
