"""Bad messages of every class that we know of: each as often as one likes and never twice the same, with what it is to be counted as."""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from detectors import Reference
from monitor.stream.events import SeriesKey
from tests.fakes import NOON

TS = NOON // 1_000_000
CHURN = SeriesKey("churn", "3")
REFERENCE = Reference.fit(
    {"age": [20.0, 30.0, 40.0], "income": [1.0, 2.0, 3.0], "plan": ["free", "free", "pro"], "score": [0.1, 0.5, 0.9]},
    prediction="score",
)
DEEP = b"[" * 100_000
DIGITS = b"9" * 5_000
MEBIBYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class BadClass:
    """`write` makes the nth message. It is rejected for a reason, or nobody's, or it counts but for fields; `rows`: in how many rows."""

    write: Callable[[int], bytes]
    reason: str | None = None
    fields: Mapping[str, int] = field(default_factory=Counter)
    rows: int = 0
    unmonitored: int = 0


def event(number: int = 0, **changes: Any) -> bytes:
    """A good event with some keys changed; `...` takes one away."""
    found = {
        "id": f"r-{number}",
        "ts": TS - number % 1000,
        "model": "churn",
        "version": "3",
        "features": {"age": 41.5, "income": 2.0, "plan": "pro"},
        "prediction": 0.83,
        **changes,
    }
    return json.dumps({key: value for key, value in found.items() if value is not ...}).encode()


def with_features(number: int = 0, **changes: Any) -> bytes:
    """The same of its features."""
    found = {"age": 41.5, "income": 2.0, "plan": "pro", **changes}
    return event(number, features={key: value for key, value in found.items() if value is not ...})


def raw(key: str, text: bytes) -> Callable[[int], bytes]:
    """A value as no writer of JSON would write it."""
    return lambda number: event(number, **{key: 77}).replace(b": 77", b": " + text)


def raw_feature(name: str, text: bytes) -> Callable[[int], bytes]:
    """The same of a feature."""
    return lambda number: with_features(number, **{name: 77}).replace(b": 77", b": " + text)


def _rejected(reason: str, **classes: Callable[[int], bytes]) -> dict[str, BadClass]:
    return {f"{reason}: {name.replace('_', ' ')}": BadClass(write, reason) for name, write in classes.items()}


def _changed(reason: str, key: str, **values: Any) -> dict[str, BadClass]:
    """Rejected for the value of a key."""

    def writer(value: Any) -> Callable[[int], bytes]:
        return lambda number: event(number, **{key: value})

    return _rejected(reason, **{f"{key}_{name}": writer(value) for name, value in values.items()})


def _field(reason: str, **classes: Callable[[int], bytes]) -> dict[str, BadClass]:
    return {
        f"{reason}: {name.replace('_', ' ')}": BadClass(write, fields=Counter({reason: 1}), rows=1)
        for name, write in classes.items()
    }


