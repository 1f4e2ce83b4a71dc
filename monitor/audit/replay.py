"""Decisions made again from what the log holds: the same pure steps, and every float compared as it is."""

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
import numpy as np

from detectors.charts.charts import FILLED, Sums
from monitor.alerting.alerts import Span
from monitor.alerting.episodes import RuleState
from monitor.alerting.retraining import RetrainHistory, RetrainOutcome
from monitor.audit.chain import AuditNote
from monitor.audit.documents import digest_of, trace_of
from monitor.facts import AlertChanged, AlertEscalated
from monitor.retraining import says_broken_data
from monitor.series.incident import told_of
from monitor.series.metric_judge import JudgeTaken
from monitor.series.traces import IncidentTrace, JudgeStep, RetrainTrace, RuleTrace, SumStep


@dataclass(frozen=True, slots=True)
class MadeAgain:
    """How a decision came out. `wrong` None: it agrees; `scores` of it were computed again, too."""

    seq: int
    kind: str
    scores: int = 0
    wrong: str | None = None


def is_decision(note: AuditNote) -> bool:
    """Whether an entry holds what its decision was made from."""
    return note.body.get("inputs") is not None


def replayed(seq: int, note: AuditNote) -> MadeAgain:
    """Make the decision of an entry again, and compare."""
    try:
        trace = trace_of(note.body["inputs"])
        wrong, scores = _compared(trace, note), scores_of(trace)
    except (msgspec.MsgspecError, LookupError, TypeError, ValueError, AssertionError) as error:
        return MadeAgain(seq, note.kind, wrong=f"cannot be made again: {type(error).__name__}: {error}")
    return MadeAgain(seq, note.kind, scores, wrong)


def _compared(trace: IncidentTrace | RuleTrace | RetrainTrace, note: AuditNote) -> str | None:
    """What does not agree; None where all does."""
    if isinstance(trace, RetrainTrace):
        return _compared_retraining(trace, note)
    if isinstance(trace, IncidentTrace):
        for wrong in (*map(_compared_sum, trace.sums), *map(_compared_judge, trace.judged)):
            if wrong is not None:
                return wrong
    if isinstance(trace, RuleTrace) and (wrong := _compared_counts(trace)) is not None:
        return wrong
    facts = made_again(trace)
    due, kind = note.body.get("result"), AlertEscalated if note.kind == "alert.escalated" else AlertChanged
    if any(digest_of(fact) == due for fact in facts if isinstance(fact, kind)):
        return None
    return "made again it is another decision" if facts else "made again nothing is decided"


def scores_of(trace: IncidentTrace | RuleTrace | RetrainTrace) -> int:
    """How many scores it lets one compute again."""
    match trace:
        case IncidentTrace():
            return len(trace.sums) + len(trace.judged)
        case RuleTrace():
            return len(trace.counted)
        case RetrainTrace():
            return 0


def made_again(trace: IncidentTrace | RuleTrace) -> list[AlertChanged | AlertEscalated]:
    """What is told of an alert by its trace."""
    match trace:
        case RuleTrace(teller=teller, before=before, scores=scores, window=window):
            state = RuleState(before.rules, before.alerts, before.scores, before.episode)
            told = teller.told(*state.step(scores, Span(window.start, window.end)), state.evidence(), window)
            return [fact for fact in told if isinstance(fact, AlertChanged)]
        case IncidentTrace():
            return list(_told_again(trace))


def _told_again(trace: IncidentTrace) -> Iterator[AlertChanged | AlertEscalated]:
    results = [each.on(trace.before) for each in trace.called]
    episodes = results[trace.told]
    assert episodes is not None, "the step tells nothing"
    for fact in told_of(trace.teller, trace.before, episodes, trace.window):
        if isinstance(fact, AlertChanged | AlertEscalated):
            yield fact


def _compared_counts(trace: RuleTrace) -> str | None:
    """Whether the scores of a rule come out the same from their counts."""
    for each in trace.counted:
        if (score := each.again()) != each.value or trace.scores[each.feature].value != score:
            return f"the score {each.detector} of {each.feature} is {score!r}, not {each.value!r}"
    return None


def _compared_sum(step: SumStep) -> str | None:
    """Whether a chart's sum and score come out the same."""
    after = sum_again(step)
    if after != step.after:
        return f"the sum of {step.chart} of {step.feature} is {after!r}, not {step.after!r}"
    score = float(np.float64(after) / np.float64(step.threshold))
    return None if score == step.score else f"the score of {step.feature} is {score!r}, not {step.score!r}"


def _compared_judge(step: JudgeStep) -> str | None:
    """Whether a judge of a metric comes to the same state and score."""
    taken = JudgeTaken.unpacked(step.taken)
    if taken.again() != taken.after:
        return f"the judge {step.by} of {step.metric} comes to another state"
    if taken.score != step.score or taken.metric.value != step.value:
        return f"the score of {step.metric} is {taken.score!r}, not {step.score!r}"
    return None


def sum_again(step: SumStep) -> float:
    """The sum of a chart after a subgroup, by the charts' own step."""
    if step.increment is None:
        return step.before
    sums = Sums(np.array([step.threshold]), 1)
    sums.values[0, 0] = step.before
    sums.advance(np.array([[step.increment]]))
    after = float(sums.values[0, 0])
    return max(after, FILLED * step.threshold) if step.certain and after > 0 else after


def _compared_retraining(trace: RetrainTrace, note: AuditNote) -> str | None:
    history, outcome = decided_again(trace)
    due = RetrainOutcome(note.body["outcome"])
    if outcome is not due:
        return f"made again it is {outcome.value}, not {due.value}"
    return None if history == trace.after else "made again it leaves another history"


def decided_again(trace: RetrainTrace) -> tuple[RetrainHistory, RetrainOutcome]:
    """What becomes of a wish, by its trace."""
    match trace.asked:
        case "alert":
            broken = says_broken_data(trace.rule, trace.kind, trace.evidence)
            return trace.before, RetrainOutcome.DATA_QUALITY if broken else RetrainOutcome.REQUESTED
        case "end":
            assert trace.outcome is not None
            return trace.before.without_pending(), trace.outcome
        case "approve":
            return trace.before.approve(trace.policy, trace.at, trace.vetoes)
        case _:
            return trace.before.decide(trace.policy, trace.at, trace.reason, trace.vetoes, forced=trace.forced)
