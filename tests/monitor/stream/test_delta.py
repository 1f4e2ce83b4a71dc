"""Folding and merging: what a replica would send and what one process counts come to the same."""

import random

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors import LayoutMismatchError
from monitor.facts import EventsCounted
from monitor.stream.delta import Folder, PaneDelta
from monitor.stream.events import FEATURES, EventBatch, OffsetRange
from monitor.stream.sketches import LayoutSketches
from tests.build import KEY, MINUTE, OTHER_REFERENCE, P0, REFERENCE, at, feed, make_batch, make_pipeline, of, stored

SKETCHES = LayoutSketches(REFERENCE.layout)
FOLDER = Folder({(KEY, FEATURES): MINUTE})
minutes = st.lists(st.floats(0, 6, allow_nan=False), min_size=1, max_size=40)


def folded(batch: EventBatch) -> PaneDelta:
    [delta] = FOLDER.fold(batch)
    return delta


def sent(delta: PaneDelta) -> PaneDelta:
    return PaneDelta.from_bytes(delta.to_bytes(SKETCHES), SKETCHES)


@given(st.lists(minutes, min_size=1, max_size=5), st.integers(0, 5))
def test_merging_what_was_sent_is_merging_what_was_folded(batches: list[list[float]], seal: int) -> None:
    """Also of what is late, which the owner finds, not the folder."""
    here, there = make_pipeline(), make_pipeline()
    for number, times in enumerate(batches):
        delta = folded(make_batch([at(one) for one in times], [one * 10 for one in times]))
        assert here.merge(delta) == there.merge(sent(delta))
        if number == 0:
            for pipeline in (here, there):
                feed(pipeline, until=at(seal))

    assert stored(here.snapshot()) == stored(there.snapshot())


def test_ingesting_is_merging_what_is_folded() -> None:
    chance = random.Random(3)
    batch = make_batch([at(chance.uniform(0, 9)) for _ in range(100)])
    whole, parts = make_pipeline(), make_pipeline()
    feed(whole, until=at(4))
    feed(parts, until=at(4))

    assert feed(whole, batch, until=at(4)) == [*parts.merge(folded(batch)), *parts.advance()]
    kept = [[each for each in of.snapshot() if each.kind != "retraining"] for of in (whole, parts)]  # it sees versions
    assert stored(kept[0]) == stored(kept[1])


def test_a_delta_says_of_each_pane_how_many_rows_and_which_time_came_first() -> None:
    delta = folded(make_batch([at(1.5), at(0.5), at(1.25), at(0.75)]))

    assert {start: (part.rows, part.earliest) for start, part in delta.panes.items()} == {
        at(0): (2, at(0.5)),
        at(1): (2, at(1.25)),
    }


def test_a_folder_drops_nothing_and_the_owner_says_what_is_late() -> None:
    pipeline = make_pipeline()
    feed(pipeline, until=at(5))
    delta = folded(make_batch([at(1), at(4), at(6)]))

    assert sum(part.rows for part in delta.panes.values()) == 3
    assert of(pipeline.merge(delta), EventsCounted) == [
        EventsCounted("predictions", "ok", 1, KEY),
        EventsCounted("predictions", "late", 2, KEY),
    ]


def test_a_delta_knows_the_records_that_it_covers() -> None:
    batch = make_batch([at(0)])
    ranges = (OffsetRange(P0, 17, 41),)
    delta = folded(EventBatch(KEY, "predictions", batch.event_times, batch.numeric, batch.codes, offsets=ranges))

    assert delta.offsets == sent(delta).offsets == ranges


def test_nothing_is_folded_of_no_events() -> None:
    assert FOLDER.fold(make_batch([])) == []


def test_damaged_bytes_and_those_of_another_grid_are_refused() -> None:
    data = folded(make_batch([at(0)])).to_bytes(SKETCHES)

    with pytest.raises(LayoutMismatchError):
        PaneDelta.from_bytes(data, LayoutSketches(OTHER_REFERENCE.layout))
    with pytest.raises((ValueError, msgspec.DecodeError)):
        PaneDelta.from_bytes(data[:-9], SKETCHES)


def test_rows_are_counted_into_the_pane_itself() -> None:
    """What is folded in one process holds views of the batch: a sketch of 500 features is megabytes."""
    for times in ([0] * 5, [0, 0, 1, 1, 2], [1, 0, 2, 0, 1]):
        batch = make_batch(list(map(at, times)))

        for part in folded(batch).panes.values():
            assert np.shares_memory(part.numeric, batch.numeric)  # type: ignore[attr-defined]