def _broken_text() -> dict[str, BadClass]:
    """What is no JSON, or no object, or no text."""
    return {
        **_rejected(
            "malformed_json",
            cut=lambda number: event(number)[:-2],
            cut_in_a_key=lambda number: event(number)[:6],
            text=lambda number: b"hello %d" % number,
            two_objects=lambda number: event(number) * 2,
            comma_at_the_end=lambda number: event(number)[:-1] + b",}",
            single_quotes=lambda number: event(number).replace(b'"', b"'"),
            no_quotes=lambda number: event(number).replace(b'"ts"', b"ts"),
            comment=lambda number: b"/* " + event(number) + b" */",
            markup=lambda _: b"<html><body>503</body></html>",
            csv=lambda number: b"%d,41.5,2.0,pro" % number,
            zero_bytes=lambda _: b"{\0\0\0\0}",
            utf_16=lambda number: event(number).decode().encode("utf-16-le"),
            control_character=lambda number: event(number).replace(b"pro", b"p\x01o"),
            line_end_in_a_text=lambda number: event(number).replace(b"pro", b"p\no"),
            unknown_escape=lambda number: event(number).replace(b"pro", b"p\\xo"),
            half_an_escape=lambda number: event(number).replace(b"pro", b"\\u00"),
            colon_missing=lambda number: event(number).replace(b'"ts":', b'"ts"'),
            python=lambda number: event(number).replace(b'"3"', b"None"),
            leading_zero=raw("ts", b"0123"),
            plus_sign=raw("ts", b"+1"),
            hexadecimal=raw("ts", b"0x1F"),
            lonely_dot=raw("ts", b"1."),
        ),
        **_rejected(
            "not_object",
            list=lambda number: b"[" + event(number) + b"]",
            number=lambda number: b"%d" % number,
            null=lambda _: b"null",
            text=lambda number: json.dumps(event(number).decode()).encode(),
            truth=lambda _: b"true",
        ),
        **_rejected(
            "invalid_utf8",
            in_a_feature=lambda number: event(number).replace(b"pro", b"\xff\xfe"),
            in_what_nobody_reads=lambda number: event(number).replace(b"r-", b"\xff\xfe"),
            in_a_key=lambda number: event(number).replace(b"age", b"\xc3\x28"),
            utf_16_with_its_mark=lambda number: event(number).decode().encode("utf-16"),
            half_a_pair=lambda number: event(number).replace(b"pro", b"\xed\xa0\x80"),
            too_long_a_form=lambda number: event(number).replace(b"pro", b"\xc0\xaf"),
            gzip=lambda number: b"\x1f\x8b\x08\0\xff" + b"%d" % number,
        ),
        **_rejected("empty", nothing=lambda _: b""),
        **_rejected(
            "schema_registry_framed",
            avro=lambda number: b"\0\0\0\0\7\x02" + b"%d" % number,
            json=lambda number: b"\0\0\0\0\7" + event(number),
        ),
    }


def _too_much() -> dict[str, BadClass]:
    return {
        **_rejected(
            "too_large",
            id_of_a_mebibyte=lambda number: event(number, id="x" * MEBIBYTE),
            spaces=lambda _: b" " * (MEBIBYTE + 1),
            brackets=lambda _: b"[" * (MEBIBYTE + 1),
        ),
        **_rejected(
            "too_deep",
            brackets=lambda _: DEEP,
            braces=lambda _: b'{"a":' * 20_000,
            brackets_inside=raw("id", DEEP),
            closed_again=raw("id", b"[" * 40 + b"]" * 40),
            in_a_feature=raw_feature("age", b"[" * 500 + b"]" * 500),
        ),
    }


def _envelope() -> dict[str, BadClass]:
    """What says whose and of when it is."""
    return {
        **_changed("model_invalid", "model", number=3, object={"name": "churn"}, list=["churn"], truth=True),
        **_changed("version_invalid", "version", object={}, list=["3"]),
        **_changed("timestamp_missing", "ts", absent=..., null=None),
        **_changed(
            "timestamp_invalid",
            "ts",
            truth=True,
            object={},
            list=[TS],
            text="soon",
            empty="",
            number_as_text=str(TS),
            NaN=float("nan"),
            infinity=float("inf"),
            month_13="2026-13-01T00:00:00Z",
            February_30="2026-02-30T00:00:00Z",
            hour_25="2026-11-23T25:00:00Z",
            zone_25="2026-11-23T12:00:00+25:00",
            week="2026-W48-1x",
            words="Mon, 23 Nov 2026 12:00:00 GMT",
            injected="2026-11-23T12:00:00Z\nlevel=info",
        ),
        **_rejected("timestamp_invalid", ts_of_5000_digits=raw("ts", DIGITS)),
        **_changed(
            "timestamp_before_2000", "ts", zero=0, seconds=TS // 1000, negative=-TS, in_1970="1970-01-01T00:00:00Z"
        ),
        **_changed("timestamp_before_2000", "ts", year_1="0001-01-01T00:00:00Z"),
        **_changed(
            "timestamp_in_future",
            "ts",
            nanoseconds=NOON,
            in_an_hour=TS + 3_600_000,
            in_2262="2262-04-11T23:47:16Z",
            in_9999="9999-12-31T23:59:59Z",
            above_int64=2**63,
        ),
        **_changed("features_missing", "features", absent=..., null=None),
        **_changed("features_invalid", "features", list=[41.5, 2.0, "pro"], text="age=41.5", number=7, truth=False),
    }


