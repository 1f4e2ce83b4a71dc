"""Messages read again for what stands at some paths: what a reader of all of it gives, however many there are."""

import json
from typing import Any

import numpy as np
import pytest

from monitor.sources.formats.json.documents import MANY, read_documents, reread

PATHS = [("id",), ("meta", "id"), ("meta", "more", "a b"), ("features",)]
USUAL = {"id": "r-1", "meta": {"id": 7, "more": {"a b": 1.5}}, "features": {"x": 1, "y": [1, {"z": None}]}, "t": 1}
ODD: list[Any] = [
    {"id": None, "meta": {"id": "x", "more": {}}, "features": {}},
    {"id": 2**70, "meta": {"id": -(2**63), "more": {"a b": True}}},
    {"id": {"a": 1}, "meta": {"id": [], "more": {"a b": "ü\n"}}},
    {"meta": {"more": {"other": 1}}},
    {"id": "r", "meta": None},
    {"id": "r", "meta": 5},
    {"id": "r", "meta": {"more": [1]}},
    {"id": "r"},
    b'{"id": "first", "meta": {"id": 1, "id": 2, "more": {}}, "id": "last"}',
    b'{"id": "r", "meta": {"id": NaN, "more": {}}}',
    b'{"id": 1e999, "meta": {"more": {"a b": 1}}, "other": "\\ud800"}',
    b'{"\\u0069d": "escaped", "meta": {"more": {}}}',
]


@pytest.mark.parametrize("rows", [MANY - 1, MANY])
@pytest.mark.parametrize("odd", range(len(ODD) + 1))
def test_values_are_those_of_the_whole_message(odd: int, rows: int) -> None:
    held = [*([USUAL] * rows), *ODD[odd : odd + 1]]
    raw: list[bytes | None] = [each if isinstance(each, bytes) else json.dumps(each).encode() for each in held]
    places = np.arange(len(raw))

    found, whole = reread(raw, places, places, PATHS), read_documents(raw)

    assert len(found) == len(whole)
    for path in PATHS:
        column, expected = found.column(path), whole.column(path)
        assert isinstance(column, np.ndarray)
        assert repr(column.tolist()) == repr(expected.tolist())


@pytest.mark.parametrize("paths", [[("meta",), ("meta", "id")], [("meta", "id"), ("meta",)]])
def test_a_path_may_lie_below_another(paths: list[tuple[str, ...]]) -> None:
    raw: list[bytes | None] = [json.dumps(USUAL).encode()] * MANY
    places = np.arange(MANY)

    found, whole = reread(raw, places, places, paths), read_documents(raw)

    assert [found.column(path).tolist() for path in paths] == [whole.column(path).tolist() for path in paths]
