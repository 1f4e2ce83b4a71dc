"""Each rule of a contract on whole columns: what breaks it, how often, and what is shown of it."""

import datetime as dt
from collections.abc import Mapping
from time import process_time
from typing import Any

import numpy as np
import pytest

from detectors.columns import Coded
from detectors.contract import Check, ContractReport, contract_from

FORMAT = {"format": "driftd.contract/1"}


def checked(columns: Mapping[str, Any], *chunks: Mapping[str, Any], **keys: Any) -> ContractReport:
    """Chunks of one file, its rows counted from 1."""
    return sources(columns, {"file": chunks}, **keys)


def sources(columns: Mapping[str, Any], files: Mapping[str, Any], **keys: Any) -> ContractReport:
    check = Check(contract_from({**FORMAT, "columns": columns, **keys}))
    for source, chunks in files.items():
        row = 1
        for chunk in chunks:
            size = len(next(iter(chunk.values())))
            check.add(source, {name: array(column) for name, column in chunk.items()}, np.arange(row, row + size))
            row += size
    return check.report()


def array(column: Any) -> Any:
    return column if isinstance(column, np.ndarray | Coded) else np.array(column, dtype=object)


def broken(report: ContractReport) -> dict[str, tuple[int, list[tuple[int, str]]]]:
    """By column and rule: how many rows, and the first of them."""
    return {
        f"{each.column}.{each.rule}": (each.count, [(sample.row, sample.value) for sample in each.samples])
        for each in report.violations
    }


@pytest.mark.parametrize(
    ("rules", "column", "expected"),
    [
        ({"type": "number"}, [1, "x", 2.5, True, None], {"c.type": (1, [(2, "'x'")])}),
        ({"type": "number"}, np.array([1.0, np.nan, np.inf]), {}),
        ({"type": "integer"}, np.array([1.0, 2.5, np.nan, 3.0]), {"c.type": (1, [(2, "2.5")])}),
        ({"type": "integer"}, np.array([1, 2], dtype=np.int64), {}),
        ({"type": "boolean"}, [True, "false", 1, "0", "TRUE", 2, None], {"c.type": (1, [(6, "2")])}),
        ({"type": "text"}, ["a", 1, {"b": 2}, None], {"c.type": (1, [(3, "{'b': 2}")])}),
        ({"type": "time"}, ["2026-01-01T00:00:00Z", "soon", 1_763_899_200_000], {"c.type": (1, [(2, "'soon'")])}),
        (
            {
                "type": "time",
                "monotone": True,
            },  # a leap second is the next second, and there is one at a day's end alone
            ["2016-12-31T23:59:60.5Z", "2017-01-01T00:00:00.5Z", "2017-01-01T00:00:00.4Z", "2017-01-01T12:00:60Z"],
            {"c.type": (1, [(4, "'2017-01-01T12:00:60Z'")]), "c.monotone": (1, [(3, "'2017-01-01T00:00:00.4Z'")])},
        ),
        ({}, ["a", 1, None, [1]], {}),
        ({"required": True}, ["a", None, float("nan"), ""], {"c.required": (2, [(2, "nothing"), (3, "nothing")])}),
        ({"max_missing": 0.5}, [1, None, 2, None], {}),
        ({"max_missing": 0.4}, [1, None, 2, None], {"c.max_missing": (2, [(2, "nothing"), (4, "nothing")])}),
        (
            {"type": "number", "min": 0, "max": 9},
            [-1, 0, 9, 9.5],
            {"c.min": (1, [(1, "-1")]), "c.max": (1, [(4, "9.5")])},
        ),
        ({"values": ["free", "pro"]}, ["free", "Pro", None, "pro"], {"c.values": (1, [(2, "'Pro'")])}),
        ({"type": "integer", "values": [1, 2]}, np.array([1.0, 2.0, 3.0]), {"c.values": (1, [(3, "3")])}),
        ({"matches": "[A-Z]{2}"}, ["DE", "de", "DEU", None], {"c.matches": (2, [(2, "'de'"), (3, "'DEU'")])}),
        ({"unique": True}, [7, "8", "7", None, None, 8.0], {"c.unique": (2, [(3, "'7'"), (6, "8")])}),
        ({"type": "number", "monotone": True}, [1, 3, None, 2, 2, 5], {"c.monotone": (1, [(4, "2")])}),
    ],
)
def test_each_rule_counts_what_breaks_it(rules: dict[str, Any], column: Any, expected: dict[str, Any]) -> None:
    report = checked({"c": rules}, {"c": column})

    assert broken(report) == expected
    assert report.schema == ()
    assert report.kept == (not expected)


