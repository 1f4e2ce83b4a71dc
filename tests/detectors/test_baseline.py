"""Counts on a layout: one layout serves several baselines, and detectors are prepared for each of them once."""

from dataclasses import fields

import numpy as np

from detectors import Baseline, CategoricalFeature, DriftScore, Ks, Layout, NumericFeature, Psi, Reference, Sketch
from detectors.protocols import prepared

RNG = np.random.default_rng(3)
TRAINING = Reference.fit({"x": RNG.normal(size=5000), "plan": RNG.choice(["a", "b"], 5000)})


def window(shift: float, rows: int = 1000) -> Sketch:
    sketch = Sketch.empty(TRAINING.layout)
    sketch.update(*TRAINING.encode({"x": RNG.normal(shift, 1, rows), "plan": RNG.choice(["a", "b"], rows)}))
    return sketch


def trailing(counts: Sketch) -> Baseline:
    """What windows were counted of late, on the layout of the training data."""
    numeric, categorical = TRAINING.numeric[0], TRAINING.categorical[0]
    x = type(numeric)(
        numeric.name, numeric.edges, numeric.discrete, counts.row("x"), numeric.bin_means, numeric.mean, numeric.std
    )
    plan = type(categorical)(categorical.name, categorical.categories, counts.row("plan"))
    return Baseline(TRAINING.layout, counts.rows, (x,), (plan,))


def test_a_layout_knows_no_counts() -> None:
    assert [field.name for field in fields(Layout)] == ["numeric", "categorical"]
    assert [field.name for field in fields(NumericFeature)] == ["name", "edges", "discrete"]
    assert [field.name for field in fields(CategoricalFeature)] == ["name", "categories"]
    assert not any(hasattr(feature, "counts") for feature in TRAINING.layout.features)


def test_one_window_is_held_against_several_baselines_of_one_layout() -> None:
    late, now = trailing(window(0.5)), window(0.5)
    (training,), (settled,) = Ks().score(TRAINING, now), Ks().score(late, now)

    assert training.value is not None
    assert settled.value is not None
    assert training.value > 0.15
    assert settled.value < 0.1
    assert late.mean_shift(late.sketch.tally())[0] == 0.0
    assert TRAINING.mean_shift(late.sketch.tally())[0] > 0.4


def test_two_baselines_of_one_layout_have_names_of_their_own() -> None:
    assert trailing(window(0.0)).hash != trailing(window(0.5)).hash


def test_a_detector_is_prepared_once_for_all_who_share_the_baseline() -> None:
    assert prepared(Psi(), TRAINING) is prepared(Psi(bins=10), TRAINING)
    assert prepared(Psi(bins=20), TRAINING) is not prepared(Psi(), TRAINING)
    assert prepared(Ks(), TRAINING) is not prepared(Ks(), trailing(window(0.0)))


def test_more_bins_see_more() -> None:
    def value(scores: list[DriftScore]) -> float:
        return scores[0].value or 0.0

    spread = Sketch.empty(TRAINING.layout)
    spread.update(*TRAINING.encode({"x": RNG.normal(0, 1.5, 3000), "plan": ["a"] * 3000}))

    assert value(Psi(bins=2).score(TRAINING, spread)) < value(Psi().score(TRAINING, spread))
    assert value(Psi().score(TRAINING, spread)) < value(Psi(bins=20).score(TRAINING, spread))
