"""How alike the rows of one group are, and what rows are worth."""

import json

import numpy as np
import pytest

from detectors import Reference
from detectors.calibration import Calibration
from detectors.calibration.groups import Together, within, worth
from detectors.columns import as_columns
from detectors.reference.grouping import GroupColumn
from detectors.sketches.identity import hashes_of
from tests.charted import WINDOW, seeded
from tests.grouped import ROWS, fitted, sessions


def calibration(reference: Reference) -> Calibration:
    assert reference.calibration is not None, reference.cold
    return reference.calibration


def test_a_fit_learns_what_comes_from_the_session_and_what_from_the_row() -> None:
    """Of 300 windows the variance is known to 8 %, hence rho of one value a session to some .08, of independent rows to .01."""
    learnt = calibration(fitted(sessions(seeded(), 300, 30)))
    age, noise, plan = (learnt.features[learnt.cells.layout.names.index(name)] for name in ("age", "noise", "plan"))

    assert 10 < learnt.together < 30  # sessions of ten rows on average, of sizes far apart
    assert age.alike[0] > 0.6
    assert noise.alike[0] < 0.08
    assert plan.alike[2] > 0.6
    assert age.sd[0] > 2.5
    assert noise.sd[0] < 1.5


def test_a_fit_without_groups_is_what_it_was() -> None:
    table = sessions(seeded(), 80, 30)
    plain = fitted(table, None)
    saved = json.dumps(calibration(plain).to_dict())

    assert "together" not in saved
    assert "alike" not in saved
    assert calibration(fitted(table)).to_dict()["together"] > 1
    assert fitted(table).names == plain.names  # a session is no feature


@pytest.mark.parametrize("kind", [np.int64, np.uint64, np.uint32, np.float64, np.float32, object])
def test_numbers_and_texts_group_alike_and_zero_is_somebody(kind: type) -> None:
    table = sessions(seeded(), 60, 30)
    numbers = np.unique(table["session"], return_inverse=True)[1]
    by_number = fitted({**table, "session": numbers.astype(kind)})
    by_text = fitted({**table, "session": numbers.astype(str).astype(object)})

    assert by_number.hash == by_text.hash
    somebody, nobody = (np.where(numbers < numbers.size // 60, each, numbers) for each in (0, None))
    assert fitted({**table, "session": somebody.astype(kind)}).hash != fitted({**table, "session": nobody}).hash


def test_what_events_hand_over_says_what_the_texts_say() -> None:
    table = sessions(seeded(), 60, 30)
    hashes = hashes_of(as_columns({"session": table["session"]})["session"], table["at"].size)
    handed = Reference.fit_chunks(
        lambda: [{**table, "session": hashes}],
        timestamp="at",
        window_ns=WINDOW,
        group=GroupColumn("session", hashed=True),
    )

    assert handed.hash == fitted(table).hash


def test_groups_that_never_come_together_teach_nothing() -> None:
    table = sessions(seeded(), 80, 30)
    alone = {**table, "session": np.arange(table["at"].size)}

    assert all(not any(learnt.alike) for learnt in calibration(fitted(alone)).features)


@pytest.mark.parametrize("windows", [0, 7, 8])
def test_rows_of_which_few_say_their_group_are_taken_for_independent(windows: int) -> None:
    """Fewer than one row in ten, also where all rows of some windows say theirs."""
    table, heard = sessions(seeded(), 80, 30), []
    said = (np.arange(table["at"].size) // ROWS - 30) % 80 < windows
    few = {**table, "session": np.where(said, table["session"], None)}
    group = GroupColumn("session", few=lambda *numbers: heard.append(numbers))

    learnt = Reference.fit_chunks(lambda: [few], timestamp="at", window_ns=WINDOW, group=group)
    assert heard == ([] if windows == 8 else [(windows * ROWS, 80 * ROWS)])
    assert (learnt.hash == fitted(few | {"session": table["session"]}, None).hash) == (windows < 8)


def test_what_is_learnt_is_written_and_read() -> None:
    learnt = calibration(fitted(sessions(seeded(), 80, 30)))
    again = Calibration.from_dict(json.loads(json.dumps(learnt.to_dict())), learnt.cells.layout)

    assert again.together == learnt.together
    assert [each.alike for each in again.features] == [each.alike for each in learnt.features]
    assert [each.rates for each in again.features] == [each.rates for each in learnt.features]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"together": 0.5}, "together must be a number of rows"),
        ({"together": float("nan")}, "together must be a number of rows"),
        ({"features": {"alike": [2, 0, 0]}}, "alike must lie between 0 and 1"),
    ],
)
def test_damage_is_refused_in_a_line(change: dict[str, object], words: str) -> None:
    learnt = calibration(fitted(sessions(seeded(), 60, 30)))
    content = learnt.to_dict()
    if isinstance(own := change.pop("features", None), dict):
        content["features"]["age"] |= own

    with pytest.raises(ValueError, match=words):
        Calibration.from_dict(content | change, learnt.cells.layout)


def test_an_unknown_column_is_named() -> None:
    with pytest.raises(ValueError, match="no column visit to group rows by; there are session, age"):
        fitted(sessions(seeded(), 60, 30), "visit")


def test_rho_is_found_whatever_the_sizes() -> None:
    """Squares of variance 1 + rho (K - 1), K from 1 to 60: 2000 of them tell rho to some .03."""
    rng = seeded()
    sizes = rng.uniform(1, 60, 2000)
    squares = (1 + 0.3 * (sizes - 1)) * rng.chisquare(1, 2000)

    assert Together(sizes, 30.0).alike(squares) == pytest.approx(0.3, abs=0.12)


def test_a_row_is_worth_what_it_was_where_nothing_is_told() -> None:
    assert worth(np.array([0.0, 1.0]), np.nan, 20.0).tolist() == [1.0, 1.0]
    assert worth(np.array([1.0]), 20.0, 20.0).tolist() == [1.0]
    assert worth(np.array([1.0]), np.array([[40.0], [10.0]]), 20.0).tolist() == [[0.5], [2.0]]


def test_levels_of_neighbours_are_no_matter_of_groups() -> None:
    values = np.array([[5.0], [7.0], [100.0], [102.0], [1.0]])
    found = within(values, np.array([0, 0, 1, 1, 2]))[:, 0]

    assert found[:4].tolist() == pytest.approx([-(2**0.5), 2**0.5, -(2**0.5), 2**0.5])
    assert np.isnan(found[4])
