"""Runs that a request has started, through a real pipeline: what is in flight ends with them, and all of it after a restart."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import permutations
from typing import Any

import msgspec
import pytest

from monitor.alerting.decisions import Announce, Asked
from monitor.alerting.retraining import RetrainOutcome
from monitor.alerting.runs import FollowedRun, RunsReport, RunState, StartedRun
from monitor.alerting.versions import ListedVersions
from monitor.facts import Fact, RetrainDecided, RetrainEnded, RetrainRunEnded, RunsStand, VersionSeen
from monitor.pipeline import Pipeline
from monitor.retraining import ModelState
from tests.build import DAY, at, feed, make_batch, of, play, restored
from tests.monitor.pipeline.test_retraining import outcomes, ruled

REQUESTED, IN_FLIGHT = RetrainOutcome.REQUESTED, RetrainOutcome.IN_FLIGHT


def requested(**changes: Any) -> tuple[Pipeline, str]:
    pipeline = ruled(in_flight_timeout=DAY, **changes)
    (decided,) = of(play(pipeline, "CB"), RetrainDecided)
    assert decided.outcome is REQUESTED
    assert decided.wish is not None
    return pipeline, decided.wish.id


def report(name: str, *states: RunState) -> RunsReport:
    runs = (FollowedRun(f"t{n}", "argo", StartedRun(state, f"run{n}")) for n, state in enumerate(states))
    return RunsReport(name, tuple(runs))


def test_what_is_in_flight_ends_with_its_runs_and_the_next_wish_is_granted() -> None:
    pipeline, name = requested()
    assert outcomes(play(pipeline, "CB", 2)) == [IN_FLIGHT]

    ended = pipeline.take_runs(report(name, RunState.SUCCEEDED))

    assert [type(each) for each in ended] == [RetrainRunEnded, RetrainEnded]
    (fact,) = of(ended, RetrainEnded)
    assert (fact.request.id, fact.request.outcome, fact.failed) == (name, "succeeded", False)
    assert outcomes(play(pipeline, "CB", 4)) == [REQUESTED]


def test_what_goes_on_is_no_end() -> None:
    pipeline, name = requested()

    assert pipeline.take_runs(report(name, RunState.SUCCEEDED, RunState.IN_FLIGHT))[1:] == []
    assert pipeline.take_runs(report(name, RunState.SUCCEEDED, RunState.ABSENT)) == []
    assert pipeline.take_runs(report("another", RunState.SUCCEEDED)) == []
    assert outcomes(play(pipeline, "CB", 2)) == [IN_FLIGHT]


def test_after_a_restart_runs_are_known_and_the_same_report_says_nothing_twice() -> None:
    pipeline, name = requested()
    pipeline.take_runs(report(name, RunState.SUCCEEDED, RunState.IN_FLIGHT))
    fresh = ruled(in_flight_timeout=DAY)
    restored(pipeline, fresh)

    (stand,) = of(fresh.current(), RunsStand)
    (request,) = stand.requests
    assert request.id == name
    assert [each.found.state for each in request.runs] == [RunState.SUCCEEDED, RunState.IN_FLIGHT]
    assert of(fresh.take_runs(report(name, RunState.SUCCEEDED, RunState.FAILED)), RetrainEnded)[0].failed
    assert fresh.take_runs(report(name, RunState.SUCCEEDED, RunState.FAILED)) == []


def test_a_new_version_ends_it_and_is_told_once_more_after_its_runs() -> None:
    for ended_before in (False, True):
        pipeline, name = requested()
        if ended_before:
            pipeline.take_runs(report(name, RunState.SUCCEEDED))
        batch = replace(make_batch([at(2)]))
        facts = pipeline.ingest(replace(arrived(batch), versions=(("churn", "9", at(2)),)), 0)

        (fact,) = of(facts, RetrainEnded)
        assert fact.request.version == "9"
        assert fact.request.outcome == ("succeeded" if ended_before else "trained")
        assert not fact.failed


def test_a_late_event_of_a_version_from_before_the_request_ends_nothing() -> None:
    """What is in flight and how the request stands are one thing: the model had that version when it was asked for."""
    pipeline, name = requested()
    facts = pipeline.ingest(replace(arrived(make_batch([at(2)])), versions=(("churn", "9", at(0)),)), 0)

    assert of(facts, RetrainEnded) == []
    assert pipeline.retraining.runs_stand().requests[0].id == name
    assert pipeline.retraining.runs_stand().requests[0].is_in_flight(at(3))
    assert outcomes(play(pipeline, "CB", 3)) == [IN_FLIGHT]


def by_events(pipeline: Pipeline) -> list[Fact]:
    return pipeline.ingest(replace(arrived(make_batch([at(2)])), versions=(("churn", "9", at(2)),)), 0)


def by_request(pipeline: Pipeline) -> list[Fact]:
    return pipeline.decide(Asked("a", Announce("churn", "9"), "ann"), 0)


def by_registry(pipeline: Pipeline) -> list[Fact]:
    return pipeline.hear(ListedVersions("churn", (("3", 1), ("9", at(2)))), 0)


@pytest.mark.parametrize(
    "ways",
    list(permutations([by_events, by_request, by_registry])),
    ids=lambda ways: "-".join(each.__name__.removeprefix("by_") for each in ways),
)
@pytest.mark.parametrize("killed", [False, True])
def test_whoever_tells_of_a_version_first_ends_the_request_and_the_others_nothing(
    ways: Sequence[Callable[[Pipeline], list[Fact]]], *, killed: bool
) -> None:
    pipeline, _ = requested()
    pipeline.hear(ListedVersions("churn", (("3", 1),)), 0)
    facts: list[Fact] = []
    for way in ways:
        facts += way(pipeline)
        if killed:  # after it was saved
            fresh = ruled(in_flight_timeout=DAY)
            restored(pipeline, fresh)
            pipeline = fresh
    (ended,) = of(facts, RetrainEnded)
    assert (ended.request.version, ended.request.outcome) == ("9", "trained")
    assert [each.known.version for each in of(facts, VersionSeen)] == ["9"]
    assert pipeline.retraining.models["churn"].history.in_flight is None


def test_what_a_registry_made_before_the_request_does_not_end_it() -> None:
    pipeline, _ = requested()
    pipeline.hear(ListedVersions("churn", ()), 0)
    assert of(pipeline.hear(ListedVersions("churn", (("8", at(-60)),)), 0), RetrainEnded) == []
    assert outcomes(play(pipeline, "CB", 2)) == [IN_FLIGHT]
    assert len(of(pipeline.hear(ListedVersions("churn", (("8", at(-60)), ("9", at(99)))), 0), RetrainEnded)) == 1


def arrived(batch: Any) -> Any:
    from monitor.stream.events import MicroBatch

    return MicroBatch(batches=(batch,), seen={}, read=frozenset())


def test_how_requests_stand_is_told_when_it_changes() -> None:
    pipeline, name = requested()
    assert len(pipeline.news_of_runs()) == 1
    assert pipeline.news_of_runs() == []
    pipeline.take_runs(report(name, RunState.IN_FLIGHT))
    (stand,) = pipeline.news_of_runs()

    assert isinstance(stand, RunsStand)
    assert stand.requests[0].is_in_flight(at(3))
    assert not stand.requests[0].is_in_flight(at(3) + DAY)


def test_a_state_of_before_runs_were_followed_is_read() -> None:
    old = b'{"history":{"requested":[5],"in_flight":5,"pending":null,"trained":null,"dry":false},"versions":{"3":1}}'
    state = msgspec.json.decode(old, type=ModelState)

    assert (state.requests, state.history.failed, state.history.in_flight) == ((), (), 5)
    assert state.history.seen_ended(5, failed=True).in_flight is None


def test_data_since_the_last_training_are_asked_for_where_a_run_failed() -> None:
    """What a failed run was to be trained on is still to be trained on."""
    from monitor.alerting.decisions import Trigger
    from tests.monitor.pipeline.test_retraining import ask

    pipeline, name = requested()
    first = of(pipeline.current(), RunsStand)[0].requests[0]
    pipeline.take_runs(report(name, RunState.FAILED))
    feed(pipeline, make_batch([at(3)]), until=at(4))
    (again,) = of(ask(pipeline, Trigger("churn")), RetrainDecided)

    assert again.outcome is REQUESTED
    assert again.data_from < first.at
