"""Alerts on performance from configuration to page and webhook: a daemon whose loop is turned by hand."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detectors import BinaryCounts, BinaryTask, LabelColumn, Reference
from detectors.charts import LevelStep
from monitor.alerting.alerts import AlertState
from monitor.alerting.decisions import Accept, Ack, Asked, Scope, Silence, Wish
from monitor.alerting.metrics import JudgedBy
from monitor.commands.cautions import label_warnings, watch_warnings
from monitor.commands.judges import judges_words
from monitor.facts import AlertChanged, DecisionMade, DecisionRefused, LevelChanged, PerformanceJudged
from monitor.series.deciding import PerformanceDecision
from monitor.settings import ConfigError
from monitor.stream.events import MINUTE, SECOND, SeriesKey
from tests.build import of
from tests.charted import seeded
from tests.monitor.test_labels import (
    LABELS,
    MARK,
    MODEL,
    PREDICTIONS,
    START,
    LabelledDaemon,
    configuration,
    labelled,
    predicted,
    time,
)

THRESHOLDS = {"accuracy": {"at_least": 0.9}}
OF = 'model="churn",version="*"'


@pytest.fixture
def home(tmp_path: Path) -> Path:
    columns = {"age": [float(n) for n in range(100)], "score": np.linspace(0, 1, 100)}
    Reference.fit(columns, prediction="score").save(tmp_path / "r.json")
    return tmp_path


@pytest.fixture
def started() -> Iterator[list[LabelledDaemon]]:
    running: list[LabelledDaemon] = []
    yield running
    for each in running:
        each.kill()


def model_with(thresholds: Any, **more: Any) -> dict[str, Any]:
    return {**MODEL, "performance": {"thresholds": thresholds, **more}}


def begin(home: Path, started: list[LabelledDaemon], thresholds: Any = THRESHOLDS) -> LabelledDaemon:
    started.append(LabelledDaemon(home, {PREDICTIONS: [], LABELS: []}, models=[model_with(thresholds)]))
    return started[-1]


def restarted(home: Path, started: list[LabelledDaemon], thresholds: Any = THRESHOLDS) -> LabelledDaemon:
    """Another daemon that goes on from what the last one saved before it was killed."""
    before = started.pop()
    before.daemon.loop.save()
    before.kill()
    log, keys = before.source.log, before.source.keys[LABELS]
    started.append(LabelledDaemon(home, log, keys=keys, models=[model_with(thresholds)]))
    return started[-1]


def minute_of(here: LabelledDaemon, number: int, right: int, wrong: int) -> None:
    """A minute of predictions that are not frozen, so many of them right, all of them labelled."""
    first = START + number * MINUTE
    ids = range(number * 1000, number * 1000 + right + wrong)
    here.source.append(PREDICTIONS, [predicted(each, 0.9 - n % 2 / 10, first + n) for n, each in enumerate(ids)])
    here.labels([labelled(each, "yes" if n < right else "no", first + SECOND) for n, each in enumerate(ids)])


def incidents(here: LabelledDaemon) -> list[Any]:
    """Those of performance."""
    return [each for each in here.get("/api/v1/incidents") if each["kind"] == "performance"]


def judged(here: LabelledDaemon, number: int) -> None:
    """Event time comes so far that this minute is judged."""
    here.turn()
    here.source.append(PREDICTIONS, time(START + (number + 11) * MINUTE))
    here.turn()
    here.turn()


def test_an_incident_of_performance_opens_is_shown_everywhere_survives_a_kill_and_ends(
    home: Path, started: list[LabelledDaemon]
) -> None:
    here = begin(home, started)
    here.source.append(PREDICTIONS, MARK)
    minute_of(here, 0, 190, 10)
    minute_of(here, 1, 140, 60)
    judged(here, 0)
    assert here.metric("driftd_incident_open")[f'{{{OF},kind="performance"}}'] == 0

    judged(here, 1)
    assert here.metric("driftd_incident_open")[f'{{{OF},kind="performance"}}'] == 1
    assert here.metric("driftd_alert_state")[f'{{{OF},rule="performance"}}'] == 2
    assert here.metric("driftd_retrain_requests_total")['{model="churn",reason="performance",outcome="requested"}'] == 1
    [incident] = incidents(here)
    assert (incident["kind"], incident["state"], incident["severity"]) == ("performance", "open", "critical")
    [feature] = incident["features"]
    assert feature["feature"] == "__accuracy__"
    assert feature["words"] == "0.70 (0.63 to 0.76) against at least 0.90, 100 % of labels in"
    _, _, page = here.daemon.surface.answer(f"/incident?id={incident['incident']}", "")
    assert b"against at least 0.9" in page

    again = restarted(home, started)
    assert [each["incident"] for each in incidents(again)] == [incident["incident"]]
    for number in (20, 21, 22):
        minute_of(again, number, 190, 10)
        judged(again, number)
    assert again.metric("driftd_incident_open")[f'{{{OF},kind="performance"}}'] == 0
    [ended] = incidents(again)
    assert (ended["incident"], ended["state"]) == (incident["incident"], "resolved")


def varied(here: LabelledDaemon, number: int, *, frozen: bool = False, accurate: float = 0.95) -> None:
    """A minute of 200 labelled predictions whose scores vary, or are one value that knows nothing of the labels."""
    first, rng = START + number * MINUTE, seeded()
    scores = rng.random(200).round(3)
    answers = (scores >= 0.5) == (rng.random(200) < accurate)
    ids = range(number * 1000, number * 1000 + 200)
    said = np.full(200, 0.25) if frozen else scores
    here.source.append(PREDICTIONS, [predicted(one, float(said[n]), first + n) for n, one in enumerate(ids)])
    here.labels([labelled(one, "yes" if answers[n] else "no", first + SECOND) for n, one in enumerate(ids)])


def test_windows_of_frozen_predictions_are_shown_and_judged_by_nobody_though_labels_come_after_the_freeze(
    home: Path, started: list[LabelledDaemon]
) -> None:
    """Labels wait ten minutes: the freeze is over, and the daemon was killed, when they are judged."""
    here = begin(home, started)
    here.source.append(PREDICTIONS, MARK)
    for number in range(16):
        varied(here, number, frozen=3 <= number < 7)
        here.turn()
    [frozen] = [each for each in here.get("/api/v1/incidents") if each["kind"] == "service"]
    assert (frozen["features"][0]["feature"], frozen["state"]) == ("__prediction__", "resolved")
    assert here.performance[0]["window"]["end"] <= "2026-11-23T11:06:00Z"

    again = restarted(home, started)
    shown = {}
    for number in range(16, 30):
        varied(again, number)
        again.turn()
        told = again.performance[0]
        shown[told["window"]["start"][11:16]] = told["frozen"], told["metrics"]["accuracy"]["value"]
    assert [start for start, (stood, _) in shown.items() if stood] == ["11:05", "11:06", "11:07"]
    assert shown["11:05"][1] < 0.7
    assert incidents(again) == []
    requests = again.metric("driftd_retrain_requests_total")
    assert not any(value for labels, value in requests.items() if 'reason="performance"' in labels)

    for number in range(30, 34):  # what is worse is heard as ever
        varied(again, number, accurate=0.6)
        judged(again, number)
    assert len(incidents(again)) == 1


def test_another_threshold_ends_what_was_told_under_the_one_before(home: Path, started: list[LabelledDaemon]) -> None:
    here = begin(home, started)
    here.source.append(PREDICTIONS, MARK)
    minute_of(here, 0, 140, 60)
    judged(here, 0)
    [incident] = incidents(here)

    again = restarted(home, started, {"accuracy": {"at_least": 0.6}})
    assert [fact.cause for fact in again.reset] == ["accuracy is judged otherwise: its alert starts anew"]
    [ended] = incidents(again)
    assert (ended["incident"], ended["state"]) == (incident["incident"], "resolved")


def labelled_reference(home: Path, *, minutes: int = 120, rows: int = 60) -> None:
    """A reference whose predictions are right nine times of ten, minute by minute."""
    many = minutes * rows
    right = seeded().random(many) < 0.9
    table = {
        "age": np.arange(many) % 100.0,
        "score": 0.9 - np.arange(many) % 2 / 10,
        "answer": np.where(right, "yes", "no"),
        "at": (START - 3 * 24 * 60 * MINUTE + np.arange(many) * (MINUTE // rows)).astype("datetime64[ns]"),
    }
    reference = Reference.fit(
        table, prediction="score", label=LabelColumn("answer", positive="yes"), timestamp="at", window="1m"
    )
    assert reference.performance is not None
    assert reference.performance.starts.size == minutes
    reference.save(home / "r.json")


def test_a_fall_against_the_reference_is_said_with_who_says_so(home: Path, started: list[LabelledDaemon]) -> None:
    labelled_reference(home)
    here = LabelledDaemon(
        home, {PREDICTIONS: [], LABELS: []}, models=[MODEL | {"performance": {"watch": ["accuracy"]}}]
    )
    started.append(here)
    here.source.append(PREDICTIONS, MARK)
    for number, (right, wrong) in enumerate([(180, 20), *4 * [(120, 80)]]):
        minute_of(here, number, right, wrong)
    judged(here, 0)
    assert incidents(here) == []

    for number in range(1, 5):  # the e-detector needs two to three of them, by what the reference drew
        judged(here, number)
    [incident] = incidents(here)
    assert (incident["kind"], incident["severity"]) == ("performance", "critical")
    [feature] = incident["features"]
    assert " → 0.60 (" in feature["words"]
    assert (
        "by its chart and the e-detector" in feature["words"] or "by the e-detector and its chart" in feature["words"]
    )
    [alert] = [each for each in here.get("/api/v1/alerts") if each["rule"] == "performance"]
    measured = alert["evidence"][0]["performance"]
    assert set(measured["by"]) == {"chart", "e-detector", "difference"}
    assert measured["expected"] == pytest.approx(0.9, abs=0.03)
    assert feature["words"].endswith(" was to be expected of these, concept drift")
    assert measured["reference"] == pytest.approx(0.9, abs=0.03)


CLASSES = "abcdef"
CHANCES = {f"p_{name}": (6 - at) / 21 for at, name in enumerate(CLASSES)}  # the label is among the first three, or not


def of_classes(first: int, at: int, answers: str) -> tuple[list[bytes], list[bytes]]:
    """Predictions of `a` with the scores of all, and what came true."""
    scores = {name.removeprefix("p_"): score for name, score in CHANCES.items()}
    ids = range(first, first + len(answers))
    return (
        [predicted(each, "a", at + n, scores=scores) for n, each in enumerate(ids)],
        [labelled(each, answer, at + SECOND) for each, answer in zip(ids, answers, strict=True)],
    )


def test_a_label_that_falls_out_of_the_three_highest_scores_pages(home: Path, started: list[LabelledDaemon]) -> None:
    """The predicted class is right as often as it was: accuracy has nothing to say."""
    minutes, usual, fallen = 120, "a" * 30 + "b" * 20 + "cccc" + "dddeef", "a" * 100 + "b" * 20 + "e" * 80
    answers = np.concatenate([seeded().choice(list(usual), 60) for _ in range(minutes)])
    table = {"age": np.arange(answers.size) % 100.0, "said": np.full(answers.size, "a"), "true": answers}
    table |= {name: np.full(answers.size, score) for name, score in CHANCES.items()}
    table["at"] = (START - 3 * 24 * 60 * MINUTE + np.arange(answers.size) * SECOND).astype("datetime64[ns]")
    label = LabelColumn("true", task="multiclass", scores="p_")
    Reference.fit(table, prediction="said", label=label, timestamp="at", window="1m").save(home / "r.json")
    model = MODEL | {"labels": {"wait": "10m"}, "performance": {"watch": ["accuracy", "top_3_accuracy"]}}
    topics = [{"name": "predictions", "fields": {"scores": "scores"}}, {"name": "labels", "kind": "labels"}]
    model["performance"] = {**model["performance"], "classes": list(CLASSES)}
    here = LabelledDaemon(home, {PREDICTIONS: [], LABELS: []}, models=[model], topics=topics)
    started.append(here)
    here.source.append(PREDICTIONS, MARK)
    for number, truth in enumerate([usual * 3, fallen, fallen, fallen]):
        events, labels = of_classes(number * 1000, START + number * MINUTE, truth)
        here.source.append(PREDICTIONS, events)
        here.labels(labels)
    judged(here, 0)
    assert incidents(here) == []

    for number in (1, 2, 3):
        judged(here, number)
    [incident] = incidents(here)
    [feature] = incident["features"]
    assert (incident["severity"], feature["feature"]) == ("critical", "__top_3_accuracy__")
    assert " → 0.60 (" in feature["words"]


def test_people_decide_of_a_metric_as_of_a_feature(home: Path, started: list[LabelledDaemon]) -> None:
    labelled_reference(home)
    here = LabelledDaemon(
        home, {PREDICTIONS: [], LABELS: []}, models=[MODEL | {"performance": {"watch": ["accuracy"]}}]
    )
    started.append(here)
    here.source.append(PREDICTIONS, MARK)
    minute_of(here, 0, 90, 110)
    judged(here, 0)
    [incident] = incidents(here)
    pipeline, now = here.daemon.pipeline, here.clock.now()

    def decided(name: str, wish: Wish) -> list[Any]:
        return pipeline.decide(Asked(name, wish, "ann"), now)

    metric = Scope("churn", features=("__accuracy__",))
    assert isinstance(decided("s", Silence(metric, MINUTE))[0], DecisionMade)
    assert isinstance(decided("n", Silence(Scope("churn", features=("__rmse__",)), MINUTE))[0], DecisionRefused)
    assert isinstance(decided("k", Ack(incident["incident"]))[0], DecisionMade)
    facts = decided("a", Accept(metric, None))
    assert [(fact.incident, fact.closed) for fact in of(facts, AlertChanged)] == [(incident["incident"], True)]
    assert pipeline.performance[SeriesKey("churn", "*")].alerts() == []


@pytest.mark.parametrize(
    ("watch", "thresholds"),
    [(["accuracy", "brier"], {}), (["brier"], {"accuracy": {"at_least": 0.85}})],
    ids=["charts", "threshold"],
)
def test_an_accept_without_names_takes_every_metric_that_is_off_until_then_and_no_threshold(
    home: Path, started: list[LabelledDaemon], watch: list[str], thresholds: dict[str, Any]
) -> None:
    labelled_reference(home)
    here = LabelledDaemon(home, {PREDICTIONS: [], LABELS: []}, models=[model_with(thresholds, watch=watch)])
    started.append(here)
    here.source.append(PREDICTIONS, MARK)
    for number in range(8):
        minute_of(here, number, 120, 80)
    for number in range(8):
        judged(here, number)
    assert {each["feature"] for each in incidents(here)[0]["features"]} == {"__accuracy__", "__brier__"}
    made, *facts = here.daemon.pipeline.decide(Asked("a", Accept(Scope("churn"), 60 * MINUTE), "ann"), here.clock.now())

    assert isinstance(made, DecisionMade)
    assert made.decision.until is not None
    held = {fact.feature: fact.until for fact in of(facts, LevelChanged) if fact.step is LevelStep.ACCEPTED}
    held.pop("__prediction__", None)  # which has moved too
    assert held == dict.fromkeys([f"__{name}__" for name in watch], made.decision.until)
    assert [fact.closed for fact in of(facts, AlertChanged) if fact.kind.value == "performance"] == (
        [] if thresholds else [True]
    )
    assert made.notes == (("thresholds are never accepted and stand: accuracy at least 0.85",) if thresholds else ())


def test_an_incident_that_was_slight_is_critical_everywhere_once_it_is(
    home: Path, started: list[LabelledDaemon]
) -> None:
    labelled_reference(home, rows=1000)
    slightly = round(1000 * (decision_of(home).judges[1].spec.where - 0.0185))
    here = LabelledDaemon(
        home,
        {PREDICTIONS: [], LABELS: []},
        models=[MODEL | {"performance": {"watch": ["accuracy"]}, "retraining": {"veto": []}}],
    )
    started.append(here)
    here.source.append(PREDICTIONS, MARK)
    severity = f'{{{OF},kind="performance"}}'
    for number in range(42):
        minute_of(here, number, *((slightly, 1000 - slightly) if number < 40 else (800, 200)))
    for number in range(40):
        judged(here, number)
    assert here.metric("driftd_incident_severity")[severity] == 1
    judged(here, 40)
    judged(here, 41)
    assert here.metric("driftd_incident_severity")[severity] == 2
    [incident] = incidents(here)
    assert incident["severity"] == "critical"
    assert len(incident["escalations"]) == 1
    assert here.metric("driftd_retrain_requests_total")['{model="churn",reason="performance",outcome="requested"}'] == 1


def test_check_says_who_judges_what_and_what_the_reference_says_too_little_of(home: Path) -> None:
    labelled_reference(home)
    [spec] = configuration(home, models=[model_with(THRESHOLDS)]).specs
    [model] = configuration(home, models=[model_with(THRESHOLDS)]).settings.models
    said = [line.split("performance: ")[1] for line in judges_words(spec, model)]
    assert "accuracy at least 0.9 by a threshold" in said
    assert [line.rpartition(" by ")[2] for line in said if line.startswith("accuracy")][1:] == [
        "a chart against the reference",
        "the e-detector",
        "a chart of the difference from what was expected",
    ]

    labelled_reference(home, minutes=20)
    few = configuration(home, models=[MODEL])
    [line] = judges_words(few.specs[0], few.settings.models[0])
    assert "accuracy, auroc, brier: no chart, for the reference's 20 windows" in line


def test_to_watch_what_the_reference_does_not_know_is_refused_in_one_line(home: Path) -> None:
    for watch, line in (
        (["accuracy"], "performance.watch: the reference has no labels; fit it with --label"),
        (["rmse"], "performance.watch: 'rmse' is none of task binary; there is accuracy, "),
    ):
        with pytest.raises(ConfigError) as refused:
            configuration(home, models=[MODEL | {"performance": {"watch": watch}}])
        assert line in str(refused.value)
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize("metric", ["acuracy", "rmse", "cost_per_1000"])
def test_a_metric_that_is_none_is_told_in_one_line_beside_a_reference_with_labels_too(home: Path, metric: str) -> None:
    labelled_reference(home)
    named: list[dict[str, Any]] = [
        {"watch": [metric]},
        {"metrics": [metric]},
        {"thresholds": {metric: {"at_least": 0.9}}},
    ]
    for performance in named:
        with pytest.raises(ConfigError, match=f"{metric}.* (is none|is no metric|needs) ") as refused:
            configuration(home, models=[MODEL | {"performance": performance}])
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "change",
    [
        {"thresholds": {**THRESHOLDS, "recall": {"at_least": 0.5}}},
        {"watch": ["accuracy", "brier"]},
        {"metrics": ["accuracy", "recall"]},
        {"thresholds": {"accuracy": {"at_least": 0.9, "severity": "warning", "keep_firing_for": 3}}},
        {"costs": {"false_positive": 1.0, "false_negative": 5.0}},
        {"budget": 0.2},
        {"budget": 6.0},
        {"versions": ["1", "2"]},
    ],
)
def test_what_is_open_stays_open_when_others_judge_too_or_the_budget_is_another(
    home: Path, change: dict[str, Any]
) -> None:
    """It is what is judged that counts, not how much evidence is asked for."""
    labelled_reference(home)
    before, after = (decision_of(home, **each) for each in ({}, change))
    for window in range(4):
        before.take(*fallen(window, rows=400, right=240))
    there = {each.spec.source for each in before.judges}
    assert there >= set(JudgedBy) - {JudgedBy.DIFFERENCE}  # which few errors of the reference's windows may leave out
    assert {each.spec.source for each in before.judges if each.alert.state is AlertState.FIRING} == there
    before.accept(("__accuracy__",), None, START)
    before.take(*fallen(4, rows=400, right=160))
    [told] = before.current()

    assert after.restore(before.changes(), alike=True) == []
    [still] = after.current()
    assert (still.state, still.since, still.evidence) == (told.state, told.since, told.evidence)
    levels = {each.spec.name: each.level.shift for each in after.judges if each.spec.metric == "accuracy"}
    assert levels == {each.spec.name: each.level.shift for each in before.judges}


def decision_of(home: Path, budget: float = 1.0, versions: Sequence[str] = (), **changes: Any) -> PerformanceDecision:
    """Who judges a model that is configured so."""
    performance = {"watch": ["accuracy"], "thresholds": THRESHOLDS} | changes
    model = MODEL | {"performance": performance}
    models = [model | {"version": each} for each in versions] or [model]
    spec = configuration(home, models=models, alerting={"false_alarms_per_month": budget}).specs[0].performance
    assert spec is not None
    assert spec.decision is not None
    return PerformanceDecision(SeriesKey("churn", "1"), spec.decision, spec.truth, MINUTE)


def fallen(number: int, rows: int, right: int) -> tuple[PerformanceJudged, BinaryCounts]:
    """A window and its counts: so many of its rows are right."""
    counts = BinaryCounts.empty(BinaryTask())
    counts.update(np.arange(rows) < right, np.full(rows, 0.9))
    start = START + number * MINUTE
    key = SeriesKey("churn", "1")
    return PerformanceJudged(key, start, start + MINUTE, MINUTE, True, "binary", rows, rows, 1.0, ()), counts


def test_what_is_larger_in_few_rows_is_watched_by_nobody_and_says_so_where_it_is_asked_for(home: Path) -> None:
    labelled_reference(home)
    judges = decision_of(home, watch=None, metrics=["accuracy", "calibration_error"]).judges
    assert {each.spec.metric for each in judges} == {"accuracy"}
    with pytest.raises(ConfigError, match=r"watch: calibration_error is larger the fewer rows a window has"):
        decision_of(home, watch=["calibration_error"])


def test_a_metric_to_be_watched_that_cannot_be_is_warned_of(home: Path) -> None:
    labelled_reference(home, minutes=20)
    asked = configuration(home, models=[MODEL | {"performance": {"watch": ["accuracy"]}}])
    [line] = watch_warnings(asked)
    assert line.startswith("models.churn.performance.watch: accuracy: no chart, for the reference's 20 windows with ")
    assert list(watch_warnings(configuration(home, models=[MODEL]))) == []


def test_to_watch_without_a_budget_or_at_a_threshold_that_was_not_counted_is_refused(home: Path) -> None:
    labelled_reference(home)
    rule = {"name": "r", "detector": "psi", "fire_above": 0.2, "clear_below": 0.1}
    for performance, alerting, line in (
        ({"watch": ["accuracy"]}, {"false_alarms_per_month": None, "rules": [rule]}, "watch: needs alerting.false_"),
        ({"watch": ["accuracy"], "threshold": 0.537}, {}, "watch: the reference's labels were counted for thresholds"),
    ):
        with pytest.raises(ConfigError, match=line):
            configuration(home, models=[MODEL | {"performance": performance}], alerting=alerting)


@pytest.mark.parametrize("performance", [{}, {"watch": []}, {"thresholds": THRESHOLDS}])
def test_a_model_at_another_threshold_than_the_reference_starts_where_none_is_to_be_watched(
    home: Path, performance: dict[str, Any]
) -> None:
    labelled_reference(home)
    asked = configuration(home, models=[MODEL | {"performance": {"threshold": 0.537} | performance}])
    assert all("chart against" not in line for line in judges_words(asked.specs[0], asked.settings.models[0]))


def test_money_has_thresholds_too(home: Path, started: list[LabelledDaemon]) -> None:
    costs = {"false_positive": 1.0, "false_negative": 5.0}
    model = model_with({"cost_per_1000": {"at_most": 100}}, costs=costs)
    started.append(LabelledDaemon(home, {PREDICTIONS: [], LABELS: []}, models=[model]))
    here = started[0]
    here.source.append(PREDICTIONS, MARK)
    minute_of(here, 0, 120, 80)
    judged(here, 0)

    [incident] = incidents(here)
    assert incident["features"][0]["feature"] == "__cost_per_1000__"
    assert " against at most 100, " in incident["features"][0]["words"]


@pytest.mark.parametrize(
    ("thresholds", "line"),
    [
        ({"accuracy": {"at_most": 0.9}}, "accuracy.at_most: larger is better; give at_least"),
        ({"log_loss": {"at_least": 0.9}}, "log_loss.at_least: smaller is better; give at_most"),
        ({"accuracy": {"at_least": 90}}, "accuracy.at_least: 90 must be between 0 and 1"),
        ({"rmse": {"at_most": 3.0}}, "rmse: is no metric of task binary; there is accuracy, "),
        ({"log_loss": {"at_most": 0}}, "log_loss.at_most: 0 must be above 0"),
        ({"accuracy": {}}, "accuracy: takes one of at_least and at_most"),
        ({"accuracy": {"at_least": 0.9, "at_most": 1}}, "accuracy: takes one of at_least and at_most"),
        ({"accuracy": {"at_least": 0.9, "for": 0}}, "accuracy.for"),
        ({"accuracy": 0.9}, "accuracy"),
    ],
)
def test_a_threshold_that_cannot_be_is_told_in_one_line(home: Path, thresholds: Any, line: str) -> None:
    with pytest.raises(ConfigError) as refused:
        configuration(home, models=[model_with(thresholds)])
    assert line in str(refused.value)
    assert "\n" not in str(refused.value)


def test_the_hash_of_a_configuration_without_thresholds_is_what_it_was(home: Path) -> None:
    plain = configuration(home, models=[{**MODEL, "performance": {"task": "binary"}}])
    none = configuration(home, models=[model_with({}, task="binary")])
    some = configuration(home, models=[model_with(THRESHOLDS, task="binary")])

    assert plain.config_hash == none.config_hash != some.config_hash


def test_nobody_judges_before_any_label_was_the_positive_one(home: Path, started: list[LabelledDaemon]) -> None:
    here = begin(home, started)
    here.source.append(PREDICTIONS, MARK)
    for number in range(3):
        minute_of(here, number, 0, 100)
        judged(here, number)
    assert incidents(here) == []
    for number in range(3, 6):
        minute_of(here, number, 1, 99)
        judged(here, number)
    assert [each["features"][0]["feature"] for each in incidents(here)] == ["__accuracy__"]


@pytest.mark.parametrize(("positive", "negative"), [("no", "yes"), ("1", "0"), ("1", None)])
def test_a_reference_of_another_positive_label_is_compared_with_nothing_and_check_says_so(
    home: Path, positive: str, negative: str | None
) -> None:
    labelled_reference(home)
    named = {"wait": "10m", "positive": positive} | ({} if negative is None else {"negative": negative})
    loaded = configuration(home, models=[MODEL | {"labels": named, "performance": {"thresholds": THRESHOLDS}}])
    [spec] = loaded.specs

    assert spec.performance is not None
    assert spec.performance.decision is not None
    assert {each.source for each in spec.performance.decision.judges} == {JudgedBy.THRESHOLD}
    assert spec.performance.expectation is None
    assert spec.judging.estimate is not None
    assert f"those of the model positive '{positive}'" in str(spec.judging.estimate.because)
    [warning] = label_warnings(loaded)
    assert warning.startswith(
        "models.churn.labels: labels of the reference are positive 'yes' and any other, those of the "
    )
    with pytest.raises(ConfigError, match=r"performance.watch: labels of the reference are positive 'yes'"):
        configuration(home, models=[MODEL | {"labels": named, "performance": {"watch": ["accuracy"]}}])


@pytest.mark.parametrize("positive", ["yes", "YES"])
def test_a_reference_of_the_same_positive_label_however_spelled_is_compared_with(home: Path, positive: str) -> None:
    labelled_reference(home)
    loaded = configuration(home, models=[MODEL | {"labels": {"wait": "10m", "positive": positive, "negative": "no"}}])
    assert loaded.specs[0].performance is not None
    assert loaded.specs[0].performance.expectation is not None
    assert list(label_warnings(loaded)) == []
