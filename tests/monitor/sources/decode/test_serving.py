"""How requests were served is the same, whichever reader reads it: compiled, typed, or as rows."""

import json
from typing import Any

import numpy as np
import pytest

from detectors import Reference
from detectors.sketches.served import BOUNDS, UNKNOWN, bins_of
from monitor.facts import FieldsRejected, RequestsServed
from monitor.series.truth import BINARY, Truth
from monitor.sources.base import TopicRecords
from monitor.sources.decode.joining import PredictionColumns, prediction_fields
from monitor.sources.decode.topic import Decoded, TopicDecoder
from monitor.sources.formats.fields import FieldMap, SeriesFields
from monitor.stream.events import MINUTE, SeriesKey
from tests.build import of
from tests.fakes import NOON
from tests.readers import readers_of

KEYS = [SeriesKey("churn", "1"), SeriesKey("fraud", "*")]
REFERENCE = Reference.fit({"age": np.arange(100.0), "plan": ["free", "pro"] * 50})
NOTHING = Ellipsis  # absent; told alike by every worker, as an object by its address is not
LATENCIES: list[tuple[Any, float | None, str | None]] = [  # milliseconds as they come, seconds, what is wrong
    (0, 0.0, None),
    (250, 0.25, None),
    (250.5, 0.2505, None),
    (True, 0.001, None),
    (1e7, 1e4, None),
    (-1, None, "latency_invalid"),
    ("250", None, "latency_invalid"),
    ({"ms": 1}, None, "latency_invalid"),
    ([], None, "latency_invalid"),
    (float("nan"), None, "latency_invalid"),
    (float("inf"), None, "latency_invalid"),
    (float("-inf"), None, "latency_invalid"),
    (None, None, "latency_missing"),
    (NOTHING, None, "latency_missing"),
]
ERRORS: list[tuple[Any, bool]] = [
    *((fine, False) for fine in (NOTHING, None, False, 0, 0.0, "", "0", "false", "False", 100, 200, 404.0, 499, "200")),
    *((fine, False) for fine in ({}, [], "ok")),
    *(
        (failed, True)
        for failed in (True, 1, -1, 99, 500, 503, "503", 404.5, 1e9, "true", "timeout", "OK", " ", "é" * 90)
    ),
    *((failed, True) for failed in ({"code": 5}, ["x"], {"a": {}})),
    (10**540, True),
]
NO_ERRORS = [float("nan"), float("inf")]
TRUTH = Truth(BINARY, positive="yes", negative="no")


def fields_of(**changes: Any) -> FieldMap:
    paths = {
        "latency": {"path": "meta.ms", "unit": "ms"},
        "error": {"path": "meta.error", "fine": ["ok"]},
        "label": "truth",
    }
    return FieldMap.parse(paths | changes, 10**6)


def decoder(*keys: SeriesKey, labelled: bool = False, skipped: int = 0, **changes: Any) -> TopicDecoder:
    fields = fields_of(**changes)
    joined = prediction_fields(TRUTH, fields, REFERENCE.names) if labelled else None
    series = [SeriesFields(key, REFERENCE.layout, fields, joined, served=True) for key in keys or KEYS[:1]]
    columns = {each.key: PredictionColumns(each, TRUTH) for each in series} if labelled else {}
    made = TopicDecoder("t", series, fields, MINUTE, joined=columns)
    made.readers = [*readers_of(made)[skipped:]]  # the quickest first
    return made


