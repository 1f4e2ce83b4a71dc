"""Local hours and days apart, by the charts: a change of clocks is nothing, a holiday that is named neither."""

import json
from datetime import datetime
from functools import cache
from typing import Any

import numpy as np
import pytest

from detectors import Reference
from detectors.calibration.clocks import HOUR_NS, local, local_days
from detectors.calibration.holidays import read_holidays
from detectors.charts import CHARTS
from detectors.features import Ints
from tests.charted import Charted, seeded

BERLIN = "Europe/Berlin"
ROWS = 1000
EASTER_MONDAY = "2026-04-06"
BEGIN, CHANGE, END = "2026-03-10T00:00+01:00", "2026-03-24T00:00+01:00", "2026-04-10T00:00+02:00"


def hours(begin: str, end: str) -> Ints:
    first, last = (int(datetime.fromisoformat(text).timestamp()) * 10**9 for text in (begin, end))
    return np.arange(first, last, HOUR_NS, dtype=np.int64)


def window(rng: np.random.Generator, at: int, odd: int = 0, by: float = 1.5, rows: int = ROWS) -> dict[str, np.ndarray]:
    """An hour of strong daily waves in local time; the odd local day is another."""
    shown = int(local(at, BERLIN))
    strange = int(local_days(at, BERLIN)) == odd
    level = np.sin(2 * np.pi * (shown % (24 * HOUR_NS)) / (24 * HOUR_NS)) + by * strange
    return {
        "x": rng.normal(level, size=rows),
        "plan": rng.choice(["a", "b"], rows, p=[0.7, 0.3] if strange else [0.3, 0.7]),
        "holes": np.where(rng.random(rows) < 0.02, np.nan, rng.normal(size=rows)),
    }


