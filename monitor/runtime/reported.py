"""`GET /api/v1/models/{model}/report`: a model's report of its last days, made when it is asked for."""

from detectors.durations import nanoseconds
from monitor.facts import ModelTallied, Report
from monitor.reporting.making import last_of
from monitor.reporting.tally import KEPT
from monitor.runtime.board import Board
from monitor.stream.events import DAY, HOUR

WEEK = "7d"


def reported(board: Board, model: str, last: str) -> Report:
    """A model's report. Raises KeyError where there is no such model, ValueError for a span that cannot be told of."""
    models = list(dict.fromkeys(key.model for key in board.series))
    if model not in models:
        raise KeyError(f"there is no model {model!r}; there is {', '.join(map(repr, models))}")
    try:
        lasts = nanoseconds(last)
    except ValueError as error:
        raise ValueError(f"last: {error}") from None
    if not HOUR <= lasts <= KEPT:
        raise ValueError(f"last must be from 1h to {KEPT // DAY}d, as far as driftd remembers, not {last}")
    return last_of(board.tallies.get(model, ModelTallied(model, {})), lasts, board.watermark)
