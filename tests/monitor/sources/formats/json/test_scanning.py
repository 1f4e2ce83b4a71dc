"""The compiled part: when it reads, what it leaves to Python, and that no bytes can do harm."""

import random
import subprocess
from pathlib import Path

import pytest

from detectors import Reference
from monitor.sources.base import TopicRecords
from monitor.sources.decode.topic import TopicDecoder
from monitor.sources.formats.base import DecodeCounts
from monitor.sources.formats.fields import FieldMap, SeriesFields
from monitor.sources.formats.json import scanning
from monitor.stream.events import SECOND, SeriesKey
from tests.fakes import NOON
from tests.hostile import CHURN, CLASSES
from tests.hostile import REFERENCE as HOSTILE

pytestmark = pytest.mark.usefixtures("compiled_parts")

FUZZ = Path(__file__).parents[4] / "native" / "fuzz_reader.cpp"
SANITIZED = (
    "-std=c++17",
    "-O1",
    "-g1",
    "-Wall",
    "-Wextra",
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=all",
)
REFERENCE = Reference.fit({"age": [20.0, 30.0, 40.0], "plan": ["free", "pro", "pro"]})
TS = NOON // 1_000_000


def make_decoder(*keys: SeriesKey, reference: Reference = REFERENCE, fields: FieldMap | None = None) -> TopicDecoder:
    fields = fields or FieldMap()
    return TopicDecoder("t", [SeriesFields(key, reference.layout, fields) for key in keys], fields, SECOND)


def event(model: str = "churn", version: str = '"3"', features: str = '{"age": 1.5, "plan": "pro"}') -> bytes:
    return f'{{"ts": {TS}, "model": "{model}", "version": {version}, "features": {features}}}'.encode()


def left(decoder: TopicDecoder, *messages: bytes) -> list[bytes | None]:
    """The messages that the compiled part leaves."""
    records = TopicRecords("t", [0] * len(messages), list(messages))
    left = decoder.readers[0].read(records, NOON + SECOND, DecodeCounts()).left
    return [records.values[at] for at in left]


EASY = {
    "plain": event(),
    "of another model": event("fraud"),
    "of another version": event(version='"4"'),
    "version a number": event(version="3"),
    "features absent": event(features="{}"),
    "features unknown": event(features='{"age": 1, "more": {"a": [1, 2, null]}}'),
    "values of the wrong type": event(features='{"age": "1", "plan": [1]}'),
    "NaN": event(features='{"age": NaN, "plan": -Infinity}'),
    "escapes": event(features=r'{"plan": "Z\u00fcrich \ud83e\udd86"}'),
    "a time as text": event().replace(str(TS).encode(), b'"2026-11-23T12:00:00.5+00:00"'),
    "a time with a fraction": event().replace(str(TS).encode(), str(TS).encode() + b".25"),
    "a time as people write it": event().replace(str(TS).encode(), b'"2026-11-23 12:00:00.123456+0000"'),
    "a byte order mark": b"\xef\xbb\xbf" + event(),
    "a category of 20 digits": event(features='{"plan": 12345678901234567890}'),
    "a category close to 0": event(features='{"plan": 1e-7}'),
    "a category as number": event(features='{"plan": 2.50}'),
    "17 digits": event(features='{"age": 0.12345678901234567}'),
    "beyond a float": event(features='{"age": 1e999}'),
    "beyond a float, of many digits": event(features='{"age": -' + "9" * 5000 + "}"),
    "cut off": event()[:-1],
    "too old": event().replace(str(TS).encode(), b"1"),
}
HARD = {
    "a key said twice": event(features='{"age": 1, "age": 2}'),
    "a category beyond a float": event(features='{"plan": 1e999}'),
    "a lone surrogate": event(features=r'{"plan": "\ud800"}'),
    "a leap second": event().replace(str(TS).encode(), b'"2026-11-22T23:59:60Z"'),
}
SAID_TWICE = "counts: a key said twice"  # the one class of `tests/hostile.py` that Python decides


@pytest.mark.parametrize("name", EASY)
@pytest.mark.parametrize("keys", [[SeriesKey("churn", "3")], [SeriesKey("churn", "3"), SeriesKey("other", "*")]])
def test_ordinary_messages_never_reach_the_python_decoder(name: str, keys: list[SeriesKey]) -> None:
    assert left(make_decoder(*keys), event(), EASY[name], event()) == []


@pytest.mark.parametrize("name", HARD)
def test_doubtful_messages_are_left_to_the_python_decoder(name: str) -> None:
    assert left(make_decoder(SeriesKey("churn", "3")), event(), HARD[name], event()) == [HARD[name]]


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("alone", [True, False])
def test_bad_messages_of_every_class_are_decided_without_python(name: str, *, alone: bool) -> None:
    """A flood of them costs what good ones cost."""
    keys = [CHURN] if alone else [CHURN, SeriesKey("other", "*")]
    decoder = make_decoder(*keys, reference=HOSTILE)
    message = CLASSES[name].write(1)

    assert left(decoder, message) == ([message] if name == SAID_TWICE else [])


