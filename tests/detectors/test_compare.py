"""A table against its reference: scores as a sequence, a table, a dictionary."""

import json
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from detectors import DriftScore, Ks, Reference, Scores, window_detectors
from tests.build import SECOND
from tests.charted import HOUR, MINUTE, MONDAY, seeded

RNG = np.random.default_rng(2)
AGES, PLANS = RNG.normal(40, 10, 5000), RNG.choice(["free", "pro"], 5000)
REFERENCE = Reference.fit({"age": AGES, "plan": PLANS})
LIVE = {"age": AGES[:500] + 5, "plan": PLANS[:500]}
TABLES = {"pandas": pd.DataFrame, "polars": pl.DataFrame, "pyarrow": pa.table}
KINDS = {"pandas": pd.DataFrame, "polars": pl.DataFrame, "pyarrow": pa.Table}

every_library = pytest.mark.parametrize("library", TABLES)


def test_scores_are_a_sequence() -> None:
    scores = REFERENCE.compare(LIVE)

    assert len(scores) == len(list(scores))
    assert all(isinstance(score, DriftScore) for score in scores)
    assert scores[:2] == (scores[0], scores[1])
    assert scores == list(scores)
    assert scores != "ks"


def test_a_score_is_had_by_feature_and_detector() -> None:
    scores = REFERENCE.compare(LIVE)

    assert scores["age", "ks"].statistic == scores["age", "ks"].value
    assert {score.detector for score in scores} == set(window_detectors())


def test_what_is_not_there_is_told_with_what_is() -> None:
    scores = REFERENCE.compare(LIVE)

    with pytest.raises(KeyError, match="age is scored by ks, missing, psi, unseen: name one of them"):
        scores["age"]
    with pytest.raises(KeyError, match="there is no score of age by chi2; there is"):
        scores["age", "chi2"]
    with pytest.raises(KeyError, match="there is no score of income; there is plan, age"):
        scores["income"]


@every_library
def test_scores_come_back_in_the_library_of_the_data(library: str) -> None:
    frame = REFERENCE.compare(TABLES[library](LIVE)).to_frame()

    assert isinstance(frame, KINDS[library])
    assert list(frame.column_names if library == "pyarrow" else frame.columns) == list(Scores.kinds)


@every_library
def test_a_library_may_be_chosen(library: Any) -> None:
    scores = REFERENCE.compare(LIVE)
    columns = scores.to_frame()
    frame = scores.to_frame(library)

    assert isinstance(frame, KINDS[library])
    assert len(frame) == len(scores)
    assert columns["feature"] == [score.feature for score in scores]
    assert columns["pvalue"].count(None) == sum(score.pvalue is None for score in scores)
    assert isinstance(Scores(library=library).to_frame(), KINDS[library])


def test_scores_are_json_with_their_details() -> None:
    scores = REFERENCE.compare(LIVE)
    found = json.loads(json.dumps(scores.to_dict()))

    assert found["age"]["ks"]["value"] == scores["age", "ks"].value
    assert found["age"]["ks"]["upper"] == scores["age", "ks"].details["upper"]


def test_a_table_on_the_screen_and_in_a_notebook() -> None:
    scores = Scores([DriftScore("<age>", "ks", 0.123456, 500, 1e-9), DriftScore("plan", "psi", None, 3)])

    assert repr(scores).splitlines() == [
        "feature  detector   value  pvalue  rows",
        "<age>    ks        0.1235   1e-09   500",
        "plan     psi            –       –     3",
    ]
    assert scores._repr_html_() == (
        "<table><thead><tr><th>feature</th><th>detector</th><th>value</th><th>pvalue</th><th>rows</th></tr></thead>"
        "<tbody><tr><td>&lt;age&gt;</td><td>ks</td><td>0.1235</td><td>1e-09</td><td>500</td></tr>"
        "<tr><td>plan</td><td>psi</td><td>–</td><td>–</td><td>3</td></tr></tbody></table>"
    )


