"""Fitting a reference: kinds, edges, atoms, chunks, traffic, and the mistakes it refuses."""

import itertools
import random

import numpy as np
import pytest
from scipy import stats

from detectors import CategoricalBaseline, Kind, NumericBaseline, Reference, Sketch, canonical
from detectors.calibration.cells import MergedCells
from detectors.columns import Coded, infer_kind
from detectors.reference import arrivals
from detectors.univariate import ks

MINUTE = 60 * 10**9


def numeric(values: object, **changes: object) -> NumericBaseline:
    [feature] = Reference.fit({"x": values}, kinds={"x": "numeric"}, **changes).numeric
    return feature


def categorical(values: object) -> CategoricalBaseline:
    [feature] = Reference.fit({"x": values}, kinds={"x": "categorical"}).categorical
    return feature


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (np.False_, "false"),
        (3, "3"),
        (np.int8(-3), "-3"),
        (3.0, "3"),
        (-0.0, "0"),
        (0.1, "0.1"),
        (np.float32(0.5), "0.5"),
        ("Pro ", "Pro "),
        ("", ""),
        (None, None),
        (np.nan, None),
        (np.inf, None),
        ([1], None),
        (b"a", None),
    ],
)
def test_a_category_has_one_canonical_text(value: object, text: str | None) -> None:
    assert canonical(value) == text


def test_an_integer_too_long_to_write_is_missing() -> None:
    assert canonical(10**5000) is None
    assert numeric([10**5000, 1]).missing == 1


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2], Kind.NUMERIC),
        ([1.5, None], Kind.NUMERIC),
        ([None, 2], Kind.NUMERIC),
        (np.array([1, 2], dtype=np.uint8), Kind.NUMERIC),
        (["a", "b"], Kind.CATEGORICAL),
        ([1.0, "a"], Kind.CATEGORICAL),
        ([True, False], Kind.CATEGORICAL),
        ([True, None], Kind.CATEGORICAL),
        (np.array(["a", None], dtype=object), Kind.CATEGORICAL),
        ([None, None], Kind.NUMERIC),
    ],
)
def test_numbers_are_numeric_text_and_booleans_categorical(values: object, kind: Kind) -> None:
    assert Reference.fit({"x": values}).features["x"].kind is kind


def test_a_kind_can_be_forced() -> None:
    reference = Reference.fit(
        {"code": [1.0, 2.0, 2.0], "text": ["1", "b", None]}, kinds={"code": Kind.CATEGORICAL, "text": "numeric"}
    )

    assert reference.features["code"].categories == ("2", "1")
    assert reference.features["text"].counts.tolist() == [0, 0, 3, 0, 0]  # a number as text is of the wrong type


def test_a_list_of_mixed_types_keeps_its_types() -> None:
    """numpy alone would turn [1.0, "a"] into the texts "1.0" and "a"."""
    assert categorical([1.0, "a", np.nan, None]).categories == ("1", "a")


def test_categories_stand_by_falling_count_then_by_text() -> None:
    feature = categorical(["b", "c", "a", "c", None, "b", "d"])

    assert feature.categories == ("b", "c", "a", "d")
    assert feature.counts.tolist() == [2, 2, 1, 1, 0, 1]


def test_beyond_a_thousand_categories_the_rarest_are_other() -> None:
    feature = categorical([f"c{i}" for i in range(1200)] + ["c5"] * 3)

    assert len(feature.categories) == 1000
    assert feature.categories[0] == "c5"
    assert feature.counts[-2] == 200


def test_rare_categories_are_forgotten_while_counting_and_still_counted_as_other() -> None:
    rows = [f"id-{i}" for i in range(150_000)]
    chunks = [{"x": rows[start : start + 10_000] + ["often"] * 10} for start in range(0, 150_000, 10_000)]
    [feature] = Reference.fit_chunks(lambda: chunks).categorical

    assert feature.categories[0] == "often"
    assert feature.counts[0] == 150
    assert feature.counts.sum() == 150_150


def test_bins_hold_equal_shares_between_the_extremes() -> None:
    values = np.random.default_rng(1).normal(size=38_400)
    feature = numeric(values)

    assert feature.bins == 384
    assert set(feature.counts[1:385].tolist()) == {100}
    assert (feature.min, feature.max) == (values.min(), values.max())
    assert feature.edges[0] == np.nextafter(values.min(), -np.inf)
    assert feature.edges[-1] == values.max()
    assert feature.mean == pytest.approx(values.mean(), abs=1e-12)
    assert feature.std == pytest.approx(values.std(), rel=1e-12)
    assert feature.counts[:386] @ feature.bin_means / 38_400 == pytest.approx(values.mean(), abs=1e-12)


