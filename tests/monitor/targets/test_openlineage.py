"""OpenLineage events: read back by the project's own client, under one run from the request to its end."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from openlineage.client import event_v2, facet_v2
from openlineage.client.serde import Serde

from monitor.alerting.retraining import RetrainOutcome
from monitor.alerting.runs import TRAINED, FollowedRun, OpenRequest, RunsReport, RunState, StartedRun
from monitor.facts import OffsetSpan, RetrainDecided, RetrainEnded
from monitor.store.outbox import Notice
from monitor.stream.events import Partition
from monitor.targets.base import Delivered, Refused, TryLater
from monitor.targets.payloads import PENDING, RETRAIN, Sender, notice
from monitor.targets.retraining import ended_notice
from tests.apis.service import CANARY, Call, Reply, Service, built, deliver
from tests.fakes import NOON, ManualClock
from tests.monitor.targets.test_wishes import OF_ALERT, OF_SCHEDULE, decided

SENDER = Sender("c0nf16", "1.2.3", "https://drift.internal")
MADE = OpenRequest(
    "r3", OF_ALERT.key, "drift", NOON, NOON + 10**15, OF_ALERT.data_from, NOON, "drift", OF_ALERT.incident
)


class Collector(Service):
    """Keeps events, as a collector does; answers 201, as Marquez does."""

    token = CANARY

    def entry(self, **changes: Any) -> dict[str, Any]:
        known = {
            "type": "openlineage",
            "url": self.url,
            "token_env": "TOKEN",
            "dataset_namespace": "kafka://broker:9092",
        }
        return {**known, **changes}

    def answer(self, call: Call) -> Reply:
        if call.headers.get("authorization") != f"Bearer {self.token}":
            return Reply(401, {"message": "who are you"})
        return Reply(201, b"")

    def events(self) -> list[dict[str, Any]]:
        return [call.json for call in self.posts("/api/v1/lineage")]


@pytest.fixture
def collector() -> Iterator[Collector]:
    found = Collector()
    yield found
    found.close()


def requested(wish: Any = OF_ALERT) -> Notice:
    spans = tuple(OffsetSpan(Partition(topic, index), 5, 9) for topic, index in (("a", 0), ("a", 1), ("b", 0)))
    made = decided(wish, RetrainOutcome.REQUESTED)
    fact = RetrainDecided(made.alert, made.outcome, made.data_from, made.data_to, made.wish, spans, whole=True)
    return notice(fact, RETRAIN, SENDER)


def ended(state: RunState, version: str = "") -> Notice:
    run = FollowedRun("trainer", "argo_workflows", StartedRun(state, "d-1", "https://argo/d-1"))
    request = MADE.take(RunsReport("r3", (run,)), NOON)[0] if state.ended else MADE
    request = request.trained(version, NOON) if version else request
    return ended_notice(RetrainEnded(request), SENDER.config_hash, SENDER.version, SENDER.page)


def sent(collector: Collector, *notices: Notice) -> list[dict[str, Any]]:
    told = built(collector.entry())
    for each in notices:
        assert deliver(told, each, ManualClock()) == Delivered(201)
    return collector.events()


# --- as the client library has it -------------------------------------------------------------------------------------

FACETS: dict[str, Any] = {
    "nominalTime": facet_v2.nominal_time_run.NominalTimeRunFacet,
    "errorMessage": facet_v2.error_message_run.ErrorMessageRunFacet,
    "jobType": facet_v2.job_type_job.JobTypeJobFacet,
    "version": facet_v2.dataset_version_dataset.DatasetVersionDatasetFacet,
}


def facets(found: dict[str, Any], base: Any) -> dict[str, Any]:
    """Facets as objects of the library: those of the specification by their classes, which refuse what they do not know."""
    read = {}
    for name, each in found.items():
        own = {key: value for key, value in each.items() if not key.startswith("_")}
        kind = FACETS.get(name)
        if kind is None:
            assert name.startswith("driftd_")
            facet = base(producer=each["_producer"]).with_additional_properties(**own)
        else:
            facet = kind(producer=each["_producer"], **own)
            assert facet._schemaURL == each["_schemaURL"]
        read[name] = facet
    return read


def read(event: dict[str, Any]) -> event_v2.RunEvent:
    """An event as the library's own objects."""
    base = facet_v2
    return event_v2.RunEvent(
        eventType=event_v2.RunState(event["eventType"]),
        eventTime=event["eventTime"],
        run=event_v2.Run(event["run"]["runId"], facets(event["run"]["facets"], base.RunFacet)),
        job=event_v2.Job(
            event["job"]["namespace"], event["job"]["name"], facets(event["job"]["facets"], base.JobFacet)
        ),
        inputs=[
            event_v2.InputDataset(
                each["namespace"], each["name"], inputFacets=facets(each["inputFacets"], base.InputDatasetFacet)
            )
            for each in event["inputs"]
        ],
        outputs=[
            event_v2.OutputDataset(
                each["namespace"], each["name"], facets=facets(each.get("facets", {}), base.DatasetFacet)
            )
            for each in event["outputs"]
        ],
        producer=event["producer"],
    )


def without_urls(value: Any) -> Any:
    """A body without what the library fills in itself, and without what is empty."""
    if isinstance(value, dict):
        kept = {name: without_urls(each) for name, each in value.items() if name != "_schemaURL"}
        return {name: each for name, each in kept.items() if each not in ({}, None)}
    return [without_urls(each) for each in value] if isinstance(value, list) else value


