"""The text of a scrape: what prometheus_client would write, made without holding the loop, kept until a window closes."""

import gc
import math
import sys
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, TypeVar

import prometheus_client.openmetrics.exposition as openmetrics_text
import prometheus_client.openmetrics.parser as openmetrics
import prometheus_client.parser as classic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from detectors import DriftScore
from detectors.charts import IncidentKind
from monitor.alerting.alerts import AlertState
from monitor.alerting.rules import Severity
from monitor.facts import (
    AlertSeen,
    EventsCounted,
    Fact,
    FeatureQuality,
    PanesOpen,
    WatermarkAdvanced,
    WindowClosed,
    WindowIds,
    WindowScored,
)
from monitor.runtime.board import Board, SeriesBoard
from monitor.runtime.exposition import CLASSIC, OPENMETRICS, head, labelled, lines
from monitor.runtime.http import Surface
from monitor.runtime.inbox import Inbox
from monitor.runtime.metrics import METRICS, MOST_FORMS, DaemonStatus, Exposition
from monitor.runtime.telemetry import Telemetry
from monitor.runtime.writing import Deciding
from monitor.stream.events import SECOND, SeriesKey
from tests.build import score_table
from tests.fakes import NOON, ManualClock, nothing_waits
from tests.parts.prometheus import promtool

T = TypeVar("T")
STYLES = [CLASSIC, OPENMETRICS]
CHURN, FRAUD = SeriesKey("churn", "3"), SeriesKey("fraud", "*")
THEIRS: dict[str, Callable[[Any], bytes]] = {CLASSIC: generate_latest, OPENMETRICS: openmetrics_text.generate_latest}
PARSERS: dict[str, Callable[[str], Any]] = {
    CLASSIC: classic.text_string_to_metric_families,
    OPENMETRICS: openmetrics.text_string_to_metric_families,
}

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def parsed(text: bytes, style: str) -> Samples:
    """Samples by name and labels; a sample that is there twice is an error."""
    found: Samples = {}
    for family in PARSERS[style](text.decode()):
        for sample in family.samples:
            name = sample.name, tuple(sorted(sample.labels.items()))
            assert name not in found
            found[name] = sample.value
    return found


class Families:
    """What prometheus_client's own renderer is given."""

    def __init__(self, *families: Metric) -> None:
        self.families = families

    def collect(self) -> list[Metric]:
        return list(self.families)


# --- the text ---------------------------------------------------------------------------------------------------------

NAMES = st.text(st.characters(codec="utf-8"), max_size=8) | st.sampled_from(
    [
        "",
        '"',
        "\\",
        "\n",
        '\\"',
        "\\n",
        'a="b",',
        "{}",
        "#",
        " ",
        "\u2028",
        "%s",
        "{0}",
        "naïve",
        "−",
        "\U0001f600",
        "+Inf",
    ]
)
NUMBERS = st.floats() | st.integers(-(2**53), 2**53) | st.sampled_from([0, 1e6, 1e7 + 0.5, 1e16, 5e-324, -0.0])


def same(ours: Samples, theirs: Samples) -> bool:
    """Equal, and a NaN where there is one."""
    return ours.keys() == theirs.keys() and all(
        theirs[name] == value or (math.isnan(theirs[name]) and math.isnan(value)) for name, value in ours.items()
    )


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("name", ["driftd_drift_score", "driftd_events_total"])
@given(values=st.dictionaries(st.tuples(NAMES, NAMES), NUMBERS, max_size=5), meaning=NAMES)
def test_it_says_what_prometheus_client_would_have_written(
    style: str, name: str, values: dict[tuple[str, str], float], meaning: str
) -> None:
    labels, kind = ("model", "feature"), METRICS[name].kind
    if kind == "counter":
        values = {one: abs(value) for one, value in values.items() if not math.isnan(value)}
    of_kind = CounterMetricFamily if kind == "counter" else GaugeMetricFamily
    family = of_kind(name.removesuffix("_total"), meaning, labels=labels)
    for one, value in values.items():
        family.add_metric(one, value)
    theirs = THEIRS[style](Families(family)).decode()

    ours = (
        head(name, kind, meaning, style) + lines(name, [(labelled(labels, k), v) for k, v in values.items()])
    ).decode()

    ending = "# EOF\n" if style == OPENMETRICS else ""
    assert ours.split("\n")[:2] == theirs.split("\n")[:2]  # HELP and TYPE, to the letter
    assert same(parsed((ours + ending).encode(), style), parsed(theirs.encode(), style))


# --- of a board -------------------------------------------------------------------------------------------------------


