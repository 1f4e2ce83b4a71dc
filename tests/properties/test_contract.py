"""Laws of the contract: a reference's own rows keep what is inferred from it, and how rows are cut into chunks changes nothing."""

import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from hypothesis import given
from hypothesis import strategies as st

from detectors import Reference
from detectors.columns import Column
from detectors.contract import Check, ContractReport, contract_from, infer, written

NUMBERS = st.one_of(
    st.integers(-(10**6), 10**6),
    st.floats(allow_nan=True, allow_infinity=True),
    st.floats(-(2.0**120), 2.0**120, width=32),
    st.decimals(-1000, 1000, places=2, allow_nan=False).map(float),
    st.sampled_from([0.1, 0.2, 0.7, -0.0, 1 / 3, 2.0**53]),
    st.none(),
)
TEXTS = st.one_of(
    st.text(max_size=6), st.sampled_from(["free", "1", "1.0", "true", "True", "NA", "nan", "0"]), st.none()
)
MIXED = st.one_of(TEXTS, st.booleans(), st.integers(-3, 3), st.sampled_from([1.0, 2.5, math.nan]))
COLUMNS = st.one_of(*(st.lists(each, min_size=1, max_size=60) for each in (NUMBERS, TEXTS, MIXED, st.booleans())))
NAMES = st.text(min_size=1, max_size=8)


def array(values: list[Any]) -> Column:
    return np.array([*values, None], dtype=object)[:-1]


def checked(contract: Any, column: Column, cuts: list[int], name: str = "c") -> ContractReport:
    check = Check(contract)
    places = [0, *sorted(cut % (len(column) + 1) for cut in cuts), len(column)]
    for first, last in itertools.pairwise(places):
        check.add("file", {name: column[first:last]}, np.arange(first + 1, last + 1))
    return check.report()


@given(COLUMNS, NAMES, st.sampled_from([0.0, 0.1]), st.lists(st.integers(0, 60), max_size=3), st.integers(1, 400))
def test_the_rows_of_a_reference_keep_its_contract(
    values: list[Any], name: str, slack: float, cuts: list[int], times: int
) -> None:
    column = np.tile(array(values), times if times > 300 else 1)
    inferred = infer(Reference.fit({name: column}), slack)

    assert contract_from(yaml.safe_load(written(inferred, "r.json"))) == inferred.contract
    report = checked(inferred.contract, column, cuts, name)
    assert report.kept, report


@given(st.lists(st.floats(-(2.0**120), 2.0**120, width=32), min_size=1, max_size=60), st.booleans())
def test_singles_keep_their_contract_widened_or_not(values: list[float], widened: bool) -> None:
    column = np.array(values, dtype=np.float32)
    reference = Reference.fit({"c": column.astype(np.float64) if widened else column})

    assert checked(infer(reference).contract, column.astype(np.float64) if widened else column, []).kept


RULES = st.fixed_dictionaries(
    {"type": st.sampled_from(["number", "integer"])},
    optional={
        "min": st.integers(-5, 0),
        "max": st.integers(0, 5),
        "required": st.just(True),
        "unique": st.just(True),
        "monotone": st.just(True),
        "values": st.just([1, 2, "3"]),
    },
)


@given(RULES, st.lists(MIXED, min_size=1, max_size=40), st.lists(st.integers(0, 60), max_size=4))
def test_how_rows_are_cut_changes_nothing(rules: dict[str, Any], values: list[Any], cuts: list[int]) -> None:
    contract = contract_from({"format": "driftd.contract/1", "columns": {"c": rules}})

    assert checked(contract, array(values), cuts) == checked(contract, array(values), [])


@given(
    st.lists(st.one_of(st.integers(-5, 5), st.none()), min_size=1, max_size=40), st.integers(-5, 5), st.integers(-5, 5)
)
def test_each_broken_row_is_counted_once(values: list[int | None], low: int, high: int) -> None:
    rules = {
        "type": "integer",
        "min": min(low, high),
        "max": max(low, high),
        "unique": True,
        "monotone": True,
        "required": True,
    }
    contract = contract_from({"format": "driftd.contract/1", "columns": {"c": rules}})
    there = [value for value in values if value is not None]
    expected = {
        "required": len(values) - len(there),
        "min": sum(value < min(low, high) for value in there),
        "max": sum(value > max(low, high) for value in there),
        "unique": len(there) - len(set(there)),
        "monotone": sum(after < before for before, after in itertools.pairwise(there)),
    }

    found = {each.rule: each.count for each in checked(contract, array(values), [7]).violations}
    assert found == {rule: count for rule, count in expected.items() if count}


def test_a_contract_of_names_of_all_kinds_is_read_from_its_file(tmp_path: Path) -> None:
    names = ["a: b", "#c", "- d", "é", "\U0001f600", '"', "\\", "\x00", "\ud800", "null", "1", " e ", "[f]", "?"]
    inferred = infer(Reference.fit({name: [1, 2] for name in names}))
    (tmp_path / "c.yaml").write_text(written(inferred, "r.json"), encoding="utf-8")

    from monitor.settings import read_yaml

    assert list(contract_from(read_yaml(tmp_path / "c.yaml")).columns) == names
    assert json.dumps(names)
