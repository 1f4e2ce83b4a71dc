"""The charts of one series: what fires and what does not, since when, and that nothing else has a say in it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats

from detectors import Reference
from detectors.charts import CHARTS, BudgetError, BudgetSpec, ChartPoint, Charts, Floors, Sums
from detectors.charts.charts import ENOUGH
from detectors.charts.design import GAUSSIAN
from detectors.features import Floats
from tests.charted import (
    DAY,
    HOUR,
    MINUTE,
    MONDAY,
    ROWS,
    WINDOW,
    Charted,
    firing_names,
    fitted,
    merged_increments,
    mixed,
    reference,
    seeded,
)

Table = dict[str, np.ndarray]
Change = Callable[[Table], None]


@pytest.fixture(scope="module")
def learnt() -> Reference:
    return reference(seeded())


def quiet(charted: Charted, rng: np.random.Generator, panes: int, rows: int = 100) -> None:
    for _ in range(panes):
        charted.feed(mixed(rng, rows))


def changed(
    charted: Charted, rng: np.random.Generator, change: Change, panes: int, rows: int = 100
) -> list[ChartPoint]:
    """So many panes in which something is different."""
    found = []
    for _ in range(panes):
        table = mixed(rng, rows)
        change(table)
        found.append(charted.feed(table))
    return found


def shift(by: float, name: str = "normal") -> Change:
    def change(table: Table) -> None:
        table[name] = table[name] + by

    return change


def put(name: str, value: Any, share: float = 1.0) -> Change:
    """A share of the rows holds this value."""

    def change(table: Table) -> None:
        table[name] = table[name].astype(object)
        table[name][: round(share * table[name].size)] = value

    return change


def times_100(table: Table) -> None:
    table["heavy"] *= 100


def swapped(table: Table) -> None:
    table["heavy"], table["few"] = table["few"], table["heavy"]


# --- what fires -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "names"),
    [
        (times_100, {"heavy"}),
        (put("normal", 0.3), {"normal"}),
        (swapped, {"heavy", "few"}),
        (put("normal", None), {"normal"}),
        (put("plan", "EU-2", 0.5), {"plan"}),
        (put("constant", 2.0), {"constant"}),
        (put("only", "b"), {"only"}),
        (put("plan", None), {"plan"}),
    ],
    ids=["hundredfold", "stuck", "swapped", "missing", "new category", "constant", "only category", "missing text"],
)
def test_a_broken_feature_is_certain_at_once(learnt: Reference, change: Change, names: set[str]) -> None:
    rng, charted = seeded(), Charted(learnt)
    point = changed(charted, rng, change, 1)[0]  # the very first: no chart has risen by chance

    assert firing_names(point, learnt.names) == names
    assert point.certain.any()
    assert (point.since[point.firing] == point.start).all()


@pytest.mark.parametrize("kind", ["numbers", "categories"])
def test_a_model_may_have_features_of_one_kind_alone(kind: str) -> None:
    rng = seeded()
    numbers = rng.normal(size=(2, 14 * 288 * 30))
    columns = numbers if kind == "numbers" else np.where(numbers > 0, "a", "b")
    charted = Charted(fitted(rng, dict(zip("xy", columns, strict=True)), 30), per_month=0.05)
    for at in range(20):
        held = columns[:, 30 * at : 30 * at + 30]
        charted.feed({"x": np.full(30, None, dtype=object) if at > 10 else held[0], "y": held[1]})

    assert "x" in firing_names(charted.points[-1], ["x", "y"])


def test_what_goes_missing_for_a_window_a_day_pages_on_none() -> None:
    """As it does in the reference: rows that are gone together say little more than one."""
    rng = seeded()
    table = {"x": rng.normal(size=14 * 288 * 30), "y": rng.normal(size=14 * 288 * 30)}
    table["x"].reshape(-1, 30)[24::288] = np.nan
    learnt = fitted(rng, table, 30)
    charted = Charted(learnt, per_month=0.05)
    for at in range(3 * 288):
        x, y = rng.normal(size=(2, 30))
        charted.feed({"x": np.full(30, np.nan) if at % 288 == 0 else x, "y": y})

    assert not any(point.any_firing for point in charted.points)


@pytest.mark.parametrize(
    ("change", "rows"),
    [
        (shift(0.42), 5_000),  # a learnt reference may by chance tolerate half of that
        (put("plan", "EU-2", 0.1), 5_000),
        (put("normal", None, 0.1), 5_000),
        (put("few", 3.0, 0.2), 5_000),
    ],
    ids=["shift", "new category", "missing", "piled up"],
)
def test_one_pane_pages_for_nothing_less_and_two_do(learnt: Reference, change: Change, rows: int) -> None:
    """However unlikely it is: a change that is not large may be a deployment's first minutes."""
    rng, charted = seeded(), Charted(learnt)
    first, second = changed(charted, rng, change, 2, rows)

    assert not first.any_firing
    assert first.ratios.max() > 0.5
    assert len(firing_names(second, learnt.names)) == 1
    assert not second.certain.any()


