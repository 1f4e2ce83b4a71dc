"""A reference with latencies and errors holds how its requests were served, and a calibration of it; one without stays what it was."""

from typing import Any

import numpy as np
import pytest

from detectors import Reference, ReferenceFormatError
from detectors.columns import as_columns
from detectors.reference.service import ERROR, LATENCY, ServedColumns, failures
from detectors.sketches.served import BINS, ServedCounts
from tests.charted import seeded

MINUTE = 60 * 10**9
COLUMNS = ServedColumns("ms", 1e-3, "failed")


def table(rows: int = 6000) -> dict[str, Any]:
    rng = seeded()
    took = 120 * np.exp(rng.normal(0, 0.5, rows))
    took[::50] = np.nan
    return {
        "age": rng.normal(40, 9, rows),
        "ms": took,
        "failed": rng.random(rows) < 0.01,
        "at": np.arange(rows) * MINUTE,
    }


def fitted(held: dict[str, Any] | None = None) -> Reference:
    return Reference.fit(held or table(), timestamp="at", window="1h", served=COLUMNS)


def test_it_counts_what_requests_took_and_how_many_failed_and_no_feature_is_made_of_it() -> None:
    held = table()
    reference = fitted(held)
    assert reference.names == ("age",)
    assert reference.service is not None
    served = reference.service.served
    assert (served.timed, served.told, served.failed) == (5880, 6000, int(held["failed"].sum()))
    assert served.quantile(0.5) == pytest.approx(np.nanmedian(held["ms"]) / 1e3, rel=0.05)
    assert reference.service.profile.names == (LATENCY, ERROR)
    assert reference.service.profile.calibration is not None


def test_live_counts_of_the_same_rows_are_the_profile() -> None:
    service = fitted().service
    assert service is not None
    again = service.sketch(service.served, 6000)
    baseline = np.concatenate([each.counts for each in service.profile.features.values()])
    assert again.counts.tolist() == baseline.tolist()


def test_what_takes_no_time_or_ages_has_a_cell() -> None:
    ends = {"age": [1.0] * 4, "ms": [0.0, 1e-9, 1e12, 5.0], "failed": [0, 1, 0, 503]}
    service = Reference.fit(ends, served=COLUMNS).service
    assert service is not None
    assert service.sketch(service.served, 4).counts.sum() == 8
    assert (service.served.latencies[0], service.served.latencies[BINS - 1], service.served.failed) == (2, 1, 2)
    assert service.sketch(None, 3).counts.sum() == 6


def test_it_is_part_of_the_file_and_of_the_hash() -> None:
    reference = fitted()
    again = Reference.from_dict(reference.to_dict())
    assert again.hash == reference.hash
    assert again.service is not None
    assert again.service.served.to_bytes() == reference.service.served.to_bytes()  # type: ignore[union-attr]
    assert reference.select(["age"]).service is reference.service


def test_a_reference_without_it_is_what_it_was() -> None:
    held = table()
    plain = Reference.fit({name: held[name] for name in ("age", "at")}, timestamp="at", window="1h")
    assert "service" not in plain.to_dict()
    assert plain.hash != fitted(held).hash
    without = fitted(held).to_dict()
    del without["service"]
    assert Reference.from_dict(without).hash == plain.hash


@pytest.mark.parametrize(
    ("value", "failed"),
    [
        (None, False),
        ("", False),
        ("false", False),
        ("0", False),
        ("404", False),
        ("503", True),
        ("timeout", True),
        ("ok", False),
        ("true", True),
    ],
)
def test_errors_are_read_as_those_of_events(value: object, failed: bool) -> None:
    column = as_columns({"error": np.array([value], dtype=object)})["error"]
    assert failures(column, frozenset({"ok"})).tolist() == [failed]


def test_errors_of_numbers_are_read_as_those_of_events() -> None:
    numbers = np.array([0, 1, 100, 200.5, 499, 500, np.nan, -1])
    found = failures(as_columns({"error": numbers})["error"]).tolist()
    assert found == [False, True, False, True, False, True, False, True]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (ServedColumns("took"), "there is no column took of requests; there are age, ms, failed, at"),
        (ServedColumns("nothing"), "nothing: holds no latency, a number of 0 or more"),
    ],
)
def test_what_cannot_be_read_is_one_line(columns: ServedColumns, message: str) -> None:
    held = table(60) | ({"nothing": [None] * 60} if columns.latency == "nothing" else {})
    with pytest.raises(ValueError, match=message):
        Reference.fit(held, timestamp="at", served=columns)


@pytest.mark.parametrize(
    "changes", [{"failed": 10**6}, {"told": -1}, {"latencies": [1]}, {"latencies": [-1] * BINS}, {"profile": {}}]
)
def test_a_damaged_service_is_one_line(changes: dict[str, Any]) -> None:
    held = fitted().to_dict()
    held["service"] = held["service"] | changes
    with pytest.raises(ReferenceFormatError) as caught:
        Reference.from_dict(held)
    assert "\n" not in str(caught.value)


def test_counts_of_nothing_are_a_sketch_of_nothing() -> None:
    service = fitted().service
    assert service is not None
    assert service.sketch(ServedCounts(), 0).counts.sum() == 0