def event(key: SeriesKey = KEYS[0], *, features: dict[str, Any] | None = None, **meta: Any) -> bytes:
    said = {"id": "r", "ts": NOON // 10**6, "model": key.model, "version": key.version, "truth": "yes"}
    held = {name: value for name, value in meta.items() if value is not NOTHING}
    return json.dumps(said | {"features": features or {"age": 5.0, "plan": "pro"}, "meta": held}).encode()


def read(made: TopicDecoder, values: list[bytes | None]) -> Decoded:
    size = len(values)
    return made.decode(TopicRecords("t", [0] * size, values, (), {}, [None] * size, range(size), [NOON] * size), NOON)


def served(decoded: Decoded) -> list[list[int]]:
    return sorted(row for batch in decoded.batches for row in batch.served.tolist())


def reasons(decoded: Decoded) -> dict[str, int]:
    return {fact.reason: fact.count for fact in of(decoded.facts, FieldsRejected)}


@pytest.mark.parametrize("skipped", range(3))
@pytest.mark.parametrize(("said", "seconds", "why"), LATENCIES, ids=repr)
def test_a_latency_is_seconds_or_counted_under_its_reason(
    said: Any, seconds: float | None, why: str | None, skipped: int
) -> None:
    decoded = read(decoder(skipped=skipped), [event(ms=said)] * 3)

    bins = [UNKNOWN] if seconds is None else bins_of(np.array([seconds])).tolist()
    assert served(decoded) == [[*bins, 0]] * 3
    assert reasons(decoded) == ({} if why is None else {why: 3})
    [fact] = of(decoded.facts, RequestsServed)
    assert fact.seconds == pytest.approx(3 * (seconds or 0.0))
    assert fact.latencies.sum() == (0 if seconds is None else 3)


@pytest.mark.parametrize("skipped", range(3))
@pytest.mark.parametrize(("said", "failed"), ERRORS, ids=lambda said: repr(said)[:20])
def test_an_error_is_what_is_no_success(said: Any, failed: bool, skipped: int) -> None:
    decoded = read(decoder(skipped=skipped), [event(ms=1, error=said)] * 2)

    assert served(decoded) == [[bins_of(np.array([0.001]))[0], int(failed)]] * 2
    assert reasons(decoded) == {}
    [fact] = of(decoded.facts, RequestsServed)
    assert (fact.told, fact.failed) == (2, 2 * failed)


@pytest.mark.parametrize("skipped", range(3))
def test_a_broken_latency_is_no_more_than_a_day_of_the_sum(skipped: int) -> None:
    decoded = read(decoder(skipped=skipped), [event(ms=1.7e308), event(ms=1.7e308), event(ms=500)])

    [fact] = of(decoded.facts, RequestsServed)
    assert fact.seconds == 2 * 24 * 60 * 60 + 0.5
    assert fact.latencies.sum() == 3


@pytest.mark.parametrize("skipped", range(3))
@pytest.mark.parametrize("said", NO_ERRORS, ids=repr)
def test_what_says_nothing_of_an_error_is_counted_and_is_none(said: float, skipped: int) -> None:
    decoded = read(decoder(skipped=skipped), [event(ms=1, error=said)])

    assert [row[1] for row in served(decoded)] == [0]
    assert reasons(decoded) == {"error_invalid": 1}


@pytest.mark.parametrize("labelled", [False, True], ids=["plain", "joined with labels"])
@pytest.mark.parametrize("keys", [KEYS[:1], KEYS], ids=["one series", "several"])
def test_every_reader_counts_the_same(keys: list[SeriesKey], labelled: bool) -> None:
    errors = [*(said for said, _ in ERRORS), *NO_ERRORS]
    broken = [{}, {"age": "5", "plan": {}}, {"age": None}]
    values: list[bytes | None] = [
        event(keys[at % len(keys)], ms=said, error=errors[at % len(errors)], features=broken[at % 3])
        for at, (said, _, _) in enumerate(LATENCIES * 5)
    ]
    found = [read(decoder(*keys, labelled=labelled, skipped=skipped), values) for skipped in range(3)]

    assert served(found[0]) == served(found[1]) == served(found[2])
    assert reasons(found[0]) == reasons(found[1]) == reasons(found[2])
    assert reasons(found[0])["latency_invalid"] == 5 * sum(why == "latency_invalid" for _, _, why in LATENCIES)
    for decoded in found:
        assert {(batch.numeric.shape[1], batch.codes.shape[1]) for batch in decoded.batches} == {(1, 1)}
        assert not np.isnan([fact.seconds for fact in of(decoded.facts, RequestsServed)]).any()


def test_what_a_request_took_is_no_feature_where_it_stands_among_them() -> None:
    made = decoder(latency="features.ms", error={"path": "features.error", "fine": []})
    decoded = read(made, [event(features={"age": 5.0, "plan": "pro", "ms": 0.5, "error": "x"})] * 300)

    assert served(decoded) == [[bins_of(np.array([0.5]))[0], 1]] * 300
    assert reasons(decoded) == {}


def test_without_paths_nothing_is_told() -> None:
    fields = FieldMap()
    made = TopicDecoder("t", [SeriesFields(KEYS[0], REFERENCE.layout, fields, served=True)], fields, MINUTE)
    decoded = read(made, [event(ms=1)])

    assert [batch.served for batch in decoded.batches] == [None]
    assert of(decoded.facts, RequestsServed) == []


def test_an_upper_bound_belongs_to_its_bin() -> None:
    assert bins_of(BOUNDS).tolist() == list(range(len(BOUNDS)))
    assert bins_of(np.nextafter(BOUNDS, np.inf)).tolist() == list(range(1, len(BOUNDS) + 1))