@pytest.mark.parametrize(
    ("change", "name", "chart"),
    [
        (shift(0.45), "normal", "location+"),
        (shift(-0.45), "normal", "location-"),
        (lambda table: table.update(normal=table["normal"] * 1.4), "normal", "scale+"),
        (lambda table: table.update(normal=table["normal"] * 0.65), "normal", "scale-"),
        (lambda table: table.update(normal=np.sign(table["normal"]) * 0.95), "normal", "shape"),
        (put("plan", "b", 0.2), "plan", "shape"),
        (put("normal", None, 0.15), "normal", "missing"),
        (put("plan", "EU-2", 0.15), "plan", "unseen"),
    ],
)
def test_each_chart_watches_its_own_change(learnt: Reference, change: Change, name: str, chart: str) -> None:
    rng, charted = seeded(), Charted(learnt)
    points = changed(charted, rng, change, 8, rows=400)

    assert points[-1].firing[charted.place(name), CHARTS.index(chart)]
    assert firing_names(points[-1], learnt.names) == {name}


def test_missing_values_are_found_where_no_value_is_left(learnt: Reference) -> None:
    """Nothing is judged of the values then, and nothing but the missing chart fires."""
    rng, charted = seeded(), Charted(learnt)
    point = changed(charted, rng, put("holes", None), 2)[-1]
    at = charted.place("holes")

    assert not point.judged[at]
    assert [chart for chart, on in zip(CHARTS, point.firing[at], strict=True) if on] == ["missing"]
    assert point.effects[at, CHARTS.index("missing")] == pytest.approx(0.95, abs=0.02)


def test_fewer_missing_values_than_usual_are_no_page(learnt: Reference) -> None:
    rng, charted = seeded(), Charted(learnt)
    points = changed(charted, rng, lambda table: table.update(holes=np.nan_to_num(table["holes"])), 40)
    at = charted.place("holes")

    assert not any(point.firing[at, CHARTS.index("missing")] for point in points)
    assert points[-1].z[at, CHARTS.index("missing")] < 0


def test_a_column_that_was_always_empty_stays_quiet(learnt: Reference) -> None:
    rng, charted = seeded(), Charted(learnt)
    quiet(charted, rng, 30)

    assert not charted.points[-1].firing[charted.place("empty")].any()


# --- how sure ---------------------------------------------------------------------------------------------------------


def moved_shares(cells_rungs: Floats, by: float) -> Floats:
    return np.diff(stats.norm.cdf(cells_rungs - by), prepend=0, append=1)


