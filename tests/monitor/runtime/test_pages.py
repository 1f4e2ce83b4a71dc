"""The status page as text: what it says, what it never says, and what a request costs the loop."""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from structlog.testing import capture_logs

from detectors.charts import IncidentKind, LevelStep
from detectors.univariate import volume
from monitor.alerting.alerts import AlertState
from monitor.alerting.decisions import Asked, Decision, Scope, Silence
from monitor.alerting.incidents import Standing
from monitor.alerting.table import ScoreTable
from monitor.cli import main
from monitor.facts import (
    AlertSeen,
    DecisionsStand,
    EventsCounted,
    Fact,
    LagMeasured,
    LevelChanged,
    MetricTold,
    PartitionsUnreachable,
    PerformanceEstimated,
    WatermarkAdvanced,
    WindowClosed,
    WindowScored,
)
from monitor.html.page import digest
from monitor.runtime.page.frame import POLICY, SHEET, ago
from monitor.series.tracks import HIGHEST
from monitor.stream.events import SECOND, Partition, SeriesKey
from tests.build import HOUR, MINUTE
from tests.deciding import running
from tests.fakes import NOON
from tests.pages import (
    AGE,
    BROKEN,
    CHURN,
    DRIFTING,
    FEATURES,
    FRAUD,
    HEALTHY,
    OVER,
    QUIET,
    Scene,
    closed,
    column,
    judged,
    quiet_day,
    usual_day,
    window,
)

P0 = Partition("predictions", 0)
MODEL = "/model?name=churn&version=3"
FEATURE = "/feature?model=churn&version=3&name=age"
INCIDENT = f"/incident?id={DRIFTING.incident}"


@pytest.fixture
def made() -> Iterator[Callable[..., Scene]]:
    """made(usual_day) starts a scene that ends with the test."""
    scenes: list[Scene] = []

    def make(build: Callable[..., Scene], *facts: Any, **how: Any) -> Scene:
        scenes.append(build(*facts, **how))
        return scenes[-1]

    yield make
    for scene in scenes:
        scene.close()


def words(page: str) -> str:
    """A page as it is read."""
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", page.partition("<body>")[2]))).replace("\u202f", " ")


def read(scene: Scene, path: str = "/") -> str:
    status, kind, page = scene.get(path)
    assert (status, kind) == (200, "text/html; charset=utf-8")
    return words(page)


def test_the_first_page_says_what_is_wrong_since_when_and_who_looks_after_it(made: Any) -> None:
    said = read(made(usual_day))

    assert "2 incidents are open The oldest since 2026-11-23 04:05 (7 h 56 min ago), 1 that nobody has taken." in said
    assert "churn/3 drifts critical drift since 2026-11-23 04:05 7 h 56 min ago age mean 41.2 → 47.9" in said
    assert "Joined or grew: tenure_days 2026-11-23 10:05 ; plan 2026-11-23 08:05" in said
    assert f"Nobody has taken it: driftd ack {DRIFTING.incident}" in said
    assert "Looked after by ana : the app's release lost it" in said
    assert "ranker no longer drifts" in said


def test_models_that_alert_stand_first(made: Any) -> None:
    page = made(usual_day).get("/")[2]
    table = page.partition('id="models"')[2].partition("</table>")[0]
    names = [words(f"<body>{cell}") for cell in re.findall(r'<th scope="row">(.*?)</th>', table)]

    assert [name.strip() for name in names[:3]] == ["churn/3", "fraud/2026.11", "eta/1"]


def test_trouble_with_driftd_itself_stands_before_everything(made: Any) -> None:
    scene = made(usual_day, troubled=True)
    scene.trouble = "state could not be saved: database or disk is full"
    said = read(scene)

    assert said.index("driftd is not ready: state could not be saved") < said.index("Open incidents")
    assert "31 % of the events of predictions are late and not counted" in said
    assert "trainer does not take what it is told: answered 410" in said


def test_nothing_but_trouble_is_no_quiet_day(made: Any) -> None:
    scene = made(quiet_day)
    assert read(scene).startswith(" driftd as of 2026-11-23 12:01:05 UTC; reload for news All is quiet")

    scene.trouble = "the loop has not turned for 30 s"
    assert "No incident is open, but driftd does not see or tell everything" in read(scene)


def all_quiet() -> Scene:
    return quiet_day()


def nothing_comes() -> Scene:
    scene = quiet_day()
    scene.clock += 2 * HOUR
    scene.telemetry.restore([LagMeasured(((P0, 0),))])
    return scene


