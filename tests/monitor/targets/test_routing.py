"""Who hears of what: models, kinds and severities, from when it is bad enough to its end; and what is said again while it stands."""

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from detectors.charts import IncidentKind
from monitor.alerting.alerts import AlertState
from monitor.alerting.episodes import Evidence
from monitor.alerting.retraining import RetrainOutcome
from monitor.alerting.rules import Severity
from monitor.facts import AlertChanged, AlertEscalated, DeliveryTried, Fact, RetrainDecided, WindowSpan
from monitor.store.sqlite import StateStore
from monitor.stream.events import SECOND, SeriesKey
from monitor.targets.base import Delivered, Fault, Refused, Routing, Subscriber, TryLater, still_heard
from monitor.targets.notifier import Notifier
from monitor.targets.payloads import ESCALATED, FIRING, RESOLVED, RETRAIN, Sender, notices
from monitor.targets.transport import Transport
from tests.fakes import NOON, ListTarget, ManualClock

MINUTE = 60 * SECOND
SENDER = Sender("c0nf16", "1.2.3")
INACTIVE, PENDING, RAISED, RECOVERING = AlertState
WARNED = AlertChanged(
    key=SeriesKey("churn", "3"),
    rule="drift",
    severity=Severity.WARNING,
    before=INACTIVE,
    after=RAISED,
    since=NOON - 5 * MINUTE,
    episode=1,
    window=WindowSpan(NOON - 5 * MINUTE, NOON, 10_000),
    evidence=(Evidence("age", "psi", 0.41, 0.25, 1e-9, 10_000),),
    reference="abc123",
)
WORSE = AlertEscalated(replace(WARNED, severity=Severity.CRITICAL, before=RAISED), WARNED.evidence, Severity.WARNING)
ENDED = replace(WARNED, before=RAISED, after=INACTIVE)
AGAIN = replace(WARNED, since=NOON + 60 * MINUTE, window=WindowSpan(NOON + 55 * MINUTE, NOON + 60 * MINUTE, 10_000))


class Scene:
    """A state with one subscriber and its notifier."""

    def __init__(self, directory: Path, subscriber: Subscriber, target: ListTarget) -> None:
        self.clock, self.directory, self.subscriber, self.target = ManualClock(), directory, subscriber, target
        self.io = Transport(self.clock)
        self.facts: list[DeliveryTried] = []
        self.open()

    def open(self) -> None:
        self.store = StateStore(self.directory)
        self.notifier = Notifier(self.subscriber, self.store, self.clock, self.facts.append)

    def restart(self) -> None:
        self.store.close()
        self.open()

    def say(self, *facts: Fact) -> list[str]:
        """What the target is told at once."""
        self.store.save([], {}, notices(facts, [self.subscriber], SENDER), self.clock.now())
        return self.deliver()

    def deliver(self) -> list[str]:
        before = len(self.target.notices)
        while self.notifier.turn(self.io):
            pass
        return [each.type for each in self.target.notices[before:]]

    def after(self, seconds: float) -> list[str]:
        self.clock.advance(seconds)
        return self.deliver()

    def standing(self) -> list[str]:
        return [each.place for each in self.store.standing(self.subscriber.name, self.clock.now())]


@pytest.fixture
def made(tmp_path: Path) -> Iterator[list[Scene]]:
    scenes: list[Scene] = []
    yield scenes
    for scene in scenes:
        scene.store.close()
        scene.io.__exit__()


@pytest.fixture
def critical(made: list[Scene], tmp_path: Path) -> Scene:
    """A target that hears of what is critical."""
    target = ListTarget()
    routing = Routing(severities=frozenset({"critical"}))
    made.append(Scene(tmp_path, Subscriber(target, "list", frozenset({"*"}), routing), target))
    return made[-1]


@pytest.fixture
def forgetful(made: list[Scene], tmp_path: Path) -> Scene:
    """A target that is told each minute what stands."""
    target = ListTarget()
    made.append(Scene(tmp_path, Subscriber(target, "list", frozenset({"*"}), again_every=60.0), target))
    return made[-1]


