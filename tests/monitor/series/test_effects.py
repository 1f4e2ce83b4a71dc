"""What stands in for charts where the reference is cold."""

from typing import Any

import numpy as np
import pytest

from detectors import Reference, Sketch, window_detectors
from monitor.series.effects import effect_scores, worst_chart
from tests.charted import mixed, pane, seeded


@pytest.fixture(scope="module")
def cold() -> Reference:
    return Reference.fit(mixed(seeded(), 20_000))


def effects(cold: Reference, window: Sketch, min_rows: int = 1) -> dict[str, float | None]:
    psi = window_detectors()["psi"].columns(cold, window.tally(), min_rows=min_rows)
    found = effect_scores(cold, window.tally(), psi, min_rows)
    return {
        name: (float(value) if known else None)
        for name, value, known in zip(found.names, found.values, found.known, strict=True)
    }


@pytest.mark.parametrize("rows", [5, 100, 2_000])
def test_chance_has_no_effect(cold: Reference, rows: int) -> None:
    found = effects(cold, pane(cold, mixed(seeded(), rows)))

    assert max(value or 0.0 for value in found.values()) < 1.0


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"normal": lambda x: x + 1}, "normal"),
        ({"normal": lambda x: np.where(np.arange(x.size) % 3 == 0, np.nan, x)}, "normal"),
        ({"normal": lambda x: np.full(x.size, np.nan)}, "normal"),
        ({"plan": lambda x: np.where(np.arange(x.size) % 3 == 0, "EU-2", x)}, "plan"),
    ],
    ids=["shifted", "a third missing", "all missing", "a third unseen"],
)
def test_a_large_effect_breaches(cold: Reference, change: Any, name: str) -> None:
    table = mixed(seeded(), 500)
    table |= {column: of(table[column]) for column, of in change.items()}
    found = effects(cold, pane(cold, table))

    assert {feature for feature, value in found.items() if value is not None and value > 1} == {name}


def test_a_small_effect_does_not_however_sure(cold: Reference) -> None:
    table = mixed(seeded(), 50_000)
    found = effects(cold, pane(cold, table | {"normal": table["normal"] + 0.2}))

    assert (found["normal"] or 0.0) < 0.8


def test_too_few_rows_show_a_jump_but_no_end_of_one(cold: Reference) -> None:
    """Else each night of fewer rows would resolve what each day pages anew."""
    table = mixed(seeded(), 100)
    found = effects(cold, pane(cold, table | {"normal": np.full(100, np.nan)}), min_rows=200)

    assert found["normal"] is not None
    assert found["normal"] > 1
    assert {value for name, value in found.items() if name != "normal"} == {None}


def test_the_words_are_of_the_worst(cold: Reference) -> None:
    table = mixed(seeded(), 500)
    window = pane(cold, table | {"normal": np.full(500, np.nan), "other": table["other"] + 2}).tally()

    assert worst_chart(cold, window, cold.names.index("normal")) == "missing"
    assert worst_chart(cold, window, cold.names.index("other")) == "shape"
