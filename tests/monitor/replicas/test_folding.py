"""Folding by cells: what is sent of a range does not depend on who reads it, in which batches, or since when."""

import random

import pytest

from monitor.replicas.cells import ReplicaPlan, cell_end, judge_of, plan_of
from monitor.replicas.folding import CellFolder, LogEnd, SentRecord
from monitor.replicas.wire import CellPrefix, CellProgress, read
from tests.build import KEY, OTHER_KEY, at, make_spec
from tests.replicated import LOGS, LoggedEvent, Logs

LOG = LOGS[0]
chance = random.Random(5)
EVENTS = [
    LoggedEvent(offset, at(chance.uniform(0, 3)), chance.choice([KEY, OTHER_KEY]), chance.uniform(0, 99))
    for offset in range(3, 40)
]
WORLD = Logs.of({LOG: EVENTS}, [make_spec(), make_spec(key=OTHER_KEY)], begins={LOG: 3}, length=10)


def folded(begin: int, end: int, *steps: int, flushing: bool = False) -> list[SentRecord]:
    """What is sent of a range that is read in these steps, and then one by one."""
    folder, sent, sizes = WORLD.folder(LOG, begin), list[SentRecord](), list(steps)
    while folder.position < end:
        step = sizes.pop(0) if sizes else 1
        to = min(folder.position + step, folder.end, end)
        sent += folder.read(WORLD.between(LOG, folder.position, to), now=0)
        sent += folder.flush(now=0) if flushing else []
    return sent or folder.flush(now=0)


def records(sent: list[SentRecord]) -> list[CellPrefix | CellProgress]:
    return [read(each.value, WORLD.plan.config) for each in sent]


def test_the_last_records_of_a_cell_are_the_same_bytes_whoever_folds_it() -> None:
    once = folded(10, 20, 10)

    assert once == folded(10, 20, 1, 2, 3)
    assert once == folded(3, 20, 4, 5)[-len(once) :]
    assert once[-1] in folded(
        10, 20, 3, 3, flushing=True
    )  # of a place without new records a prefix that ends before says the same


def test_a_prefix_is_all_of_its_cell_and_progress_names_it() -> None:
    *prefixes, progress = records(folded(10, 17, 7))

    assert isinstance(progress, CellProgress)
    assert (progress.begin, progress.end, progress.seen_until) == (10, 17, 17)
    assert progress.seen == max(each.time for each in EVENTS if 10 <= each.offset < 17)
    assert progress.digests == {each.place: each.digest for each in prefixes if isinstance(each, CellPrefix)}


def test_only_places_with_new_records_are_sent_again_and_progress_names_all() -> None:
    folder = WORLD.folder(LOG, 10)
    folder.read(WORLD.between(LOG, 10, 16), now=0)
    first = records(folder.flush(now=0))
    [again] = records(folder.flush(now=7, end=LogEnd(5)))

    assert isinstance(again, CellProgress)
    assert (again.at, again.confirmed) == (7, 5)
    assert len(again.digests) == len(first) - 1 == 2


def test_what_does_not_follow_or_is_of_two_cells_is_refused() -> None:
    folder = WORLD.folder(LOG, 3)

    with pytest.raises(ValueError, match=r"predictions/0: \[4, 6\) is not in \[3, 10\)"):
        folder.read(WORLD.between(LOG, 4, 6), now=0)
    with pytest.raises(ValueError, match=r"\[3, 12\) is not in \[3, 10\)"):
        folder.read(WORLD.between(LOG, 3, 12), now=0)


def test_every_judge_partition_is_told_how_far_a_log_was_read() -> None:
    specs = [make_spec()]
    plan = plan_of(specs, judges=5, length=10)
    sent = CellFolder(LOG, 0, plan, WORLD.places).flush(now=0)

    assert [each.judge for each in sent] == [0, 1, 2, 3, 4]


def test_cells_end_where_their_length_says_and_models_have_one_owner() -> None:
    assert [cell_end(begin, 10) for begin in (0, 3, 9, 10)] == [10, 10, 10, 20]
    assert {judge_of(f"model-{number}", 4) for number in range(100)} == {0, 1, 2, 3}


def test_a_plan_changes_with_whatever_counts_depend_on() -> None:
    plans = [
        plan_of([make_spec()]),
        plan_of([make_spec(slide=30 * 10**9)]),
        plan_of([make_spec()], decoding=b"mapping"),
        plan_of([make_spec()], judges=2),
        plan_of([make_spec()], length=7),
    ]

    assert len({each.config for each in plans}) == len(plans)
    assert plan_of([make_spec()]) == plans[0]


@pytest.mark.parametrize("wrong", [{"config": b"short"}, {"judges": 0}, {"length": 0}], ids=str)
def test_a_plan_that_is_none_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ReplicaPlan(**({"config": b"8 bytes!"} | wrong))  # type: ignore[arg-type]