# --- routing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("routing", "heard"),
    [
        (Routing(), True),
        (Routing(models=("fraud", "ch*")), True),
        (Routing(models=("fraud", "CH*")), False),
        (Routing(kinds=frozenset({"drift", "service"})), True),
        (Routing(kinds=frozenset({"service"})), False),
        (Routing(severities=frozenset({"info", "warning"})), True),
        (Routing(severities=frozenset({"critical"})), False),
    ],
)
def test_a_target_hears_of_its_models_kinds_and_severities(routing: Routing, heard: bool) -> None:
    subscriber = Subscriber(ListTarget(), "list", frozenset({"*"}), routing)
    decided = RetrainDecided(WARNED, RetrainOutcome.REQUESTED, data_from=NOON, data_to=NOON)

    for fact in (WARNED, decided):
        assert any(each.targets for each in notices([fact], [subscriber], SENDER)) is heard


def test_a_warning_is_not_told_and_neither_is_its_end(critical: Scene) -> None:
    assert critical.say(WARNED) == []
    assert critical.say(ENDED) == []


def test_what_gets_worse_is_told_from_then_on_to_its_end_however_bad_it_is_by_then(critical: Scene) -> None:
    assert critical.say(WARNED) == []
    assert critical.say(WORSE) == [ESCALATED]
    milder = replace(WORSE, alert=replace(WORSE.alert, severity=Severity.WARNING, window=AGAIN.window))
    assert critical.say(milder) == [ESCALATED]
    critical.restart()
    assert critical.say(ENDED) == [RESOLVED]
    critical.clock.advance(3600)
    assert critical.say(AGAIN) == []
    assert critical.say(replace(AGAIN, before=RAISED, after=INACTIVE)) == []


def test_who_wants_no_end_is_still_forgotten_at_the_end(made: list[Scene], tmp_path: Path) -> None:
    target = ListTarget()
    routing = Routing(severities=frozenset({"critical"}))
    scene = Scene(tmp_path, Subscriber(target, "list", frozenset({ESCALATED}), routing), target)
    made.append(scene)

    assert scene.say(WARNED, WORSE) == [ESCALATED]
    assert scene.standing() == ["churn/3/drift/drift"]
    assert scene.say(ENDED) == []
    scene.clock.advance(3600)
    assert scene.standing() == []


def test_nothing_is_written_down_for_who_hears_of_all_and_is_told_once(made: list[Scene], tmp_path: Path) -> None:
    target = ListTarget()
    made.append(Scene(tmp_path, Subscriber(target, "list", frozenset({"*"})), target))

    assert made[0].say(WARNED) == [FIRING]
    assert made[0].standing() == []


# --- what stands ------------------------------------------------------------------------------------------------------


def test_what_stands_is_said_again_each_interval_and_the_end_for_a_quarter_of_an_hour(forgetful: Scene) -> None:
    assert forgetful.say(WARNED) == [FIRING]
    assert forgetful.after(59) == []
    assert forgetful.after(2) == [FIRING]
    assert forgetful.say(WORSE) == [ESCALATED]
    assert forgetful.after(61) == [ESCALATED]
    assert forgetful.say(ENDED) == [RESOLVED]
    said = [kind for _ in range(20) for kind in forgetful.after(61)]
    assert said == [RESOLVED] * 14
    assert len(forgetful.facts) == 3  # what is said again and taken is no news


