"""Charts of another reference go on where those of an earlier one stood, of the features that both know alike."""

from dataclasses import replace

import numpy as np
import pytest

from detectors import Reference
from detectors.charts import BudgetSpec, Charts, LevelStep
from detectors.charts.takeover import alike, take_over
from detectors.reference.relearnt import relearnt, widened
from tests.charted import ROWS, Charted, Table, fitted, mixed, pane, seeded

OTHERS = ["other", "holes", "plan"]


@pytest.fixture(scope="module")
def rng() -> np.random.Generator:
    return seeded()


@pytest.fixture(scope="module")
def before(rng: np.random.Generator) -> Reference:
    return fitted(rng, kept(mixed(rng, 300 * ROWS)))


def kept(table: Table) -> dict[str, np.ndarray]:
    return {name: table[name] for name in ("normal", *OTHERS)}


def drawn(rng: np.random.Generator, shift: float = 0.0) -> dict[str, np.ndarray]:
    table = kept(mixed(rng, ROWS))
    return table | {"other": table["other"] + shift}


@pytest.fixture(scope="module")
def after(rng: np.random.Generator, before: Reference) -> Reference:
    """The same but for `normal`, which is learnt from other rows."""
    rows, wide = kept(mixed(rng, 5000)) | {"normal": rng.normal(3.0, 0.5, 5000)}, widened(before, "normal")
    return relearnt(wide, "normal", pane(wide, rows).row("normal"))


def test_what_is_learnt_anew_is_another_and_the_rest_is_known_alike(before: Reference, after: Reference) -> None:
    assert alike(before, after) == OTHERS
    assert after.hash != before.hash
    assert after.features["normal"].counts.sum() == after.rows
    assert after.features["normal"].mean == pytest.approx(3.0, abs=0.3)


def test_of_what_is_alike_the_charts_go_on_as_if_nothing_had_happened(
    rng: np.random.Generator, before: Reference, after: Reference
) -> None:
    earlier = Charted(before)
    for _ in range(30):
        earlier.feed(drawn(rng))
    later = Charted(after, start=earlier.at)

    assert take_over(later.charts, copied(earlier.charts), OTHERS, earlier.at) == OTHERS
    assert not later.charts.values[0].any()
    for _ in range(20):
        table = drawn(rng, 0.3)
        one, other = earlier.feed(table), later.feed(table)
        np.testing.assert_allclose(one.values[1:], other.values[1:], rtol=0.02, atol=0.02)  # thresholds differ a little
        assert (one.values[1:, :2].max(), other.values[1:, :2].max()) > (0, 0)


def test_what_fires_is_accepted_as_it_is_and_what_comes_back_is_told(
    rng: np.random.Generator, before: Reference, after: Reference
) -> None:
    earlier = Charted(before)
    for _ in range(40):
        earlier.feed(drawn(rng, 1.0))
    assert earlier.points[-1].firing[1].any()
    later = Charted(after, start=earlier.at)
    take_over(later.charts, copied(earlier.charts), OTHERS, earlier.at)

    assert [(each.place, each.step) for each in later.charts.levels.standing()] == [(1, LevelStep.ACCEPTED)]
    for _ in range(20):
        point = later.feed(drawn(rng, 1.0))
    assert not point.firing[1].any()
    for _ in range(20):
        point = later.feed(drawn(rng, 3.0))
    assert point.firing[1].any()


def test_features_are_found_by_their_names_wherever_they_stand(rng: np.random.Generator, before: Reference) -> None:
    earlier = Charted(before)
    for _ in range(20):
        earlier.feed(drawn(rng))
    some = before.select(["plan", "other"])
    charts = Charts(some, BudgetSpec())

    assert take_over(charts, copied(earlier.charts), OTHERS, earlier.at) == ["other", "plan"]
    np.testing.assert_array_equal(charts.sums.values, earlier.charts.sums.values[[1, 3]])


def test_of_another_length_of_subgroups_nothing_is_kept(before: Reference, after: Reference) -> None:
    assert after.calibration is not None
    long = replace(after, calibration=replace(after.calibration, window_ns=2 * after.calibration.window_ns))

    assert take_over(Charts(long, BudgetSpec()), Charts(before, BudgetSpec()), OTHERS, 0) == []


def copied(charts: Charts) -> Charts:
    """The same charts: what is taken over from accepts what fires."""
    again = Charts(charts.reference, BudgetSpec())
    again.restore(charts.to_bytes())
    return again
