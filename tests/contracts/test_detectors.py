"""One suite over every window detector: laws that none may break, on any reference and any window."""

import math

import numpy as np
import pytest

from detectors import (
    DETECTORS,
    DriftScore,
    LayoutMismatchError,
    Reference,
    ScoreColumns,
    Sketch,
    WindowDetector,
    window_detectors,
)
from detectors.protocols import ManyScorer, prepared
from detectors.sketches import TallyStack
from detectors.univariate import adwin

RNG = np.random.default_rng(7)
MANY = [f"city-{i % 1500}" for i in range(3000)]

REFERENCES = {
    "mixed": Reference.fit(
        {
            "normal": RNG.normal(size=3000),
            "zeros": np.where(RNG.random(3000) < 0.7, 0.0, RNG.lognormal(size=3000)),
            "few": RNG.poisson(3, 3000),
            "gaps": np.where(RNG.random(3000) < 0.3, np.nan, RNG.normal(size=3000)),
            "plan": RNG.choice(["free", "pro", "team"], 3000, p=[0.9, 0.099, 0.001]),
            "flag": RNG.random(3000) < 0.2,
            "city": MANY,
        }
    ),
    "constant": Reference.fit({"x": [5.0] * 20, "c": ["a"] * 20}),
    "all missing": Reference.fit({"x": [None] * 20, "c": [None] * 20}, kinds={"c": "categorical"}),
    "one row": Reference.fit({"x": [1.5], "c": ["a"]}),
    "huge": Reference.fit({"x": [-1.7e308, 1.7e308, 0.0, 1e300, np.inf, -np.inf], "c": ["a", "b", "", "a", "b", "c"]}),
    "tiny": Reference.fit({"x": [5e-324, 1e-323, 0.0, -5e-324]}),
    "numeric only": Reference.fit({"x": np.arange(100.0)}),
    "categorical only": Reference.fit({"c": ["a", "b"] * 50}),
}

WINDOWS = {
    "empty": [],
    "one row": [0.5],
    "one strange row": [np.inf],
    "constant": [5.0] * 300,
    "all missing": [None] * 300,
    "far above": [1e308] * 300,
    "far below": [-1.7976931348623157e308] * 300,
    "infinite": [np.inf, -np.inf] * 150,
    "spread": np.linspace(-1e6, 1e6, 300),
}

every_detector = pytest.mark.parametrize("detector", window_detectors().values(), ids=lambda found: found.name)
every_reference = pytest.mark.parametrize("reference", REFERENCES.values(), ids=REFERENCES)
every_window = pytest.mark.parametrize("values", WINDOWS.values(), ids=WINDOWS)


def sketch_of(reference: Reference, data: dict) -> Sketch:
    sketch = Sketch.empty(reference.layout)
    sketch.update(*reference.encode(data))
    return sketch


def window_of(reference: Reference, values: object) -> Sketch:
    """The same values in every feature; to a categorical one nearly all of them are unseen."""
    return sketch_of(reference, dict.fromkeys(reference.names, np.array(values, dtype=object)))


def numbers_in(score: DriftScore) -> list[float]:
    return [
        number for number in (score.value, score.pvalue, score.threshold, *score.details.values()) if number is not None
    ]


def test_detectors_are_found_by_their_presence() -> None:
    assert list(window_detectors()) == ["chi2", "ks", "missing", "psi", "unseen"]
    assert tuple(DETECTORS) == ("adwin", "chi2", "ks", "missing", "psi", "unseen", "volume")


@every_detector
@every_reference
def test_a_reference_does_not_differ_from_itself(detector: WindowDetector, reference: Reference) -> None:
    for score in detector.score(reference, reference.sketch):
        assert score.value in {0.0, None}
        assert score.pvalue in {1.0, None}


@every_detector
@every_reference
@every_window
def test_any_window_gives_finite_numbers_or_none(
    detector: WindowDetector, reference: Reference, values: object
) -> None:
    window = window_of(reference, values)
    for score in detector.score(reference, window):
        assert all(math.isfinite(number) for number in numbers_in(score))
        assert score.value is None or score.value >= 0
        assert score.pvalue is None or 0 <= score.pvalue <= 1
        assert 0 <= score.rows <= window.rows


@every_detector
@every_reference
def test_windows_scored_together_get_the_scores_that_each_has_alone(
    detector: WindowDetector, reference: Reference
) -> None:
    """To the last bit, whatever windows stand before and behind, and however wide their counts are."""
    sketches = [window_of(reference, values) for values in WINDOWS.values()]
    windows = [each.tally() for each in (*sketches, sketches[-1].merge(sketches[3]), reference.sketch)]
    scorer = prepared(detector, reference)
    if not isinstance(scorer, ManyScorer):
        return
    for found, window in zip(scorer.many(TallyStack(windows), 2), windows, strict=True):
        assert bits_of(found) == bits_of(scorer(window, 2))
        assert found.most >= found.values.max(initial=-math.inf), "a rule would take a breach for none"


