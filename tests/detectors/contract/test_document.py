"""A contract that cannot be meant is one line that names the key."""

from typing import Any

import pytest

from detectors.contract import ColumnRules, ContractError, Ordering, contract_from

FORMAT = {"format": "driftd.contract/1"}


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (None, "must be a mapping of keys"),
        ({}, "format is missing: it is driftd.contract/1"),
        (
            {"format": "driftd.contract/2"},
            "format must be driftd.contract/1 (is 'driftd.contract/2'); a newer driftd reads it",
        ),
        ({**FORMAT, "colums": {}}, "colums is no key; did you mean columns?"),
        (FORMAT, "columns is missing"),
        ({**FORMAT, "columns": []}, "columns must be a mapping of columns"),
        ({**FORMAT, "columns": {}}, "columns must name at least one column"),
        ({**FORMAT, "columns": {"a": {}}, "new_columns": "no"}, "new_columns must be allowed or refused (is 'no')"),
        ({**FORMAT, "columns": {"a": {}}, "version": [1]}, "version must be a text or a number"),
        ({**FORMAT, "columns": {"a": {}}, "comparisons": "a >= b"}, "comparisons must be a list"),
        (
            {**FORMAT, "columns": {"a": {}}, "comparisons": ["a = b"]},
            "comparisons[0] must be two columns with one of >= <=",
        ),
        (
            {**FORMAT, "columns": {"a": {}}, "comparisons": ["a > b"]},
            "comparisons[0]: a > b: a needs type: number, integer",
        ),
        (
            {**FORMAT, "columns": {"a": {"type": "time"}, "b": {"type": "time"}}, "comparisons": ["a => b"]},
            "comparisons[0]: a = > b: a = is no column of the contract; signs are >= <= == != > <",
        ),
        (
            {**FORMAT, "columns": {"a": {"type": "time"}}, "comparisons": ["a > b"]},
            "a > b: b is no column of the contract",
        ),
        (
            {**FORMAT, "columns": {"a": {"type": "time"}, "b": {"type": "number"}}, "comparisons": ["a > b"]},
            "comparisons[0]: a > b: a time does not compare with a number",
        ),
    ],
)
def test_a_document_that_is_none(document: Any, said: str) -> None:
    with pytest.raises(ContractError) as refused:
        contract_from(document)

    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        (3, "columns.a must be a mapping of rules such as type, required (is '3')"),
        ({"max_mising": 1}, "columns.a.max_mising is no key; did you mean max_missing?"),
        ({"zzz": 1}, "columns.a.zzz is no key; valid here: type, required"),
        ({"type": "float"}, "columns.a.type must be one of number, integer, boolean, text, time (is 'float')"),
        ({"type": ["text"]}, "columns.a.type must be one of"),
        ({"required": "yes"}, "columns.a.required must be true or false (is 'yes')"),
        ({"max_missing": 2}, "columns.a.max_missing 2.0 must be a share from 0 to 1"),
        ({"max_missing": "nan"}, "columns.a.max_missing nan must be a share"),
        ({"required": True, "max_missing": 0.1}, "columns.a.max_missing 0.1 contradicts required: true"),
        ({"type": "number", "min": "low"}, "columns.a.min must be a number (is 'low')"),
        ({"type": "number", "min": "inf"}, "columns.a.min must be a finite number"),
        ({"type": "number", "min": 3, "max": 2}, "columns.a.min 3 must not exceed max 2"),
        ({"min": 3}, "columns.a.min needs type: number or integer"),
        ({"type": "text", "max": 3}, "columns.a.max needs type: number or integer"),
        ({"type": "text", "monotone": True}, "columns.a.monotone needs type: number, integer or time"),
        ({"type": "time", "values": ["a"]}, "columns.a.values needs type: text, boolean, number or integer"),
        ({"type": "number", "matches": "a"}, "columns.a.matches needs type: text, or none"),
        ({"unit": "s"}, "columns.a.unit needs type: time"),
        ({"type": "time", "unit": "h"}, "columns.a.unit must be one of s, ms, us, ns (is 'h')"),
        ({"matches": "["}, "columns.a.matches is no regular expression: unterminated character set"),
        ({"matches": "a{99999999999}"}, "columns.a.matches is a regular expression that repeats too often"),
        ({"matches": "(" * 500 + "a" + ")" * 500}, "columns.a.matches is a regular expression that repeats too often"),
        ({"matches": 5}, "columns.a.matches must be a text, in quotes (is '5')"),
        ({"values": "free"}, "columns.a.values must be a list of values (is 'free')"),
        ({"values": []}, "columns.a.values must name at least one value"),
        ({"values": ["a", None]}, "columns.a.values[1] must be a text, a number or a truth value"),
    ],
)
def test_rules_that_cannot_be_meant_name_the_key(rules: Any, said: str) -> None:
    with pytest.raises(ContractError) as refused:
        contract_from({**FORMAT, "columns": {"a": rules}})

    assert str(refused.value).startswith(said)
    assert "\n" not in str(refused.value)


def test_a_column_may_have_no_rule_and_numbers_may_be_written_as_people_do() -> None:
    contract = contract_from({**FORMAT, "columns": {"a": None, "b": {"type": "number", "max": "1e6", "min": None}}})

    assert contract.columns["a"] == ColumnRules()
    assert contract.columns["b"].max == 1e6


def test_comparisons_take_columns_with_spaces() -> None:
    columns = {"the end": {"type": "time"}, "start": {"type": "time"}}

    contract = contract_from({**FORMAT, "columns": columns, "comparisons": [" the end>=start "]})
    assert contract.comparisons == (Ordering("the end", ">=", "start"),)
