"""A window's scores as columns, and as the values that they stand for."""

import math

import numpy as np
import pytest

from detectors import DriftScore, ScoreColumns
from detectors.scores import LateColumns
from monitor.alerting.table import AskedScores, DetectorScores, ScoreTable


def columns(values: list[float], known: list[bool] | None = None) -> ScoreColumns:
    names = tuple("abcdefgh"[: len(values)])
    return ScoreColumns(
        "ks",
        names,
        np.array(known or [True] * len(values)),
        np.arange(10, 10 + len(values)),
        np.array(values),
        np.array(values) / 2,
        {"upper": np.array(values)},
    )


def part(found: ScoreColumns, kept: list[int] | None = None, limits: list[float] | None = None) -> DetectorScores:
    wanted = range(len(found)) if kept is None else kept
    return DetectorScores(
        found,
        AskedScores(
            places={name: at for at, name in enumerate(found.names)},
            kept=None if kept is None else np.array(kept),
            features=np.array(list(wanted)),
            thresholds=tuple(0.25 for _ in found.names),
            limits={"rule": np.array(limits or [0.25] * len(found))},
        ),
    )


def test_a_table_reads_like_the_tuple_of_its_scores() -> None:
    table = ScoreTable((part(columns([0.5, 0.0], [True, False])),))
    expected = (DriftScore("a", "ks", 0.5, 10, 0.25, 0.25, {"upper": 0.5}), DriftScore("b", "ks", None, 11, None, 0.25))

    assert tuple(table) == expected
    assert table == expected
    assert table == ScoreTable(table.parts)
    assert (len(table), table[1], table[:1]) == (2, expected[1], expected[:1])
    assert table != expected[:1]


@pytest.mark.parametrize(
    ("values", "limits", "breaches"),
    [([0.1, 0.2], [0.2, 0.2], False), ([0.1, 0.3], [0.2, math.inf], False), ([0.3, 0.1], [0.2, math.inf], True)],
)
def test_a_rule_is_breached_whether_or_not_the_largest_score_is_known(
    values: list[float], limits: list[float], *, breaches: bool
) -> None:
    plain = columns(values)
    about = "ks", plain.names, plain.known, plain.rows, plain.values
    for found in (plain, LateColumns(*about), LateColumns(*about, most=max(values))):
        assert part(found, limits=limits).breaches("rule") is breaches


def test_only_the_scores_asked_for_are_read() -> None:
    table = ScoreTable((part(columns([0.1, 0.2, 0.3]), kept=[0, 2]),))

    assert [(score.feature, score.value) for score in table] == [("a", 0.1), ("c", 0.3)]
    assert len(table) == 2


def test_a_single_score_is_the_one_in_its_place() -> None:
    found = part(columns([0.5, 0.0, 0.7], [True, False, True]))

    assert [found.one(at) for at in range(3)] == found.scores()


def test_a_score_at_its_limit_an_unknown_one_and_one_of_few_rows_do_not_breach() -> None:
    found = part(columns([0.25, 0.5, 0.5, 0.5], [True, False, True, True]), limits=[0.25, 0.25, 0.25, math.inf])

    assert found.above("rule", min_rows=0) == [2]
    assert found.above("rule", min_rows=13) == []


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_a_column_refuses_what_no_score_may_hold(number: float) -> None:
    with pytest.raises(ValueError, match="b, ks: value"):
        columns([0.1, number])

    assert columns([0.1, number], [True, False]).scores()[1].insufficient
