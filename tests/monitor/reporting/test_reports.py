"""Reports are due by the wall clock, tell of whole days of event time, and are made once, whatever ends the daemon in between."""

import random
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from monitor.alerting.decisions import Asked, Scope, Silence
from monitor.alerting.rules import Severity
from monitor.alerting.schedule import Schedule
from monitor.facts import Fact, ReportMade, WindowClosed
from monitor.pipeline import Pipeline
from monitor.reporting.making import ReportSpan, report_of
from monitor.reporting.reports import ReportPlan, refuse_often
from monitor.reporting.tally import MOST_INCIDENTS, MOST_REQUESTS, MOST_VERSIONS, ModelTally, moment, nanos
from monitor.store.sqlite import StateStore
from monitor.stream.events import SECOND, Nanos, SeriesKey
from monitor.stream.windows import WindowSpec
from monitor.targets.base import Subscriber
from monitor.targets.payloads import Sender
from monitor.targets.reports import ReportFolder, report_notices
from tests.build import DAY, HOUR, KEY, MIDNIGHT, MINUTE, at, feed, make_batch, make_rule, make_spec, of, play, restored
from tests.reported import BEGIN, END, a_report, a_week, hours, incident

MONDAY = MIDNIGHT + DAY  # 2025-11-24
WEEKLY = ReportPlan(Schedule("0 8 * * 1"), ("churn",))
DAILY = ReportPlan(Schedule("0 8 * * *", "Europe/Berlin"), ("churn",))
FOLDER = Subscriber(ReportFolder(Path("/nowhere"), 5), "folder", frozenset(), reports=True)
SENDER = Sender("c", "1")


def reporting(plan: ReportPlan | None = WEEKLY, **changes: object) -> Pipeline:
    return Pipeline([make_spec(rules=[make_rule(severity=Severity.CRITICAL)], **changes)], 30 * SECOND, reports=plan)


def turn(pipeline: Pipeline, now: Nanos, facts: list[Fact] | None = None) -> list[ReportMade]:
    """What a turn of the loop does with facts: it tells people, then makes what is due."""
    pipeline.told(facts or [])
    return of(pipeline.report(now), ReportMade)


def until(pipeline: Pipeline, event_time: Nanos) -> list[Fact]:
    return feed(pipeline, make_batch([event_time - SECOND]), until=event_time)


# --- when -------------------------------------------------------------------------------------------------------------


def test_a_report_is_made_at_its_hour_of_the_seven_days_before() -> None:
    pipeline = reporting()
    assert turn(pipeline, MONDAY, until(pipeline, MONDAY)) == []
    assert turn(pipeline, MONDAY + 8 * HOUR - 1) == []

    (made,) = turn(pipeline, MONDAY + 8 * HOUR)

    assert (made.model, made.due) == ("churn", MONDAY + 8 * HOUR)
    assert (made.report.start, made.report.end) == (moment(MONDAY - 7 * DAY), moment(MONDAY))
    assert made.report.whole
    assert turn(pipeline, MONDAY + 9 * HOUR) == []


def test_one_follows_the_other_without_a_gap() -> None:
    pipeline = reporting(DAILY)
    turn(pipeline, MIDNIGHT)
    made: list[ReportMade] = []
    for day in range(1, 6):
        made += turn(pipeline, MIDNIGHT + day * DAY + 12 * HOUR, until(pipeline, MIDNIGHT + day * DAY + 11 * HOUR))

    assert len({each.id for each in made}) == len(made) == 5
    assert [each.report.start for each in made[1:]] == [each.report.end for each in made[:-1]]
    assert made[-1].report.end == datetime(2025, 11, 28, tzinfo=ZoneInfo("Europe/Berlin"))


def test_what_was_missed_is_caught_up_by_one_report_of_all_of_it() -> None:
    pipeline = reporting()
    turn(pipeline, MONDAY)
    until(pipeline, MONDAY)
    (first,) = turn(pipeline, MONDAY + 9 * HOUR)
    later = restart(pipeline)
    until(later, MONDAY + 22 * DAY)

    (caught_up,) = turn(later, MONDAY + 22 * DAY)

    assert caught_up.due == MONDAY + 21 * DAY + 8 * HOUR
    assert caught_up.report.start == first.report.end
    assert caught_up.report.end == moment(MONDAY + 21 * DAY)