def fitted(begin: str, end: str, odd: int = 0, **options: Any) -> Reference:
    rng, starts = seeded(5), hours(begin, end)
    windows = [window(rng, int(at), odd, rows=300) for at in starts]
    table: dict[str, Any] = {name: np.concatenate([one[name] for one in windows]) for name in windows[0]}
    times = np.repeat(starts, 300) + np.tile(np.arange(300) * HOUR_NS // 300, starts.size)
    return Reference.fit(table, timestamps=times, window_ns=HOUR_NS, **options)


@cache
def learnt(timezone: str | None) -> Reference:
    return fitted(BEGIN, CHANGE, timezone=timezone)


def judged(of: Reference, begin: str, end: str, odd: int = 0, **plan: Any) -> Charted:
    starts, rng = hours(begin, end), seeded(7)
    charted = Charted(of, int(starts[0]), HOUR_NS, **plan)
    for at in starts.tolist():
        charted.feed(window(rng, at, odd))
    return charted


def fired(charted: Charted) -> int:
    return sum(point.any_firing for point in charted.points)


def test_a_change_of_clocks_is_nothing_where_hours_are_local() -> None:
    assert fired(judged(learnt(BERLIN), CHANGE, END)) == 0


def test_a_change_of_clocks_pages_where_they_are_not() -> None:
    assert fired(judged(learnt(None), CHANGE, END)) > 100


def test_a_change_of_clocks_inside_the_reference_blurs_no_profile() -> None:
    through = fitted("2026-03-22T00:00+01:00", "2026-04-05T00:00+02:00", timezone=BERLIN).calibration
    assert through is not None
    assert through.profile == "day"
    assert through.features[0].lack_of_fit is None
    assert through.features[0].sd[0] < 1.5


def test_exactly_seven_days_teach_a_profile() -> None:
    found = fitted("2026-03-10T00:00+01:00", "2026-03-17T00:00+01:00", timezone=BERLIN).calibration

    assert found is not None
    assert found.profile == "day"


def test_a_holiday_that_is_named_pages_nobody_and_the_day_after_is_judged_as_ever() -> None:
    [day] = read_holidays([EASTER_MONDAY])
    quiet = judged(learnt(BERLIN), CHANGE, END, day, holidays=(day,))
    loud = judged(learnt(BERLIN), CHANGE, END, day)

    assert fired(quiet) == 0
    assert fired(loud) > 10
    off = [point for point in quiet.points if point.holiday]
    assert len(off) == 24
    assert not any(point.judged.any() for point in off)
    assert quiet.points[-1].judged.all()
    before = quiet.points[quiet.points.index(off[0]) - 1].values
    location = quiet.place("x"), 0
    assert all(point.values[location] == before[location] for point in off)


def test_what_begins_on_a_holiday_is_found_after_it() -> None:
    [day] = read_holidays([EASTER_MONDAY])
    starts, rng = hours(CHANGE, END), seeded(9)
    charted = Charted(learnt(BERLIN), int(starts[0]), HOUR_NS, holidays=(day,))
    for at in starts.tolist():
        shift = 0.5 if int(local_days(at, BERLIN)) >= day else 0.0
        charted.feed(window(rng, at, int(local_days(at, BERLIN)) if shift else 0, by=shift))
    first = next(point for point in charted.points if point.any_firing)

    assert local_days(first.start, BERLIN) == day + 1
    assert (first.start - int(hours("2026-04-07T00:00+02:00", END)[0])) // HOUR_NS < 6


def test_missing_values_are_judged_on_a_holiday_too() -> None:
    [day] = read_holidays([EASTER_MONDAY])
    starts, rng = hours("2026-04-05T00:00+02:00", "2026-04-07T00:00+02:00"), seeded(11)
    charted = Charted(learnt(BERLIN), int(starts[0]), HOUR_NS, holidays=(day,))
    for at in starts.tolist():
        table = window(rng, at, day)
        if int(local_days(at, BERLIN)) == day:
            table["holes"][rng.random(ROWS) < 0.5] = np.nan
        charted.feed(table)

    assert charted.points[-1].firing[charted.place("holes")].tolist() == [name == "missing" for name in CHARTS]
    assert charted.points[-1].firing.sum() == 1


def test_a_holiday_in_the_reference_teaches_nothing() -> None:
    [day] = read_holidays(["2026-03-17"])
    named = fitted(BEGIN, CHANGE, day, timezone=BERLIN, holidays=["2026-03-17"])
    unnamed = fitted(BEGIN, CHANGE, day, timezone=BERLIN)
    assert named.calibration is not None
    assert unnamed.calibration is not None
    of, than = named.calibration.features[0], unnamed.calibration.features[0]

    assert of.sd[0] < 1.5
    assert of.slow[0] + 0.1 < than.slow[0]
    assert sum(of.on_holidays) == 24 * 300
    assert named.calibration.holidays == (day,)
    plan = Charted(named, 0, HOUR_NS).charts.design.shares[named.names.index("plan")]
    assert np.sort(plan[plan > 0]) == pytest.approx([0.3, 0.7], abs=0.02)  # as on all other days


def test_a_reference_keeps_zone_and_holidays() -> None:
    found = fitted(BEGIN, CHANGE, timezone=BERLIN, holidays=["2026-03-17", EASTER_MONDAY, "1999-01-01"])
    content = found.to_dict()
    again = Reference.from_dict(json.loads(json.dumps(content)))

    assert content["calibration"]["timezone"] == BERLIN
    assert content["calibration"]["holidays"] == ["2026-03-17", EASTER_MONDAY]
    assert again.hash == found.hash
    assert again.calibration is not None
    assert again.calibration.calendar.timezone == BERLIN
    assert again.select(["x"]).calibration.holidays == again.calibration.holidays  # type: ignore[union-attr]


def test_a_file_without_zone_or_holidays_is_read_as_utc() -> None:
    content = learnt(None).to_dict()

    assert not {"timezone", "holidays"} & content["calibration"].keys()
    assert not any("holidays" in feature for feature in content["calibration"]["features"].values())
    found = Reference.from_dict(content).calibration
    assert found is not None
    assert (found.timezone, found.holidays) == (None, ())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"timezone": "Europe/Berlim"}, "Europe/Berlim"),
        ({"holidays": "DE"}, "is no date"),
        ({"holidays": ["someday"]}, "is no date"),
        ({"holidays": [5]}, "damaged"),
    ],
)
def test_a_damaged_calendar_is_one_line(changes: dict[str, Any], said: str) -> None:
    content = learnt(None).to_dict()
    with pytest.raises(ValueError, match=said):
        Reference.from_dict(content | {"calibration": content["calibration"] | changes})


def rare(at: int, rng: np.random.Generator, rows: int = ROWS) -> dict[str, np.ndarray]:
    """An hour of what is rare and follows the local hour: an atom of a number, and rows of a flag."""
    angle = 2 * np.pi * (int(local(at, BERLIN)) % (24 * HOUR_NS)) / (24 * HOUR_NS)
    share = 0.03 + 0.025 * np.sin(angle)
    numbers = np.where(rng.random(rows) < share, 0.0, 1.0 + rng.gamma(2.0, size=rows) * np.exp(0.7 * np.sin(angle)))
    return {"spent": numbers, "flag": (rng.random(rows) < share).astype(np.float64)}


def test_what_is_rare_keeps_local_hours_too() -> None:
    rng, starts = seeded(13), hours(BEGIN, CHANGE)
    windows = [rare(at, rng) for at in starts.tolist()]
    table = {name: np.concatenate([each[name] for each in windows]) for name in windows[0]}
    of = Reference.fit(table, timestamps=np.repeat(starts, ROWS), window_ns=HOUR_NS, timezone=BERLIN)
    later = hours(CHANGE, END)
    charted, night = Charted(of, int(later[0]), HOUR_NS), seeded(15)
    for at in later.tolist():
        charted.feed(rare(at, night))

    assert of.calibration is not None
    assert [each.season for each in of.calibration.features] == [24, 24]
    assert fired(charted) == 0
