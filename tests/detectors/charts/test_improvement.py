"""Rates that have become better are said once, and once more when they have been worse in between."""

from typing import Any

import numpy as np
import pytest

from detectors import Reference
from detectors.charts import BudgetSpec
from detectors.charts.design import ChartDesign
from detectors.charts.improvement import Improvements
from tests.charted import reference, seeded

ROWS = 100
MISSING, UNSEEN = 0, 1


@pytest.fixture(scope="module")
def learnt() -> Reference:
    return reference(seeded())


def improvements(learnt: Reference) -> Improvements:
    assert learnt.calibration is not None
    return Improvements(ChartDesign(learnt, learnt.calibration, BudgetSpec()))


def said(found: Improvements, learnt: Reference, holes: int, panes: int) -> list[Any]:
    """Panes in which so many values of `holes` are missing and all else is as it was; which they are said of, and when."""
    missing = np.zeros(len(learnt.names), dtype=np.int64)
    missing[learnt.names.index("holes")] = holes
    missing[learnt.names.index("empty")] = ROWS
    points = [found.follow(missing, np.zeros_like(missing), ROWS) for _ in range(panes)]
    return [
        (at, learnt.names[feature], which) for at, point in enumerate(points) for feature, which in np.argwhere(point)
    ]


def test_no_more_missing_values_are_said_once(learnt: Reference) -> None:
    found = said(improvements(learnt), learnt, 0, 300)

    assert [(name, which) for _, name, which in found] == [("holes", MISSING)]
    assert found[0][0] >= 2  # not of one pane


def test_as_many_as_ever_are_not(learnt: Reference) -> None:
    assert said(improvements(learnt), learnt, 5, 300) == []


def test_they_are_said_again_after_a_relapse(learnt: Reference) -> None:
    found = improvements(learnt)
    assert len(said(found, learnt, 0, 200)) == 1
    assert said(found, learnt, 5, 200) == []

    assert len(said(found, learnt, 0, 200)) == 1


def test_values_where_there_were_none_are_an_improvement(learnt: Reference) -> None:
    found = improvements(learnt)
    nothing = np.zeros(len(learnt.names), dtype=np.int64)
    points = [found.follow(nothing, nothing, ROWS) for _ in range(20)]

    assert np.any(points, axis=0)[learnt.names.index("empty"), MISSING]
    assert not np.any(points, axis=0)[:, UNSEEN].any()
    assert np.isfinite(found.values).all()