class Drawn:
    """Charts of one normal number fed with cells drawn from its law, however many rows there are."""

    def __init__(self, rows: int, **plan: Any) -> None:
        self.rng, self.rows, self.at = seeded(), rows, MONDAY
        self.reference = self.steady()
        self.charts = Charts(self.reference, BudgetSpec(**plan))
        self.rungs = self.charts.design.cells.rungs(0)

    def steady(self) -> Reference:
        """Fit one that shows no slow variation; one in a hundred does by chance, and allows for it."""
        while True:
            table = {"x": stats.norm.ppf((self.rng.permutation(60_000) + 0.5) / 60_000)}
            found = fitted(self.rng, table)
            assert found.calibration is not None
            if found.calibration.features[0].slow == (0.0, 0.0):
                return found

    def point(self, by: float = 0.0) -> ChartPoint:
        cells = self.rng.multinomial(self.rows, moved_shares(self.rungs, by))[None]
        none = np.zeros(1, dtype=np.int64)
        self.at += WINDOW
        return self.charts.judge(cells, none, none, self.rows, self.at - WINDOW, self.at)

    def delay(self, by: float, most: int = 400) -> int | None:
        return next((panes for panes in range(1, most) if self.point(by).firing.any()), None)


@pytest.mark.parametrize(("rows", "by", "most"), [(1000, 0.25, 6), (1000, 0.5, 3), (100, 0.5, 9), (1_000_000, 0.1, 2)])
def test_a_shift_is_found_in_so_many_panes(rows: int, by: float, most: int) -> None:
    """A reference of 60 000 rows; margins of about two."""
    found = Drawn(rows).delay(by)

    assert found is not None
    assert found <= most


@pytest.mark.parametrize("rows", [1_000, 1_000_000])
def test_a_shift_under_the_floor_is_never_a_page(rows: int) -> None:
    """Which a test of significance would find at once in a million rows."""
    assert Drawn(rows).delay(0.045, most=300) is None


def test_a_feature_may_have_a_floor_of_its_own() -> None:
    assert Drawn(1000, own_floors={"x": 0.5}).delay(0.4, most=100) is None
    assert Drawn(1000, floors=Floors(shift=0.5, scale=0.5)).delay(0.4, most=100) is None
    assert Drawn(1000).delay(0.4) is not None


def test_unchanged_data_keeps_to_the_budget() -> None:
    """Two hundred false alarms a month are asked for, so that there are some to be counted in a sixth of a month."""
    drawn = Drawn(1000, per_month=200.0)
    pages, before = 0, False
    for _ in range(1440):
        firing = drawn.point().any_firing
        pages, before = pages + (firing and not before), firing

    assert pages <= 33 + 25  # four standard deviations and more


def test_nothing_fires_where_nothing_is_wrong(learnt: Reference) -> None:
    """A page in eight years is asked for."""
    rng, charted = seeded(), Charted(learnt, per_month=0.01)
    quiet(charted, rng, 200)

    assert not any(point.any_firing for point in charted.points)
    assert not charted.points[-1].suspect


@pytest.mark.parametrize("shape", ["wave", "jump"])
def test_what_the_reference_did_each_day_is_no_page(shape: str) -> None:
    """Three days of the same again: a wave of 0.3 sigma, or an hour of one sigma."""
    rng, windows = seeded(), 14 * 288
    at = np.arange(windows) * WINDOW / HOUR % 24
    level = 0.3 * np.sin(2 * np.pi * at / 24) if shape == "wave" else 1.0 * (at.astype(int) == 3)
    rows = rng.normal(size=(windows, 60)) + level[:, None]
    charted = Charted(fitted(rng, {"x": rows.ravel()}, rows=60), start=MONDAY + 35 * DAY, per_month=0.01)
    for pane in range(3 * 288):
        charted.feed({"x": rng.normal(size=60) + level[pane]})
    assert not any(point.any_firing for point in charted.points)

    for _ in range(12):
        charted.feed({"x": rng.normal(size=60) + 1.5})
    assert charted.points[-1].any_firing


# --- since when, until when -------------------------------------------------------------------------------------------


def test_onset_is_where_the_sum_began_to_rise() -> None:
    """By chance it may have risen before."""
    late = []
    for _ in range(15):
        drawn = Drawn(1000)
        for _ in range(20):
            drawn.point()
        onset, point = drawn.at, drawn.point(0.2)
        while not point.any_firing:
            point = drawn.point(0.2)
        late.append((int(point.since[point.firing].min()) - onset) / WINDOW)

    assert abs(np.median(late)) <= 2
    assert max(late) <= 4


