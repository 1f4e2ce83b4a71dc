"""What a reference tells of each column, and the text that people read."""

import numpy as np
import pytest
import yaml

from detectors import Reference
from detectors.contract import ColumnRules, ColumnType, Contract, contract_from, infer, written
from detectors.contract.infer import InferredContract

PLANS = np.array(["free", "pro", "team"])


def rules_of(column: object, slack: float = 0.0) -> ColumnRules:
    return infer(Reference.fit({"c": column}), slack).contract.columns["c"]


def remark(column: object, rule: str) -> str:
    return infer(Reference.fit({"c": column})).remarks["c"].get(rule, "")


def test_a_number_has_its_range() -> None:
    assert rules_of([0.5, 2, 3]) == ColumnRules(ColumnType.NUMBER, required=True, min=0.5, max=3)


@pytest.mark.parametrize("many", [1, 3, 60, 300])
def test_numbers_that_are_surely_whole_are_integers(many: int) -> None:
    values = np.repeat(np.arange(many), 7).astype(float)

    assert rules_of(values).type is ColumnType.INTEGER
    assert rules_of(np.append(values, 0.5)).type is ColumnType.NUMBER


def test_one_fraction_hidden_among_many_whole_numbers_is_no_integer() -> None:
    values = np.append(np.arange(5000.0), 2500.5)

    assert rules_of(values).type is ColumnType.NUMBER
    assert remark(np.arange(5000.0), "type").startswith("perhaps integer")


def test_truth_is_boolean() -> None:
    assert rules_of([True, False, None]).type is ColumnType.BOOLEAN
    assert rules_of(["true", "FALSE", "1"]).type is ColumnType.BOOLEAN
    assert rules_of(["0", "1"]).type is None
    assert rules_of(["true", "other"]).type is ColumnType.TEXT


def test_categories_that_are_numbers_have_no_type() -> None:
    assert rules_of(["1", "2", "A"]).type is None
    assert remark(["1", "2", "A"], "").startswith("no type: some of its values are numbers")


def test_values_are_listed_where_they_are_all() -> None:
    assert rules_of(np.repeat(PLANS, 100)).values == ("free", "pro", "team")


@pytest.mark.parametrize(
    ("column", "why"),
    [
        (np.repeat(PLANS, 99), "left out: 297 rows are too few to tell that these 3 are all there are"),
        (np.append(np.repeat(PLANS, 100), "gold"), "left out, open-ended: 1 of 4 came only once"),
        (np.repeat([f"c{at}" for at in range(200)], 5), "left out, open-ended: the reference has 200 different ones"),
        (np.repeat([f"c{at}" for at in range(1200)], 2), "left out, open-ended: the reference has more than 1,000"),
    ],
)
def test_values_that_are_left_out_say_why(column: object, why: str) -> None:
    assert rules_of(column).values is None
    assert remark(column, "values").startswith(why)


def test_twice_the_missing_of_the_reference_are_let_pass() -> None:
    column = np.array([1.0, 2.0] * 150)
    column[:2] = np.nan

    rules = rules_of(column)
    assert (rules.required, rules.max_missing) == (False, 0.0134)
    assert rules_of([1.0, np.nan]).max_missing is None
    assert remark([1.0, np.nan], "max_missing") == "no bound: 50 % of the reference's rows lack it"


def test_a_column_without_any_value_is_not_known() -> None:
    assert rules_of([None, None]) == ColumnRules()


def test_slack_widens_ranges_but_not_past_zero() -> None:
    assert (rules_of([10, 20], 0.1).min, rules_of([10, 20], 0.1).max) == (9, 21)
    assert (rules_of([0.25, 10.25], 0.1).min, rules_of([0.25, 10.25], 0.1).max) == (0, 11.25)
    assert (rules_of([-10, -1], 0.5).min, rules_of([-10, -1], 0.5).max) == (-15, 0)
    with pytest.raises(ValueError, match="slack -1 must be a share"):
        rules_of([1, 2], -1)


def test_the_text_reads_as_the_contract() -> None:
    rng = np.random.default_rng(3)
    table = {
        "age": rng.integers(18, 90, 400),
        "plan: paid?": rng.choice(
            ["yes", "no", "1", 'say "hi"', "Zürich", "a\tb", "null", "", "\U0001f600", "\x85"], 400
        ),
        "many": rng.choice([f"a long name of a category {at}" for at in range(12)], 400),
        "nothing": np.full(400, np.nan),
    }
    inferred = infer(Reference.fit(table))
    text = written(inferred, "r.json")

    assert contract_from(yaml.safe_load(text)) == inferred.contract
    assert "# left out" not in text
    assert "nothing: {}  # the reference has no value of it" in text


def test_every_rule_can_be_written() -> None:
    contract = Contract(
        {
            "t": ColumnRules(ColumnType.TIME, unit="s", monotone=True, unique=True),
            "x": ColumnRules(max_missing=0.25, matches=r"\d+: [a-z]"),
        },
        new_columns_refused=True,
        version="7",
        reference="0123456789012345",
    )

    assert contract_from(yaml.safe_load(written(InferredContract(contract, {}, 1), "r\n.json"))) == contract
