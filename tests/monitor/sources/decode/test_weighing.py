"""What a log says of its sampling: how many requests each row stands for, whichever reader reads it."""

import json
from typing import Any

import numpy as np
import pytest

from detectors import Reference
from detectors.sketches.violations import PART
from monitor.facts import EventsRejected
from monitor.sources.base import TopicRecords
from monitor.sources.decode.topic import Decoded, TopicDecoder
from monitor.sources.formats.fields import FieldMap, SeriesFields
from monitor.stream.events import MILLISECOND, MINUTE, SeriesKey
from tests.build import of
from tests.fakes import NOON
from tests.readers import readers_of

KEY = SeriesKey("churn", "3")
REFERENCE = Reference.fit({"age": np.arange(100.0), "plan": ["free", "pro"] * 50})
NOTHING = Ellipsis
SHARES: list[tuple[Any, float]] = [  # percent as it comes, rows that one stands for
    (100, 1.0),
    (10, 10.0),
    (12.5, 8.0),
    (0.0001, 1e6),
    (None, 1.0),
    (NOTHING, 1.0),
    (float("nan"), 1.0),  # as tables write that there is nothing
]
INVALID: list[Any] = [0, -0.0, -1, 100.5, 1e-9, "10", "", {}, [], float("inf"), 10**400]


def decoder(fields: FieldMap, skipped: int = 0) -> TopicDecoder:
    made = TopicDecoder("t", [SeriesFields(KEY, REFERENCE.layout, fields, served=True)], fields, MINUTE)
    made.readers = [*readers_of(made)[skipped:]]  # the quickest first
    return made


def event(share: Any = NOTHING, age: float = 5.0) -> bytes:
    said = {} if share is NOTHING else {"sampling": share}
    return json.dumps({"ts": NOON // MILLISECOND, "features": {"age": age}, "took": 0.5, **said}).encode()


def read(made: TopicDecoder, values: list[bytes], **beside: Any) -> Decoded:
    return made.decode(TopicRecords("t", [0] * len(values), values, **beside), NOON)


def weights(decoded: Decoded) -> list[float]:
    found = list[float]()
    for batch in decoded.batches:
        held = None if batch.violations is None else batch.violations.weights
        found += [1.0] * len(batch) if held is None else (held / PART).tolist()
    return found


@pytest.mark.parametrize("skipped", range(3))
def test_a_row_stands_for_as_many_as_its_share_says(skipped: int) -> None:
    made = decoder(FieldMap.parse({"sampling": "sampling", "latency": "took"}, MILLISECOND), skipped)
    decoded = read(made, [event(share) for share, _ in SHARES])

    assert sorted(weights(decoded)) == sorted(times for _, times in SHARES)
    assert {tuple(batch.served[:, 0].tolist()) for batch in decoded.batches} != set()  # beside it
    assert not of(decoded.facts, EventsRejected)


@pytest.mark.parametrize("skipped", range(3))
def test_what_is_no_share_is_rejected_and_the_rest_is_exact(skipped: int) -> None:
    made = decoder(FieldMap.parse({"sampling": "sampling"}, MILLISECOND), skipped)
    mixed = [event(share, age) for age, share in enumerate([10, *INVALID, 20])]
    decoded = read(made, mixed)

    assert [(fact.reason, fact.count) for fact in of(decoded.facts, EventsRejected)] == [
        ("sampling_invalid", len(INVALID))
    ]
    ages = [age for batch in decoded.batches for age in batch.numeric[:, 0].tolist()]
    assert dict(zip(ages, weights(decoded), strict=True)) == {0.0: 10.0, len(INVALID) + 1.0: 5.0}


@pytest.mark.parametrize(
    ("said", "beside"),
    [
        ({"const": 12.5}, {}),
        ({"path": "sampling", "unit": "fraction"}, {}),
        ({"header": "share"}, {"headers": [[("share", b"12.5")]]}),
        ({"key": "percent"}, {"keys": [b'{"percent": 12.5}']}),
    ],
    ids=lambda said: next(iter(said), ""),
)
def test_it_is_said_by_a_constant_a_fraction_a_header_or_a_key(said: Any, beside: Any) -> None:
    decoded = read(decoder(FieldMap.parse({"sampling": said}, MILLISECOND)), [event(0.125)], **beside)

    assert weights(decoded) == [8.0]


def test_explain_says_why_a_row_is_none() -> None:
    made = decoder(FieldMap.parse({"sampling": "sampling"}, MILLISECOND))
    reasons = [
        [verdict.reason for verdict in made.verdicts(TopicRecords("t", [0], [event(share)]), NOON)] for share in (10, 0)
    ]

    assert reasons == [[None], ["sampling_invalid"]]
