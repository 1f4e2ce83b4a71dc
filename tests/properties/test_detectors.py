"""Laws of the counted representation, for arbitrary data."""

import contextlib
import itertools
import json
import random
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from detectors import LayoutMismatchError, Reference, ReferenceFormatError, Sketch, canonical
from detectors.precision import precision_of, rounded
from detectors.reference import file as serial
from detectors.univariate import adwin, ks


def law(*strategies: st.SearchStrategy) -> Callable:
    """Hypothesis' `given`, without its deadline: a busy machine is no counterexample."""
    return lambda test: settings(deadline=None)(given(*strategies)(test))


any_float = st.floats(allow_nan=True, allow_infinity=True, width=64)
tied_float = st.sampled_from([-1.0, 0.0, 0.0, 0.5, 1.0, 2.0])
numbers = st.lists(any_float | tied_float | st.none(), min_size=1, max_size=80)
finite = st.lists(st.floats(-1e6, 1e6) | tied_float, min_size=2, max_size=100)
texts = st.sampled_from(["a", "b", "c", "ünï", "", True, None, 3, 2.5, "\ud800"]) | st.text(max_size=3)
bytes_of_damage = st.tuples(st.integers(0, 10**6), st.integers(1, 255))


@st.composite
def references(draw: st.DrawFn) -> Reference:
    rows = draw(st.integers(1, 25))
    columns = {f"n{i}": draw(hnp.arrays(np.float64, rows, elements=any_float | tied_float)) for i in range(2)}
    columns["c"] = np.array(draw(st.lists(texts, min_size=rows, max_size=rows)), dtype=object)
    return Reference.fit(columns, kinds={"c": "categorical"})


@st.composite
def references_and_windows(draw: st.DrawFn) -> tuple[Reference, dict]:
    reference = draw(references())
    rows = draw(st.integers(0, 25))
    data = {
        "n0": draw(hnp.arrays(np.float64, rows, elements=any_float)),
        "n1": draw(hnp.arrays(np.float64, rows, elements=tied_float)),
        "c": np.array(draw(st.lists(texts, min_size=rows, max_size=rows)), dtype=object),
    }
    return reference, data


def sketch_of(reference: Reference, data: dict) -> Sketch:
    sketch = Sketch.empty(reference.layout)
    sketch.update(*reference.encode(data))
    return sketch


@law(references_and_windows(), st.lists(st.integers(0, 25), max_size=4), st.randoms(use_true_random=False))
def test_merged_parts_are_the_sketch_of_everything(
    drawn: tuple[Reference, dict], cuts: list[int], chance: random.Random
) -> None:
    reference, data = drawn
    whole = sketch_of(reference, data)
    rows = whole.rows
    order = list(range(rows))
    chance.shuffle(order)
    bounds = [0, *sorted(min(cut, rows) for cut in cuts), rows]
    parts = [
        sketch_of(reference, {name: values[order[first:last]] for name, values in data.items()})
        for first, last in itertools.pairwise(bounds)
    ]
    chance.shuffle(parts)
    merged = Sketch.empty(reference.layout)
    for part in parts:
        merged = part.merge(merged)

    assert merged.rows == rows
    assert merged.counts.tolist() == whole.counts.tolist()
    merged_shift, whole_shift = (reference.mean_shift(one.tally()) for one in (merged, whole))
    assert merged_shift.tobytes() == whole_shift.tobytes()


@law(references_and_windows())
def test_every_row_counts_once_in_every_feature(drawn: tuple[Reference, dict]) -> None:
    reference, data = drawn
    sketch = sketch_of(reference, data)

    assert (np.add.reduceat(sketch.counts, reference.layout.offsets[:-1]) == sketch.rows).all()
    assert (sketch.usable + sketch.missing == sketch.rows).all()
    assert (sketch.unseen <= sketch.usable).all()


