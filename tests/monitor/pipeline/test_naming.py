"""In whose name alerts are told: ids of a driftd without a name are what they always were; of two with names none is another's."""

from typing import Any

from detectors.charts import IncidentKind
from monitor.alerting.ids import incident_id, notice_id, plain_id
from monitor.alerting.retraining import RetrainPolicy
from monitor.alerting.rules import Severity
from monitor.facts import AlertChanged, AlertSeen, Fact, RetrainDecided
from monitor.pipeline import Pipeline
from monitor.stream.events import SECOND, SeriesKey
from monitor.targets.base import Routing, Subscriber
from monitor.targets.payloads import Sender, notices, source_of
from tests.build import KEY, make_rule, make_spec, of, play, restored
from tests.fakes import NOON, ListTarget

CRITICAL = make_rule(severity=Severity.CRITICAL)
DATA = IncidentKind.DATA_QUALITY
GOLDEN = {  # of the build before instances had names
    notice_id(KEY, "drift", IncidentKind.DRIFT, NOON, "model.alert.firing"): "6310e1df0a9f3effbbfa21a814ad5821",
    notice_id(KEY, "drift", DATA, NOON, "model.alert.escalated", NOON): "d3057af9fad42940820981e4345da743",
    notice_id(
        SeriesKey("churn", "3", "DE"), "psi-high", DATA, NOON, "model.retrain.requested"
    ): "560666649fabd9a408dc40efe381b5ee",
    incident_id(KEY, "no_data", DATA, NOON): "6aa770b58318612bfaecb9f5933da9c5",
    plain_id("", "churn", "schedule", NOON): "12be014aac157f341e0557dea54093b0",
}


def named(instance: str = "") -> Pipeline:
    spec = make_spec(rules=[CRITICAL], retraining=RetrainPolicy(cooldown=0, max_per_week=1000))
    return Pipeline([spec], 30 * SECOND, instance=instance)


def changes(facts: list[Fact]) -> list[AlertChanged]:
    return [each for each in of(facts, AlertChanged) if each.opened or each.closed]


def said(facts: list[Fact], instance: str) -> list[tuple[str, str]]:
    """Ids and sources of what is told of some facts."""
    everything = Subscriber(ListTarget("pager"), "webhook", frozenset({"*"}), Routing())
    sender = Sender("c", "1", instance=instance)
    return [(each.notice.id, source_of(each.notice)) for each in notices(facts, [everything], sender)]


def test_ids_without_a_name_are_what_they_were() -> None:
    assert [*GOLDEN] == [*GOLDEN.values()]


def test_no_id_is_said_by_two_instances() -> None:
    told = {name: said(play(named(name), "CBBCC"), name) for name in ("", "eu", "us")}

    assert [len(each) for each in told.values()] == [3, 3, 3]  # firing, retraining requested, resolved
    assert len({name for each in told.values() for name, _ in each}) == 9
    assert {source.split("/")[2] for _, source in told["eu"]} == {"eu"}
    assert {source for _, source in told[""]} == {"/driftd/churn/3/age-missing"}


def test_of_an_open_incident_nothing_changes_when_its_driftd_gets_a_name() -> None:
    before = named()
    (opened,) = changes(play(before, "CBB"))

    after = named("eu")
    restored(before, after)
    (standing,) = [each for each in of(after.current(), AlertSeen) if each.incident]
    assert standing.incident == opened.incident
    assert [*after._open_incidents()] == [opened.incident]

    again = named("eu")  # killed and started again while it stands
    restored(after, again)
    closed, opened_next, closed_next = changes(play(again, "CCBBCC", first=3))
    assert (closed.incident, closed.instance) == (opened.incident, "")
    assert opened_next.incident == closed_next.incident
    assert opened_next.instance == closed_next.instance == "eu"


def test_a_name_that_is_taken_back_is_kept_by_what_is_open() -> None:
    before = named("eu")
    (opened,) = changes(play(before, "CBB"))
    after = named()
    restored(before, after)

    facts: list[Any] = play(after, "CCBB", first=3)

    closed, opened_next = changes(facts)
    assert (closed.incident, opened_next.instance) == (opened.incident, "")
    (wish,) = [each.wish for each in of(facts, RetrainDecided) if each.wish is not None]
    assert wish.id == notice_id(KEY, CRITICAL.name, opened_next.kind, opened_next.since, "model.retrain.requested")


def test_what_was_ended_while_a_rule_went_is_told_under_its_name() -> None:
    before = named("eu")
    (opened,) = changes(play(before, "CBB"))
    without = Pipeline([make_spec(rules=[])], 30 * SECOND, instance="us")

    (closed,) = changes(restored(before, without))

    assert closed.incident == opened.incident
