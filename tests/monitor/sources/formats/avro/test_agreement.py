"""Laws of reading Avro: fastavro's bytes mean what fastavro says, and the compiled reader and the plain one agree on any."""

import io
import json
import math
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.sources.base import TopicRecords
from monitor.sources.decode.topic import Decoded, TopicDecoder
from monitor.sources.formats.avro import Options, compiled, scanning
from monitor.sources.formats.avro.compiled import CompiledDatumReader
from monitor.sources.formats.avro.datum import DatumReader
from monitor.sources.formats.avro.schema import canonical_form, fingerprint, parse
from monitor.sources.formats.fields import FieldMap, SeriesFields
from monitor.sources.formats.values import Rejected
from monitor.stream.events import SECOND, SeriesKey
from tests.fakes import NOON
from tests.monitor.sources.formats.avro.drawn import Drawn, damaged
from tests.parts.registry import Registry
from tests.properties.test_decode import MANY, ONE, REFERENCE, SHAPES, facts, rows

fastavro: Any = pytest.importorskip("fastavro")


def decoder(keys: Sequence[SeriesKey], fields: FieldMap, path: Path, *, plain: bool) -> TopicDecoder:
    return made(keys, fields, Options(schema_file=path), plain=plain)


def made(keys: Sequence[SeriesKey], fields: FieldMap, options: Options, *, plain: bool) -> TopicDecoder:
    series = [SeriesFields(key, REFERENCE.layout, fields) for key in keys]
    found = TopicDecoder("t", series, fields, 600 * SECOND, "avro", options=options)
    if plain:
        found.readers[:-1] = []
    return found


@pytest.mark.usefixtures("compiled_parts")
@settings(max_examples=150)
@given(seed=st.integers(0, 2**32), keys=st.sampled_from([ONE, MANY]), shape=st.sampled_from(SHAPES))
def test_the_compiled_reader_and_the_plain_one_agree(
    tmp_path_factory: pytest.TempPathFactory, seed: int, keys: list[SeriesKey], shape: FieldMap
) -> None:
    drawn, random = Drawn(seed), Random(seed)
    path = tmp_path_factory.mktemp("avro") / "event.avsc"
    path.write_text(drawn.text)
    quick, slow = (decoder(keys, shape, path, plain=plain) for plain in (False, True))
    assert isinstance(quick.readers[0], scanning.AvroScanner)

    events = [drawn.encoded() for _ in range(12)]
    values = [damaged(random, raw) if random.random() < 0.3 else raw for raw in events] + [b"", None]
    records = TopicRecords("t", [0] * len(values), values)
    fast, plain = quick.decode(records, NOON), decoded_plainly(slow, records)

    assert rows(fast) == rows(plain)
    assert facts(fast) == facts(plain)
    assert fast.seen == plain.seen


def decoded_plainly(decoder: TopicDecoder, records: TopicRecords) -> Decoded:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "COMPILED", False)
        return decoder.decode(records, NOON)


def outcome(reader: CompiledDatumReader | DatumReader, raw: bytes) -> str:
    try:
        return repr(reader.read(raw, 2))
    except Rejected as reason:
        return str(reason)


@pytest.mark.usefixtures("compiled_parts")
@settings(max_examples=100)
@given(seed=st.integers(0, 2**32))
def test_a_message_holds_the_same_whoever_reads_it(seed: int) -> None:
    """The names, the order, the types and the last bit."""
    drawn, random = Drawn(seed), Random(seed)
    readers = CompiledDatumReader(parse(drawn.text)), DatumReader(parse(drawn.text))

    for _ in range(12):
        raw = b"\1\2" + drawn.encoded()
        for each in (raw, damaged(random, raw) + b"\0\0"):
            quick, plain = (outcome(reader, each) for reader in readers)
            assert quick == plain


EMPTY_LISTS = {
    "type": "record",
    "name": "Event",
    "fields": [
        {
            "name": "points",
            "type": {
                "type": "array",
                "items": {
                    "type": "record",
                    "name": "Point",
                    "fields": [{"name": "tags", "type": {"type": "array", "items": "string"}}],
                },
            },
        }
    ],
}


