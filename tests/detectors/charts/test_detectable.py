"""The smallest shift that is promised within a time is found in about that time."""

import numpy as np
import pytest

from detectors.charts import BudgetSpec
from detectors.charts.design import ChartDesign
from detectors.charts.detectable import detectable_shift
from tests.charted import DAY, HOUR, WINDOW, Charted, fitted, mixed, reference, seeded


@pytest.fixture
def rng() -> np.random.Generator:
    """A seed of its own each time."""
    return seeded()


def test_the_shift_named_as_found_within_a_day_is_found_in_about_a_day(rng: np.random.Generator) -> None:
    """Mean of twelve, in hours."""
    found = fitted(rng, {"x": rng.normal(size=90_000), "y": rng.normal(size=90_000)}, rows=100, window_ns=HOUR)
    assert found.calibration is not None, found.cold
    spec = BudgetSpec(pane_ns=HOUR)
    shift = float(detectable_shift(ChartDesign(found, found.calibration, spec), DAY)[0])

    delays = []
    for _ in range(12):
        charted = Charted(found, length=HOUR, pane_ns=HOUR)
        while len(charted.points) < 200:
            point = charted.feed({"x": rng.normal(shift, 1, 100), "y": rng.normal(size=100)})
            if point.firing[0].any():
                break
        delays.append(len(charted.points))

    assert 0.1 < shift < 0.5
    assert 24 / 2 < np.mean(delays) < 24 * 2


def test_what_has_no_location_chart_has_no_smallest_shift(rng: np.random.Generator) -> None:
    found = reference(rng)
    assert found.calibration is not None
    shifts = detectable_shift(ChartDesign(found, found.calibration, BudgetSpec(pane_ns=WINDOW)), DAY)
    by_name = dict(zip(found.names, shifts.tolist(), strict=False))

    assert by_name.keys() == mixed(rng, 1).keys() - {"plan", "only"}
    assert np.isinf([by_name["constant"], by_name["empty"]]).all()
    assert 0.05 < by_name["normal"] < 1
    sd = {name: feature.sd[0] for name, feature in zip(found.names, found.calibration.features, strict=True)}
    alike = by_name["normal"] / max(sd["normal"] / sd["holes"], 1.0)  # a deviation that chance made larger finds less
    assert alike < by_name["holes"] < 1.2 * by_name["normal"] + 0.1


def test_more_time_finds_smaller_shifts(rng: np.random.Generator) -> None:
    found = reference(rng)
    assert found.calibration is not None
    design = ChartDesign(found, found.calibration, BudgetSpec(pane_ns=WINDOW))
    hour, day, week = (detectable_shift(design, within)[0] for within in (HOUR, DAY, 7 * DAY))

    assert week < day < hour
    assert week > 0.05  # the floor
