"""Charts where rows come in groups."""

from functools import cache

import numpy as np
import pytest

from detectors import Reference
from detectors.charts import BudgetSpec, ChartPoint, Charts
from detectors.features import Floats
from tests.charted import WINDOW, seeded
from tests.grouped import fitted, panes, sessions

AFTER = 4000  # windows: long after the reference


@cache
def learnt(group: str | None) -> Reference:
    return fitted(sessions(np.random.default_rng(11), 400, 40), group)


def charts(group: str | None = "session") -> Charts:
    return Charts(learnt(group), BudgetSpec(pane_ns=WINDOW))


def follow(mine: Charts, windows: int, many: int, rng: np.random.Generator, shift: float = 0.0) -> list[ChartPoint]:
    table = sessions(rng, windows, many, AFTER)
    table["age"] = table["age"] + shift
    found = panes(mine.reference, table)
    return [point for start, sketch in found for point in mine.update(sketch.tally(), start, start + WINDOW)]


def deviates(points: list[ChartPoint], mine: Charts, name: str = "age") -> Floats:
    """Location, both ways, less what is tolerated either way."""
    place = mine.reference.names.index(name)
    return np.array([(point.z[place, 0] - point.z[place, 1]) / 2 for point in points if point.judged[place]])


def test_a_fifth_of_the_sessions_deviates_no_further_than_all_of_them() -> None:
    """Some hundred judged runs of windows tell a standard deviation to 7 %."""
    rng, grouped = seeded(), charts()
    usual, fewer = (deviates(follow(charts(), 400, many, rng), grouped).std() for many in (40, 8))

    assert 0.7 < usual < 1.3
    assert 0.6 < fewer < 1.45


def test_without_groups_it_deviates_twice_as_far() -> None:
    plain = charts(None)

    assert deviates(follow(plain, 400, 8, seeded()), plain).std() > 1.6


def test_more_sessions_than_usual_find_a_change_sooner() -> None:
    """Windows of 200 sessions say five times what those of 40 do: with groups the same change is further off."""
    rng, grouped, plain = seeded(), charts(), charts(None)
    further, near = (float(deviates(follow(mine, 60, 200, rng, shift=0.5), mine).mean()) for mine in (grouped, plain))

    assert further > 1.4 * near


def test_rows_that_have_no_group_any_more_count_as_usual() -> None:
    """As charts of rows without a group do; a window of another size of groups is heard of as another."""
    table, found = sessions(seeded(), 40, 40, AFTER), {}
    for how in ("told", "untold", "usual"):
        mine = charts()
        usual, points = mine.design.together, list[ChartPoint]()
        for start, sketch in panes(mine.reference, table):
            sketch.groups = None if how == "untold" else sketch.groups
            if how == "usual":
                mine.design.together = sketch.groups.together(sketch.rows) if sketch.groups else usual
            points += mine.update(sketch.tally(), start, start + WINDOW)
        found[how] = [point.z.tolist() for point in points]

    assert found["untold"] == found["usual"]
    assert found["untold"] != found["told"]


@pytest.mark.parametrize("silent", [0.2, 0.5, 0.8])
def test_rows_that_stop_to_say_their_session_change_nothing(silent: float) -> None:
    """Were each taken for a session of its own, deviates would go up to three times as far."""
    rng, mine = seeded(), charts()
    table = sessions(rng, 400, 40, AFTER)
    table["session"][rng.random(table["session"].size) < silent] = None
    points = [
        point
        for start, sketch in panes(mine.reference, table)
        for point in mine.update(sketch.tally(), start, start + WINDOW)
    ]

    assert 0.7 < deviates(points, mine).std() < 1.3


def test_a_window_of_one_session_spoils_what_it_is_pooled_with() -> None:
    """It is not judged alone, and waits for the next one: together they are worth little more than nothing."""
    rng, mine = seeded(), charts()
    table = sessions(rng, 600, 40, AFTER)
    for name in ("session", "age", "plan"):
        column = table[name].reshape(-1, 300)
        column[::12] = column[::12, :1]
    points = [
        point
        for start, sketch in panes(mine.reference, table)
        for point in mine.update(sketch.tally(), start, start + WINDOW)
    ]

    assert deviates(points, mine).std() < 1.35


def test_what_independent_rows_say_does_not_depend_on_their_sessions() -> None:
    rng, grouped = seeded(), charts()
    spread = deviates(follow(grouped, 400, 8, rng), grouped, "noise").std()

    assert 0.7 < spread < 1.3


def test_going_on_from_saved_charts_is_never_having_stopped() -> None:
    """Also in the middle of a subgroup, and of values that are carried."""
    whole, table = Charts(learnt("session"), BudgetSpec(pane_ns=WINDOW)), sessions(seeded(), 30, 6, AFTER)
    halves = []
    for start, sketch in panes(whole.reference, table):
        even, odd = sketch.copy(), sketch.copy()
        odd.subtract(even)
        halves += [(start, even), (start + WINDOW // 2, odd)]
    spec = BudgetSpec(pane_ns=WINDOW // 2)
    one, other = Charts(learnt("session"), spec), Charts(learnt("session"), spec)
    for start, sketch in halves:
        straight = one.update(sketch.tally(), start, start + WINDOW // 2)
        resumed = Charts(learnt("session"), spec)
        resumed.restore(other.to_bytes())
        other = resumed
        again = other.update(sketch.tally(), start, start + WINDOW // 2)
        assert [point.z.tolist() for point in straight] == [point.z.tolist() for point in again]
    assert other.to_bytes() == one.to_bytes()


@pytest.mark.parametrize("group", ["session", None])
def test_only_charts_of_groups_keep_what_carried_values_are_worth(group: str | None) -> None:
    assert ("worth_carried" in charts(group)._arrays()) == (group is not None)