@pytest.mark.parametrize("values", [["1", "2", "true"], ["1.0", "2", "True"]])
@pytest.mark.parametrize("column", [["1", "2.0", "TRUE"], [1, 2.0, True], Coded(("1.0", "2", "true"), np.arange(3))])
def test_what_is_one_value_in_files_and_events_is_one_value_here(values: list[str], column: Any) -> None:
    assert checked({"c": {"values": values}}, {"c": column}).kept


def test_where_there_is_nothing_but_truth_it_may_be_a_number() -> None:
    assert checked({"c": {"values": ["true", "false"]}}, {"c": [1, "0", True, "False"]}).kept


def test_a_decimal_is_the_single_that_holds_it() -> None:
    """0.1 as a single, widened, lies above 0.1; 0.7 below."""
    singles = np.array([0.7, 0.1], dtype=np.float32)
    rules = {"c": {"type": "number", "min": 0.1, "max": 0.7}}

    assert checked(rules, {"c": singles}).kept
    assert checked(rules, {"c": singles.astype(np.float64)}).kept
    assert list(broken(checked(rules, {"c": np.array([0.100001, 0.7001, 0.0999])}))) == ["c.min", "c.max"]


def test_bounds_of_whole_numbers_are_exact() -> None:
    report = checked({"c": {"type": "integer", "max": 20_000_000}}, {"c": np.array([20_000_000, 20_000_001])})

    assert broken(report) == {"c.max": (1, [(2, "20000001")])}


def test_of_a_row_of_the_wrong_type_nothing_else_is_asked() -> None:
    report = checked({"c": {"type": "number", "min": 5}}, {"c": ["x", 6]})

    assert list(broken(report)) == ["c.type"]


@pytest.mark.parametrize(
    ("sign", "rows"), [(">=", [2]), (">", [1, 2]), ("<=", [3]), ("<", [1, 3]), ("==", [2, 3]), ("!=", [1])]
)
def test_columns_are_compared_where_both_are_there(sign: str, rows: list[int]) -> None:
    ordered = {"type": "integer"}
    report = checked(
        {"end": ordered, "start": ordered},
        {"end": [1, 1, 2, None, 3], "start": [1, 2, 1, 5, None]},
        comparisons=[f"end {sign} start"],
    )
    (violation,) = report.violations

    assert (violation.column, violation.rule, violation.rows) == ("end", f"end {sign} start", 3)
    assert [sample.row for sample in violation.samples] == rows


def test_times_compare_however_they_are_written() -> None:
    moment = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
    report = checked(
        {"end": {"type": "time", "unit": "s"}, "start": {"type": "time"}},
        {
            "end": [int(moment.timestamp()), int(moment.timestamp())],
            "start": np.array(["2026-03-01T12:00:00", "2026-03-01T12:00:01"], dtype="datetime64[ms]"),
        },
        comparisons=["end >= start"],
    )

    assert broken(report) == {"end.end >= start": (1, [(2, "1772366400 beside 2026-03-01T12:00:01")])}


def test_times_beyond_what_nanoseconds_reach_keep_their_order() -> None:
    rules = {"c": {"type": "time", "monotone": True}}

    for column in (
        ["0001-01-01", "1600-01-01", "2026-01-01", "9999-12-31", "2026-01-01"],
        np.array(["0001-01-01", "1600-01-01", "2026-01-01", "9999-12-31", "2026-01-01"], dtype="datetime64[us]"),
        np.array([-(2**62), -(2**60), 0, 2**62, 1]),
        np.array([-1e300, -1e30, 0, 1e300, 1]),
        [-(10**400), -(10**30), 0, 10**400, 1],
    ):
        assert {rule: count for rule, (count, _) in broken(checked(rules, {"c": column})).items()} == {"c.monotone": 1}


def test_time_and_ids_go_on_from_chunk_to_chunk_and_from_file_to_file() -> None:
    columns = {"id": {"unique": True}, "at": {"type": "integer", "monotone": True}}
    report = sources(
        columns, {"a": [{"id": ["x", "y"], "at": [1, 2]}, {"id": ["x"], "at": [3]}], "b": [{"id": ["y"], "at": [2]}]}
    )

    found = {each.rule: [(sample.source, sample.row) for sample in each.samples] for each in report.violations}
    assert found == {"unique": [("a", 3), ("b", 1)], "monotone": [("b", 1)]}


def test_repeats_are_found_among_many_chunks() -> None:
    ids = np.random.default_rng(5).permutation(20_000)
    chunks = [{"id": part} for part in np.array_split(np.append(ids, ids[:7]), 61)]

    (violation,) = checked({"id": {"unique": True}}, *chunks).violations
    assert violation.count == 7
    assert violation.samples[0].row == 20_001


