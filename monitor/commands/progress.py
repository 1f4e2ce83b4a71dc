"""Progress of a long command, on one line of a terminal; nothing where nobody looks."""

import sys

from monitor.clock import SystemClock

EVERY = 0.2  # seconds between two texts


class ProgressLine:
    """One line on standard error, written over and over."""

    def __init__(self, *, terminal: bool) -> None:
        self._terminal = terminal
        self._clock = SystemClock()
        self._next = 0.0
        self._text = ""  # not shown yet
        self._shown = False

    def show(self, text: str) -> None:
        """Show how far it is: at once, or a moment later where something was shown just now."""
        self._text = text
        if self._terminal and self._clock.elapsed() >= self._next:
            self._next = self._clock.elapsed() + EVERY
            self._write()

    def done(self) -> None:
        """Show the last of it, and leave the line."""
        if self._terminal and self._text:
            self._write()
        if self._shown:
            print(file=sys.stderr)
            self._shown = False

    def _write(self) -> None:
        print(f"\r{self._text}", end="", file=sys.stderr, flush=True)
        self._text, self._shown = "", True
