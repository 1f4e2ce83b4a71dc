"""What is said, to whom, and under which id."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from detectors.charts import IncidentKind
from monitor.alerting.alerts import AlertState
from monitor.alerting.episodes import Evidence
from monitor.alerting.incidents import Standing
from monitor.alerting.retraining import RetrainOutcome
from monitor.alerting.rules import Severity
from monitor.facts import AlertChanged, AlertEscalated, Fact, RetrainDecided, WatermarkAdvanced, WindowSpan
from monitor.stream.events import SECOND, SeriesKey
from monitor.targets import retraining
from monitor.targets.base import Subscriber
from monitor.targets.payloads import (
    ESCALATED,
    FIRING,
    RESOLVED,
    RETRAIN,
    SETTLED,
    SUPPRESSED,
    Sender,
    evidence_item,
    identity,
    notices,
    rfc3339,
)
from monitor.targets.webhook import render
from tests.fakes import NOON, subscriber

MINUTE = 60 * SECOND
ALL = subscriber("pager")
SENDER = Sender("c0nf16", "1.2.3")
INACTIVE, PENDING, RAISED, RECOVERING = AlertState
CHANGED = AlertChanged(
    key=SeriesKey("churn", "3"),
    rule="drift",
    severity=Severity.CRITICAL,
    before=PENDING,
    after=RAISED,
    since=NOON - 5 * MINUTE,
    episode=1,
    window=WindowSpan(NOON - 5 * MINUTE, NOON, 10_000),
    evidence=(Evidence("age", "psi", 0.41, 0.25, 1e-9, 10_000), Evidence("plan", "chi2", 3.0, 2.0, None, 9_000)),
    reference="abc123",
)
DECIDED = RetrainDecided(CHANGED, RetrainOutcome.REQUESTED, data_from=NOON - 10 * MINUTE, data_to=NOON)


def said(*facts: Fact, to: Sequence[Subscriber] = (ALL,)) -> list[tuple[str, str]]:
    return [(target, addressed.notice.type) for addressed in notices(facts, to, SENDER) for target in addressed.targets]


def body(fact: Fact) -> dict[str, Any]:
    """What a webhook is sent."""
    (addressed,) = notices([fact], [ALL], SENDER)
    return dict(json.loads(render(addressed.notice)))


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        (INACTIVE, PENDING, None),
        (INACTIVE, RAISED, FIRING),
        (PENDING, RAISED, FIRING),
        (RAISED, RECOVERING, None),
        (RECOVERING, RAISED, None),
        (RECOVERING, INACTIVE, RESOLVED),
        (RAISED, INACTIVE, RESOLVED),
        (RECOVERING, PENDING, RESOLVED),
        (PENDING, INACTIVE, None),
    ],
)
def test_an_episode_is_announced_when_it_opens_and_when_it_closes(
    before: AlertState, after: AlertState, kind: str | None
) -> None:
    assert said(replace(CHANGED, before=before, after=after)) == ([] if kind is None else [("pager", kind)])


@pytest.mark.parametrize("outcome", RetrainOutcome)
def test_only_a_granted_retraining_is_said_to_be_requested(outcome: RetrainOutcome) -> None:
    told = {RetrainOutcome.REQUESTED: RETRAIN, RetrainOutcome.PENDING: retraining.PENDING}

    assert said(replace(DECIDED, outcome=outcome)) == [("pager", told.get(outcome, SUPPRESSED))]


def test_each_webhook_is_told_what_it_asked_for() -> None:
    trainer, watcher = subscriber("trainer", RETRAIN), subscriber("watcher", FIRING, RESOLVED)

    found = said(WatermarkAdvanced(1), CHANGED, DECIDED, to=[trainer, watcher, ALL])

    assert found == [("watcher", FIRING), ("pager", FIRING), ("trainer", RETRAIN), ("pager", RETRAIN)]


def test_a_request_for_retraining_reads_as_documented() -> None:
    found = body(DECIDED)

    assert found == {
        "type": "model.retrain.requested",
        "timestamp": "2026-11-23T12:00:00Z",
        "data": {
            "decision_id": identity(CHANGED, RETRAIN),
            "model": "churn",
            "model_version": "3",
            "reason": "drift",
            "kind": "drift",
            "incident": CHANGED.incident,
            "severity": "critical",
            "alert": {"rule": "drift", "since": "2026-11-23T11:55:00Z", "episode": 1},
            "window": {"start": "2026-11-23T11:55:00Z", "end": "2026-11-23T12:00:00Z", "rows": 10_000},
            "evidence": [
                {"feature": "age", "detector": "psi", "score": 0.41, "threshold": 0.25, "pvalue": 1e-9, "rows": 10_000},
                {"feature": "plan", "detector": "chi2", "score": 3.0, "threshold": 2.0, "pvalue": None, "rows": 9_000},
            ],
            "evidence_total": 2,
            "data_range": {"from": "2026-11-23T11:50:00Z", "to": "2026-11-23T12:00:00Z"},
            "reference": {"hash": "abc123"},
            "config_hash": "c0nf16",
            "driftd_version": "1.2.3",
            "summary": "churn/3 drifts since 2026-11-23 11:55: age psi 0.41 > 0.25, plan chi2 3 > 2",
        },
    }


def test_where_others_reach_the_pages_is_known_a_notice_leads_to_the_very_incident() -> None:
    told = replace(SENDER, page="https://ops.internal/driftd")
    (addressed,) = notices([CHANGED], [ALL], told)
    data = json.loads(addressed.notice.data)

    assert data["url"] == f"https://ops.internal/driftd/incident?id={CHANGED.incident}"
    assert data | {"url": None} == body(CHANGED)["data"] | {"url": None}


def test_what_is_new_stands_first_and_has_an_id_of_its_window() -> None:
    plan = CHANGED.evidence[1]
    escalated = AlertEscalated(replace(CHANGED, before=RAISED), (plan,), CHANGED.severity)
    found = body(escalated)

    assert found["type"] == "model.alert.escalated"
    assert [one["feature"] for one in found["data"]["evidence"]] == ["plan", "age"]
    assert found["data"]["new"] == found["data"]["evidence"][:1]
    assert ", new: plan" in found["data"]["summary"]
    later = replace(CHANGED, window=replace(CHANGED.window, end=CHANGED.window.end + 1))
    assert identity(later, ESCALATED) != identity(CHANGED, ESCALATED)
    assert identity(later, FIRING) == identity(CHANGED, FIRING)


def test_who_does_not_know_that_alerts_settle_is_told_that_it_is_resolved() -> None:
    settled = replace(
        CHANGED, before=RAISED, after=INACTIVE, about=Standing(settled=("age",), members=CHANGED.evidence)
    )
    old, new = subscriber("old", FIRING, RESOLVED), subscriber("new", SETTLED)

    assert sorted(said(settled, to=[old, new, ALL])) == [("new", SETTLED), ("old", RESOLVED), ("pager", SETTLED)]
    assert body(settled)["data"]["settled"] == ["age"]
    assert "settled at a new level" in body(settled)["data"]["summary"]


def test_what_opens_under_one_rule_at_once_has_ids_of_its_own() -> None:
    """An incident of drift has the id it had before there were kinds."""
    broken = replace(CHANGED, kind=IncidentKind.DATA_QUALITY)

    assert (
        len({identity(one, FIRING) for one in (CHANGED, broken, replace(CHANGED, kind=IncidentKind.PREDICTION))}) == 3
    )
    assert identity(replace(broken, rule="mine"), FIRING) == identity(replace(CHANGED, rule="mine"), FIRING)
    assert broken.incident != CHANGED.incident
    assert CHANGED.incident == replace(CHANGED, before=RAISED, after=INACTIVE, evidence=()).incident


def test_evidence_says_what_is_known_of_it() -> None:
    one = Evidence(
        "age",
        "drift",
        1.4,
        1.0,
        1e-9,
        900,
        "location+",
        NOON - 5 * MINUTE,
        effect=0.8,
        resolution=0.01,
        words="mean +0.8 σ",
    )

    assert evidence_item(one) == {
        "feature": "age",
        "detector": "drift",
        "score": 1.4,
        "threshold": 1.0,
        "pvalue": 1e-9,
        "rows": 900,
        "chart": "location+",
        "since": "2026-11-23T11:55:00Z",
        "effect": 0.8,
        "resolution": 0.01,
        "words": "mean +0.8 σ",
    }


def test_a_body_says_how_the_reference_is_calibrated_where_that_is_known() -> None:
    assert body(replace(CHANGED, calibration="week"))["data"]["calibration"] == "week"
    assert "calibration" not in body(CHANGED)["data"]


def test_words_are_no_part_of_an_id() -> None:
    worded = replace(CHANGED, evidence=(replace(CHANGED.evidence[0], words="mean +0.8 σ"),))

    assert identity(worded, FIRING) == identity(CHANGED, FIRING)


def test_an_alert_has_no_decision_and_no_data_range() -> None:
    found = body(CHANGED)

    assert found["type"] == "model.alert.firing"
    assert not {"decision_id", "data_range"} & found["data"].keys()


@pytest.mark.parametrize("words", ["", "mean +0.8 σ", 'new category "🦆🦆🦆" 8 %, ' * 10])
@pytest.mark.parametrize("name", ["age", "feature" * 20, "Grösse" * 300])
def test_a_body_stays_under_20_kilobytes(name: str, words: str) -> None:
    more = ("location+", NOON, 1 / 3, 1 / 7, words)
    evidence = tuple(Evidence(f"{name}{at}", "psi", 1 / 3, 1 / 7, 1e-300, 10**9, *more) for at in range(1000))

    (addressed,) = notices([replace(CHANGED, evidence=evidence)], [ALL], SENDER)

    data = json.loads(addressed.notice.data)
    assert len(render(addressed.notice)) < 20_000
    assert data["evidence_total"] == 1000
    assert data["evidence_omitted"] == 1000 - len(data["evidence"])
    assert 1 <= len(data["evidence"]) <= 50


def test_at_most_50_features_are_listed() -> None:
    data = body(replace(CHANGED, evidence=CHANGED.evidence * 26))["data"]

    assert (len(data["evidence"]), data["evidence_total"], data["evidence_omitted"]) == (50, 52, 2)
    assert "evidence_omitted" not in body(CHANGED)["data"]


def test_the_id_is_that_of_what_is_said() -> None:
    """The same episode told again, from other windows and with other evidence, is the same thing said."""
    again = replace(CHANGED, window=WindowSpan(0, 1, 2), evidence=(), episode=7, reference="other", before=INACTIVE)

    assert identity(again, FIRING) == identity(CHANGED, FIRING)
    assert len(identity(CHANGED, FIRING)) == 32


@pytest.mark.parametrize(
    "other",
    [
        replace(CHANGED, key=SeriesKey("churn", "4")),
        replace(CHANGED, key=SeriesKey("other", "3")),
        replace(CHANGED, rule="psi-high"),
        replace(CHANGED, since=NOON),
    ],
    ids=["version", "model", "rule", "since"],
)
def test_another_thing_said_has_another_id(other: AlertChanged) -> None:
    assert identity(other, FIRING) != identity(CHANGED, FIRING)
    assert identity(CHANGED, FIRING) != identity(CHANGED, RESOLVED)


def test_ids_cannot_be_forged_by_names() -> None:
    one = replace(CHANGED, key=SeriesKey('a","b', "c"))
    other = replace(CHANGED, key=SeriesKey("a", 'b","c'))

    assert identity(one, FIRING) != identity(other, FIRING)


def test_alerts_of_one_series_and_rule_are_one_subject() -> None:
    changes = [CHANGED, replace(CHANGED, before=RAISED, after=INACTIVE), replace(CHANGED, rule="other")]
    first, second, other = (addressed.notice.subject for addressed in notices(changes, [ALL], SENDER))

    assert first == second != other


def test_one_notice_is_for_all_who_want_it() -> None:
    (addressed,) = notices([CHANGED], [ALL, subscriber("trainer", RETRAIN), subscriber("watcher", FIRING)], SENDER)

    assert addressed.targets == ("pager", "watcher")
    assert notices([CHANGED], [subscriber("trainer", RETRAIN)], SENDER) == []


@pytest.mark.parametrize(
    ("nanos", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (NOON, "2026-11-23T12:00:00Z"),
        (NOON + 250_000_000, "2026-11-23T12:00:00.250000Z"),
        (NOON + 999, "2026-11-23T12:00:00Z"),
    ],
)
def test_times_are_rfc_3339(nanos: int, text: str) -> None:
    assert rfc3339(nanos) == text