def far_behind() -> Scene:
    scene = quiet_day()
    scene.clock += 2 * HOUR
    return scene


def nothing_came() -> Scene:
    return Scene([], {CHURN: FEATURES})


def one_model_is_gone() -> Scene:
    """The other three go on."""
    scene = quiet_day()
    scene.clock += HOUR
    scene.telemetry.restore([WatermarkAdvanced(NOON + HOUR), *(each for key in QUIET[1:] for each in later(key))])
    return scene


def one_model_never_came() -> Scene:
    return Scene([*closed(dict.fromkeys(QUIET, FEATURES)), *HEALTHY], dict.fromkeys((*QUIET, CHURN), FEATURES))


def later(key: SeriesKey) -> list[Fact]:
    """An hour after noon it closes a window."""
    *_, closed, scored = window(key, FEATURES)
    assert isinstance(closed, WindowClosed)
    assert isinstance(scored, WindowScored)
    return [replace(closed, start=closed.start + HOUR, end=NOON + HOUR), replace(scored, at=NOON + HOUR)]


def counted(outcome: str, ok: int = 60) -> Callable[[], Scene]:
    """Of the last events most were something else than ok."""

    def made() -> Scene:
        scene = quiet_day()
        scene.telemetry.record([EventsCounted("predictions", "ok", ok), EventsCounted("predictions", outcome, 9_940)])
        return scene

    return made


def a_few_rejected() -> Scene:
    """Of a hundred events two; the others break a contract that leaves them out."""
    scene = quiet_day()
    scene.telemetry.record(
        [EventsCounted("predictions", "excluded", 9_800), EventsCounted("predictions", "rejected", 200)]
    )
    return scene


def silent() -> Scene:
    return made_silent(range(2, 7))


def made_silent(indices: Sequence[int]) -> Scene:
    since = tuple((Partition("predictions", index), NOON - HOUR - index) for index in indices)
    scene = quiet_day()
    scene.telemetry.restore([PartitionsUnreachable(since, changed=True)])
    return scene


def too_few_rows() -> Scene:
    scores = ScoreTable((column("volume", (volume.FEATURE,), [0.1], 40, 1.0),))
    states = {**dict.fromkeys(FEATURES, -1), volume.FEATURE: 0}
    scene = quiet_day()
    scene.telemetry.restore([WindowScored(key, NOON, scores, states) for key in QUIET[:2]])
    return scene


def near_an_alert() -> Scene:
    scene = quiet_day()
    scene.telemetry.restore([WindowScored(QUIET[0], NOON, ScoreTable(()), {**dict.fromkeys(FEATURES, 0), "age": 1})])
    return scene


BLIND = "No incident is open, but driftd does not see or tell everything"
DAYS: dict[
    Callable[[], Scene], tuple[str, str, bool]
] = {  # what the page says: the headline, a trouble, whether all is well
    all_quiet: ("All is quiet", "", True),
    usual_day: ("2 incidents are open", "", False),
    nothing_comes: (BLIND, "event time stands at 2026-11-23 12:00 UTC: nothing newer is judged", False),
    far_behind: (
        BLIND,
        "event time stands at 2026-11-23 12:00 UTC: nothing newer is judged, and 54 events wait",
        False,
    ),
    nothing_came: (BLIND, "no event time has come since driftd started at 2026-11-14 12:01:05 UTC", False),
    one_model_is_gone: (BLIND, "1 model has had no window with rows for long while event time went on: eta/1", False),
    one_model_never_came: (
        BLIND,
        "1 model has had no window with rows for long while event time went on: churn/3",
        False,
    ),
    counted("rejected"): (BLIND, "99.4 % of the last minutes' events of predictions are rejected", False),
    counted("unmonitored", ok=1): (BLIND, "of the last minutes' events of predictions are of no model that is", False),
    a_few_rejected: ("All is quiet", "", True),
    counted("unmonitored"): ("All is quiet", "", True),  # somebody else's are no fault
    silent: (BLIND, "the leaders of 5 partitions of predictions do not answer: 2, 3, 4 and 2 more", False),
    too_few_rows: ("No incident is open; 2 of 4 models are judged", "", True),
    near_an_alert: ("No incident is open; 1 model is near an alert", "", True),
}