class Scene:
    """A board, and a scrape of it."""

    def __init__(self, *keys: SeriesKey, rules: dict[str, str] | None = None) -> None:
        self.board = Board({key: SeriesBoard("abc", 1000, rules or {}, 60 * SECOND) for key in keys})
        self.telemetry = Telemetry(self.board, ManualClock().now)
        self.during: list[Callable[[], None]] = []
        status = DaemonStatus("1.2.3", ManualClock().now, lambda: None, lambda: False, dict, (), NOON)
        self.exposition = Exposition(self.look, status, CollectorRegistry())

    def look(self, read: Callable[[Board], T]) -> T:
        """Look; then somebody writes before the text is made."""
        found = self.telemetry.look(read)
        for act in self.during:
            act()
        return found

    def text(self, style: str = CLASSIC) -> bytes:
        accept = "application/openmetrics-text; version=1.0.0" if style == OPENMETRICS else "text/plain"
        kind, text = self.exposition.answer(accept)
        assert kind == style
        return text

    def samples(self, style: str = CLASSIC) -> dict[str, dict[tuple[str, ...], float]]:
        """By metric, then by the labels' values in the order of the documentation."""
        found: dict[str, dict[tuple[str, ...], float]] = {name: {} for name in METRICS}
        for (name, labels), value in parsed(self.text(style), style).items():
            if name in METRICS:
                found[name][tuple(dict(labels)[label] for label in METRICS[name].labels)] = value
        return found


def scored(key: SeriesKey, values: dict[str, float | None], at: int = NOON) -> list[Fact]:
    """A window in which each feature was found to be so far from its reference."""
    scores = score_table(
        *(
            DriftScore(name, "ks", value, 100, 0.5, 0.25, {} if value is None else {"upper": value})
            for name, value in values.items()
        )
    )
    quality = tuple(FeatureQuality(name, 0.125, 0.25) for name in values)
    return [
        WindowClosed(key, at - 60 * SECOND, at, 100, quality, WindowIds(80, 60.0, 0.25, 0.01), 3.5, unlogged=900),
        WindowScored(key, at, scores, dict.fromkeys(values, 2)),
    ]


@pytest.mark.parametrize("style", STYLES)
@given(
    model=NAMES,
    rule=NAMES,
    values=st.dictionaries(NAMES, st.none() | st.floats(allow_nan=False, allow_infinity=False), max_size=4),
)
def test_any_names_and_numbers_of_a_board_come_through(
    style: str, model: str, rule: str, values: dict[str, float | None]
) -> None:
    key = SeriesKey(model, "1")
    scene = Scene(key, rules={rule: "critical"})
    scene.telemetry.record([*scored(key, values), AlertSeen(key, rule, Severity.INFO, AlertState.FIRING, NOON, 1, ())])

    said = scene.samples(style)
    present = {(model, "1", name, "ks"): value for name, value in values.items() if value is not None}
    assert said["driftd_drift_score"] == present
    assert said["driftd_drift_score_upper"] == present
    assert said["driftd_drift_pvalue"] == dict.fromkeys(present, 0.5)
    assert said["driftd_drift_threshold"] == {(model, "1", name, "ks"): 0.25 for name in values}
    assert said["driftd_drift_state"] == {(model, "1", name): 2 for name in values}
    assert said["driftd_feature_missing_ratio"] == {(model, "1", name): 0.125 for name in values}
    assert (said["driftd_window_rows"], said["driftd_window_unlogged_rows"]) == (
        ({(model, "1"): 100}, {(model, "1"): 900}) if values else ({}, {})
    )
    of_ids = {
        "driftd_window_ids": 60,
        "driftd_duplicate_share": 0.25,
        "driftd_duplicate_share_error": 0.01,
        "driftd_group_rows_ratio": 3.5,
    }
    for name, value in of_ids.items():
        assert said[name] == ({(model, "1"): value} if values else {})
    assert said["driftd_rule_info"] == {(model, "1", rule, "critical"): 1}
    assert said["driftd_alert_state"] == {(model, "1", rule): 2}


@pytest.mark.parametrize(
    ("severity", "state", "said"),
    [
        (Severity.CRITICAL, AlertState.FIRING, 2),
        (Severity.CRITICAL, AlertState.RECOVERING, 2),
        (Severity.WARNING, AlertState.FIRING, 1),
        (Severity.INFO, AlertState.FIRING, 0),
        (Severity.CRITICAL, AlertState.PENDING, 0),
        (Severity.CRITICAL, AlertState.INACTIVE, 0),
    ],
)
def test_an_open_incident_is_as_bad_as_it_is_large(severity: Severity, state: AlertState, said: int) -> None:
    """What the rules of Prometheus page by; a kind of which none is open is 0, not absent."""
    scene = Scene(CHURN, rules={"drift": "critical"})
    scene.telemetry.record([AlertSeen(CHURN, "drift", severity, state, NOON, 1, (), kind=IncidentKind.DATA_QUALITY)])

    kinds = {"drift": 0, "data_quality": said, "prediction": 0, "service": 0}
    assert scene.samples()["driftd_incident_severity"] == {
        (CHURN.model, CHURN.version, kind): value for kind, value in kinds.items()
    }


