"""The compiled part looks at 32 bytes at once: wherever in them something stands, it is read the same."""

import json
from collections.abc import Sequence

import numpy as np
import pytest

from detectors import Reference
from monitor.sources.base import TopicRecords
from monitor.sources.decode.topic import TopicDecoder
from monitor.sources.formats.base import DecodeCounts, SeriesRows
from monitor.sources.formats.fields import FieldMap, SeriesFields
from monitor.sources.formats.times import NOT_A_TIME
from monitor.stream.events import SECOND, SeriesKey
from tests.fakes import NOON

pytestmark = pytest.mark.usefixtures("compiled_parts")

TS = NOON // 1_000_000
LONG = "a_name_that_is_longer_than_a_window_of_bytes"
NUMBERS = ["a", "ab", "abc", LONG, LONG + "_too"]
TEXTS = ["plan", "a text that has more letters than a window", "8 bytes.", "sixteen letters.", "Zürich", ""]
REFERENCE = Reference.fit({name: [1.0, 2.0, 3.0] for name in NUMBERS} | {"text": TEXTS[:3]})


def make_decoder() -> TopicDecoder:
    fields = FieldMap()
    return TopicDecoder("t", [SeriesFields(SeriesKey("churn", "3"), REFERENCE.layout, fields)], fields, SECOND)


def message(features: str, behind: str = "") -> bytes:
    """The features last but for what stands behind them."""
    return f'{{"ts":{TS},"model":"churn","version":"3","features":{{{features}}}{behind}}}'.encode()


def rows_of(*messages: bytes) -> SeriesRows:
    """All of these, read by the compiled part alone."""
    read = (
        make_decoder()
        .readers[0]
        .read(TopicRecords("t", [0] * len(messages), list(messages)), NOON + SECOND, DecodeCounts())
    )
    assert not read.left
    (rows,) = read.rows
    return rows


def odd_of(*messages: bytes) -> list[int]:
    """The places of those that give the compiled part no row: it leaves them, or refuses them as the slow reader does."""
    records = TopicRecords("t", [0] * len(messages), list(messages))
    read = make_decoder().readers[0].read(records, NOON + SECOND, DecodeCounts())
    odd: list[int] = np.flatnonzero(read.times == NOT_A_TIME).tolist()
    slow = make_decoder()
    slow.readers[:-1] = []

    assert sum(len(part.times) for part in read.rows) == len(messages) - len(odd)
    assert set(read.left) <= set(odd)
    assert make_decoder().decode(records, NOON).facts == slow.decode(records, NOON).facts
    return odd


def column(rows: SeriesRows, name: str) -> list[float]:
    at = [each for each, _ in rows.series.numeric].index(name)
    return rows.numeric[:, at].tolist()


def bits(values: Sequence[float]) -> list[int]:
    """-0.0 is not 0.0."""
    return np.array(values, dtype=np.float64).view(np.int64).tolist()


NUMBER_TEXTS = [
    *("0", "-0", "-0.0", "0.0", "7", "-7", "0.5", "12.25", "-3.125e2", "1E5", "1e-5", "1e+22", "1e23", "0e0"),
    *("1234567", "12345678", "123456789", "1234567.8", "12345678.9", "123456789.1", "1.2345678", "1.23456789"),
    *("9007199254740991", "9007199254740992", "9007199254740993", "9007199254740995", "-9007199254740993"),
    *("900719925.4740991", "900719.9254740993", "90071992.54740993", "0.9007199254740993", "9.007199254740995"),
    *("4.9e-324", "2.2250738585072011e-308", "2.2250738585072014e-308", "1.7976931348623157e308"),
    *("0.1", "0.30000000000000004", "-0.12345678901234567", "0.012345678901234567", "0.0012345678901234567"),
    *("0.1234567890123456789", "0.12345678901234567890", "1.234567890123456789", "12.34567890123456789"),
    *("18446744073709551615", "18446744073709551616", "9223372036854775807", "123456789012345678901234567890"),
    *("1" + "0" * 40, "0." + "0" * 40 + "1", "1." + "0" * 40 + "1", "3.14159e" + "0" * 30 + "1"),
    *("0.00000000000000000001", "99999999.99999999", "99999999.99999999999", "5.0000000000000000000"),
]


