"""Sums of doubles lose nothing."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.performance.exact import as_float, exact_columns, exact_sums, from_bytes, to_bytes
from tests.charted import seeded

DOUBLES = st.floats(-1e290, 1e290, allow_nan=False, allow_subnormal=True)


@given(st.lists(DOUBLES, max_size=40))
def test_a_sum_is_rounded_once(values: list[float]) -> None:
    (total,) = exact_sums(np.array(values), np.zeros(len(values), np.int64), 1)

    assert as_float(total) == math.fsum(values)


@given(st.lists(DOUBLES, max_size=20), st.lists(DOUBLES, max_size=20))
def test_what_was_added_can_be_taken_out(kept: list[float], gone: list[float]) -> None:
    (both,) = exact_columns([np.array(kept + gone)])
    (one,) = exact_columns([np.array(kept)])
    (other,) = exact_columns([np.array(gone)])

    assert both - other == one


@given(st.lists(st.integers(-(2**2000), 2**2000), max_size=5))
def test_bytes_hold_sums(totals: list[int]) -> None:
    assert from_bytes(to_bytes(totals), len(totals)) == totals


def test_bytes_of_other_length_are_refused() -> None:
    with pytest.raises(ValueError, match="are not 2 sums"):
        from_bytes(to_bytes([1, 2, 3]), 2)


def test_groups_add_up_apart_over_many_batches() -> None:
    random = seeded()
    values = np.ldexp(random.normal(size=50_000), random.integers(-300, 300, size=50_000))
    groups = random.integers(0, 5, size=values.size)

    sums = [as_float(total) for total in exact_sums(values, groups, 5)]

    assert sums == [math.fsum(values[groups == k]) for k in range(5)]
