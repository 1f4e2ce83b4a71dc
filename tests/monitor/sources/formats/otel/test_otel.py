"""Traces, by OpenTelemetry's own Protobuf and in both ways that they are written as JSON: one row, value by value."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from google.protobuf.json_format import MessageToJson
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList

from detectors import Reference
from monitor.facts import EventsCounted, EventsRejected
from monitor.sources.base import TopicRecords
from monitor.sources.decode.topic import TopicDecoder
from monitor.sources.formats.fields import FieldMap, SeriesFields, TopicFields
from monitor.sources.formats.otel import Options, OtelDecoder, recognises
from monitor.sources.formats.registry import recognised
from monitor.sources.formats.values import Rejected
from monitor.stream.events import SECOND, SeriesKey
from tests.fakes import NOON

TRACE, SPAN = bytes(range(16)), bytes(range(8, 16))
ID = f"{TRACE.hex()}/{SPAN.hex()}"
GENAI = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "some.provider",
    "gen_ai.request.model": "small-1",
    "gen_ai.response.model": "small-1-2026",
    "gen_ai.request.temperature": 0.2,
    "gen_ai.usage.input_tokens": 120,
    "gen_ai.usage.output_tokens": 33,
    "gen_ai.usage.cache_read.input_tokens": 100,
    "gen_ai.usage.reasoning.output_tokens": 7,
    "gen_ai.response.finish_reasons": ["stop"],
    "gen_ai.input.messages": "what was asked",
    "streamed": True,
    "offset": -5,
}
OPENINFERENCE = {
    "openinference.span.kind": "LLM",
    "llm.model_name": "other-2",
    "llm.token_count.prompt": 10,
    "llm.token_count.completion": 20,
    "llm.token_count.total": 30,
    "input.value": "what was asked",
    "llm.input_messages.0.message.content": "what was asked",
    "note": "x" * 257,
}
TS = "2026-11-23T11:59:00.123456+00:00"
STARTED = 1_795_435_140_123_456_789


def any_value(value: Any) -> AnyValue:
    if isinstance(value, list):
        return AnyValue(array_value=ArrayValue(values=[any_value(each) for each in value]))
    if isinstance(value, dict):
        return AnyValue(kvlist_value=KeyValueList(values=pairs(value)))
    kinds = {bool: "bool_value", int: "int_value", float: "double_value", str: "string_value", bytes: "bytes_value"}
    return AnyValue(**{kinds[type(value)]: value})


def pairs(attributes: dict[str, Any]) -> list[KeyValue]:
    return [KeyValue(key=name, value=any_value(value)) for name, value in attributes.items()]


def request(*spans: dict[str, Any], **resource: Any) -> ExportTraceServiceRequest:
    """Spans as their attributes; what begins with `_` is the span's own."""
    made = ExportTraceServiceRequest()
    group = made.resource_spans.add()
    group.resource.attributes.extend(pairs({"service.name": "bot", "service.version": "7", **resource}))
    scope = group.scope_spans.add()
    scope.scope.name = "instrumentation"
    for each in spans:
        own = {name: value for name, value in each.items() if name.startswith("_")}
        span = scope.spans.add(
            trace_id=own.get("_trace", TRACE),
            span_id=own.get("_span", SPAN),
            parent_span_id=SPAN,
            name="chat",
            kind=3,
            start_time_unix_nano=own.get("_start", STARTED),
            end_time_unix_nano=own.get("_end", STARTED + 1_500_000_000),
            attributes=pairs({name: value for name, value in each.items() if not name.startswith("_")}),
            flags=257,
        )
        if "_status" in own:
            span.status.code = own["_status"]
            span.status.message = "broken"
        for event in own.get("_events", ()):
            span.events.add(time_unix_nano=STARTED, name="gen_ai.evaluation.result", attributes=pairs(event))
        span.links.add(trace_id=TRACE, span_id=SPAN)
    return made


def collectors_json(made: ExportTraceServiceRequest) -> bytes:
    """As the collector's otlp_json has it: ids in hex, enums as numbers (`sample.json` below is its own)."""
    held = json.loads(MessageToJson(made, use_integers_for_enums=True))
    for group in held["resourceSpans"]:
        for scope in group["scopeSpans"]:
            for span in scope["spans"]:
                span |= {"traceId": TRACE.hex().upper(), "spanId": SPAN.hex()}
    return json.dumps(held).encode()


WAYS: dict[str, Callable[[ExportTraceServiceRequest], bytes]] = {
    "otlp_proto": ExportTraceServiceRequest.SerializeToString,
    "otlp_json": collectors_json,
    "protobuf-to-JSON": lambda made: MessageToJson(made).encode(),
    "protobuf-to-JSON, its own names": lambda made: MessageToJson(made, preserving_proto_field_name=True).encode(),
}


