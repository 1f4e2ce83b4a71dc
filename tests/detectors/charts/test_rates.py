"""What few rows have is watched: found soon, not paged for what is usual, and told since when and how far."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from detectors import Reference
from detectors.calibration import Calibration
from detectors.charts import CHARTS, BudgetSpec, ChartPoint, Charts, Floors
from detectors.charts.older import of_seven_charts
from tests.charted import HOUR, MONDAY, Charted, Table, fitted, seeded

WINDOWS = 336  # two weeks of hours
UP, DOWN, MISSING, UNSEEN = (CHARTS.index(name) for name in ("mass+", "mass-", "missing", "unseen"))
Drawn = Callable[[np.random.Generator, int], np.ndarray]


def flag(share: float) -> Drawn:
    return lambda rng, n: (rng.random(n) < share).astype(np.float64)


def inflated(share: float) -> Drawn:
    return lambda rng, n: np.where(rng.random(n) < share, rng.exponential(size=n), 0.0)


def seldom(share: float) -> Drawn:
    return lambda rng, n: np.where(rng.random(n) < share, "b", rng.choice(np.array(["a", "c"]), n))


def tail(rng: np.random.Generator, n: int) -> np.ndarray:
    """Categories without end: each draw may be a new one."""
    return np.array([f"c{number}" for number in np.minimum(rng.zipf(1.6, n), 10**6)])


def learnt(drawn: Drawn, rows: int, rng: np.random.Generator) -> Reference:
    count = WINDOWS * rows
    table: Table = {"x": drawn(rng, count), "other": rng.normal(size=count)}
    return fitted(rng, table, rows, HOUR)


def charted(reference: Reference, **plan: object) -> Charted:
    return Charted(reference, MONDAY + WINDOWS * HOUR, HOUR, **plan)


def fed(charts: Charted, drawn: Drawn, rows: int, windows: int, rng: np.random.Generator) -> list[ChartPoint]:
    return [charts.feed({"x": drawn(rng, rows), "other": rng.normal(size=rows)}) for _ in range(windows)]


def delay(charts: Charted, drawn: Drawn, rows: int, most: int, rng: np.random.Generator) -> int:
    """Windows until the feature fires; `most` + 1 where it does not."""
    at = charts.place("x")
    for number in range(1, most + 1):
        if fed(charts, drawn, rows, 1, rng)[0].firing[at].any():
            return number
    return most + 1


@pytest.mark.parametrize(
    ("usual", "changed", "rows", "most"),
    [
        (flag(0.01), flag(0.05), 1_000, 4),
        (flag(0.99), flag(0.95), 1_000, 4),
        (inflated(0.02), inflated(0.05), 1_000, 4),
        (inflated(0.02), inflated(0.0), 1_000, 5),
        (seldom(0.002), seldom(0.02), 1_000, 4),
        (flag(0.03), flag(0.5), 30, 2),
        (inflated(0.02), inflated(0.5), 30, 2),
        (seldom(0.002), seldom(0.5), 30, 2),
    ],
    ids=["flag", "mostly one", "zeros", "all zeros", "category", "flag of 30", "zeros of 30", "category of 30"],
)
def test_what_few_rows_have_is_found(usual: Drawn, changed: Drawn, rows: int, most: int) -> None:
    """Ten standard errors away and more in as many windows as are allowed: chance has no say."""
    rng = seeded()
    charts = charted(learnt(usual, rows, rng))
    fed(charts, usual, rows, 3, rng)

    assert delay(charts, changed, rows, most, rng) <= most


@pytest.mark.parametrize(("rows", "windows"), [(30, 720), (1_000, 100)])
def test_what_is_usual_is_no_page(rows: int, windows: int) -> None:
    """A page in eight years is asked for."""
    rng = seeded()
    for usual in (flag(0.01), inflated(0.02), seldom(0.002)):
        charts = charted(learnt(usual, rows, rng), per_month=0.01)
        points = fed(charts, usual, rows, windows, rng)
        assert not any(point.firing[charts.place("x")].any() for point in points)


def test_an_open_ended_feature_does_not_page_for_what_is_new() -> None:
    """A reference of ten thousand rows has seen a few hundred categories, and one row in a hundred brings another."""
    rng = seeded()
    charts = charted(learnt(tail, 30, rng), per_month=0.01)
    points = fed(charts, tail, 30, 240, rng)
    at = charts.place("x")

    assert sum(float(point.effects[at, UNSEEN]) for point in points) > -240 * 0.05
    assert not any(point.firing[at].any() for point in points)


def test_a_trifle_is_not_heard_and_no_warning() -> None:
    """Two rows in a thousand without a value, where there were none: proven at once, and nobody's incident."""
    rng = seeded()
    charts = charted(learnt(flag(0.3), 1_000, rng))
    few = np.array([np.nan, np.nan])
    points = fed(charts, lambda rng, n: np.append(few, flag(0.3)(rng, n - 2)), 1_000, 60, rng)
    at = charts.place("x")

    assert not any(point.firing[at, MISSING] for point in points)
    assert points[-1].ratios[at, MISSING] < 0.5
    assert charts.charts.rates.arrays()["up_sums"].max() > points[-1].thresholds[MISSING]