@law(references_and_windows())
def test_missing_is_what_is_not_finite_and_unseen_what_is_outside(drawn: tuple[Reference, dict]) -> None:
    reference, data = drawn
    sketch = sketch_of(reference, data)
    for i, feature in enumerate(reference.layout.numeric):
        values = data[feature.name]
        inside = values[np.abs(values) < np.finfo(float).max]
        ends = np.nextafter(feature.edges[:1], np.inf), feature.edges[-1:]  # of values in the reference's own precision
        outside = ((inside < ends[0]) | (inside > ends[1])).sum() if feature.bins else inside.size
        assert sketch.missing[i] == values.size - inside.size
        assert sketch.unseen[i] == outside
    known = set(reference.layout.categorical[0].categories)
    found = [canonical(value) for value in data["c"]]
    assert sketch.missing[-1] == found.count(None)
    assert sketch.unseen[-1] == sum(text is not None and text not in known for text in found)


@law(references_and_windows(), st.sampled_from([1, 200, 70_000, 10**10]))
def test_sketch_bytes_read_back_exactly(drawn: tuple[Reference, dict], factor: int) -> None:
    reference, data = drawn
    sketch = sketch_of(reference, data)
    sketch = Sketch(sketch.layout, sketch.rows * factor, sketch.counts * factor)
    back = Sketch.from_bytes(reference.layout, sketch.to_bytes())

    assert back.rows == sketch.rows
    assert back.counts.dtype == np.int64
    assert back.counts.tolist() == sketch.counts.tolist()


@law(references_and_windows(), bytes_of_damage)
def test_a_damaged_sketch_raises_value_error(drawn: tuple[Reference, dict], damage: tuple[int, int]) -> None:
    reference, data = drawn
    good = bytearray(sketch_of(reference, data).to_bytes())
    where, change = damage
    good[where % len(good)] ^= change
    with pytest.raises(ValueError, match="sketch"):
        Sketch.from_bytes(reference.layout, bytes(good))


@law(references(), st.binary(max_size=80))
def test_arbitrary_bytes_are_no_sketch_and_no_bank(reference: Reference, junk: bytes) -> None:
    with pytest.raises(ValueError, match="no sketch"):
        Sketch.from_bytes(reference.layout, junk)
    with pytest.raises(ValueError, match="no ADWIN bank"):
        adwin.AdwinBank.from_bytes(reference, junk)


@law(references(), references())
def test_sketches_merge_only_on_one_grid(one: Reference, other: Reference) -> None:
    if one.layout.id == other.layout.id:
        assert one.sketch.merge(other.sketch).rows == one.rows + other.rows
    else:
        with pytest.raises(LayoutMismatchError):
            one.sketch.merge(other.sketch)


@law(references())
def test_a_reference_survives_json_exactly(reference: Reference) -> None:
    back = Reference.from_dict(json.loads(json.dumps(reference.to_dict())))

    assert back.hash == reference.hash
    assert back.layout.id == reference.layout.id
    assert back.counts.tobytes() == reference.counts.tobytes()
    for one, other in zip(reference.numeric, back.numeric, strict=True):
        assert one.edges.tobytes() == other.edges.tobytes()
        assert one.bin_means.tobytes() == other.bin_means.tobytes()
        assert (one.mean, one.std, one.min, one.max) == (other.mean, other.std, other.min, other.max)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=6,
)
SMALL = Reference.fit({"n": [1.0, 2.0, 2.0, np.nan], "c": ["a", "b", "b", None]}).to_dict()


def paths(value: object, prefix: tuple = ()) -> list[tuple]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [prefix, *(path for key, held in inner for path in paths(held, (*prefix, key)))]


@law(st.sampled_from(paths(SMALL)[1:]), json_values, st.booleans())
def test_a_damaged_reference_raises_its_own_error_or_reads(path: tuple, value: object, remove: bool) -> None:
    """Whatever stands in any place of the file: it is either a sound reference or a ReferenceFormatError."""
    content = json.loads(json.dumps(SMALL))
    *parents, last = path
    inner = content
    for key in parents:
        inner = inner[key]
    if remove:
        del inner[last]
    else:
        inner[last] = value
    with contextlib.suppress(ReferenceFormatError):
        reference = Reference.from_dict(content)
        assert all(score.value in {0.0, None} for score in reference.compare(reference.sketch))
        reference.compare({name: [1.0, 2.0, 9.0, None] for name in reference.names})
        adwin.AdwinBank(reference).update(reference.sketch)