def test_when_it_was_decided_stays_through_all_that_is_said_again(forgetful: Scene) -> None:
    forgetful.say(WARNED)
    forgetful.after(61)
    forgetful.say(WORSE)
    forgetful.after(61)
    forgetful.say(ENDED)
    forgetful.after(61)

    decided = [(each.type, ((each.decided or 0) - NOON) // SECOND) for each in forgetful.target.notices]
    assert decided == [(FIRING, 0), (FIRING, 0), (ESCALATED, 61), (ESCALATED, 0), (RESOLVED, 122), (RESOLVED, 122)]


def test_all_that_stands_is_said_at_a_start(forgetful: Scene) -> None:
    quality = replace(WARNED, kind=IncidentKind.DATA_QUALITY)
    assert forgetful.say(WARNED, quality) == [FIRING, FIRING]
    forgetful.restart()

    assert forgetful.deliver() == [FIRING, FIRING]
    assert forgetful.deliver() == []


def test_an_end_is_not_said_again_over_what_opened_anew_at_its_place(forgetful: Scene) -> None:
    forgetful.say(WARNED)
    forgetful.say(ENDED)
    forgetful.say(AGAIN)

    assert [kind for _ in range(5) for kind in forgetful.after(61)] == [FIRING] * 5


def test_a_failure_to_say_it_again_is_news_and_what_is_new_goes_first(forgetful: Scene) -> None:
    forgetful.say(WARNED)
    forgetful.target.answers = [TryLater(503, "answered 503", delay=5.0)]

    assert forgetful.after(61) == [FIRING]
    assert forgetful.facts[-1] == DeliveryTried(
        "pager", "list", forgetful.target.notices[0].id, "retried", 503, "answered 503"
    )
    assert forgetful.after(4) == []
    assert forgetful.say(WORSE) == []
    assert forgetful.after(2) == [ESCALATED]


def test_what_is_refused_is_said_again_no_more_often_than_what_is_taken(forgetful: Scene) -> None:
    forgetful.target.answers = [Delivered(), *[TryLater(400, "answered 400", fault=Fault.NOTICE)] * 100]
    forgetful.say(WARNED)

    assert [kind for _ in range(120) for kind in forgetful.after(1)] == [FIRING] * 2


def test_what_stands_of_a_target_or_a_series_that_is_gone_is_forgotten(forgetful: Scene) -> None:
    forgetful.say(WARNED, replace(WARNED, key=SeriesKey("fraud", "1")))

    forgetful.store.forget_standing_of_others(still_heard([forgetful.subscriber], [WARNED.key]))
    assert forgetful.standing() == ["churn/3/drift/drift"]
    forgetful.store.forget_standing_of_others(still_heard([], [WARNED.key]))
    assert forgetful.standing() == []


@pytest.mark.parametrize("routing", [Routing(models=("fraud",)), Routing(kinds=frozenset({"data_quality"}))])
def test_what_a_target_hears_of_no_more_stands_no_more(forgetful: Scene, routing: Routing) -> None:
    forgetful.say(WARNED)
    elsewhere = replace(forgetful.subscriber, routing=routing)

    forgetful.store.forget_standing_of_others(still_heard([elsewhere], [WARNED.key]))
    assert forgetful.after(61) == []


# --- what people drop -------------------------------------------------------------------------------------------------


def test_what_is_dropped_before_it_was_taken_is_not_said_again_while_it_stands(forgetful: Scene) -> None:
    forgetful.target.answers = [Refused(400)] * 2
    assert forgetful.say(WARNED, WORSE) == [FIRING, ESCALATED]
    forgetful.store.drop(forgetful.store.undelivered())

    assert forgetful.standing() == []
    assert forgetful.after(61) == []


def test_of_what_was_taken_a_dropped_escalation_ends_nothing(forgetful: Scene) -> None:
    forgetful.say(WARNED)
    forgetful.target.answers = [Refused(400)]
    assert forgetful.say(WORSE) == [ESCALATED]
    forgetful.store.drop(forgetful.store.undelivered())

    assert forgetful.standing() == ["churn/3/drift/drift"]
    assert forgetful.after(61) == [ESCALATED]
    assert forgetful.say(ENDED) == [RESOLVED]


def test_a_dropped_end_is_not_said_for_a_quarter_of_an_hour(forgetful: Scene) -> None:
    forgetful.say(WARNED)
    forgetful.target.answers = [Refused(400)]
    assert forgetful.say(ENDED) == [RESOLVED]
    forgetful.store.drop(forgetful.store.undelivered())

    assert forgetful.after(61) == []


def test_who_was_not_told_because_it_was_dropped_is_not_told_of_the_end(critical: Scene) -> None:
    critical.target.answers = [Refused(400)]
    assert critical.say(WORSE) == [ESCALATED]
    critical.store.drop(critical.store.undelivered())

    assert critical.say(ENDED) == []


def test_somebody_who_has_mended_a_receiver_does_not_wait_for_it(forgetful: Scene) -> None:
    forgetful.target.answers = [TryLater(503, "answered 503", delay=3600.0)]
    assert forgetful.say(WARNED) == [FIRING]
    assert forgetful.after(30) == []

    forgetful.store.retry(forgetful.store.undelivered(), forgetful.clock.now())
    forgetful.notifier.try_now()
    assert forgetful.deliver() == [FIRING]
    assert forgetful.store.undelivered() == []


def test_a_request_for_retraining_stands_nowhere(forgetful: Scene) -> None:
    decided = RetrainDecided(WARNED, RetrainOutcome.REQUESTED, data_from=NOON, data_to=NOON)

    assert forgetful.say(decided) == [RETRAIN]
    assert forgetful.standing() == []


def test_a_disk_that_fails_is_asked_again(forgetful: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    forgetful.say(WARNED)
    with monkeypatch.context() as broken:
        broken.setattr(forgetful.store, "standing", failing)
        assert forgetful.after(61) == []

    assert forgetful.deliver() == [FIRING]


def failing(*_: object) -> None:
    raise sqlite3.OperationalError("disk I/O error")