def test_a_common_value_has_a_bin_of_its_own() -> None:
    rng = np.random.default_rng(2)
    values = np.where(rng.random(10_000) < 0.7, 0.0, rng.normal(size=10_000))
    feature = numeric(values)
    [atom] = np.flatnonzero(feature.atoms)

    assert feature.edges[atom + 1] == 0.0
    assert feature.edges[atom] == np.nextafter(0.0, -np.inf)
    assert feature.counts[1 + atom] == (values == 0).sum()
    assert feature.bin_means[1 + atom] == 0.0
    assert not feature.discrete


def test_up_to_fifty_distinct_values_are_all_atoms() -> None:
    feature = numeric(np.arange(50) % 50)

    assert feature.discrete
    assert feature.edges[1:][feature.atoms].tolist() == list(range(50))
    assert feature.counts[1:-4][feature.atoms].tolist() == [1] * 50
    assert not numeric(np.arange(51)).discrete


def test_the_top_bin_is_never_empty() -> None:
    """A quantile may equal the maximum; an empty reference bin above it would make every index explode."""
    feature = numeric(np.concatenate([np.arange(300.0), np.full(300, 299.0)]))

    assert feature.counts[feature.bins] > 0


def test_infinities_and_nan_are_counted_and_never_edges() -> None:
    feature = numeric([1.0, np.inf, np.nan, -np.inf, np.inf, None, 2.0])

    assert np.isfinite(feature.edges).all()
    assert feature.counts[-3:].tolist() == [2, 1, 2]
    assert (feature.count, feature.missing) == (2, 5)
    assert (feature.min, feature.max, feature.mean, feature.std) == (1.0, 2.0, 1.5, 0.5)


@pytest.mark.parametrize("constant", [0.1, 0.0, -0.0, 1e308, 5e-324, 1 / 3])
def test_a_constant_has_no_spread_at_all(constant: float) -> None:
    feature = numeric([constant] * 40_001)

    assert (feature.mean, feature.std, feature.min, feature.max) == (constant, 0.0, constant, constant)
    assert feature.bin_means.tolist() == [constant] * 3


def test_moments_of_huge_values_stay_finite() -> None:
    feature = numeric(np.tile([-1.7e308, 1.7e308], 20_000))

    assert feature.std == pytest.approx(1.7e308)
    assert abs(feature.mean) <= 1.7e308
    assert np.isfinite(feature.bin_means).all()


def test_a_column_without_any_value_has_no_edges_and_all_is_over() -> None:
    reference = Reference.fit({"x": [None, np.nan]})
    [feature] = reference.numeric
    window = Sketch.empty(reference.layout)
    window.update(*reference.encode({"x": [-1.0, 0.0, 7.0, None]}))

    assert feature.bins == 0
    assert window.row("x").tolist() == [0, 3, 1, 0, 0]
    assert window.unseen.tolist() == [3]


def test_a_reference_of_many_blocks_does_not_depend_on_the_chunks() -> None:
    rng = np.random.default_rng(3)
    data = {"x": rng.normal(size=60_000), "c": rng.choice(["a", "b"], 60_000)}
    cuts = [0, 1, 17_000, 17_001, 50_000, 60_000]
    pieces = [{name: values[first:last] for name, values in data.items()} for first, last in itertools.pairwise(cuts)]

    assert Reference.fit_chunks(lambda: pieces).hash == Reference.fit(data).hash


def test_beyond_the_sample_edges_are_approximate_counts_exact_and_the_interval_certified() -> None:
    rng = np.random.default_rng(4)
    values = rng.lognormal(size=400_000)
    reference = Reference.fit_chunks(lambda: ({"x": part} for part in np.array_split(values, 37)))
    [feature] = reference.numeric
    counts, _ = np.histogram(values, feature.edges)  # its bins are closed on the left: the same but for ties

    assert feature.counts[1:-4].tolist() == counts.tolist() or abs(feature.counts[1:-4] - counts).sum() <= 2 * 384
    assert feature.count == 400_000
    assert (feature.min, feature.max) == (values.min(), values.max())
    assert feature.mean == pytest.approx(values.mean(), rel=1e-12)
    assert feature.std == pytest.approx(values.std(), rel=1e-12)
    assert feature.counts[1:-4].max() / 400_000 < 1.25 / 384

    window = rng.lognormal(0.05, 1, size=20_000)
    sketch = Sketch.empty(reference.layout)
    sketch.update(*reference.encode({"x": window}))
    [score] = ks.score(reference, sketch)
    exact = stats.ks_2samp(values, window, method="asymp").statistic
    assert score.value <= exact + 1e-12
    assert exact <= score.details["upper"] + 1e-12
    assert score.value == pytest.approx(exact, abs=0.001)


