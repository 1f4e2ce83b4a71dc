"""What is to be said of a categorical: new categories by name, and those whose share has changed most."""

from collections.abc import Sequence

import numpy as np

from detectors.baseline import CategoricalBaseline
from monitor.explain.figures import moved, share
from monitor.explain.parts import NOTABLE_SHARE, Part, Reading, sureness
from monitor.explain.samples import legible

LONGEST = 40  # characters of a category
MOST_NAMED = 2
MOST_OF = 0.5  # of the new ones: it alone is named
OLD = 0.005  # of the rows: as many unnamed categories in the reference are worth telling


def category_parts(feature: CategoricalBaseline, reading: Reading, unseen: Sequence[tuple[str, float]]) -> list[Part]:
    """Return the parts of a categorical; `unseen` are the texts of new categories with their shares among those."""
    if not reading.usable:
        return []
    return [*_unseen(reading, unseen), *_known(feature, reading)]


def _unseen(reading: Reading, unseen: Sequence[tuple[str, float]]) -> list[Part]:
    before, now = float(reading.before[-1]), float(reading.now[-1])
    strength = 2 * abs(now - before) / NOTABLE_SHARE  # a new category is nobody's usual fluctuation
    sure = sureness(before, now, reading.usable)
    return [Part("new", _named(before, now, unseen), strength if now > before else 0.0, sure)]


def _named(before: float, now: float, unseen: Sequence[tuple[str, float]]) -> str:
    names = [f'"{legible(text, LONGEST)}"' for text, _ in unseen[:MOST_NAMED]]
    if before > OLD or not names:
        mostly = f", mostly {names[0]}" if names and unseen[0][1] >= MOST_OF else ""
        return f"{'rare or new' if before > OLD else 'new'} categories {moved(before, now)}{mostly}"
    first = unseen[0][1]
    if first >= MOST_OF:
        others = f" and others {share(now * (1 - first))}" if first < 1 else ""
        return f"new category {names[0]} {share(now * first)}{others}"
    return f"new categories {share(now)}, such as {' and '.join(names)}"


def _known(feature: CategoricalBaseline, reading: Reading) -> list[Part]:
    """The categories that moved most, beyond what new ones took from all alike."""
    room = (1 - reading.now[-1]) / max(1 - reading.before[-1], 1 / reading.usable)
    expected = reading.before[:-1] * room
    gains = np.abs(reading.now[:-1] - expected)
    most = MOST_NAMED if gains.size > MOST_NAMED else 1  # of two, one says it all
    found = []
    for at in np.argsort(-gains, kind="stable")[:most].tolist():
        before, now = float(reading.before[at]), float(reading.now[at])
        text = f'category "{legible(feature.categories[at], LONGEST)}" {moved(before, now)}'
        sure = sureness(float(expected[at]), now, reading.usable)
        found.append(Part("category", text, float(gains[at]) / NOTABLE_SHARE, sure))
    return found