@pytest.fixture(params=list(WAYS))
def write(request: pytest.FixtureRequest) -> Callable[[ExportTraceServiceRequest], bytes]:
    return WAYS[request.param]


def decoder(**options: Any) -> OtelDecoder:
    return OtelDecoder(TopicFields([], FieldMap(), options=Options(**options)))


def rows(raw: bytes, **options: Any) -> list[dict[str, Any]]:
    return decoder(**options)._rows(raw)[0]


def test_a_span_is_a_row(write: Any) -> None:
    [row] = rows(write(request(GENAI)))

    content = {"gen_ai.input.messages", "gen_ai.response.finish_reasons"}
    assert row == {
        "id": ID,
        "trace": TRACE.hex(),
        "ts": TS,
        "model": "small-1",
        "version": None,
        "latency": 1.5,
        "error": False,
        "features": {name: value for name, value in GENAI.items() if name not in content}
        | {"gen_ai.response.finish_reasons": "stop", "latency": 1.5},
    }


def test_openinference_has_other_names_and_what_was_said_is_no_feature(write: Any) -> None:
    [row] = rows(write(request(OPENINFERENCE)))

    assert row["model"] == "other-2"
    assert row["features"] == {
        "openinference.span.kind": "LLM",
        "llm.model_name": "other-2",
        "llm.token_count.prompt": 10,
        "llm.token_count.completion": 20,
        "llm.token_count.total": 30,
        "latency": 1.5,
    }


@pytest.mark.parametrize(
    ("span", "error"),
    [
        ({}, False),
        ({"_status": 0}, False),
        ({"_status": 1}, False),
        ({"_status": 2}, True),
        ({"_status": 2, "error.type": "timeout"}, "timeout"),
        ({"error.type": "500"}, "500"),
    ],
)
def test_an_error_is_of_the_status_or_of_its_kind(write: Any, span: dict[str, Any], error: Any) -> None:
    [row] = rows(write(request(GENAI | span)))

    assert row["error"] == error


def test_evaluations_are_features_by_their_names(write: Any) -> None:
    events = [
        {"gen_ai.evaluation.name": "Relevance", "gen_ai.evaluation.score.value": 0.75},
        {
            "gen_ai.evaluation.name": "Tone",
            "gen_ai.evaluation.score.label": "kind",
            "gen_ai.evaluation.explanation": "…",
        },
        {"gen_ai.evaluation.score.value": 1.0},
    ]
    own = {"gen_ai.evaluation.name": "Own", "gen_ai.evaluation.score.value": 2}

    [row] = rows(write(request({"gen_ai.request.model": "m", "_events": events, **own})))

    assert row["features"] == {
        "latency": 1.5,
        "gen_ai.request.model": "m",
        **own,
        "gen_ai.evaluation.Relevance.score": 0.75,
        "gen_ai.evaluation.Tone.label": "kind",
        "gen_ai.evaluation.Own.score": 2,
    }


def test_the_model_and_the_version_are_those_that_are_named(write: Any) -> None:
    raw = write(request(GENAI, {"llm.model_name": "m", "gen_ai.response.model": ""}))

    assert [row["model"] for row in rows(raw)] == ["small-1", "m"]
    assert [row["model"] for row in rows(raw, model=["gen_ai.response.model", "service.name"])] == [
        "small-1-2026",
        "bot",
    ]
    assert [row["version"] for row in rows(raw, version=["nothing", "service.version"])] == ["7", "7"]


def test_values_of_every_kind(write: Any) -> None:
    held = {
        "list": ["a", "b"],
        "numbers": [1, 2],
        "one": [0.5],
        "none": [],
        "object": {"a": 1},
        "bytes": b"ab",
        "nested": [["a"], "b", "c"],
        "big": 2**63 - 1,
        "small": -(2**63),
        "nan": float("nan"),
        "inf": float("inf"),
        "empty": "",
    }

    [row] = rows(write(request({"gen_ai.request.model": "m", **held})))

    features = row["features"]
    assert np.isnan(features.pop("nan"))
    assert features == {
        "latency": 1.5,
        "gen_ai.request.model": "m",
        "list": "a,b",
        "numbers": "1,2",
        "one": 0.5,
        "nested": "b,c",
        "big": 2**63 - 1,
        "small": -(2**63),
        "inf": np.inf,
        "empty": "",
    }


def test_other_spans_are_skipped_and_broken_ones_rejected_alone(write: Any) -> None:
    made = request({"http.method": "GET"}, GENAI, {"db.system": "x"}, GENAI | {"_start": 0}, GENAI | {"_end": 0})

    held = decoder().decode([write(made), write(request({"http.method": "GET"})), None])

    assert len(held) == 2
    assert held.messages.tolist() == [0, 0]
    assert held.rejected == {"skipped": 3, "span_invalid": 1, "tombstone": 1}
    assert held.column(("latency",)).tolist() == [1.5, None]


