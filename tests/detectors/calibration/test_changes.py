"""What a reference says against itself: nothing of usual days, and by name what leaks, steps, trends, is odd or wanders."""

import json
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy import signal, special, stats

from detectors import Reference
from detectors.calibration import MergedCells
from detectors.calibration.changes import unsteady
from detectors.calibration.days import OwnWindows
from detectors.calibration.feature import FeatureCalibration
from detectors.calibration.seasons import WEEK
from detectors.calibration.unsteady import STEADY, Unsteady
from detectors.features import Floats
from tests.charted import HOUR, MONDAY, seeded

A_DAY = 24  # windows of an hour
DAYS = 14
FEATURES = 8
ROWS = 200


@cache
def cells() -> MergedCells:
    """Eight standard normal numbers, sixteen cells each."""
    values = stats.norm.ppf((np.arange(20_000) + 0.5) / 20_000)
    reference = Reference.fit({f"f{at}": values for at in range(FEATURES)})
    return MergedCells.of(reference.layout, reference.counts, 1000.0)


def windows_of(rng: np.random.Generator, shift: Floats, spread: Floats | None = None) -> OwnWindows:
    """Hourly windows of normal numbers whose means are `shift` float64[k, f] and whose deviations are `spread`, 1."""
    count, wide = len(shift), np.ones_like(shift) if spread is None else spread
    held = np.zeros((count, FEATURES, cells().width), dtype=np.uint32)
    for at in range(FEATURES):
        below = special.ndtr((cells().rungs(at) - shift[:, [at]]) / wide[:, [at]])
        shares = np.diff(np.hstack([np.zeros((count, 1)), below, np.ones((count, 1))]), axis=1)
        held[:, at] = rng.multinomial(ROWS, shares)
    starts = MONDAY + np.arange(count, dtype=np.int64) * HOUR
    return OwnWindows(cells(), held, np.full(count, float(ROWS)), starts, starts + HOUR // 2)


def found(windows: OwnWindows, season: int = 0) -> Unsteady:
    learnt = [FeatureCalibration(season=season)] * FEATURES
    return unsteady(windows, learnt, windows.cells.sum(axis=0, dtype=np.int64))


def of_days(values: Floats) -> Floats:
    """Levels of days, float64[n, f], by the hour."""
    return np.repeat(values, A_DAY, axis=0)


def days(rng: np.random.Generator, sd: float, count: int = DAYS) -> Floats:
    return sd * rng.normal(size=(count, FEATURES))


def only_first(values: Floats) -> Floats:
    """The same change of a day, float64[n], in the first feature alone."""
    return np.outer(values, np.arange(FEATURES) == 0)


def last(count: int) -> Floats:
    return np.asarray(np.arange(DAYS) >= DAYS - count, dtype=np.float64)


# --- days ---------------------------------------------------------------------------------------------------------------


def test_days_are_those_of_the_zone_of_the_hours() -> None:
    """In Auckland, twelve hours ahead, a local day is no day of Greenwich."""
    rng, ahead = seeded(), 12
    odd = only_first(np.asarray(np.arange(DAYS) == 5) * 3.0)
    here = windows_of(rng, of_days(days(rng, 0.05) + odd))
    there = replace(here, starts=here.starts - ahead * HOUR, middles=here.middles - ahead * HOUR, timezone="Etc/GMT-12")
    told, same = found(there), found(here)

    assert [each.day for each in told.odd_days] == [each.day for each in same.odd_days]
    assert any(each.day == MONDAY + 5 * A_DAY * HOUR for each in told.odd_days)


def test_a_step_at_local_midnight_is_told_as_a_time() -> None:
    rng, ahead = seeded(), 12
    here = windows_of(rng, of_days(days(rng, 0.05) + only_first(last(5))))
    there = replace(here, starts=here.starts - ahead * HOUR, middles=here.middles - ahead * HOUR, timezone="Etc/GMT-12")
    [step] = [each for each in found(there).drifting if each.feature == "f0"]

    assert step.since == MONDAY + ((DAYS - 5) * A_DAY - ahead) * HOUR


# --- chance -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sd", [0.0, 0.1, 0.3])
def test_days_that_vary_by_nature_are_no_drift(sd: float) -> None:
    """In about 0.3 % of such references something is said to change, of all features together; 1 % is promised."""
    rng = seeded()
    told = [found(windows_of(rng, of_days(days(rng, sd)))) for _ in range(30)]

    assert sum(bool(one.drifting) for one in told) <= 4
    assert sum(bool(one.odd_days) for one in told) <= 4
    assert sum(bool(one.wandering) for one in told) <= 4


def test_days_that_lean_on_the_day_before_are_hardly_ever_drift() -> None:
    rng = seeded()
    told = []
    for _ in range(30):
        leaning = signal.lfilter([np.sqrt(1 - 0.5**2)], [1, -0.5], rng.normal(size=(4 * DAYS, FEATURES)), axis=0)
        told.append(found(windows_of(rng, of_days(0.2 * leaning[-2 * DAYS :]))))

    assert sum(bool(one.drifting) for one in told) <= 8


def test_a_wave_of_the_day_is_no_change() -> None:
    rng = seeded()
    wave = 0.5 * np.sin(2 * np.pi * np.arange(DAYS * A_DAY) / A_DAY)[:, None]

    told = [found(windows_of(rng, of_days(days(rng, 0.05)) + wave)) for _ in range(4)]

    assert sum(bool(one.drifting) for one in told) <= 1


def test_an_outlying_day_is_no_step() -> None:
    """However far, and however many days there are."""
    rng, count = seeded(), 56
    odd = only_first(np.asarray(np.arange(count) == count - 1) * 3.0)
    told = [found(windows_of(rng, of_days(days(rng, 0.1, count) + odd))) for _ in range(3)]

    assert sum(each.feature == "f0" for one in told for each in one.drifting) <= 1
    assert all(one.odd_days[-1].deviations[0].feature == "f0" for one in told)


# --- changes ----------------------------------------------------------------------------------------------------------


def test_the_last_days_that_leaked_are_named() -> None:
    """Half a sigma in three of fourteen days, where days vary by a twentieth."""
    rng = seeded()
    told = [found(windows_of(rng, of_days(days(rng, 0.05) + only_first(0.5 * last(3))))) for _ in range(10)]
    leaks = [each for one in told for each in one.drifting if each.feature == "f0"]

    assert len(leaks) >= 6
    assert {(each.what, each.how) for each in leaks} == {("mean", "step")}
    assert {each.since for each in leaks} == {MONDAY + (DAYS - 3) * A_DAY * HOUR}
    assert np.median([each.shift for each in leaks]) == pytest.approx(0.5, abs=0.12)


@pytest.mark.parametrize("place", [3, 7, 11])
def test_a_step_is_found_where_it_is(place: int) -> None:
    rng = seeded()
    told = found(windows_of(rng, of_days(days(rng, 0.03) + only_first((np.arange(DAYS) >= place) * 1.0))))
    step = next(each for each in told.drifting if each.feature == "f0")

    assert step.since == MONDAY + place * A_DAY * HOUR
    assert 0.6 < step.shift < 1.2
    assert step.words.startswith("f0 changes inside the reference: mean +")
    assert step.words.endswith("Z on")


def test_a_trend_is_told_as_one() -> None:
    rng = seeded()
    line = np.linspace(0, 1, DAYS * A_DAY)
    told = found(windows_of(rng, of_days(days(rng, 0.02)) + only_first(line)))
    trend = next(each for each in told.drifting if each.feature == "f0")

    assert trend.how == "trend"
    assert trend.since == MONDAY
    assert 0.6 < trend.shift < 1.2
    assert "little by little" in trend.words


def test_another_spread_is_told_as_one() -> None:
    rng = seeded()
    wide = 1 + only_first(0.5 * last(5))
    told = found(windows_of(rng, of_days(days(rng, 0.02)), of_days(wide)))
    change = next(each for each in told.drifting if each.feature == "f0")

    assert (change.what, change.since) == ("spread", MONDAY + (DAYS - 5) * A_DAY * HOUR)
    assert change.shift > 0.2
    assert "spread +" in change.words


def test_what_differs_by_the_day_of_the_week_is_no_change_but_a_step_beside_it_is() -> None:
    rng = seeded()
    sunday = 0.5 * (np.arange(2 * DAYS) % 7 == 6)[:, None]
    step = only_first(0.8 * (np.arange(2 * DAYS) >= DAYS + 5))
    told = found(windows_of(rng, of_days(days(rng, 0.03, 2 * DAYS) + sunday + step)), WEEK)

    assert {each.feature: each.since for each in told.drifting}["f0"] == MONDAY + (DAYS + 5) * A_DAY * HOUR
    assert len(told.drifting) <= 2
    assert all(len(odd.deviations) <= 2 for odd in told.odd_days)


# --- odd days ---------------------------------------------------------------------------------------------------------


def test_odd_days_are_named_with_how_far_and_do_not_hide_each_other() -> None:
    rng = seeded()
    odd = only_first(np.isin(np.arange(DAYS), [4, 9]) * np.array([-0.8]))
    told = found(windows_of(rng, of_days(days(rng, 0.03) + odd)))

    by_day = {each.day: each for each in told.odd_days if each.deviations[0].feature == "f0"}
    assert by_day.keys() >= {MONDAY + 4 * A_DAY * HOUR, MONDAY + 9 * A_DAY * HOUR}
    first = by_day[MONDAY + 4 * A_DAY * HOUR]
    assert first.deviations[0].by == pytest.approx(-0.75, abs=0.2)
    assert first.words.startswith("1970-01-09 is unlike the other days: f0 mean -0.")


def test_a_day_of_many_features_is_one_line() -> None:
    rng = seeded()
    odd = np.outer(np.arange(DAYS) == 5, np.ones(FEATURES))
    told = found(windows_of(rng, of_days(days(rng, 0.03) + odd)))
    (day,) = [each for each in told.odd_days if each.day == MONDAY + 5 * A_DAY * HOUR]

    assert len(day.deviations) == FEATURES
    assert day.words.endswith(f"and {FEATURES - 3} more")


@pytest.mark.parametrize("length", [1, 2, 6, 12])
def test_half_a_day_at_either_end_is_not_unlike_the_other_days(length: int) -> None:
    """Mornings are high and afternoons low: half of a day shows that, and nothing else, whatever the windows."""
    rng = seeded()
    hours = np.arange(A_DAY // 2, (DAYS + 1) * A_DAY - A_DAY // 2)
    wave = 0.5 * np.sin(2 * np.pi * hours / A_DAY)[:, None] * np.ones(FEATURES)
    hourly = windows_of(rng, wave + of_days(days(rng, 0.03, DAYS + 1))[hours])
    starts = MONDAY + hours[::length] * HOUR
    of_length = hourly.cells.reshape(-1, length, *hourly.cells.shape[1:]).sum(axis=1, dtype=np.uint32)
    windows = OwnWindows(
        cells(), of_length, np.full(starts.size, float(ROWS * length)), starts, starts + length * HOUR // 2
    )

    told = [change.by for each in found(windows).odd_days for change in each.deviations]
    assert all(abs(by) < 0.2 for by in told), told  # by chance a day may be; half a day would be by 0.32


# --- what wanders -----------------------------------------------------------------------------------------------------


def real(rng: np.random.Generator, count: int = 28) -> dict[str, Floats]:
    """Hourly rows of numbers as models have them: some say more of their time than of their rows."""
    hour = np.repeat(np.arange(count * A_DAY), 50)
    price = np.cumsum(rng.normal(size=count * A_DAY))
    return {
        "price": price[hour] + 0.1 * rng.normal(size=hour.size),
        "counter": np.arange(hour.size, dtype=np.float64),
        "usual": rng.normal(size=hour.size),
        "days": rng.normal(size=hour.size) + np.repeat(rng.normal(size=count), A_DAY)[hour],
    }


def test_prices_and_counters_are_named_and_usual_days_are_not() -> None:
    rng, told = seeded(), []
    for _ in range(6):
        table = real(rng)
        times = MONDAY + np.arange(table["usual"].size, dtype=np.int64) * (HOUR // 50)
        calibration = Reference.fit(table, timestamps=times, window_ns=HOUR).calibration
        assert calibration is not None
        told.append({each.feature: each for each in calibration.unsteady.wandering})
        assert "counter" not in {each.feature for each in calibration.drifting}

    assert {one["counter"].how for one in told} == {"rises"}
    assert "baseline: trailing 28d" in told[0]["counter"].words
    assert sum("price" in one for one in told) >= 1
    assert all("usual" not in one for one in told)
    assert sum("days" in one for one in told) <= 3


# --- saved ------------------------------------------------------------------------------------------------------------


def test_it_is_read_as_it_was_written() -> None:
    rng = seeded()
    odd = only_first((np.arange(DAYS) == 4) * 1.0) + np.outer(last(5), np.arange(FEATURES) == 1)
    told = found(windows_of(rng, of_days(days(rng, 0.03) + odd)))

    assert told.drifting
    assert told.odd_days
    assert Unsteady.from_dict(json.loads(json.dumps(told.to_dict()))) == told


def test_an_older_file_has_only_steps() -> None:
    told = Unsteady.from_dict({"drifting": [["x", 5, 0.3, "mean"]]})

    assert [(each.feature, each.how) for each in told.drifting] == [("x", "step")]
    assert told.to_dict() == {"drifting": [["x", 5, 0.3, "mean"]]}
    assert STEADY.to_dict() == {"drifting": []}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"drifting": [["y", 5, 0.3, "mean"]]}, "drifting names"),
        ({"drifting": [], "odd_days": [[2**62, [["x", 0.3, "mean"]]]]}, "odd_days names"),
        ({"drifting": [], "wandering": [["y", 0.3, "rises"]]}, "wandering names"),
        ({"drifting": [["x", 5, float("nan"), "mean"]]}, "must be finite"),
        ({"drifting": [["x", 5, 0.3, "colour"]]}, "what is"),
    ],
)
def test_what_is_damaged_is_refused(content: dict[str, list[list[object]]], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Unsteady.from_dict(content).check(["x"])


def test_a_choice_of_features_leaves_the_others_out() -> None:
    told = Unsteady.from_dict(
        {
            "drifting": [["x", 5, 0.3, "mean"], ["y", 5, 0.3, "mean"]],
            "odd_days": [[5, [["x", 0.3, "mean"], ["y", 0.2, "mean"]]], [6, [["x", 0.3, "mean"]]]],
            "wandering": [["x", 0.9, "rises"]],
        }
    ).select({"y"})

    assert [each.feature for each in told.drifting] == ["y"]
    assert [(odd.day, [each.feature for each in odd.deviations]) for odd in told.odd_days] == [(5, ["y"])]
    assert told.wandering == ()