def test_of_the_rules_of_the_service_each_is_as_bad_as_its_own_incident() -> None:
    scene = Scene(CHURN, rules={"no_data": "critical", "latency": "critical", "errors": "critical"})
    scene.telemetry.record(
        [
            AlertSeen(CHURN, rule, severity, AlertState.FIRING, NOON, 1, (), kind=IncidentKind.SERVICE)
            for rule, severity in (("no_data", Severity.WARNING), ("latency", Severity.CRITICAL))
        ]
    )
    assert scene.samples()["driftd_service_severity"] == {
        (CHURN.model, CHURN.version, rule): bad for rule, bad in (("no_data", 1), ("latency", 2), ("errors", 0))
    }


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", CLASSIC),
        ("*/*", CLASSIC),
        ("text/plain;version=1.0.0;escaping=allow-utf-8", CLASSIC),
        ("application/openmetrics-text; version=0.0.1", CLASSIC),
        ("application/openmetrics-text;version=1.0.0;escaping=dots,text/plain;version=0.0.4", OPENMETRICS),
        ("application/openmetrics-text; version=2.0.0", OPENMETRICS),
        ("application/openmetrics-text", OPENMETRICS),
    ],
)
def test_one_of_two_formats_is_given_whatever_is_asked_for(accept: str, kind: str) -> None:
    """No name of ours needs escaping, so that there is nothing to agree on."""
    found, text = Scene(CHURN).exposition.answer(accept)

    assert found == kind
    assert text.endswith(b"# EOF\n") is (kind == OPENMETRICS)
    assert parsed(text, kind)["driftd_ready", ()] == 1


@pytest.mark.prometheus
def test_promtool_has_nothing_to_say() -> None:
    names = ('say "hi"', "a\\\n", "naïve {x}")
    scene = Scene(CHURN, FRAUD, rules=dict.fromkeys(names, "info"))
    scene.telemetry.record([*scored(CHURN, dict.fromkeys(names, 1e300)), *scored(FRAUD, {})])
    checked = promtool("check", "metrics", input=scene.text().decode())

    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


# --- what is ready ----------------------------------------------------------------------------------------------------

STEPS = st.one_of(
    st.builds(
        scored,
        st.sampled_from([CHURN, FRAUD]),
        st.dictionaries(NAMES, st.none() | NUMBERS.map(float).filter(math.isfinite), max_size=4),
    ),
    st.builds(lambda topic, count: [EventsCounted(topic, "ok", count)], NAMES, st.integers(0, 9)),
    st.builds(lambda panes: [PanesOpen(((FRAUD, panes),))], st.integers(0, 9)),
    st.builds(
        lambda rule, state: [AlertSeen(CHURN, rule, Severity.INFO, state, NOON, 1, ())],
        NAMES,
        st.sampled_from(AlertState),
    ),
    st.just([]),
)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("room", [0, 3, MOST_FORMS], ids=["no room", "little room", "room"])
@given(steps=st.lists(STEPS, max_size=6), gone=st.integers(0, 6))
def test_what_is_ready_is_what_would_be_written_anew_at_every_change(
    style: str, room: int, steps: list[list[Fact]], gone: int
) -> None:
    scene = Scene(CHURN, FRAUD)
    scene.exposition._room.left = room
    for at, facts in enumerate(steps):
        scene.telemetry.record(facts)
        if at == gone:
            scene.board.series.pop(FRAUD)
            scene.board.series[FRAUD] = SeriesBoard("def", 1000, {}, 60 * SECOND)
        anew = Exposition(scene.telemetry.look, scene.exposition.status, CollectorRegistry())

        assert scene.text(style) == anew.answer("application/openmetrics-text" if style == OPENMETRICS else "")[1]


def test_a_series_that_goes_gives_its_room_back() -> None:
    scene = Scene(CHURN, FRAUD)
    scene.telemetry.record(scored(FRAUD, {"age": 0.5}))
    scene.text()
    taken = MOST_FORMS - scene.exposition._room.left
    del scene.board.series[FRAUD]
    scene.text()

    assert taken > 0
    assert scene.exposition._room.left == MOST_FORMS


# --- what it costs the loop -------------------------------------------------------------------------------------------