def test_what_lasts_a_day_fires_once_and_rests_once(learnt: Reference) -> None:
    rng, charted = seeded(), Charted(learnt)
    quiet(charted, rng, 20)
    changed(charted, rng, shift(0.5), 288)
    quiet(charted, rng, 60)
    at = charted.place("normal")
    firing = [bool(point.firing[at].any()) for point in charted.points]
    turns = np.flatnonzero(np.diff(firing))

    assert len(turns) == 2
    assert 19 <= turns[0] <= 30  # the first pane of the change is enough where what came before leaned that way
    # It is quiet for twelve panes first; the last four of the change may happen to be, once in a hundred thousand runs five.
    assert 308 + 12 - 5 <= turns[1] <= 308 + 40
    assert charted.points[-1].since[at].max() == np.iinfo(np.int64).min


def test_a_gap_neither_resolves_nor_adds(learnt: Reference) -> None:
    """Two days without a row: as if the next pane had followed at once."""
    rng = seeded()
    tables = [mixed(rng, 100) for _ in range(30)]
    for table in tables[10:]:
        shift(0.5)(table)
    straight, paused = Charted(learnt), Charted(learnt)
    for at, table in enumerate(tables):
        straight.feed(table)
        paused.feed(table)
        if at == 20:
            paused.pause(2 * DAY // WINDOW)

    assert straight.points[-1].any_firing
    for one, other in zip(straight.points, paused.points, strict=True):
        assert np.array_equal(one.values, other.values)
        assert np.array_equal(one.firing, other.firing)


# --- enough rows ------------------------------------------------------------------------------------------------------


def test_few_rows_are_carried_over_until_they_are_enough(learnt: Reference) -> None:
    """Ten rows a pane: the sixth says what sixty rows at once would have said, where so many are needed."""
    rng = seeded()
    tables = [mixed(rng, 10) for _ in range(6)]
    together = {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}
    few, many = Charted(learnt), Charted(learnt)
    at = int(np.flatnonzero(few.charts.design.design_effect == 1.0)[0])
    few.charts.design.design_effect[at] = 55 / ENOUGH
    for table in tables:
        few.feed(table)
    many.feed(together)

    assert [bool(point.judged[at]) for point in few.points] == [False] * 5 + [True]
    assert all(np.isnan(point.increments[at, :5]).all() for point in few.points[:-1])
    assert few.points[-1].increments[at, :5] == pytest.approx(many.points[-1].increments[at, :5], nan_ok=True)


def test_what_was_carried_over_began_when_it_came(learnt: Reference) -> None:
    rng, charted = seeded(), Charted(learnt)
    onset = charted.at
    at = charted.place("normal")
    points = changed(charted, rng, shift(1.2), 12, rows=8)
    fired = next(point for point in points if point.firing[at, 0])
    judged = [point for point in points if point.judged[at]]
    runs = [onset, *(point.end for point in judged)]  # where rows began to be carried over

    assert (judged[0].end - onset) // WINDOW * 8 >= ENOUGH
    assert fired.since[at, 0] in runs
    assert fired.since[at, 0] < judged[1].end


def test_rates_need_no_least_number_of_rows(learnt: Reference) -> None:
    rng, charted = seeded(), Charted(learnt)
    points = changed(charted, rng, put("normal", None), 6, rows=5)

    assert points[-1].firing[charted.place("normal"), CHARTS.index("missing")]


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_hardly_any_rows_do_no_harm(learnt: Reference, rows: int) -> None:
    rng, charted = seeded(), Charted(learnt, per_month=0.01)
    quiet(charted, rng, 100, rows)

    assert not any(point.any_firing for point in charted.points[:90])
    assert np.isfinite(charted.points[-1].values).all()


# --- panes ------------------------------------------------------------------------------------------------------------


def test_steps_are_those_of_the_calibration_whatever_the_slide(learnt: Reference) -> None:
    """Five panes of a minute are one of five."""
    rng = seeded()
    tumbling, sliding = Charted(learnt), Charted(learnt, length=MINUTE, pane_ns=MINUTE)
    for _ in range(10):
        table = mixed(rng, 100)
        tumbling.feed(table)
        for part in np.array_split(np.arange(100), 5):
            if part.size:
                piece = {name: column[part] for name, column in table.items()}
                sliding.points += sliding.charts.update(_tally(sliding, piece), sliding.at, sliding.at + MINUTE)
                sliding.at += MINUTE

    assert [(point.start, point.end, point.rows) for point in sliding.points] == [
        (point.start, point.end, point.rows) for point in tumbling.points
    ]
    assert np.array_equal(merged_increments(sliding.points), merged_increments(tumbling.points), equal_nan=True)


def _tally(charted: Charted, table: Table) -> Any:
    from tests.charted import pane

    return pane(charted.charts.reference, table).tally()


def test_a_subgroup_is_at_least_what_was_calibrated_and_whole_panes(learnt: Reference) -> None:
    assert learnt.calibration is not None
    for pane, expected in ((0, 5), (1, 5), (2, 6), (5, 5), (7, 7), (60, 60)):
        assert BudgetSpec(pane_ns=pane * MINUTE).subgroup_ns(learnt.calibration) == expected * MINUTE


def test_panes_before_a_gap_are_a_step_of_their_own(learnt: Reference) -> None:
    rng, charted = seeded(), Charted(learnt, length=MINUTE, pane_ns=MINUTE)
    charts = charted.charts
    assert charts.update(_tally(charted, mixed(rng, 40)), MONDAY, MONDAY + MINUTE) == []
    later = MONDAY + HOUR + 4 * MINUTE
    points = charts.update(_tally(charted, mixed(rng, 50)), later, later + MINUTE)

    assert [(point.start, point.end, point.rows) for point in points] == [
        (MONDAY, MONDAY + MINUTE, 40),
        (later, later + MINUTE, 50),
    ]


# --- other budgets ----------------------------------------------------------------------------------------------------


def test_increments_replayed_are_the_charts_own(learnt: Reference) -> None:
    """Under another budget as well, but for what it allows the reference's own error: a little more where it is stricter."""
    rng, rows = seeded(), 2 * ROWS
    usual, strict = Charted(learnt, per_month=1.0), Charted(learnt, per_month=0.01)
    plans = usual.charts.design, strict.charts.design
    same, other = (Sums(plan.thresholds, len(learnt.names)) for plan in plans)
    least = plans[0].rows[plans[0].active[:, 0]].min()
    steady = (plans[0].slow == 0).all(axis=1) & (plans[0].shape_slow == 0)  # what is allowed else follows the budget
    apart = 2 * float(plans[1].thresholds[0] - plans[0].thresholds[0]) * rows / least
    assert apart < 0.1
    for at in range(50):
        table = mixed(rng, rows)
        if at > 30:
            shift(0.2)(table)  # no pane is certain by itself: it would fill the sums
        point, expected = usual.feed(table), strict.feed(table)
        same.advance(point.increments)
        other.advance(point.increments)
        assert np.array_equal(same.values[:, :GAUSSIAN], point.values[:, :GAUSSIAN])
        assert np.allclose(same.values, point.values)
        assert np.nanmax(np.abs(point.increments - expected.increments)[steady]) <= apart
    assert np.abs(other.values - expected.values)[steady].max() <= 50 * apart

    assert usual.points[-1].any_firing
    assert plans[1].thresholds[0] > plans[0].thresholds[0] + 4


def test_a_reference_that_is_not_calibrated_has_no_charts() -> None:
    with pytest.raises(ValueError, match="not calibrated"):
        Charts(Reference.fit({"x": np.arange(100.0)}), BudgetSpec())


def test_a_budget_that_cannot_be_held_is_refused(learnt: Reference) -> None:
    with pytest.raises(BudgetError, match="cannot be held"):
        Charts(learnt, BudgetSpec(per_month=1e9))


def test_charts_that_cannot_say_anything_take_no_share_of_the_budget(learnt: Reference) -> None:
    plan = Charts(learnt, BudgetSpec()).design
    active = {name: int(row.sum()) for name, row in zip(learnt.names, plan.active, strict=True)}

    assert active["normal"] == 7
    assert active["plan"] == 5
    assert active["constant"] == active["only"] == active["empty"] == 2
    assert plan.budget.charts == plan.active.sum() + 2


# --- state ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", [0, 3, 24, 28, 41, 60])
def test_going_on_from_bytes_is_never_having_stopped(learnt: Reference, at: int) -> None:
    """Panes of two minutes in subgroups of six; a change in the middle that is over."""
    rng = seeded()
    tables = [mixed(rng, 40) for _ in range(80)]
    for table in tables[20:40]:
        times_100(table)
    straight, stopped = (Charted(learnt, length=2 * MINUTE, pane_ns=2 * MINUTE) for _ in range(2))
    for number, table in enumerate(tables):
        if number == at:
            saved, stopped.charts = stopped.charts.to_bytes(), Charts(learnt, BudgetSpec(pane_ns=2 * MINUTE))
            stopped.charts.restore(saved)
            assert stopped.charts.to_bytes() == saved
        _feed(straight, table)
        _feed(stopped, table)

    assert straight.charts.to_bytes() == stopped.charts.to_bytes()
    assert any(point.any_firing for point in straight.points)
    for one, other in zip(straight.points, stopped.points, strict=True):
        assert np.array_equal(one.increments, other.increments, equal_nan=True)
        assert np.array_equal(one.firing, other.firing)


def _feed(charted: Charted, table: Table) -> None:
    charted.points += charted.charts.update(_tally(charted, table), charted.at, charted.at + charted.length)
    charted.at += charted.length


def test_another_budget_takes_the_sums_up(learnt: Reference) -> None:
    rng, charted = seeded(), Charted(learnt)
    quiet(charted, rng, 5)
    other = Charts(learnt, BudgetSpec(per_month=0.1))
    other.restore(charted.charts.to_bytes())

    assert np.array_equal(other.sums.values, charted.charts.sums.values)


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-1], lambda data: b"no charts", lambda data: b"", lambda data: data + b"."]
)
def test_damaged_bytes_are_refused(learnt: Reference, damage: Callable[[bytes], bytes]) -> None:
    charts = Charts(learnt, BudgetSpec())
    with pytest.raises(ValueError, match="no charts, or damaged"):
        charts.restore(damage(charts.to_bytes()))