@pytest.mark.parametrize(
    "values",
    [
        np.random.default_rng(0).standard_cauchy(70_000),
        np.random.default_rng(1).integers(0, 30, 40_000),
        np.random.default_rng(2).normal(size=50_000).round(2),
        np.array([0.0, -0.0, 1.0, 1e308, -1e308, 1.7976931348623157e308, np.inf, -np.inf, np.nan, 5e-324]),
        np.array([np.nan, np.inf]),
    ],
)
def test_a_reference_holds_what_a_sketch_of_its_rows_would_count(values: np.ndarray) -> None:
    reference = Reference.fit({"x": values, "c": np.array(["a", "b", None], dtype=object)[np.arange(values.size) % 3]})
    sketch = Sketch.empty(reference.layout)
    sketch.update(*reference.encode({"x": values, "c": [["a", "b", None][at % 3] for at in range(values.size)]}))

    assert reference.counts.tolist() == sketch.counts.tolist()


def test_the_mean_of_a_bin_is_that_of_its_values() -> None:
    values = np.random.default_rng(5).exponential(size=60_000)
    feature = numeric(values)
    bins = np.searchsorted(feature.edges, values, side="left")

    for at in (1, 100, feature.bins):
        assert feature.bin_means[at] == pytest.approx(values[bins == at].mean(), rel=1e-12)


@pytest.mark.parametrize("kind", ["categorical", "numeric"])
def test_texts_told_by_codes_are_the_same_as_texts(kind: str) -> None:
    values = ("seldom", "a", True, None, "never")
    codes = np.random.default_rng(4).choice(4, p=[0.01, 0.5, 0.29, 0.2], size=30_000)
    whole = Reference.fit({"x": np.array([*values, None], dtype=object)[codes]}, kinds={"x": kind})

    assert Reference.fit({"x": Coded(values, codes)}, kinds={"x": kind}).hash == whole.hash
    for told, plain in zip(
        whole.encode({"x": Coded(values, codes)}), whole.encode({"x": np.asarray(Coded(values, codes))}), strict=True
    ):
        assert np.array_equal(told, plain, equal_nan=True)


def test_codes_of_which_none_occurs_tell_no_kind() -> None:
    assert infer_kind(Coded(("text", None), np.ones(3, dtype=np.int64))) is None


def test_booleans_of_one_kind_are_one_category() -> None:
    assert categorical(np.ones(5, dtype=np.bool_)).categories == ("true",)


def test_a_column_that_comes_late_or_goes_is_missing_elsewhere() -> None:
    chunks = [{"a": [1.0, 2.0]}, {"a": [3.0], "b": ["x"]}, {"b": ["y", "x"]}]
    reference = Reference.fit_chunks(lambda: chunks)

    assert reference.rows == 5
    assert reference.features["a"].missing == 2
    assert reference.features["b"].missing == 2


def test_the_kind_is_told_by_the_first_chunk_with_a_value() -> None:
    chunks = [{"x": [None, None]}, {"x": [None, "a"]}]

    assert Reference.fit_chunks(lambda: chunks).features["x"].kind is Kind.CATEGORICAL


def test_the_prediction_gets_its_fixed_name() -> None:
    reference = Reference.fit({"p": [0.1, 0.2], "x": [1, 2]}, prediction="p", kinds={"p": "categorical"})

    assert set(reference.names) == {"__prediction__", "x"}
    assert reference.features["__prediction__"].kind is Kind.CATEGORICAL


def traffic(rows_a_minute: list[int]) -> Reference:
    times = [minute * MINUTE + second for minute, rows in enumerate(rows_a_minute) for second in range(rows)]
    data = {"t": np.array(times, dtype=np.int64), "x": np.arange(len(times))}
    return Reference.fit_chunks(lambda: [data], timestamp="t", window_ns=MINUTE)


def test_traffic_is_the_median_of_whole_windows() -> None:
    reference = traffic([1, 60, 120, 180, 2])

    assert reference.rows_per_second == 2.0
    assert reference.period == (0, 4 * MINUTE + 1)
    assert reference.names == ("x",)


