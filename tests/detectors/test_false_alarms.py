"""What an explicit rule raises when nothing has changed: the laws against the detectors themselves."""

import math

import numpy as np
import pytest

from detectors import DETECTORS, JudgedWindows, Reference, Sketch, window_detectors
from detectors.false_alarms import alarms, chances, expected_false_alarms
from detectors.univariate import adwin
from tests.charted import seeded

MONTH = 8640.0  # windows of five minutes
REFERENCE_ROWS = 200_000
LIMITS = {  # by detector, for n rows: thresholds of which some are passed neither always nor never
    "ks": lambda n: np.array([0.713, 0.917, 1.137, 1.291]) / math.sqrt(n),
    "psi": lambda n: np.array([1.37, 3.19, 6.17, 11.9, 16.3]) / n,
    "chi2": lambda n: np.array([1.37, 3.19, 6.17, 11.9, 16.3, 22.1]),
    "missing": lambda n: np.array([1.01, 1.61]) * math.sqrt(0.021 / n),
}


@pytest.fixture
def rng() -> np.random.Generator:
    """A seed of its own each time."""
    return seeded()


def holed(values: np.ndarray, rng: np.random.Generator, share: float) -> np.ndarray:
    return np.where(rng.random(values.size) < share, np.nan, values)


def all_kinds(rng: np.random.Generator, rows: int = REFERENCE_ROWS) -> Reference:
    letters, few = np.array(list("abcdefgh")), 1 / np.arange(1, 9)
    return Reference.fit(
        {
            "normal": rng.normal(size=rows),
            "skewed": holed(rng.lognormal(0, 2, rows), rng, 0.02),
            "zeros": np.where(rng.random(rows) < 0.7, 0.0, rng.normal(size=rows) ** 2),
            "counts": rng.poisson(3, rows).astype(float),
            "seldom": (rng.random(rows) < 0.1).astype(float),
            "constant": np.ones(rows),
            "two": rng.choice(["yes", "no"], rows, p=[0.7, 0.3]),
            "eight": rng.choice(letters, rows, p=few / few.sum()),
        }
    )


def unchanged(reference: Reference, rng: np.random.Generator, rows: int) -> Sketch:
    """A window drawn from the reference's own shares."""
    drawn = [rng.multinomial(rows, feature.counts / feature.counts.sum()) for feature in reference.features.values()]
    return Sketch(reference.layout, rows, np.concatenate(drawn).astype(np.int64))


@pytest.mark.parametrize("rows", [30, 100, 1000])
def test_the_law_of_each_detector_is_what_it_does(rng: np.random.Generator, rows: int) -> None:
    """Within a factor of two where 3000 windows can tell: chances from 0.02 on, that is, 60 and more breaches."""
    reference = all_kinds(rng)
    seen: dict[str, list[np.ndarray]] = {name: [] for name in LIMITS}
    names = {}
    for _ in range(3000):
        tally = unchanged(reference, rng, rows).tally()
        for name in LIMITS:
            found = window_detectors()[name].columns(reference, tally)
            names[name] = found.names
            seen[name].append(np.where(found.known, found.values, 0.0))

    compared = dict.fromkeys(LIMITS, 0)
    for name, limits in LIMITS.items():
        values = np.array(seen[name])
        for limit in limits(rows).tolist():
            law = chances(reference, name, dict.fromkeys(names[name], limit), JudgedWindows(rows, MONTH))
            true = (values > limit).mean(axis=0)
            for feature, chance, share in zip(names[name], law.tolist(), true.tolist(), strict=True):
                if max(chance, share) > 0.02:
                    compared[name] += 1
                    assert 0.5 < chance / max(share, 1e-9) < 2, (name, feature, limit, chance, share)
    assert compared["ks"] >= 8
    assert compared["psi"] >= 12
    assert compared["chi2"] >= 8
    assert compared["missing"] >= 1


def test_a_number_beyond_a_short_reference_is_no_surprise(rng: np.random.Generator) -> None:
    """The next rows leave the range of a thousand in 2 of 1001 cases; more than 0.4 % of 500 in one window of nine."""
    breaches = []
    for _ in range(600):
        reference = Reference.fit({"x": rng.normal(size=1000)})
        scores = reference.compare({"x": rng.normal(size=500)})
        breaches += [score.value > 0.004 for score in scores if score.detector == "unseen"]
    (law,) = chances(reference, "unseen", {"x": 0.004}, JudgedWindows(500, MONTH))

    assert law == pytest.approx(1 - (4 + 8 / 3 + 4 / 3) / 9, rel=1e-6)  # negative binomial: 2 and 2/3
    assert 0.5 < law / np.mean(breaches) < 2


def test_missing_is_binomial_to_the_last_row() -> None:
    reference = Reference.fit({"x": [None] * 1000 + [1.0] * 9000})
    (law,) = chances(reference, "missing", {"x": 0.05}, JudgedWindows(60, MONTH))
    share = 1000.5 / 10_001
    exact = sum(math.comb(60, k) * share**k * (1 - share) ** (60 - k) for k in range(61) if abs(k / 60 - 0.1) > 0.05)

    assert law == pytest.approx(exact, rel=1e-9)


