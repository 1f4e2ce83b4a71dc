"""The frame of every status page: head, policy, the way back, foot. All links lead to pages beside this one, under whatever prefix."""

from collections.abc import Collection
from pathlib import Path
from urllib.parse import quote, urlencode

from monitor.html.figures import clock, spell
from monitor.html.markup import Inside, Markup, joined, name, tag
from monitor.html.page import STYLE, digest, html, metadata
from monitor.runtime.board import Board, SeriesBoard
from monitor.runtime.metrics import DaemonStatus
from monitor.stream.events import SECOND, Nanos, SeriesKey

SHEET = STYLE + (Path(__file__).parent / "style.css").read_text(encoding="utf-8")
POLICY = (  # nothing but what is in the page: no script at all, one style known by its digest, the icon
    f"default-src 'none'; style-src {digest(SHEET)}; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
ICONS = {"bad": "%23cf222e", "warn": "%23d4a72c", "good": "%231a7f37", "none": "%236e7781"}
FOOT = (("metrics", "metrics"), ("api/v1/status", "JSON"), ("readyz", "ready?"))


def frame(title: str, mood: str, status: DaemonStatus, body: Inside, trail: Inside = None) -> bytes:
    """Return a page. `mood` is good, warn, bad or none: the colour of its icon."""
    icon = f"data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 8 8'><circle cx='4' cy='4' r='4' fill='{ICONS[mood]}'/></svg>"
    header = tag("nav", way(trail), as_of(status.now()), aria_label="Where this is")
    inside = tag("body", tag("header", header), tag("main", body), foot(status))
    return html(metadata(f"{title} – driftd", SHEET, tag("link", rel="icon", href=icon)), inside).encode(
        "utf-8", "backslashreplace"
    )


def way(trail: Inside) -> Markup:
    """Return the way back to the first page."""
    return tag("span", tag("a", "driftd", href="./", class_="home"), joined(trail), class_="way")


def step(inside: Inside) -> Markup:
    """Return one more step of the way."""
    return tag("span", tag("span", " / ", class_="quiet", aria_hidden="true"), inside)


def as_of(now: Nanos) -> Markup:
    """Return when the page was made: it does not change by itself."""
    return tag("span", f"as of {clock(now // SECOND * SECOND)} UTC; reload for news", class_="quiet small")


def foot(status: DaemonStatus) -> Markup:
    """Return what runs, and where the same is for programs."""
    up = spell(max(status.now() - status.started, 0))
    links = [[" · ", tag("a", words, href=target)] for target, words in FOOT]
    return tag("footer", tag("p", f"driftd {status.version}, up {up}", links, class_="quiet small"))


def section(heading: str, inside: Inside, place: str) -> Markup:
    """Return a part of a page under a heading."""
    return tag("section", tag("h2", heading, id=place), inside, aria_labelledby=place)


# --- the ways to other pages ------------------------------------------------------------------------------------------


def model_link(key: SeriesKey, words: Inside = None) -> Markup:
    """Return the way to a model's page."""
    return tag("a", title(key) if words is None else words, href=model_address(key))


def model_address(key: SeriesKey) -> str:
    """Return where a model's page is."""
    return f"model?{urlencode({'name': key.model, 'version': key.version})}"


def feature_link(key: SeriesKey, feature: str) -> Markup:
    """Return the way to a feature's page."""
    address = f"feature?{urlencode({'model': key.model, 'version': key.version, 'name': feature})}"
    return tag("a", name(feature), href=address, class_="feature")


def has_page(series: SeriesBoard | None, feature: str, tracked: Collection[str] = ()) -> bool:
    """Whether a feature has a page: it was judged in the last window, or is tracked. What stands for a stream or its ids has none."""
    return series is not None and (feature in series.states or feature in tracked)


def feature_named(board: Board, key: SeriesKey, feature: str) -> Markup:
    """Return a feature's name, which leads to its page where it has one."""
    return feature_link(key, feature) if has_page(board.series.get(key), feature) else name(feature)


def incident_address(incident: str) -> str:
    """Return where an incident's page is."""
    return f"incident?id={quote(incident, safe='')}"


def title(key: SeriesKey) -> Markup:
    """Return a model's name and version; the version that stands for all others is left out."""
    return name(key.model if key.version == "*" else str(key))


def ago(time: Nanos, now: Nanos) -> str:
    """Return how long ago something was; nothing of what has not come yet.

    >>> ago(0, 90 * SECOND).split()
    ['1', 'min', '30', 's', 'ago']
    """
    return f"{spell(now - time)} ago" if now - time >= SECOND else "just now" if now >= time else ""