@pytest.mark.parametrize("day", DAYS, ids=lambda day: day.__name__)
def test_the_headline_says_whether_driftd_sees(made: Any, day: Callable[[], Scene], capsys: Any) -> None:
    """The page, the route and the terminal say the same."""
    words, trouble, well = DAYS[day]
    scene = made(day)
    page = scene.get("/")[2]
    said = json.loads(scene.get("/api/v1/status", "")[2])
    code = main(["status", "--url", scene.url])
    printed = capsys.readouterr().out

    assert re.search(r"<h1>.*?</h1>", page)[0].endswith(f"</span>{words}</h1>")  # type: ignore[index]
    assert trouble in read(scene)
    assert (said["headline"], said["well"], bool(said["troubles"])) == (words, well, bool(trouble))
    assert printed.startswith(f"{words}; driftd 0.9.0 is ready")
    assert trouble.partition(". ")[0] in printed.replace("\u202f", " ")
    assert code == (0 if well else 1)


def test_what_was_rejected_goes_by(made: Any) -> None:
    scene = made(counted("rejected"))
    scene.clock += 5 * MINUTE

    assert "All is quiet" in read(scene)


def test_a_model_without_a_window_of_late_is_not_called_quiet(made: Any) -> None:
    scene = made(one_model_is_gone)
    said = json.loads(scene.get("/api/v1/status", "")[2])

    assert [(each["model"], each["state"]) for each in said["models"]][:2] == [("eta", "stale"), ("pricing", "ok")]
    assert "3 of 4 models quiet , 1 no window of late" in read(scene).replace("quiet,", "quiet ,")
    assert "eta/1 no window of late" in read(scene)


def test_the_number_of_rows_is_no_feature(made: Any) -> None:
    """It is watched by a rule, and shown; but of the features it is none."""
    scene = made(usual_day)
    said = json.loads(scene.get("/api/v1/status", "")[2])
    rows = WindowScored(QUIET[0], NOON, ScoreTable(()), {**dict.fromkeys(FEATURES, 0), volume.FEATURE: 2})
    scene.telemetry.restore([rows])
    after = json.loads(scene.get("/api/v1/status", "")[2])["models"]
    eta = next(each for each in after if each["model"] == "eta")

    assert {each["features"] for each in said["models"]} == {len(FEATURES)}
    assert "3 of 8" in read(scene)
    assert (eta["features"], eta["drifting"], eta["state"]) == (len(FEATURES), 0, "warning")


def test_before_the_first_window_every_page_says_so(made: Any) -> None:
    scene = made(Scene, up=MINUTE)

    assert "No window has closed yet" in read(scene)
    assert "No two windows have closed yet" in read(scene, MODEL)
    assert scene.get(FEATURE)[0] == 404


def test_the_events_section_has_lag_watermark_late_and_rejected(made: Any) -> None:
    said = read(made(usual_day))

    assert "Lag 54 events, in 4 partitions Event time 1 min 5 s ago 2026-11-23 12:00 Late 0.02 %" in said
    assert "malformed_json predictions 31 timestamp_missing predictions 6" in said
    assert "pager webhook https://events.example.org/v2/*** delivered" in said


def test_a_models_page_has_every_feature_the_worst_first(made: Any) -> None:
    scene = made(usual_day)
    page = scene.get(MODEL)[2]
    table = page.partition('id="features"')[2]
    names = re.findall(r'class="feature"><bdi>(.*?)</bdi>', table)

    assert names[:3] == ["age", "plan", "tenure_days"]
    assert sorted(names) == sorted([*FEATURES, volume.FEATURE])
    assert page.count('<li><div class="plot') == len(FEATURES) + 1
    assert {scene.get(f"/feature?model=churn&version=3&name={each}")[0] for each in names} == {200}


def test_a_models_page_says_what_it_was_worth_by_the_labels_that_came(made: Any) -> None:
    scene = made(usual_day, *judged(CHURN))
    page = scene.get(MODEL)[2]
    said = words(page)

    assert (
        "accuracy 0.91 → 0.84 (0.81 to 0.86), AUROC 0.96 → 0.89 (0.87 to 0.90); window to 2026-11-16 12:00 UTC, 71 % of labels in."
        in said.replace("\u202f", " ")
    )
    assert "Provisional, after 1d: accuracy 0.84" in said
    assert "Selection bias" not in said
    assert "Reliability in that window" in said
    assert 'aria-label="Reliability diagram: mean score 0.84, 0.79 came true"' in page
    assert "Each class against the rest" in said
    assert page.count('class="intervals"') == 3  # of two metrics, and of reliability
    assert 'title="all predictions are of one class"' not in page  # what has no value is not drawn
    assert "accuracy 0.84" in read(scene, "/")


