"""The proof of the budget: what it is made of is right, and in its short form it holds. Seeds are printed, and follow `--randomly-seed`."""

import json
import random
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from benchmarks.alarms import (
    bounds,
    compare,
    dummies,
    kept,
    naive,
    pictures,
    report,
    scenarios,
    scoring,
    truth,
    verdict,
)
from benchmarks.alarms.laws import law
from benchmarks.alarms.model import Model, fitted
from benchmarks.alarms.streams import World
from benchmarks.alarms.trials import Trial, delays, quiet

ROOT = Path(__file__).parents[1]
FEW = truth.Mix(normal=6, categories=3, integers=2, constants=1, zeros=1)


@pytest.fixture
def rng() -> np.random.Generator:
    seed = random.getrandbits(32)
    print(f"seed {seed}")
    return np.random.default_rng(seed)


# --- what is counted ----------------------------------------------------------------------------------------------------


def test_the_interval_of_a_rate_is_exact() -> None:
    """Known values of Garwood's interval: none seen, and ten seen."""
    assert scoring.garwood(0, 1.0) == pytest.approx((0.0, 3.689), abs=1e-3)
    assert scoring.garwood(10, 2.0) == pytest.approx((4.795 / 2, 18.390 / 2), abs=1e-3)


def test_an_alarm_that_stays_is_one_page() -> None:
    assert scoring.onsets([True, True, False, True, False, False, True]) == 3


def test_what_is_not_found_counts_as_the_horizon() -> None:
    found = scoring.delays([1, 3, float("inf")], 10)

    assert (found["mean"], found["found"], found["p95"]) == (pytest.approx(14 / 3), pytest.approx(2 / 3), 10)


def test_theory_is_that_of_the_notes() -> None:
    """log(200 × 8 640) over n δ² / 2: 2.9 windows for 0.1 σ at n = 1 000, and 8.7 for 0.25 σ when rows are AR(0.9)."""
    found = bounds.bounds()

    assert found["iid-1000", "0.1 σ, floor off"] == pytest.approx(2.87, abs=0.01)
    assert found["ar-1000", "0.25 σ, floor off"] == pytest.approx(8.73, abs=0.01)
    assert found["iid-100", "sd × 1.25, floor off"] == pytest.approx(2.47, abs=0.02)


# --- streams ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model() -> Model:
    seed = random.getrandbits(32)
    print(f"seed {seed}")
    return fitted(World(300), FEW, np.random.default_rng(seed), weeks=0.5)


def test_every_row_is_in_a_cell_or_missing(model: Model) -> None:
    block = model.stream.draw(0, 50)

    assert (block.cells.sum(axis=2) + block.missing == block.rows[:, None]).all()
    assert (block.unseen <= block.cells.sum(axis=2)).all()


def test_the_reference_holds_what_its_windows_held(model: Model) -> None:
    """Counts on the grid's own bins add up to those of the merged cells; none is outside its own range."""
    reference = model.reference

    assert (model.cells.merge(reference.counts).sum(axis=1) + reference.sketch.missing == reference.rows).all()
    assert not reference.sketch.unseen.any()


@pytest.mark.parametrize(
    "change", [truth.NOTHING, truth.Change(shift=0.5, stretch=1.5), truth.Change(times=100.0), truth.Change(stuck=True)]
)
def test_shares_are_those_of_rows_drawn_one_by_one(
    model: Model, change: truth.Change, rng: np.random.Generator
) -> None:
    feature, rows = model.truth[0], 20_000
    assert isinstance(feature, truth.Normal)
    values = (feature.mean + feature.sd * (rng.normal(size=rows) * change.stretch + change.shift)) * change.times
    if change.stuck:
        values[:] = feature.mean
    found = np.bincount(np.searchsorted(model.cells.rungs(0), values), minlength=model.cells.width)
    shares = law(model.truth, model.cells, {0: change}).shares[0]

    expected = shares[:-1] / (1 - shares[-1]) * rows
    assert (np.abs(found - expected) <= 6 * np.sqrt(expected) + 6).all()


def test_dependent_rows_make_windows_vary_as_theory_says(rng: np.random.Generator) -> None:
    """The mean of n rows of AR(0.9) varies 19 times as much as that of independent ones, the first and last rows less."""
    dependent = fitted(World(200, phi=0.9), truth.Mix(normal=8, categories=2), rng, weeks=1)
    deviations = np.array([one.sd[0] for one in dependent.reference.calibration.features[:8]])  # type: ignore[union-attr]

    assert (deviations**2 > 12).all()
    assert (deviations**2 < 28).all()


def test_seasons_are_learnt_from_the_simulated_weeks(rng: np.random.Generator) -> None:
    seasonal = fitted(World(1000, season=0.5), truth.Mix(normal=4, categories=2), rng)

    assert seasonal.reference.calibration.profile == "week"  # type: ignore[union-attr]


