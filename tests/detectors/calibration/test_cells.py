"""The few cells a feature is decided on: nothing is lost on them, and what stands alone keeps its own."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors import Reference
from detectors.calibration import MergedCells
from detectors.calibration.cells import FEWEST, MOST
from tests.charted import mixed, pane, seeded

ROWS = 5_000


@pytest.fixture(scope="module")
def learnt() -> Reference:
    return Reference.fit(mixed(seeded(), ROWS))


def cells_of(reference: Reference, rows: float) -> MergedCells:
    return MergedCells.of(reference.layout, reference.counts, rows)


@pytest.mark.parametrize("rows", [0.0, 5.0, 30.0, 100.0, 1e6])
def test_cells_are_runs_and_not_many(learnt: Reference, rows: float) -> None:
    cells = cells_of(learnt, rows)

    for cuts, joined, first, lost in zip(
        cells.cuts, cells.joined, learnt.layout.offsets, learnt.layout.lost, strict=False
    ):
        assert cuts[0] == 0
        assert (np.diff(cuts) > 0).all()
        assert cuts[-1] < lost - first
        assert cuts.size <= MOST
        assert cuts.size - joined.size <= (MOST if rows > FEWEST * 3 else FEWEST)
        assert 0 not in joined
    assert cells.sizes.max() == cells.width
    assert (cells.held.sum(axis=1) == cells.sizes).all()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 300), st.floats(5, 1e5))
def test_every_usable_value_is_in_one_cell(learnt: Reference, seed: int, count: int, rows: float) -> None:
    window = pane(learnt, mixed(np.random.default_rng(seed), count))
    merged = cells_of(learnt, rows).merge(window.counts)

    assert (merged.sum(axis=1) == count - window.missing).all()
    assert not merged[~cells_of(learnt, rows).held].any()


def test_merging_is_addition(learnt: Reference) -> None:
    rng, cells = seeded(), cells_of(learnt, 100.0)
    one, other = (pane(learnt, mixed(rng, 200)) for _ in range(2))
    both = cells.merge(one.counts) + cells.merge(other.counts)
    one.add(other)

    assert (cells.merge(one.counts) == both).all()


def test_a_number_falls_where_its_rungs_say(learnt: Reference) -> None:
    cells, values = cells_of(learnt, 100.0), seeded().normal(scale=2.0, size=1_000)
    found = cells.merge(pane(learnt, {"normal": values}).counts)[learnt.names.index("normal")]
    places = np.searchsorted(cells.rungs(0), values, side="left")

    assert learnt.names[0] == "normal"
    assert found.tolist() == np.bincount(places, minlength=cells.width).tolist()


def test_cells_of_a_smooth_number_are_alike(learnt: Reference) -> None:
    """As near a sixteenth each as 256 bins allow."""
    found = cells_of(learnt, 1e6).merge(learnt.counts)[learnt.names.index("normal")]

    assert found.size == MOST
    assert found.min() > ROWS / MOST / 2
    assert found.max() < ROWS / MOST * 1.2


def test_mass_at_one_value_keeps_a_cell_of_its_own(learnt: Reference) -> None:
    """Else more zeros and more small values would look the same."""
    cells = cells_of(learnt, 100.0)
    zeros = cells.merge(pane(learnt, {"zeros": np.zeros(50)}).counts)[learnt.names.index("zeros")]
    small = cells.merge(pane(learnt, {"zeros": np.full(50, 1e-6)}).counts)[learnt.names.index("zeros")]

    assert zeros.max() == 50
    assert zeros.argmax() != small.argmax()


def test_categories_too_rare_for_a_window_share_the_last_cell(learnt: Reference) -> None:
    """c, d and e come four times and more in 100 rows; f once, with all that was never seen."""
    cells, at = cells_of(learnt, 100.0), learnt.names.index("plan")
    alone, rare, new = (
        cells.merge(pane(learnt, {"plan": [name] * 10}).counts)[at].argmax() for name in ("d", "f", "new")
    )

    assert alone == 3
    assert rare == new == cells.sizes[at] - 1


@pytest.mark.parametrize("count", [40, 50, 500])
def test_many_rare_categories_share_a_few_even_cells(count: int) -> None:
    """None comes three times in a window: side by side in one cell their mix would be seen by nobody."""
    names = np.array([f"city{one:03}" for one in range(count)])
    found = Reference.fit({"city": np.resize(names, 50 * count)})
    merged = cells_of(found, 100.0).merge(found.counts)[0]

    assert FEWEST <= merged.size <= MOST
    assert merged.min() >= 0.03 * merged.sum()
    assert merged.max() <= 0.12 * merged.sum()


@pytest.mark.parametrize(("rare", "rows"), [(0.005, 100.0), (0.4, 5.0), (0.5, 5.0)])
def test_two_categories_are_two_cells(rare: float, rows: float) -> None:
    found = Reference.fit({"flag": np.repeat(["a", "b"], [round(1_000 * (1 - rare)), round(1_000 * rare)])})
    cells = cells_of(found, rows)

    assert cells.merge(found.counts)[0].tolist() == [round(1_000 * (1 - rare)), round(1_000 * rare)]


def test_what_hardly_ever_comes_is_no_run_but_a_cell() -> None:
    """One such row in a window would look like a change of the mix; its rate has a chart of its own."""
    found = Reference.fit({"flag": np.repeat(["a", "b"], [999, 1])})

    for rows, runs in ((100.0, [1]), (1_000.0, [2])):
        cells = cells_of(found, rows)
        assert cells.sizes.tolist() == [2]
        assert cells.heads.sum(axis=1).tolist() == runs


RARE = {
    "flag": lambda rng, n: (rng.random(n) < 0.01).astype(np.float64),
    "mostly one": lambda rng, n: (rng.random(n) < 0.99).astype(np.float64),
    "inflated": lambda rng, n: np.where(rng.random(n) < 0.98, 0.0, rng.exponential(size=n)),
    "both sides": lambda rng, n: np.where(rng.random(n) < 0.98, 0.0, rng.normal(size=n)),
    "sentinel": lambda rng, n: np.where(rng.random(n) < 0.01, -1.0, rng.exponential(size=n)),
    "seldom": lambda rng, n: np.where(rng.random(n) < 0.01, "b", "a"),
}


@pytest.mark.parametrize("name", RARE)
@pytest.mark.parametrize("rows", [30.0, 1_000.0])
def test_what_few_rows_have_is_watched_by_itself(name: str, rows: float) -> None:
    """On whichever side of the common value it lies, and whether or not a window brings rows enough for a run."""
    found = Reference.fit({"x": RARE[name](seeded(), 20_000)})
    cells = cells_of(found, rows)
    watched, merged = cells.watched(found.counts), cells.merge(found.counts)[0]

    assert ((merged[watched.places] > 0.005 * 20_000) & (merged[watched.places] < 0.025 * 20_000)).any()
    assert np.array_equal(cells.fold(merged[None]).sum(), merged.sum())


def test_runs_hold_rows_enough_or_nothing(learnt: Reference) -> None:
    cells = cells_of(learnt, 100.0)
    held = cells.fold(cells.merge(learnt.counts))[cells.heads]

    assert ((held == 0) | (held * 100 >= 3 * 0.5 * ROWS)).all()


def test_rare_categories_have_cells_as_far_as_there_are_places() -> None:
    """Twenty common ones; of two hundred that hardly a window brings, even parts."""
    counts = np.concatenate([np.full(20, 2_000), np.full(200, 20)])
    names = np.array([f"c{at:03}" for at in range(counts.size)])
    found = Reference.fit({"city": np.repeat(names, counts)})
    cells = cells_of(found, 1_000.0)
    watched = cells.watched(found.counts)

    assert cells.sizes[0] == MOST
    assert 3 <= watched.places.size <= 8
    assert cells.merge(found.counts)[0].max() <= counts.sum() / 4


def test_between_the_few_values_of_a_number_there_are_cells() -> None:
    """Else 1 in place of 100 would look like nothing."""
    found = Reference.fit({"flag": np.resize([0.0, 100.0], 1_000), "many": np.resize(np.arange(12.0), 1_000)})
    cells = cells_of(found, 1_000.0)
    flags = [cells.merge(pane(found, {"flag": [value], "many": [0.0]}).counts)[0] for value in (0.0, 1.0, 99.0, 100.0)]

    assert [one.argmax() for one in flags] == [0, 1, 1, 2]
    assert cells.merge(found.counts)[0, :3].tolist() == [500, 0, 500]
    assert cells.sizes[1] == 12  # no places left


def test_all_categories_of_codes_are_named(learnt: Reference) -> None:
    cells, at = cells_of(learnt, 1e6), learnt.names.index("plan")

    assert cells.codes(at).tolist() == [0, 1, 2, 3, 4, 5, 5]  # the last is other: with the rarest


@pytest.mark.parametrize("name", ["constant", "empty", "only"])
def test_what_does_not_vary_is_one_cell(learnt: Reference, name: str) -> None:
    assert cells_of(learnt, 100.0).sizes[learnt.names.index(name)] == 1