def test_traffic_is_unknown_with_fewer_than_two_whole_windows() -> None:
    assert traffic([1, 60, 2]).rows_per_second is None


def test_timestamps_may_be_datetime64() -> None:
    data = {"t": np.array(["2026-01-01", "2026-01-02", "NaT"], dtype="datetime64[s]"), "x": [1, 2, 3]}
    reference = Reference.fit_chunks(lambda: [data], timestamp="t")

    assert reference.period == (1_767_225_600 * 10**9, 1_767_312_000 * 10**9)
    assert reference.rows_per_second is None


# --- calibration ------------------------------------------------------------------------------------------------------


def history(windows: int, rows: int = 40) -> tuple[np.ndarray, dict]:
    """So many windows of a minute with so many rows each, evenly spread, of every kind of column."""
    seed = random.getrandbits(32)
    print("seed", seed)  # shown when a test fails
    rng, count = np.random.default_rng(seed), windows * rows
    data = {
        "x": rng.normal(size=count),
        "lacking": np.where(rng.random(count) < 0.2, np.nan, rng.lognormal(size=count)),
        "empty": np.full(count, np.nan),
        "plan": rng.choice(np.array(["a", "b", None], dtype=object), count),
        "yes": rng.random(count) < 0.5,
    }
    return np.arange(count) * (MINUTE // rows), data


def test_timestamps_and_a_window_teach_the_calibration() -> None:
    times, data = history(80)
    reference = Reference.fit(data, timestamps=times, window_ns=MINUTE)
    found = reference.calibration

    assert found is not None
    assert (found.window_ns, found.windows, found.rows) == (MINUTE, 78, 40.0)  # the first and the last may be cut off
    assert found.cells.layout is reference.layout
    assert reference.names == Reference.fit(data).names
    assert reference.cold == ""


def test_calibration_neither_knows_chunks_nor_the_order_of_rows() -> None:
    times, data = history(80)
    expected = Reference.fit(data, timestamps=times.astype("datetime64[ns]"), window_ns=MINUTE).calibration
    order = np.random.default_rng(random.getrandbits(32)).permutation(times.size)
    mixed = {"t": times[order], **{name: column[order] for name, column in data.items()}}
    chunks = [{name: column[part] for name, column in mixed.items()} for part in np.array_split(order.argsort(), 7)]
    found = Reference.fit_chunks(lambda: chunks, timestamp="t", window_ns=MINUTE).calibration

    assert found is not None
    assert expected is not None
    assert found.to_dict() == expected.to_dict()


def test_cells_are_merged_by_the_shares_that_the_counts_turn_out_to_have() -> None:
    """They are chosen before the rows are counted, from what the first pass kept: here all of them."""
    times, data = history(80)
    reference = Reference.fit(data, timestamps=times, window_ns=MINUTE)

    assert reference.calibration is not None
    expected = MergedCells.of(reference.layout, reference.counts, 40.0)
    for cuts, same in zip(reference.calibration.cells.cuts, expected.cuts, strict=True):
        assert cuts.tolist() == same.tolist()


def test_rows_without_a_time_count_for_the_reference_alone() -> None:
    times, data = history(80)
    whole = Reference.fit(data, timestamps=times, window_ns=MINUTE)
    late = {name: np.concatenate([column, column[:500]]) for name, column in data.items()}
    stamps = np.concatenate([times.astype("datetime64[ns]"), np.full(500, "NaT", dtype="datetime64[ns]")])
    reference = Reference.fit(late, timestamps=stamps, window_ns=MINUTE)

    assert reference.rows == whole.rows + 500
    assert reference.calibration is not None
    assert whole.calibration is not None
    assert reference.calibration.windows == whole.calibration.windows
    assert reference.calibration.arrival_rate == whole.calibration.arrival_rate


@pytest.mark.parametrize(
    ("windows", "rows", "window_ns", "why"),
    [
        (20, 40, MINUTE, "18 whole windows of 1m, at least 50 are needed"),
        (80, 2, MINUTE, "at least 5 are needed"),
        (80, 40, 1000 * MINUTE, "one window of 1000m holds more than half of the reference"),
        (80, 40, 60 * MINUTE, "one window of 1h holds more than half of the reference"),
    ],
)
def test_windows_that_teach_nothing_leave_the_reference_cold_and_say_why(
    windows: int, rows: int, window_ns: int, why: str
) -> None:
    times, data = history(windows, rows)
    reference = Reference.fit(data, timestamps=times, window_ns=window_ns)

    assert reference.calibration is None
    assert why in reference.cold
    assert "\n" not in reference.cold


def test_without_a_window_nothing_is_learnt_and_nothing_is_wrong() -> None:
    times, data = history(80)
    reference = Reference.fit(data, timestamps=times)

    assert (reference.calibration, reference.cold) == (None, "")
    assert reference.period == (0, int(times[-1]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window_ns": MINUTE}, "window_ns is 60000000000, but there are no timestamps to cut windows by"),
        ({"timestamps": [1], "window_ns": MINUTE}, "x has 2 rows, __timestamps__ has 1"),
        (
            {"timestamps": [1.5, 2.5]},
            "__timestamps__: times must be datetimes, RFC 3339 texts or whole nanoseconds, not float64",
        ),
    ],
)
def test_times_that_do_not_fit_are_refused(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Reference.fit({"x": [1.0, 2.0]}, **options)


def test_the_name_of_the_times_is_taken() -> None:
    with pytest.raises(ValueError, match="there is a column __timestamps__ beside the timestamps"):
        Reference.fit({"__timestamps__": [1.0]}, timestamps=[1])


def test_of_very_many_windows_the_earliest_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrivals, "MOST_HELD", 10)
    held = arrivals.Arrivals(MINUTE)
    for first in (500, 0, 250):
        held.add("t", (first + np.arange(30)) * MINUTE)

    assert set(held.rows) >= set(range(520, 530))
    assert len(held.rows) <= 20


def test_progress_hears_both_passes() -> None:
    heard: list[int] = []
    Reference.fit_chunks(lambda: [{"x": [1, 2]}, {"x": [3]}], progress=heard.append)

    assert heard == [2, 3, 5, 6]


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        ({}, {}, "at least one column"),
        ({"a": []}, {}, "at least one row"),
        ({"a": [1, 2], "b": [1]}, {}, "a has 2 rows, b has 1"),
        ({"a": [[1, 2]]}, {}, "a: a column has one dimension, this has 2"),
        ({"a": [1j]}, {}, "a: complex128 is neither"),
        ({"a": np.array(["2026-01-01"], dtype="datetime64[s]")}, {}, r"a: datetime64\[s\] is a time"),
        ({"a": [1]}, {"kinds": {"a": "ordinal"}}, "a: kind is 'ordinal'; valid are numeric, categorical"),
        ({"a": [1]}, {"kinds": {"b": "numeric"}}, "a kind is given for b, but there is no such column; there are a"),
        ({"a": [1]}, {"prediction": "p"}, "no prediction column p; there are a"),
        ({"a": [1], "__prediction__": [1]}, {"prediction": "a"}, "beside the prediction a"),
        ({"a": [1]}, {"timestamp": "t"}, "no time in a column t; there are a"),
        ({"a": [1], "t": ["x"]}, {"timestamp": "t"}, "t: timestamps must be whole nanoseconds"),
        ({"a": [1]}, {"window_ns": 0}, "window_ns is 0"),
    ],
)
def test_what_is_no_reference_is_refused_in_one_line(data: dict, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message) as raised:
        Reference.fit_chunks(lambda: [data], **options)

    assert "\n" not in str(raised.value)