def test_a_change_is_found_and_none_is_not(model: Model) -> None:
    found = delays(model, Trial("1 σ", truth.Change(shift=1.0)))
    still = quiet(model, 100, ["default"])["default"]

    assert found["delays"] == [pytest.approx(1, abs=2)] * 6
    assert still["unclean"] == 0
    assert still["pages"] <= 3


def test_the_feature_that_changed_stands_first(model: Model) -> None:
    found = delays(model, Trial("× 100", truth.Change(times=100.0), one=3, horizon=5))

    assert found["right"] == 3


# --- rules to compare with ----------------------------------------------------------------------------------------------


@pytest.fixture
def raw(rng: np.random.Generator) -> tuple[naive.RawReference, np.ndarray]:
    windows = [rng.normal(size=(5, 200)) for _ in range(naive.CHUNKS)]
    return naive.RawReference.of(windows), rng.normal(size=(5, 200))


def test_naive_ks_is_scipys(raw: tuple[naive.RawReference, np.ndarray]) -> None:
    reference, window = raw
    found = reference.compare(window)

    for at, values in enumerate(window):
        exact = stats.ks_2samp(values, reference.values[at], method="asymp")
        assert found.distance[at] == pytest.approx(exact.statistic, abs=1e-12)
        assert found.pvalue[at] == pytest.approx(
            stats.kstwobign.sf(np.sqrt(200 * 8000 / 8200) * exact.statistic), rel=1e-9
        )