def test_a_rise_after_a_trifle_is_heard_as_soon() -> None:
    rng = seeded()
    charts = charted(learnt(flag(0.3), 1_000, rng))

    def holes(count: int) -> Drawn:
        return lambda rng, n: np.append(np.full(count, np.nan), flag(0.3)(rng, n - count))

    fed(charts, holes(2), 1_000, 60, rng)

    assert delay(charts, holes(20), 1_000, 3, rng) <= 3


@pytest.mark.parametrize("floor", ["missing", "rare"])
def test_floors_may_be_raised(floor: str) -> None:
    rng = seeded()
    usual = flag(0.01)
    more = flag(0.03) if floor == "rare" else (lambda rng, n: np.append(np.full(20, np.nan), flag(0.01)(rng, n - 20)))
    reference = learnt(usual, 1_000, rng)
    raised = Floors(shift=0.5, scale=0.5, **{floor: 0.05})

    assert delay(charted(reference), more, 1_000, 10, rng) <= 10
    assert delay(charted(reference, floors=raised), more, 1_000, 10, rng) == 11


def test_what_comes_back_rests() -> None:
    rng = seeded()
    charts = charted(learnt(flag(0.01), 1_000, rng))
    at = charts.place("x")
    fed(charts, flag(0.05), 1_000, 5, rng)
    assert charts.points[-1].firing[at, UP]
    fed(charts, flag(0.01), 1_000, 24, rng)

    assert not charts.points[-1].firing[at].any()
    assert charts.points[-1].values[at, UP] < charts.points[-1].thresholds[UP] / 2


def test_its_size_and_its_beginning_are_told() -> None:
    rng = seeded()
    charts = charted(learnt(flag(0.01), 1_000, rng))
    fed(charts, flag(0.01), 1_000, 5, rng)
    began = charts.at
    point = fed(charts, flag(0.2), 1_000, 2, rng)[-1]
    at = charts.place("x")

    assert point.firing[at, UP]
    assert point.effects[at, UP] == pytest.approx(0.19, abs=0.08)
    assert began - 5 * HOUR <= point.since[at, UP] <= began


def test_what_goes_up_and_down_with_the_day_does_not_page() -> None:
    """Five times as many by day as by night."""
    rng, rows = seeded(), 500
    hours = np.arange(WINDOWS * 2)
    level = np.where((hours % 24 >= 8) & (hours % 24 < 20), 0.05, 0.01)
    drawn = [flag(float(share))(rng, rows) for share in level]
    table: Table = {"x": np.concatenate(drawn[:WINDOWS]), "other": rng.normal(size=WINDOWS * rows)}
    charts = charted(fitted(rng, table, rows, HOUR), per_month=0.01)
    for values in drawn[WINDOWS:]:
        charts.feed({"x": values, "other": rng.normal(size=rows)})

    assert charts.charts.reference.calibration is not None
    assert charts.charts.reference.calibration.profile in {"day", "week"}
    assert not any(point.firing[charts.place("x"), UP:].any() for point in charts.points)