def test_many_rows_are_cut_and_none_are_said() -> None:
    many = Scores(DriftScore(f"f{number}", "ks", 0.5, 10) for number in range(1100))

    assert repr(many).endswith("… 1,040 more")
    assert "<p>… 1,040 more</p>" in many._repr_html_()
    assert repr(Scores()).splitlines() == ["feature  detector  value  pvalue  rows", "(none)"]


# --- over time ----------------------------------------------------------------------------------------------------------


def timed(rng: np.random.Generator, hours: int, every: int, shift: float = 0.0) -> dict[str, np.ndarray]:
    times = np.arange(MONDAY, MONDAY + hours * HOUR, every)
    return {"ts": times, "age": rng.normal(40 + shift, 10, times.size)}


def test_adwin_and_volume_are_there_where_time_is_known() -> None:
    rng = seeded()
    reference = Reference.fit(timed(rng, 6, 5 * SECOND), timestamp="ts", window="5m")
    live = timed(rng, 6, 20 * SECOND, shift=5.0)
    order = rng.permutation(live["ts"].size)
    scores = reference.compare(live, timestamp="ts")

    assert scores["age", "adwin"].statistic == pytest.approx(0.5, abs=0.2)  # its sd is 0.04
    assert scores["__volume__", "volume"].statistic == pytest.approx(2.0, abs=0.02)
    assert scores == reference.compare({name: values[order] for name, values in live.items()}, timestamp="ts")


def test_volume_is_unknown_of_one_row_and_of_a_reference_without_a_rate() -> None:
    rng = seeded()
    reference = Reference.fit(timed(rng, 6, 5 * SECOND), timestamp="ts")

    assert reference.compare({"ts": [MONDAY], "age": [40.0]}, timestamp="ts")["__volume__"].value is None
    assert REFERENCE.compare(timed(rng, 1, MINUTE), timestamp="ts")["__volume__"].value is None


def test_a_prediction_is_named_where_the_table_calls_it_otherwise() -> None:
    reference = Reference.fit({"age": AGES, "score": AGES / 100}, prediction="score")
    live = pd.DataFrame({"age": AGES, "score": AGES / 100})

    assert reference.compare(live, prediction="score")["__prediction__", "ks"].value == 0.0
    with pytest.raises(ValueError, match="name its column by prediction"):
        reference.compare(live)


def test_a_table_that_fits_nothing_is_refused() -> None:
    """All of it missing would look like drift, and a misspelt frame like an outage."""
    reference = Reference.fit({"age": np.arange(100.0), "score": np.linspace(0, 1, 100)}, prediction="score")

    with pytest.raises(ValueError, match="no column of the table is a feature: the features are age, __prediction__"):
        reference.compare({"other": [1.0] * 30})
    with pytest.raises(ValueError, match="the reference has a prediction and the table none"):
        Ks().score(reference, {"age": [1.0] * 30})
    assert (
        Ks().score(reference, {"age": [1.0] * 30, "score": [0.5] * 30}, prediction="score")["__prediction__"].rows == 30
    )
    assert len(reference.select(["age"]).compare({"age": [1.0] * 30}, detectors=["ks"])) == 1


def test_detectors_may_be_named() -> None:
    reference = Reference.fit({"age": np.arange(100.0)})

    assert reference.compare({"age": [1.0] * 30}, detectors=["ks"]) == reference.compare(
        {"age": [1.0] * 30}, detectors=[Ks()]
    )
    with pytest.raises(ValueError, match="'kss' is no detector: give one such as Ks"):
        reference.compare({"age": [1.0] * 30}, detectors=["kss"])


def test_a_reference_shows_itself_in_a_line() -> None:
    reference = Reference.fit({"age": np.arange(100.0)})

    assert repr(reference) == f"<Reference {reference.hash}: 100 rows, 1 features, cold>"
