"""What a cold reference learns from: as large after many windows as the windows that are kept make it."""

import numpy as np

from detectors import Reference, Sketch
from monitor.series.material import Material

MINUTE = 60_000_000_000


def test_the_sum_of_all_windows_does_not_grow_with_their_number() -> None:
    reference = Reference.fit({"x": np.linspace(0, 1, 1_000)})
    material = Material(reference, MINUTE, 0)
    rng = np.random.default_rng(1)
    for number in range(30):
        window = Sketch.empty(reference.layout)
        window.update(rng.uniform(0, 1, (200, 1)), np.empty((200, 0), dtype=np.int32))
        window.identify(rng.integers(1, 2**63, 200, dtype=np.uint64))
        material.add(number * MINUTE, window)

    assert material.total.rows == 30 * 200
    assert material.total.ids is not None
    assert len(material.total.ids.parts) == 1
