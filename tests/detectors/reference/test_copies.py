"""Features that say what the prediction says are named; those that merely help it are not."""

import json

import numpy as np
import pytest

from detectors import Reference, ReferenceFormatError
from detectors.reference.copies import agreement, code_cells, number_cells
from tests.charted import seeded

ROWS = 20_000


def model(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """A score, what it is made from, and what should not be beside it."""
    score = rng.random(ROWS)
    truth = rng.random(ROWS) < score
    return {
        "score": score,
        "copy": score * 100 + 0.1 * rng.normal(size=ROWS),
        "rank": np.exp(-5 * score),
        "decision": np.where(score > 0.8, "yes", "no"),
        "event": truth.astype(np.float64),
        "strong": score + 0.3 * rng.normal(size=ROWS),
        "weak": rng.normal(size=ROWS) + score,
        "rare": np.where(rng.random(ROWS) < 0.001, 1.0, 0.0),
        "holes": np.where(rng.random(ROWS) < 0.5, np.nan, score),
        "nothing": np.full(ROWS, np.nan),
    }


def test_copies_are_named_and_good_features_are_not() -> None:
    reference = Reference.fit(model(seeded()), prediction="score")
    said = {copy.feature: copy for copy in reference.copies}

    assert said.keys() == {"copy", "rank", "decision", "holes"}
    assert min(copy.agreement for copy in said.values()) > 0.75
    assert said["copy"].words.startswith("copy says ")


def test_what_is_named_as_a_label_need_not_tell_as_much() -> None:
    rng = seeded()
    score = rng.beta(0.3, 0.3, ROWS)
    truth = rng.random(ROWS) < score
    reference = Reference.fit({"score": score, "label": truth, "smokes": truth}, prediction="score")

    (copy,) = reference.copies
    assert copy.feature == "label"
    assert "named as a label" in copy.words


def test_without_a_prediction_there_is_no_copy_of_it() -> None:
    assert Reference.fit(model(seeded())).copies == ()


@pytest.mark.parametrize("size", [999, 7_001, ROWS])
def test_how_the_rows_come_in_chunks_does_not_matter(size: int) -> None:
    table = model(np.random.default_rng(3))
    pieces = [{name: column[at : at + size] for name, column in table.items()} for at in range(0, ROWS, size)]

    assert (
        Reference.fit_chunks(lambda: pieces, prediction="score").copies
        == Reference.fit(table, prediction="score").copies
    )


def test_a_chunk_may_lack_a_column() -> None:
    table = model(np.random.default_rng(3))
    first = {name: column[:10_000] for name, column in table.items()}
    rest = {name: column[10_000:] for name, column in table.items() if name not in {"copy", "decision"}}
    reference = Reference.fit_chunks(lambda: [first, rest], prediction="score")

    assert {copy.feature for copy in reference.copies} >= {"copy", "decision"}


def test_chance_agrees_on_nothing() -> None:
    rng = seeded()

    assert agreement(rng.integers(0, 8, 4_000), rng.integers(0, 8, 4_000)) < 0.02
    assert agreement(rng.integers(0, 8, 100), rng.integers(0, 8, 100)) == 0.0


def test_cells_hold_what_has_no_value_apart() -> None:
    assert number_cells(np.array([np.nan, np.inf])).tolist() == [-1, -1]
    assert number_cells(np.repeat([0.0, 1.0], 50)).max() <= 1
    assert code_cells(np.array([0, 9, 12]), 12).tolist() == [0, 7, -1]


def test_they_are_saved_and_chosen_and_do_not_change_the_hash() -> None:
    reference = Reference.fit(model(seeded()), prediction="score")
    again = Reference.from_dict(json.loads(json.dumps(reference.to_dict())))
    older = reference.to_dict()
    del older["copies"]

    assert again.copies == reference.copies
    assert Reference.from_dict(older).copies == ()
    assert Reference.from_dict(older).hash == again.hash == reference.hash
    assert {copy.feature for copy in reference.select(["copy", "weak", "__prediction__"]).copies} == {"copy"}


@pytest.mark.parametrize("copies", [7, [["copy"]], [["other", 0.9]], [["copy", "much"]]])
def test_damaged_ones_are_refused(copies: object) -> None:
    content = Reference.fit({"copy": [1.0, 2.0]}).to_dict()

    with pytest.raises(ReferenceFormatError, match="copies"):
        Reference.from_dict({**content, "copies": copies})