def test_a_number_of_a_million_digits_is_small_where_its_exponent_says_so() -> None:
    decoder = make_decoder(SeriesKey("churn", "3"))
    message = event(features='{"age": 1' + "0" * 1_040_000 + "e-2000000}")

    [batch] = decoder.decode(TopicRecords("t", [0], [message]), NOON).batches

    assert batch.numeric.tolist() == [[0.0]]


def test_what_was_of_the_future_when_it_was_read_ahead_is_decided_when_its_turn_comes() -> None:
    decoder, counts = make_decoder(SeriesKey("churn", "3")), DecodeCounts()
    messages = [event(), event().replace(str(TS).encode(), str(TS + 5000).encode())]
    prepared = decoder.prepare(messages, NOON)
    records = TopicRecords("t", [0, 0], messages, prepared=prepared)

    early = decoder.readers[0].read(records, NOON + SECOND, counts)
    late = decoder.readers[0].read(records, NOON + 5 * SECOND, DecodeCounts())

    assert (list(early.left), dict(counts.rejected)) == ([], {"timestamp_in_future": 1})
    assert list(late.left) == [1]


def test_where_reasons_are_noted_the_places_of_their_messages_are() -> None:
    decoder, counts = make_decoder(SeriesKey("churn", "3")), DecodeCounts()
    messages = [event(), b"[]", event(), b"{", b"[]"]

    decoder.readers[0].read(TopicRecords("t", [0] * 5, messages), NOON + SECOND, counts)

    assert {reason: places.tolist() for reason, places in counts.noted} == {"not_object": [1, 4], "malformed_json": [3]}


def test_messages_that_hold_known_features_alone_are_not_looked_through_for_others() -> None:
    decoder = make_decoder(SeriesKey("churn", "3"))
    messages = [event(), event(features='{"age": 1, "more": 2}'), b"[]", event(features='{"plan": {"more": 1}}'), b""]

    read = decoder.readers[0].read(TopicRecords("t", [0] * 5, messages), NOON + SECOND, DecodeCounts())

    assert read.strange
    assert read.strangers is not None
    assert list(read.strangers(range(5))) == [1, 2, 4]


def test_an_event_goes_to_the_series_of_its_version() -> None:
    decoder = make_decoder(SeriesKey("churn", "3"), SeriesKey("churn", "*"), SeriesKey("fraud", "1"))
    versions = ['"3"', '"4"', "3", "null", "3.0"]
    messages = [event(version=version) for version in versions] + [event("fraud", "1"), event("fraud", "2")]

    decoded = decoder.decode(TopicRecords("t", [0] * len(messages), messages), NOON)

    rows = {batch.key: len(batch) for batch in decoded.batches}
    assert rows == {SeriesKey("churn", "3"): 3, SeriesKey("churn", "*"): 2, SeriesKey("fraud", "1"): 1}


def test_what_was_read_ahead_is_not_read_again() -> None:
    decoder, messages = make_decoder(SeriesKey("churn", "3")), [event(), event(features="{}")]
    prepared = decoder.prepare(messages, NOON)
    assert isinstance(prepared, scanning.Scan)

    records = TopicRecords("t", [0, 0], messages, prepared=prepared)
    read = decoder.readers[0].read(records, prepared.latest, DecodeCounts())

    assert read.rows is prepared.rows
    assert prepared.nbytes >= 2 * (8 + 8 + 4)  # a time, a number and a code each


def test_without_a_shape_or_without_the_compiled_part_python_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    twice = FieldMap(features=(), version=("age",))  # two things at one path
    unwritable = Reference.fit({"plan": ["free", "\ud800", "pro"]})

    def scans(decoder: TopicDecoder) -> bool:
        return isinstance(decoder.readers[0], scanning.TopicScanner)

    assert not scans(make_decoder(SeriesKey("churn", "3"), fields=twice))
    assert not scans(make_decoder(SeriesKey("churn", "3"), reference=unwritable))
    assert scans(make_decoder(SeriesKey("churn", "3")))
    monkeypatch.setattr(scanning, "COMPILED", False)
    assert not scans(make_decoder(SeriesKey("churn", "3")))


@pytest.mark.timeout(600)
def test_damaged_messages_do_no_harm_under_the_sanitizers(tmp_path: Path) -> None:
    """And what is read of them is the same where bytes are looked at one by one."""
    seed = random.getrandbits(32)
    print(f"seed {seed}")

    def fuzzed(name: str, *flags: str) -> str:
        program = tmp_path / name
        subprocess.run(["c++", *SANITIZED, *flags, str(FUZZ), "-o", str(program)], check=True, timeout=240)
        done = subprocess.run([program, str(seed), "150000"], capture_output=True, text=True, timeout=240, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert fuzzed("wide") == fuzzed("scalar", "-DDRIFTD_SCALAR")
