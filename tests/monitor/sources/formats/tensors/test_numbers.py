"""Arrays of numbers by the compiled part: each the double that Python makes of the same text, whatever stands beside it."""

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

compact: Any = pytest.importorskip("monitor.sources.formats.tensors._compact").compact

pytestmark = pytest.mark.usefixtures("compiled_parts")

SIGN = st.sampled_from(["", "-"])
DIGITS = st.text("0123456789", min_size=1, max_size=22)
WHOLE = st.one_of(st.just("0"), st.integers(1, 2**53 - 1).map(str), st.integers(1, 99).map(str))


def _told(sign: str, whole: str, fraction: str, exponent: str) -> str:
    return f"{sign}{whole}{fraction}{exponent}"


WITH_POINT = st.builds(_told, SIGN, WHOLE, DIGITS.map(".{}".format), st.just(""))
USUAL = st.decimals(-1000, 1000, places=6).map(str)
LONG = st.floats(allow_nan=False, allow_infinity=False).map(
    repr
)  # the shortest of each double, the smallest and largest too
WITH_EXPONENT = st.builds(
    _told,
    SIGN,
    WHOLE,
    st.sampled_from(["", ".0", ".5", ".12345678901234567"]),
    st.integers(-340, 290).map("e{:+d}".format),
).filter(lambda text: float(text) != 0)  # less than all doubles: left to the other readers
NEAR_TIES = st.integers(2**52, 2**53 - 1).map(lambda odd: f"0.{odd * 10**4 + 5000}")  # of 20 digits
PLAIN = st.one_of(USUAL, WITH_POINT, st.builds(str.__add__, SIGN, WHOLE))
ANY = st.one_of(PLAIN, PLAIN, PLAIN, LONG, WITH_EXPONENT, NEAR_TIES, st.just("null"))


def _bits(values: Sequence[float]) -> list[bytes]:
    return [struct.pack("<d", value) for value in values]


def _read(texts: Sequence[str], comma: str, behind: str = "") -> list[float]:
    raw = f'{{"inputs":[{{"data":[{comma.join(texts)}]}}]{behind}}}'.encode()
    room = np.empty(len(raw))
    rest, count, _ = compact(raw, room, 0)
    assert rest == f'{{"inputs":[{{"data":[0,{len(texts)}]}}]{behind}}}'.encode()
    return list(room[:count].tolist())


def _as_python_has_them(texts: Sequence[str]) -> list[float]:
    return [float("nan") if text == "null" else float(text) + 0.0 for text in texts]  # of -0 it makes 0


@settings(max_examples=150)
@given(
    st.lists(PLAIN, min_size=1, max_size=60),
    st.lists(ANY, max_size=40),
    st.sampled_from([",", ", ", ",  "]),
    st.sampled_from(["", ',"more":"' + "x" * 200 + '"']),
)
@example(["1"] * 300, [], ",", "")
@example(["-0.0", "-0", "0", "0.0"] * 30, [], ", ", "")
@example(["123456789012345", "0.1234567890123", "-12345678901234"] * 30, [], ",", "")
def test_each_number_is_the_double_of_its_text(plain: list[str], mixed: list[str], comma: str, behind: str) -> None:
    """Whichever way takes it: four at once, one by one, or the library's."""
    texts = plain * 4 + mixed + plain

    assert _bits(_read(texts, comma, behind)) == _bits(_as_python_has_them(texts))


@settings(max_examples=150)
@given(
    st.lists(USUAL, min_size=40, max_size=60),
    st.integers(1, 39),  # the first says whether it is an array of numbers at all
    st.sampled_from(
        [
            "01",
            "-",
            "",
            ".5",
            "5.",
            "1.2.3",
            "--1",
            "1-",
            "1 2",
            "+1",
            "1e",
            "-01.5",
            "0x1",
            "1..2",
            "nul",
            '"1"',
            "[1]",
            "1]",
        ]
    ),
    st.sampled_from([",", ", "]),
)
def test_what_is_no_number_is_found_among_any(texts: list[str], place: int, odd: str, comma: str) -> None:
    texts[place] = odd
    raw = f'{{"inputs":[{{"data":[{comma.join(texts)}],"more":"{"x" * 200}"}}]}}'.encode()

    assert compact(raw, np.empty(len(raw)), 0) is None


@given(st.lists(USUAL, min_size=40, max_size=60), st.integers(1, 39))
def test_spaces_may_stand_behind_some_commas_alone(texts: list[str], place: int) -> None:
    mixed = [*texts[:place], " " + texts[place], *texts[place + 1 :]]

    assert _bits(_read(mixed, ",")) == _bits(_as_python_has_them(texts))
