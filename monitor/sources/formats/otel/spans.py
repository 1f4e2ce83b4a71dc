"""Spans as OTLP's JSON has them, to rows: OpenTelemetry's GenAI conventions and OpenInference's."""

import math
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from monitor.sources.formats.base import SKIPPED
from monitor.sources.formats.values import Rejected

MODEL_NAMES = ("gen_ai.request.model", "gen_ai.response.model", "llm.model_name")
OURS = ("gen_ai.", "llm.", "openinference.")
OPERATIONS = ("gen_ai.operation.name", "openinference.span.kind")
CONTENT = (  # what people and models said: no features
    "gen_ai.prompt",
    "gen_ai.completion",
    "gen_ai.input.messages",
    "gen_ai.output.messages",
    "gen_ai.system_instructions",
    "gen_ai.tool.definitions",
    "gen_ai.tool.call.",
    "input.value",
    "output.value",
    "llm.input_messages",
    "llm.output_messages",
    "llm.prompts",
    "llm.invocation_parameters",
)
EVALUATION = "gen_ai.evaluation."
LONGEST_TEXT = 256  # characters; what is longer is content
MOST_ATTRIBUTES = 1000  # of a span
MOST_EVENTS = 128
LONGEST_INTEGER = 20  # digits
ERROR_CODES = {2, "2", "STATUS_CODE_ERROR"}
SIGNALS = {"resourceLogs": "signal_logs", "resourceMetrics": "signal_metrics", "resourceProfiles": "signal_profiles"}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Attributes = dict[str, Any]


@dataclass(frozen=True, slots=True)
class SpanRow:
    """A span, and the attributes of what it ran in."""

    span: Any
    resource: Attributes = field(default_factory=dict)


def spans_of(request: dict[str, Any]) -> Iterator[SpanRow]:
    """All spans of a request, whatever they are. Raises Rejected where it is none of traces."""
    if not any(name in request for name in ("resourceSpans", "resource_spans")):
        for name, reason in SIGNALS.items():
            if name in request or _snake(name) in request:
                raise Rejected(reason)
        raise Rejected("not_otlp_traces")
    for group in _list(request, "resourceSpans"):
        resource = attributes_of(_get(_get(group, "resource"), "attributes"))
        for scope in _list(group, "scopeSpans"):
            for span in _list(scope, "spans"):
                yield SpanRow(span, resource)


def row_of(
    held: SpanRow, models: Sequence[str], versions: Sequence[str], operations: Collection[str]
) -> dict[str, Any]:
    """The canonical row of a span. Raises Rejected: SKIPPED where it is none of a model."""
    span = held.span
    attributes = attributes_of(_get(span, "attributes"))
    if not any(name.startswith(OURS) for name in attributes):
        raise Rejected("span_invalid" if not isinstance(span, dict) else SKIPPED)
    if operations and not any(attributes.get(name) in operations for name in OPERATIONS):
        raise Rejected(SKIPPED)
    trace, own = _id(_get(span, "traceId"), 16), _id(_get(span, "spanId"), 8)
    started, ended = (_integer(_get(span, name)) for name in ("startTimeUnixNano", "endTimeUnixNano"))
    if trace is None or own is None or not started:
        raise Rejected("span_invalid")
    latency = (ended - started) / 1e9 if ended and ended >= started else None
    known = held.resource | attributes
    return {
        "id": f"{trace}/{own}",
        "trace": trace,
        "ts": _time(started),
        "model": _first(known, models),
        "version": _first(known, versions),
        "latency": latency,
        "error": _error(span, attributes),
        "features": _features(span, attributes, latency),
    }


def _features(span: Any, attributes: Attributes, latency: float | None) -> Attributes:
    features = {"latency": latency} | {name: value for name, value in attributes.items() if _is_feature(name, value)}
    features |= _evaluation(attributes)
    for event in _list(span, "events")[:MOST_EVENTS]:
        if str(_get(event, "name")).startswith("gen_ai.evaluation"):
            features |= _evaluation(attributes_of(_get(event, "attributes")))
    return features


