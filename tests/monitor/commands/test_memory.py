"""What `driftd check` expects of the budget's charts in memory, beside what they take."""

import gc
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from detectors import Reference
from detectors.calibration import Calibration
from detectors.charts import BudgetSpec, Charts
from detectors.sketches import GroupSizes
from monitor.alerting.retraining import RetrainPolicy
from monitor.commands import memory
from monitor.series.judging import Judging
from monitor.series.series import Series, SeriesSpec
from monitor.stream.events import SECOND, SeriesKey
from monitor.stream.windows import WindowSpec

HOUR = 3600 * SECOND

pytestmark = pytest.mark.serial


def weekly(features: int) -> Reference:
    """Fifteen days of which Sundays differ, 60 rows an hour."""
    rng = np.random.default_rng(0)
    times = np.repeat(np.arange(15 * 24, dtype=np.int64) * HOUR, 60)
    sunday = (times // (24 * HOUR)) % 7 == 3
    columns = {f"f{at}": rng.normal(size=times.size) + 2 * sunday for at in range(features)}
    return Reference.fit(columns, timestamps=times, window_ns=HOUR)


def spec_of(reference: Reference, plan: BudgetSpec | None) -> SeriesSpec:
    judging = Judging(reference, HOUR, plan=plan)
    return SeriesSpec(SeriesKey("m", "1"), WindowSpec(HOUR, HOUR, 0), judging, RetrainPolicy(0, 1))


def test_charts_that_follow_the_week_take_what_is_estimated() -> None:
    reference = weekly(60)
    assert reference.calibration is not None
    assert reference.calibration.kind == "week"
    without, spec = spec_of(reference, None), spec_of(reference, BudgetSpec(pane_ns=HOUR))
    Series(spec)  # what is made once, for any number of them

    tracemalloc.start()
    plain = Series(without)
    other, _ = tracemalloc.get_traced_memory()
    charted = Series(spec)
    both, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert [operator.name for operator in plain.features.operators] == [
        "adwin",
        "frozen",
        "lateness",
        "reachability",
        "no_data",
    ]
    assert [operator.name for operator in charted.features.operators] == [
        "adwin",
        "frozen",
        "charts",
        "lateness",
        "reachability",
        "no_data",
    ]
    assert memory.charts([without]) == 0
    assert 1 / 4 < (both - 2 * other) / memory.charts([spec]) < 1  # without the calibration, and what a step leaves


def test_profiles_take_what_is_estimated_and_charts_no_more() -> None:
    reference = weekly(60)
    assert reference.calibration is not None
    content, grid = reference.calibration.to_dict(), reference.layout
    Calibration.from_dict(content, grid)  # what is made once

    tracemalloc.start()
    calibration = Calibration.from_dict(content, grid)
    gc.collect()
    read, _ = tracemalloc.get_traced_memory()
    charts = Charts(replace(reference, calibration=calibration), BudgetSpec(pane_ns=HOUR))
    for hour in range(200):
        charts.design.expected(hour * HOUR, hour * HOUR + HOUR)
    gc.collect()
    both, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    profiles = memory.profile_bytes(reference)
    assert profiles >= 60 * 168 * 4 * calibration.cells.width
    assert profiles < read < profiles + 60 * memory.CHARTS_BYTES
    assert both - read < profiles / 2  # a copy would take as much again


@pytest.mark.parametrize(("rows", "kept"), [(100, 512), (30_000, 1024)])
def test_groups_of_a_pane_take_what_is_estimated(rows: int, kept: int) -> None:
    groups = GroupSizes()
    groups.update(np.full(rows, 7, dtype=np.uint64))

    assert groups.sums.nbytes == memory.COUNTING_GROUPS
    assert groups.packed().sums.nbytes == kept <= memory.KEPT_GROUPS