def test_passes_that_differ_are_refused() -> None:
    passes = iter([[{"x": [1, 2]}], [{"x": [1]}]])
    with pytest.raises(ValueError, match="the first pass read 2 rows, the second 1"):
        Reference.fit_chunks(lambda: next(passes))


def test_a_window_may_lack_columns_and_have_others() -> None:
    reference = Reference.fit({"x": [1.0, 2.0], "c": ["a", "b"]})
    numbers, codes = reference.encode({"c": ["b", "new", None], "unknown": [1, 2, 3]})

    assert np.isnan(numbers).all()
    assert codes.tolist() == [[1], [2], [3]]


def test_select_keeps_the_named_features_and_their_counts() -> None:
    reference = Reference.fit({"x": [1.0, 2.0], "y": [1.0, 1.0], "c": ["a", None]})
    chosen = reference.select(["c", "y"])

    assert chosen.names == ("y", "c")
    assert chosen.rows == 2
    assert chosen.sketch.row("c").tolist() == reference.sketch.row("c").tolist()
    assert chosen.hash != reference.hash


@pytest.mark.parametrize(("names", "message"), [(["z"], "no feature z; it has x"), ([], "at least one feature")])
def test_select_refuses_unknown_names_and_none(names: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Reference.fit({"x": [1]}).select(names)
