"""What a package is given to raise alarms with: a reference's rows, a live stream's rows, and in which window each is.

Runs in each peer's own environment and needs numpy only. A peer is one function: from what is given it returns which
features alarm in which window, bool[w, f].
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Column = NDArray[Any]
Alarms = NDArray[np.bool_]


@dataclass(frozen=True)
class Given:
    """Columns by name, texts as texts; `before` and `now` int64[n] number the hours of the reference's and of the live rows."""

    reference: dict[str, Column]
    live: dict[str, Column]
    before: NDArray[np.int64]
    now: NDArray[np.int64]
    texts: frozenset[str]

    @property
    def names(self) -> list[str]:
        """The features."""
        return list(self.reference)

    @property
    def windows(self) -> list[int]:
        """The live windows."""
        return [int(one) for one in np.unique(self.now)]

    @property
    def numbers(self) -> list[str]:
        """The features that are no texts."""
        return [name for name in self.names if name not in self.texts]


def read(path: Path) -> Given:
    """What the runner wrote."""
    held = np.load(path)
    texts = frozenset(str(name) for name in held["texts"])
    parts: list[dict[str, Column]] = [
        {
            key.split("/", 1)[1]: as_texts(held[key]) if key.split("/", 1)[1] in texts else held[key]
            for key in held.files
            if key.startswith(part)
        }
        for part in ("reference/", "live/")
    ]
    return Given(parts[0], parts[1], held["before"], held["now"], texts)


def as_texts(codes: Column) -> Column:
    """Codes as texts; None where missing."""
    return np.array([None if np.isnan(code) else f"c{int(code):02}" for code in codes.tolist()], dtype=object)


def run(distribution: str, judge: Callable[[Given], Alarms]) -> None:
    """Let the peer judge every window and print one line of JSON: which features alarm in each."""
    parser = argparse.ArgumentParser()
    parser.add_argument("given", type=Path)
    given = read(parser.parse_args().given)
    alarms = judge(given)
    found = [np.flatnonzero(row).tolist() for row in alarms]
    print(json.dumps({"version": metadata.version(distribution), "alarms": found}))