def test_only_some_operations_are_read(write: Any) -> None:
    made = request(GENAI, GENAI | {"gen_ai.operation.name": "execute_tool"}, OPENINFERENCE)

    assert [row["model"] for row in rows(write(made), operations=["chat", "LLM"])] == ["small-1", "other-2"]


@pytest.mark.parametrize("bad", [b"", bytes(15), bytes(16)])
def test_a_span_without_a_valid_id_is_rejected(bad: bytes) -> None:
    """All zeros are no id, says the specification."""
    for name in ("proto", "JSON"):
        made = request(GENAI | {"_trace": bad})
        raw = made.SerializeToString() if name == "proto" else MessageToJson(made).encode()

        assert decoder().decode([raw]).rejected == {"span_invalid": 1}


SAMPLE = b"""{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"my.service"}}]},
"scopeSpans":[{"scope":{"name":"my.library","version":"1.0.0"},"spans":[{"traceId":"5B8EFFF798038103D269B633813FC60C",
"spanId":"EEE19B7EC3C1B174","parentSpanId":"EEE19B7EC3C1B173","name":"chat","startTimeUnixNano":"1544712660000000000",
"endTimeUnixNano":"1544712661000000000","kind":2,"attributes":[{"key":"gen_ai.request.model","value":{"stringValue":"m"}},
{"key":"gen_ai.usage.input_tokens","value":{"intValue":"120"}}],"status":{}}]}]}]}"""


def test_the_example_of_the_specification_is_read() -> None:
    [row] = rows(SAMPLE)

    assert row["id"] == "5b8efff798038103d269b633813fc60c/eee19b7ec3c1b174"
    assert (row["ts"], row["latency"]) == ("2018-12-13T14:51:00+00:00", 1.0)
    assert row["features"]["gen_ai.usage.input_tokens"] == 120


def logs() -> ExportLogsServiceRequest:
    made = ExportLogsServiceRequest()
    made.resource_logs.add().scope_logs.add().log_records.add(
        time_unix_nano=STARTED, observed_time_unix_nano=STARTED, attributes=pairs(GENAI), trace_id=TRACE
    )
    return made


def metrics() -> ExportMetricsServiceRequest:
    made = ExportMetricsServiceRequest()
    metric = (
        made.resource_metrics.add().scope_metrics.add().metrics.add(name="gen_ai.client.token.usage", unit="{token}")
    )
    metric.gauge.data_points.add(time_unix_nano=STARTED, as_double=1.5)
    return made


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (logs().SerializeToString(), "signal_logs"),
        (MessageToJson(logs()).encode(), "signal_logs"),
        (metrics().SerializeToString(), "signal_metrics"),
        (MessageToJson(metrics()).encode(), "signal_metrics"),
        (b'{"resourceProfiles": []}', "signal_profiles"),
        (b'{"id": 1, "features": {}}', "not_otlp_traces"),
        (b"[]", "malformed_otlp"),
        (b"some text", "malformed_otlp"),
        (b"\n\x05abc", "malformed_otlp"),
        (b"\n\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "malformed_otlp"),
        (b"\n\xff\xff\xff\x7f", "malformed_otlp"),
        (b'\n{"resourceSpans": [', "malformed_otlp"),
        (b"{", "malformed_json"),
        (b"", "empty"),
        (b"\n\x02\x12\x01" + b"x" * (1 << 20), "too_large"),
        (b'{"resourceSpans": ' + b"[" * 40 + b"]" * 40 + b"}", "too_deep"),
        (b"\x00\x00\x00\x00\x01\n", "schema_registry_framed"),
        (b'{"resourceSpans": [{"scopeSpans": [{"spans": [5]}]}]}', "span_invalid"),
        (b'{"resourceSpans": 5}', "skipped"),
        (request().SerializeToString(), "skipped"),
    ],
)
def test_what_is_no_request_of_traces_has_one_reason(raw: bytes, reason: str) -> None:
    assert decoder().decode([raw]).rejected == {reason: 1}
    with pytest.raises(Rejected, match=reason):
        list(decoder().inspect(raw))


def test_json_may_begin_with_the_byte_that_protobuf_begins_with() -> None:
    assert len(rows(b"\n" + SAMPLE)) == 1


def test_protobuf_may_begin_with_the_bytes_that_json_begins_with() -> None:
    """A first part of 123 bytes: a line's end, and a brace."""
    raw = b""
    for width in range(200):
        made = request({"gen_ai.x": "y" * width})
        made.resource_spans[0].ClearField("resource")
        del made.resource_spans[0].scope_spans[0].spans[0].links[:]
        raw = made.SerializeToString()
        if raw[1] == ord("{"):
            break

    assert raw[:2] == b"\n{"
    assert len(rows(raw)) == 1


