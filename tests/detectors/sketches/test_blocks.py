"""Blocks of a column: compiled and by numpy, to the last bit."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.features import LARGEST, Floats
from detectors.reference.profiles import BINS, BLOCK, NumericProfile
from detectors.sketches import blocks

pytestmark = pytest.mark.usefixtures("compiled_parts")

COMMON = [0.0, -0.0, 1.0, -1.0, 0.1, 1e-310, LARGEST, -LARGEST, math.inf, -math.inf, math.nan, 5e-324]
values = st.one_of(st.sampled_from(COMMON), st.floats(width=64))
columns = st.lists(values, max_size=60).map(lambda found: np.array(found, dtype=np.float64))
finite = st.lists(st.floats(allow_nan=False, allow_infinity=False, width=64), min_size=1, max_size=300)


def usable(found: list[float]) -> Floats:
    """Values as a block holds them."""
    held, size = np.empty(len(found)), 0
    _, size = blocks.numpy_fill(np.array(found), 0, held, size)
    return held[:size]


@given(columns, st.integers(1, 20), st.integers(1, 3))
def test_what_can_be_binned_fills_a_block_alike(column: Floats, room: int, stride: int) -> None:
    found = [([0.0] * room, 0, 0)]
    for fill in (blocks.fill, blocks.numpy_fill):
        held, start, size = np.zeros(room), 0, 0
        strided = np.repeat(column, stride)[::stride]
        while start < strided.size and size < room:
            start, size = fill(strided, start, held, size)
        taken = held[:size]
        assert not np.signbit(taken[taken == 0]).any()
        found.append((taken.tobytes(), start if size < room else -1, size))  # how far it looks once full is its own
    assert found[1] == found[2]


@given(finite, st.sampled_from([1.0, 2.0**-1000, 1e300]))
def test_moments_are_those_of_numpy(found: list[float], scale: float) -> None:
    with np.errstate(over="ignore", under="ignore"):
        block = usable((np.array(found) * scale).tolist())
    if block.size:
        with np.errstate(under="ignore"):
            assert blocks.moments(block, np.empty(block.size)) == blocks.numpy_moments(block)


@pytest.mark.parametrize("size", [1, 7, 8, 9, 127, 128, 129, 130, 1000, 4097, 8191, BLOCK - 1, BLOCK])
def test_moments_are_those_of_numpy_at_any_length(size: int) -> None:
    """numpy's sums are pairwise, in pieces that depend on the length."""
    rng = np.random.default_rng()
    for block in (rng.normal(size=size), rng.lognormal(0, 9, size), rng.integers(0, 4, size).astype(np.float64)):
        assert blocks.moments(block, np.empty(size)) == blocks.numpy_moments(block)


@given(st.integers(0, 200), st.integers(1, 10**12), st.integers(1, 200_000), st.integers(0, 2**32))
def test_a_reservoir_takes_the_same_values(size: int, rank: int, sample: int, seed: int) -> None:
    draws = np.random.default_rng(seed).random(size)
    found = blocks.kept(draws, rank, sample, np.empty(size, dtype=np.int64))

    assert found.tolist() == blocks.numpy_kept(draws, rank, sample).tolist()


@given(st.lists(st.integers(-30, 30).map(float), max_size=80), st.lists(st.integers(-30, 30).map(float), max_size=80))
def test_new_values_are_found_until_there_are_too_many(known: list[float], block: list[float]) -> None:
    before = np.unique(usable(known))
    most = max(40, before.size)
    found = blocks.with_unknown(before, usable(block), most)
    other = blocks.numpy_with_unknown(before, usable(block), most)

    assert (found is None) == (other is None)
    assert found is None or other is None or found.tobytes() == other.tobytes()


@pytest.mark.parametrize("count", [BINS - 1, BINS, BINS + 1])
def test_a_column_has_few_values_up_to_the_last_bin(count: int) -> None:
    values = np.arange(count) / 7
    found = blocks.with_unknown(np.empty(0), values, BINS)

    assert (None if found is None else found.size) == (count if count <= BINS else None)


def test_a_column_is_profiled_alike_however_it_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """By either path, in pieces of any length; with what a block passes over among them."""
    rng = np.random.default_rng()
    column = np.where(
        rng.random(200_000) < 0.1, rng.choice([np.nan, np.inf, -0.0], 200_000), rng.lognormal(size=200_000)
    )
    found = set()
    for compiled in (True, False):
        monkeypatch.setattr(blocks, "USED", compiled)
        for cuts in ([0, 200_000], [0, 1, 70_000, 70_001, 150_123, 200_000]):
            profile = NumericProfile("x")
            for first, end in pairwise(cuts):
                profile.take(column[first:end])
            profile.finish()
            told = profile.mean, profile.std, profile.min, profile.max, profile.seen
            found.add((told, profile.edges().tobytes()))
    assert len(found) == 1


def test_what_does_not_fit_is_refused() -> None:
    numbers, room = np.zeros(4), np.zeros(4)
    with pytest.raises(ValueError, match="do not fit"):
        blocks._digest.fill(numbers, 5, room, 0)
    with pytest.raises(ValueError, match="do not fit"):
        blocks._digest.fill(numbers.astype(np.float32), 0, room, 0)
    with pytest.raises(ValueError, match="do not fit"):
        blocks._digest.moments(numbers, room[:3])
    with pytest.raises(ValueError, match="do not fit"):
        blocks._digest.moments(numbers[:0], room)
    with pytest.raises(ValueError, match="do not fit"):
        blocks._digest.kept(numbers, 1.0, 1.0, np.zeros(3, dtype=np.int64))
    with pytest.raises(ValueError, match="do not fit"):
        blocks._digest.unknown(numbers, room, np.zeros(1000))
