"""Counts of values that know no order."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.reference import value_cells
from detectors.reference.value_cells import ValueCells, keys_of, merged, values_of


def cells_of(values: np.ndarray) -> ValueCells:
    cells = ValueCells()
    cells.add(values)
    return cells


@given(st.lists(st.floats(allow_nan=False), min_size=1))
def test_keys_rise_as_doubles_do_and_say_which_they_are(values: list[float]) -> None:
    held = np.sort(np.array(values))
    keys = keys_of(held)

    assert ((keys[1:] > keys[:-1]) == (held[1:] > held[:-1])).all()
    assert values_of(keys).tolist() == held.tolist()


def test_up_to_so_many_values_each_is_counted() -> None:
    values = np.array([0.0, -0.0, 1.5, -3.0, 1.5, np.nan, np.inf, -np.inf, np.finfo(np.float64).max])
    runs = cells_of(values).runs

    assert dict(zip(values_of(runs.least).tolist(), runs.counts.tolist(), strict=True)) == {-3.0: 1, 0.0: 2, 1.5: 2}


@pytest.fixture
def few_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(value_cells, "CELLS", 16)
    monkeypatch.setattr(value_cells, "BATCH", 32)


@pytest.mark.usefixtures("few_cells")
@given(st.lists(st.floats(-1e6, 1e6), max_size=300), st.randoms(use_true_random=False))
def test_order_and_parts_change_no_byte(values: list[float], random) -> None:  # noqa: ANN001 - Hypothesis has no public type of it
    whole = cells_of(np.array(values)).to_bytes()

    shuffled = random.sample(values, len(values))
    cuts = sorted(random.choices(range(len(values) + 1), k=3))
    parts = [shuffled[first:last] for first, last in zip([0, *cuts], [*cuts, len(values)], strict=True)]
    held = [cells_of(np.array(part)).to_bytes() for part in parts]
    pairs = [merged(held[:2]).to_bytes(), merged(held[2:]).to_bytes()]

    assert merged(held).to_bytes() == whole
    assert merged(pairs[::-1]).to_bytes() == whole
    assert ValueCells.from_bytes(whole).to_bytes() == whole


@pytest.mark.usefixtures("few_cells")
@given(st.lists(st.floats(-1e6, 1e6), max_size=300))
def test_the_level_is_the_lowest_at_which_there_are_few_cells(values: list[float]) -> None:
    cells = cells_of(np.array(values))
    runs, keys = cells.runs, [int(key) for key in keys_of(np.array(values))]

    held = Counter(key >> cells.level for key in keys)
    assert len(held) <= 16
    assert cells.level == 0 or len({key >> (cells.level - 1) for key in keys}) > 16
    assert runs.counts.tolist() == [held[cell] for cell in sorted(held)]
    assert runs.least.tolist() == [min(key for key in keys if key >> cells.level == cell) for cell in sorted(held)]
    assert runs.most.tolist() == [max(key for key in keys if key >> cells.level == cell) for cell in sorted(held)]
