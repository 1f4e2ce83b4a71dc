"""The last requests for retraining of a model, and what became of their runs."""

from itertools import islice

from monitor.alerting.runs import FollowedRun, OpenRequest
from monitor.html.figures import NONE, moment
from monitor.html.markup import Inside, Markup, table, tag
from monitor.runtime.board import Board
from monitor.runtime.page.frame import section

SHOWN = 5
HEADS = ("Requested", "Why", "How it stands", "Runs")


def requests(board: Board, model: str) -> Markup | None:
    """Return the last requests of a model, the newest first; None where there is none."""
    made = [each for each in reversed(board.requests_made) if each.key.model == model]
    if not made:
        return None
    rows: list[list[Inside]] = [
        [moment(each.at), each.reason, stands(each, board), [run(of) for of in each.runs] or NONE]
        for each in islice(made, SHOWN)
    ]
    return section(
        "Retraining", table(f"Requests for retraining of {model}, the newest first", HEADS, rows), "retraining"
    )


def stands(request: OpenRequest, board: Board) -> str:
    """How a request stands, in words."""
    new = f"version {request.version} has come" if request.version else ""
    if request.outcome:
        return ", ".join(filter(None, (f"runs {request.outcome}" if request.runs else "", new))) or request.outcome
    return "in flight" if request.is_in_flight(board.watermark) else "nobody waits for it any more"


def run(of: FollowedRun) -> Markup:
    """A run: its target, its state, and its page where that is one on the web."""
    words = f"{of.target}: {of.found.state.value.replace('_', ' ')}"
    url = of.found.url or ""
    inside: Inside = tag("a", words, href=url) if url.startswith(("http://", "https://")) else words
    return tag("div", inside)
