"""The owner: what is missing is told with its range, what is bad is put aside, what is known is dropped."""

import msgspec
import pytest

from monitor.facts import EventsCounted
from monitor.replicas.cells import SourceLog, ViewPlace
from monitor.replicas.folding import LogEnd, SentRecord, SourceRead
from monitor.replicas.ledger import AHEAD, OffsetGap
from monitor.replicas.owner import KINDS, PREFIX, GapClosed, Heard, Quarantined, ReplicaOwner
from monitor.replicas.wire import CellPrefix, PanePrefix, RecordFault, read, write
from monitor.series.records import Record
from tests.build import KEY, OTHER_KEY, at, make_spec, of, stored
from tests.replicated import LOGS, LoggedEvent, Logs, heard, owner_of

LOG, SILENT = LOGS[:2]
PLACE, OTHER_PLACE = ViewPlace("churn", "3"), ViewPlace("churn", "4")
EVENTS = [LoggedEvent(offset, at(offset / 4), OTHER_KEY if offset % 5 == 2 else KEY) for offset in range(100)]
WORLD = Logs.of({LOG: EVENTS}, [make_spec(), make_spec(key=OTHER_KEY)], length=10)
CONFIG = WORLD.plan.config


def cell(begin: int, end: int | None = None) -> list[SentRecord]:
    """What is sent of a cell that is read at once: prefixes of both series, and progress."""
    folder = WORLD.folder(LOG, begin)
    sent = folder.read(WORLD.between(LOG, begin, end or folder.end), now=0)
    return sent or folder.flush(now=0)


def only(place: ViewPlace, sent: list[SentRecord]) -> list[SentRecord]:
    """The prefixes of one place."""
    found = [(each, read(each.value, CONFIG)) for each in sent]
    return [each for each, record in found if isinstance(record, CellPrefix) and record.place == place]


def without(place: ViewPlace, sent: list[SentRecord]) -> list[SentRecord]:
    return [each for each in sent if each not in only(place, sent)]


def counted(told: Heard, outcome: str = "ok") -> int:
    return sum(fact.count for fact in of(told.facts, EventsCounted) if fact.outcome == outcome)


def faults(told: Heard) -> list[RecordFault]:
    return [each.fault for each in of(told.told, Quarantined)]


def changed(record: SentRecord, **changes: object) -> bytes:
    return write(msgspec.structs.replace(read(record.value, CONFIG), **changes), CONFIG)


# --- counting -------------------------------------------------------------------------------------------------------


def test_nothing_is_counted_before_progress_names_it() -> None:
    owner, sent = owner_of(WORLD), cell(0)

    assert counted(heard(owner, sent[:-1])) == 0
    assert counted(heard(owner, sent[-1:])) == 10


def test_a_growing_prefix_counts_what_is_new_of_it() -> None:
    owner, folder = owner_of(WORLD), WORLD.folder(LOG, 0)
    found = []
    for end in (2, 5, 9):
        folder.read(WORLD.between(LOG, folder.position, end), now=0)
        found.append(counted(heard(owner, folder.flush(now=0))))

    assert found == [2, 3, 4]


def test_what_comes_after_its_pane_was_sealed_is_late_and_counted_once() -> None:
    """The first minute is over when the cell has shown two more: rows of it that follow, in the same cell, are late."""
    times = [0.1, 0.2, 3, 0.3, 0.4, 3.5]
    world = Logs.of({LOG: [LoggedEvent(number, at(each), KEY) for number, each in enumerate(times)]}, [make_spec()])
    owner, folder, late = owner_of(world), world.folder(LOG, 0), []
    for end in (3, 4, 5, 6):
        folder.read(world.between(LOG, folder.position, end), now=0)
        late.append(counted(heard(owner, folder.flush(now=0)), "late"))

    assert late == [0, 1, 1, 0]


def test_what_is_known_is_dropped() -> None:
    owner, sent = owner_of(WORLD), [*cell(0), *cell(10)]
    heard(owner, sent)
    before = stored(owner.snapshot())
    again = heard(owner, [*cell(0, 6), *sent, *cell(10, 17)])

    assert (again.facts, again.told, again.repeats) == ([], [], 3 + 6 + 3)
    assert stored(owner.snapshot()) == before


def test_progress_waits_for_nobody_who_is_further() -> None:
    """A folder that was taken for dead has sent more of a series than the one after it: what names less waits, and that is no gap."""
    owner = owner_of(WORLD)
    told = heard(owner, [*only(PLACE, cell(0, 9)), *cell(0, 6)])

    assert (told.told, counted(told)) == ([], 0)
    assert counted(heard(owner, cell(0, 9))) == 9


