"""`driftd reference fit --sampling`: a column that says which share of all rows there is."""

from collections.abc import Iterator, Mapping

from detectors.columns import as_floats
from detectors.sketches.weights import PERCENT
from monitor.settings import ConfigError
from monitor.sources.tables.files import Pieces

FRACTION = "fraction"  # of 1, and not percent


def refuse_odd_sampling(column: str | None, unit: str | None, others: Mapping[str, str | None]) -> None:
    """Raise ConfigError for a column of shares that tells nothing, or is meant for something else, too; `others` by their options."""
    if unit is not None and column is None:
        raise ConfigError("--sampling-unit needs --sampling: the column that says which share of all rows there is")
    if column is not None and others["--timestamp"] is None:
        raise ConfigError("--sampling needs --timestamp: it tells how many rows there are in a time")
    other = next((other for other, name in others.items() if name is not None and name == column), None)
    if other is not None:
        raise ConfigError(f"--sampling: {column} is the {other}")


def in_percent(pieces: Iterator[Pieces], column: str | None, unit: str | None) -> Iterator[Pieces]:
    """Pieces in which shares are in percent."""
    for piece in pieces:
        told = {} if column is None or unit != FRACTION else {column: PERCENT * as_floats(piece[column])}
        yield {**piece, **told}
