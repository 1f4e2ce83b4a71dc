"""Decisions made again from what the log holds come out the same, whatever judged; changed inputs or outcomes do not."""

import json
from dataclasses import fields
from typing import Any

import msgspec
import pytest

from detectors import Reference
from monitor.alerting.alerts import Span
from monitor.alerting.episodes import RuleState
from monitor.alerting.incidents import Incident
from monitor.alerting.retraining import RetrainPolicy
from monitor.alerting.rules import Severity
from monitor.audit.chain import AuditNote, canonical
from monitor.audit.entries import audited
from monitor.audit.replay import is_decision, replayed
from monitor.facts import AlertChanged, AlertEscalated, Fact, RetrainDecided
from monitor.series.traces import RecordedIncident, copied
from tests.build import HOUR, make_pipeline, make_rule, of, play
from tests.charted import reference, seeded
from tests.fakes import NOON
from tests.monitor.pipeline.test_drift import charted, missing, shift
from tests.monitor.series.test_deciding import BAD, GOOD, bets, chart, make_decision, taken, threshold

PLAIN = RetrainPolicy(cooldown=HOUR, max_per_week=3)


def written(facts: list[Fact]) -> list[AuditNote]:
    """What the log says of these facts, read from its own bytes."""
    return [msgspec.json.decode(canonical(note), type=AuditNote) for note in audited(facts, NOON)]


def disagreeing(notes: list[AuditNote]) -> list[str]:
    made = [replayed(seq, note) for seq, note in enumerate(notes) if is_decision(note)]
    assert made
    return [f"{each.kind}: {each.wrong}" for each in made if each.wrong is not None]


@pytest.fixture(scope="module")
def learnt() -> Reference:
    return reference(seeded()).select(["normal", "other", "holes", "plan"])


@pytest.fixture(scope="module")
def told(learnt: Reference) -> list[Fact]:
    """Drift, then missing values, then all is well, and drift anew."""
    traffic = charted(learnt)
    facts = traffic.panes(20)
    facts += traffic.panes(30, shift())
    facts += traffic.panes(30, missing("holes"), shift())
    facts += traffic.panes(120)
    facts += traffic.panes(60, shift())
    return facts


def test_all_that_charts_decide_is_decided_again_alike(told: list[Fact]) -> None:
    notes = written(told)
    changes = [*of(told, AlertChanged), *of(told, AlertEscalated), *of(told, RetrainDecided)]

    assert len(notes) >= len(changes) > 4
    assert {"alert.opened", "alert.closed"} <= {note.kind for note in notes}
    assert all(is_decision(note) for note in notes if note.kind.startswith(("alert", "retrain")))
    assert disagreeing(notes) == []


def test_scores_of_charts_come_out_to_the_last_bit(told: list[Fact]) -> None:
    opened = [note for note in written(told) if note.kind == "alert.opened"]
    again = [replayed(0, note) for note in opened]

    assert sum(each.scores for each in again) >= len(opened)
    for note in opened:
        evidence = {each["feature"]: each["score"] for each in note.body["evidence"]}
        assert {each["feature"]: each["score"] for each in note.body["inputs"]["sums"]}.items() <= evidence.items()


def changed(note: AuditNote, *path: str | int, to: Any) -> AuditNote:
    body = json.loads(json.dumps(note.body))
    held = body
    for step in path[:-1]:
        held = held[step]
    held[path[-1]] = to
    return msgspec.structs.replace(note, body=body)


def test_a_changed_sum_or_state_or_outcome_disagrees(told: list[Fact]) -> None:
    notes = written(told)
    opened = next(note for note in notes if note.kind == "alert.opened" and note.body["inputs"]["sums"])
    asked = next(note for note in notes if note.kind.startswith("retrain"))
    step = opened.body["inputs"]["sums"][0]
    wrong = [
        changed(opened, "inputs", "sums", 0, "after", to=step["after"] * (1 + 2**-52)),
        changed(opened, "inputs", "sums", 0, "score", to=step["score"] * (1 + 2**-52)),
        changed(opened, "inputs", "before", "state", "episode", "number", to=7),
        changed(opened, "result", to="0" * 64),
        changed(opened, "inputs", "called", to=[]),
        changed(asked, "outcome", to="suppressed_cooldown"),
        changed(asked, "inputs", "before", "requested", to=[asked.body["data_to"] - 1]),
        changed(asked, "inputs", "policy", "dry_run", to=True),
        changed(asked, "inputs", to={"of": "nothing"}),
    ]

    assert [replayed(0, each).wrong is None for each in wrong] == [False] * len(wrong)
    assert replayed(0, opened).wrong is None
    assert replayed(0, asked).wrong is None


