"""Words put to facts: once for those that share their evidence, anew only where few features fire."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from detectors import Reference, Sketch
from detectors.univariate import volume
from monitor.alerting.alerts import AlertState
from monitor.alerting.budget import EVERY_FEATURE
from monitor.alerting.episodes import Evidence
from monitor.alerting.retraining import RetrainOutcome
from monitor.alerting.rules import BUDGET_RULE, SELF_CHECK_RULE, Severity
from monitor.explain import explainer as module
from monitor.explain.explainer import WORDED_ANEW, Explainer
from monitor.facts import AlertChanged, AlertSeen, EventsCounted, Fact, RetrainDecided, WindowSpan
from monitor.series.evidence import integers
from monitor.stream.events import SeriesKey
from tests.build import KEY, MIDNIGHT, OTHER_KEY, of
from tests.charted import fitted, seeded

INACTIVE, PENDING, FIRING, _ = AlertState
NAMES = [f"x{at}" for at in range(WORDED_ANEW + 2)]


@pytest.fixture(scope="module")
def learnt() -> Reference:
    rng = seeded()
    return fitted(rng, {name: rng.normal(size=20_000) for name in NAMES})


@pytest.fixture(scope="module")
def cold() -> Reference:
    rng = seeded()
    return Reference.fit({name: rng.normal(size=20_000) for name in NAMES})


def moved(reference: Reference, *names: str, by: float = 1.0) -> tuple[Evidence, ...]:
    """Evidence of these features, with the counts of values that have moved."""
    rng = np.random.default_rng(0)
    sketch = Sketch.empty(reference.layout)
    sketch.update(*reference.encode({name: rng.normal(by, 1, 500) for name in reference.names}))
    return tuple(
        Evidence(name, BUDGET_RULE, 1.5, 1.0, None, 500, "location+", counts=sketch.row(name).tobytes())
        for name in names
    )


def seen(evidence: tuple[Evidence, ...], rule: str = BUDGET_RULE, key: SeriesKey = KEY) -> AlertSeen:
    return AlertSeen(key, rule, Severity.CRITICAL, FIRING if evidence else INACTIVE, MIDNIGHT, 1, evidence)


def changed(evidence: tuple[Evidence, ...]) -> AlertChanged:
    span = WindowSpan(MIDNIGHT, MIDNIGHT + 1, 500)
    return AlertChanged(KEY, BUDGET_RULE, Severity.CRITICAL, INACTIVE, FIRING, MIDNIGHT, 1, span, evidence, "hash")


def words(facts: list[Fact]) -> dict[str, str]:
    [alert] = of(facts, AlertSeen)
    return {one.feature: one.words for one in alert.evidence}


def test_evidence_has_words_instead_of_counts(learnt: Reference) -> None:
    facts = Explainer({KEY: learnt}).explain([seen(moved(learnt, "x0", "x1"))])

    assert all(text.startswith("mean +") for text in words(facts).values())
    assert [one.counts for one in of(facts, AlertSeen)[0].evidence] == [b"", b""]


def test_other_facts_pass_unchanged(learnt: Reference) -> None:
    fact = EventsCounted("t", "ok", 1, KEY)

    assert Explainer({KEY: learnt}).explain([fact]) == [fact]


def test_facts_that_share_their_evidence_are_worded_once(learnt: Reference, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def counted(feature: Any, *rest: Any) -> str:
        calls.append(feature.name)
        return "mean +1 σ"

    monkeypatch.setattr(module, "explain", counted)
    evidence = moved(learnt, "x0", "x1")
    alert = changed(evidence)
    asked = RetrainDecided(alert, RetrainOutcome.REQUESTED, MIDNIGHT, MIDNIGHT + 1)
    facts = Explainer({KEY: learnt}).explain([seen(evidence), alert, asked])

    assert calls == ["x0", "x1"]
    told = [*of(facts, AlertSeen), *of(facts, AlertChanged), *(one.alert for one in of(facts, RetrainDecided))]
    assert [[each.words for each in one.evidence] for one in told] == [["mean +1 σ"] * 2] * 3


def test_few_features_are_worded_anew_and_of_many_the_known_words_stay(learnt: Reference) -> None:
    explainer = Explainer({KEY: learnt})
    first = words(explainer.explain([seen(moved(learnt, "x0"))]))
    few = words(explainer.explain([seen(moved(learnt, *NAMES[:WORDED_ANEW], by=2.0))]))
    many = words(explainer.explain([seen(moved(learnt, *NAMES[: WORDED_ANEW + 1], by=3.0))]))

    assert few["x0"] != first["x0"]
    assert {name: many[name] for name in few} == few
    assert many[NAMES[WORDED_ANEW]]


def test_what_was_said_of_an_incident_that_is_over_is_not_said_of_the_next(learnt: Reference) -> None:
    explainer, names = Explainer({KEY: learnt}), NAMES[: WORDED_ANEW + 1]
    before = words(explainer.explain([seen(moved(learnt, *names))]))
    explainer.explain([seen((), key=OTHER_KEY), seen(())])

    assert words(explainer.explain([seen(moved(learnt, *names, by=2.0))])) != before


def test_effects_of_a_cold_reference_are_worded_each_window(cold: Reference) -> None:
    explainer, names = Explainer({KEY: cold}), NAMES[: WORDED_ANEW + 1]
    before = words(explainer.explain([seen(moved(cold, *names))]))

    assert words(explainer.explain([seen(moved(cold, *names, by=2.0))]))["x0"] != before["x0"]


def test_rows_and_warnings_are_told_of_their_counts(learnt: Reference) -> None:
    rows = Evidence(volume.FEATURE, BUDGET_RULE, 1.2, 1.0, None, 12, "rows-", counts=integers(100.4, 12))
    doubt = Evidence(EVERY_FEATURE, SELF_CHECK_RULE, 5.0, 1.0, None, 12, SELF_CHECK_RULE, counts=integers(40.0, 7.5))
    facts = Explainer({KEY: learnt}).explain([seen((rows,)), seen((doubt,), SELF_CHECK_RULE)])

    assert [one.evidence[0].words for one in of(facts, AlertSeen)] == [
        "rows a window 100 → 12",
        "40 warnings of late where chance brings 8 at most: the reference does not fit this traffic, fit it anew",
    ]


def test_words_that_are_there_stay(learnt: Reference) -> None:
    """Those of a state that was written with words."""
    said = tuple(replace(one, words="mean +9 σ", counts=b"") for one in moved(learnt, "x0"))

    assert words(Explainer({KEY: learnt}).explain([seen(said)])) == {"x0": "mean +9 σ"}


def test_a_series_that_is_no_longer_configured_is_passed_on_as_it_is(learnt: Reference) -> None:
    fact = seen((), key=OTHER_KEY)

    assert Explainer({KEY: learnt}).explain([fact]) == [fact]


def test_an_alert_that_ended_long_ago_does_not_change_what_is_said(learnt: Reference) -> None:
    """Resolved alerts are told anew at a start, among the facts of what fires."""
    explainer = Explainer({KEY: learnt})
    many = moved(learnt, *NAMES)
    first = words(explainer.explain([seen(many)]))
    ended = replace(changed(()), before=FIRING, after=INACTIVE)
    explainer.explain([ended])

    assert words(explainer.explain([seen(moved(learnt, *NAMES, by=2.0))])) == first