def calls_while_looking(scene: Scene, target: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """Calls of any function that an answer makes while it holds the telemetry's lock."""
    count, look = 0, scene.telemetry.look

    def note(_frame: Any, event: str, _argument: Any) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    def counted(read: Callable[[Board], T]) -> T:
        def watched(board: Board) -> T:
            gc.disable()  # whoever listens to the collector would be counted
            sys.setprofile(note)
            try:
                return read(board)
            finally:
                sys.setprofile(None)
                gc.enable()

        return look(watched)

    monkeypatch.setattr(scene.telemetry, "look", counted)
    deciding = Deciding(None, Inbox(), scene.telemetry.look)
    assert (
        Surface(scene.telemetry, scene.exposition, lambda: None, deciding, nothing_waits()).answer(target, "")[0]
        == HTTPStatus.OK
    )
    return count


@pytest.mark.parametrize("target", ["/metrics", "/api/v1/models", "/api/v1/alerts", "/api/v1/windows"])
def test_the_lock_is_held_for_a_copy_of_references_whatever_is_on_the_board(
    target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    small, large = Scene(CHURN), Scene(*(SeriesKey(f"model-{at}", "1") for at in range(50)))
    for scene, features in ((small, 1), (large, 40)):
        for key in tuple(scene.board.series):
            scene.telemetry.record(scored(key, {f"f{at}": 0.5 for at in range(features)}))
    few = calls_while_looking(small, target, monkeypatch)

    each = 10 if target == "/api/v1/windows" else 0  # that one copies a list a series, not knowing what is in it
    assert 0 < calls_while_looking(large, target, monkeypatch) <= few + each * len(large.board.series)


def test_what_happens_while_the_text_is_made_is_in_the_next_scrape() -> None:
    scene = Scene(CHURN)
    news: list[Fact] = [
        *scored(CHURN, {"age": 0.75}),
        EventsCounted("t", "ok", 5),
        PanesOpen(((CHURN, 7),)),
        WatermarkAdvanced(NOON),
        AlertSeen(CHURN, "drift", Severity.INFO, AlertState.FIRING, NOON, 1, ()),
    ]
    scene.telemetry.record([*scored(CHURN, {"age": 0.5}), EventsCounted("t", "ok", 2)])
    scene.during = [lambda: scene.telemetry.record(news)]
    before = parsed(scene.text(), CLASSIC)
    scene.during = []
    after = parsed(scene.text(), CLASSIC)

    of = (("detector", "ks"), ("feature", "age"), ("model", "churn"), ("version", "3"))
    series, topic = of[2:], (("outcome", "ok"), ("topic", "t"))
    assert (before["driftd_drift_score", of], after["driftd_drift_score", of]) == (0.5, 0.75)
    assert (before["driftd_events_total", topic], after["driftd_events_total", topic]) == (2, 7)
    assert (before["driftd_open_panes", series], after["driftd_open_panes", series]) == (0, 7)
    assert ("driftd_watermark_timestamp_seconds", series[:1]) not in before
    assert not any(name == "driftd_alert_state" for name, _ in before)


def test_only_a_series_whose_window_closed_is_written_again() -> None:
    scene = Scene(CHURN, FRAUD)
    scene.telemetry.record([*scored(CHURN, {"age": 0.5}), *scored(FRAUD, {"age": 0.5})])
    scene.text()
    churn, fraud = (scene.exposition._kept[key][1] for key in (CHURN, FRAUD))
    scene.telemetry.record([EventsCounted("t", "ok", 5), PanesOpen(((CHURN, 2), (FRAUD, 2)))])
    scene.telemetry.record(scored(FRAUD, {"age": 0.75}, NOON + SECOND))

    assert scene.samples()["driftd_drift_score"] == {
        ("churn", "3", "age", "ks"): 0.5,
        ("fraud", "*", "age", "ks"): 0.75,
    }
    assert scene.exposition._kept[CHURN][1] is churn
    assert scene.exposition._kept[FRAUD][1] is not fraud


def test_what_the_next_window_does_not_have_is_gone() -> None:
    scene = Scene(CHURN, FRAUD)
    scene.telemetry.record([*scored(CHURN, {"age": 0.5, "plan": 0.5}), *scored(FRAUD, {"age": 0.5})])
    scene.text()
    scene.telemetry.record(scored(CHURN, {"age": None}, NOON + SECOND))
    del scene.board.series[FRAUD]

    assert scene.samples()["driftd_drift_score"] == {}
    assert scene.samples()["driftd_drift_state"] == {("churn", "3", "age"): 2}
    assert scene.exposition._kept.keys() == {CHURN}
