"""The first page: what is wrong, since when, and what to do; then all models, the sources, the targets."""

from collections.abc import Sequence

from monitor.facts import AlertChanged, AlertSeen
from monitor.html.figures import NONE, clock, count, moment, plural, spell, times
from monitor.html.markup import Inside, Markup, name, table, tag
from monitor.runtime.board import Board
from monitor.runtime.glance import WORDS, Condition, ModelGlance, incidents, is_attended, targets
from monitor.runtime.headline import headline
from monitor.runtime.metrics import DaemonStatus
from monitor.runtime.page import cards, service
from monitor.runtime.page.frame import ago, frame, incident_address, model_link, section
from monitor.runtime.page.history import sparkline
from monitor.runtime.page.worth import in_a_cell
from monitor.runtime.routes import ended
from monitor.runtime.troubles import troubles
from monitor.stream.events import Nanos

MOST_CARDS = 30
ENDED_SHOWN = 8
MOODS = {
    Condition.ALERTING: "bad",
    Condition.WARNING: "warn",
    Condition.INSUFFICIENT: "warn",
    Condition.STALE: "warn",
    Condition.WAITING: "none",
    Condition.OK: "good",
}


def first_page(board: Board, status: DaemonStatus, models: Sequence[ModelGlance]) -> bytes:
    """Return the page."""
    now, opened = status.now(), incidents(board)
    health, wrong = targets(board, status), troubles(board, models, status)
    head = headline(models, opened, wrong)
    body = [
        tag("h1", tag("span", class_=f"dot {head.mood}", aria_hidden="true"), head.words),
        tag("p", summary(board, models, opened, now), class_="lead"),
        service.troubles(wrong),
        section("Open incidents", open_cards(board, opened, now), "incidents") if opened else None,
        section("Models", models_table(models, board), "models"),
        section("Ended lately", ended_table(board), "ended") if board.resolved else None,
        section("Events", service.sources(board, now), "events"),
        section("Who is told", service.targets(health), "targets"),
    ]
    return frame(head.words, head.mood, status, body)


def summary(board: Board, models: Sequence[ModelGlance], opened: Sequence[AlertSeen], now: Nanos) -> list[Inside]:
    """Return since when, and how the others are."""
    since = min((each.since for each in opened if each.since is not None), default=None)
    alone = sum(not is_attended(board, each) for each in opened)
    untaken = f", {count(alone)} that nobody has taken. " if alone else ", somebody looks after each. "
    oldest = [] if since is None else ["The oldest since ", moment(since), f" ({ago(since, now)})", untaken]
    quiet = sum(each.condition is Condition.OK for each in models)
    counted = f"{count(quiet)} of {plural(len(models), 'model')} quiet"
    others = [
        f", {sum(each.condition is condition for each in models)} {WORDS[condition]}"
        for condition in Condition
        if condition is not Condition.OK and any(each.condition is condition for each in models)
    ]
    read = (
        []
        if board.watermark is None
        else [" Events are complete until ", moment(board.watermark), f" ({ago(board.watermark, now)})."]
    )
    return [*oldest, counted, *others, ".", *read]


def open_cards(board: Board, opened: Sequence[AlertSeen], now: Nanos) -> list[Inside]:
    """Return the open incidents, the worst first."""
    rest = opened[MOST_CARDS:]
    more = [tag("li", tag("a", cards.headline(each), href=incident_address(each.incident))) for each in rest]
    listed = [tag("p", f"And {plural(len(rest), 'incident')} more:"), tag("ul", more)] if rest else []
    return [tag("div", [cards.card(board, each, now) for each in opened[:MOST_CARDS]], class_="cards"), listed]


HEADS = ("Model", "State", "Nearest feature", "#Of threshold", "Lately", "#Drifting", "Last window (UTC)", "#Rows")


def models_table(models: Sequence[ModelGlance], board: Board) -> Markup:
    """Return all models, the worst first; what they were worth where any has labels."""
    rows = [model_row(model) for model in models]
    if board.performance:
        rows = [[*row, in_a_cell(board.performance.get(model.key))] for row, model in zip(rows, models, strict=True)]
    return table(
        "Models, the worst first; the line is the nearest feature's score ÷ threshold, red at 1",
        (*HEADS, "By labels") if board.performance else HEADS,
        rows,
        class_="models",
    )


def model_row(model: ModelGlance) -> list[Inside]:
    """Return one model in a line."""
    glance, window = model.glance, model.board.window
    nearest = glance.nearest[0] if glance.nearest else None
    described = f"Score ÷ threshold of the nearest feature of {model.key}, window by window"
    return [
        model_link(model.key),
        state(model),
        NONE if nearest is None else name(nearest[0]),
        NONE if nearest is None else times(nearest[1]),
        sparkline(glance.track, described),
        f"{count(glance.drifting)} of {count(glance.features)}" if glance.features else NONE,
        NONE if window is None else clock(window.end),
        NONE if window is None else count(window.rows),
    ]


def state(model: ModelGlance) -> Markup:
    """Return how a model stands, in words beside a dot."""
    mood, words = MOODS[model.condition], WORDS[model.condition]
    if model.attended:
        words += ", looked after"
    if model.board.learning is not None and not model.incidents:
        words += f", {model.board.learning.words}"
    return tag("span", tag("span", class_=f"dot {mood}", aria_hidden="true"), words)


def ended_table(board: Board) -> Markup:
    """Return the incidents that ended last."""
    heads = ("Incident", "Since", "Ended", "How", "Features")
    return table(
        "The last that ended, newest first (UTC)", heads, map(ended_row, [*reversed(board.resolved)][:ENDED_SHOWN])
    )


def ended_row(alert: AlertChanged) -> list[Inside]:
    """Return one."""
    names = [each.feature for each in cards.features(alert)]
    return [
        tag("a", cards.headline(alert), href=incident_address(alert.incident)),
        moment(alert.since),
        [moment(alert.window.end), tag("span", f", after {spell(alert.window.end - alert.since)}", class_="quiet")],
        ended(alert),
        cards.names_of(names),
    ]