def test_explicit_rules_and_their_requests_are_decided_again_alike() -> None:
    rule = make_rule(severity=Severity.CRITICAL, hold=2, keep_firing_for=2)
    pipeline = make_pipeline(rules=[rule], retraining=PLAIN)

    notes = written(play(pipeline, "CBBBDCCCBBBB"))

    assert {"alert.opened", "retrain.requested"} <= {note.kind for note in notes}
    assert disagreeing(notes) == []


def test_a_score_is_computed_again_from_its_counts() -> None:
    pipeline = make_pipeline(rules=[make_rule()])
    opened = next(note for note in written(play(pipeline, "CB")) if note.kind == "alert.opened")
    (told,) = opened.body["inputs"]["counted"]
    *usable, lost = told["counts"][:-2]

    assert replayed(0, opened).scores == 1
    assert (told["detector"], told["value"], sum(told["counts"])) == ("missing", 1.0, 2)
    counts = [usable[0] + 1, *usable[1:], lost - 1, *told["counts"][-2:]]  # a value less is missing
    for wrong in (
        changed(opened, "inputs", "counted", 0, "counts", to=counts),
        changed(opened, "inputs", "counted", 0, "value", to=0.5),
        changed(opened, "inputs", "scores", "age", "value", to=0.75),
        changed(opened, "inputs", "counted", 0, "detector", to="nothing"),
    ):
        assert replayed(0, wrong).wrong is not None
    assert replayed(0, changed(opened, "inputs", "counted", 0, "counts", to=counts)).wrong == (
        "the score missing of age is 0.5, not 1.0"
    )


def test_judges_of_metrics_come_to_the_same_state_and_score() -> None:
    """A threshold, a chart and an e-detector; then all is well, then worse by far."""
    decision = make_decision(threshold(), chart(), bets())
    worst = (600, 400)

    notes = written(taken(decision, [GOOD, BAD, GOOD, BAD, GOOD, GOOD, GOOD, GOOD, *[BAD] * 4, *[worst] * 6]))
    steps = [step for note in notes for step in note.body["inputs"]["judged"]]

    assert {"alert.opened", "alert.changed", "alert.closed"} <= {note.kind for note in notes}
    assert {step["by"] for step in steps} == {"threshold", "chart", "e-detector"}
    assert sum(replayed(0, note).scores for note in notes) == len(steps) > len(notes)
    assert disagreeing(notes) == []
    opened = notes[0]
    score = opened.body["inputs"]["judged"][0]["score"]
    wrong = replayed(0, changed(opened, "inputs", "judged", 0, "score", to=score * (1 + 2**-50))).wrong
    assert wrong is not None
    assert wrong.startswith("the score of accuracy is ")
    other = notes[1].body["inputs"]["judged"][0]["taken"]
    assert replayed(0, changed(opened, "inputs", "judged", 0, "taken", to=other)).wrong is not None


def test_a_copied_incident_is_the_same_and_stays_as_it_is() -> None:
    """Every mapping that an incident holds is the copy's own: what comes later changes neither."""
    incident = RecordedIncident(RuleState({"age": make_rule()}), apart=HOUR)
    incident.follow({"age": NOON}, (), Span(NOON - 60, NOON))
    incident.heard["age"], incident.largest["mean age"] = NOON, 1.5
    twin = copied(incident)

    for each in fields(Incident):
        mine, theirs = getattr(incident, each.name), getattr(twin, each.name)
        if each.name != "state":
            assert mine == theirs
            assert not isinstance(mine, dict) or mine is not theirs, each.name
    assert (twin.state.alerts, twin.state.episode) == (incident.state.alerts, incident.state.episode)
    assert twin.state.alerts is not incident.state.alerts
