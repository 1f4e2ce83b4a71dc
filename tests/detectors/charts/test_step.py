"""The compiled step of the charts and numpy's are the same to the last bit, and what the compiled one does not know goes to numpy."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from detectors import Sketch
from detectors.charts import BudgetSpec, Charts, step
from tests.charted import MONDAY, WINDOW, mixed, pane, reference

pytestmark = pytest.mark.usefixtures("compiled_parts")


def panes(rng: np.random.Generator) -> list[dict[str, NDArray[Any]]]:
    """Quiet ones, ones of few rows, some that fire at once and some by their sums, and the way back."""
    found = [mixed(rng, int(rows)) for rows in rng.choice([0, 3, 60, 300], 70)]
    for table in found[15:35]:
        rows = len(table["normal"])
        table["normal"] += 0.6
        table["plan"] = np.full(rows, "EU-2")
        table["heavy"] = np.where(rng.random(rows) < 0.5, np.nan, 7.0)
    return found


def test_compiled_or_not_all_points_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    learnt = reference(np.random.default_rng(14))
    ways = [Charts(learnt, BudgetSpec()) for _ in range(2)]
    fired = 0
    for number, table in enumerate(panes(np.random.default_rng(3))):
        sketch: Sketch = pane(learnt, table)
        at = MONDAY + number * WINDOW
        said = []
        for charts, compiled in zip(ways, (True, False), strict=True):
            monkeypatch.setattr(step, "USED", compiled)
            said.append(charts.update(sketch.tally(), at, at + WINDOW))
        for one, other in zip(*said, strict=True):
            fired += int(one.firing.any())
            for name in ("increments", "values", "z", "effects", "certain", "firing", "since", "warned"):
                assert np.asarray(getattr(one, name)).tobytes() == np.asarray(getattr(other, name)).tobytes(), name
        assert ways[0].to_bytes() == ways[1].to_bytes()
    assert 0 < fired < len(panes(np.random.default_rng(3)))


def test_other_arrays_are_left_alone() -> None:
    charts, began, risen = np.zeros((5, 2)), np.zeros(2, dtype=np.int64), np.zeros((5, 2), dtype=np.int64)
    limits, none = np.ones(5), np.zeros((5, 2), dtype=np.bool_)
    given: list[Any] = [charts, charts.copy(), limits, limits, none, none, began, risen]
    assert step.advance(*given) is False
    for place, other in enumerate(
        [charts.T, charts[:4], limits[:3], limits.astype(int), charts, none.T, limits, began]
    ):
        assert step.advance(*given[:place], other, *given[place + 1 :]) is None
    quiet, judged = np.ones(2, dtype=np.bool_), np.zeros(7, dtype=np.int64)
    assert step.warn(charts, charts, limits, quiet, none.copy(), none.copy(), judged) is True
    assert step.warn(charts, charts, limits, quiet, none.copy(), none.copy(), judged[:6]) is False
    assert step.warn(charts, charts, limits, limits, none.copy(), none.copy(), judged) is False
    with pytest.raises(TypeError, match="8 arrays"):
        step.advance(charts)
