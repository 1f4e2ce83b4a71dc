"""The policy of retraining as a state machine: whatever comes in whatever order, no request while anything stands against it."""

from dataclasses import replace

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.alerting.retraining import (
    MANUAL_REASON,
    PERFORMANCE_REASON,
    REASON,
    SCHEDULE_REASON,
    VETOES,
    WEEK,
    RetrainHistory,
    RetrainOutcome,
    RetrainPolicy,
)
from tests.build import DAY, HOUR, at

REASONS = REASON, PERFORMANCE_REASON, SCHEDULE_REASON, MANUAL_REASON
AGAINST = frozenset({*VETOES.values(), RetrainOutcome.LAG, RetrainOutcome.FEW_LABELS})
POLICIES = st.builds(
    RetrainPolicy,
    cooldown=st.sampled_from([0, HOUR, DAY, 10 * DAY]),
    max_per_week=st.integers(0, 4),
    unless_trained_within=st.sampled_from([None, DAY, 3 * DAY]),
    in_flight_timeout=st.sampled_from([None, HOUR, 2 * DAY]),
    dry_run=st.booleans(),
    approval_within=st.sampled_from([None, DAY]),
)
WISHES = st.tuples(
    st.just("wish"), st.sampled_from(REASONS), st.frozensets(st.sampled_from(sorted(AGAINST)), max_size=1)
)
STEPS = st.one_of(
    WISHES,
    st.tuples(st.just("approve"), st.just(""), st.frozensets(st.sampled_from(sorted(AGAINST)), max_size=1)),
    st.tuples(st.just("drop"), st.just(""), st.just(frozenset())),
    st.tuples(st.just("version"), st.just(""), st.just(frozenset())),
)
STORIES = st.lists(st.tuples(st.integers(0, 3 * 24), STEPS), max_size=40)


@settings(max_examples=300)
@given(POLICIES, STORIES)
def test_nothing_is_requested_while_anything_stands_against_it(
    policy: RetrainPolicy, story: list[tuple[int, tuple[str, str, frozenset[RetrainOutcome]]]]
) -> None:
    """Told apart from the machine itself: what was requested and when is kept here, and each request is held against it."""
    history, now = RetrainHistory(), at(0)
    requested, pending, in_flight, trained = list[int](), False, None, None
    for hours, (kind, reason, vetoes) in story:
        now += hours * HOUR
        if kind == "version":
            history, trained, in_flight = history.seen_trained(now), now, None
            continue
        if kind == "drop":
            history, pending = history.without_pending(), False
            continue
        if kind == "approve" and not pending:
            continue
        decide = (
            history.approve(policy, now, vetoes) if kind == "approve" else history.decide(policy, now, reason, vetoes)
        )
        history, outcome = decide
        history = msgspec.json.decode(msgspec.json.encode(history), type=RetrainHistory)  # killed and restarted
        if outcome not in {RetrainOutcome.REQUESTED, RetrainOutcome.DRY_RUN, RetrainOutcome.PENDING}:
            assert outcome.suppressed
            assert outcome.words
            continue
        assert not vetoes
        assert kind == "approve" or not pending
        assert sum(now - each < WEEK for each in requested) < policy.max_per_week
        assert not requested or now - requested[-1] >= policy.cooldown
        timeout = policy.in_flight_timeout
        assert timeout is None or in_flight is None or now - in_flight >= timeout
        if reason == SCHEDULE_REASON and policy.unless_trained_within is not None:
            lately = [each for each in (trained, *requested[-1:]) if each is not None]
            assert all(now - each >= policy.unless_trained_within for each in lately)
        if outcome is RetrainOutcome.PENDING:
            assert policy.approval_within is not None
            assert reason != MANUAL_REASON
            pending = True
        else:
            assert (outcome is RetrainOutcome.DRY_RUN) is policy.dry_run
            assert policy.approval_within is None or kind == "approve" or reason == MANUAL_REASON or policy.dry_run
            requested, in_flight = [*requested, now], now
            pending = pending and kind != "approve"


@given(POLICIES, st.lists(st.integers(0, 72), max_size=30))
def test_force_stands_above_all_but_a_dry_run(policy: RetrainPolicy, gaps: list[int]) -> None:
    history, now = RetrainHistory(), at(0)
    wanted = RetrainOutcome.DRY_RUN if policy.dry_run else RetrainOutcome.REQUESTED
    for hours in gaps:
        now += hours * HOUR
        history, outcome = history.decide(policy, now, MANUAL_REASON, AGAINST, forced=True)

        assert outcome is wanted


@given(POLICIES, st.lists(st.integers(0, 72), max_size=30))
def test_a_dry_run_says_what_would_have_been_requested(policy: RetrainPolicy, gaps: list[int]) -> None:
    dry, real = (
        replace(policy, dry_run=True, approval_within=None),
        replace(policy, dry_run=False, approval_within=None),
    )
    rehearsed, asked, now = RetrainHistory(), RetrainHistory(), at(0)
    for hours in gaps:
        now += hours * HOUR
        rehearsed, said = rehearsed.decide(dry, now)
        asked, outcome = asked.decide(real, now)

        assert (said is RetrainOutcome.DRY_RUN) is (outcome is RetrainOutcome.REQUESTED)
        assert said is outcome or said is RetrainOutcome.DRY_RUN


def test_what_a_dry_run_would_have_requested_stands_under_no_other_policy() -> None:
    policy = RetrainPolicy(cooldown=DAY, max_per_week=1, in_flight_timeout=DAY)
    history, _ = RetrainHistory().decide(replace(policy, dry_run=True), at(0))

    assert history.decide(policy, at(1))[1] is RetrainOutcome.REQUESTED
