"""What a reference's own windows teach: nothing where nothing is wrong, dependence, seasons, a drift of its own."""

import json
from typing import Any

import numpy as np
import pytest
from scipy import signal

from detectors import Reference
from detectors.calibration import Calibration, MergedCells, TooFewWindows, WindowCounts, calibrate
from detectors.calibration.arrival_rate import ArrivalRate, arrival_rate
from detectors.calibration.seasons import DAY, WEEK, hours
from detectors.features import Floats, Ints
from tests.charted import (
    HOUR,
    MINUTE,
    MONDAY,
    WINDOW,
    calibrated,
    fitted,
    mixed,
    normal_cells,
    reference,
    seeded,
    standard_normal,
    windows_of,
)

A_DAY = 288  # windows
TWO_WEEKS = 14 * A_DAY


def middles(windows: int) -> Ints:
    return np.asarray(MONDAY + WINDOW // 2 + np.arange(windows, dtype=np.int64) * WINDOW)


def normal(rng: np.random.Generator, windows: int, rows: int = 50) -> Floats:
    return rng.normal(size=(windows, rows))


def wave(windows: int, season: int, size: float) -> Floats:
    return np.asarray(size * np.sin(2 * np.pi * hours(middles(windows), season) / season))[:, None]


# --- chance -----------------------------------------------------------------------------------------------------------


def test_independent_rows_are_taken_as_independent() -> None:
    rng = seeded()
    found = [calibrated(normal(rng, 700)) for _ in range(40)]
    features = [one.features[0] for one in found]

    assert np.mean([one.sd == (1.0, 1.0) for one in features]) > 0.8
    assert np.mean([one.slow == (0.0, 0.0) for one in features]) > 0.8
    assert np.mean([one.shape_sd == 1.0 and one.shape_slow == 0 for one in features]) > 0.8
    assert sum(bool(one.drifting) for one in found) <= 3
    assert {one.kind for one in found} == {"pooled"}


def test_what_was_seen_is_said() -> None:
    found = calibrated(normal(seeded(), 102, 40))

    assert (found.windows, found.rows, found.window_ns) == (100, 40.0, WINDOW)
    assert found.span_ns == 100 * WINDOW  # the first and the last are left out: they may be cut off


def test_two_weeks_of_chance_have_no_season() -> None:
    rng = seeded()
    found = [calibrated(normal(rng, TWO_WEEKS, 30)).profile for _ in range(10)]

    assert found.count("none") >= 9


# --- dependence -------------------------------------------------------------------------------------------------------


def test_rows_that_lean_on_each_other_say_less() -> None:
    """The variance of the mean of an AR(0.8) of many rows is (1 + 0.8) / (1 - 0.8) = 9 times that of independent ones."""
    rng, phi = seeded(), 0.8
    rows = signal.lfilter([np.sqrt(1 - phi**2)], [1, -phi], rng.normal(size=600 * 200)).reshape(600, 200)
    found = calibrated(rows).features[0]

    assert 2.5 < found.sd[0] < 4.5
    assert 1.6 < found.sd[1] < 3.2  # squares lean less: (1 + 0.64) / (1 - 0.64)
    assert found.shape[0] > 1.05


def test_levels_that_wander_from_hour_to_hour_are_allowed_for() -> None:
    rng = seeded()
    levels = np.repeat(0.2 * rng.normal(size=TWO_WEEKS // 36), 36)[:, None]
    found = calibrated(normal(rng, TWO_WEEKS) + levels).features[0]

    assert 0.3 < found.slow[0] < 2.0  # sigma: an upper bound of what 112 hours of 0.2 show


# --- seasons ----------------------------------------------------------------------------------------------------------


def test_a_daily_wave_is_found() -> None:
    found = calibrated(normal(seeded(), TWO_WEEKS) + wave(TWO_WEEKS, DAY, 0.3))
    profile = found.features[0].profile

    assert found.kind == "day"
    assert profile is not None
    assert profile.shape == (DAY, found.cells.sizes[0])
    low = profile[:, 0] / profile.sum(axis=1)
    assert low[6] < low[18] / 1.5  # at six the wave is up, at eighteen down


def test_weekends_are_found() -> None:
    windows = 28 * A_DAY
    weekend = 0.5 * (hours(middles(windows), WEEK) >= 5 * 24)[:, None]
    found = calibrated(normal(seeded(), windows, 30) + weekend)

    assert found.kind == "week"
    assert not found.drifting


def test_a_wave_costs_no_allowance_once_it_is_known() -> None:
    found = calibrated(normal(seeded(), TWO_WEEKS) + wave(TWO_WEEKS, DAY, 0.3)).features[0]

    assert found.sd[0] < 1.4
    assert found.slow[0] < 0.1


def jumps(windows: int) -> Floats:
    """One sigma more from three to four each night, at once: what no line between hours can follow."""
    return np.asarray(1.0 * (hours(middles(windows), DAY).astype(int) == 3))[:, None]


def test_hours_that_jump_are_allowed_for_and_only_they() -> None:
    found = calibrated(normal(seeded(), TWO_WEEKS, 300) + jumps(TWO_WEEKS)).features[0]
    assert found.lack_of_fit is not None
    by_hour = found.lack_of_fit[:, 0].reshape(-1, DAY).max(axis=0)

    assert by_hour[[2, 3, 4]].max() > 0.4
    assert by_hour[8:].max() < 0.2
    assert found.sd[0] < 1.5


def numbers(found: Calibration) -> Floats:
    one = found.features[0]
    return np.array([*one.sd, *one.skew, *one.slow, *one.shape, one.shape_sd, one.shape_slow, *one.missing])


def test_one_odd_day_touches_no_hour() -> None:
    """A holiday in four weeks with a daily wave."""
    windows = 28 * DAY
    at = MONDAY + np.arange(windows) * HOUR
    odd = 1.5 * ((at - MONDAY) // (DAY * HOUR) == 9)
    daily = 0.5 * np.sin(2 * np.pi * hours(at + HOUR // 2, DAY) / DAY)
    found = calibrated(normal(seeded(), windows, 300) + (odd + daily)[:, None], HOUR)

    assert found.kind == "day"
    assert found.features[0].lack_of_fit is None
    assert np.isfinite(numbers(found)).all()


def test_where_every_hour_is_missed_all_windows_are_learnt_from() -> None:
    """A batch at each full hour, on top of a daily wave."""
    batch = 1.0 * (hours(middles(TWO_WEEKS), DAY) % 1 < 1 / 12)[:, None]
    found = calibrated(normal(seeded(), TWO_WEEKS, 300) + wave(TWO_WEEKS, DAY, 0.5) + batch)

    assert found.features[0].lack_of_fit is not None
    assert (found.features[0].lack_of_fit > 0).any(axis=1).all()
    assert np.isfinite(numbers(found)).all()


def test_a_misfit_that_is_not_finite_is_refused() -> None:
    found = calibrated(normal(seeded(), TWO_WEEKS, 300) + jumps(TWO_WEEKS))
    content = found.to_dict()
    content["features"]["x"]["misfit"][3][0] = float("nan")

    with pytest.raises(ValueError, match="misfit"):
        Calibration.from_dict(content, found.cells.layout)


def test_less_than_a_week_teaches_no_season() -> None:
    windows = 5 * A_DAY

    assert calibrated(normal(seeded(), windows) + wave(windows, DAY, 1.0)).kind == "pooled"


# --- a drift of its own -----------------------------------------------------------------------------------------------


def test_a_reference_that_drifts_is_said_to() -> None:
    windows, at = 1000, 600
    moved = 0.5 * (np.arange(windows) >= at)[:, None]
    found = calibrated(normal(seeded(), windows) + moved).drifting

    assert [one.feature for one in found] == ["x"]
    assert found[0].shift == pytest.approx(0.5, abs=0.15)
    assert abs(found[0].since - (MONDAY + at * WINDOW)) < 100 * WINDOW
    assert found[0].words.startswith("x changes inside the reference: mean +0.")
    assert found[0].words.endswith("Z on")


def test_what_is_learnt_from_is_compared_with_a_longer_reference() -> None:
    """Shares are those of all rows, of which the last thousand windows of six hours are learnt from."""
    rng, windows, rows = seeded(), 2000, 50
    late = np.repeat(np.arange(windows) >= 700, rows)
    plan = np.where(rng.random(late.size) < 0.3 + 0.2 * late, "a", "b")
    table = {"moves": rng.normal(size=late.size) + 0.3 * late, "steady": rng.normal(size=late.size), "plan": plan}
    found = fitted(rng, table, rows, 6 * HOUR).calibration
    assert found is not None
    said = {one.feature: one for one in found.drifting}

    assert said.keys() == {"moves", "plan"}
    assert said["moves"].shift == pytest.approx(0.21, abs=0.05)
    assert abs(said["plan"].shift) == pytest.approx(0.14, abs=0.03)
    assert said["plan"].what == "mix"
    assert said["moves"].since == said["plan"].since == MONDAY + 1001 * 6 * HOUR


# --- not enough -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("windows", "rows", "reason"),
    [
        (51, 50, r"^49 whole windows of 5m, at least 50 are needed$"),
        (3, 500, r"^1 whole windows of 5m, at least 50 are needed$"),
        (3, 83, r"^249 rows with a time, at least 250 are needed$"),
        (3, 84, r"^1 whole windows of 5m, at least 50 are needed$"),
        (100, 4, r"^4 rows in a window of 5m, at least 5 are needed$"),
        (1, 250, r"^one window of 5m holds more than half of the reference$"),
        (1, 2, r"^2 rows with a time, at least 250 are needed$"),  # whatever the window
        (1, 1, r"^1 row with a time, at least 250 are needed$"),
    ],
)
def test_too_few_windows_are_refused(windows: int, rows: int, reason: str) -> None:
    with pytest.raises(TooFewWindows, match=reason):
        calibrated(normal(seeded(), windows, rows))


def test_no_window_at_all_is_refused() -> None:
    cells = normal_cells()
    nothing = WindowCounts(MINUTE, *(np.zeros(0, dtype=np.int64) for _ in range(2)), np.zeros((0, 1, 16), np.uint32))

    with pytest.raises(TooFewWindows, match="0 rows with a time"):
        calibrate(nothing, cells, standard_normal().counts)


def test_a_window_over_half_of_the_reference_is_refused() -> None:
    cells, rng = normal_cells(), seeded()
    counts = windows_of(normal(rng, 100), cells)
    counts.cells[50] *= 200
    counts.rows[50] *= 200

    with pytest.raises(TooFewWindows, match="more than half"):
        calibrate(counts, cells, standard_normal().counts)


def test_a_fit_says_why_it_is_cold() -> None:
    found = fitted(seeded(), {"x": np.arange(500.0)}, rows=50)

    assert found.calibration is None
    assert "8 whole windows of 5m" in found.cold


# --- columns of every kind --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def learnt() -> Reference:
    return reference(seeded())


def test_columns_of_every_kind_are_calibrated(learnt: Reference) -> None:
    found = learnt.calibration
    assert found is not None
    found.check()

    assert len(found.features) == len(learnt.names)
    for one in found.features:
        assert np.isfinite(
            [*one.sd, *one.skew, *one.slow, *one.shape, one.shape_sd, one.shape_slow, *one.missing]
        ).all()
        assert min(one.sd) >= 1.0


def test_missing_values_that_come_in_runs_count_for_less() -> None:
    rng = seeded()
    holes = np.repeat(rng.random(300 * 10) < 0.1, 10)
    table = {"x": np.where(holes, np.nan, rng.normal(size=holes.size))}
    found = fitted(rng, table).calibration
    assert found is not None

    assert 5 < found.features[0].missing[0] < 25  # about ten


def test_traffic_is_learnt() -> None:
    rng = seeded()
    values, cells = rng.normal(size=(300, 80)), normal_cells(80)
    counts = windows_of(values, cells)
    factor = rng.integers(1, 4, size=300)
    spread = WindowCounts(
        WINDOW, counts.starts, counts.rows * factor, counts.cells * factor.astype(np.uint32)[:, None, None]
    )

    whole = standard_normal().counts
    steady, uneven = (calibrate(one, cells, whole).arrival_rate for one in (counts, spread))
    assert np.exp(steady.expected(MONDAY, MONDAY + WINDOW)) == pytest.approx(80)
    assert np.exp(uneven.expected(MONDAY, MONDAY + WINDOW)) == pytest.approx(160)
    assert steady.sd < 0.1 < uneven.sd


def nightly(rng: np.random.Generator, size: float, turns: int) -> ArrivalRate:
    """Rows of two weeks in which three windows from two o'clock on bring `size` times as many, in so many of the nights."""
    window = np.arange(TWO_WEEKS)
    batch = (window % A_DAY // 3 == 8) & (window // A_DAY < turns)
    return arrival_rate(rng.poisson(np.where(batch, size, 1) * 10_000).astype(np.float64), middles(TWO_WEEKS), WINDOW)


@pytest.mark.parametrize("size", [0.01, 10.0, 30.0])
def test_a_batch_of_every_night_is_learnt(size: float) -> None:
    found = nightly(seeded(), size, 14)
    night, day = (found.missed(at, at + WINDOW) for at in (MONDAY + 2 * HOUR, MONDAY + 12 * HOUR))

    assert night == pytest.approx(abs(np.log(size)), abs=0.5)
    assert day == 0
    assert found.missed(MONDAY, MONDAY + 6 * HOUR) == night
    assert ArrivalRate.from_dict(json.loads(json.dumps(found.to_dict()))) == found


@pytest.mark.parametrize(("size", "turns"), [(1.0, 14), (30.0, 1)])
def test_what_does_not_recur_is_no_batch(size: float, turns: int) -> None:
    found = nightly(seeded(), size, turns)

    assert found.lack_of_fit == ()
    assert found.to_dict().keys() == {"sd", "season", "level"}


@pytest.mark.parametrize(("column", "what"), [("plan", "mix"), ("holes", "missing")])
def test_a_reference_that_changes_says_when_and_what(column: str, what: str) -> None:
    """Another mix of categories, or more missing values, in the last quarter."""
    rng = seeded()
    table = mixed(rng, 40_000)
    table["plan"][30_000:] = rng.choice(np.array(["a", "b"]), 10_000, p=[0.7, 0.3])
    table["holes"][30_000:][rng.random(10_000) < 0.3] = np.nan
    calibration = fitted(rng, table).calibration
    assert calibration is not None
    found = {one.feature: one for one in calibration.drifting}

    assert found.keys() >= {"plan", "holes"}
    assert found[column].what == what
    assert abs(found[column].since - (MONDAY + 300 * WINDOW)) <= 40 * WINDOW
    assert "points" in found[column].words


# --- saved ------------------------------------------------------------------------------------------------------------


def same(one: Calibration, other: Calibration) -> bool:
    return json.dumps(one.to_dict()) == json.dumps(other.to_dict())


def test_it_is_read_as_it_was_written(learnt: Reference) -> None:
    assert learnt.calibration is not None
    saved = json.loads(json.dumps(learnt.calibration.to_dict()))
    again = Calibration.from_dict(saved, learnt.layout)

    assert same(again, learnt.calibration)
    assert all((one == other).all() for one, other in zip(again.cells.cuts, learnt.calibration.cells.cuts, strict=True))


def test_a_seasonal_one_too() -> None:
    found = calibrated(normal(seeded(), TWO_WEEKS) + wave(TWO_WEEKS, DAY, 0.3))

    assert same(Calibration.from_dict(json.loads(json.dumps(found.to_dict())), found.cells.layout), found)


def weekly(rng: np.random.Generator, features: int = 3) -> Reference:
    """Fifteen days, 60 rows an hour, in which Sundays differ; the last feature is the same at all hours."""
    times = np.repeat(np.arange(15 * 24, dtype=np.int64) * HOUR, 60)
    sunday = hours(times, WEEK) >= 6 * 24
    moved = {f"f{at}": rng.normal(size=times.size) + 2 * sunday for at in range(features - 1)}
    return Reference.fit({**moved, "even": rng.normal(size=times.size)}, timestamps=times, window_ns=HOUR)


def test_profiles_are_kept_once_and_side_by_side() -> None:
    found = weekly(seeded()).calibration
    assert found is not None
    (week,) = found.hours

    assert (week.season, week.which.tolist()) == (WEEK, [0, 1])
    assert week.counts.dtype == week.lacks_of_fit.dtype == np.float32
    assert not week.counts.flags.writeable
    for one, row in zip(found.features, week.counts, strict=False):
        assert one.profile is not None
        assert np.shares_memory(one.profile, week.counts)
        assert (one.profile == row).all()
        assert one.lack_of_fit is None or np.shares_memory(one.lack_of_fit, week.lacks_of_fit)
    assert found.features[2].profile is None


def test_hours_that_miss_nothing_take_nothing() -> None:
    learnt = calibrated(normal(seeded(), TWO_WEEKS, 300) + jumps(TWO_WEEKS))
    content = learnt.to_dict()
    content["features"]["x"]["misfit"] = np.zeros((learnt.features[0].season, 3)).tolist()
    zeros = Calibration.from_dict(content, learnt.cells.layout)

    assert learnt.hours[0].lacks_of_fit.nbytes > 0
    assert zeros.hours[0].lacks_of_fit.nbytes == 0
    assert zeros.features[0].lack_of_fit is None
    assert zeros.to_dict()["features"]["x"]["misfit"] is None


def test_a_choice_of_features_leaves_the_other_profiles_behind() -> None:
    reference = weekly(seeded())
    assert reference.calibration is not None
    less = reference.select(["f1", "even"]).calibration
    assert less is not None
    (whole,), (week,) = reference.calibration.hours, less.hours

    assert not np.shares_memory(week.counts, whole.counts)
    assert week.counts.nbytes * 2 == whole.counts.nbytes
    assert less.features[0].profile is not None
    assert less.features[0].profile.tolist() == whole.counts[1].tolist()


def test_an_older_file_of_exact_counts_is_read_and_its_hash_stays() -> None:
    """They were written in 64 bits; rounded once, they are what is written and hashed from then on."""
    rng = seeded()
    reference = weekly(rng)
    content = json.loads(json.dumps(reference.to_dict()))
    exact = {
        name: (np.array(one["profile"]) * (1 + 1e-9 * rng.random())).tolist()
        for name, one in content["calibration"]["features"].items()
        if one["profile"] is not None
    }
    for name, profile in exact.items():
        content["calibration"]["features"][name]["profile"] = profile
    older = Reference.from_dict(content)
    assert older.calibration is not None
    again = Reference.from_dict(json.loads(json.dumps(older.to_dict())))

    for one, profile in zip(older.calibration.features, exact.values(), strict=False):
        assert one.profile == pytest.approx(np.array(profile), rel=1e-6)
    assert older.hash == Reference.from_dict(content).hash == again.hash
    assert again.to_dict() == older.to_dict()


def test_counts_beyond_32_bits_are_refused() -> None:
    found = calibrated(normal(seeded(), TWO_WEEKS) + wave(TWO_WEEKS, DAY, 0.3))
    content = found.to_dict()
    content["features"]["x"]["profile"][3][0] = 1e39

    with pytest.raises(ValueError, match="the profile must hold finite counts"):
        Calibration.from_dict(content, found.cells.layout)


def test_some_features_keep_what_they_have_learnt(learnt: Reference) -> None:
    assert learnt.calibration is not None
    less = learnt.select(["plan", "zeros"])
    assert less.calibration is not None
    places = [learnt.names.index(name) for name in less.names]

    assert [one is learnt.calibration.features[at] for one, at in zip(less.calibration.features, places, strict=True)]
    assert same(Calibration.from_dict(less.calibration.to_dict(), less.layout), less.calibration)
    assert less.calibration.cells.merge(less.counts).sum(axis=1).tolist() == [30_000, 30_000]


def test_a_drift_of_a_feature_left_out_is_not_told() -> None:
    rng = seeded()
    moved = np.repeat(np.arange(400) >= 200, 50) * 0.8
    found = fitted(rng, {"x": rng.normal(size=20_000) + moved, "y": rng.normal(size=20_000)}, rows=50)

    assert found.calibration is not None
    assert "x" in {one.feature for one in found.calibration.drifting}
    without = found.select(["y"]).calibration
    assert without is not None
    assert "x" not in {one.feature for one in without.drifting}


def changed(content: dict[str, Any], **changes: Any) -> dict[str, Any]:
    feature = next(iter(content["features"]))
    return {**content, "features": {**content["features"], feature: {**content["features"][feature], **changes}}}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"sd": [0.0, 1.0]}, "deviations must be finite and above zero"),
        ({"sd": [float("nan"), 1.0]}, "deviations must be finite and above zero"),
        ({"sd": [1.0]}, "not enough values"),
        ({"cuts": [0, 5, 5]}, "cuts must be at most 16, rise"),
        ({"cuts": [0, 10**6]}, "cuts must be at most 16, rise"),
        ({"cuts": []}, "cuts must be at most 16, rise"),
        ({"season": 24}, "profile should have 24 hours"),
        ({"season": 23}, "profile"),
        ({"season": None}, "damaged"),
        ({"slow": [float("inf"), 0.0]}, "deviations must be finite"),
        ({"misfit": [[0.0, 0.0, 0.0]]}, "misfit"),
    ],
)
def test_a_damaged_one_is_refused_in_one_line(learnt: Reference, changes: dict[str, Any], reason: str) -> None:
    assert learnt.calibration is not None
    with pytest.raises(ValueError, match=reason) as refused:
        Calibration.from_dict(changed(learnt.calibration.to_dict(), **changes), learnt.layout)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("key", ["window_ns", "rows", "volume", "features", "drifting"])
def test_a_part_that_is_missing_is_named(learnt: Reference, key: str) -> None:
    assert learnt.calibration is not None
    content = learnt.calibration.to_dict()
    del content[key]

    with pytest.raises(ValueError, match=f"calibration is damaged: KeyError '{key}'"):
        Calibration.from_dict(content, learnt.layout)


@pytest.mark.parametrize(
    "volume",
    [
        {"sd": 0.0, "season": 0, "level": [1.0]},
        {"sd": float("nan"), "season": 0, "level": [1.0]},
        {"sd": 0.1, "season": 24, "level": [1.0]},
        {"sd": 0.1, "season": 0, "level": []},
        {"sd": 0.1, "season": 0, "level": [float("inf")]},
        {"sd": 0.1, "season": 7, "level": [1.0] * 7},
        {"sd": 0.1, "season": 0, "level": [1.0], "misfit": [1.0]},
        {"sd": 0.1, "season": 24, "level": [1.0] * 24, "misfit": [-1.0] * 24},
        {"sd": 0.1, "season": 24, "level": [1.0] * 24, "misfit": [float("inf")] * 24},
    ],
)
def test_damaged_traffic_is_refused(learnt: Reference, volume: dict[str, Any]) -> None:
    assert learnt.calibration is not None
    with pytest.raises(ValueError, match="volume"):
        Calibration.from_dict({**learnt.calibration.to_dict(), "volume": volume}, learnt.layout)


def test_cells_are_those_of_its_grid() -> None:
    """Cuts count places in a feature's row; merged, they must bring back every value."""
    rng = seeded()
    found = Reference.fit(mixed(rng, 3_000))
    cells = MergedCells.of(found.layout, found.counts, 100.0)

    assert cells.merge(found.counts).sum() == 3_000 * 10 - found.sketch.missing.sum()