def test_what_is_expected_without_labels_stands_beside_and_where_labels_said_otherwise(made: Any) -> None:
    expected = (MetricTold("accuracy", 0.95, 0.94, 0.96, 100),)
    estimated = PerformanceEstimated(CHURN, NOON - HOUR, NOON, "binary", 100, 0.0, expected)
    *_, last = judged(CHURN)
    apart = replace(last, estimated=expected)
    said = read(made(usual_day, estimated, apart), MODEL).replace("\u202f", " ")
    alone = read(made(usual_day, estimated), MODEL)

    assert (
        "Estimated without labels: accuracy 0.95 (0.94 to 0.96); window to 2026-11-23 12:00 UTC, if labels follow predictions"
        in said
    )
    assert "A hint of concept drift. Realised less estimated of the same predictions: accuracy −0.11 (−0.1" in said
    assert "Estimated without labels: accuracy 0.95" in alone


def test_labels_that_do_not_come_at_random_are_said_on_the_page(made: Any) -> None:
    said = read(made(usual_day, *judged(CHURN, biased=True)), MODEL).replace("\u202f", " ")

    assert (
        "Selection bias. Labels do not come at random: 80 % of the predictions positive have one, 65 % of negative; metrics are "
        "those of the labels that are in. Whatever the missing ones are: accuracy 0.60 to 0.90."
    ) in said


def test_labels_of_which_none_was_the_positive_one_are_said_on_the_page(made: Any) -> None:
    *_, last = judged(CHURN)
    assert "No label so far is the positive one: precision" in read(
        made(usual_day, replace(last, no_positive=True)), MODEL
    )
    assert "the positive one" not in read(made(usual_day, last), MODEL)


def test_a_model_that_waits_for_labels_says_so_and_one_without_says_nothing(made: Any) -> None:
    first, *_ = judged(CHURN, 1)  # after a day, provisional
    waiting, none = made(usual_day, first), made(usual_day)

    assert "; provisional, after 1d." in read(waiting, MODEL)
    assert "What it was worth" not in read(none, MODEL)
    assert "By labels" not in read(none, "/")


def test_a_features_page_has_its_scores_and_both_histories(made: Any) -> None:
    level = LevelChanged(CHURN, NOON - HOUR, "age", LevelStep.ACCEPTED)
    said = read(made(usual_day, level), FEATURE)

    assert "The last windows" in said
    assert "The last days, by the hour" in said
    assert "drift 3.32 1 3.32 ×" in said
    assert "psi 0.829 – –" in said
    assert "a level of its own (accepted) since 2026-11-23 11:00" in said
    assert "churn/3 drifts" in said  # the incident it is part of


def test_a_feature_is_drawn_beside_its_reference_on_its_page_and_on_that_of_its_incident(made: Any) -> None:
    scene = made(usual_day)
    first = scene.get(FEATURE)[2]
    incident = scene.get(INCIDENT)[2]

    assert "<title>age: reference and window</title>" in first
    assert "the last window, to 2026-11-23 12:00 UTC" in words(first)
    assert [f"<title>{name}: reference and window</title>" in incident for name in ("age", "plan", "device")] == [
        True,
        True,
        False,
    ]


def test_an_incidents_page_says_what_to_do_in_commands_that_can_be_copied(made: Any) -> None:
    entry = replace(DRIFTING.evidence[0], feature="a b; rm -rf")
    alert = replace(DRIFTING, evidence=(entry,))
    said = read(made(usual_day, alert), f"/incident?id={alert.incident}")

    assert "driftd accept churn 'a b; rm -rf' age plan --for-good" in said
    assert "driftd silence churn --for 2h" in said


def test_an_incident_whose_evidence_has_gone_is_not_answered_by_accepting_the_whole_model(made: Any) -> None:
    gone = replace(DRIFTING, evidence=())
    nobody = replace(gone, about=replace(gone.about, members=()))
    path = f"/incident?id={DRIFTING.incident}"

    assert "driftd accept churn age plan tenure_days --for-good" in read(made(usual_day, gone), path)
    assert "driftd accept" not in read(made(usual_day, nobody), path)


