"""Windows whose rows share a level: the more rows, the further they go, and the charts allow for it hour by hour."""

import numpy as np
import pytest

from detectors import Reference
from tests.charted import HOUR, MONDAY, WINDOW, Charted, seeded

DAYS = 10
BY_DAY, BY_NIGHT = 200, 50  # both enough to be judged alone, whatever their design effect


def rows_at(at: int) -> int:
    return BY_DAY if 8 <= at // HOUR % 24 < 18 else BY_NIGHT


def values(rng: np.random.Generator, rows: int, level: float) -> np.ndarray:
    return rng.normal(size=rows) + level * rng.normal()


def learnt(rng: np.random.Generator, level: float) -> Reference:
    starts = MONDAY + np.arange(DAYS * 288) * WINDOW
    counts = [rows_at(at) for at in starts.tolist()]
    table = {"x": np.concatenate([values(rng, rows, level) for rows in counts])}
    return Reference.fit(table, timestamps=np.repeat(starts, counts), window_ns=WINDOW)


@pytest.mark.parametrize("level", [0.0, 0.3])
def test_what_a_row_adds_is_the_variance_of_the_level(level: float) -> None:
    found = learnt(seeded(), level).calibration
    assert found is not None
    sd, overdispersion = found.features[0].sd[0], found.features[0].overdispersion[0]

    for rows in (BY_NIGHT, BY_DAY):
        assert sd * (1 + overdispersion * rows) ** 0.5 == pytest.approx((1 + level**2 * rows) ** 0.5, rel=0.25)
    assert (overdispersion > 0) == (level > 0)
    assert (
        type(found).from_dict(found.to_dict(), found.cells.layout).features[0].overdispersion
        == found.features[0].overdispersion
    )


def test_the_day_deviates_as_the_night_does() -> None:
    """One deviation for all hours would be too small by day, where it pages, and too large by night."""
    rng = seeded()
    charted = Charted(learnt(rng, 0.3), per_month=0.05)
    u: dict[int, list[float]] = {BY_DAY: [], BY_NIGHT: []}
    for _ in range(4 * 288):
        rows = rows_at(charted.at)
        step = charted.feed({"x": values(rng, rows, 0.3)})
        deviation = charted.charts.design.deviation(np.array([float(rows)]))[0, 0]
        if step.judged[0]:
            u[rows].append(float(step.effects[0, 0] * rows**0.5 / deviation))

    assert not any(step.any_firing for step in charted.points)
    assert {rows: np.std(found) for rows, found in u.items()} == {rows: pytest.approx(1.0, abs=0.3) for rows in u}
