"""The reference beside a window: shares on bins that the eye takes in, and the drawing of them."""

import xml.etree.ElementTree as ET
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from detectors import LayoutMismatchError, Reference, Sketch
from detectors.distribution import Distribution, ShareOf, svg
from tests.charted import seeded

ROWS = 5000


def columns(rng: np.random.Generator, rows: int = ROWS) -> dict[str, np.ndarray]:
    """Every kind of feature."""
    return {
        "normal": rng.normal(size=rows),
        "skewed": np.exp(2 * rng.normal(size=rows)),
        "zeros": np.where(rng.random(rows) < 0.6, 0.0, rng.exponential(size=rows)),
        "counts": rng.poisson(4, rows),
        "many counts": rng.poisson(400, rows),
        "heavy": rng.standard_t(2, size=rows),
        "huge": (2 * rng.random(rows) - 1) * 1.7e308,
        "times": 1_700_000_000 + rng.random(rows) * 60,
        "few": rng.choice(np.float32([0.1, 0.2, 0.3]), rows),
        "constant": np.ones(rows),
        "holes": np.where(rng.random(rows) < 0.1, np.nan, rng.normal(size=rows)),
        "empty": np.full(rows, np.nan),
        "flag": rng.random(rows) < 0.2,
        "plan": rng.choice([f"plan {n}" for n in range(40)], rows),
    }


def beside(reference: Mapping[str, Any], now: Mapping[str, Any]) -> Distribution:
    """The only feature of two tables."""
    (found,) = Reference.fit(reference).distributions(now).values()
    return found


def share(found: Distribution, part: ShareOf) -> tuple[float, float]:
    row = next(row for row in found.rows if row.part is part)
    return row.reference, row.current


def test_shares_add_up_and_are_those_of_the_rows() -> None:
    """Whatever the feature is like: nothing is lost and nothing is counted twice."""
    rng = seeded()
    table = columns(rng)
    for found in Reference.fit(table).distributions(columns(rng, 700)).values():
        values = [row for row in found.rows if row.part is not ShareOf.MISSING]
        some = float(found.feature != "empty")

        assert found.reference.sum() + sum(row.reference for row in values) == pytest.approx(some)
        assert found.current.sum() + sum(row.current for row in values) == pytest.approx(some)
        assert found.edges.size in {0, found.reference.size + 1}
        assert found.reference.size <= 34
        assert (np.diff(found.edges / 2) > 0).all()
        assert (found.rows_before, found.rows_now) == (ROWS, 700)


@pytest.mark.parametrize("odd", [-1.0, -250.0, 0.0], ids=["a sentinel", "refunds", "a zero"])
def test_a_skewed_number_with_a_few_values_at_or_below_0_is_drawn(odd: float) -> None:
    """Its bins grow by factors all the same; what has no logarithm is a narrow bin in front."""
    rng = seeded()
    before, now = (np.exp(2 * rng.normal(size=ROWS)) for _ in range(2))
    before[: 1 if odd == 0.0 else 3] = odd
    found = beside({"amount": before}, {"amount": now})
    drawn = ET.fromstring(svg(found))

    assert found.growing
    assert found.edges[0] == odd
    assert found.edges[1] > 0
    assert found.reference.sum() == pytest.approx(1)
    assert "nan" not in ET.tostring(drawn, encoding="unicode")


def test_no_sign_of_a_share_is_markup() -> None:
    """A share below a hundredth of a percent is said with a sign that markup begins with."""
    plan = ["free"] * 200_000
    found = beside({"plan": plan}, {"plan": [*plan[1:], "pro"]})

    assert "< 0.01" in svg(found).replace("&lt;", "<").replace("\u202f", " ")
    ET.fromstring(svg(found))


def test_bins_have_real_edges() -> None:
    """A share of a bin is the share of the values between its edges."""
    rng = seeded()
    before, now = columns(rng), columns(rng)
    for name, found in Reference.fit(before).distributions(now).items():
        if not found.edges.size:
            continue
        alone = [float(row.label.replace("−", "-")) for row in found.rows if row.part is ShareOf.VALUE]
        least, most = np.nanmin(before[name]), np.nanmax(before[name])
        for values, shares in ((before[name], found.reference), (now[name], found.current)):
            usable = values[~np.isnan(values)]
            binned = usable[~np.isin(usable, alone) & (usable >= least) & (usable <= most)]
            bins = np.searchsorted(found.edges[1:-1], binned, side="left")
            counted = np.bincount(bins, minlength=shares.size) / usable.size

            assert np.allclose(counted, shares, rtol=0, atol=1e-12), name


def test_the_same_rows_have_the_same_shares() -> None:
    table = columns(seeded())
    for found in Reference.fit(table).distributions(table).values():
        assert np.array_equal(found.reference, found.current)
        assert all(row.reference == row.current for row in found.rows)
        assert repr(found).endswith("No share has moved by half a point.>")