EVENTS = {
    "requested": requested(),
    "by-schedule": requested(OF_SCHEDULE),
    "succeeded": ended(RunState.SUCCEEDED),
    "failed": ended(RunState.FAILED),
    "trained": ended(RunState.IN_FLIGHT, "4"),
    "version-later": ended(RunState.SUCCEEDED, "4"),
}


@pytest.mark.parametrize("said", EVENTS.values(), ids=EVENTS)
def test_the_client_library_reads_all_of_an_event_and_writes_the_same(collector: Collector, said: Notice) -> None:
    (event,) = sent(collector, said)
    again = Serde.to_dict(read(event))

    assert without_urls(again) == without_urls(event)
    assert again["schemaURL"] == event["schemaURL"]
    assert str(UUID(event["run"]["runId"])) == event["run"]["runId"]  # in lower case, with dashes


# --- what it says -----------------------------------------------------------------------------------------------------


def test_one_run_from_the_request_to_the_version(collector: Collector) -> None:
    start, complete, later = sent(collector, EVENTS["requested"], EVENTS["succeeded"], EVENTS["version-later"])

    assert [each["eventType"] for each in (start, complete, later)] == ["START", "COMPLETE", "OTHER"]
    assert len({each["run"]["runId"] for each in (start, complete, later)}) == 1
    assert {(each["job"]["namespace"], each["job"]["name"]) for each in (start, later)} == {("driftd", "retrain.churn")}
    assert "facets" not in start["outputs"][0]
    assert "driftd_cause" not in complete["run"]["facets"]  # it would take the place of the first
    assert later["outputs"][0]["facets"]["version"]["datasetVersion"] == "4"


def test_a_version_ends_it_and_a_failure_does(collector: Collector) -> None:
    trained, failed = sent(collector, EVENTS["trained"], EVENTS["failed"])

    assert trained["eventType"] == "COMPLETE"
    assert trained["run"]["facets"]["driftd_outcome"]["outcome"] == TRAINED
    assert failed["eventType"] == "FAIL"
    assert failed["run"]["facets"]["errorMessage"]["message"] == "churn/3: retraining failed: trainer failed"
    assert failed["run"]["facets"]["driftd_outcome"]["runs"][0]["url"] == "https://argo/d-1"


def test_a_request_says_its_cause_and_its_data(collector: Collector) -> None:
    (start,) = sent(collector, EVENTS["requested"])
    cause = start["run"]["facets"]["driftd_cause"]

    assert (cause["reason"], cause["incident"], cause["rule"]) == ("drift", OF_ALERT.incident, OF_ALERT.rule)
    assert cause["features"][0]["feature"] == "age"
    assert cause["configHash"] == "c0nf16"
    assert cause["referenceHash"]
    nominal = start["run"]["facets"]["nominalTime"]
    assert cause["onset"] == nominal["nominalStartTime"] < nominal["nominalEndTime"]
    assert [(each["namespace"], each["name"]) for each in start["inputs"]] == [
        ("kafka://broker:9092", "a"),
        ("kafka://broker:9092", "b"),
    ]
    records = start["inputs"][0]["inputFacets"]["driftd_records"]
    assert records["partitions"] == [{"partition": 0, "from": 5, "to": 9}, {"partition": 1, "from": 5, "to": 9}]
    assert records["whole"] is True


def test_a_repeat_is_the_same_event_byte_for_byte(collector: Collector) -> None:
    """The collector knows no key: the first answer is lost, and the clock has moved by the second attempt."""
    told, clock = built(collector.entry()), ManualClock()
    said = replace(EVENTS["requested"], decided=NOON)
    collector.lose = 1
    assert deliver(told, said, clock) is None
    clock.advance(3600)
    assert deliver(told, said, clock) == Delivered(201)

    first, second = collector.posts()
    assert first.body == second.body


# --- settings and answers ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"types": ["model.alert.firing"]}, "and not model.alert.firing"),
        ({"types": [PENDING]}, f"and not {PENDING}"),
        ({"dataset_namespace": "broker:9092"}, "must be kafka://HOST:PORT"),
        ({"dataset_namespace": "kafka://ana:secret@broker"}, "without a user name"),
        ({"endpoint": "api/v1/lineage"}, "endpoint"),
        ({"token_env": None, "token_file": "a", "token_env ": "b"}, "token_env  is no key"),
    ],
    ids=["alerts", "pending", "no scheme", "user", "endpoint", "key"],
)
def test_what_cannot_be_is_refused(collector: Collector, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said.replace(".", r"\.")):
        built(collector.entry(**changes))


def test_answers_are_judged_and_no_token_is_shown(collector: Collector) -> None:
    told = built(collector.entry())
    collector.instead = [
        Reply(200, b"<html>log in</html>"),
        Reply(400, {"message": f"no run {CANARY}"}),
        Reply(503, {}),
        lambda call: Reply(422, {"message": call.headers["authorization"]}),
    ]
    page, bad, busy, repeated = (deliver(told, requested()) for _ in range(4))

    assert isinstance(page, TryLater)
    assert isinstance(bad, Refused)
    assert isinstance(busy, TryLater)
    assert isinstance(repeated, Refused)
    assert CANARY not in f"{told!r}{bad!r}{repeated!r}"
