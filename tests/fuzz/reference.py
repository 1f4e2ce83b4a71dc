"""References: whatever the file holds, it is refused in one line, or it is saved as it was read and judges events."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from detectors import Reference
from detectors.reference import file as serial
from detectors.reference.file import ReferenceFormatError
from monitor.facts import WindowScored
from monitor.stream.events import EventBatch
from tests.build import KEY, MIDNIGHT, MINUTE, at, feed, make_pipeline, make_spec, of
from tests.fuzz.words import check_lines

WORDS = (
    *("rows", "period", "rows_per_second", "calibration", "cold", "copies", "performance", "service", "features"),
    *("numeric", "categorical", "edges", "counts", "bin_means", "discrete", "mean", "std", "categories", "hours"),
    *("null", "true", "1e308", "-1", "0", "9223372036854775807", "[]", "{}"),
)
ROWS = 4


def fitted() -> list[Reference]:
    """One of each kind, small: plain, calibrated, with labels, with how requests were served."""
    rng = np.random.default_rng(1)
    times = MIDNIGHT + np.arange(800) * MINUTE // 4
    plain: dict[str, Any] = {"age": np.arange(20.0), "plan": ["a", "b"] * 10}
    hourly = {"x": rng.integers(3, size=800).astype(float), "at": times}
    labelled = {"score": rng.integers(4, size=800) / 4, "label": rng.integers(2, size=800).astype(str), "at": times}
    return [
        Reference.fit(plain),
        Reference.fit(plain | {"score": np.linspace(0, 1, 20)}, prediction="score"),
        Reference.fit(hourly, timestamp="at", window="1m"),
        Reference.fit(labelled, timestamp="at", window="1m", prediction="score", label="label"),
    ]


def seeds() -> list[bytes]:
    """Those that `fit` writes."""
    return [json.dumps(reference.to_dict()).encode() for reference in fitted()]


def judge(reference: Reference) -> None:
    """Let it judge two windows: of nothing but what is missing, and of zeros and unseen categories."""
    pipeline = make_pipeline(make_spec(reference=reference))
    layout = reference.layout
    for number, (value, code) in enumerate([(np.nan, 1), (0.0, 0)]):
        last = [len(feature.categories) + code for feature in layout.categorical]
        numeric = np.full((ROWS, len(layout.numeric)), value)
        codes = np.tile(np.array(last, dtype=np.int32), (ROWS, 1))
        times = np.full(ROWS, at(number), dtype=np.int64)
        facts = feed(pipeline, EventBatch(KEY, "predictions", times, numeric, codes), until=at(number + 1))
        for scored in of(facts, WindowScored):
            assert all(score.value is None or not np.isnan(score.value) for score in scored.scores)


def prepared(home: Path) -> Callable[[bytes], None]:
    """What takes one input: the file's content."""
    del home

    def check(data: bytes) -> None:
        try:
            reference = Reference.from_dict(serial.parse(data))
        except ReferenceFormatError as error:
            check_lines(error, most=1)
            return
        again = Reference.from_dict(json.loads(json.dumps(reference.to_dict())))
        assert again.hash == reference.hash
        judge(reference)

    return check