def test_only_what_has_a_page_is_a_link(made: Any) -> None:
    """A stream, or the ids of rows, is part of an incident and has no page of its own."""
    late = replace(
        DRIFTING, rule="lateness", kind=IncidentKind.SERVICE, evidence=(replace(AGE, feature="predictions"),)
    )
    twice = replace(DRIFTING, kind=IncidentKind.DATA_QUALITY, evidence=(replace(AGE, feature="__duplicates__"), AGE))
    scene = made(usual_day, late, twice)
    paths = ("/", f"/incident?id={late.incident}", f"/incident?id={twice.incident}", MODEL)
    links = {unescape(each) for path in paths for each in re.findall(r'href="(feature\?[^"]*)"', scene.get(path)[2])}

    assert "__duplicates__" in read(scene)
    assert len(links) > 1
    assert {scene.get(f"/{each}")[0] for each in links} == {200}


def test_a_pending_alert_is_no_incident_to_look_at(made: Any) -> None:
    pending = replace(DRIFTING, state=AlertState.PENDING, episode=0, about=Standing())
    assert pending.incident == ""

    assert made(usual_day, pending).get("/incident?id=")[0] == 404


def test_a_score_over_a_threshold_of_0_is_a_number(made: Any) -> None:
    scores = ScoreTable((column("psi", FEATURES, [0.1] * len(FEATURES), 9_412, 0.0),))
    scene = made(usual_day, WindowScored(CHURN, NOON, scores, dict.fromkeys(FEATURES, 2)))
    said = json.loads(scene.get("/api/v1/status", "")[2])

    assert said["models"][0]["nearest"][0]["of_threshold"] == HIGHEST
    assert scene.get(MODEL)[0] == 200


def test_bad_data_is_not_to_be_retrained_on(made: Any) -> None:
    said = read(made(usual_day), f"/incident?id={BROKEN.incident}")

    assert "Retraining on them would teach the model the fault" in said


def test_an_incident_that_is_over_says_how_it_ended_and_offers_nothing(made: Any) -> None:
    said = read(made(usual_day), f"/incident?id={OVER.incident}")

    assert "ranker no longer drifts" in said
    assert "resolved 2026-11-22 05:00" in said
    assert "What to do" not in said


def test_a_silenced_incident_says_so(made: Any) -> None:
    silence = Decision(Asked("s", Silence(Scope("churn"), 2 * HOUR), "ana", "release"), "churn", NOON, NOON)
    assert "silenced" in read(made(usual_day, DecisionsStand((silence,), ())), INCIDENT)


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/model?name=nobody&version=1", "driftd watches no model nobody/1"),
        ("/model", "The address says no name"),
        ("/feature?model=churn&version=3&name=%3Cb%3E", "churn/3 has no feature <b>"),
        ("/incident?id=x", "That incident is not open, and not among the last hundred"),
        ("/nothing", "There is no such page"),
    ],
)
def test_what_is_not_there_is_said_in_the_pages_markup(made: Any, path: str, why: str) -> None:
    status, kind, page = made(usual_day).get(path)

    assert (status, kind) == (404, "text/html; charset=utf-8")
    assert why in words(page)


def test_names_from_outside_are_text(made: Any) -> None:
    evil = "<script>alert(1)</script>\"'&"
    key = SeriesKey(evil, evil)
    entry = replace(DRIFTING.evidence[0], feature=evil, words=evil)
    alert = AlertSeen(key, evil, DRIFTING.severity, DRIFTING.state, DRIFTING.since, 1, (entry,))
    scene = made(Scene, [*closed({key: (evil,)}), *HEALTHY, alert], {key: (evil,)})
    first = scene.get("/")[2]
    links = {unescape(each) for each in re.findall(r'href="((?:model|feature|incident)\?[^"]*)"', first)}

    assert {each.partition("?")[0] for each in links} == {"model", "feature", "incident"}
    for path in ("/", *(f"/{each}" for each in links)):
        status, _, page = scene.get(path)
        assert status == 200
        assert "<script" not in page
        assert "&lt;script&gt;alert(1)" in page


def test_the_policy_names_the_very_style_and_no_script() -> None:
    assert digest(SHEET) in POLICY
    assert "unsafe" not in POLICY
    assert POLICY.startswith("default-src 'none';")


def test_no_page_has_a_style_of_its_own_or_an_outside_address(made: Any) -> None:
    scene = made(usual_day, troubled=True)
    for path in ("/", MODEL, FEATURE, INCIDENT):
        page = scene.get(path)[2]
        assert re.findall(r"<[^>]* style=", page) == []
        assert re.findall(r'(?:src|href)="(?:https?:)?//', page) == []


