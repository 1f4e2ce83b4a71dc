"""The backtest's report as a real browser shows it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from monitor.backtest.report import write_report
from monitor.backtest.result import BacktestResult
from monitor.stream.events import SeriesKey
from tests.build import DAY, HOUR
from tests.parts.chromium import Chromium, Page
from tests.reports import PAGE, episode, evidence, injected, make_model, make_result, picture, track

pytestmark = pytest.mark.chromium
SCHEMES = pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
FOLDED = "[...document.querySelectorAll('#model-0 details')].map((card) => card.open)"
HOSTILE = "<script>alert(1)</script>\"'&amp;--><svg onload=alert(2)>" + "long_" * 40
# WCAG 2: relative luminance of both colours, what a text lies on being the first ancestor that has a colour of its own
CONTRAST = """(() => {
  const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => { const [x, y, z] = [r, g, b].map((v) => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
    return .2126 * x + .7152 * y + .0722 * z; };
  const ground = (node) => { for (; node; node = node.parentElement) {
    const found = getComputedStyle(node).backgroundColor; if (!found.startsWith("color(") && rgb(found)[3] !== 0) return rgb(found); }
    return [255, 255, 255]; };
  const worst = new Map();
  for (const node of document.querySelectorAll("body *")) {
    if (![...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim())) continue;
    if (["SCRIPT", "STYLE"].includes(node.tagName) || !node.getClientRects().length) continue;
    const [a, b] = [light(rgb(getComputedStyle(node).color)), light(ground(node))];
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (ratio < 4.5) worst.set(`${node.tagName}.${node.className}`, ratio);
  }
  return [...worst];
})()"""


@pytest.fixture
def shown(chromium: Chromium, tmp_path: Path) -> Any:
    """shown(result, width=360) writes the report and opens it."""

    def show(result: BacktestResult, *, width: int = 1200, dark: bool = False) -> Page:
        path = tmp_path / "report.html"
        write_report(result, path)
        return chromium.open(path, width=width, dark=dark)

    return show


def hostile_result() -> BacktestResult:
    """Every text that comes from outside holds HTML, and is long."""
    key = SeriesKey(HOSTILE, HOSTILE)
    tracks = (track(HOSTILE, 3.0), track("age", 0.4))
    pictures = (picture(HOSTILE), picture(HOSTILE, rule=""))
    model = make_model(
        key=key, tracks=tracks, pictures=pictures, calibrated=HOSTILE, drifting=(HOSTILE,), reference=HOSTILE
    )
    fired = episode(key=key, rule=HOSTILE, evidence=(evidence(HOSTILE, words=HOSTILE, chart=HOSTILE),))
    planted = injected(text=HOSTILE, key=key, feature=HOSTILE)
    texts = {"config": HOSTILE, "command": HOSTILE, "inputs": (HOSTILE,), "hints": (HOSTILE,), "rejected": {HOSTILE: 1}}
    result = make_result(models=(model,), alerts=(fired,), injected=(planted,), **texts)
    return replace(result, retrains=tuple(replace(one, key=key, rule=HOSTILE) for one in result.retrains))


def wider_than_the_page(page: Page) -> list[str]:
    """The elements that reach out of the page and do not scroll by themselves."""
    found: list[str] = page.evaluate(
        """[...document.querySelectorAll("body *")].filter((node) => !node.closest(".scroll table, .box, .feature bdi")
             && node.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
           .map((node) => node.outerHTML.slice(0, 120))"""
    )
    return found


@SCHEMES
@pytest.mark.parametrize("width", [360, 1600])
def test_the_report_fits_the_width_and_has_nothing_to_complain_of(shown: Any, width: int, *, dark: bool) -> None:
    page = shown(make_result(), width=width, dark=dark)

    assert page.evaluate("innerWidth") == width
    assert wider_than_the_page(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.complaints() == []


def test_the_report_asks_for_no_second_file(shown: Any) -> None:
    page = shown(make_result())

    assert [address.rsplit("/", 1)[-1] for address in page.requested()] == ["report.html"]


@SCHEMES
def test_every_text_can_be_read_on_its_ground(shown: Any, *, dark: bool) -> None:
    """WCAG AA: 4.5 to 1."""
    page = shown(make_result(), dark=dark)

    assert page.evaluate(CONTRAST) == []


def test_dark_and_light_are_two_pictures_of_the_same_words(shown: Any) -> None:
    page = shown(make_result())
    grounds, texts = [], []
    for scheme in ("light", "dark"):
        page.show_in(scheme)
        grounds.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        texts.append(page.evaluate("document.body.innerText"))

    assert grounds == ["rgb(255, 255, 255)", "rgb(13, 17, 23)"]
    assert texts[0] == texts[1]


def test_names_that_hold_html_are_shown_and_not_run(shown: Any) -> None:
    page = shown(hostile_result(), width=360)

    assert page.evaluate("document.querySelectorAll('script').length") == 1
    assert page.evaluate("document.querySelectorAll('[onload]').length") == 0
    assert page.evaluate("document.querySelector('h2').textContent") == f"{HOSTILE}/{HOSTILE}"
    assert wider_than_the_page(page) == []
    assert page.complaints() == []


def test_pointing_at_a_plot_reads_every_plot_of_the_model_there(shown: Any) -> None:
    page = shown(make_result())
    page.evaluate("document.querySelector('.tracks .box').scrollIntoView({block: 'center'})")
    area = page.evaluate("JSON.parse(JSON.stringify(document.querySelector('.tracks .box').getBoundingClientRect()))")
    middle = area["top"] + area["height"] / 2
    page.point(area["left"] + area["width"] * 0.7, middle)
    read = page.evaluate("[...document.querySelectorAll('#model-0 .read')].map((one) => one.textContent)")
    when = page.evaluate("document.querySelector('#model-0 .reader span').textContent")

    assert when.startswith("2025-12-02 19:")  # 0.7 of two weeks after midnight of 23 November
    assert 600 < float(read[0].replace("\u202f", "")) < 1900
    assert [float(text) for text in read[1:5]] == pytest.approx([3.31, 2.34, 1.59, 1.06], rel=0.01)

    page.point(area["left"] + area["width"] * 4.2 / 14, middle)  # hours without a pane
    assert "no data" in page.evaluate("document.querySelector('.tracks .read').textContent")
    assert page.complaints() == []


def test_a_bar_of_the_timeline_opens_the_alert_it_stands_for(shown: Any) -> None:
    pages = [episode(fired_at=PAGE + number * DAY) for number in range(4)]
    others = [episode(rule="psi-high", fired_at=PAGE + number * HOUR) for number in range(9)]
    page = shown(make_result(alerts=(*pages, *others)))
    folded = page.evaluate(FOLDED)
    for bar in (3, 12):  # the last page, and the last of a rule that fired often
        page.evaluate(f"document.querySelectorAll('.lane a')[{bar}].click()")
        page.wait_until(f"{FOLDED}[{min(bar, 4)}]")

    assert folded == [True, True, True, False, False]
    assert page.evaluate("location.hash") == "#alert-13"
    assert page.evaluate("document.querySelector('#alert-13').closest('details') !== null")


def test_every_picture_table_and_control_has_a_name(shown: Any) -> None:
    page = shown(make_result())
    nameless = page.evaluate(
        """[...document.querySelectorAll("svg, input, a, [role]")].filter((node) =>
             !node.getAttribute("aria-label") && !node.textContent.trim()).map((node) => node.outerHTML.slice(0, 90))"""
    )
    headless = page.evaluate(
        "[...document.querySelectorAll('table')].filter((one) => !one.tHead || !one.caption).length"
    )
    tree = page.call("Accessibility.getFullAXTree")["nodes"]
    roles = {node["role"]["value"] for node in tree if "role" in node}

    assert nameless == []
    assert headless == 0
    assert {"heading", "table", "columnheader", "rowheader", "image", "slider", "main"} <= roles


def test_the_report_prints_light_and_with_every_alert_unfolded(shown: Any) -> None:
    page = shown(make_result(alerts=tuple(episode() for _ in range(6))), dark=True)
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.show_in("dark", media="print")

    assert page.evaluate("document.querySelectorAll('details:not([open])').length") == 0
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    assert page.pdf().startswith(b"%PDF")