def test_whole_numbers_that_floats_do_not_tell_apart_are_not_called_repeats() -> None:
    report = checked({"id": {"unique": True}}, {"id": np.array([2.0**60, 2.0**60, 1.0])})

    assert report.kept
    assert report.remarks == (
        "id: 2 whole numbers above 2^53 came as floats, which do not tell them apart: unique is not judged of them",
    )


# --- the schema ---------------------------------------------------------------------------------------------------------


def changes(report: ContractReport) -> list[tuple[str, str, tuple[str, ...], bool]]:
    return [(each.column, each.change, each.sources, each.breaks) for each in report.schema]


def test_a_column_that_is_gone_is_told_apart_from_values_that_are_missing() -> None:
    columns = {"a": {"required": True}, "b": {"max_missing": 0.1}, "c": {}, "d": {"max_missing": 1}}
    report = checked(columns, {"a": ["x"]})

    assert changes(report) == [("b", "gone", ("file",), True)]
    assert broken(report) == {}


def test_a_key_that_only_some_rows_lack_is_missing_in_those() -> None:
    """Lines of JSON have a column in one chunk and not in the next."""
    report = checked({"a": {"required": True}, "b": {}}, {"b": [1, 2]}, {"a": ["x"], "b": [1]})

    assert report.schema == ()
    assert broken(report) == {"a.required": (2, [(1, "nothing"), (2, "nothing")])}


def test_a_column_may_be_gone_in_one_file_alone() -> None:
    report = sources({"a": {"required": True}}, {"old": [{"a": [1]}], "new": [{"b": [1]}]})

    assert changes(report) == [("a", "gone", ("new",), True), ("b", "new", ("new",), False)]


def test_new_columns_break_the_contract_where_it_refuses_them() -> None:
    chunk = {"a": [1], "b": [2]}

    assert checked({"a": {}}, chunk).kept
    report = checked({"a": {}}, chunk, new_columns="refused")
    assert not report.kept
    assert changes(report) == [("b", "new", ("file",), True)]


@pytest.mark.parametrize(
    ("type_", "column", "words"),
    [
        ("number", ["a", "b", None], "is of a new type: text, such as 'a' in row 1; the contract says number"),
        ("integer", np.array([0.5, 1.5]), "numbers that are not whole, such as 0.5 in row 1"),
        ("text", [None, "7", 8.5], "numbers, such as '7' in row 2; the contract says text"),
        ("boolean", [2, 3], "numbers, such as 2 in row 1"),
        ("number", np.array(["2026-01-01", "NaT"], dtype="datetime64[D]"), "times, such as 2026-01-01 in row 1"),
        ("text", [[1], [2]], "nested, such as [1] in row 1"),
    ],
)
def test_a_column_no_value_of_which_is_of_its_type_is_of_a_new_type(type_: str, column: Any, words: str) -> None:
    report = checked({"c": {"type": type_}}, {"c": column})

    ((_, change, _, breaks),) = changes(report)
    assert (change, breaks) == ("type", True)
    assert words in report.schema[0].words
    assert broken(report) == {}


def test_a_new_type_in_several_files_is_told_once() -> None:
    report = sources({"c": {"type": "number"}}, {"a": [{"c": ["x"]}], "b": [{"c": [1]}], "d": [{"c": ["y"]}]})

    assert changes(report) == [("c", "type", ("a", "d"), True)]


def test_what_is_neither_text_nor_number_is_none_of_the_values() -> None:
    report = checked({"c": {"values": ["a"], "matches": "a"}}, {"c": ["a", [1], None]})

    assert broken(report) == {"c.values": (1, [(2, "[1]")]), "c.matches": (1, [(2, "[1]")])}


def test_a_text_among_texts_may_be_a_number() -> None:
    assert checked({"c": {"type": "text"}}, {"c": ["7", "8"]}, {"c": ["nine"]}).kept


@pytest.mark.parametrize(
    "ids", [[2**60, 2**60 + 1, 1.5], [2**60, None, 2**60 + 1], [10**400, 2, 3], ["9007199254740993", 2**53, 2**53 + 2]]
)
def test_large_ids_of_messages_are_told_apart(ids: list[Any]) -> None:
    assert checked({"id": {"unique": True}}, {"id": ids}).kept
    assert not checked({"id": {"unique": True}}, {"id": [2**60, None, str(2**60)]}).kept


def test_long_values_are_shortened() -> None:
    (violation,) = checked({"c": {"values": ["a"]}}, {"c": ["b" * 500 + "\n"]}).violations

    assert len(violation.samples[0].value) == 40


def test_a_long_text_of_sixtieth_seconds_costs_little() -> None:
    text = "2017-01-01T12:00:00" + ":00:60." * 20_000 + "\nx"
    begin = process_time()

    found = broken(checked({"c": {"type": "time"}}, {"c": ["2017-01-01T12:00:00Z", text]}))

    assert found["c.type"][0] == 1
    assert process_time() - begin < 1