def test_bytes_of_other_panes_or_another_reference_are_refused(learnt: Reference) -> None:
    saved = Charts(learnt, BudgetSpec()).to_bytes()
    for other in (Charts(learnt, BudgetSpec(pane_ns=HOUR)), Charts(learnt.select(["normal"]), BudgetSpec())):
        with pytest.raises(ValueError, match="another reference or subgroup length"):
            other.restore(saved)


@pytest.mark.parametrize("hours", [3, 12, 24])
def test_blocks_of_many_hours_are_held_to_all_of_them(hours: int) -> None:
    """A daily wave of one sigma, learnt in five minutes: half a day has no level of its own."""
    rng, windows = seeded(), 9 * 288

    def wave(panes: int, rows: int, length: int) -> dict[str, np.ndarray]:
        at = (np.arange(panes * rows) / rows) * length / HOUR
        return {"x": np.sin(at / 24 * 2 * np.pi) + rng.normal(size=panes * rows)}

    learnt = fitted(rng, wave(windows, 20, WINDOW), rows=20)
    charted = Charted(learnt, length=hours * HOUR, pane_ns=hours * HOUR, per_month=0.01)
    panes = 10 * 24 // hours
    live = wave(panes, 240 * hours, hours * HOUR)["x"].reshape(panes, -1)
    for rows in live:
        charted.feed({"x": rows})

    assert learnt.calibration is not None
    assert learnt.calibration.profile == "day"
    assert not any(point.firing.any() for point in charted.points)