def test_held_to_another_level_they_are_quiet_there_and_page_from_there_anew() -> None:
    rng = seeded()
    charts = charted(learnt(flag(0.01), 1_000, rng), floors=Floors(shift=9.0, scale=9.0))
    own, at = charts.charts, charts.place("x")
    fed(charts, flag(0.05), 1_000, 5, rng)
    assert own.firing[at, UP]

    which = np.arange(2) == at
    shares = own.design.expected(charts.at, charts.at + HOUR)[0].copy()
    shares[at, :3] = (0.95, 0.0, 0.05)
    own.design.rates.settle(which, np.zeros((2, 2)), shares, np.full(2, 100_000.0))
    own.rates.forget(which)

    assert not any(point.firing[at].any() for point in fed(charts, flag(0.05), 1_000, 48, rng))
    assert delay(charts, flag(0.2), 1_000, 3, rng) <= 3


# --- older files, older state ---------------------------------------------------------------------------------------------


def test_a_reference_of_before_is_read_and_its_rare_values_watched() -> None:
    """It has neither runs nor rates."""
    rng = seeded()
    reference = learnt(seldom(0.02), 1_000, rng)
    assert reference.calibration is not None
    content = reference.calibration.to_dict()
    for entry in content["features"].values():
        entry.pop("rates", None)
        entry.pop("joined", None)
    older = replace(reference, calibration=Calibration.from_dict(content, reference.layout))
    charts = charted(older)

    assert not any(point.any_firing for point in fed(charts, seldom(0.02), 1_000, 24, rng))
    assert delay(charts, seldom(0.3), 1_000, 4, rng) <= 4


def test_a_calibration_says_its_rates_exactly() -> None:
    reference = learnt(flag(0.02), 100, seeded())
    assert reference.calibration is not None
    again = Calibration.from_dict(reference.calibration.to_dict(), reference.layout)

    assert [feature.rates for feature in again.features] == [
        feature.rates for feature in reference.calibration.features
    ]
    assert [joined.tolist() for joined in again.cells.joined] == [
        joined.tolist() for joined in reference.calibration.cells.joined
    ]


@pytest.mark.parametrize("numbers", [[1.0], [0.0, 0, 0, 0, 0], [1.0, -1.0, 0, 0, 0], [float("nan"), 0, 0, 0, 0]])
def test_damaged_rates_are_refused(numbers: list[float]) -> None:
    reference = learnt(flag(0.02), 100, seeded())
    assert reference.calibration is not None
    content = reference.calibration.to_dict()
    next(entry for entry in content["features"].values() if "rates" in entry)["rates"]["2"] = numbers

    with pytest.raises(ValueError, match="calibration: rates"):
        Calibration.from_dict(content, reference.layout)


def test_state_of_seven_charts_goes_on() -> None:
    """Sums, onsets and what fires are where they were; what is new begins at nothing."""
    reference = learnt(flag(0.02), 100, seeded())
    charts = Charts(reference, BudgetSpec())
    wanted = charts._arrays()
    kept = ("values", "risen", "firing", "since")
    saved = {
        name: array.tobytes()
        for name, array in wanted.items()
        if name not in kept and not name.startswith(("up_", "down_", "rates"))
    }
    sums, firing = np.arange(22.0).reshape(2, 11), np.zeros((2, 7), dtype=np.bool_)
    firing[1, 5] = True
    saved |= {
        "values": sums.tobytes(),
        "risen": np.full((2, 11), MONDAY).tobytes(),
        "firing": firing.tobytes(),
        "since": np.full((2, 7), MONDAY).tobytes(),
    }
    saved |= {f"rates_rest_{part}": np.zeros((2, 2)).tobytes() for part in ("level", "count", "odds")}
    saved["rates_rest_quiet"] = np.zeros((2, 2), dtype=np.int64).tobytes()

    now = of_seven_charts(saved, wanted)

    assert now.keys() == wanted.keys()
    assert all(len(now[name]) == array.nbytes for name, array in wanted.items())
    found = np.frombuffer(now["up_sums"]).reshape(wanted["up_sums"].shape)
    assert found[:4].tolist() == [[5, 6, 7], [16, 17, 18], [8, 9, 10], [19, 20, 21]]
    assert np.frombuffer(now["up_firing"], dtype=np.bool_)[:4].tolist() == [False, True, False, False]
