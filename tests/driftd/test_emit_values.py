"""What emit writes is what the daemon's decoder reads, value by value; no value raises, whatever it is."""

import base64
import json
import math
from collections import OrderedDict, UserDict, namedtuple
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from fractions import Fraction
from pathlib import PurePosixPath
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors import Reference
from driftd.emit import Emitter
from driftd.emit.events import UNSAID, EventWriter
from driftd.emit.plain import BEYOND
from monitor.facts import FieldsRejected
from monitor.sources.base import TopicRecords
from monitor.sources.decode.topic import TopicDecoder
from monitor.sources.formats.fields import FieldMap, SeriesFields
from monitor.sources.formats.json.documents import read_document
from monitor.stream.events import SECOND, SeriesKey
from tests.fakes import NOON

NOW = NOON // 1_000_000
KEY = SeriesKey("churn", "3")
REFERENCE = Reference.fit({"number": [0.0, 1.0, 2.5], "text": ["a", "b", "3"]})


def written(features: Any, names: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    """The event as any JSON reader has it."""

    def refuse(word: str) -> Any:
        raise AssertionError(word)

    raw = EventWriter("churn", "3", names, 1.0).prediction("r", NOW, features, None, UNSAID, more)
    return json.loads(raw, parse_constant=refuse)  # type: ignore[no-any-return]


def in_the_daemon(**features: Any) -> tuple[float, str | None, dict[str, int]]:
    """The number and the category that the daemon has, and why not."""
    raw = EventWriter("churn", "3", (), 1.0).prediction("r", NOW, features, None, UNSAID, {})
    fields = FieldMap()
    decoder = TopicDecoder("t", [SeriesFields(KEY, REFERENCE.layout, fields)], fields, 600 * SECOND)
    decoded = decoder.decode(TopicRecords("t", [0], [raw]), NOON)
    [batch] = decoded.batches
    [[number]], [[code]] = batch.numeric.tolist(), batch.codes.tolist()
    [table] = decoder._holds.series[KEY].tables
    reasons = {fact.reason: fact.count for fact in decoded.facts if isinstance(fact, FieldsRejected)}
    return number, table.categories[code] if code < table.unseen else None, reasons


class Colour(Enum):
    RED = "a"


class Word(StrEnum):
    B = "b"


class Rank(IntEnum):
    FIRST = 1


Named = namedtuple("Named", ["number", "text"])  # noqa: PYI024 - as people write it


@dataclass
class Fields:
    number: float
    text: str


class Model(pydantic.BaseModel):
    number: float
    text: str


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (1, 1.0),
        (2.5, 2.5),
        (True, 1.0),
        (np.float64(2.5), 2.5),
        (np.float32(0.1), float(np.float32(0.1))),
        (np.float16(0.1), float(np.float16(0.1))),
        (np.longdouble(2.5), 2.5),
        (np.int8(-3), -3.0),
        (np.uint64(2**64 - 1), float(2**64 - 1)),
        (np.bool_(True), 1.0),
        (np.array(2.5), 2.5),
        (np.timedelta64(1500, "ms"), 1.5),
        (timedelta(seconds=1.5), 1.5),
        (pd.Timedelta(seconds=1.5), 1.5),
        (Decimal("12.34"), 12.34),
        (Fraction(1, 4), 0.25),
        (Rank.FIRST, 1.0),
        (10**300, 1e300),
        (-0.0, -0.0),
    ],
)
def test_a_number_is_that_number_to_the_bit(value: Any, number: float) -> None:
    read, _, reasons = in_the_daemon(number=value, text="a")

    assert math.copysign(1, read) == math.copysign(1, number)
    assert (read, reasons) == (number, {})


@pytest.mark.parametrize(
    "value",
    [
        None,
        math.nan,
        np.float32("nan"),
        np.float64("nan"),
        pd.NA,
        pd.NaT,
        np.datetime64("NaT"),
        Decimal("NaN"),
        Decimal("sNaN"),
    ],
)
def test_what_is_not_there_is_missing(value: Any) -> None:
    number, text, reasons = in_the_daemon(number=value, text=value)

    assert math.isnan(number)
    assert (text, reasons) == (None, {"missing": 2})