def test_a_report_waits_for_events_that_are_not_read_yet_and_at_last_says_that_some_are_not() -> None:
    pipeline = reporting()
    turn(pipeline, MONDAY - DAY, until(pipeline, MONDAY - 5 * HOUR))

    assert turn(pipeline, MONDAY + 8 * HOUR) == turn(pipeline, MONDAY + 19 * HOUR) == []
    (made,) = turn(pipeline, MONDAY + 21 * HOUR)

    assert not made.report.whole
    until(pipeline, MONDAY + 7 * DAY)
    (following,) = turn(pipeline, MONDAY + 8 * DAY)
    assert following.report.start == moment(MONDAY - 5 * HOUR), "what came later is told then"
    assert following.report.whole


def test_a_new_daemon_reports_at_its_first_due_time_and_not_of_before() -> None:
    pipeline = reporting()

    assert turn(pipeline, MONDAY + 9 * HOUR) == []


def test_a_clock_that_was_years_ahead_once_does_not_keep_reports_back() -> None:
    pipeline = reporting()
    turn(pipeline, MONDAY + 3000 * DAY, until(pipeline, MONDAY))
    assert turn(pipeline, MONDAY + HOUR) == []

    assert len(turn(pipeline, MONDAY + 8 * HOUR)) == 1


@pytest.mark.parametrize("cron", ["0 * * * *", "0 8,12 * * *"])
def test_more_than_one_a_day_is_refused(cron: str) -> None:
    with pytest.raises(ValueError, match="more often than daily"):
        refuse_often(Schedule(cron))


def test_without_a_plan_nothing_is_ever_made() -> None:
    pipeline = reporting(None)
    until(pipeline, MONDAY)

    assert turn(pipeline, MONDAY + 400 * DAY) == []


# --- once -------------------------------------------------------------------------------------------------------------


def restart(pipeline: Pipeline) -> Pipeline:
    fresh = reporting()
    restored(pipeline, fresh)
    return fresh