def test_the_end_of_a_log_is_news_without_records() -> None:
    owner, folder = owner_of(WORLD), WORLD.folder(LOG, 0)
    heard(owner, [])
    for now in (5, 6):
        [sent] = folder.flush(now, LogEnd(now))
        assert owner.hear(sent.value).repeats == 0
        assert owner.pipeline.watermark.partitions[LOG.partition].confirmed == now


def test_records_without_events_do_not_make_a_log_active_and_its_clock_is_saved() -> None:
    owner, folder = owner_of(WORLD), WORLD.folder(LOG, 0)
    folder.read(WORLD.between(LOG, 0, 1), now=5)
    heard(owner, folder.flush(5))
    folder.read(SourceRead(1, 3), now=9)
    heard(owner, folder.flush(9, LogEnd(8)))

    for each in (owner, restarted(owner)):
        clock = each.pipeline.watermark.partitions[LOG.partition]
        assert (each.logs[LOG].taken, clock.active, clock.confirmed) == (3, 5, 8)


# --- gaps -----------------------------------------------------------------------------------------------------------


def test_a_prefix_that_did_not_come_is_a_gap_with_its_range_and_series() -> None:
    owner = owner_of(WORLD)
    heard(owner, cell(0))
    told = heard(owner, without(PLACE, cell(10)))
    gap = OffsetGap(LOG, 10, 10, 20, (PLACE,))

    assert (told.told, counted(told)) == ([gap], 0)
    assert str(gap) == "predictions/0: no counts of [10, 20) of churn/3: fold it again from 10"


def test_a_cell_that_did_not_come_is_a_gap_of_everything() -> None:
    owner = owner_of(WORLD)
    told = heard(owner, [*cell(0), *cell(20)])

    assert told.told == [OffsetGap(LOG, 10, 10, 20)]
    assert counted(told) == 10


def test_a_gap_is_closed_by_whoever_folds_the_cell_again() -> None:
    owner = owner_of(WORLD)
    told = heard(owner, [*cell(0), *without(OTHER_PLACE, cell(10)), *cell(20)])
    [gap] = of(told.told, OffsetGap)
    closed = heard(owner, cell(gap.cell))

    assert closed.told == [GapClosed(gap)]
    assert counted(closed) == 20


def test_what_lies_far_beyond_a_gap_is_not_kept_and_read_again() -> None:
    owner = owner_of(WORLD)
    for begin in range(10, 100, 10):
        heard(owner, cell(begin))

    assert len(owner.logs[LOG].cells) == AHEAD
    assert counted(heard(owner, cell(0))) == 10 * (AHEAD + 1)
    assert owner.logs[LOG].taken == 10 * (AHEAD + 1)
    assert counted(heard(owner, [each for begin in range(50, 100, 10) for each in cell(begin)])) == 50


@pytest.mark.parametrize("whole", [True, False], ids=["a cell", "a series"])
def test_a_gap_that_nobody_can_fill_is_passed_over(whole: bool) -> None:
    owner = owner_of(WORLD)
    told = heard(owner, [*cell(0), *([] if whole else without(PLACE, cell(10))), *cell(20)])
    [gap] = of(told.told, OffsetGap)
    passed = owner.pass_over(LOG)

    assert passed.told == [GapClosed(gap, passed=True)]
    assert counted(passed) == (10 if whole else 10 + len([each for each in EVENTS[10:20] if each.key == OTHER_KEY]))
    assert owner.logs[LOG].taken == 30
    assert owner.pass_over(LOG) == Heard()


def test_a_gap_is_told_once_also_after_a_restart() -> None:
    owner = owner_of(WORLD)
    heard(owner, [*cell(0), *cell(20)])
    again = restarted(owner)

    assert heard(again, cell(20)).told == []
    assert [type(each) for each in heard(again, cell(10)).told] == [GapClosed]
    assert again.logs[LOG].taken == 30


def test_event_time_stands_while_something_of_a_log_is_missing() -> None:
    owner = owner_of(WORLD)
    heard(owner, cell(0))
    stood = owner.pipeline.watermark.value
    heard(owner, [*cell(20), *cell(30)])

    assert owner.pipeline.watermark.value == stood


# --- what is put aside ----------------------------------------------------------------------------------------------


def test_a_log_a_series_or_a_judge_partition_that_is_not_ours_is_put_aside() -> None:
    owner, (first, *_, progress) = owner_of(WORLD), cell(0)
    renewed = SourceLog(LOG.topic, "topic-2", LOG.index)
    bad = [
        (changed(first, log=renewed), RecordFault.OTHER_LOG),
        (changed(progress, log=SILENT), RecordFault.OTHER_LOG),
        (changed(first, place=ViewPlace("churn", "99")), RecordFault.OTHER_PLACE),
        (changed(progress, judge=1), RecordFault.OTHER_PLACE),
        (changed(progress, digests={ViewPlace("fraud", "1"): b"digest!!"}), RecordFault.OTHER_PLACE),
    ]

    for data, fault in bad:
        assert faults(owner.hear(data)) == [fault]
    assert counted(heard(owner, cell(0))) == 10


