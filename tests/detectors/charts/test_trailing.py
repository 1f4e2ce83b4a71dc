"""What wanders by nature is compared with its own recent past: it is left alone where it goes, and a jump is still found."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors import Reference
from detectors.calibration import Calibration
from detectors.charts import Charts, Comparison, LevelStep
from detectors.charts.compared import Against
from detectors.features import Floats
from tests.charted import DAY, HOUR, MONDAY, Charted, seeded

ROWS = 200
DAYS = 14
JUMP = 3.0


def levels(rng: np.random.Generator, days: int, sd: float = 0.25) -> Floats:
    """A level that wanders by steps of a day's `sd`, an hour at a time."""
    return np.cumsum(rng.normal(0, sd / np.sqrt(24), days * 24))


def table(rng: np.random.Generator, level: Floats, rows: int = ROWS) -> dict[str, np.ndarray]:
    """Rows of some hours: a number of that level, one of which every row has the level itself, and one that stays."""
    each = np.repeat(level, rows)
    return {"price": each + rng.normal(size=each.size), "weather": each * 2, "age": rng.normal(size=each.size)}


@cache
def walk(days: int, seed: int) -> tuple[Reference, Floats, np.random.Generator]:
    """A reference of two weeks, and the path that goes on from there."""
    rng = np.random.default_rng(seed)
    path = levels(rng, DAYS + days)
    hours = np.repeat(np.arange(DAYS * 24), ROWS) * HOUR + np.tile(np.arange(ROWS) * (HOUR // ROWS), DAYS * 24)
    found = Reference.fit(table(rng, path[: DAYS * 24]), timestamps=MONDAY + hours, window_ns=HOUR)
    assert found.calibration is not None, found.cold
    return found, path[DAYS * 24 :], rng


def charted(of: Reference, **plan: object) -> Charted:
    return Charted(of, MONDAY + DAYS * DAY, HOUR, **plan)


def lived(charts: Charted, rng: np.random.Generator, path: Floats) -> None:
    for level in path:
        charts.feed(table(rng, np.array([level])))


def places(charts: Charts) -> list[str]:
    return [charts.reference.names[place] for place in charts.trailing.places.tolist()]


# --- which ---------------------------------------------------------------------------------------------------------------


def test_a_number_that_all_rows_of_a_time_share_is_compared_with_its_recent_past() -> None:
    found, _, _ = walk(0, 1)

    assert found.calibration is not None
    assert {each.feature: each.how for each in found.calibration.unsteady.wandering}["weather"] == "is shared"
    assert "weather" in places(charted(found).charts)
    assert "age" not in places(charted(found).charts)


def test_a_configuration_has_the_last_word() -> None:
    found, _, _ = walk(0, 1)
    reference, trailing = Comparison.parse("reference"), Comparison.parse("trailing 7d")

    assert places(charted(found, baseline=reference).charts) == []
    assert places(charted(found, baseline=reference, own_baselines={"age": trailing}).charts) == ["age"]
    assert places(charted(found, baseline=trailing).charts) == list(found.names)


@pytest.mark.parametrize("text", ["trailing 28d", "trailing 3d", "trailing 90d", "auto", "reference"])
def test_what_is_written_is_what_is_read(text: str) -> None:
    assert str(Comparison.parse(text)) == text


@pytest.mark.parametrize("text", ["", "trail", "trailing x", "trailing 12h", "trailing 2d", "trailing 91d", "auto 3d"])
def test_what_cannot_be_meant_is_refused_with_what_can(text: str) -> None:
    with pytest.raises(ValueError, match=r"baseline|duration"):
        Comparison.parse(text)


def test_trailing_alone_is_four_weeks() -> None:
    assert Comparison.parse("trailing") == Comparison(Against.TRAILING, 28)


# --- the recent past -------------------------------------------------------------------------------------------------------


def test_it_begins_with_the_last_days_of_the_reference() -> None:
    found, _, _ = walk(0, 1)
    state = next(each for each in charted(found).charts.trailing.standing() if found.names[each.place] == "weather")

    assert DAYS - 1 <= state.days <= DAYS
    assert state.wanted == 28
    assert abs(state.shift or 0.0) < 0.2
    assert not state.paused


def test_a_reference_that_kept_no_days_gives_all_of_it() -> None:
    found, _, _ = walk(0, 1)
    state = charted(found, own_baselines={"age": Comparison.parse("trailing 7d")}).charts.trailing.standing()[-1]

    assert state.days == 7


def test_where_it_wanders_to_it_is_left_alone_and_followed() -> None:
    """Beyond the range that it had in the reference, too."""
    found, path, _ = walk(45, 3)
    charts = charted(found)
    at = found.names.index("weather")
    lived(charts, seeded(), path)

    state = next(each for each in charts.charts.trailing.standing() if each.place == at)
    assert sum(bool(point.firing[at].any()) for point in charts.points) <= 24
    assert state.days == 28
    held = charts.charts.trailing.past[charts.charts.trailing.places.tolist().index(at), :, :-6]
    assert held.sum() == pytest.approx(28 * 24 * ROWS, rel=0.05)


def test_a_jump_of_a_number_that_wanders_is_found_and_not_learnt() -> None:
    found, path, _ = walk(12, 5)
    charts = charted(found, own_baselines={"price": Comparison.parse("trailing 28d")})
    rng, at = seeded(), found.names.index("price")
    lived(charts, rng, path[: 6 * 24])
    before = charts.charts.trailing.past.copy()
    lived(charts, rng, path[6 * 24 : 9 * 24] + JUMP)
    row = charts.charts.trailing.places.tolist().index(at)

    assert charts.points[-1].firing[at].any()
    assert charts.charts.trailing.standing()[row].paused
    new = charts.charts.trailing.past[row, :, :-6].sum() - before[row, :, :-6].sum()
    assert new <= 26 * ROWS  # the day before, and the hours in which it was not yet certain


def test_what_came_back_is_not_learnt_and_what_was_a_mere_warning_is() -> None:
    found, _, _ = walk(1, 1)
    charts = charted(found).charts
    trailing, many = charts.trailing, charts.trailing.places.size
    trailing.apart[:], trailing.is_apart[:] = 7.0, True
    trailing.apart_fired[:1] = True
    trailing._rejoin(np.ones(many, dtype=np.bool_))

    assert trailing.today[0].sum() == 0
    assert (trailing.today[1:] == 7.0).all()
    assert not trailing.apart.any()


# --- what lasts ------------------------------------------------------------------------------------------------------------


def test_what_has_lasted_is_its_recent_past_from_then_on() -> None:
    found, path, _ = walk(24, 5)
    charts = charted(found, own_baselines={"price": Comparison.parse("trailing 28d")})
    rng, at = seeded(), found.names.index("price")
    lived(charts, rng, path[:24])
    lived(charts, rng, path[24 : 20 * 24] + JUMP)
    changed = [(point, change.step) for point in charts.points for change in point.changes if change.place == at]
    row = charts.charts.trailing.places.tolist().index(at)

    assert changed[0][1] is LevelStep.TAKEN
    assert not changed[0][0].firing[at].any()
    assert not charts.charts.levels.places.size
    assert (charts.charts.trailing.standing()[row].shift or 0.0) > 1.0


def test_what_people_accept_for_a_time_does_not_join_the_past() -> None:
    found, path, _ = walk(12, 5)
    charts = charted(found, own_baselines={"price": Comparison.parse("trailing 28d")})
    rng, at = seeded(), found.names.index("price")
    lived(charts, rng, path[:24])
    lived(charts, rng, path[24 : 4 * 24] + JUMP)
    assert charts.points[-1].firing[at].any()
    row = charts.charts.trailing.places.tolist().index(at)
    before = charts.charts.trailing.past[row].copy()
    [change] = charts.charts.accept(["price"], charts.at + 3 * DAY, charts.at)
    lived(charts, rng, path[4 * 24 : 6 * 24] + JUMP)

    assert change.step is LevelStep.ACCEPTED
    assert charts.charts.levels.places.tolist() == [at]
    assert (charts.charts.trailing.past[row] == before).all()


# --- state -----------------------------------------------------------------------------------------------------------------


def test_going_on_from_saved_state_is_never_having_stopped() -> None:
    found, path, _ = walk(12, 5)
    own = {"own_baselines": {"price": Comparison.parse("trailing 28d")}}
    charts, seed = charted(found, **own), int(seeded().integers(2**31))
    lived(charts, np.random.default_rng(seed), path[: 3 * 24 + 5])
    again = charted(found, **own)
    again.charts.restore(charts.charts.to_bytes())
    again.at = charts.at
    assert again.charts.to_bytes() == charts.charts.to_bytes()
    for one in (charts, again):
        lived(one, np.random.default_rng(seed + 1), path[3 * 24 + 5 : 6 * 24])

    assert again.charts.to_bytes() == charts.charts.to_bytes()


def test_state_of_other_baselines_is_taken_up_as_far_as_it_goes() -> None:
    found, path, _ = walk(12, 5)
    charts = charted(found)
    lived(charts, seeded(), path[: 3 * 24])
    for text in ("reference", "trailing 14d", "auto"):
        other = charted(found, baseline=Comparison.parse(text))
        other.charts.restore(charts.charts.to_bytes())
        other.at = charts.at
        held = [each.place for each in other.charts.trailing.standing()]
        lived(other, seeded(), path[3 * 24 : 4 * 24])

        assert held == np.flatnonzero(other.charts.design.trailing_days).tolist()
        assert all(np.isfinite(point.values).all() for point in other.points)
        assert len(other.points) == 24


def test_a_reference_keeps_its_last_days_in_its_file() -> None:
    found, _, _ = walk(0, 1)
    assert found.calibration is not None
    again = Calibration.from_dict(found.calibration.to_dict(), found.layout)

    assert [each.recent for each in again.features] == [each.recent for each in found.calibration.features]
    assert again.features[found.names.index("weather")].recent


def test_an_older_reference_knows_no_days() -> None:
    found, path, _ = walk(1, 1)
    assert found.calibration is not None
    features = tuple(replace(each, recent={}, levels=None) for each in found.calibration.features)
    older = replace(found, calibration=replace(found.calibration, features=features))
    charts = charted(older)
    lived(charts, seeded(), path[:2])

    assert charts.charts.trailing.standing()[0].days == DAYS


@given(days=st.integers(3, 90), wanders=st.booleans(), against=st.sampled_from(Against))
def test_auto_is_for_what_wanders_alone(days: int, wanders: bool, against: Against) -> None:
    held = Comparison(against, days).trailing("x", {"x"} if wanders else set())

    assert held == (days if against is Against.TRAILING or (against is Against.AUTO and wanders) else 0)
