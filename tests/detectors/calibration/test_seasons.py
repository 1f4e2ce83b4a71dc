"""The hour of the day and of the week: where one is in it, and what shares are then expected."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.calibration import seasons
from detectors.calibration.seasons import DAY, HOUR_NS, WEEK
from detectors.features import Floats, Ints
from tests.charted import MONDAY, WINDOW, seeded

TIMES = st.integers(0, 2**62)
MONDAY_MORNING = 1_795_392_000 * 10**9 + 9 * HOUR_NS  # 2026-11-23T09:00Z


def windows(days: int) -> Ints:
    """The middles of the windows of so many days, from a Monday on."""
    return np.asarray(MONDAY * 3 + WINDOW // 2 + np.arange(days * 288, dtype=np.int64) * WINDOW)


def test_a_week_begins_on_monday() -> None:
    assert seasons.hours(MONDAY_MORNING, WEEK) == 9
    assert seasons.hours(MONDAY_MORNING + 3 * 24 * HOUR_NS, WEEK) == 81
    assert seasons.hours(MONDAY_MORNING + HOUR_NS // 2, DAY) == 9.5


@given(TIMES, st.sampled_from([DAY, WEEK]))
def test_any_time_lies_between_two_hours(time: int, season: int) -> None:
    found = seasons.between(time, season)

    assert 0 <= found.low < season
    assert found.high == (found.low + 1) % season
    assert 0 <= found.share < 1


@given(TIMES, st.sampled_from([DAY, WEEK]))
def test_seasons_come_again(time: int, season: int) -> None:
    assert seasons.hours(time, season) == seasons.hours(time + season * HOUR_NS, season)


@given(TIMES, st.sampled_from([DAY, WEEK]), st.integers(1, 30))
def test_profiles_side_by_side_say_what_each_says_alone(start: int, season: int, quarters: int) -> None:
    """Of a span of up to seven hours: the hours' mean by their rows, and the most that any hour misses."""
    rng, end = np.random.default_rng(start % 1000), start + quarters * HOUR_NS // 4
    alone = [rng.integers(1, 2**20, (season, size)).astype(np.float32) for size in (5, 3)]
    lack_of_fit = rng.random((season, 3)).astype(np.float32)
    both = seasons.HourlyProfiles.of(season, [4, 7], alone, [None, lack_of_fit], 6)

    shares, rows, missed = both.expected(start, end)

    at = seasons.middles(start, end)
    for row, counts in enumerate(alone):
        each, behind = seasons.expected(counts.astype(np.float64), at, season)
        size = counts.shape[1]
        assert shares[row, :size] == pytest.approx((each * behind[:, None]).sum(axis=0) / behind.sum(), rel=1e-12)
        assert not shares[row, size:].any()
        assert rows[row] == pytest.approx(behind.sum(), rel=1e-12)
    hour = seasons.hours(at, season).astype(np.int64) % season
    assert not missed[0].any()
    assert missed[1].tolist() == lack_of_fit[hour].max(axis=0).tolist()