@pytest.mark.parametrize("text", NUMBER_TEXTS)
def test_a_number_is_read_to_the_last_bit_wherever_the_message_ends(text: str) -> None:
    behind = ["", *(f',"more":"{"x" * size}"' for size in range(40))]
    rows = rows_of(*(message(f'"a":{text}', each) for each in behind), message(f'"a": {text} , "b": 1'))

    assert bits(column(rows, "a")) == bits([float(text)] * (len(behind) + 1))


FOLLOWED = f',"more":"{"x" * 70}"'  # so that a window lies behind each number


@pytest.mark.parametrize("text", NUMBER_TEXTS)
@pytest.mark.parametrize(("colon", "comma"), [(":", ","), (": ", ", "), (":  ", " ,  "), (":", ",\n")])
def test_numbers_that_follow_each_other_are_read_to_the_last_bit(text: str, colon: str, comma: str) -> None:
    """Whichever of them is odd, and whatever space is about them."""
    names = NUMBERS[:4]
    all_told = [
        comma.join(f'"{name}"{colon}{text if name == odd else "-0.5"}' for name in names) for odd in (*names, None)
    ]
    rows = rows_of(*(message(told, FOLLOWED) for told in all_told))

    for at, name in enumerate(names):
        expected = [float(text) if number == at else -0.5 for number in range(len(all_told))]
        assert bits(column(rows, name)) == bits(expected)


@pytest.mark.parametrize(
    "features",
    [
        '"a":1,"ab":2,}',
        '"a":1,"ab":2, }',
        '"a":1,"ab":2,  }',
        '"a":1,,"ab":2',
        '"a":1,"ab":2.',
        '"a":1.,"ab":2',
        '"a":1,"ab":02',
        '"a":1,"ab":-',
        '"a":1 "ab":2',
        '"a":1,"ab":2]',
        '"a":1,"ab":2,"ab":3',
        '"a":1,"a":1',
    ],
)
def test_what_is_malformed_among_numbers_gives_no_row(features: str) -> None:
    usual, odd = message('"a":1,"ab":2', FOLLOWED), message(features, FOLLOWED)

    assert odd_of(usual, odd, usual) == [1]


def test_halves_between_two_doubles_are_rounded_to_even() -> None:
    """17 to 19 digits are divided in whole numbers: what is exactly between two doubles, and just beside it."""
    halves = [f"{(2**53 + 2 * at + 1) * 5**shift}" for at in range(40) for shift in (1, 2, 3)]
    texts = [f"{whole[: -len(whole) // 2]}.{whole[-len(whole) // 2 :]}" for whole in halves if len(whole) <= 19]
    texts += [text[:-1] + str((int(text[-1]) + 1) % 10) for text in texts]
    rows = rows_of(
        *(message(f'"a":{text}') for text in texts), *(message(f'"a":{text}', "," + '"b":1' * 1) for text in texts)
    )

    assert bits(column(rows, "a")) == bits([float(text) for text in texts] * 2)


@pytest.mark.parametrize(
    "text", ["01", "-", "-01.5", "1.", ".5", "1.e5", "1e", "1e+", "1.5.5", "00", "+1", "1_0", "0x1", "--1"]
)
@pytest.mark.parametrize("behind", ["", f',"more":"{"x" * 40}"'])
def test_what_is_no_number_gives_no_row(text: str, behind: str) -> None:
    assert odd_of(message(f'"a":{text}', behind)) == [0]