def test_adwins_mean_runs_over_64_panes(rng: np.random.Generator) -> None:
    """Fifty features alike, thirty banks: 1500 means, of which a twentieth lie beyond 1.96 standard errors."""
    reference = Reference.fit({f"f{at}": rng.normal(size=20_000) for at in range(50)})
    limit = 1.96 * math.sqrt(1 / 6400 + 1 / 20_000)
    beyond = []
    for _ in range(30):
        bank = adwin.AdwinBank(reference, delta=1e-9)
        for _ in range(adwin.PANES):
            bank.update(unchanged(reference, rng, 100))
        beyond += [(score.value or 0.0) for score in bank.scores()]
    law = chances(reference, "adwin", {"f0": limit}, JudgedWindows(100, MONTH))
    known = 2 * 0.5 * math.erfc(limit * math.sqrt(6400) / math.sqrt(2))  # the reference stays the same here

    assert law[0] == pytest.approx(0.05, rel=0.01)
    assert 0.4 < np.mean(np.array(beyond) > limit) / known < 2.5


@pytest.mark.parametrize("slides", [5, 12])
def test_windows_that_overlap_cross_a_threshold_as_often_as_the_law_says(rng: np.random.Generator, slides: int) -> None:
    panes = np.concatenate([[0.0], np.cumsum(rng.normal(size=400_000))])
    breach = np.abs(panes[slides:] - panes[:-slides]) > 2.576 * math.sqrt(slides)  # a chance of 1 %
    crossings = np.count_nonzero(breach[1:] & ~breach[:-1])
    (law,) = alarms(np.array([0.01]), JudgedWindows(100, 400_000 / slides, slides))

    assert 1 / 1.5 < law / crossings < 1.5
    assert law > 2 * 4000 / slides  # well above that of disjoint windows


def test_for_is_a_power_and_features_add_up() -> None:
    reference = all_kinds(np.random.default_rng(1), 5000)
    windows = JudgedWindows(500, MONTH)
    one = float(chances(reference, "ks", {"normal": 0.06}, windows)[0])
    alone = expected_false_alarms(reference, "ks", {"normal": 0.06}, windows, hold=3).per_month
    both = expected_false_alarms(reference, "ks", {"normal": 0.06, "skewed": 0.06}, windows).per_month

    assert 0.001 < one < 0.5
    assert alone == pytest.approx(MONTH * one**3)
    assert both is not None
    assert both > MONTH * one


def test_adwin_gains_nothing_from_waiting_a_window_of_64_panes() -> None:
    reference = all_kinds(np.random.default_rng(2), 5000)
    limits = {"normal": 0.05}
    at_once, twice, far = (
        expected_false_alarms(reference, "adwin", limits, JudgedWindows(200, MONTH), hold=hold).per_month
        for hold in (1, 2, 65)
    )

    assert at_once is not None
    assert far is not None
    assert at_once == twice
    assert 0 < far < at_once


def test_volume_depends_on_traffic() -> None:
    found = expected_false_alarms(all_kinds(np.random.default_rng(3), 100), "volume", {}, JudgedWindows(100, MONTH))

    assert found.per_month is None
    assert "traffic" in found.why


@pytest.mark.parametrize("detector", sorted(DETECTORS.keys() - {"volume"}))
def test_chances_are_chances_whatever_the_reference_holds(detector: str) -> None:
    """No NaN, nothing outside [0, 1], and never more at a higher threshold."""
    reference = Reference.fit(
        {
            "empty": [None] * 6,
            "constant": [1.0] * 6,
            "one": [None, None, None, None, None, 3.0],
            "pair": [0.0, 1.0] * 3,
            "text": ["a"] * 6,
            "texts": list("aabbcd"),
            "wide": [-1e300, 1e300, 0.0, 1.0, 2.0, 3.0],
        },
        kinds={"empty": "numeric"},
    )
    for rows in (1.0, 2.5, 40.0, 1e7):
        found = [
            chances(reference, detector, dict.fromkeys(reference.names, limit), JudgedWindows(rows, MONTH))
            for limit in (0.0, 1e-6, 0.1, 0.5, 1.0, 7.0, 1e9)
        ]
        assert np.isfinite(found).all()
        assert np.min(found) >= 0
        assert np.max(found) <= 1
        assert (np.diff(found, axis=0) <= 1e-9).all()
        assert np.max(found[-1]) < 1e-6


def test_what_is_not_judged_raises_nothing() -> None:
    """KS of a category, and any feature with too few values a window."""
    reference = all_kinds(np.random.default_rng(4), 5000)

    assert chances(reference, "ks", {"eight": 0.0, "constant": 0.01}, JudgedWindows(100, MONTH)).tolist() == [0, 0]
    assert chances(reference, "chi2", {"normal": 0.0}, JudgedWindows(100, MONTH)).tolist() == [0]
    assert chances(reference, "psi", {"normal": 0.0}, JudgedWindows(100, MONTH, min_rows=101)).tolist() == [0]
    assert chances(reference, "psi", {"normal": 0.0}, JudgedWindows(100, MONTH, min_rows=100))[0] > 0.99


def test_names_that_there_are_not_are_refused() -> None:
    reference = Reference.fit({"x": [1.0, 2.0]})

    with pytest.raises(ValueError, match="no feature y"):
        chances(reference, "ks", {"y": 0.1}, JudgedWindows(100, MONTH))
    with pytest.raises(
        ValueError, match="'kss' is no detector; there is adwin, chi2, ks, missing, psi, unseen, volume"
    ):
        chances(reference, "kss", {"x": 0.1}, JudgedWindows(100, MONTH))