@pytest.mark.parametrize(
    "value",
    [math.inf, np.float32("inf"), Decimal("Infinity"), Decimal("1e400"), Fraction(10**400, 3), 10**400, 10**5000],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("sign", [1, -1])
def test_what_is_beyond_all_numbers_is_non_finite(value: Any, sign: int) -> None:
    number, text, reasons = in_the_daemon(number=sign * value, text=sign * value)

    assert number == sign * math.inf
    assert (text, reasons) == (None, {"non_finite": 2})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", "a"),
        (np.str_("a"), "a"),
        (Colour.RED, "a"),
        (Word.B, "b"),
        (b"a", "a"),
        (bytearray(b"b"), "b"),
        (memoryview(b"b"), "b"),
        (np.bytes_(b"a"), "a"),
        (3, "3"),
        (3.0, "3"),
        (np.int64(3), "3"),
        (Decimal(3), "3"),
    ],
)
def test_a_category_is_that_category(value: Any, text: str) -> None:
    _, read, reasons = in_the_daemon(number=1, text=value)

    assert (read, reasons) == (text, {})


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (datetime(2026, 1, 2, 3, tzinfo=UTC), "2026-01-02T03:00:00+00:00"),
        (date(2026, 1, 2), "2026-01-02"),
        (time(1, 2), "01:02:00"),
        (pd.Timestamp("2026-01-02"), "2026-01-02T00:00:00"),
        (np.datetime64("2026-01-02T03:04:05.123456789", "ns"), "2026-01-02T03:04:05.123456789"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (PurePosixPath("/a/b"), "/a/b"),
        (b"\xff\xfe", base64.b64encode(b"\xff\xfe").decode()),
        (np.arange(3), [0, 1, 2]),
        (np.array([0.5, np.nan], dtype=np.float32), [0.5, None]),
        (np.array([[1, 2]]), [[1, 2]]),
        ((1, (2, 3)), [1, [2, 3]]),
        ({1}, [1]),
        ({"a": {1: Decimal("0.5"), None: 2}}, {"a": {"1": 0.5, "None": 2}}),
        (pd.Series([1.0, 2.0], index=["x", "y"]), {"x": 1.0, "y": 2.0}),
        (Fields(1.0, "a"), {"number": 1.0, "text": "a"}),
        (Model(number=1.0, text="a"), {"number": 1.0, "text": "a"}),
        ("half \ud800", "half \ud800"),
        (int, "<class 'int'>"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_other_values_are_what_json_has_for_them(value: Any, plain: Any) -> None:
    assert written({"x": value}, beside=value) == written({}) | {"features": {"x": plain}, "beside": plain}


FRAME = pd.DataFrame({"number": [1, 2], "text": ["a", "b"]})


@pytest.mark.parametrize(
    "row",
    [
        {"number": 1, "text": "a"},
        OrderedDict(number=1, text="a"),
        UserDict(number=1, text="a"),
        FRAME.iloc[0],
        FRAME.iloc[:1],
        Named(1, "a"),
        Fields(1, "a"),
        Model(number=1, text="a"),
        [1, "a"],
        (1, "a"),
        np.array([1, "a"], dtype=object),
        np.array([[1, "a"]], dtype=object),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_row_of_any_kind_gives_its_features_by_name(row: Any) -> None:
    assert written(row, ("number", "text"))["features"] == {"number": 1, "text": "a"}


def test_values_without_names_have_their_places_for_names() -> None:
    assert written([0.5, 1])["features"] == {"0": 0.5, "1": 1}


@pytest.mark.parametrize("row", [[1, 2, 3], FRAME, FRAME.iloc[:0], 5, "text", None])
def test_what_is_no_row_is_no_event(row: Any) -> None:
    with pytest.raises(ValueError, match=r"one event|mapping|longer|shorter"):
        written(row, ("number", "text"))


def test_what_holds_itself_ends() -> None:
    deep: list[Any] = []
    deep.append(deep)
    wide: list[Any] = []
    wide += [wide] * 50
    laughs: Any = "ha"
    for _ in range(40):
        laughs = [laughs] * 10
    ours: dict[str, Any] = {}
    ours["self"] = ours

    for value in (deep, wide, laughs, ours):
        raw = EventWriter("churn", None, (), 1.0).prediction("r", NOW, {"x": value, "y": 1}, None, UNSAID, {})
        assert isinstance(read_document(raw)["features"], dict)  # within the daemon's bounds


class Hostile:
    """Raises wherever it is looked at."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __str__(self) -> str:
        raise RecursionError

    __repr__ = __iter__ = __len__ = __hash__ = __float__ = __index__ = __eq__ = __str__  # type: ignore[assignment]


class HostileText(str):
    __slots__ = ()

    def __str__(self) -> str:
        raise RuntimeError

    __iter__ = __len__ = encode = __str__  # type: ignore[assignment]


class HostileNumber(float):
    def __float__(self) -> float:
        raise RuntimeError

    __repr__ = __str__ = __bool__ = __eq__ = __hash__ = __float__  # type: ignore[assignment]


class HostileMapping(dict[str, Any]):
    def items(self) -> Iterator[Any]:  # type: ignore[override]
        yield "a", 1
        raise RuntimeError


class Endless(list[int]):
    def __iter__(self) -> Iterator[int]:
        while True:
            yield 1


leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(alphabet=st.characters()),
    st.binary(),
    st.decimals(),
    st.fractions(),
    st.complex_numbers(),
    st.datetimes(),
    st.dates(),
    st.times(),
    st.timedeltas(),
    st.uuids(),
    st.sampled_from([Colour.RED, Word.B, Rank.FIRST, pd.NA, pd.NaT, BEYOND, type, len, ...]),
    st.integers(1, 9).map(lambda times: times * 10**4400),
    st.sampled_from([np.float16, np.float32, np.float64, np.longdouble]).flatmap(
        lambda kind: st.floats(width=16).map(kind)
    ),
    st.integers(-128, 127).map(np.int8),
    st.integers(-(2**62), 2**62).map(lambda at: np.datetime64(at, "ns")),
    st.builds(Hostile),
    st.builds(HostileText, st.text()),
    st.builds(HostileNumber, st.floats()),
    st.builds(HostileMapping),
    st.builds(Endless),
)
keys = st.one_of(st.text(), st.integers(), st.floats(), st.none(), st.booleans(), st.binary(), st.tuples(st.integers()))
values = st.recursive(
    leaves,
    lambda held: st.one_of(
        st.lists(held, max_size=4),
        st.tuples(held),
        st.dictionaries(keys, held, max_size=4),
        st.lists(held, max_size=3).map(lambda each: pd.Series(each, dtype=object)),
        st.builds(Fields, held, held),
    ),
    max_leaves=12,
)


def all_read(features: Any, **more: Any) -> None:
    """Each feature is in the event, which is valid JSON within the daemon's bounds."""
    raw = EventWriter("churn", "3", (), 0.5).prediction("r", NOW, features, None, UNSAID, more)

    document = read_document(raw)

    assert document["features"].keys() >= {key for key in features if isinstance(key, str)}
    assert json.loads(raw, parse_constant=lambda word: 1 // 0) is not None


@settings(max_examples=500)
@given(held=st.lists(leaves, min_size=20, max_size=20))
def test_no_value_raises(held: list[Any]) -> None:
    """Twenty an example: ten thousand."""
    all_read({f"f{place}": value for place, value in enumerate(held)})


@settings(max_examples=200)
@given(features=st.dictionaries(keys, values, max_size=4), more=values)
def test_no_value_within_others_raises(features: Any, more: Any) -> None:
    all_read(features, more=more)


@settings(max_examples=100)
@given(value=values, name=values, at=values)
def test_no_id_time_or_features_raise(value: Any, name: Any, at: Any) -> None:
    emitter = Emitter(lambda *_: None, "p", "churn", log=None)
    try:
        assert isinstance(emitter.emit(value, id=name, ts=at), str)
        assert isinstance(emitter.label(name, value, ts=at), bool)
        assert emitter.flush(20)
        assert emitter.sent + emitter.failed == 2
    finally:
        emitter.close(5)
