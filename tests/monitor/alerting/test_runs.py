"""What becomes of a request: it is over once all runs that can be followed have ended, or a new version has come."""

from hypothesis import given
from hypothesis import strategies as st

from monitor.alerting.retraining import RetrainHistory
from monitor.alerting.runs import TRAINED, FollowedRun, OpenRequest, RunsReport, RunState, StartedRun
from tests.build import DAY, HOUR, KEY, at

MADE = OpenRequest("r1", KEY, "drift", at(0), at(0) + DAY, at(0) - HOUR, at(0))
IN_FLIGHT, SUCCEEDED, FAILED, CANCELLED = (
    RunState.IN_FLIGHT,
    RunState.SUCCEEDED,
    RunState.FAILED,
    RunState.CANCELLED,
)
TARGETS = "airflow", "prefect", "argo"


def runs(*states: RunState) -> RunsReport:
    found = zip(TARGETS, states, strict=False)
    return RunsReport("r1", tuple(FollowedRun(target, "t", StartedRun(state, "run")) for target, state in found))


def test_it_is_over_once_the_last_run_has_ended() -> None:
    first, ended = MADE.take(runs(SUCCEEDED, IN_FLIGHT), at(1))
    assert ([each.target for each in ended], first.is_in_flight(at(1))) == (["airflow"], True)

    second, ended = first.take(runs(SUCCEEDED, SUCCEEDED), at(2))
    assert ([each.target for each in ended], second.is_in_flight(at(2))) == (["prefect"], False)
    assert (second.outcome, second.ended_at) == ("succeeded", at(2))


def test_one_failure_is_a_failure_of_all() -> None:
    assert MADE.take(runs(SUCCEEDED, FAILED, CANCELLED), at(1))[0].outcome == "failed"
    assert MADE.take(runs(SUCCEEDED, CANCELLED), at(1))[0].outcome == "cancelled"


def test_what_is_not_found_or_not_known_is_no_end() -> None:
    for state in (RunState.ABSENT, RunState.UNKNOWN):
        after, ended = MADE.take(runs(SUCCEEDED, state), at(1))
        assert (after.outcome, len(ended)) == ("", 1)


def test_nothing_that_can_be_followed_is_no_end() -> None:
    assert MADE.take(runs(), at(1)) == (MADE, [])


def test_nobody_waits_longer_than_the_timeout() -> None:
    waiting, _ = MADE.take(runs(IN_FLIGHT), at(1))

    assert waiting.is_in_flight(at(0) + DAY - 1)
    assert not waiting.is_in_flight(at(0) + DAY)


def test_a_new_version_ends_it_and_keeps_how_runs_ended_before() -> None:
    failed, _ = MADE.take(runs(FAILED), at(1))

    assert MADE.trained("4", at(2)).outcome == TRAINED
    assert (failed.trained("4", at(2)).outcome, failed.trained("4", at(2)).version) == ("failed", "4")


def test_what_failed_has_trained_nothing_and_the_cooldown_goes_on() -> None:
    asked = RetrainHistory(requested=(at(0),)).granted(at(10))
    failed = asked.seen_ended(at(10), failed=True)

    assert (failed.in_flight, failed.requested) == (None, (at(0), at(10)))
    assert (asked.known_trained, failed.known_trained) == (at(10), at(0))
    assert asked.seen_ended(at(0), failed=False).in_flight == at(10)  # another request is in flight by then


@given(st.lists(st.lists(st.sampled_from(RunState), min_size=3, max_size=3), min_size=1, max_size=12))
def test_each_end_is_told_once_and_stays(story: list[list[RunState]]) -> None:
    """Whatever targets say in whatever order; kept apart from the machine: the first end that each told."""
    request, first = MADE, dict[str, RunState]()
    for step, states in enumerate(story):
        before = dict(first)
        for target, state in zip(TARGETS, states, strict=True):
            if state.ended:
                first.setdefault(target, state)
        request, ended = request.take(runs(*states), at(step))

        assert {each.target: each.found.state for each in ended} == {
            target: state for target, state in first.items() if target not in before
        }
        assert bool(request.outcome) is (len(first) == len(TARGETS))
