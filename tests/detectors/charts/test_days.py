"""Days on trial: what comes back is counted, what stays is not, and one day is one trial."""

from typing import Any

import numpy as np
import pytest

from detectors.calibration.clocks import DAY_NS, HOUR_NS
from detectors.charts.days import SURE, DayCheck
from detectors.features import Floats
from tests.charted import Charted, fitted, seeded

FEATURES = 10
LIMITS = np.array([9.0, 9.0, 9.0, 9.0, 4.5])
TOLERATED = 1.5  # standard errors, as floors are
PAGED = 5.0  # of a day on which a chart climbs


class Days:
    """A check that is fed with hours: where each feature's location stands on each day, in standard errors beyond what is tolerated."""

    def __init__(self, per_month: float = 1.0, hour: int = HOUR_NS, timezone: str | None = None) -> None:
        self.rng, self.at, self.hour = seeded(), 0, hour
        self.check = DayCheck(np.ones((FEATURES, 5), dtype=np.bool_), LIMITS, per_month, hour, timezone)
        self.firing = np.zeros(FEATURES + 1, dtype=np.bool_)

    def day(self, beyond: Floats | float = -TOLERATED, firing: tuple[int, ...] = ()) -> None:
        """One day; `firing` features fire, from its second half on where they did not before."""
        before = self.firing.copy()
        level = np.broadcast_to(np.asarray(beyond, dtype=np.float64), FEATURES)
        for hour in range(DAY_NS // self.hour):
            u = self.rng.normal(size=FEATURES) + level + TOLERATED
            z = np.full((FEATURES, 5), -TOLERATED)
            z[:, 0], z[:, 1] = u - TOLERATED, -u - TOLERATED
            late = hour >= DAY_NS // self.hour // 2
            self.firing = np.isin(np.arange(FEATURES + 1), firing) & (before | late)
            self.check.follow(z, np.ones(FEATURES, dtype=np.bool_), self.firing, self.at)
            self.at += self.hour

    def odd(self, *features: int) -> None:
        """A day on which these are far off."""
        self.day(np.where(np.isin(np.arange(FEATURES), features), PAGED / 2, -TOLERATED))


def test_days_like_any_other_are_no_cause() -> None:
    days = Days()
    for _ in range(60):
        days.day()

    assert not days.check.suspect
    assert days.check.seen.out == 0
    assert days.check.seen.days == 14


def test_days_that_differ_are_told_within_two_weeks() -> None:
    """One in three of them, as at five pages a month; then they cease."""
    days = Days()
    for day in range(12):
        if day % 3 == 0:
            days.odd(day % FEATURES)
        else:
            days.day()
    days.day()
    seen = days.check.seen
    assert days.check.suspect
    assert seen.out == 4
    assert seen.out_due == pytest.approx(12 * (2 / 30 + 0.02))
    assert (seen.firings, seen.alarmed) == (0, 0.0)

    for _ in range(30):
        days.day()
    assert not days.check.suspect


def test_firings_are_told_beside_what_was_due() -> None:
    days = Days()
    for _ in range(6):
        days.day(firing=(1,))
        days.day()
    days.day()
    seen = days.check.seen

    assert days.check.suspect
    assert (seen.days, seen.firings, seen.out) == (12, 6, 6)
    assert seen.due == pytest.approx(12 / 30)
    assert seen.alarmed == pytest.approx(0.25)


def test_what_stays_is_no_variation() -> None:
    """Ten features that have moved for good, one after the other, each a day before it fires."""
    days = Days()
    for day in range(20):
        moved = min(day // 2, FEATURES)
        days.day(np.where(np.arange(FEATURES) < moved, PAGED / 2, -TOLERATED), tuple(range(max(moved - 1, 0))))

    assert not days.check.suspect
    assert days.check.seen.out == 0
    assert (days.check.seen.firings, days.check.seen.alarmed) == (0, 1.0)


def test_what_settles_does_not_come_back() -> None:
    """Three features that have moved, each held to its new level from a day of its own on."""
    days = Days()
    for day in range(20):
        firing = tuple(range(max(day - 10, 0) // 2, 3))
        days.day(firing=firing)
        days.check.forget([place for place in range(3) if place not in firing])

    assert not days.check.suspect
    assert days.check.seen.out == 0


def test_all_that_moves_on_one_day_is_one_trial() -> None:
    alone, together = Days(), Days()
    for days, odd in ((alone, (3,)), (together, tuple(range(FEATURES)))):
        days.odd(*odd)
        days.day()
        days.day()

    assert alone.check.odds[0] == together.check.odds[0] > 0
    assert alone.check.seen.out == together.check.seen.out == 1


def test_a_larger_budget_allows_for_more_such_days() -> None:
    strict, loose = Days(per_month=1.0), Days(per_month=10.0)
    for days in (strict, loose):
        for day in range(14):
            days.odd(2) if day % 3 == 0 else days.day()

    assert strict.check.suspect
    assert not loose.check.suspect


def test_a_day_is_one_of_the_local_clock() -> None:
    days = Days(timezone="Asia/Kathmandu")
    days.at = 300 * DAY_NS - 11 * HOUR_NS // 2  # its midnight then
    for _ in range(3):
        days.day()

    assert days.check.seen.days == 2
    assert days.check.kept[-1, 3] == DAY_NS


def test_subgroups_longer_than_a_day_are_days() -> None:
    days = Days(hour=DAY_NS)
    days.check = DayCheck(np.ones((FEATURES, 5), dtype=np.bool_), LIMITS, 1.0, 7 * DAY_NS, None)
    z, none = np.full((FEATURES, 5), -1.0), np.zeros(FEATURES + 1, dtype=np.bool_)
    for week in range(4):
        days.check.follow(z, np.ones(FEATURES, dtype=np.bool_), none, week * 7 * DAY_NS)

    assert days.check.seen.days == 3
    assert days.check.seen.due == pytest.approx(3 * 7 / 30)


def hourly(levels: Floats, rng: np.random.Generator, rows: int) -> list[dict[str, Any]]:
    """Hours of six numbers whose level changes from day to day, float64[days, 6]."""
    return [{f"x{at}": rng.normal(level[at], size=rows) for at in range(6)} for level in levels for _ in range(24)]


def charted(sd: float, days: int, rows: int = 300) -> Charted:
    """Two weeks of a reference without variation between days, then days that vary so much."""
    rng = seeded(3)
    learnt = hourly(np.zeros((14, 6)), rng, rows)
    table = {name: np.concatenate([hour[name] for hour in learnt]) for name in learnt[0]}
    found = Charted(fitted(rng, table, rows, HOUR_NS), 14 * DAY_NS, HOUR_NS)
    for hour in hourly(rng.normal(size=(days, 6)) * sd, rng, rows):
        found.feed(hour)
    return found


def test_a_reference_that_understates_how_days_differ_is_told_within_two_weeks() -> None:
    found = charted(sd=0.08, days=14)
    point = found.points[-1]

    assert point.suspect
    assert point.days.suspect
    assert point.days.out >= 3 > point.days.out_due
    assert found.charts.days.odds[0] > SURE


def test_days_that_do_not_differ_are_no_cause() -> None:
    assert not charted(sd=0.0, days=20).points[-1].suspect


def test_a_state_of_an_earlier_version_begins_its_days_anew() -> None:
    found = charted(sd=0.08, days=4)
    fresh = charted(sd=0.0, days=0)
    arrays = found.charts._arrays()
    older = {name: array for name, array in arrays.items() if not name.startswith("days_")}
    found.charts._arrays = lambda: older  # type: ignore[method-assign]
    fresh.charts.restore(found.charts.to_bytes())

    assert fresh.charts.sums.values.tolist() == found.charts.sums.values.tolist()
    assert fresh.charts.days.seen.days == 0
