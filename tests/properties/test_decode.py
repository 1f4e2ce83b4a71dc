"""Laws of the decoder: both ways of reading agree, and no message can raise."""

import json
import math
from collections import Counter
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from detectors import Reference
from monitor.facts import Fact
from monitor.sources.base import TopicRecords
from monitor.sources.decode.topic import Decoded, TopicDecoder
from monitor.sources.formats.base import DecodeCounts
from monitor.sources.formats.fields import FieldMap, SeriesFields, TopicFields
from monitor.sources.formats.json import look
from monitor.sources.formats.json.documents import Document, parse_leniently, refusal
from monitor.sources.formats.json.typed import typed_reader
from monitor.stream.events import SECOND, OffsetRange, Partition, SeriesKey
from tests.fakes import NOON
from tests.hostile import CLASSES

TS = NOON // 1_000_000
NUMBERS = [1.0, 2.0, 3.0]
CODES = ["1", "true", "2.5", "0.0001", "1e-05", "-1.5e-07", "1e+16", "-9223372036854775808", "100000000000000000000"]
NAMES = ["a", "b", "c", "d", "e", "plan", "code"]
REFERENCE = Reference.fit(
    {**dict.fromkeys("abcde", NUMBERS * 3), "plan": ["free", "pro", "Zürich"] * 3, "code": CODES, "y": NUMBERS * 3},
    prediction="y",
)
ONE = [SeriesKey("churn", "3")]
MANY = [SeriesKey("churn", "3"), SeriesKey("churn", "*"), SeriesKey("fraud", "1")]
SHAPES = [
    FieldMap(),
    FieldMap(features=()),
    FieldMap(id=("out", "id")),
    FieldMap(id=("features", "a")),
    FieldMap(group=("out", "session")),
    FieldMap(id=("out", "id"), group=("features", "user")),
    FieldMap(group=("features", "code")),
    FieldMap(features=("in", "x"), prediction=("out", "y"), timestamp=("in", "ts"), version=("out", "version")),
]

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.integers(),
    st.sampled_from([2**53 + 1, 2**63, 2**64, -(2**63) - 1, 10**30, 10**400, TS, TS * 1_000_000, 0, -0.0]),
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from(["", "free", "pro", "1", "true", "3", "churn", "2026-11-23T12:00:00Z", "2026-11-23", str(TS)]),
    st.text(max_size=5),
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
known = st.sampled_from(
    [
        "free",
        "Zürich",
        "🦆",
        1,
        "1.0",
        "01",
        True,
        "True",
        2.0,
        2.5,
        1e-4,
        -1.5e-7,
        1e16,
        "1e+16",
        1e20,
        10**20,
        -(2**63),
    ]
)
feature_values = st.one_of(st.floats(0, 10), st.integers(0, 5), known, values)
zones = st.one_of(st.none(), st.just(UTC), st.integers(-1439, 1439).map(lambda one: timezone(timedelta(minutes=one))))
moments = st.datetimes(datetime(1999, 12, 30), datetime(2027, 1, 1), timezones=zones)  # noqa: DTZ001 - the zones come after
stamps = st.one_of(
    moments.map(datetime.isoformat),
    moments.map(lambda at: at.isoformat().replace("+00:00", "Z").lower()),
    st.builds("{:%Y-%m-%d %H:%M:%S}{}".format, moments, st.sampled_from(["", "+0130", "-05", "+1", "+01:3", "+25:00"])),
    st.builds("{:%Y-%m-%dT%H:%M:%S}.{}Z".format, moments, st.text("0123456789", min_size=1, max_size=12)),
    st.floats(TS / 1000 - 10, TS + 700_000),
    st.from_regex(r"20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9]", fullmatch=True),
)
identities = st.one_of(
    st.uuids().map(str), st.text(max_size=200), st.integers(0, 9), st.just(""), st.text("é𝄞", max_size=40)
)
features = st.dictionaries(st.sampled_from([*NAMES, "unknown", "ts", "model", "user"]), feature_values, max_size=8)
often = {"ts": st.integers(TS - 1000, TS + 700_000), "model": st.sampled_from(["churn", "fraud", "other"])}
plausible = st.fixed_dictionaries(
    {
        "ts": st.one_of(often["ts"], often["ts"], stamps, values),
        "model": st.one_of(often["model"], often["model"], values),
        "features": st.one_of(features, features, values),
    },
    optional={
        "version": st.one_of(st.sampled_from(["3", 3, 3.0, "1", None, "*"]), values),
        "prediction": st.one_of(st.floats(0, 1), values),
        "id": st.one_of(identities, values),
        "in": st.one_of(st.fixed_dictionaries({"x": features}, optional={"ts": often["ts"]}), values),
        "out": st.one_of(
            st.fixed_dictionaries(
                {}, optional={"y": scalars, "version": scalars, "id": identities, "session": identities}
            ),
            values,
        ),
        "a": feature_values,
        "plan": feature_values,
    },
)
odd_number = st.sampled_from([b"1e999", b"-1e999", b"NaN", b"-Infinity", b"9" * 401, b"-" + b"9" * 5000, b"1E5", b"-0"])