def bits_of(columns: ScoreColumns) -> list[bytes]:
    found = columns.settle()
    parts = found.known, found.rows, found.values, found.pvalues, *found.details.values()
    return [b"" if each is None else np.ascontiguousarray(each).tobytes() for each in parts]


@every_detector
@every_reference
def test_a_billion_rows_give_finite_numbers(detector: WindowDetector, reference: Reference) -> None:
    window = reference.sketch.merge(window_of(reference, WINDOWS["spread"]))
    window = Sketch(window.layout, window.rows * 10**9, window.counts * 10**9)
    for score in detector.score(reference, window):
        assert all(math.isfinite(number) for number in numbers_in(score))


@every_detector
@every_reference
def test_a_window_of_no_rows_is_insufficient(detector: WindowDetector, reference: Reference) -> None:
    assert all(score.insufficient for score in detector.score(reference, Sketch.empty(reference.layout)))


@every_detector
def test_below_min_rows_only_missing_and_unseen_speak(detector: WindowDetector) -> None:
    reference = REFERENCES["mixed"]
    window = sketch_of(reference, {"normal": [0.1] * 9, "plan": ["pro"] * 9, "few": [1] * 9})

    insufficient = {score.insufficient for score in detector.score(reference, window, min_rows=10)}

    assert insufficient == {detector.name not in {"missing", "unseen"}}


@every_detector
def test_min_rows_counts_usable_values(detector: WindowDetector) -> None:
    reference = REFERENCES["mixed"]
    window = sketch_of(reference, {"few": [1] * 10 + [None] * 90, "plan": ["pro"] * 10 + [None] * 90})
    scores = {score.feature: score for score in detector.score(reference, window, min_rows=10)}
    shares = detector.name in {"missing", "unseen"}

    for name in scores.keys() & {"few", "plan"}:
        assert not scores[name].insufficient
        assert scores[name].rows == (100 if shares else 10)


@every_detector
def test_the_order_of_events_does_not_matter(detector: WindowDetector) -> None:
    reference = REFERENCES["mixed"]
    rng = np.random.default_rng(3)
    data = {name: rng.normal(size=500) for name in reference.names}
    order = rng.permutation(500)
    shuffled = {name: values[order] for name, values in data.items()}

    assert detector.score(reference, sketch_of(reference, data)) == detector.score(
        reference, sketch_of(reference, shuffled)
    )


@every_detector
def test_each_feature_is_judged_once_and_keeps_its_name(detector: WindowDetector) -> None:
    reference = REFERENCES["mixed"]
    scores = detector.score(reference, reference.sketch)
    names = [score.feature for score in scores]

    assert set(names) <= set(reference.names)
    assert len(set(names)) == len(names) > 0
    assert {score.detector for score in scores} == {detector.name}


@every_detector
def test_a_feature_is_judged_the_same_in_any_company(detector: WindowDetector) -> None:
    """Everything is computed over the whole ragged vector at once; no feature may leak into its neighbour."""
    reference = REFERENCES["mixed"]
    rng = np.random.default_rng(5)
    data = {
        "normal": rng.normal(0.3, 1, 400),
        "zeros": rng.normal(size=400),
        "few": rng.poisson(4, 400),
        "gaps": [None] * 400,
        "plan": rng.choice(["free", "pro", "new"], 400),
        "flag": rng.random(400) < 0.5,
        "city": MANY[:400],
    }
    together = {score.feature: score for score in detector.score(reference, sketch_of(reference, data))}
    for name, score in together.items():
        alone = reference.select([name])
        assert detector.score(alone, sketch_of(alone, data)) == [score]


@every_detector
def test_a_window_of_another_grid_is_refused(detector: WindowDetector) -> None:
    with pytest.raises(LayoutMismatchError, match="do not fit"):
        detector.score(REFERENCES["mixed"], REFERENCES["constant"].sketch)


@every_reference
@every_window
def test_adwin_gives_finite_numbers_or_none_too(reference: Reference, values: object) -> None:
    bank = adwin.AdwinBank(reference)
    for _ in range(3):
        bank.update(window_of(reference, values))
    for score in bank.scores():
        assert all(math.isfinite(number) for number in numbers_in(score))


@every_reference
def test_adwin_sees_no_shift_in_the_reference_itself(reference: Reference) -> None:
    bank = adwin.AdwinBank(reference)
    bank.update(reference.sketch)

    assert all(score.value in {0.0, None} for score in bank.scores())