def test_a_truncated_request_is_rejected_wherever_it_is_cut() -> None:
    raw = request(GENAI).SerializeToString()

    held = decoder().decode([raw[:end] for end in range(1, len(raw))])

    assert held.rejected == {"malformed_otlp": len(raw) - 1}


def test_what_is_unknown_in_the_wire_format_is_passed_over() -> None:
    raw = request(GENAI).SerializeToString()

    assert rows(raw + b"\xc0\x3e\x07\xca\x3e\x02ab\xd1\x3e12345678\xd5\x3e1234") == rows(raw)


def test_rows_reach_the_series_by_the_default_mapping() -> None:
    reference = Reference.fit(
        {
            "gen_ai.usage.input_tokens": [1.0, 2.0, 300.0],
            "latency": [0.1, 0.2, 0.3],
            "gen_ai.response.finish_reasons": ["stop", "stop", "length"],
        }
    )
    fields = FieldMap(latency=("latency",), error=("error",))
    series = SeriesFields(SeriesKey("small-1", "*"), reference.layout, fields, served=True)
    held = TopicDecoder("t", [series], fields, 10**9 * SECOND, "otel")
    spans = request(
        GENAI, {"http.method": "GET"}, GENAI | {"_status": 2, "gen_ai.usage.input_tokens": 7}, OPENINFERENCE
    )

    decoded = held.decode(TopicRecords("t", [0], [spans.SerializeToString()]), NOON)

    [batch] = decoded.batches
    assert dict(zip(reference.layout.names, batch.numeric.T.tolist(), strict=False)) == {
        "gen_ai.usage.input_tokens": [120, 7],
        "latency": [1.5, 1.5],
    }
    assert batch.codes[:, 0].tolist() == [0, 0]
    assert batch.event_times.tolist() == [STARTED - 789] * 2
    counted = {fact.outcome: fact.count for fact in decoded.facts if isinstance(fact, EventsCounted)}
    assert counted == {"unmonitored": 1, "skipped": 1}
    assert not [fact for fact in decoded.facts if isinstance(fact, EventsRejected)]


def test_records_are_recognised(write: Any) -> None:
    def records(*values: bytes) -> TopicRecords:
        return TopicRecords("t", [0] * len(values), values)

    held = write(request(GENAI)), write(request({"http.method": "GET"}))
    assert recognises(records(*held))
    assert "otel" in recognised(records(*held))
    for other in (b'{"id": 1}', b"[]", b"\n", b"", logs().SerializeToString(), metrics().SerializeToString()):
        assert not recognises(records(other))
        assert not recognises(records(*held, other or b"x"))


texts = st.text(max_size=5)
scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), texts)
json_like = st.recursive(
    scalars, lambda held: st.lists(held, max_size=3) | st.dictionaries(texts, held, max_size=3), max_leaves=8
)
KEYS = ("stringValue", "intValue", "doubleValue", "boolValue", "arrayValue", "bytesValue", "kvlistValue", "values")
shaped = st.recursive(
    json_like,
    lambda held: st.dictionaries(st.sampled_from(KEYS), held, max_size=2) | st.lists(held, max_size=2),
    max_leaves=4,
)
spans = st.fixed_dictionaries(
    {},
    optional={
        "traceId": st.just(TRACE.hex()) | shaped,
        "spanId": st.just(SPAN.hex()) | shaped,
        "startTimeUnixNano": st.just(str(STARTED)) | shaped,
        "endTimeUnixNano": shaped,
        "status": st.dictionaries(st.just("code"), shaped) | shaped,
        "attributes": st.lists(
            st.fixed_dictionaries({"key": st.just("gen_ai.request.model") | shaped, "value": shaped}), max_size=4
        )
        | shaped,
        "events": st.lists(st.fixed_dictionaries({"name": st.just("gen_ai.evaluation.result"), "attributes": shaped}))
        | shaped,
    },
)


@settings(max_examples=300)
@given(span=spans | shaped, resource=shaped)
def test_no_json_raises(span: Any, resource: Any) -> None:
    held = {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": [span]}]}]}
    raw = json.dumps(held).encode()

    found = decoder().decode([raw])

    assert len(found) + sum(found.rejected.values()) == 1
    for path in (("ts",), ("id",), ("model",), ("features", "gen_ai.request.model")):
        found.column(path)


@settings(max_examples=300)
@given(raw=st.binary(max_size=60), cut=st.integers(0, 200), flip=st.integers(0, 255))
def test_no_bytes_raise(raw: bytes, cut: int, flip: int) -> None:
    good = bytearray(request(GENAI).SerializeToString())
    good[cut % len(good)] = flip
    mixed = bytes(good[:cut]) + raw + bytes(good[cut:])

    for each in (raw, b"\n" + raw, bytes(good), mixed):
        found = decoder().decode([each])
        assert len(found) or found.rejected