@st.composite
def messages(draw: st.DrawFn) -> bytes | None:
    """Mostly plausible events; some with numbers that JSON writers do not write, keys said twice, or bytes changed."""
    raw = json.dumps(draw(plausible), ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")
    match draw(st.integers(0, 9)):
        case 0:
            raw = raw.replace(b"null", draw(odd_number))
        case 1:
            raw = raw[:-1] + b"," + json.dumps(draw(plausible)).encode()[1:]
        case 2:
            at = draw(st.integers(0, len(raw) - 1))
            raw = raw[:at] + draw(st.binary(max_size=2)) + raw[at + 1 :]
        case 3:
            return draw(st.sampled_from([None, b"", b"[]", b"{}", b'{"ts": 1}', b"{" * 40, b"\xef\xbb\xbf" + raw]))
        case _:
            pass
    return raw


def decoder(keys: list[SeriesKey], shape: FieldMap, way: str = "compiled") -> TopicDecoder:
    """A decoder by the quickest way, by typed structs, or value by value."""
    series = [SeriesFields(key, REFERENCE.layout, shape) for key in keys]
    decoder = TopicDecoder("t", series, shape, 600 * SECOND)
    if way != "compiled":
        typed = typed_reader(TopicFields(series, shape), look)
        decoder.readers[:-1] = [] if typed is None or way == "lenient" else [typed]
    return decoder


def rows(decoded: Decoded) -> Counter[Any]:
    """Every row of every batch as a value: order is no matter, NaN is equal to itself."""
    return Counter(
        (
            batch.key,
            time,
            tuple("nan" if math.isnan(number) else number for number in numbers),
            tuple(codes),
            *identity,
        )
        for batch in decoded.batches
        for time, numbers, codes, identity in zip(
            batch.event_times.tolist(),
            batch.numeric.tolist(),
            batch.codes.tolist(),
            zip(
                *([None] * len(batch) if each is None else each.tolist() for each in (batch.ids, batch.groups)),
                strict=True,
            ),
            strict=True,
        )
    )


def facts(decoded: Decoded) -> set[Fact]:
    return set(decoded.facts)


@settings(max_examples=100, deadline=None)
@given(
    batches=st.lists(st.lists(st.tuples(st.integers(0, 2), messages()), max_size=8), min_size=1, max_size=3),
    keys=st.sampled_from([ONE, MANY]),
    shape=st.sampled_from(SHAPES),
)
def test_compiled_typed_and_lenient_reading_agree(
    batches: list[list[tuple[int, bytes | None]]], keys: list[SeriesKey], shape: FieldMap
) -> None:
    ways = [decoder(keys, shape, way) for way in ("lenient", "typed", "compiled")]

    for batch in batches:
        records = TopicRecords("t", [index for index, _ in batch], [raw for _, raw in batch])
        slow, *quick = (way.decode(records, NOON) for way in ways)

        for fast in quick:
            assert rows(fast) == rows(slow)
            assert facts(fast) == facts(slow)
            assert fast.seen == slow.seen


@settings(max_examples=100, deadline=None)
@given(
    batch=st.lists(st.tuples(st.integers(0, 2), messages()), max_size=8),
    keys=st.sampled_from([ONE, MANY]),
    shape=st.sampled_from(SHAPES),
    earlier=st.sampled_from([0, 1, 599, 601, 10_000, -1, -10_000]),
    renewed=st.booleans(),
)
def test_what_was_read_ahead_by_an_earlier_clock_changes_nothing(
    batch: list[tuple[int, bytes | None]], keys: list[SeriesKey], shape: FieldMap, *, earlier: int, renewed: bool
) -> None:
    mine, partitions, values = decoder(keys, shape), [index for index, _ in batch], [raw for _, raw in batch]
    prepared = (decoder(keys, shape) if renewed else mine).prepare(values, NOON - earlier * SECOND)

    ahead = mine.decode(TopicRecords("t", partitions, values, prepared=prepared), NOON)

    plain = decoder(keys, shape).decode(TopicRecords("t", partitions, values), NOON)
    assert rows(ahead) == rows(plain)
    assert facts(ahead) == facts(plain)
    assert ahead.seen == plain.seen


@settings(max_examples=100, deadline=None)
@given(
    batch=st.lists(st.tuples(st.integers(0, 2), messages()), max_size=8),
    keys=st.sampled_from([ONE, MANY]),
    shape=st.sampled_from(SHAPES),
)
def test_every_message_has_one_outcome(
    batch: list[tuple[int, bytes | None]], keys: list[SeriesKey], shape: FieldMap
) -> None:
    together = decoder(keys, shape).decode(TopicRecords("t", [i for i, _ in batch], [raw for _, raw in batch]), NOON)
    alone = [decoder(keys, shape).decode(TopicRecords("t", [index], [raw]), NOON) for index, raw in batch]

    assert rows(together) == sum((rows(one) for one in alone), Counter())
    outcomes = [rows(one).total() + sum(getattr(fact, "outcome", "") != "" for fact in one.facts) for one in alone]
    assert outcomes == [1] * len(batch)
    assert together.seen == {
        partition: max(one.seen[partition] for one in alone if partition in one.seen)
        for partition in {Partition("t", index) for index, _ in batch}
        if any(partition in one.seen for one in alone)
    }


@settings(max_examples=200, deadline=None)
@given(raw=st.binary(max_size=200), keys=st.sampled_from([ONE, MANY]))
@example(raw=b'{"model": "\xff"}', keys=ONE)
@example(raw=b'{"model": "\\ud800"}', keys=MANY)
@example(raw=b'{"ts": ' + b"9" * 400 + b', "model": "churn", "features": {"a": -' + b"9" * 400 + b"}}", keys=ONE)
def test_no_bytes_can_raise(raw: bytes, keys: list[SeriesKey]) -> None:
    decoded = decoder(keys, FieldMap()).decode(TopicRecords("t", [0], [raw]), NOON)

    assert decoded.batches or decoded.facts


PIECES = (
    *(
        b"\\u00e9",
        b"\\ud83d\\ude00",
        b"\\ud800",
        b"\\u12",
        b"\\",
        b'"',
        b"{",
        b"}",
        b"[",
        b"]",
        b":",
        b",",
        b"-",
        b"+",
        b".",
        b"e",
    ),
    *(
        b"0",
        b"1e999",
        b"-1e-999",
        b"NaN",
        b"-Infinity",
        b"null",
        b"true",
        b"nul",
        b"9" * 20,
        b"9" * 4_100,
        b"9" * 4_350,
        b"9" * 5_000,
    ),
    *(
        b"\x00",
        b"\x01",
        b"\n",
        b" ",
        b"\xc3\xbc",
        b"\xed\xa0\x80",
        b"\xff",
        b"\xef\xbb\xbf",
        b"[" * 33,
        b"]" * 16,
        b"{}",
        b"[1]",
        b'"x"',
    ),
    *(
        b'"ts":',
        b'"model":',
        b'"version":',
        b'"features":',
        b'"ts":1e999,',
        b'"version":{},',
        b'"version":1.50,',
        b'"model":"\\ud800",',
    ),
    *(b'"2026-02-30T00:00:00Z"', b'"2026-11-23T24:00:00"', b'"2026-11-23T23:59:60Z"', b'"2026-11-23T12:00:00+25:00"'),
    *(
        b'"0001-01-01T00:00:00+14:00"',
        b'"9999-12-31T23:59:59-14:00"',
        b'" 2026-11-23T12:00:00Z"',
        b'"2026-11-23T12:00:00Z x"',
    ),
    *(b'"2026-11-23"', b'"2026-13-01x"', b"9223372036854775808", b"946684799999.5", b"1.5e19", b"%d" % (TS + 600_000)),
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A message, bad or not, that was cut, or of which parts were replaced by what means something elsewhere."""
    raw = draw(st.one_of(messages(), st.sampled_from(sorted(CLASSES)).map(lambda name: CLASSES[name].write(1)))) or b""
    for _ in range(draw(st.integers(0, 3)) if len(raw) < 1 << 14 else 0):
        at, piece = draw(st.integers(0, len(raw))), draw(st.sampled_from(PIECES))
        match draw(st.integers(0, 3)):
            case 0:
                raw = raw[:at]
            case 1:
                raw = raw[:at] + piece + raw[at:]
            case 2:
                raw = raw[:at] + piece + raw[at + len(piece) :]
            case _:  # in place of a value
                after = raw.find(b":", at) + 1
                end = raw.find(b",", after)
                raw = raw[:after] + piece + raw[end if end >= 0 else len(raw) :]
    return raw


@settings(max_examples=200, deadline=None)
@given(
    batch=st.lists(damaged(), min_size=1, max_size=8),
    keys=st.sampled_from([ONE, MANY]),
    shape=st.sampled_from([*SHAPES, FieldMap(model_is="churn"), FieldMap(version_is="3"), FieldMap(unit=1)]),
)
def test_damaged_messages_are_refused_for_the_slow_readers_reasons_and_kept_alike(
    batch: list[bytes], keys: list[SeriesKey], shape: FieldMap
) -> None:
    """Rows, reasons, their order, event time, and which record is kept under which."""
    slow, fast = decoder(keys, shape, "lenient"), decoder(keys, shape)
    slow.keeps_rejected = fast.keeps_rejected = True
    span = (OffsetRange(Partition("t", 0), 40, 40 + len(batch) - 1),)
    records = TopicRecords("t", [0] * len(batch), batch, span)

    wanted, found = slow.decode(records, NOON), fast.decode(records, NOON)

    assert rows(found) == rows(wanted)
    assert found.facts == wanted.facts
    assert found.seen == wanted.seen
    assert found.rejected == wanted.rejected


@settings(max_examples=100, deadline=None)
@given(
    batch=st.lists(damaged(), min_size=1, max_size=8),
    keys=st.sampled_from([ONE, MANY]),
    shape=st.sampled_from(SHAPES),
)
@example(
    batch=[b'{"features": {"a": 1, "b": 2}, "ts": 1}', b'{"features": {"a": 1, "z": 2}}'], keys=ONE, shape=FieldMap()
)
def test_messages_that_are_said_to_hold_known_features_alone_do(
    batch: list[bytes], keys: list[SeriesKey], shape: FieldMap
) -> None:
    fast = decoder(keys, shape)
    read = fast.readers[0].read(TopicRecords("t", [0] * len(batch), batch), NOON, DecodeCounts())
    strangers = batch if read.strangers is None else [batch[at] for at in read.strangers(range(len(batch)))]

    for raw in batch:
        if raw in strangers or refusal(raw) is not None:
            continue
        document = Document(parse_leniently(raw))
        assert not any(series.unknown(document) for series in fast.series.values())


NUMBER = r"-?(0|[1-9][0-9]{0,24})([.][0-9]{1,24})?([eE][+-]?[0-9]{1,3})?"


@settings(max_examples=500, deadline=None)
@given(
    text=st.one_of(st.from_regex(NUMBER, fullmatch=True), st.floats(allow_nan=False, allow_infinity=False).map(repr))
)
def test_every_number_is_read_to_the_last_bit(text: str) -> None:
    raw = b'{"ts": %d, "model": "churn", "version": "3", "features": {"a": %s}}' % (TS, text.encode())

    decoded = decoder(ONE, FieldMap()).decode(TopicRecords("t", [0], [raw]), NOON)

    assert decoded.batches[0].numeric[0, 0] == float(text)
