"""Every kind of fact is written down, or it is said why not; and what is written down fits."""

from typing import get_args

import msgspec
import pytest

from monitor.audit.chain import MOST_BYTES, AuditNote, canonical
from monitor.audit.entries import ELSEWHERE, LEFT_OUT, WRITTEN, audited, bounded
from monitor.facts import AlertChanged, DecisionMade, Fact
from tests.fakes import NOON
from tests.monitor.runtime.test_telemetry import CHANGED, DECISION, EXAMPLES


@pytest.mark.parametrize("kind", get_args(Fact), ids=lambda kind: kind.__name__)
def test_every_fact_is_written_down_or_there_is_a_reason(kind: type[Fact]) -> None:
    """A new fact belongs into one of the three tables of monitor/audit/entries.py: decide which."""
    where = [table for table in (WRITTEN, ELSEWHERE, LEFT_OUT) if kind in table]

    assert len(where) == 1, f"{kind.__name__} is in {len(where)} of WRITTEN, ELSEWHERE and LEFT_OUT"


def test_no_table_names_what_is_no_fact() -> None:
    assert {*WRITTEN, *ELSEWHERE, *LEFT_OUT} == set(get_args(Fact))


@pytest.mark.parametrize("kind", WRITTEN, ids=lambda kind: kind.__name__)
def test_what_is_written_down_reads_as_it_was(kind: type[Fact]) -> None:
    (note,) = audited([EXAMPLES[kind]], NOON)

    assert note.at == NOON
    assert canonical(msgspec.json.decode(canonical(note), type=AuditNote)) == canonical(note)


def test_what_is_left_out_leaves_no_entry() -> None:
    left = [EXAMPLES[kind] for kind in (*ELSEWHERE, *LEFT_OUT)]

    assert audited(left, NOON) == []


def test_a_decision_asked_for_twice_is_written_down_once() -> None:
    assert len(audited([DecisionMade(DECISION), DecisionMade(DECISION, repeated=True)], NOON)) == 1


def test_an_entry_that_would_be_too_large_lacks_its_inputs_and_says_so() -> None:
    note = AuditNote(NOON, "alert.opened", {"rule": "drift", "inputs": {"of": "incident", "much": "x" * MOST_BYTES}})

    small = bounded(note)

    assert len(canonical(small)) < MOST_BYTES
    assert (small.body["rule"], small.body["inputs"]) == ("drift", None)
    assert small.body["left_out"].startswith("inputs of 65")


def test_what_scores_are_computed_from_goes_before_the_decision_does() -> None:
    inputs = {"of": "rule", "scores": {}, "counted": ["x" * MOST_BYTES]}

    small = bounded(AuditNote(NOON, "alert.opened", {"inputs": inputs}))

    assert small.body["inputs"] == {"of": "rule", "scores": {}, "counted": []}
    assert small.body["left_out"].startswith("counted of scores")


def test_an_alert_that_ended_with_its_rule_says_that_nothing_judged_it() -> None:
    (note,) = audited([CHANGED], NOON)

    assert isinstance(CHANGED, AlertChanged)
    assert note.body["inputs"] is None
    assert note.body["left_out"].startswith("ended without a judgement")