def test_shares_are_interpolated_between_the_middles_of_hours() -> None:
    counts = np.zeros((DAY, 2))
    counts[:] = [50.0, 50.0]
    counts[9] = [100.0, 0.0]

    at_middle, resting = seasons.expected(counts, 9 * HOUR_NS + HOUR_NS // 2, DAY)
    at_ten, fewer = seasons.expected(counts, 10 * HOUR_NS, DAY)
    assert at_middle == pytest.approx([1, 0])
    assert at_ten == pytest.approx([0.75, 0.25])
    assert resting == pytest.approx(100)
    assert fewer == pytest.approx(200)  # two hours say more than one


@given(st.lists(TIMES, min_size=1, max_size=20), st.sampled_from([DAY, WEEK]))
def test_expected_shares_add_up(times: list[int], season: int) -> None:
    counts = np.random.default_rng(season).integers(1, 100, size=(season, 5)).astype(np.float64)
    found, resting = seasons.expected(counts, np.array(times), season)

    assert found.sum(axis=1) == pytest.approx(np.ones(len(times)))
    assert (found > 0).all()
    assert (resting > 0).all()


def test_an_hour_without_rows_leans_on_its_parent() -> None:
    """The hour of a week on that of the day, the hour of the day on all."""
    cells, middles = np.array([[30.0, 10.0], [0.0, 40.0]]), MONDAY + np.array([0, HOUR_NS])
    day = seasons.profile(cells, middles, DAY, np.array([0.5, 0.5]))
    week = seasons.profile(cells, middles, WEEK, seasons.shares(day))

    assert day.shape == (DAY, 2)
    assert week.shape == (WEEK, 2)
    assert seasons.shares(day)[5] == pytest.approx([0.5, 0.5])
    assert seasons.shares(day)[0] == pytest.approx(
        [30.5 / 41, 10.5 / 41]
    )  # by one row: its neighbour is quite unlike it
    assert seasons.shares(week)[24] == pytest.approx(seasons.shares(day)[0])  # Tuesday at midnight, as any day


@pytest.mark.parametrize("law", [1.0, 10.0, 30.0])
def test_hours_lean_on_their_parent_by_as_much_as_they_are_alike(law: float) -> None:
    rng, parent = seeded(), np.array([0.4, 0.3, 0.2, 0.1])
    hours = rng.dirichlet(law * parent, WEEK)
    counts = np.array(
        [rng.multinomial(rows, shares) for rows, shares in zip([20, 200] * (WEEK // 2), hours, strict=True)]
    )

    assert seasons.pseudo_rows(counts.astype(np.float64), np.tile(parent, (WEEK, 1)), 1) == pytest.approx(
        law, rel=0.5, abs=0.5
    )


def test_hours_that_are_all_alike_lean_by_as_much_as_any_may() -> None:
    parent = np.array([0.4, 0.3, 0.2, 0.1])

    assert seasons.pseudo_rows(np.tile(500 * parent, (DAY, 1)), np.tile(parent, (DAY, 1)), 1) == pytest.approx(50)


def test_an_hour_of_few_rows_that_is_like_no_other_is_known_by_itself() -> None:
    """As the hour of the day is, where it is a feature: leaning on all others would put most of it elsewhere."""
    middles = MONDAY + np.arange(DAY) * HOUR_NS
    cells = np.eye(DAY) * np.where(np.arange(DAY) < 20, 3000.0, 100.0)[:, None]
    found = seasons.shares(seasons.profile(cells, middles, DAY, seasons.shares(cells.sum(axis=0))))

    assert found[22, 22] > 0.98


def sine(middles: Ints, season: int, size: float) -> Floats:
    return np.asarray(size * np.sin(2 * np.pi * seasons.hours(middles, season) / season))


@pytest.mark.parametrize(("days", "season"), [(14, DAY), (28, DAY), (28, WEEK)])
def test_what_follows_the_hour_is_seasonal(days: int, season: int) -> None:
    rng, middles = seeded(), windows(days)

    assert seasons.seasonal(rng.normal(size=middles.size) + sine(middles, season, 1.5), middles, season)


@pytest.mark.parametrize("season", [DAY, WEEK])
def test_chance_is_not(season: int) -> None:
    rng, middles = seeded(), windows(28)
    found = [seasons.seasonal(rng.normal(size=middles.size), middles, season) for _ in range(100)]

    assert sum(found) <= 2


@pytest.mark.parametrize("hours", [(8, 18), (9, 14)])
def test_traffic_of_a_few_hours_a_day_has_a_season_too(hours: tuple[int, int]) -> None:
    rng, middles = seeded(), windows(28)
    middles = middles[(seasons.hours(middles, DAY) >= hours[0]) & (seasons.hours(middles, DAY) < hours[1])]
    wave = 2 * np.sin(2 * np.pi * (seasons.hours(middles, DAY) - hours[0]) / (hours[1] - hours[0]))

    assert seasons.seasonal(rng.normal(size=middles.size) + wave, middles, DAY)
    assert sum(seasons.seasonal(rng.normal(size=middles.size), middles, DAY) for _ in range(100)) <= 2


def test_three_hours_a_day_are_no_season() -> None:
    middles = windows(28)
    middles = middles[seasons.hours(middles, DAY) < 3]

    assert not seasons.seasonal(np.floor(seasons.hours(middles, DAY)), middles, DAY)


def test_a_wave_of_another_length_is_not() -> None:
    """Seventeen hours: the same hour of the next day is elsewhere in it."""
    rng, middles = seeded(), windows(28)
    wave = 1.5 * np.sin(2 * np.pi * (middles / HOUR_NS) / 17.3)

    assert not seasons.seasonal(rng.normal(size=middles.size) + wave, middles, DAY)


def test_what_is_constant_or_short_is_not() -> None:
    assert not seasons.seasonal(np.ones(windows(14).size), windows(14), DAY)
    assert not seasons.seasonal(seeded().normal(size=288), windows(1), DAY)


@pytest.mark.parametrize("window_ns", [HOUR_NS, HOUR_NS // 2, HOUR_NS // 12])
@pytest.mark.parametrize("days", [7, 14])
def test_exactly_so_many_days_are_enough(days: int, window_ns: int) -> None:
    """Whatever the window, the first and the last of which were left out, and whichever way the span is taken."""
    starts = np.arange(0, days * DAY * HOUR_NS, window_ns)[1:-1]
    short = starts[: -6 * HOUR_NS // window_ns]

    assert seasons.enough(int(starts[-1] - starts[0]) + window_ns, days)
    assert seasons.enough(int(starts[-1] - starts[0]), days)
    assert not seasons.enough(int(short[-1] - short[0]) + window_ns, days)
