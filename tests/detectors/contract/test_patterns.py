"""The table of a regular expression says what `re` says, of every ASCII text; where it could not, there is no table."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.contract.patterns import MOST_STATES, table_of

pieces = st.sampled_from(
    ["a", "b", "-", ".", "[ab]", "[^a]", "[0-9]", r"\d", r"\w", r"\s", r"\D", "[a-c_-]", r"\.", "(?:)", "é", "[à-ü]"]
)
repeats = st.sampled_from(["*", "+", "?", "*?", "+?", "??", "{2}", "{1,3}", "{0,2}?", "{2,}"])
patterns = st.recursive(
    pieces,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map("|".join),
        inner.map("({})".format),
        st.tuples(inner, repeats).map(lambda said: f"(?:{said[0]}){said[1]}"),
        inner.map("^{}$".format),
    ),
    max_leaves=6,
)
flags = st.sampled_from(["", "", "(?i)", "(?s)", "(?a)", "(?m)"])
texts = st.text(st.sampled_from("abcABC01-_. \n\x1c\x00"), max_size=7)


@given(pattern=patterns, flag=flags, held=st.lists(texts, min_size=1, max_size=20))
def test_a_table_says_what_re_says(pattern: str, flag: str, held: list[str]) -> None:
    expression = flag + pattern
    table = table_of(expression)
    if table is None:
        return
    for text in held:
        assert table.matches(text) == (re.fullmatch(expression, text) is not None), (expression, text)


@given(pattern=patterns, data=st.data())
def test_what_matches_is_found_to_match(pattern: str, data: st.DataObject) -> None:
    """Random texts seldom match: these are drawn from the expression."""
    table = table_of(pattern)
    text = data.draw(st.from_regex(pattern, fullmatch=True))
    if table is not None and text.isascii():
        assert table.matches(text) == (re.fullmatch(pattern, text) is not None), (pattern, text)


@pytest.mark.parametrize(
    ("pattern", "fits", "odd"),
    [
        ("request-[0-9]+", "request-17", "request-"),
        ("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "3f2a9b70-77e1-4d5c-9a00-0123456789ab", "3f2a9b70"),
        ("^(a|ab)(c|bcd)$", "abcd", "abc\n"),
        ("(?i)true", "TrUe", "tru"),
        (r"\s", "\x1c", "a"),
        (r"(?a)\s", " ", "\x1c"),
        (".", "a", "\n"),
        ("(?s).", "\n", ""),
        ("", "", "a"),
    ],
)
def test_what_people_write_has_a_table(pattern: str, fits: str, odd: str) -> None:
    table = table_of(pattern)

    assert table is not None
    assert (table.matches(fits), table.matches(odd)) == (True, False)
    assert re.fullmatch(pattern, fits) is not None
    assert re.fullmatch(pattern, odd) is None


@pytest.mark.parametrize(
    "pattern",
    [
        "(?=a)b",
        "(?<!a)b",
        r"(a)\1",
        r"a\b",
        "a$b",
        "(?:a?)*",
        "(?>a|ab)c",
        "a*+b",
        "(?i:a)b",
        "(a|b)*a(a|b){12}",  # more states than are kept
        "a{5000}",
        ".{0,5000}",
        "a?" * 1500,  # few states of many places: what building takes is bounded
        "(?:a{1,60}){1,60}",
        "a|(" * 150 + "b" + ")" * 150 + r"\b",
    ],
)
def test_what_a_table_cannot_say_has_none(pattern: str) -> None:
    assert table_of(pattern) is None


def test_tables_are_bounded() -> None:
    table = table_of("(a|b)*a(a|b){7}")

    assert table is not None
    assert len(table.ends) <= MOST_STATES
    assert table.after.max() < len(table.ends)


def test_letters_that_are_alike_share_a_column() -> None:
    table = table_of("request-[0-9]{1,3}")

    assert table is not None
    assert len(set(table.kinds[list(b"0123456789")])) == 1
    assert table.after.shape == (len(table.ends), len(set("request-")) + 2)  # digits, and all else


def test_another_parser_means_no_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python's own parser is no promise: without it, or with another answer, the slow way stays."""
    for changed in ("_parser.parse", "_compiler.compile", "_constants.MAXREPEAT"):
        re.compile(expression := f"[ab]+{changed}")  # which `re` remembers
        with monkeypatch.context() as other:
            other.delattr(f"re.{changed}")
            assert table_of(expression) is None
    re.compile("ab[cd]")
    with monkeypatch.context() as other:
        other.setattr("re._parser.parse", lambda _: [("LITERAL", 97, "more")])
        assert table_of("ab[cd]") is None
    assert table_of("ab[ce]") is not None


def test_what_is_no_expression_is_refused() -> None:
    with pytest.raises(re.error):
        table_of("(")
