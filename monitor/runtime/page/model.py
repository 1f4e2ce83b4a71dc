"""A model's page: what is open, how near each feature came over time, and all features as the last window shows them."""

from collections.abc import Sequence
from urllib.parse import urlencode

from monitor.facts import WindowClosed
from monitor.html import plots
from monitor.html.evidence import CALIBRATIONS
from monitor.html.figures import NONE, clock, count, moment, number, plural, share, spell
from monitor.html.markup import Inside, Markup, facts, table, tag
from monitor.html.plots import Scale, TimeAxis
from monitor.runtime.board import Board, SeriesBoard, SeriesTrack
from monitor.runtime.glance import ModelGlance, nearness_by_feature
from monitor.runtime.metrics import DaemonStatus
from monitor.runtime.page import cards
from monitor.runtime.page.frame import ago, feature_link, frame, section, step, title
from monitor.runtime.page.history import features_plots, legend, longest, share_words
from monitor.runtime.page.index import MOODS, state
from monitor.runtime.page.requests import requests
from monitor.runtime.page.served import served
from monitor.runtime.page.worth import performance
from monitor.series.scoring import DRIFT, INSUFFICIENT, OK, WARNING
from monitor.stream.events import Nanos, SeriesKey

PLOTS = 12  # features that are drawn; the table has all
ROWS_SHOWN = 120  # windows
STATES = {DRIFT: "drift", WARNING: "warning", OK: "ok", INSUFFICIENT: "too few rows"}


def model_page(
    board: Board, status: DaemonStatus, model: ModelGlance, track: SeriesTrack, recent: Sequence[WindowClosed]
) -> bytes:
    """Return the page. `recent` are the model's last windows, newest first."""
    now, series = status.now(), model.board
    mood = MOODS[model.condition]
    history = longest(board, model.key, track)
    near = (
        features_plots(history, history.nearest(PLOTS))
        if history.ends
        else tag("p", "No two windows have closed yet.", class_="quiet")
    )
    body = [
        tag("h1", title(model.key)),
        tag("p", state(model), class_="lead"),
        about(board, series, now),
        others(board, model.key),
        section(
            "Open incidents",
            tag("div", [cards.card(board, each, now) for each in model.incidents], class_="cards"),
            "incidents",
        )
        if model.incidents
        else None,
        section("How near features came to an alert", [legend(history), near] if history.ends else near, "near"),
        requests(board, model.key.model),
        performance(board, model.key),
        served(board, model.key),
        section("Rows a window", rows_plot(recent), "rows"),
        section("Features", features_table(board, model), "features"),
    ]
    return frame(str(model.key), mood, status, body, step(title(model.key)))


def others(board: Board, key: SeriesKey) -> Markup | None:
    """Return the way to the other versions, where there are any, and to the report of the model."""
    ways: list[Inside] = [tag("a", "Report of the last week", href=f"report?{urlencode({'model': key.model})}")]
    if sum(each.model == key.model for each in board.series) > 1:
        ways = [tag("a", "All versions side by side", href=f"versions?{urlencode({'model': key.model})}"), " · ", *ways]
    return tag("p", ways)


def about(board: Board, series: SeriesBoard, now: Nanos) -> Markup:
    """Return what the model is judged on."""
    window = series.window
    known: list[tuple[str, Inside]] = [
        (
            "Last window",
            NONE
            if window is None
            else [f"{clock(window.start)} to {clock(window.end)} UTC, {plural(window.rows, 'row')}{_left_out(window)}"],
        ),
        ("Windows of", spell(series.length) if series.length else NONE),
        (
            "Events complete until",
            NONE if board.watermark is None else [moment(board.watermark), f" ({ago(board.watermark, now)})"],
        ),
        ("Reference", [tag("code", series.reference[:12]), f" of {plural(series.reference_rows, 'row')}"]),
        ("Calibration", CALIBRATIONS.get(series.calibration, series.calibration)),
        ("Rules", ", ".join(f"{rule} ({severity})" for rule, severity in series.rules.items()) or "none"),
    ]
    if series.learning is not None:
        known.append(("Learning", series.learning.words))
    if window is not None and window.ids is not None:
        known.append(("Repeated ids", share(window.ids.share)))
    return facts(known)


def _left_out(window: WindowClosed) -> str:
    """What a log of a sample left out, in words."""
    return f" of about {count(window.volume)} that there were" if window.unlogged else ""


def rows_plot(recent: Sequence[WindowClosed]) -> Markup:
    """Return how many rows each of the last windows held."""
    windows = [*reversed(recent)][-ROWS_SHOWN:]
    if len(windows) < 2:  # noqa: PLR2004 - a line has two ends
        return tag("p", "No two windows have closed yet.", class_="quiet")
    rows = [window.rows for window in windows]
    axis = TimeAxis(windows[0].end, windows[-1].end)
    scale = Scale(plots.nice_top(max(rows)), unit=10)
    points = plots.places(axis, [window.end for window in windows], [float(each) for each in rows])
    label = [tag("span", "Rows"), tag("span", f"{count(min(rows))} to {count(max(rows))}", class_="quiet")]
    described = f"Rows a window: at most {count(max(rows))}, at least {count(min(rows))}"
    inside = [
        plots.drawing(described, scale, plots.line("rows", points, scale)),
        plots.level_words([(0.0, count(scale.top)), (1.0, "0")]),
    ]
    foot = tag("div", tag("div", "UTC", class_="label quiet"), plots.ticks(axis.ticks()), class_="plot foot")
    return tag("div", plots.row("tall", label, inside), foot, class_="plots")


HEADS = ("Feature", "State", "#Of threshold", "#Missing", "#Outside reference", "#Shift", "Held to")


def features_table(board: Board, model: ModelGlance) -> Markup:
    """Return all features, the nearest to an alert first."""
    series = model.board
    if series.window is None:
        return tag("p", "No window has closed yet.", class_="quiet")
    near = nearness_by_feature(series)
    quality = {entry.feature: entry for entry in series.window.quality}
    levels = {feature for key, feature in board.levels if key == model.key}
    trailing = {feature for key, feature in board.trailing if key == model.key}
    names = sorted(
        {**series.states, **near}, key=lambda each: (-series.states.get(each, 0), -near.get(each, -1.0), each)
    )
    rows = []
    for each in names:
        known = quality.get(each)
        held = "a level of its own" if each in levels else "its last days" if each in trailing else "the reference"
        rows.append(
            [
                feature_link(model.key, each),
                STATES.get(series.states.get(each, OK), NONE),
                share_words(near.get(each)),
                NONE if known is None else share(known.missing_ratio),
                NONE if known is None else share(known.unseen_ratio),
                NONE if known is None or known.shift_sigma is None else f"{number(known.shift_sigma)} σ",
                held,
            ]
        )
    return table(f"Features of {model.key} in the last window, the worst first", HEADS, rows)