@pytest.mark.usefixtures("compiled_parts")
@pytest.mark.parametrize("reader", [CompiledDatumReader, DatumReader])
def test_what_takes_few_bytes_is_read_and_what_takes_none_is_bounded(
    reader: type[CompiledDatumReader | DatumReader],
) -> None:
    """Three things inside of each other take a byte each here; of things that take none there could be any number."""
    stream = io.BytesIO()
    event = {"points": [{"tags": []}] * 50_000}
    fastavro.schemaless_writer(stream, fastavro.parse_schema(EMPTY_LISTS), event)
    nothing = '{"type": "record", "name": "E", "fields": [{"name": "a", "type": {"type": "array", "items": "null"}}]}'

    assert reader(parse(json.dumps(EMPTY_LISTS))).read(stream.getvalue()) == event
    assert reader(parse(nothing)).read(b"\x90\x4e\0") == {"a": [None] * 5_000}
    with pytest.raises(Rejected, match="malformed_avro"):
        reader(parse(nothing)).read(b"\xfe\xff\xff\xff\xff\xff\xff\xff\x7f\0")


@pytest.mark.usefixtures("compiled_parts")
@settings(max_examples=40)
@given(seed=st.integers(0, 2**32), keys=st.sampled_from([ONE, MANY]))
def test_both_agree_on_what_several_schemas_wrote(seed: int, keys: list[SeriesKey]) -> None:
    writers, random = [Drawn(seed + at) for at in range(3)], Random(seed)
    with Registry() as registry:
        for number, drawn in enumerate(writers[:2]):
            registry.add(number, drawn.text)
        options = Options.model_validate({"registry": {"url": registry.url}})
        quick, slow = (made(keys, FieldMap(), options, plain=plain) for plain in (False, True))
        drawn_by = [random.randrange(3) for _ in range(20)]
        values = [b"\x00" + number.to_bytes(4, "big") + writers[number].encoded() for number in drawn_by]
        records = TopicRecords("t", [0] * 22, [*values, b"{}", None])
        fast, plain = quick.decode(records, NOON), decoded_plainly(slow, records)

    assert rows(fast) == rows(plain)
    assert facts(fast) == facts(plain)
    assert fast.seen == plain.seen


@settings(max_examples=150)
@given(seed=st.integers(0, 2**32))
def test_fastavro_s_bytes_mean_what_fastavro_says(seed: int) -> None:
    drawn = Drawn(seed)
    value = drawn.value(drawn.schema)
    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, drawn.parsed, value)
    said = fastavro.schemaless_reader(io.BytesIO(stream.getvalue()), drawn.parsed, None)

    assert as_read(said) == same_nan(DatumReader(parse(drawn.text)).read(stream.getvalue()))


@given(seed=st.integers(0, 2**32))
def test_a_schema_has_the_fingerprint_that_fastavro_finds(seed: int) -> None:
    drawn = Drawn(seed)
    form = fastavro.schema.to_parsing_canonical_form(drawn.schema)

    assert canonical_form(drawn.text) == form
    assert fingerprint(drawn.text).hex() == fastavro.schema.fingerprint(form, "CRC-64-AVRO")


def as_read(value: Any) -> Any:  # noqa: PLR0911 - one a kind
    """A value of fastavro's as we have it: times and texts of JSON, decimals as the nearest float."""
    if isinstance(value, dict):
        return {name: as_read(each) for name, each in value.items()}
    if isinstance(value, list):
        return [as_read(each) for each in value]
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, Decimal):
        return int(value) if value.as_tuple().exponent == 0 else float(value)
    if isinstance(value, float) and math.isnan(value):
        return "nan"
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if hasattr(value, "hour"):
        text: str = value.isoformat(timespec="microseconds")
        return text if not hasattr(value, "year") else text.removesuffix("+00:00") + "Z"
    return str(value)


def same_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: same_nan(each) for name, each in value.items()}
    if isinstance(value, list):
        return [same_nan(each) for each in value]
    return "nan" if isinstance(value, float) and math.isnan(value) else value
