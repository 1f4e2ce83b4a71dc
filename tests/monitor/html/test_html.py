"""Pages: what is escaped, what a page may load and run, and how plots and figures read."""

import base64
import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.facts import ReliabilityTold
from monitor.html.figures import clock, number, plural, spell, times
from monitor.html.markup import Markup, facts, table, tag
from monitor.html.page import page
from monitor.html.plots import Scale, TimeAxis, nice_top, path, places, tick_text
from monitor.html.reliability import reliability
from monitor.stream.events import DAY, HOUR, MINUTE, SECOND

MIDNIGHT = 1_763_856_000 * SECOND  # 2025-11-23
HOSTILE = '</style><script>alert("x")</script><!-- \u202e'

# --- plots --------------------------------------------------------------------------------------------------------------

AXIS = TimeAxis(MIDNIGHT, MIDNIGHT + 100 * MINUTE)


def test_a_line_is_broken_where_nothing_was_charted() -> None:
    minutes = [0, 10, 20, 70, 80, 90]
    values = [1.0, 1.0, 2.0, 0.0, None, 0.5]
    points = places(AXIS, [MIDNIGHT + m * MINUTE for m in minutes], values)

    assert path(points, Scale(2.0)) == "M0,1000 1000,1000 2000,0M7000,2000h0M9000,1500h0"


def test_what_is_above_the_picture_is_not_cut_from_the_line() -> None:
    """The script reads the plot's values from the line."""
    assert path([(0.0, 21.3), (1.0, 0.0)], Scale(2.0)) == "M0,-19300 10000,2000"


def test_reliability_stands_above_the_diagonal_where_more_came_true_than_was_said() -> None:
    bins = [ReliabilityTold(0.1, 0.2, 40, 0.15, 0.25, 0.1, 0.4), ReliabilityTold(0.8, 0.9, 60, 0.85, 0.8, 0.7, 0.9)]
    drawn = str(reliability(bins, "that window"))

    assert '<path class="line diagonal" d="M0,1000 10000,0">' in drawn
    assert 'd="M1500,750 8500,200"' in drawn
    assert 'd="M1500,900V600M8500,300V100"' in drawn
    assert "0.1 to 0.2" in drawn
    assert "60" in drawn
    assert reliability([], "that window") is None


@given(st.integers(0, 4_000_000_000), st.integers(1, 40 * 366 * 86_400))
def test_ticks_are_few_rise_and_stay_on_the_axis(first: int, span: int) -> None:
    ticks = TimeAxis(first * SECOND, (first + span) * SECOND).ticks()
    at = [place for place, _ in ticks]

    assert len(ticks) <= 10
    assert at == sorted(set(at))
    assert all(0 <= place <= 1 for place in at)


@pytest.mark.parametrize(
    ("at", "before", "said"),
    [
        (MIDNIGHT, None, "23 Nov 2025"),
        (MIDNIGHT + 3 * HOUR, None, "23 Nov 2025 03:00"),
        (MIDNIGHT + 3 * HOUR, MIDNIGHT, "03:00"),
        (MIDNIGHT + DAY, MIDNIGHT, "24 Nov"),
        (MIDNIGHT + DAY + HOUR, MIDNIGHT, "24 Nov 01:00"),
        (MIDNIGHT + 5 * SECOND, MIDNIGHT, "00:00:05"),
        (MIDNIGHT + 365 * DAY, MIDNIGHT, "23 Nov 2026"),
    ],
)
def test_a_tick_says_its_day_where_that_is_another_than_before(at: int, before: int | None, said: str) -> None:
    assert tick_text(at, before) == said


@pytest.mark.parametrize("span", [5 * SECOND, HOUR, 6 * HOUR, 3 * DAY, 200 * DAY, 3000 * DAY])
def test_the_first_tick_of_an_axis_has_day_and_year(span: int) -> None:
    first = MIDNIGHT + 7 * HOUR
    _, words = TimeAxis(first, first + span).ticks()[0]

    assert words.split()[2] in {str(year) for year in range(2025, 2028)}


def test_a_growing_scale_keeps_1_in_sight_beside_85() -> None:
    scale = Scale(100.0, growing=True)

    assert (scale.down(100.0), scale.down(0.0), scale.fraction(100.0), scale.fraction(0.0)) == (0, scale.high, 0.0, 1.0)
    assert scale.fraction(1.0) == pytest.approx(2 / 3)
    assert scale.fraction(10.0) == pytest.approx(1 / 3)
    assert scale.fraction(0.5) == pytest.approx(5 / 6)


@given(st.floats(0, 1e12))
def test_an_axis_ends_above_its_highest_value_and_not_far(highest: float) -> None:
    assert highest <= nice_top(highest) <= max(2.5 * highest, 1.0)


# --- figures ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0.123456, "0.123"),
        (41.0, "41"),
        (None, "–"),
        (float("nan"), "–"),
        (1234.5, "1 234"),
        (-0.5, "−0.5"),
        (0.0, "0"),
    ],
)
def test_a_number_has_three_digits(value: float | None, said: str) -> None:
    assert number(value).replace("\u202f", " ") == said


def test_spans_and_times_are_for_people() -> None:
    spans = [spell(seconds * SECOND).replace("\u202f", " ") for seconds in (0, 300, 93_600, 86_460, 90)]

    assert spans == ["0 s", "5 min", "1 d 2 h", "1 d", "1 min 30 s"]
    assert clock(MIDNIGHT + 61 * SECOND) == "2025-11-23 00:01:01"
    assert [times(1.004), plural(1, "page"), plural(0, "page")] == ["1.00\u202f×", "1 page", "0 pages"]


def test_markup_escapes_what_is_not_markup() -> None:
    assert tag("p", "a < b", tag("b", "c"), class_="x", hidden=False, open=True, title='"') == (
        '<p class="x" open title="&quot;">a &lt; b<b>c</b></p>'
    )
    assert tag("p", Markup("<br>"), [None, "&"]) == "<p><br>&amp;</p>"


# --- pages --------------------------------------------------------------------------------------------------------------


def test_a_name_from_outside_never_becomes_markup() -> None:
    """In text, in an attribute, as a title, in a table and in facts."""
    body = [
        tag("p", HOSTILE, title=HOSTILE, aria_label=HOSTILE),
        table(HOSTILE, (HOSTILE,), [[HOSTILE]]),
        facts([(HOSTILE, HOSTILE)]),
    ]

    assert re.findall("<script|<!--|</style>", page(HOSTILE, body)) == ["</style>"]


def test_a_page_loads_nothing_and_runs_no_script_but_its_own() -> None:
    script = "console.log(1 < 2)"
    said = page("t", tag("main", "x"), style="b { color: red }", script=script)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()

    assert (
        f"default-src &#x27;none&#x27;; style-src &#x27;unsafe-inline&#x27;; script-src &#x27;sha256-{digest}" in said
    )
    assert f"<main>x</main><script>{script}</script></body>" in said
    assert said.index("--page:") < said.index("b { color: red }") < said.index("<body>")
    assert not re.search(r"https?:|src=|@import|url\(", said)


def test_a_page_without_a_script_lets_none_run() -> None:
    said = page("t", "x")

    assert "script-src &#x27;none&#x27;" in said
    assert "<script" not in said
    assert said.startswith('<!doctype html>\n<html lang="en"><head>')