def _is_feature(name: str, value: Any) -> bool:
    return not name.startswith(CONTENT) and not (isinstance(value, str) and len(value) > LONGEST_TEXT)


def _evaluation(attributes: Attributes) -> Attributes:
    """The score and the label of an evaluation, by its name."""
    name = attributes.get(f"{EVALUATION}name")
    if not isinstance(name, str):
        return {}
    held = {"score": attributes.get(f"{EVALUATION}score.value"), "label": attributes.get(f"{EVALUATION}score.label")}
    return {f"{EVALUATION}{name}.{what}": value for what, value in held.items() if value is not None}


def _error(span: Any, attributes: Attributes) -> Any:
    """What kind of error, true where it is not said, false where there was none."""
    kind = attributes.get("error.type")
    code = _get(_get(span, "status"), "code")
    failed = isinstance(code, int | str) and code in ERROR_CODES
    return kind if kind is not None else failed


def _first(attributes: Attributes, names: Sequence[str]) -> Any:
    return next((attributes[name] for name in names if attributes.get(name) not in {None, ""}), None)


def attributes_of(held: Any) -> Attributes:
    """Attributes by name; of a name that comes twice the last, as JSON has it. Objects and bytes are no values."""
    if not isinstance(held, list):
        return {}
    pairs = ((_get(each, "key"), value_of(_get(each, "value"))) for each in held[:MOST_ATTRIBUTES])
    return {key: value for key, value in pairs if isinstance(key, str) and value is not None}


def value_of(held: Any) -> Any:
    """An attribute's value: a text, a number, truth; of an array its values as one text, where they are such."""
    for name, value in held.items() if isinstance(held, dict) else ():
        read = READERS.get(name.replace("_v", "V"))
        if read is not None:
            return read(value)
    return None


def _listed(values: Sequence[Any]) -> Any:
    """The only value of an array as it is; of several texts and numbers one text."""
    held = [value_of(each) for each in values[:MOST_ATTRIBUTES] if _get(each, "arrayValue") is None]
    if len(held) == 1:
        return held[0]
    texts = [str(each) for each in held if isinstance(each, str | int | float)]
    return ",".join(texts) if texts and len(texts) == len(held) else None


def _double(value: Any) -> float | None:
    """A number; Protobuf's JSON has words for what JSON lacks, which `float` knows."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None if isinstance(value, str) else math.inf


def _integer(value: Any) -> int | None:
    """A whole number; Protobuf's JSON writes long ones as text."""
    if isinstance(value, str):
        digits = value.removeprefix("-")
        return int(value) if digits.isascii() and digits.isdigit() and len(digits) <= LONGEST_INTEGER else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _id(value: Any, size: int) -> str | None:
    """An id as hex: the collector's JSON has it so, a general Protobuf-to-JSON as base64."""
    if not isinstance(value, str):
        return None
    if len(value) == 2 * size:
        raw = _bytes_of(value, bytes.fromhex)
    else:
        raw = _bytes_of(value, lambda text: b64decode(text, validate=True)) if len(value) <= 2 * size else b""
    return raw.hex() if len(raw) == size and any(raw) else None


def _bytes_of(value: str, decode: Any) -> bytes:
    try:
        return bytes(decode(value))
    except (ValueError, NotBase64):
        return b""


def _time(nanos: int) -> str | int:
    """RFC 3339, which needs no unit."""
    try:
        return (EPOCH + timedelta(microseconds=nanos // 1000)).isoformat()
    except OverflowError:
        return nanos


def _get(held: Any, name: str) -> Any:
    """What an object has under a name in OTLP's JSON; Protobuf's own names are taken, too."""
    if not isinstance(held, dict):
        return None
    value = held.get(name)
    return held.get(_snake(name)) if value is None else value


def _list(held: Any, name: str) -> list[Any]:
    value = _get(held, name)
    return value if isinstance(value, list) else []


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)


READERS: dict[str, Callable[[Any], Any]] = {
    "stringValue": lambda value: value if isinstance(value, str) else None,
    "boolValue": lambda value: value if isinstance(value, bool) else None,
    "intValue": _integer,
    "doubleValue": _double,
    "arrayValue": lambda value: _listed(_list(value, "values")),
}
