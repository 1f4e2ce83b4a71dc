"""Rows of sessions: a number and a plan that the session has, and a number that each row has for itself."""

from typing import Any

import numpy as np

from detectors import Reference, Sketch
from detectors.columns import as_columns
from detectors.sketches.identity import hashes_of
from tests.charted import MONDAY, WINDOW

ROWS = 300  # a window


def sessions(rng: np.random.Generator, windows: int, many: int, first: int = 0) -> dict[str, Any]:
    """Windows of as many rows each, in `many` sessions on average; `session` says which, `at` when."""
    each = rng.poisson(many, windows).clip(2)
    cuts = [np.sort(rng.choice(np.arange(1, ROWS), size - 1, replace=False)) for size in each]
    sizes = np.concatenate([np.diff([0, *cut, ROWS]) for cut in cuts])
    session = np.repeat(np.arange(sizes.size), sizes)
    names = np.array([f"s{first}-{at}" for at in range(sizes.size)], dtype=object)
    return {
        "at": MONDAY + (first + np.repeat(np.arange(windows), ROWS)) * WINDOW + np.tile(np.arange(ROWS), windows),
        "session": names[session],
        "age": rng.normal(size=sizes.size)[session],
        "plan": rng.choice(["free", "basic", "pro"], sizes.size)[session],
        "noise": rng.normal(size=session.size),
    }


def fitted(table: dict[str, Any], group: str | None = "session") -> Reference:
    """A reference of such rows."""
    columns = {name: column for name, column in table.items() if group is not None or name != "session"}
    return Reference.fit(columns, timestamp="at", window_ns=WINDOW, group=group)


def panes(reference: Reference, table: dict[str, Any]) -> list[tuple[int, Sketch]]:
    """The windows of such rows as a daemon counts them, with their starts."""
    columns = {name: table[name] for name in ("age", "plan", "noise")}
    numeric, codes = reference.encode(as_columns(columns))
    groups, found = hashes_of(as_columns({"session": table["session"]})["session"], len(codes)), []
    for first in range(0, len(codes), ROWS):
        sketch, rows = Sketch.empty(reference.layout), slice(first, first + ROWS)
        sketch.update(numeric[rows], codes[rows])
        sketch.assign(groups[rows])
        found.append((int(table["at"][first]) // WINDOW * WINDOW, sketch))
    return found
