"""How requests are served on a model's page: latency and errors of the last subgroup beside what is usual, or how far that is learnt."""

from monitor.alerting.rules import ERRORS_RULE, LATENCY_RULE
from monitor.explain.figures import dated, share
from monitor.explain.stream import duration
from monitor.facts import ServiceJudged, UsualLatency
from monitor.html.figures import NONE, plural
from monitor.html.markup import Inside, Markup, table, tag
from monitor.runtime.board import Board
from monitor.runtime.page.frame import section
from monitor.stream.events import SeriesKey

HEADS = ("Of the requests", "#Now", "#Usual", "State")
MICRO = 1e6


def served(board: Board, key: SeriesKey) -> Markup | None:
    """Return the section of a model; None where its requests are not judged."""
    service = board.services.get(key)
    if service is None:
        return None
    if service.judged is None:
        progress = service.learning.progress.words if service.learning is not None else "no window has been judged yet"
        return section("Requests", tag("p", f"What requests take, and how many fail: {progress}."), "requests")
    return section("Requests", [tag("p", sentence(service.judged)), figures(service.judged)], "requests")


def sentence(judged: ServiceJudged) -> str:
    """Which requests, and which level is usual."""
    return f"{plural(judged.requests, 'request')} until {dated(judged.end)} UTC; usual is what these hours take."


def figures(judged: ServiceJudged) -> Markup:
    """Return a row for each quantile and one of errors."""
    slow = "slow, told" if LATENCY_RULE in judged.told else "nothing told"
    failing = "failing, told" if ERRORS_RULE in judged.told else "nothing told"
    rows: list[list[Inside]] = [[*latency(each), slow] for each in judged.latencies]
    if judged.usual_error_rate is not None:
        rate = NONE if judged.error_rate is None else share(judged.error_rate)
        rows.append(["failed", rate, share(judged.usual_error_rate), failing])
    return table("What requests took, and how many failed", HEADS, rows)


def latency(each: UsualLatency) -> list[Inside]:
    """Return what a share of the requests took at most, and what is usual."""
    took = [NONE if value is None else duration(round(MICRO * value)) for value in (each.now, each.usual)]
    return [f"p{100 * each.share:g}", *took]