def test_what_was_counted_of_a_window_is_kept_until_the_next(made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lock that the loop waits for is held while references are copied; a window is looked at once."""
    scene = made(usual_day)
    scene.get("/")
    kept = scene.surface.pages.glances.kept
    first = dict(kept)
    scene.get("/")
    unchanged = all(kept[key][1] is first[key][1] for key in kept)
    scene.telemetry.restore(window(CHURN, FEATURES))
    scene.get("/")

    assert unchanged
    assert [key for key in kept if kept[key][1] is not first[key][1]] == [CHURN]


def test_a_look_copies_the_tracks_of_those_series_alone_that_closed_a_window(made: Any) -> None:
    scene = made(usual_day)
    glances = scene.surface.pages.glances
    assert len(scene.telemetry.look(glances.copy).tracks) == len(scene.keys)

    scene.get("/")
    scene.telemetry.restore(window(FRAUD, FEATURES))

    assert list(scene.telemetry.look(glances.copy).tracks) == [FRAUD]


def test_how_long_ago() -> None:
    assert ago(NOON, NOON) == "just now"
    assert ago(NOON + MINUTE, NOON) == ""  # event time may be ahead of the clock
    assert ago(NOON - 90 * SECOND, NOON).replace("\u202f", " ") == "1 min 30 s ago"


def test_a_status_for_programs_has_the_documented_shape(made: Any) -> None:
    scene = made(usual_day, troubled=True)
    status, kind, body = scene.get("/api/v1/status", "")
    said = json.loads(body)

    assert (status, kind) == (200, "application/json")
    assert (said["ready"], said["why"], said["watermark"]) == (True, None, "2026-11-23T12:00:00Z")
    assert said["models"][0] == {
        "model": "churn",
        "version": "3",
        "state": "alerting",
        "incidents": [DRIFTING.incident],
        "features": 8,
        "drifting": 3,
        "nearest": said["models"][0]["nearest"],
        "window": {"end": "2026-11-23T12:00:00Z", "rows": 9412},
        "learning": None,
    }
    assert said["models"][0]["nearest"][0] == {"feature": "age", "of_threshold": 3.3151}
    assert said["topics"][0]["lag"] == 54
    assert said["rejected"][0] == {"topic": "predictions", "reason": "malformed_json", "count": 31}
    assert [each["stuck"] for each in said["targets"]] == [False, True]


# --- a whole daemon ---------------------------------------------------------------------------------------------------


def test_a_running_daemon_is_told_of_in_a_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with capture_logs(), running(tmp_path) as daemon:
        url = daemon.daemon.server.url
        codes = [main(["status", *arguments, "--url", url]) for arguments in ([], ["churn"], ["--json"])]
        incident = daemon.get("/api/v1/alerts")[0]["incident"]
    told = capsys.readouterr()

    assert (codes, told.err) == ([1, 1, 1], "")
    assert told.out.startswith("1 incident is open; driftd ")
    assert told.out.count(f"driftd ack {incident}") == 2
    assert "! event time stands at 2026-11-23 12:0" in told.out  # its clock is an hour ahead of its events
    assert daemon.daemon.surface.pages.status.patience == {CHURN: 2 * MINUTE + 30 * SECOND}  # and idle_after


def test_the_link_of_an_alert_opens_the_page_of_the_very_incident(tmp_path: Path) -> None:
    """What a webhook is told leads, over HTTP, to a page that names the incident and its feature."""
    with capture_logs() as lines, running(tmp_path, external_url="http://ops.invalid/driftd") as daemon:
        incident = daemon.get("/api/v1/alerts")[0]["incident"]
        told = next(line["url"] for line in lines if line["event"] == "alert.firing")
        with urlopen(daemon.daemon.server.url + told.removeprefix("http://ops.invalid/driftd")) as answer:
            page = answer.read().decode()
        with urlopen(daemon.daemon.server.url) as answer:
            first = answer.read().decode()

    assert told.endswith(incident)
    assert incident in page
    assert "churn/3 drifts, by your rule high" in words(page)
    assert "1 incident is open" in words(first)
    assert f'href="incident?id={incident}"' in first


def test_what_features_came_to_is_still_drawn_after_a_restart(tmp_path: Path) -> None:
    pages = []
    for _ in range(2):
        with capture_logs(), running(tmp_path) as daemon, urlopen(f"{daemon.daemon.server.url}{FEATURE}") as answer:
            pages.append(answer.read().decode())
    drawn = [re.findall(r'<path class="line score" d="([^"]*)"', page) for page in pages]

    assert len(drawn[0]) == 1  # two windows; one hour is no line yet
    assert drawn[1] == drawn[0]
    assert all("<title>age: reference and window</title>" in page for page in pages)
