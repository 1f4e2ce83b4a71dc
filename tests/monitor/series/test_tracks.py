"""How near features came: what is kept of it, for how long, and that a restart forgets none of it."""

import math

import numpy as np
import pytest

from detectors import DriftScore
from monitor.alerting.table import ScoreTable
from monitor.facts import FeaturesTracked
from monitor.series.records import Entry
from monitor.series.tracks import HIGHEST, HOURS, KEPT_POINTS, WINDOWS, TrackKeeper, bounded, nearness, read_points
from tests.build import DAY, HOUR, MINUTE, RULE, at, make_pipeline, of, play, restored, score_table

WINDOW = 5 * MINUTE


def table(value: float | None, threshold: float | None = 0.25) -> ScoreTable:
    return score_table(DriftScore("age", "psi", value, 100, threshold=threshold))


def followed(windows: int, keeper: TrackKeeper | None = None) -> TrackKeeper:
    keeper = keeper or TrackKeeper(1)
    for number in range(windows):
        keeper.add(number * WINDOW, (number + 1) * WINDOW, table(0.25 * (1 + number % 12)))
    return keeper


def near(keeper: TrackKeeper, kind: str) -> list[float]:
    points = keeper.windows if kind == WINDOWS else keeper.hours
    return read_points(points)[:, 0].tolist()


@pytest.mark.parametrize(
    ("value", "threshold", "expected"),
    [
        (0.5, 0.25, 2.0),
        (None, 0.25, math.nan),
        (0.5, None, math.nan),
        (0.5, 0.0, HIGHEST),
        (1e9, 0.25, HIGHEST),
        (-0.5, 0.25, 0.0),
    ],
)
def test_nearness_is_score_over_threshold_where_both_are_known(
    value: float | None, threshold: float | None, expected: float
) -> None:
    found = nearness([bounded(table(value, threshold))], 1)

    assert found.tolist() == [pytest.approx([expected], rel=1e-3, nan_ok=True)]


def test_of_several_detectors_the_nearest_counts() -> None:
    scores = [
        DriftScore("age", name, value, 9, threshold=1.0) for name, value in (("psi", 0.5), ("ks", 1.5), ("adwin", None))
    ]

    assert nearness([bounded(score_table(*scores))], 1).tolist() == [[1.5]]


def test_an_hour_is_the_most_of_its_windows() -> None:
    keeper = followed(25)

    assert near(keeper, WINDOWS)[:12] == list(range(1, 13))
    assert near(keeper, HOURS) == [12, 12, 1]
    assert [point.start for point in keeper.hours] == [0, HOUR, 2 * HOUR]


def test_what_is_kept_is_bounded_and_the_oldest_goes_from_the_state_too() -> None:
    keeper, rows = TrackKeeper(1), dict[tuple[str, int | None], Entry]()
    for number in range(9 * DAY // WINDOW):
        keeper.add(number * WINDOW, (number + 1) * WINDOW, table(0.25))
        for entry in keeper.changes():
            if entry.payload is None:
                del rows[entry.kind, entry.number]
            else:
                rows[entry.kind, entry.number] = entry
    count = {kind: sum(each == kind for each, _ in rows) for kind in (WINDOWS, HOURS)}

    assert count == KEPT_POINTS
    assert rows == {(entry.kind, entry.number): entry for entry in keeper.snapshot()}


def test_a_window_writes_two_rows_and_takes_at_most_two_away() -> None:
    keeper = followed(3_000)
    keeper.changes()
    keeper.add(3_000 * WINDOW, 3_001 * WINDOW, table(0.25))
    found = keeper.changes()

    assert sum(entry.payload is not None for entry in found) == 2
    assert sum(entry.payload is None for entry in found) <= 2
    assert sum(len(entry.payload or b"") for entry in found) == 2 * (8 + 2)  # an end, and two bytes a feature


def test_a_restart_goes_on_in_the_same_hour() -> None:
    keeper, fresh = followed(30), TrackKeeper(1)
    fresh.restore(keeper.snapshot())

    assert (fresh.windows, fresh.hours) == (keeper.windows, keeper.hours)
    assert followed(7, fresh).hours == followed(7, keeper).hours


def test_points_of_another_number_of_features_are_left_behind() -> None:
    fresh = TrackKeeper(2)
    fresh.restore(followed(5).snapshot())

    assert fresh.windows == ()


def test_a_pipeline_tells_each_window_and_after_a_restart_all_of_them() -> None:
    pipeline, fresh = make_pipeline(rules=[RULE]), make_pipeline(rules=[RULE])
    told = of(play(pipeline, "BCB"), FeaturesTracked)
    restored(pipeline, fresh)
    (again,) = of(fresh.current(), FeaturesTracked)
    age = again.features.index("age")

    assert again.windows == tuple(point for each in told for point in each.windows)
    assert (read_points(again.windows)[:, age] >= 1).tolist() == [True, False, True]
    assert not np.isfinite(read_points(again.windows)[:, again.features.index("plan")]).any()  # no rule asks for it
    assert at(0) == again.windows[0].start
