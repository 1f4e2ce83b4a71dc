"""The fit that knows no order, beside the fit in order and beside what plain definitions say."""

import pickle
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pytest

from detectors import Reference
from detectors.features import NumericFeature
from detectors.reference import value_cells
from detectors.reference.passes import CountingPass, count_tables, put_together
from detectors.reference.profiles import BINS

MINUTE = 60 * 10**9
Table = dict[str, np.ndarray]


def table(rows: int, seed: int = 1) -> Table:
    """Numbers with atoms, of few values, in single precision and with gaps; texts, truth, a prediction that a feature copies, times."""
    draw = np.random.default_rng(seed)
    amount = np.where(draw.random(rows) < 0.1, 49.9, draw.lognormal(3, 1.5, rows))
    amount[draw.random(rows) < 0.05] = np.nan
    amount[draw.random(rows) < 0.001] = np.inf
    plan = draw.choice(np.array(["free", "pro", "team", None], dtype=object), rows, p=[0.6, 0.3, 0.05, 0.05])
    score = draw.beta(2, 5, rows)
    return {
        "amount": amount,
        "age": draw.integers(18, 90, rows),
        "share": draw.random(rows).astype(np.float32),
        "offset": 1e9 + draw.normal(0, 1, rows),
        "plan": plan,
        "paid": draw.random(rows) < 0.7,
        "copy": score * 100 - 3,
        "score": score,
        "nothing": np.full(rows, np.nan),
        "session": draw.integers(1, rows // 3 + 2, rows).astype(str),
        "ts": draw.integers(0, 3000, rows) * MINUTE + draw.integers(0, MINUTE, rows),
    }


HOW: dict[str, Any] = {"prediction": "score", "timestamp": "ts", "window_ns": 10 * MINUTE, "group": "session"}


def rows_at(data: Table, places: np.ndarray) -> Table:
    return {name: column[places] for name, column in data.items()}


def in_parts(data: Table, parts: Iterable[np.ndarray], chunk: int = 1000) -> Reference:
    """Fitted with every pass pickled and made part by part, chunk by chunk."""
    held = [rows_at(data, places) for places in parts]

    def apply(counting: CountingPass) -> Mapping[str, bytes]:
        sent = pickle.dumps(counting)
        found = []
        for part in held:
            size = part["ts"].size
            chunks = [rows_at(part, np.arange(first, min(first + chunk, size))) for first in range(0, size, chunk)]
            found.append(count_tables(pickle.loads(sent), chunks))
        return put_together(counting, found)

    return Reference.fit_parts(apply, **HOW)


@pytest.mark.parametrize("cells", [value_cells.CELLS, 500])
def test_parts_and_order_change_no_bit(cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(value_cells, "CELLS", cells)
    data = table(20_000)
    whole = Reference.fit(data, any_order=True, **HOW)
    draw = np.random.default_rng(2)
    shuffled = draw.permutation(20_000)
    sizes = np.sort(draw.integers(0, 20_000, 7))

    assert in_parts(data, np.split(np.arange(20_000), 8)).hash == whole.hash
    assert in_parts(data, np.split(shuffled, sizes), chunk=777).to_dict() == whole.to_dict()
    assert in_parts(data, [shuffled], chunk=20_000).hash == whole.hash
    assert whole.calibration is not None
    assert [copy.feature for copy in whole.copies] == ["copy"]


def test_what_is_other_has_another_hash() -> None:
    """The hash would tell: a few values, or a few rows in another window."""
    data = table(5_000)
    whole = Reference.fit(data, any_order=True, **HOW)
    for name, value in (("amount", 50.1), ("plan", "team"), ("ts", 0), ("age", 91)):
        changed = {**data, name: data[name].copy()}
        changed[name][:3] = value
        assert Reference.fit(changed, any_order=True, **HOW).hash != whole.hash


def test_of_no_more_values_than_a_sample_holds_the_layout_and_counts_are_those_of_the_fit_in_order() -> None:
    data = table(30_000)
    ours, theirs = Reference.fit(data, any_order=True, **HOW), Reference.fit(data, **HOW)

    assert ours.layout.id == theirs.layout.id
    assert ours.names == theirs.names
    assert ours.counts.tolist() == theirs.counts.tolist()
    assert (ours.rows, ours.period, ours.rows_per_second) == (theirs.rows, theirs.period, theirs.rows_per_second)
    assert ours.calibration is not None
    assert theirs.calibration is not None
    assert ours.calibration.to_dict() == theirs.calibration.to_dict()
    for one, other in zip(ours.numeric, theirs.numeric, strict=True):
        assert one.mean == pytest.approx(other.mean, rel=1e-12)
        assert one.std == pytest.approx(other.std, rel=1e-9)
        assert one.bin_means == pytest.approx(other.bin_means, rel=1e-12)
    assert [copy.feature for copy in ours.copies] == [copy.feature for copy in theirs.copies]


def test_moments_are_rounded_once() -> None:
    """1e9 and a little: in floats their squares would have lost it."""
    values = 1e9 + np.random.default_rng(3).normal(0, 1e-3, 10_000)
    [feature] = Reference.fit({"x": values}, any_order=True).numeric
    wide = values.astype(np.longdouble)

    assert feature.mean == float(wide.mean())
    assert feature.std == pytest.approx(float(wide.std()), rel=1e-12)


@pytest.mark.parametrize("values", [[1e308, -1e308, 5.0], [5e-324, 1e-320, 0.0], [7.0, 7.0], [1.7e308, 1.6e308]])
def test_the_largest_and_smallest_numbers_have_moments(values: list[float]) -> None:
    ours = Reference.fit({"x": values}, any_order=True).numeric[0]
    theirs = Reference.fit({"x": values}).numeric[0]

    assert ours.edges.tolist() == theirs.edges.tolist()
    assert ours.mean == pytest.approx(theirs.mean, rel=1e-9, abs=1e-12 * max(map(abs, values)))
    assert ours.std == pytest.approx(theirs.std, rel=1e-9)


def test_quantiles_are_right_and_common_values_alone_beyond_what_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten thousand values on at most a thousand runs: a bin holds at most two 384ths but where a value is common, which has a bin of its own."""
    monkeypatch.setattr(value_cells, "CELLS", 1000)
    passes: list[str] = []
    draw = np.random.default_rng(4)
    values = draw.permutation(np.concatenate([draw.normal(50, 10, 20_000), np.full(1_000, 49.9), np.full(500, -0.3)]))

    def apply(counting: CountingPass) -> Mapping[str, bytes]:
        passes.append(type(counting).__name__)
        return counting([{"x": values}])

    feature = Reference.fit_parts(apply).numeric[0]

    assert passes == ["FirstLook", *["CloserLook"] * 2, "LastCount"]
    atoms = dict(zip(feature.tops[feature.atoms].tolist(), feature.counts[1:-4][feature.atoms].tolist(), strict=True))
    assert (atoms[49.9], atoms[-0.3]) == (1000, 500)
    assert feature.counts[1:-4][~feature.atoms].max() <= 2 * values.size / BINS
    assert feature.counts.sum() == values.size


def test_two_passes_are_enough_where_no_value_is_common_among_many() -> None:
    passes: list[str] = []

    def apply(counting: CountingPass) -> Mapping[str, bytes]:
        passes.append(type(counting).__name__)
        return counting([{"x": np.random.default_rng(5).normal(size=200_000), "z": np.arange(200_000) % 7}])

    reference = Reference.fit_parts(apply)

    assert passes == ["FirstLook", "LastCount"]
    assert reference.numeric[0].counts[1:-4].max() <= 1.1 * 200_000 / BINS
    assert isinstance(reference.layout.features[1], NumericFeature)


@pytest.mark.parametrize(
    ("parts", "how", "words"),
    [
        (
            [{"x": [1.0]}, {"x": np.array(["a"], dtype=object)}],
            {},
            "x: numbers in some parts and texts or truth in others",
        ),
        ([{"x": [1.0]}], {"prediction": "y"}, "there is no prediction column y; there are x"),
        ([{"x": [1.0]}], {"kinds": {"y": "numeric"}}, "a kind is given for y"),
        ([{"x": [1.0]}], {"timestamp": "ts"}, "there is no time in a column ts"),
        ([{"x": np.array(["2026-01-01"], dtype="datetime64[s]")}], {}, "x: datetime64.* is a time"),
        ([{"x": np.array([[1]], dtype=object)[0] * [[1]]}], {}, "neither number, text nor boolean"),
        ([{"x": np.arange(100_001).astype(str)}], {}, "x: more than 100,000 different texts"),
        (
            [{"x": np.arange(60_000).astype(str)}, {"x": np.arange(60_000, 120_000).astype(str)}],
            {},
            "more than 100,000",
        ),
        ([], {}, "a reference needs at least one column and one row$"),
    ],
)
def test_what_cannot_be_counted_is_refused_in_one_line(
    parts: list[Mapping[str, Any]], how: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        Reference.fit_parts(
            lambda counting: put_together(counting, [count_tables(counting, [part]) for part in parts]), **how
        )


@pytest.mark.parametrize("how", [{"label": "y", "prediction": "x"}])
def test_labels_are_refused(how: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="label cannot be counted in any order"):
        Reference.fit({"x": [0.1, 0.2], "y": [0, 1]}, any_order=True, **how)


def test_data_that_changes_between_the_passes_is_refused() -> None:
    sizes = iter([10, 11])

    with pytest.raises(ValueError, match="the first pass read 10 rows, the last 11"):
        Reference.fit_parts(lambda counting: counting([{"x": np.arange(next(sizes))}]))


def test_a_column_may_have_no_name() -> None:
    """As that of a pandas index in a CSV file."""
    parts = [{"": [1.0, 2.0], "x": [0.5, 0.5]}, {"": [3.0], "x": [1.5]}]
    fitted = Reference.fit_parts(
        lambda counting: put_together(counting, [count_tables(counting, [part]) for part in parts])
    )

    assert fitted.rows == 3
    assert fitted.hash == Reference.fit({"": [1.0, 2.0, 3.0], "x": [0.5, 0.5, 1.5]}, any_order=True).hash
    assert set(fitted.features) == {"", "x"}


def test_threads_change_nothing() -> None:
    data = table(3_000)
    how = {name: value for name, value in HOW.items() if name != "group"}
    fitted = [
        Reference.fit_chunks(
            lambda: [data], any_order=True, threads=threads, kinds={"session": "categorical"}, **how
        ).hash
        for threads in (1, 3)
    ]

    assert fitted[0] == fitted[1]
