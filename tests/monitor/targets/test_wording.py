"""Templates: fields by name and nothing else; what a field holds is text."""

import pytest

from monitor.targets.message import TEXT, read
from monitor.targets.wording import FIELDS, Template, template
from tests.paging import ESCALATED, HOSTILE, OPENED, configured, notice_of


def filled(text: str) -> str:
    return Template(template(text)).fill(read(notice_of(ESCALATED), "chat").fields)


def test_fields_stand_where_they_are_named() -> None:
    assert filled("{model}/{version} {severity} {kind} {state}: {{sic}}") == "churn/3 critical drift escalated: {sic}"


@pytest.mark.parametrize("name", FIELDS)
def test_every_field_of_the_list_is_there(name: str) -> None:
    assert name in read(notice_of(ESCALATED), "chat").fields


def test_new_features_are_those_that_an_escalation_is_about() -> None:
    assert filled("{new}") == '- plan: new category "EU-2" 8 %'


def test_a_line_of_fields_that_are_empty_is_left_out() -> None:
    fields = dict.fromkeys(FIELDS, "") | {"model": "churn"}

    assert Template("a\npage: {url}\n{model} {url}\n\nb").fill(fields) == "a\nchurn \n\nb"


def test_what_a_field_holds_is_never_filled_itself() -> None:
    assert Template("{summary}").fill({"summary": "{model} {0.__class__}"}) == "{model} {0.__class__}"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("{modell}", r"\{modell\} is no field; there is approve, event_time, features, incident"),
        ("{model.__class__}", r"\{model.__class__\} is no field"),
        ("{model[0]}", r"\{model\[0\]\} is no field"),
        ("{}", r"\{\} is no field"),
        ("{0}", r"\{0\} is no field"),
        ("{model:>10}", r"\{model\} takes no format"),
        ("{model!r}", r"\{model\} takes no format"),
        ("{model", "a brace that is meant is written twice"),
        ("}", "a brace that is meant is written twice"),
        (" ", "must not be empty"),
        ("x" * 5000, "at most 4000"),
    ],
)
def test_what_is_no_field_is_refused_with_what_there_is(text: str, line: str) -> None:
    with pytest.raises(ValueError, match=line):
        template(text)
    with pytest.raises(ValueError, match=r"template\.title"):
        configured({"name": "c", "type": "slack", "url_env": "U", "template": {"title": text}}, {"U": "https://x"})


def test_the_plain_form_says_what_where_and_since_when() -> None:
    assert TEXT.fill(read(notice_of(OPENED), "chat").fields).split("\n") == [
        "churn/3 drifts since 2026-11-23 11:55: age mean +0.8 σ",
        "- age: mean +0.8 σ",
        "warning drift of churn version 3, rule drift, since 2026-11-23T11:55:00Z",
        "window 2026-11-23T11:55:00Z to 2026-11-23T12:00:00Z, 10000 rows",
        f"incident {OPENED.incident}",
        f"https://drift.internal/incident?id={OPENED.incident}",
    ]


def test_many_features_are_ten_and_how_many_more() -> None:
    lines = read(notice_of(HOSTILE), "chat").fields["features"].split("\n")

    assert len(lines) == 11
    assert lines[-1] == "- and 51 more"