def test_naive_psi_is_the_index_on_the_references_deciles(raw: tuple[naive.RawReference, np.ndarray]) -> None:
    reference, window = raw
    cuts = reference.values[0][(np.arange(1, 10) * 8000) // 10]
    shares = np.maximum(np.bincount(np.searchsorted(cuts, window[0]), minlength=10) / 200, 1e-4)

    assert reference.compare(window).psi[0] == pytest.approx(((shares - 0.1) * np.log(shares / 0.1)).sum(), rel=1e-9)


def test_counts_on_even_cells_say_what_rows_say(rng: np.random.Generator) -> None:
    """The distance at 1 024 cells' ends is below the exact one by at most what one cell holds."""
    rows = rng.random((naive.CHUNKS + 1, 3, 500))
    counted = [np.stack([np.histogram(one, compare.EVEN, (0, 1))[0] for one in window]) for window in rows]
    exact = naive.RawReference.of(list(rows[:-1])).compare(rows[-1]).distance
    found = naive.CountedReference.of([one.astype(np.float64) for one in counted[:-1]]).compare(
        counted[-1].astype(np.float64)
    )

    assert (found.distance <= exact + 1e-12).all()
    assert (found.distance >= exact - 0.03).all()


def test_benjamini_hochberg_is_scipys(rng: np.random.Generator) -> None:
    pvalues = np.append(rng.random(50), rng.random(10) / 1000)

    assert (naive.benjamini_hochberg(pvalues) == (stats.false_discovery_control(pvalues) <= naive.LEVEL)).all()


def test_dummies_do_as_they_are_called(rng: np.random.Generator) -> None:
    assert (dummies.delays_of(dummies.always, 100, rng) == 1).all()
    assert np.isinf(dummies.delays_of(dummies.never, 100, rng)).all()
    assert dummies.delays_of(dummies.periodic, 100, rng).min() >= 1
    assert dummies.delays_of(dummies.periodic, 100, rng).max() <= scoring.DAY


def test_a_contest_runs_every_rule_and_finds_a_large_shift(rng: np.random.Generator) -> None:
    found = compare.contest(compare.Contest("tiny", World(60), 5, (2.0,)), rng)

    assert set(found["rules"]) == set(naive.RULES)
    assert all(np.isfinite(found["found"]["2"][rule]).all() for rule in naive.RULES)


def test_river_alarms_on_rows_that_depend_on_each_other(rng: np.random.Generator) -> None:
    """ADWIN's bound is for independent rows: on AR(0.9) it cuts some six times in a thousand."""
    found = compare.river_false("ADWIN", World(500, phi=0.9), 20, rng)

    assert found["feature_alarms"] > scoring.MONTH * compare.FEATURES / 10


# --- what is said of it -------------------------------------------------------------------------------------------------


def world(pages: int, months: float = 1.0, **changes: list[float]) -> dict[str, object]:
    still = {"pages": pages, "months": months, "windows": 8640, "alarmed": 0, "unclean": 0, "suspect": 0, "causes": {}}
    trials = {key.replace("_", " "): {"delays": found, "horizon": 288} for key, found in changes.items()}
    return {"quiet": {"default": still}, "trials": trials}


@pytest.mark.parametrize(
    ("pages", "said", "failed"), [(0, "reached", False), (3, "not ruled out", False), (9, "not reached", True)]
)
def test_a_rate_fails_when_chance_does_not_explain_it(pages: int, said: str, failed: bool) -> None:
    line = verdict.rate_line(scenarios.RateRow("a", 1), "a", [world(pages)])

    assert said in line.verdict
    assert line.failed is failed


@pytest.mark.parametrize(
    ("pages", "months", "said", "failed"),
    [
        (2, 10.0, verdict.REACHED, False),  # 0.02 to 0.72
        (16, 10.0, verdict.REACHED, False),  # 0.91 to 2.60
        (17, 10.0, verdict.MISSED, True),  # 0.99 to 2.72, and the goal itself is met
        (1, 5.0, verdict.REACHED, False),
        (0, 0.2, verdict.TOO_SHORT, False),
    ],
)
def test_an_upper_goal_fails_where_there_are_months_enough(pages: int, months: float, said: str, failed: bool) -> None:
    line = verdict.rate_line(scenarios.RateRow("a", 2, 2.65), "a", [world(pages, months)])

    assert (line.verdict, line.failed) == (said, failed)


def test_the_full_form_has_months_enough_for_every_upper_goal() -> None:
    months = {one.key: one.replicas * one.months for one in scenarios.SCENARIOS}

    assert all(months[row.scenario] >= verdict.ENOUGH for row in scenarios.RATES if row.upper)


@pytest.mark.parametrize("said", ["Makefile", "benchmarks/alarms/run.py", "benchmarks/alarms/ALARMS.template.md"])
def test_what_the_short_form_leaves_out_is_named(said: str) -> None:
    text = (ROOT / said).read_text(encoding="utf-8")

    assert all(key in text for key in scenarios.LEFT_OUT)


def test_each_world_is_told_with_its_own_day_and_commit() -> None:
    """The day of the measurement, not of the rendering; figures kept without one still render."""
    machine = {"machine": {"cores": 2, "cpu": "X"}, "minutes": 3, "command": "make it"}
    first = machine | {"seed": 1, "day": "2001-02-03", "commit": "abc", "worlds": {"a": [1], "b": [1]}}
    again = {"seed": 2, "day": "2001-02-04", "commit": None, "worlds": {"b": [2]}}
    both = kept.merged(first, again)

    assert both["worlds"] == {"a": [1], "b": [2]}
    assert "again" not in kept.told(first)
    assert "on 2001-02-03 at commit abc with seed 1 " in kept.told(both)
    assert kept.told(both).endswith(" Measured again on 2001-02-04 with seed 2: b.")
    assert "on an unknown day with seed 1 " in kept.told(machine | {"seed": 1, "apart": {"b": 2}})


def test_the_document_says_what_its_template_says() -> None:
    """Words are changed in both, between two measurements too."""
    said = (ROOT / "docs/ALARMS.md").read_text(encoding="utf-8").splitlines()
    template = (ROOT / "benchmarks/alarms/ALARMS.template.md").read_text(encoding="utf-8").splitlines()

    assert [line for line in template if not line.startswith("<!--") and line not in said] == []


def test_a_delay_fails_when_chance_does_not_explain_it() -> None:
    row = scenarios.DelayRow("a", "b", 3)

    assert verdict.delay_line(row, "a", [world(0, b=[2.0, 3.0] * 50)], None).verdict == verdict.REACHED
    assert verdict.delay_line(row, "a", [world(0, b=[1.0, 6.0] * 5)], None).verdict == verdict.DOUBTFUL
    assert verdict.delay_line(row, "a", [world(0, b=[3.0, 4.0] * 50)], None).failed


def test_every_line_has_its_world_and_trial() -> None:
    known = {one.key: {trial.key for trial in one.trials} for one in scenarios.SCENARIOS}

    assert {row.scenario for row in scenarios.RATES} <= set(known)
    assert all(row.trial in known[row.scenario] for row in scenarios.DELAYS)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_budget_holds_in_the_short_form(tmp_path: Path) -> None:
    """What CI runs of `make bench-alarms`; the seed follows `--randomly-seed`. Two minutes on two cores."""
    kept = tmp_path / "alarms.json"
    command = [
        sys.executable,
        "-m",
        "benchmarks.alarms.run",
        "--short",
        "--seed",
        str(random.getrandbits(63)),
        "--json",
        str(kept),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=840, check=False)
    print(done.stdout)

    assert done.returncode == 0, done.stderr[-4000:]
    results = json.loads(kept.read_text(encoding="utf-8"))
    assert verdict.unclean(results) == 0
    text = report.write(tmp_path, results).read_text(encoding="utf-8")
    assert "<!--" not in text
    assert [ET.fromstring(picture).tag for _, picture in pictures.pictures(results)]
