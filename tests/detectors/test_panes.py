"""Rows by pane of event time."""

import numpy as np

from detectors import Reference, Sketch
from detectors.panes import NO_TIME, by_pane
from tests.charted import seeded

REFERENCE = Reference.fit({"age": np.arange(100.0), "plan": ["free", "pro"] * 50})


def test_panes_rise_and_hold_every_row_that_has_a_time() -> None:
    rng = seeded()
    times = rng.integers(-50, 50, 300)
    times[::10] = NO_TIME
    numeric, codes = REFERENCE.encode({"age": rng.normal(50, 20, 300), "plan": ["free", "other", None] * 100})
    panes = list(by_pane(REFERENCE.layout, times, numeric, codes, 7))

    assert [start for start, _ in panes] == sorted({int(time) // 7 * 7 for time in times if time != NO_TIME})
    for start, pane in panes:
        rows = (times != NO_TIME) & (times // 7 * 7 == start)
        whole = Sketch.empty(REFERENCE.layout)
        whole.update(numeric[rows], codes[rows])
        assert pane.counts.tolist() == whole.counts.tolist()


def test_no_row_is_no_pane() -> None:
    numeric, codes = REFERENCE.encode({"age": [1.0, 2.0]})

    assert not list(by_pane(REFERENCE.layout, np.array([NO_TIME, NO_TIME]), numeric, codes, 7))
    assert not list(by_pane(REFERENCE.layout, np.array([], dtype=np.int64), numeric[:0], codes[:0], 7))
