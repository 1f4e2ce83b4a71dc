"""The status page as a real browser shows it, over HTTP and under its own policy."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from monitor.facts import AlertSeen
from monitor.stream.events import SeriesKey
from tests.integration.test_report_browser import CONTRAST, HOSTILE, SCHEMES, wider_than_the_page
from tests.pages import DRIFTING, FEATURES, HEALTHY, OVER, Scene, closed, judged, quiet_day, usual_day
from tests.parts.axe import axe_core
from tests.parts.chromium import Chromium, Page
from tests.reported import a_week

pytestmark = pytest.mark.chromium
MODEL = "/model?name=churn&version=3"
FEATURE = "/feature?model=churn&version=3&name=age"
PAGES = {
    "first": "/",
    "model": MODEL,
    "feature": FEATURE,
    "incident": f"/incident?id={DRIFTING.incident}",
    "ended": f"/incident?id={OVER.incident}",
    "versions": "/versions?model=churn",
    "report": "/report?model=churn",
}
EVERY_PAGE = pytest.mark.parametrize("path", PAGES.values(), ids=PAGES)


@pytest.fixture(scope="module")
def troubled() -> Iterator[Scene]:
    scene = usual_day(*judged(DRIFTING.key, biased=True), a_week(), troubled=True)
    yield scene
    scene.close()


@pytest.fixture
def shown(chromium: Chromium, troubled: Scene) -> Callable[..., Page]:
    """shown("/", width=360) opens a page of the daemon."""

    def show(path: str, *, width: int = 1200, **how: bool) -> Page:
        return chromium.open(troubled.url + path, width=width, **how)

    return show


def violations(page: Page) -> Any:
    """What axe finds wrong with a page."""
    page.evaluate(axe_core())
    page.evaluate("axe.run().then((found) => { globalThis.found = found })")
    page.wait_until("globalThis.found !== undefined")
    assert page.evaluate("found.passes.length") > 20
    return page.evaluate(
        "found.violations.map((one) => [one.id, one.help, one.nodes.slice(0, 3).map((node) => node.html.slice(0, 120))])"
    )


@SCHEMES
@EVERY_PAGE
@pytest.mark.parametrize("width", [360, 1600])
def test_a_page_fits_the_width_and_has_nothing_to_complain_of(shown: Any, path: str, width: int, *, dark: bool) -> None:
    page = shown(path, width=width, dark=dark)

    assert wider_than_the_page(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.complaints() == []


@SCHEMES
@EVERY_PAGE
def test_axe_finds_nothing(shown: Any, path: str, *, dark: bool) -> None:
    """WCAG 2.2 A and AA, and axe's own best practices."""
    assert violations(shown(path, dark=dark)) == []


@SCHEMES
@EVERY_PAGE
def test_every_text_can_be_read_on_its_ground(shown: Any, path: str, *, dark: bool) -> None:
    assert shown(path, dark=dark).evaluate(CONTRAST) == []


@pytest.fixture(scope="module")
def side_by_side() -> Iterator[Scene]:
    keys = dict.fromkeys((SeriesKey("churn", "3"), SeriesKey("churn", "4")), FEATURES)
    scene = Scene([*closed(keys), *HEALTHY, *(fact for key in keys for fact in judged(key))], keys)
    yield scene
    scene.close()


@SCHEMES
@pytest.mark.parametrize("width", [360, 1600])
def test_two_versions_side_by_side_fit_the_width_and_can_be_read(
    chromium: Chromium, side_by_side: Scene, width: int, *, dark: bool
) -> None:
    page = chromium.open(f"{side_by_side.url}/versions?model=churn", width=width, dark=dark)

    assert "no difference of 3 and 4 can be told" in page.text()
    assert wider_than_the_page(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.complaints() == []
    assert page.evaluate(CONTRAST) == []
    assert violations(page) == []


@EVERY_PAGE
def test_a_page_asks_for_nothing_else(shown: Any, troubled: Scene, path: str) -> None:
    assert shown(path).requested() == [troubled.url + path]


def test_a_page_without_javascript_is_the_same_page(shown: Any) -> None:
    """`innerText` is read by the browser's own protocol, not by a script of the page."""
    with_scripts, without = shown("/"), shown("/", scripts=False)

    assert without.text() == with_scripts.text()
    assert "2 incidents are open" in without.text()


def test_what_is_wrong_stands_above_the_fold_of_a_phone(shown: Any) -> None:
    """The state, the first incident with its feature, and since when: within the first screen."""
    page = shown("/", width=390)
    low = page.evaluate("document.querySelector('.card .words li').getBoundingClientRect().bottom")

    assert low < 844
    assert page.evaluate("document.querySelector('.card time').textContent") == "2026-11-23 04:05"


def test_links_lead_from_the_first_page_to_the_very_incident_feature_and_model(shown: Any, troubled: Scene) -> None:
    page = shown("/")
    found = page.evaluate("[...document.querySelectorAll('main a')].map((one) => one.href)")
    answers = {troubled.get(address.removeprefix(troubled.url))[0] for address in found}

    assert troubled.url + PAGES["incident"] in found
    assert troubled.url + MODEL in found
    assert troubled.url + FEATURE in found
    assert answers == {200}


def test_links_stay_under_the_prefix_of_a_proxy(shown: Any) -> None:
    page = shown("/")

    assert page.evaluate(
        "[...document.querySelectorAll('a')].every((one) => !/^(\\/|http)/.test(one.getAttribute('href')))"
    )


def test_names_that_hold_html_are_shown_and_not_run(chromium: Chromium) -> None:
    key = SeriesKey(HOSTILE, HOSTILE)
    entry = replace(DRIFTING.evidence[0], feature=HOSTILE, words=HOSTILE)
    alert = AlertSeen(key, HOSTILE, DRIFTING.severity, DRIFTING.state, DRIFTING.since, 1, (entry,))
    scene = Scene([*closed({key: (HOSTILE,)}), *HEALTHY, alert], {key: (HOSTILE,)})
    try:
        page = chromium.open(f"{scene.url}/", width=360)
        inner = list(page.evaluate("[...document.querySelectorAll('main a')].map((one) => one.href)"))
        for address in [f"{scene.url}/", *inner]:
            page = chromium.open(address, width=360)
            assert page.evaluate("document.querySelectorAll('script, svg[onload], [onload]').length") == 0
            assert page.evaluate("document.body.textContent").count("<script>alert(1)</script>") > 0
            assert wider_than_the_page(page) == []
            assert page.complaints() == []
    finally:
        scene.close()

    assert len(set(inner)) == 3  # the incident, the model, the feature


def test_a_quiet_day_is_quiet(chromium: Chromium) -> None:
    scene = quiet_day()
    try:
        page = chromium.open(f"{scene.url}/", width=1200)
        assert page.evaluate("document.querySelector('h1').textContent") == "All is quiet"
        assert page.evaluate("document.querySelectorAll('.card, .caution').length") == 0
    finally:
        scene.close()


def test_what_is_not_there_says_so_in_the_same_frame(shown: Any) -> None:
    page = shown("/nothing")

    assert page.evaluate("document.querySelector('h1').textContent") == "Nothing here"
    assert wider_than_the_page(page) == []
