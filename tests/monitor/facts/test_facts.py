"""What a closed window says of its features is read like a tuple, and saved and read back as one."""

import msgspec
import numpy as np
import pytest

from detectors import Reference, Sketch
from monitor.facts import FeatureQuality, Qualities, WindowClosed
from monitor.stream.events import SeriesKey

REFERENCE = Reference.fit({"age": [20.0, 30.0, 40.0, 50.0], "plan": ["free", "pro", "free", "pro"]})
WINDOW = REFERENCE.sketch.tally()
EXPECTED = (FeatureQuality("age", 0.0, 0.0, 0.0), FeatureQuality("plan", 0.0, 0.0))
KEY = SeriesKey("churn", "1")


def test_qualities_read_like_a_tuple() -> None:
    found = Qualities(REFERENCE, WINDOW)

    assert (len(found), tuple(found), found[1], found[:1]) == (2, EXPECTED, EXPECTED[1], EXPECTED[:1])
    assert repr(found) == repr(EXPECTED)


def test_qualities_are_equal_to_a_tuple_of_the_same() -> None:
    found = Qualities(REFERENCE, WINDOW)

    assert found == EXPECTED
    assert EXPECTED.__eq__(found) is NotImplemented  # so that the other side is asked
    assert hash(found) == hash(EXPECTED)
    assert found != EXPECTED[:1]
    assert found != list(EXPECTED)


def test_shares_are_of_all_rows() -> None:
    sketch = REFERENCE.sketch.copy()
    sketch.update(*REFERENCE.encode({"age": [None, 60.0, 30.0, 30.0], "plan": ["new", "free", None, None]}))

    age, plan = Qualities(REFERENCE, sketch.tally())

    assert (age.missing_ratio, age.unseen_ratio) == (1 / 8, 1 / 8)
    assert plan == FeatureQuality("plan", 2 / 8, 1 / 8)


def test_how_far_the_mean_went_is_in_sigma_of_the_reference() -> None:
    """Known to the width of a bin; of categories there is no mean, nor of no values."""
    sketch = Sketch.empty(REFERENCE.layout)
    sketch.update(*REFERENCE.encode({"age": [50.0, 50.0], "plan": ["pro", "pro"]}))
    age, plan = Qualities(REFERENCE, sketch.tally())
    nothing, _ = Qualities(REFERENCE, Sketch.empty(REFERENCE.layout).tally())

    assert age.shift_sigma == pytest.approx(15 / np.std([20, 30, 40, 50]), rel=0.2)
    assert plan.shift_sigma is nothing.shift_sigma is None


def test_a_window_read_back_is_the_one_that_was_saved() -> None:
    window = WindowClosed(KEY, 0, 60, 4, EXPECTED)

    assert msgspec.json.decode(msgspec.json.encode(window), type=WindowClosed) == window
    assert WindowClosed(KEY, 0, 60, 4, Qualities(REFERENCE, WINDOW)) == window
