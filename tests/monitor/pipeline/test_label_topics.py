"""Partitions of labels: what they hold up, and what they do not."""

from dataclasses import replace

from monitor.alerting.alerts import AlertState
from monitor.facts import AlertChanged, PerformanceJudged
from monitor.pipeline import Pipeline
from monitor.stream.events import HOUR, MINUTE, SECOND, JoinBatch, MicroBatch, Nanos, Partition, SeriesKey
from monitor.stream.join import LABEL, no_rows
from tests.build import make_spec, of
from tests.fakes import NOON
from tests.labelled import Scored, performance_spec, predictions

EVENTS, LABELS = Partition("events", 0), Partition("labels", 0)


def pipeline() -> Pipeline:
    """Both partitions are assigned at noon."""
    mine = Pipeline([make_spec()], idle_after=30 * SECOND, label_topics=frozenset({"labels"}))
    mine.ingest(MicroBatch(assigned=frozenset({EVENTS, LABELS})), NOON)
    return mine


def seen(mine: Pipeline, now: Nanos, **times: Nanos) -> None:
    """Those named have shown an event."""
    shown = {Partition(topic, 0): at for topic, at in times.items()}
    mine.ingest(MicroBatch(seen=shown, read=frozenset(shown)), now)
    mine.advance()


def confirm(mine: Pipeline, partition: Partition, now: Nanos) -> None:
    """Its leader says that nothing lies beyond what was read."""
    mine.ingest(MicroBatch(confirmed={partition: now}), now)
    mine.advance()


def run_ahead(mine: Pipeline, now: Nanos) -> None:
    """Labels of a day later come, more than one: a single one would be taken for one of a wrong clock."""
    for hours in (24, 25):
        seen(mine, now, labels=NOON + hours * HOUR)


def test_labels_that_run_ahead_of_predictions_wait_for_them() -> None:
    mine = pipeline()
    seen(mine, NOON, events=NOON, labels=NOON)
    run_ahead(mine, NOON + SECOND)

    assert LABELS in mine.ahead()


def test_labels_are_read_on_where_predictions_pause() -> None:
    """A model that is scored once a night has its labels by day."""
    mine = pipeline()
    seen(mine, NOON, events=NOON, labels=NOON)
    for minute in range(5):
        confirm(mine, EVENTS, NOON + minute * MINUTE)
    run_ahead(mine, NOON + 5 * MINUTE)

    assert LABELS not in mine.ahead()


def test_a_leader_of_labels_that_is_away_is_no_matter_of_features() -> None:
    mine = pipeline()
    seen(mine, NOON, events=NOON, labels=NOON)
    firing = {
        partition: [
            alert
            for alert in of(mine.silence({partition: NOON}, NOON + 10 * MINUTE), AlertChanged)
            if alert.after is AlertState.FIRING
        ]
        for partition in (LABELS, EVENTS)
    }

    assert not firing[LABELS]
    assert firing[EVENTS]


def test_a_topic_of_labels_holds_up_the_models_that_take_labels_from_it_and_no_other() -> None:
    """One model has its labels inside its predictions, the other from a topic that is not read on."""
    inside, beside = SeriesKey("inside", "1"), SeriesKey("beside", "1")
    specs = [
        replace(make_spec(key=inside), performance=performance_spec(wait=10 * MINUTE)),
        replace(
            make_spec(key=beside),
            performance=replace(performance_spec(wait=10 * MINUTE), topics=frozenset({"labels"})),
        ),
    ]
    mine = Pipeline(specs, idle_after=30 * SECOND, label_topics=frozenset({"labels"}))
    mine.ingest(MicroBatch(assigned=frozenset({EVENTS, LABELS})), NOON)
    rows = predictions([Scored("r-1", NOON, 0.9)])
    joins = tuple(JoinBatch(key, rows, no_rows(LABEL)) for key in (inside, beside))
    mine.ingest(MicroBatch(seen={EVENTS: NOON, LABELS: NOON}, joins=joins), NOON)
    mine.ingest(MicroBatch(seen={EVENTS: NOON + HOUR}), NOON + SECOND)

    assert [fact.key for fact in of(mine.advance(), PerformanceJudged)] == [inside]

    mine.ingest(MicroBatch(seen={LABELS: NOON + HOUR}), NOON + SECOND)

    assert [fact.key for fact in of(mine.advance(), PerformanceJudged)] == [beside]
