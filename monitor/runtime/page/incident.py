"""An incident's page, open or ended: what, since when, what joined, what to do; each feature over time."""

from monitor.alerting.episodes import Evidence
from monitor.facts import AlertSeen
from monitor.html.evidence import chart_of, effect_of, said
from monitor.html.figures import count, moment, times
from monitor.html.markup import Inside, Markup, facts, name, table, tag, text
from monitor.runtime.board import Board, SeriesTrack
from monitor.runtime.metrics import DaemonStatus
from monitor.runtime.page import cards
from monitor.runtime.page.cards import Shown
from monitor.runtime.page.distribution import distribution
from monitor.runtime.page.frame import feature_named, frame, model_link, section, step
from monitor.runtime.page.history import features_plots, legend, longest

PLOTS = 6
SHAPES = 3
ROWS_AT_MOST = 100


def incident_page(board: Board, status: DaemonStatus, alert: Shown, track: SeriesTrack) -> bytes:
    """Return the page."""
    now, opened = status.now(), isinstance(alert, AlertSeen)
    mood = "bad" if opened else "good"
    body = [
        tag("h1", tag("span", class_=f"dot {mood}", aria_hidden="true"), cards.headline(alert)),
        tag("p", cards.badges(board, alert, now), class_=f"head card-line {alert.severity.value}"),
        cards.attended(board, alert),
        section("What to do", cards.steps(alert), "todo") if isinstance(alert, AlertSeen) else None,
        section("Features", members(board, alert), "features"),
        shapes(board, alert),
        over_time(board, alert, track),
        section("Told again", escalations(alert), "again") if alert.about.escalations else None,
        section("About it", about(alert), "about"),
    ]
    trail = [step(model_link(alert.key)), step(tag("span", "incident"))]
    return frame(f"{alert.key} {cards.verb(alert)}", mood, status, body, trail)


def about(alert: Shown) -> Markup:
    """Return its times and names."""
    ended_at = None if isinstance(alert, AlertSeen) else alert.window.end
    known: list[tuple[str, Inside]] = [
        ("First breach", moment(alert.since)),
        ("Opened", moment(alert.about.opened_at)),
        ("Ended", moment(ended_at, "not yet")),
        ("Rule", name(alert.rule)),
        ("Episode", str(alert.episode)),
        ("Id", tag("code", alert.incident)),
    ]
    return facts(known)


HEADS = ("Feature", "In words", "Chart", "#Effect", "Since", "#Of threshold", "#Rows")


def members(board: Board, alert: Shown) -> Markup:
    """Return every feature that is or was part of it."""
    every = cards.features(alert)
    of = f"; {ROWS_AT_MOST} of {count(len(every))}" if len(every) > ROWS_AT_MOST else ""
    rows = [row(board, alert, entry) for entry in every[:ROWS_AT_MOST]]
    return table(f"Features of the incident, strongest first, each as last seen (times in UTC){of}", HEADS, rows)


def row(board: Board, alert: Shown, entry: Evidence) -> list[Inside]:
    """Return one feature."""
    return [
        feature_named(board, alert.key, entry.feature),
        text(said(entry)),
        chart_of(entry),
        effect_of(entry),
        moment(entry.since),
        tag("b", times(entry.excess)),
        count(entry.rows),
    ]


def escalations(alert: Shown) -> Markup:
    """Return what joined or grew after it had opened, the latest first."""
    rows = [[moment(each.at), cards.names_of(each.features)] for each in reversed(alert.about.escalations)]
    return table("What joined or grew, newest first (UTC)", ("When", "Features"), rows)


def over_time(board: Board, alert: Shown, track: SeriesTrack) -> Markup | None:
    """Return how near its features came, over as much time as is kept."""
    history = longest(board, alert.key, track)
    known = [entry.feature for entry in cards.features(alert) if entry.feature in track.features]
    if not history.ends or not known:
        return None
    return section("Over time", [legend(history), features_plots(history, known[:PLOTS])], "near")


def shapes(board: Board, alert: Shown) -> Markup | None:
    """Return its first features beside the reference."""
    series = board.series.get(alert.key)
    if series is None:
        return None
    drawn: list[Markup] = []
    for entry in cards.features(alert)[:SHAPES]:
        shape = distribution(series, entry.feature)
        if shape is not None:
            drawn.append(tag("div", tag("h3", feature_named(board, alert.key, entry.feature)), shape))
    return section("Now beside the reference", tag("div", drawn, class_="shapes"), "distribution") if drawn else None