def test_killed_at_any_time_there_is_one_report_a_week_and_model_in_the_outbox(tmp_path: Path) -> None:
    """State and notice are saved in one transaction: a kill before it loses both, one after it neither."""
    seed = random.getrandbits(32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    store = StateStore(tmp_path)
    pipeline, unsaved = reporting(DAILY), []
    store.save(pipeline.changes(), {}, [], MONDAY)  # who has saved nothing has begun when it starts again
    told: list[str] = []
    for hour in range(24 * 6):
        now = MONDAY + hour * HOUR
        made = turn(pipeline, now, until(pipeline, now - HOUR))
        unsaved += report_notices(made, [FOLDER], SENDER)
        if chance.random() < 0.3:  # killed before it saves: all since the last checkpoint is gone
            pipeline, unsaved = reporting(DAILY), []
            pipeline.restore(store.records(), now)
        elif chance.random() < 0.6:
            store.save(pipeline.changes(), {}, unsaved, now)
            unsaved = []
    store.save(pipeline.changes(), {}, unsaved, now)
    while (row := store.next_due(FOLDER.name, now)) is not None:
        told.append(row.notice.id)
        store.delivered(row)
    store.close()

    assert len(told) == len(set(told)) == 6


def test_the_tally_survives_restarts_as_it_was() -> None:
    pipeline = reporting()
    for first in range(0, 40, 8):
        pipeline.told(play(pipeline, "CBBBCCCC", first=first))
    before = pipeline.tallies.tallied("churn")

    after = restart(pipeline).tallies.tallied("churn")

    assert after == before
    assert before.incidents


def test_a_model_that_is_gone_takes_its_rows_with_it() -> None:
    pipeline = reporting()
    pipeline.told(play(pipeline, "CBBBCCCC"))
    fresh = Pipeline([make_spec(key=KEY.__class__("other", "1"))], 30 * SECOND)
    restored(pipeline, fresh)

    gone = [record for record in fresh.changes() if record.kind in {"tally", "tallied"} and record.payload is None]
    assert len(gone) == 2


# --- what it says -----------------------------------------------------------------------------------------------------


def test_an_incident_that_fired_and_ended_is_in_the_report_with_its_windows() -> None:
    pipeline = reporting()
    pipeline.told(play(pipeline, "CCBBBCCCCC"))

    report = report_of(pipeline.tallies.tallied("churn"), ReportSpan(MIDNIGHT, MIDNIGHT + HOUR), MIDNIGHT + HOUR)

    (told,) = report.incidents
    assert (told.rule, told.ended, told.silenced) == ("age-missing", "resolved", False)
    assert [(each.rule, each.count) for each in report.opened] == [("age-missing", 1)]
    assert (report.windows, report.rows, report.resolved) == (10, 20, 1)
    assert sum(report.outcomes.values()) == 1


def test_what_opens_in_silence_is_counted_as_such_until_it_is_told() -> None:
    pipeline = reporting()
    pipeline.told(play(pipeline, "CC"))
    pipeline.told(pipeline.decide(Asked("d1", Silence(Scope("churn"), HOUR), "ana", "release"), now=at(2)))
    pipeline.told(play(pipeline, "BB", first=2))
    (silent,) = pipeline.tallies.tallied("churn").incidents
    assert silent.silenced

    pipeline.told(pipeline.expire(at(2) + 2 * HOUR))

    (told,) = pipeline.tallies.tallied("churn").incidents
    assert not told.silenced


def test_windows_that_overlap_are_counted_once() -> None:
    pipeline = reporting(None, length=4 * MINUTE)
    sliding = reporting(None, length=4 * MINUTE, slide=MINUTE)
    rows = []
    for each in (pipeline, sliding):
        for minute in range(60):
            each.told(feed(each, make_batch([at(minute), at(minute + 0.5)]), until=at(minute + 1)))
        (counts,) = each.tallies.tallied("churn").hours.values()
        rows.append(counts["rows"])

    assert rows[0] == rows[1] > 100


def test_a_report_counts_what_lies_in_its_span_and_no_more() -> None:
    whole = a_report()
    halves = [
        report_of(a_week(), ReportSpan(start, end), END)
        for start, end in ((BEGIN, BEGIN + 3 * DAY), (BEGIN + 3 * DAY, END))
    ]

    assert whole.rows == sum(each.rows for each in halves) == 165 * 1200
    assert sum(each.count for half in halves for each in half.opened) == sum(each.count for each in whole.opened) == 2
    assert sum(each.hours_without for each in halves) == whole.hours_without == whole.longest_gap == 3
    assert [each.incident for each in halves[0].incidents] == ["i1"]
    assert [each.incident for each in halves[1].incidents] == ["i2"]
    assert whole.missing == pytest.approx(0.01)
    assert whole.silenced == 1
    assert whole.labels is not None
    assert whole.labels.coverage == 0.7
    assert [each.version for each in whole.versions] == ["4"]


def test_a_budget_is_held_where_chance_alone_explains_what_opened() -> None:
    quiet = report_of(a_week(per_month=30.0), ReportSpan(BEGIN, END), END).budget
    loud = a_report().budget

    assert quiet is not None
    assert loud is not None
    assert quiet.held
    assert quiet.expected == pytest.approx(7.0)
    assert not loud.held
    assert a_report(per_month=None).budget is None


def test_a_day_in_berlin_is_a_day_of_berlin() -> None:
    """The clock is set back on 2026-10-25: that day has 25 hours."""
    zone = ZoneInfo("Europe/Berlin")
    start, end = (nanos(datetime(2026, 10, day, tzinfo=zone).astimezone(UTC)) for day in (25, 26))
    known = a_week()
    hour = {start + n * HOUR: {"seen": 1.0, "rows": 1.0} for n in range(-5, 30)}
    told = report_of(known.__class__("churn", hour), ReportSpan(start, end, "Europe/Berlin"), end)

    assert [(str(each.day), each.rows) for each in told.days] == [("2026-10-25", 25)]


def test_what_is_kept_is_bounded_however_much_happens() -> None:
    pipeline = reporting()
    pipeline.told(play(pipeline, "CBC" * 150))
    kept = pipeline.tallies.tallied("churn")

    assert len(kept.incidents) <= MOST_INCIDENTS
    assert len(kept.requests) <= MOST_REQUESTS
    for day in range(1, 80):
        pipeline.told(until(pipeline, MIDNIGHT + day * DAY))
    later = pipeline.tallies.tallied("churn")
    assert len(later.hours) <= 41 * 24
    assert later.incidents == later.requests == ()


def test_hours_without_a_window_are_a_gap_and_those_before_the_first_are_none() -> None:
    known = a_week(incidents=(incident("i", BEGIN),)).__class__("churn", hours(range(60)))

    told = report_of(known, ReportSpan(BEGIN, END), BEGIN + 100 * HOUR)

    assert (told.hours, told.hours_without) == (40, 0)


def test_of_many_versions_the_last_ones_are_told() -> None:
    tally = ModelTally()
    for number in range(MOST_VERSIONS + 5):
        key, begin = SeriesKey("churn", str(number)), at(number)
        tally.close(WindowClosed(key, begin, begin + MINUTE, 5, ()), WindowSpec(MINUTE, MINUTE, 0), 1)

    assert [each.version for each in tally.stand("churn").versions][-1] == str(MOST_VERSIONS + 4)
    assert len(tally.versions) == MOST_VERSIONS