def test_a_common_value_stands_beside_the_bins() -> None:
    found = Reference.fit(columns(seeded())).distributions({"zeros": np.zeros(10)})["zeros"]

    assert [(row.label, row.current) for row in found.rows if row.part is ShareOf.VALUE] == [("0", 1.0)]
    assert found.reference.size > 10


def test_whole_numbers_have_bins_of_as_many_values_each() -> None:
    few, many = np.repeat(np.arange(20), 5), np.repeat(np.arange(100, 200), 5)

    assert beside({"x": few}, {"x": few}).edges.tolist() == (np.arange(21) - 0.5).tolist()
    assert beside({"x": many}, {"x": many}).edges.tolist() == [*(np.arange(100, 200, 4) - 0.5).tolist(), 199.5]


def test_numbers_that_take_over_stand_apart() -> None:
    found = beside({"x": np.repeat(np.arange(20), 5)}, {"x": np.array([3, 3, 3, 7])})

    assert [(row.label, row.current) for row in found.rows if row.part is ShareOf.VALUE] == [("3", 0.75), ("7", 0.25)]


def test_what_the_reference_never_had_is_shown_apart() -> None:
    found = beside({"x": np.arange(100.0)}, {"x": np.array([-5.0, 3, 200, 300])})

    assert share(found, ShareOf.BELOW) == (0, 0.25)
    assert share(found, ShareOf.ABOVE) == (0, 0.5)


def test_what_is_missing_is_a_share_of_all_rows() -> None:
    found = beside({"x": np.arange(100.0)}, {"x": np.array([np.nan, 1.0, 2.0, np.inf])})

    assert share(found, ShareOf.MISSING) == (0, 0.5)


def test_values_between_those_of_a_discrete_number_are_seen() -> None:
    found = beside({"x": np.array([1.0, 2, 3] * 9)}, {"x": np.array([1.5, 2.0])})

    assert share(found, ShareOf.BETWEEN) == (0, 0.5)


def test_categories_are_the_commonest_of_either_the_others_and_new_ones() -> None:
    reference = [f"c{n}" for n in range(30) for _ in range(60 - n)]
    found = beside({"c": reference}, {"c": ["c29"] * 6 + ["c0"] * 2 + ["new"] * 2})
    named = {row.label: (row.part, row.current) for row in found.rows}

    assert named["c29"] == (ShareOf.CATEGORY, 0.6)
    assert named["18 others"] == (ShareOf.OTHER, 0.0)
    assert named["new"] == (ShareOf.NEW, 0.2)
    assert len(found.rows) == 15


def test_a_trailing_baseline_takes_the_place_of_the_reference() -> None:
    from detectors.distribution import distribution_of

    feature = Reference.fit({"c": ["a", "b"]}).features["c"]
    found = distribution_of(feature, np.array([1, 1, 0, 0]), np.array([3, 1, 0, 0]))

    assert found.rows[0].reference == 0.75


def test_what_does_not_fit_is_refused() -> None:
    reference, other = Reference.fit({"x": [1, 2]}), Reference.fit({"x": [1, 2, 3]})

    with pytest.raises(LayoutMismatchError):
        reference.distributions(Sketch.empty(other.layout))
    with pytest.raises(ValueError, match="y is no feature; there is x"):
        reference.distributions({"x": [1]}, features=["y"])
    with pytest.raises(KeyError, match="there is no feature y; there is x"):
        reference.distributions({"x": [1]})["y"]


def test_every_drawing_is_markup_that_says_what_it_shows() -> None:
    rng = seeded()
    table = columns(rng)
    for now in (columns(rng, 300), {name: values[:0] for name, values in table.items()}):
        for found in Reference.fit(table).distributions(now).values():
            drawn = ET.fromstring(svg(found, titled=True))

            assert drawn.get("role") == "img"
            assert drawn.find("title").text == f"{found.feature}: reference and window"
            assert "rows in the reference" in drawn.find("desc").text
            assert "nan" not in svg(found).lower()
            assert "inf" not in svg(found).lower()


def test_numbers_that_differ_in_the_ninth_digit_are_told_apart() -> None:
    found = Reference.fit(columns(seeded())).distributions({"times": np.array([1_700_000_005.0])})["times"]
    words = [text.text for text in ET.fromstring(svg(found)).iter("text")]

    assert len(set(words)) == len(words)
    assert any("1\u202f700\u202f000" in word for word in words)


def test_names_from_outside_are_no_markup() -> None:
    found = beside({"<b>": ["</svg><script>", "\x00\x1b", "אבג"]}, {"<b>": ["a"]})

    assert "<script>" not in svg(found, titled=True)
    assert ET.fromstring(svg(found, titled=True)) is not None


def test_a_notebook_draws_them() -> None:
    reference = Reference.fit({"x": [1, 2], "y": [3, 4]})

    assert reference.distributions({"x": [1], "y": [2]})._repr_html_().count("<svg") == 2
    assert reference.distributions({"x": [1]}, features=["x"])._repr_html_().count("<svg") == 1
