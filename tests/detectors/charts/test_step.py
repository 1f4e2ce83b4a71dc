"""The compiled step of the charts and numpy's are the same to the last bit, and what the compiled one does not know goes to numpy."""

import random
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from detectors import Sketch
from detectors.charts import BudgetSpec, Charts, step
from detectors.charts.rate_charts import RateSide
from tests.charted import MONDAY, WINDOW, mixed, pane, reference

pytestmark = pytest.mark.usefixtures("compiled_parts")
FUZZ = Path(__file__).parents[2] / "native" / "fuzz_step.cpp"
SANITIZED = ("-std=c++17", "-O1", "-g1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


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
    advance: Any = step.advance
    warn: Any = step.warn
    charts, began, risen = np.zeros((5, 2)), np.zeros(2, dtype=np.int64), np.zeros((5, 2), dtype=np.int64)
    limits, none = np.ones(5), np.zeros((5, 2), dtype=np.bool_)
    given: list[Any] = [charts, charts.copy(), limits, limits, none, none, began, risen]
    assert advance(*given) is False
    for place, other in enumerate(
        [charts.T, charts[:4], limits[:3], limits.astype(int), charts, none.T, limits, began]
    ):
        assert advance(*given[:place], other, *given[place + 1 :]) is None
    quiet, judged = np.ones(2, dtype=np.bool_), np.zeros(7, dtype=np.int64)
    assert warn(charts, charts, limits, quiet, none.copy(), none.copy(), judged) is True
    assert warn(charts, charts, limits, quiet, none.copy(), none.copy(), judged[:6]) is False
    assert warn(charts, charts, limits, limits, none.copy(), none.copy(), judged) is False
    with pytest.raises(TypeError, match="8 arrays"):
        advance(charts)


def shares(rng: np.random.Generator, size: int) -> NDArray[np.float64]:
    return rng.choice([0.0, 1e-300, 1e-9, 0.001, 0.2, 0.9999, 1.0], size) if rng.random() < 0.3 else rng.random(size)


def drawn_rates(rng: np.random.Generator) -> Any:
    """Rates as a side asks for them, of drawn numbers: up to five features, of which up to three have watched cells."""
    features = int(rng.integers(0, 6))
    cells = rng.integers(1, 4, int(rng.integers(0, min(features, 3) + 1)))
    size = 2 * features + int(cells.sum())
    names = ("usual", "most", "least", "above", "below")
    return SimpleNamespace(
        features=features,
        size=size,
        dispersion=1 + 3 * rng.random(size),
        begins=np.cumsum(cells) - cells,
        mass_features=np.repeat(np.arange(cells.size), cells),
        several=np.log(cells),
        rises=2 * rng.random(size),
        falls=2 * rng.random(size),
        highest=shares(rng, size),
        held=SimpleNamespace(**{name: shares(rng, size) for name in names}),
        hourly=np.flatnonzero(rng.random(size) < 0.3),
    )


def held_in(side: RateSide) -> list[NDArray[Any]]:
    return [side.sums, side.risen, side.excess, side.firing, side.since, side.leading]


@np.errstate(all="ignore")
def test_of_drawn_rates_both_ways_say_the_same_whenever_they_are_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rates of every share, windows without rows among them, and either way is asked for its state at other times."""
    rng = np.random.default_rng(random.getrandbits(32))
    for number in range(30):
        rates, threshold = drawn_rates(rng), float(rng.choice([3.0, 8.0, 15.0]))
        which, way = (slice(None), 1) if number % 2 else (slice(2 * rates.features, None), -1)
        sides = [RateSide(rates, which, way, threshold, 5) for _ in range(2)]
        for start in range(20):
            rows = rng.choice([0.0, 0.37, 50.0, 1000.0], rates.size)
            events = rows * np.round(shares(rng, rates.size), 2) * (rng.random(rates.size) < rng.choice([0, 0.3, 1]))
            said = []
            for side, compiled in zip(sides, (True, False), strict=True):
                monkeypatch.setattr(step, "USED", compiled)
                said.append([each.tobytes() for each in side.follow(events, rows, rates.held, start)])
                said[-1] += [each.tobytes() for each in held_in(side)]
            assert said[0] == said[1]
            if rng.random() < 0.3:
                sides[int(rng.integers(0, 2))].arrays("")


@pytest.mark.timeout(300)
def test_steps_of_anything_do_no_harm_under_the_sanitizers(tmp_path: Path) -> None:
    seed = random.getrandbits(32)
    print(f"seed {seed}")
    program = tmp_path / "fuzz_step"
    subprocess.run(["c++", *SANITIZED, str(FUZZ), "-o", str(program)], check=True, timeout=120)

    done = subprocess.run([program, str(seed), "3000"], capture_output=True, text=True, timeout=120, check=False)

    assert done.returncode == 0, done.stderr
