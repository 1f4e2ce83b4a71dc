"""`format: json-schema`: JSON behind a registry's frame is what the same JSON is without."""

import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import numpy as np
import pytest

from detectors import Reference
from monitor.facts import EventsRejected, FieldsRejected
from monitor.sources.base import Headers, RecordParts, TopicRecords
from monitor.sources.decode.topic import Decoded, TopicDecoder
from monitor.sources.formats import json_schema
from monitor.sources.formats.fields import FieldMap, SeriesFields
from monitor.sources.formats.json import scanning
from monitor.sources.formats.json_schema import Options
from monitor.sources.formats.schema_registry import frames
from monitor.sources.formats.values import Rejected
from monitor.stream.events import SECOND, SeriesKey
from tests.fakes import NOON
from tests.parts.protobuf import registry_of

REFERENCE = Reference.fit({"age": [20.0, 30.0, 40.0], "plan": ["free", "pro", "pro"]})
FRAME = b"\0\0\0\0\x07"
GUID = UUID("0d0b4b7a-5ec1-4c3e-9d63-3f0e5f2f4a11")


@pytest.fixture(params=["compiled", "plain"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "compiled":
        request.getfixturevalue("compiled_parts")
    for module in (frames, scanning):
        monkeypatch.setattr(module, "COMPILED", request.param == "compiled")
    return str(request.param)


def decoder_of(
    form: str = "json-schema", *, options: Options | None = None, keys: Sequence[str] = ("3",)
) -> TopicDecoder:
    fields = FieldMap()
    series = [SeriesFields(SeriesKey("churn", version), REFERENCE.layout, fields) for version in keys]
    return TopicDecoder("t", series, fields, SECOND, form, options=options)


def event(age: Any = 41.5, plan: Any = "pro", version: str = "3") -> bytes:
    held = {"id": "r-1", "ts": NOON // 1_000_000, "model": "churn", "version": version}
    return json.dumps(held | {"features": {"age": age, "plan": plan}}).encode()


EVENTS = [
    event(),
    event(float("nan")),
    event(float("-inf"), None),
    event("1", [1]),
    event(plan="new"),
    event(version="4"),
]


def decoded(decoder: TopicDecoder, *values: bytes | None, headers: Sequence[Headers] = ()) -> Decoded:
    return decoder.decode(TopicRecords("t", [0] * len(values), list(values), headers=headers), NOON)


def rejected(found: Decoded) -> dict[str, int]:
    return {fact.reason: fact.count for fact in found.facts if isinstance(fact, EventsRejected)}


@pytest.mark.parametrize("keys", [("3",), ("3", "4")])
def test_behind_a_frame_is_what_json_is_without(keys: Sequence[str]) -> None:
    """Bare NaN and Infinity, which the registry's own writer writes, are fields that are not finite."""
    plain = decoded(decoder_of("json", keys=keys), *EVENTS)
    found = decoded(decoder_of(keys=keys), *(FRAME + each for each in EVENTS))

    assert found.facts == plain.facts
    assert FieldsRejected("t", "non_finite", 2) in found.facts
    for ours, theirs in zip(found.batches, plain.batches, strict=True):
        assert ours.key == theirs.key
        np.testing.assert_array_equal(ours.numeric, theirs.numeric)
        np.testing.assert_array_equal(ours.codes, theirs.codes)
        np.testing.assert_array_equal(ours.ids, theirs.ids)


def test_what_is_no_json_has_the_reason_that_json_gives_it() -> None:
    found = decoded(decoder_of(), FRAME + event(), None, FRAME, FRAME + b"[1]", FRAME + b"{", b"\0\0\0", event())

    assert rejected(found) == {"empty": 1, "not_object": 1, "malformed_json": 2}
    assert len(found.batches[0]) == 2  # without a registry, one without a frame is read, too


def test_what_was_read_ahead_is_not_read_again(way: str) -> None:
    decoder, values = decoder_of(), [FRAME + event(), FRAME + event(1.5)]
    prepared = decoder.prepare(values, NOON)
    if way == "plain":
        assert prepared is None
        return
    assert prepared is not None
    assert prepared.nbytes >= 2 * (8 + 8 + 4)

    found = decoder.decode(TopicRecords("t", [0, 0], values, prepared=prepared), NOON)

    assert found.batches[0].numeric[:, 0].tolist() == [41.5, 1.5]


def test_a_registry_says_whether_there_is_such_a_schema() -> None:
    answers = {
        "/schemas/ids/7": {"schema": "{}", "schemaType": "JSON"},
        "/schemas/ids/8": {"schema": '"string"'},
        f"/schemas/guids/{GUID}": {"schema": "{}", "schemaType": "JSON"},
    }
    with registry_of(answers) as url:
        decoder = decoder_of(options=Options.model_validate({"registry": {"url": url}}))
        named: Headers = [("__value_schema_id", b"\x01" + GUID.bytes)]
        values = [FRAME + event(), b"\0\0\0\0\x08" + event(), b"\0\0\0\0\x09" + event(), event(), event(2.0), None]
        found = decoded(decoder, *values, headers=[(), (), (), (), named, ()])
        with pytest.raises(Rejected, match="no_schema_id"):
            list(decoder.format.inspect(event()))

    assert decoder.wants is RecordParts.HEADERS
    assert rejected(found) == {"other_schema_type": 1, "unknown_schema": 1, "no_schema_id": 1}
    assert found.batches[0].numeric[:, 0].tolist() == [41.5, 2.0]


def test_frames_with_an_object_behind_them_are_recognised() -> None:
    def looks(*values: bytes) -> bool:
        return json_schema.recognises(TopicRecords("t", [0] * len(values), values))

    assert looks(FRAME + event(), FRAME + event())
    assert not looks(event())
    assert not looks(FRAME + event(), FRAME + b"\x06abc")
    assert not looks()


def test_indexes_of_frames_are_the_same_both_ways() -> None:
    values = [
        b"\0\0\0\0\1\0a",
        b"\0\0\0\0\1\2\2a",
        b"\0\0\0\0\1\4\0\0",
        b"\0\0\0\0\1\4\0",
        b"\0\0\0\0\1",
        b"\0\0\0\0\1\1",
        b"\0\0",
        b"",
        None,
        b"a",
    ]

    codes, found = frames.frames(values, indexed=True)

    assert codes.tolist() == [0, 1, 2, -2, -2, -2, -1, -1, -1, -1]
    assert found == [b"\0\0\0\0\1\0", b"\0\0\0\0\1\2\2", b"\0\0\0\0\1\4\0\0"]
    assert frames.frames([], indexed=True)[0].tolist() == []
    behind = frames.behind(values, np.array([5] * len(values)))
    assert behind[0] == b"\0a"
    assert behind[-2] is None
