"""Whether charts warn as seldom as promised: what does not is suspect, until it has long been quiet."""

import numpy as np

from detectors.charts.selfcheck import MEMORY_NS, SelfCheck
from tests.charted import WINDOW, Charted, fitted, seeded

LIMITS = np.array([12.0, 12.0, 12.0, 12.0, 6.0])
CHARTS = np.full(5, 200)
MEMORY = MEMORY_NS // WINDOW


def test_as_many_warnings_as_chance_brings_are_no_cause() -> None:
    rng, check = seeded(), SelfCheck(LIMITS, WINDOW)
    for _ in range(3 * MEMORY):
        check.follow(int(rng.poisson(CHARTS @ check.chances)), CHARTS)
        assert not check.suspect


def test_far_more_than_that_are_and_for_long_after() -> None:
    check = SelfCheck(LIMITS, WINDOW)
    many = 4 * float(CHARTS @ check.chances)
    for _ in range(MEMORY):
        check.follow(round(many), CHARTS)
    assert check.suspect

    check.follow(0, CHARTS)
    assert check.suspect  # it takes a while
    for _ in range(3 * MEMORY):
        check.follow(0, CHARTS)
    assert not check.suspect


def test_a_handful_of_warnings_is_no_cause() -> None:
    """Ten at once, where hardly one is due: one incident may bring them."""
    check = SelfCheck(LIMITS, WINDOW)
    check.follow(10, np.ones(5))

    assert not check.suspect


def test_how_many_are_due_is_said() -> None:
    check = SelfCheck(LIMITS, WINDOW)

    assert check.follow(0, np.array([100, 0, 0, 0, 0])) == 100 * check.chances[0]
    assert (check.chances > 0).all()
    assert (check.chances < 0.01).all()


def clustered(rng: np.random.Generator, panes: int, features: int, phi: float, size: int = 100) -> np.ndarray:
    """Numbers float64[panes, size, features] whose panes share a level: their means vary more than rows would."""
    levels = rng.normal(size=(panes, 1, features)) * phi
    return np.asarray(levels + rng.normal(size=(panes, size, features)) * np.sqrt(1 - phi**2))


def suspected(phi: float, panes: int = 500, features: int = 30) -> bool:
    """A reference of independent rows, and traffic whose rows come in clusters; asked for a page a day."""
    rng = seeded()
    names = [f"x{at}" for at in range(features)]
    learnt = fitted(rng, dict(zip(names, rng.normal(size=(features, 40_000)), strict=True)))
    charted = Charted(learnt, per_month=30.0)
    for rows in clustered(rng, panes, features, phi):
        charted.feed(dict(zip(names, rows.T, strict=True)))
    seen, due = charted.points[-1].of_late
    print("warnings", seen, "due", due, "firing", charted.points[-1].firing.sum())
    return charted.points[-1].suspect


def test_traffic_that_depends_where_the_reference_did_not_is_suspect() -> None:
    """Means vary twice as much as the reference promised."""
    assert suspected(phi=0.2)


def test_traffic_like_the_reference_is_not() -> None:
    assert not suspected(phi=0.0)


def test_a_drift_of_many_features_is_no_fault_of_the_calibration() -> None:
    """They warn before they fire, up to a pane apart: that is not counted among the false ones."""
    rng = seeded()
    names = [f"x{at}" for at in range(40)]
    learnt = fitted(rng, dict(zip(names, rng.normal(size=(40, 40_000)), strict=True)))
    charted = Charted(learnt)
    for pane in range(60):
        charted.feed(dict(zip(names, rng.normal(0.4 if pane >= 20 else 0.0, size=(40, 100)), strict=True)))

    assert charted.points[-1].firing.any(axis=1).all()
    assert sum(point.warned for point in charted.points) > 25  # which the counter does count
    assert not any(point.suspect for point in charted.points)
    assert max(point.of_late[0] for point in charted.points) < 10