number_texts = (
    st.floats().map(repr)
    | st.integers().map(str)
    | st.from_regex(r"-?[0-9]{1,40}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?", fullmatch=True)
)


@law((number_texts | json_values.map(json.dumps) | st.text(max_size=20)).map(str.encode) | st.binary(max_size=20))
def test_the_quick_parser_reads_what_the_standard_library_reads(raw: bytes) -> None:
    assert repr(outcome(serial.parse, raw)) == repr(outcome(serial.parse_slowly, raw))


def outcome(read: Callable[[bytes], object], raw: bytes) -> object:
    try:
        return read(raw)
    except ReferenceFormatError as error:
        return str(error)


@law(st.binary(max_size=60))
def test_a_file_of_arbitrary_bytes_raises_its_own_error(tmp_path_factory: pytest.TempPathFactory, junk: bytes) -> None:
    path = tmp_path_factory.mktemp("junk") / "reference.json"
    path.write_bytes(junk)
    with pytest.raises(ReferenceFormatError):
        Reference.load(path)


def as_compared(reference: Reference, values: list[float] | np.ndarray) -> np.ndarray:
    """Values in the reference's own precision: what is one there is one value."""
    less = precision_of(reference.layout.numeric[0].edges)
    return np.array(values) if less is None else rounded(np.array(values), less).astype(np.float64)


@law(finite, finite)
@example(before=[0.0, 0.0, 262144.421875], after=[1.0, 6.8e-296])
def test_the_exact_ks_distance_lies_in_the_certified_interval(before: list[float], after: list[float]) -> None:
    reference = Reference.fit({"x": before})
    [score] = ks.score(reference, sketch_of(reference, {"x": after}))
    exact = stats.ks_2samp(*(as_compared(reference, values) for values in (before, after)), method="asymp").statistic

    assert score.value <= exact + 1e-12
    assert exact <= score.details["upper"] + 1e-12


@law(st.integers(0, 2**32), st.integers(300, 3000), st.integers(2, 3000), st.sampled_from([0, 1, 2, 9]))
@example(seed=1681, rows=740, later=1679, decimals=1)
def test_the_interval_holds_for_more_values_than_bins(seed: int, rows: int, later: int, decimals: int) -> None:
    rng = np.random.default_rng(seed)
    before = np.round(rng.lognormal(sigma=2, size=rows), decimals)
    after = np.round(rng.lognormal(rng.normal(), 2, size=later), decimals) - rng.integers(2)
    reference = Reference.fit({"x": before})
    [score] = ks.score(reference, sketch_of(reference, {"x": after}))
    exact = stats.ks_2samp(*(as_compared(reference, values) for values in (before, after)), method="asymp").statistic

    assert score.value <= exact + 1e-12
    assert exact <= score.details["upper"] + 1e-12
    assert score.details["upper"] - score.value <= score.details["resolution"] + 1e-12


@law(finite)
def test_a_bin_mean_lies_in_its_bin_and_the_mean_follows_from_them(values: list[float]) -> None:
    [feature] = Reference.fit({"x": values}).numeric
    inner = feature.bin_means[1:-1]

    assert ((feature.edges[:-1] < inner) & (inner <= feature.edges[1:])).all()
    assert feature.counts[: feature.bins + 2] @ feature.bin_means / feature.count == pytest.approx(
        np.mean(values), abs=1e-6
    )


@law(numbers, st.lists(st.integers(1, 79), max_size=5))
def test_a_reference_does_not_depend_on_the_chunks(values: list, cuts: list[int]) -> None:
    bounds = [0, *sorted(min(cut, len(values)) for cut in cuts), len(values)]
    pieces = [{"x": values[first:last]} for first, last in itertools.pairwise(bounds)]

    assert Reference.fit_chunks(lambda: pieces).hash == Reference.fit({"x": values}).hash
