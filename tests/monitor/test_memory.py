"""What `driftd check` expects of the budget's charts in memory, beside what they take."""

import tracemalloc

import numpy as np

from detectors import Reference
from detectors.decision import ChartPlan
from monitor.alerting.judge import Judge, Judging
from monitor.alerting.retraining import RetrainPolicy
from monitor.commands import memory
from monitor.series import SeriesSpec
from monitor.stream.events import SECOND, SeriesKey
from monitor.stream.windows import WindowSpec

HOUR = 3600 * SECOND


def weekly(features: int) -> Reference:
    """Fifteen days of which Sundays differ, 60 rows an hour."""
    rng = np.random.default_rng(0)
    times = np.repeat(np.arange(15 * 24, dtype=np.int64) * HOUR, 60)
    sunday = (times // (24 * HOUR)) % 7 == 3
    columns = {f"f{at}": rng.normal(size=times.size) + 2 * sunday for at in range(features)}
    return Reference.fit(columns, timestamps=times, window_ns=HOUR)


def spec_of(reference: Reference, plan: ChartPlan | None) -> SeriesSpec:
    judging = Judging(reference, HOUR, plan=plan)
    return SeriesSpec(SeriesKey("m", "1"), WindowSpec(HOUR, HOUR, 0), judging, RetrainPolicy(0, 1))


def test_charts_that_follow_the_week_take_what_is_estimated() -> None:
    reference = weekly(60)
    assert reference.calibration is not None
    assert reference.calibration.kind == "week"
    without, spec = spec_of(reference, None), spec_of(reference, ChartPlan(step_ns=HOUR))
    Judge(spec.judging)  # what is made once, for any number of them

    tracemalloc.start()
    plain = Judge(without.judging)
    other, _ = tracemalloc.get_traced_memory()
    judge = Judge(spec.judging)
    both, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert plain.charts is None
    assert judge.charts is not None
    assert memory.charts([without]) == 0
    assert 1 / 1.5 < memory.charts([spec]) / (both - 2 * other) < 1.5
