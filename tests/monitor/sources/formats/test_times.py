"""Event times of whole columns: whose they are."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from monitor.sources.formats.times import by_partition
from monitor.stream.events import SECOND


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5), st.integers(1, 40)), max_size=40))
def test_times_of_messages_of_many_rows_are_those_of_each_row(told: list[tuple[int, int, int]]) -> None:
    """Of messages in a row of one partition, each with so many rows; some have none."""
    partitions = [partition for partition, _, run in told for _ in range(run)]
    rows = [count for _, count, run in told for _ in range(run)]
    places = np.repeat(np.arange(len(rows)), rows)
    times = np.arange(len(places))[::-1] * SECOND

    found = by_partition(partitions, times, places)

    each = by_partition(np.asarray(partitions, dtype=np.int64)[places], times)
    assert found.keys() == each.keys()
    for index in each:
        assert found[index].times.tolist() == each[index].times.tolist()
        assert found[index].ends == each[index].ends
