"""The backtest's report: what it says, and that nothing can break it."""

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from monitor.alerting.rules import Severity
from monitor.backtest.report import write_report
from monitor.backtest.report.document import document
from monitor.backtest.report.judgement import chance_of
from monitor.backtest.report.parts import ModelPart
from monitor.backtest.result import BacktestResult, SweepRow
from monitor.html.evidence import chart_of, effect_of
from monitor.stream.events import SeriesKey
from tests.build import DAY, HOUR, MINUTE
from tests.reports import CHANGE, PAGE, a_cold_model, episode, evidence, injected, make_model, make_result

HOSTILE = "<script>alert(1)</script>\"'&amp;--><img src=x onerror=alert(2)>"
VOID = {"meta", "br"}


class Reading(HTMLParser):
    """What a browser makes of a page: its words, tags, ids and addresses; raises where an end tag is wrong."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.handlers: list[str] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(page)
        assert self._open == []
        self.words = " ".join(self.text.replace("\u202f", " ").split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._open += [] if tag in VOID else [tag]
        for key, value in attrs:
            self.ids += [value or ""] if key == "id" else []
            self.addresses += [value or ""] if key in {"href", "src", "action", "data"} else []
            self.handlers += [key] if key.startswith("on") else []

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] not in {"script", "style"}:
            self.text += data + " "


def read(result: BacktestResult | None = None, **changes: Any) -> Reading:
    """The report of this result, or of the usual one with changes."""
    return Reading(document(result or make_result(**changes)))


def one_model(**changes: Any) -> Reading:
    """The report of one model with changes, nothing planted."""
    return read(models=(make_model(**changes),), injected=(), alerts=(episode(),), explicit=())


# --- the page -----------------------------------------------------------------------------------------------------------


def test_the_page_says_what_was_run_and_how_it_came_out() -> None:
    words = read().words

    assert "2 pages, 1 warning, 0.467 false expected, of 1 model not known; 1 of 1 planted change found" in words
    assert "Alerts of explicit rules: 1; without any change 3.12 are to be expected." in words
    assert "2025-11-23 00:01 to 2025-12-07 00:00 UTC, 13 d 23 h" in words
    for said in ("driftd.yaml", "5b1f2c3d4e5f", "november.jsonl", "december.parquet", "0.1.0", "--inject", "3 225 876"):
        assert said in words


def test_numbers_are_for_people() -> None:
    """At most four digits after a point; no powers of ten but in names."""
    words = read().words

    assert re.findall(r"\d\.\d{5,}", words) == []
    assert re.findall(r"\d[eE][-+]\d", words) == []


def test_text_from_outside_stays_text() -> None:
    key = SeriesKey(HOSTILE, HOSTILE)
    model = make_model(key=key, calibrated=HOSTILE, drifting=(HOSTILE,), thresholds={HOSTILE: 1.0})
    fired = episode(key=key, rule=HOSTILE, evidence=(evidence(HOSTILE, words=HOSTILE, chart=HOSTILE),))
    often = tuple(replace(fired, fired_at=PAGE + n * HOUR) for n in range(9))
    texts = {"config": HOSTILE, "command": HOSTILE, "inputs": (HOSTILE,), "hints": (HOSTILE,), "version": HOSTILE}
    planted = (injected(key=key, text=HOSTILE, rule=HOSTILE),)
    result = make_result(models=(model,), alerts=often, injected=planted, rejected={HOSTILE: 1}, **texts)
    page, usual = read(result), read()

    assert set(page.tags) <= set(usual.tags)
    assert page.tags.count("script") == 1
    assert page.handlers == []
    assert page.words.count(HOSTILE) > 20
    assert all(address.startswith("#") for address in page.addresses)


def test_links_lead_somewhere_and_ids_are_unique() -> None:
    page = read(alerts=tuple(episode(rule=rule) for rule in ["drift"] * 3 + ["psi-high"] * 150))

    assert len(page.ids) == len(set(page.ids))
    assert {address.removeprefix("#") for address in page.addresses} <= set(page.ids)


def test_the_page_lets_no_script_run_but_its_own() -> None:
    page = document(make_result())
    script = page.split("<script>")[1].split("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()

    assert f"script-src &#x27;sha256-{digest}&#x27;" in page
    assert "default-src &#x27;none&#x27;" in page
    assert re.findall(r"https?://|@import|url\(", page) == []


def test_the_same_result_is_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_report(make_result(), tmp_path / name)

    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_file_whose_name_is_no_text_can_be_reported_on(tmp_path: Path) -> None:
    write_report(make_result(inputs=("odd\udce9.jsonl",)), tmp_path / "out.html")

    assert "odd\\udce9.jsonl" in (tmp_path / "out.html").read_text(encoding="utf-8")


def test_a_model_of_which_nothing_came_is_shown_too() -> None:
    nothing: dict[str, Any] = {
        "ends": (),
        "rows": (),
        "charted": (),
        "tracks": (),
        "sweep": (),
        "windows": 0,
        "subgroups": 0,
    }
    page = one_model(**nothing, months=0.0, expected_false_alarms=0.0, thresholds={})

    assert "no subgroup had enough rows" in page.words


# --- what it makes of the figures ---------------------------------------------------------------------------------------


def test_a_cold_reference_is_said_to_be_cold_and_promises_nothing() -> None:
    words = read(models=(a_cold_model(),), alerts=(), injected=(), explicit=()).words

    assert "Cold reference. It does not know how its own windows vary" in words
    assert "the budget is no promise" in words
    assert "Warnings are not counted: the reference is cold." in words
    assert "drift not known 0 no budget can be kept" in words
    assert "How many false ones to expect is not known." in words
    assert "0 pages, how many false is not known" in words
    assert "The reference moves in itself: fico: mean +0.4 σ from 2025-11-20" in words


def test_a_budget_that_is_off_expects_nothing_of_its_own_rule() -> None:
    words = one_model(budget=None, expected_false_alarms=0.0, warnings_seen=None, warnings_expected=None).words

    assert "The budget is off: only explicit rules speak." in words
    assert "Warnings are not counted: the budget is off." in words
    assert "the budget × the time" not in words


def test_without_a_planted_change_nobody_says_which_page_was_false() -> None:
    words = one_model().words

    assert "Which of them were false, a recording cannot say." in words
    assert "Without any change as many or more come in 37 % of such times." in words  # 1 - exp(-14 / 30)


def test_with_a_planted_change_pages_outside_it_are_counted() -> None:
    early = episode(since=CHANGE - DAY, fired_at=CHANGE - DAY, resolved_at=CHANGE - DAY + HOUR)

    assert "1 of 2 lay outside every planted change." in read(alerts=(early, episode())).words


@pytest.mark.parametrize(
    ("since", "fired", "within"),
    [
        (CHANGE - HOUR, CHANGE - MINUTE, False),
        (CHANGE - HOUR, CHANGE + HOUR, True),
        (CHANGE + DAY, CHANGE + DAY + 2 * HOUR, True),  # first breached by the change's last window
        (CHANGE + DAY + HOUR, CHANGE + DAY + 2 * HOUR, False),
    ],
)
def test_an_alert_is_the_planted_changes_where_they_overlap(since: int, fired: int, *, within: bool) -> None:
    part = ModelPart.of(make_result(), 0)

    assert (part.planted(episode(since=since, fired_at=fired)) is not None) is within


@pytest.mark.parametrize(
    ("seen", "expected", "said"),
    [
        (14, 9.9, "As expected:"),
        (2, 0.1, "As expected:"),  # too few to say anything
        (10, 69.0, "No more than expected:"),
        (0, 0.0, "As expected:"),
        (60, 10.0, "6.00 × as many as expected:"),
        (60, 0.0, "More than expected:"),
    ],
)
def test_warnings_are_held_against_what_a_fitting_reference_gives(seen: int, expected: float, said: str) -> None:
    words = one_model(warnings_seen=seen, warnings_expected=expected).words

    assert said in words
    assert ("the reference does not fit these data" in words) is (seen == 60)


def test_a_planted_change_that_was_not_found_is_said_to_be_missed() -> None:
    lost = injected(found_at=None, rule="", delay=None, rank=None)
    rows = (SweepRow(1.0, 0, 0, (None,), None, now=True),)
    words = read(injected=(lost,), alerts=(), models=(make_model(sweep=rows),)).words

    assert "0 of 1 planted change found" in words
    assert "115 488 not found – – –" in words
    assert "configured 0 0 not found none" in words


def test_suppressed_retraining_says_why() -> None:
    assert "suppressed: the cooldown since the last request is not over" in read().words


def test_rejected_events_are_told_by_reason_commonest_first() -> None:
    words = read().words

    assert words.index("timestamp event 20") < words.index("json event 11")
    assert "wrong_type field 812" in words


# --- alerts -------------------------------------------------------------------------------------------------------------


def test_an_alert_explains_itself() -> None:
    words = read().words

    assert "critical drift 2025-12-02 06:45 resolved after 1 d planted: age:shift=0.5sd@2025-12-02T06:00" in words
    assert "income_last_12_months missing 0.1 % → 14 %" in words
    assert "age mean +0.8 σ mean up 2025-12-02 06:15 2.92 × 1 203" in words
    assert "Joined later, each as it was then" in words
    assert "country psi, 1.08 × its threshold" in words  # no words were kept
    assert "0.271 ÷ 0.25, resolution 0.0026" in words
    assert "open at the end" in words


def test_features_stand_beside_their_reference() -> None:
    words = read().words

    assert "age drift on 2025-12-02 06:45" in words
    assert "plan the recording until 2025-12-02 06:45" in words
    assert "reference, 5 000 rows" in words
    assert "No feature alarmed. --show FEATURE" in read(models=(make_model(pictures=()),)).words


def test_an_explicit_rule_that_fires_often_is_one_folded_table() -> None:
    often = tuple(episode(rule="psi-high", severity=Severity.WARNING, fired_at=PAGE + n * HOUR) for n in range(250))
    page = read(alerts=(*often, episode()))

    assert "psi-high : 250 alerts of this explicit rule" in page.words
    assert "And 150 alerts more: --json writes them all." in page.words
    assert page.tags.count("details") == 2


def test_an_alert_on_more_features_than_a_table_holds_says_so() -> None:
    found = tuple(evidence(f"feature {n}") for n in range(60))

    assert "25 of 60 features" in read(alerts=(episode(evidence=found, joined=()),)).words
    assert "and 57 features more" in read(alerts=(episode(evidence=found, joined=()),)).words


@pytest.mark.parametrize(
    ("chart", "effect", "said"),
    [
        ("location+", 0.812, "+0.8 σ"),
        ("location-", -0.061, "−0.06 σ"),
        ("scale+", 0.25, "+25 %"),
        ("missing", 0.139, "+14 points"),
        ("rows-", -1.0, "× 0.5"),
        ("shape", 0.1812, "0.181"),
        ("location+", None, "–"),
    ],
)
def test_an_effect_has_the_unit_of_its_chart(chart: str, effect: float | None, said: str) -> None:
    assert effect_of(evidence(chart=chart, effect=effect)).replace("\u202f", " ") == said


def test_an_explicit_rule_is_named_by_its_detector() -> None:
    assert chart_of(evidence(chart="", detector="ks")) == "ks"


@given(st.integers(0, 300), st.floats(1e-6, 200))
def test_the_chance_of_so_many_is_poissons(seen: int, expected: float) -> None:
    assert chance_of(seen, expected) == pytest.approx(stats.poisson.sf(seen - 1, expected), abs=1e-9)
