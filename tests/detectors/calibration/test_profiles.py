"""Charts read the reference's own profiles, in 32 bits, an hour at a time: what they find is what 64 bits would have them find."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from detectors import Reference
from detectors.calibration import Calibration
from detectors.calibration.seasons import WEEK, between, hours
from detectors.charts import BudgetSpec, Charts
from detectors.charts.design import GAUSSIAN
from detectors.charts.evidence import SubgroupCounts, weigh
from detectors.features import Floats
from tests.charted import HOUR, MONDAY, WINDOW, seeded

ROWS = 1_000_000


def weekly(rng: np.random.Generator) -> Reference:
    """Fifteen days of 60 rows an hour, in which Sundays differ and one feature does not."""
    times = np.repeat(np.arange(15 * 24, dtype=np.int64) * HOUR, 60)
    sunday = hours(times, WEEK) >= 6 * 24
    columns = {"x": rng.normal(size=times.size) + 2 * sunday, "even": rng.normal(size=times.size)}
    plan = np.where(rng.random(times.size) < np.where(sunday, 0.5, 0.2), "a", "b")
    return Reference.fit({**columns, "plan": plan}, timestamps=times, window_ns=HOUR)


def exact(found: Calibration, rng: np.random.Generator) -> tuple[dict[str, Any], list[Floats | None]]:
    """A calibration whose counts need all 64 bits, as JSON, and these."""
    content = found.to_dict()
    counts = [
        None if one.profile is None else one.profile * (1 + rng.random(one.profile.shape)) for one in found.features
    ]
    for one, profile in zip(content["features"].values(), counts, strict=True):
        one["profile"] = None if profile is None else profile.tolist()
    return content, counts


def by_hand(charts: Charts, exactly: list[Floats | None], start: int) -> tuple[Floats, Floats]:
    """Shares between the middles of two hours, and the rows that they rest on, in 64 bits."""
    plan, at = charts.design, between(start + WINDOW // 2, WEEK)
    shares, resting, late = plan.shares.copy(), plan.rows.copy(), float(at.share)
    for row, counts in enumerate(exactly):
        if counts is not None:
            low, high = counts[at.low], counts[at.high]
            shares[row, : low.size] = low / low.sum() * (1 - late) + high / high.sum() * late
            resting[row] = 1 / ((1 - late) ** 2 / low.sum() + late**2 / high.sum())
    return shares, resting


def missed(charts: Charts, start: int) -> Floats:
    found = np.zeros((len(charts.design.shares), 3))
    for row, one in enumerate(charts.design.calibration.features):
        if one.lack_of_fit is not None:
            found[row] = one.lack_of_fit[int(hours(start + WINDOW // 2, WEEK))]
    return found


@pytest.mark.parametrize("minute", [5, 30, 55])
def test_a_step_of_a_million_rows_is_that_of_64_bits(minute: int) -> None:
    rng = seeded()
    reference = weekly(rng)
    assert reference.calibration is not None
    content, exactly = exact(reference.calibration, rng)
    charts = Charts(replace(reference, calibration=Calibration.from_dict(content, reference.layout)), BudgetSpec())
    none, every = np.zeros(len(exactly), dtype=np.int64), np.ones(len(exactly), dtype=np.bool_)
    for hour in rng.integers(0, WEEK, 20).tolist():
        start = MONDAY + hour * HOUR + minute * HOUR // 60
        shares, resting = by_hand(charts, exactly, start)
        cells = rng.multinomial(ROWS, shares)

        point = charts.judge(cells, none, none, ROWS, start, start + WINDOW)

        fold = charts.design.cells.fold
        counted = SubgroupCounts(fold(cells).astype(np.float64), fold(ROWS * shares), resting, missed(charts, start))
        found = weigh(charts.design, counted, every)
        assert point.judged.all()
        z = point.z[:, :GAUSSIAN]
        assert (np.abs(z - found.z) <= 1e-5 * np.maximum(np.abs(found.z), 1)).all()
