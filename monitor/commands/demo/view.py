"""What the demo shows: a live table on a terminal, plain lines elsewhere."""

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from detectors import DriftScore
from monitor.alerting.rules import BUDGET_RULE

SHOWN = ("ks", "psi", "chi2", BUDGET_RULE)
STATE_WORDS = {0: ("ok", "green"), 1: ("warning", "yellow"), 2: ("DRIFT", "bold red"), -1: ("too few rows", "dim")}
PLAIN_EVERY = 2.0  # seconds between status lines where there is no terminal


@dataclass(frozen=True, slots=True)
class Row:
    """One feature of one model in its last window."""

    model: str
    feature: str
    scores: dict[str, DriftScore]
    state: int


@dataclass(frozen=True, slots=True)
class Frame:
    """One moment of the demo."""

    elapsed: float
    phase: str
    rate: float
    windows: int
    window_rows: dict[str, int]
    rows: tuple[Row, ...]
    url: str


class DemoView:
    """Shows frames and says events; on a terminal the table stays in place below what was said."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
        self._live = Live(console=self._console, auto_refresh=False) if self._console.is_terminal else None
        self._next_plain = 0.0

    def __enter__(self) -> Self:
        """Begin."""
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End, leaving the last frame."""
        if self._live is not None:
            self._live.stop()

    def say(self, elapsed: float, text: str, style: str = "") -> None:
        """Say what has happened."""
        self._console.print(Text(f"{elapsed:5.1f} s  {text}", style=style), soft_wrap=True)

    def show(self, frame: Frame) -> None:
        """Show where things stand."""
        if self._live is not None:
            self._live.update(Group(headline(frame), table(frame)), refresh=True)
        elif frame.elapsed >= self._next_plain and frame.rows:
            self._next_plain = frame.elapsed + PLAIN_EVERY
            for line in plain(frame):
                self._console.print(Text(line), soft_wrap=True)


def headline(frame: Frame) -> Text:
    """Pace and phase in a line."""
    rows = ", ".join(f"{model} {count:,}" for model, count in frame.window_rows.items())
    return Text(
        f"\n{frame.elapsed:5.1f} s  {frame.rate:,.0f} events/s  windows closed {frame.windows}  rows in the last: {rows}"
        f"\n         {frame.phase}   status page: {frame.url}",
        style="bold",
    )


def table(frame: Frame) -> Table:
    """Scores against thresholds, a line a feature."""
    grid = Table(show_edge=False, pad_edge=False)
    for name in ("model", "feature", *SHOWN, "state"):
        grid.add_column(name)
    for row in frame.rows:
        word, style = STATE_WORDS[row.state]
        cells = [Text(against(row.scores.get(name)), style=score_style(row.scores.get(name))) for name in SHOWN]
        grid.add_row(row.model, row.feature, *cells, Text(word, style=style))
    return grid


def against(score: DriftScore | None) -> str:
    """A score against its threshold."""
    if score is None:
        return ""
    if score.value is None:
        return "–"
    return f"{score.value:.3f}" if score.threshold is None else f"{score.value:.3f} / {score.threshold:g}"


def score_style(score: DriftScore | None) -> str:
    """Red past the threshold."""
    if score is None or score.value is None or score.threshold is None:
        return "dim"
    return "bold red" if score.value > score.threshold else ""


def plain(frame: Frame) -> Iterable[str]:
    """A frame as lines: the pace, and the features that have a threshold to be held against."""
    yield (f"{frame.elapsed:5.1f} s  {frame.rate:,.0f} events/s, {frame.windows} windows closed, {frame.phase}")
    for row in frame.rows:
        shown = "  ".join(f"{name} {against(row.scores[name])}" for name in SHOWN if name in row.scores)
        yield f"         {row.model:<8} {row.feature:<18} {STATE_WORDS[row.state][0]:<13} {shown}"
