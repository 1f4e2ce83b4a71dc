"""Generated structs: any shape of message that paths can say."""

import math
from typing import Any

import msgspec
import pytest

from monitor.sources.formats.json.structs import Path, plan_struct

ENVELOPE: dict[str, Path] = {"timestamp": ("ts",), "model": ("model",), "version": ("version",)}
DEEP: dict[str, Path] = {"timestamp": ("meta", "at"), "model": ("meta", "model", "id"), "version": ("meta", "v")}


def columns(message: Any, numeric: list[Path], categorical: list[Path], features: Path = ("features",)) -> list[Any]:
    plan = plan_struct(ENVELOPE, numeric, categorical, features)
    assert plan is not None
    found = msgspec.json.decode(msgspec.json.encode({"ts": 1, "model": "m", **message}), type=plan.struct)
    return [column[0] for column in plan.columns([found])]


def test_columns_come_in_the_order_of_the_plan() -> None:
    names = ["a", "b", "c", "d", "e", "f"]  # more than are fetched one by one
    message = {"features": {name: at for at, name in enumerate(reversed(names))}}

    assert columns(message, [("features", name) for name in names], []) == [5, 4, 3, 2, 1, 0]


def test_numbers_and_categories_may_stand_anywhere() -> None:
    found = columns(
        {"features": {"age": 4}, "out": {"score": 0.5}, "plan": "pro"},
        [("features", "age"), ("out", "score")],
        [("plan",)],
    )

    assert found == [4.0, 0.5, "pro"]


def test_what_is_absent_is_missing_also_with_the_object_around_it() -> None:
    age, score, plan = columns({"features": {}}, [("features", "age"), ("out", "score")], [("features", "plan")])

    assert math.isnan(age)
    assert math.isnan(score)
    assert plan is None


def test_a_message_without_features_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        columns({}, [("features", "age")], [])


def test_the_envelope_may_be_deep() -> None:
    plan = plan_struct(DEEP, [("age",)], [], ())
    assert plan is not None
    found = msgspec.json.decode(b'{"meta": {"at": 5, "model": {"id": "m"}}, "age": 3}', type=plan.struct)

    assert plan.envelopes([found]) == ((5,), ("m",), (None,))
    assert plan.columns([found]) == [[3.0]]


@pytest.mark.parametrize(
    ("numeric", "categorical"),
    [
        ([("model",)], []),  # two things at one path
        ([("ts", "age")], []),  # below a leaf
        ([("features",)], []),  # an object and a number
        ([()], []),
        ([("features", 'a"b')], []),  # msgspec takes no such key
        ([("features", "a\nb")], []),
        ([("features", "a")], [("features", "a")]),
    ],
)
def test_what_no_struct_can_say_has_no_plan(numeric: list[Path], categorical: list[Path]) -> None:
    assert plan_struct(ENVELOPE, numeric, categorical, ("features",)) is None


@pytest.mark.parametrize("name", ["", "é", "a b", "a.b", "f0", "class", "日本", "a'b", "__init__"])
def test_any_other_name_is_a_key(name: str) -> None:
    assert columns({"features": {name: 7}}, [("features", name)], []) == [7.0]
