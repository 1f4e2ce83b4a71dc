"""What fires, as values: ranked by evidence, effect and importance."""

from typing import Any

import numpy as np
import pytest

from detectors import Reference
from detectors.charts import CHARTS, ChartPoint, FiringReader, IncidentKind
from detectors.charts.firing import strengths
from tests.charted import Charted, mixed, reference, seeded


@pytest.fixture(scope="module")
def learnt() -> Reference:
    return reference(seeded())


def fired(learnt: Reference, **changes: Any) -> tuple[Charted, ChartPoint]:
    """Charts in whose last panes columns hold other values."""
    rng, charted = seeded(), Charted(learnt)
    for number in range(12):
        table = mixed(rng, 100)
        if number >= 6:
            table |= {name: change(table[name]) for name, change in changes.items()}
        charted.feed(table)
    return charted, charted.points[-1]


def reader(charted: Charted, **importance: float) -> FiringReader:
    learnt = charted.charts.reference
    weights = np.array([importance.get(name, 1.0) for name in learnt.names])
    return FiringReader(learnt.layout, weights, charted.charts.design.subgroup_ns)


def test_the_largest_change_comes_first(learnt: Reference) -> None:
    charted, point = fired(learnt, normal=lambda x: x + 0.6, heavy=lambda x: x * 100, other=lambda x: x + 0.6)
    names = [found.feature for found in reader(charted).read(point)]

    assert names[0] == "heavy"
    assert set(names) == {"heavy", "normal", "other"}


def test_importance_weighs_in(learnt: Reference) -> None:
    charted, point = fired(learnt, normal=lambda x: x + 0.6, heavy=lambda x: x * 100)

    assert reader(charted, heavy=0.01).read(point)[0].feature == "normal"


def test_a_feature_that_drifts_and_is_broken_is_two_matters(learnt: Reference) -> None:
    """A number that grew a hundredfold has moved, and lies where the reference knows nothing."""
    charted, point = fired(learnt, heavy=lambda x: x * 100)
    found = reader(charted).read(point)

    assert {(one.feature, one.kind) for one in found} == {
        ("heavy", IncidentKind.DRIFT),
        ("heavy", IncidentKind.DATA_QUALITY),
    }
    assert {one.chart for one in found if one.kind is IncidentKind.DATA_QUALITY} == {"unseen"}


def test_one_subgroup_that_was_enough_speaks_twice_as_loud(learnt: Reference) -> None:
    _, point = fired(learnt, heavy=lambda x: x * 100)
    place = learnt.names.index("heavy")

    assert (strengths(point)[place][point.certain[place]] >= 2).all()
    assert strengths(point).shape == (len(learnt.names), len(CHARTS))


def test_nothing_fires_where_nothing_changes(learnt: Reference) -> None:
    charted, point = fired(learnt)

    assert reader(charted).read(point) == []