def _nobodys() -> dict[str, BadClass]:
    """Events of models and versions that nobody asks for, each another one."""

    def other(key: str, value: Callable[[int], Any]) -> BadClass:
        return BadClass(lambda number: event(number, **{key: value(number)}), unmonitored=1)

    return {
        "unmonitored: a model for each event": other("model", lambda number: f"model-{number}"),
        "unmonitored: a model of a thousand characters": other("model", lambda number: f"{number}" * 200),
        "unmonitored: a model that would be a line of a log": other("model", lambda number: f"m\n{number} level=error"),
        "unmonitored: a model that would be a label": other("model", lambda number: f'm",le="{number}'),
        "unmonitored: a model with half a pair": other("model", lambda number: f"\ud800{number}"),
        "unmonitored: an empty model": other("model", lambda _: ""),
        "unmonitored: a version for each event": other("version", lambda number: f"v{number}"),
        "unmonitored: a version that is a number": other("version", lambda number: number + 1000),
        "unmonitored: a version of markup": other("version", lambda number: f"<script>{number}</script>"),
    }


def _fields() -> dict[str, BadClass]:
    """A field is unusable; the rest of the event counts."""
    nan, infinity = float("nan"), float("inf")

    def of(name: str, value: Any) -> Callable[[int], bytes]:
        return lambda number: with_features(number, **{name: value})

    def predicted(value: Any) -> Callable[[int], bytes]:
        return lambda number: event(number, prediction=value)

    return {
        **_field("missing", age_absent=of("age", ...), age_null=of("age", None), plan_absent=of("plan", ...)),
        **_field(
            "missing", plan_null=of("plan", None), prediction_absent=predicted(...), prediction_null=predicted(None)
        ),
        **_field("number_as_text", age=of("age", "41.5"), age_empty=of("age", ""), prediction=predicted("yes")),
        **_field(
            "wrong_type",
            age_list=of("age", [41.5]),
            age_object=of("age", {"value": 41.5}),
            plan_list=of("plan", ["pro"]),
            plan_object=of("plan", {"pro": 1}),
            prediction_object=predicted({"p": 1}),
            prediction_list=predicted([0.1, 0.9]),
        ),
        **_field(
            "non_finite",
            NaN=of("age", nan),
            infinity=of("age", infinity),
            minus_infinity=of("age", -infinity),
            plan_NaN=of("plan", nan),
            prediction_NaN=predicted(nan),
            e999=raw_feature("age", b"1e999"),
            digits=raw_feature("age", b"-" + DIGITS),
        ),
    }


def _taken() -> dict[str, BadClass]:
    """Nothing is wrong with these but that nobody would expect them."""

    def counts(write: Callable[[int], bytes]) -> BadClass:
        return BadClass(write, rows=1)

    return {
        "counts: a category for each event": counts(lambda number: with_features(number, plan=f"new-{number}")),
        "counts: a category of ten thousand characters": counts(
            lambda number: with_features(number, plan="x" * 10_000)
        ),
        "counts: a category that would be a line of a log": counts(lambda number: with_features(number, plan="a\nb")),
        "counts: a number beyond all others": counts(raw_feature("age", b"1.7976931348623157e308")),
        "counts: a number next to zero": counts(raw_feature("age", b"5e-324")),
        "counts: minus zero": counts(raw_feature("age", b"-0.0")),
        "counts: truth for a number": counts(lambda number: with_features(number, age=True)),
        "counts: a key said twice": counts(lambda number: event(number).replace(b'"ts":', b'"ts": 0, "ts":')),
        "counts: keys with escapes": counts(lambda number: event(number).replace(b'"age"', b'"\\u0061ge"')),
        "counts: a long id": counts(lambda number: event(number, id="x" * 5_000)),
        "counts: an id that is an object": counts(lambda number: event(number, id={"a": [1]})),
    }


CLASSES: dict[str, BadClass] = {
    **_broken_text(),
    **_too_much(),
    **_envelope(),
    **_nobodys(),
    **_fields(),
    **_taken(),
}