def test_cells_that_begin_elsewhere_are_put_aside() -> None:
    owner, (first, *_) = owner_of(WORLD), cell(0)

    for begin, end in ((3, 9), (5, 12), (0, 11), (14, 19)):
        assert faults(owner.hear(changed(first, begin=begin, end=end))) == [RecordFault.ELSEWHERE]


@pytest.mark.parametrize("taken", [True, False], ids=["taken", "not taken"])
def test_two_that_say_two_things_of_the_same_records_are_never_merged(taken: bool) -> None:
    owner, sent = owner_of(WORLD), cell(0, 6)
    heard(owner, sent if taken else sent[:-1])
    [other] = only(PLACE, cell(10, 16))  # of as many records, and other counts
    told = owner.hear(changed(other, begin=0, end=6))

    assert faults(told) == [RecordFault.CONTRADICTS]
    assert counted(heard(owner, sent)) == (0 if taken else 6)


def test_a_prefix_that_has_lost_rows_is_put_aside() -> None:
    """As of a log that was compacted."""
    owner = owner_of(WORLD)
    heard(owner, cell(0, 6))
    [fewer] = only(PLACE, cell(0, 2))

    assert faults(owner.hear(changed(fewer, end=8))) == [RecordFault.CONTRADICTS]


def test_progress_that_does_not_know_what_is_counted_is_put_aside_and_forgotten() -> None:
    owner = owner_of(WORLD)
    heard(owner, cell(0, 6))
    *_, progress = cell(0, 6)

    assert faults(owner.hear(changed(progress, end=8, digests={}))) == [RecordFault.CONTRADICTS]
    assert counted(heard(owner, cell(0))) == 4


def test_counts_that_no_sketch_wrote_are_put_aside() -> None:
    owner, (first, *_) = owner_of(WORLD), cell(0)
    prefix = read(first.value, CONFIG)
    assert isinstance(prefix, CellPrefix)
    start, pane = next(iter(prefix.panes.items()))
    bad = [{start: PanePrefix(pane.earliest, pane.counts[:-3])}, {start + 1: pane}, {start: PanePrefix(start - 1, b"")}]

    for panes in bad:
        assert faults(owner.hear(changed(first, panes=panes))) == [RecordFault.MALFORMED]


# --- state ----------------------------------------------------------------------------------------------------------


def restarted(owner: ReplicaOwner) -> ReplicaOwner:
    fresh = owner_of(WORLD, assigned=False)
    rows = stored(owner.snapshot())
    assert fresh.restore([Record(kind, key, held) for (kind, key), held in rows.items()], now=0) == []
    assert kept(stored(fresh.snapshot())) == kept(rows)
    return fresh


def test_what_was_saved_goes_on_as_it_was() -> None:
    """In the middle of a cell, with prefixes that nobody has named yet."""
    owner = owner_of(WORLD)
    heard(owner, [*cell(0), *cell(10, 14), *cell(10, 18)[:-1]])
    again = restarted(owner)
    rest = [*cell(10, 18)[-1:], *cell(10), *cell(20)]

    assert heard(again, rest).facts == heard(owner, rest).facts
    assert kept(stored(again.snapshot())) == kept(stored(owner.snapshot()))


def test_a_checkpoint_writes_what_changed_and_takes_away_what_is_over() -> None:
    owner = owner_of(WORLD)
    held, prefixes = stored(owner.snapshot()), []
    for sent in (cell(0, 4), cell(0), cell(10, 15), cell(20)):
        heard(owner, sent)
        held = stored(owner.changes(), held)
        assert kept(held) == kept(stored(owner.snapshot()))
        prefixes.append(sum(kind == PREFIX for kind, _ in held))
    assert prefixes == [2, 0, 2, 4]
    assert stored(owner.changes()) == {}


def kept(rows: dict[tuple[str, str], bytes]) -> dict[tuple[str, str], bytes]:
    """Rows of its own, and panes: ADWIN's state holds bytes that mean nothing."""
    return {name: held for name, held in rows.items() if name[0] in {*KINDS, "pane"}}


def test_records_of_another_configuration_are_forgotten_and_folded_anew() -> None:
    owner = owner_of(WORLD)
    heard(owner, [*cell(0), *cell(10, 14)])
    other = Logs.of({LOG: EVENTS}, [make_spec(), make_spec(key=OTHER_KEY)], length=20)
    fresh = owner_of(other, assigned=False)
    fresh.restore(owner.snapshot(), now=0)

    assert faults(heard(fresh, cell(10))) == [RecordFault.CONFIG] * 3
