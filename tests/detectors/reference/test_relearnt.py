"""One feature of a reference learnt anew: on bins that reach further, of which those are kept that held any."""

import numpy as np
import pytest

from detectors import Reference
from detectors.features import Floats
from detectors.reference.relearnt import relearnt, widened

SCORES = {"age": np.arange(200.0), "score": np.linspace(0.2, 0.4, 200)}


@pytest.fixture(scope="module")
def scores() -> Reference:
    return Reference.fit(SCORES, prediction="score")


def counted(reference: Reference, values: Floats) -> Reference:
    sketch = reference.sketch.empty(reference.layout)
    ages = np.full(values.size, 50.0)
    sketch.update(*reference.encode({"age": ages, "__prediction__": values}))
    return relearnt(reference, "__prediction__", sketch.row("__prediction__"))


def test_further_bins_hold_nothing_and_change_nothing_else(scores: Reference) -> None:
    wide = widened(scores, "__prediction__")
    before, after = scores.features["__prediction__"], wide.features["__prediction__"]

    assert after.counts.sum() == before.counts.sum() == 200
    assert (after.min, after.max) == (0.0, 1.0)  # type: ignore[union-attr]
    assert set(before.edges) <= set(after.edges)  # type: ignore[union-attr]
    assert after.mean == pytest.approx(0.3, abs=0.01)  # type: ignore[union-attr]
    assert wide.features["age"] is scores.features["age"]
    assert Reference.from_dict(wide.to_dict()).hash == wide.hash


def test_what_is_learnt_has_the_range_of_what_was_seen(scores: Reference) -> None:
    values = np.random.default_rng(7).uniform(0.6, 0.9, 5000)
    learnt = counted(widened(scores, "__prediction__"), values)
    feature = learnt.features["__prediction__"]

    assert feature.counts.sum() == learnt.rows == 200
    assert feature.mean == pytest.approx(0.75, abs=0.02)  # type: ignore[union-attr]
    assert 0.58 <= feature.min <= 0.6  # type: ignore[union-attr]
    assert 0.9 <= feature.max <= 0.92  # type: ignore[union-attr]
    assert learnt.hash != scores.hash
    assert Reference.from_dict(learnt.to_dict()).hash == learnt.hash


def test_a_number_that_is_no_share_reaches_four_ranges_further() -> None:
    reference = Reference.fit({"age": np.arange(200.0), "p": np.linspace(100.0, 200.0, 200)}, prediction="p")
    feature = widened(reference, "__prediction__").features["__prediction__"]

    assert (feature.min, feature.max) == pytest.approx((-300.0, 600.0))  # type: ignore[union-attr]


@pytest.mark.parametrize("values", [["a", "b"] * 100, [1.0, 2.0] * 100, [0.5] * 200, [np.nan] * 200])
def test_what_has_no_range_to_widen_stays(values: list[object]) -> None:
    reference = Reference.fit({"age": np.arange(200.0), "p": values}, prediction="p")

    assert widened(reference, "__prediction__") is reference
    assert widened(reference, "other") is reference


@pytest.mark.parametrize("far", [1e300, 5e-324, 1e16])
def test_numbers_at_the_ends_of_doubles_are_no_trouble(far: float) -> None:
    values = np.linspace(-far, far, 200) if far > 1 else np.arange(200) * far
    reference = Reference.fit({"age": np.arange(200.0), "p": values}, prediction="p")
    wide = widened(reference, "__prediction__")

    assert wide.features["__prediction__"].counts.sum() == 200
    assert relearnt(wide, "__prediction__", wide.features["__prediction__"].counts).rows == 200