@pytest.mark.parametrize("size", range(70))
def test_a_text_is_read_wherever_it_ends_or_is_escaped(size: int) -> None:
    """What is no plain ASCII stands behind so many letters; the second message has its end nearby."""
    texts = ["x" * size + end for end in ("", "ü", '"', "\\", "\n", "€", "🦆", "\x7f")]
    written = [json.dumps(text, ensure_ascii=plain) for text in texts for plain in (True, False)]
    odd = [b'"' + b"x" * size + end + b'"' for end in (b"\x01", b"\n", b"\xff", b"\xc3", b"\xed\xa0\x80", b"\\x")]
    messages = [message(f'"text":{text}', behind) for text in written for behind in ("", f',"z":"{"y" * 40}"')]
    broken = [message('"text":""', f',"z":"{"y" * at}"').replace(b'""', each, 1) for each in odd for at in (0, 40)]

    assert len(rows_of(*messages).codes) == len(messages)
    assert odd_of(*broken) == list(range(len(broken)))


def test_categories_of_any_length_are_told_apart() -> None:
    known = TEXTS[:3]
    beside = [text[:-1] + "~" for text in known] + ["~" + text[1:] for text in known] + TEXTS[3:]
    rows = rows_of(*(message(f'"text":{json.dumps(text, ensure_ascii=False)}') for text in known + beside))
    (table,) = rows.series.tables

    assert rows.codes[:, 0].tolist() == [table[text] for text in known] + [table.unseen] * len(beside)


def test_keys_may_share_beginnings_and_come_in_any_order() -> None:
    """Places that were expected do not decide: names do."""
    names = [*NUMBERS, LONG + "_and_nobody_asked", "abcd", "model", "b"]
    orders = [np.random.default_rng(seed).permutation(len(names))[: 9 - seed % 5] for seed in range(40)]
    messages = [
        message(",".join(f'"{names[at]}":{at}.5' for at in order), ',"abc":7,"a":8' if seed % 2 else "")
        for seed, order in enumerate(orders)
    ]
    rows = rows_of(*messages)

    for at, name in enumerate(NUMBERS):
        expected = [at + 0.5 if at in order else np.nan for order in orders]
        np.testing.assert_array_equal(column(rows, name), expected)


def test_a_name_of_one_object_is_not_expected_in_another() -> None:
    """`b` is nobody's beside the features, nor is `model` within them, in whatever order they were seen."""
    inner, outer = '"b":1,"model":"fraud","a":2', ',"a":3,"b":{"a":4},"c":5'
    rows = rows_of(*[message(inner, outer), message('"a":2,"b":1', outer), message("", outer), message(inner)] * 3)

    np.testing.assert_array_equal(column(rows, "a"), [2, 2, np.nan, 2] * 3)


@pytest.mark.parametrize("again", ['"a":1,"a":2', '"a":1,"b":2,"a":3', f'"{LONG}":1,"{LONG}":2', r'"a":1,"\u0061":2'])
def test_a_key_said_twice_is_left(again: str) -> None:
    messages = [message('"a":1,"b":2'), message(again), message('"a":1,"b":2')]

    assert odd_of(*messages) == [1]


@pytest.mark.parametrize("before", [b"", b" ", b"\xef\xbb\xbf"])
def test_messages_shorter_than_a_window_give_no_row(before: bytes) -> None:
    messages = [before + b"{}"[:size] for size in (1, 2)] + [
        before + b'{"a":1}',
        before + b'{"features":{}}',
        b"\x01" * 40,
    ]

    assert odd_of(*messages) == list(range(len(messages)))


def test_a_key_of_control_characters_is_no_key() -> None:
    """Nothing that is malformed is taken for what was expected."""
    odd = [b'"features":{' + b"\x01" * 32 + b":1}", b'"features":{"a":1,' + b"\x01" * 40 + b"}"]
    messages = [message("").replace(b'"features":{}', each) for each in odd]

    assert odd_of(*messages) == [0, 1]
