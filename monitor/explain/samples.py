"""A few values as they came, for words alone: raw numbers, and texts of new categories. Nothing is decided on them."""

import numpy as np

from detectors import Layout
from detectors.features import Floats
from monitor.stream.events import SECOND, EventBatch

KEPT = 64  # numbers of a feature
EVERY = 512  # rows: after so many, or after GAP, some are kept
GAP = 10  # seconds of event time
ONE_OF = 16  # rows is kept, at least one
TEXTS = 16  # new categories of a feature
FRESH = 64  # texts heard after which those before count half
LONGEST = 64  # characters of a text out of an event
SEARCHED = 4 * LONGEST  # characters of it that are looked at


def legible(text: str, most: int = LONGEST) -> str:
    r"""Text fit to be shown: on one line, without characters that control or cannot be written, cut to `most`.

    >>> legible("E\x1b[31mU\n-2")
    'E[31mU-2'
    """
    found = text[:SEARCHED]
    if not found.isprintable():
        found = "".join(letter for letter in found if letter.isprintable())
    return found if len(found) <= most else found[: most - 1] + "…"


class Samples:
    """Values of one series, the newest pushing out the oldest; bounded, never saved, never compared."""

    __slots__ = ("_heard", "_kept", "_last", "_layout", "_ring", "_skipped")

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._ring = np.empty((len(layout.numeric), KEPT))
        self._kept = 0  # rows ever put into the ring
        self._skipped = 0  # rows since one was
        self._last = 0  # the second of event time of the last row kept
        self._heard: dict[int, dict[str, int]] = {}  # by categorical column: texts, and how often of late

    def see(self, batch: EventBatch) -> None:
        """Keep the last few rows of a batch, and the new categories that the decoder wrote down."""
        for column, text, _ in batch.unseen_categories:
            self._hear(self._heard.setdefault(column, {}), text)
        rows = len(batch)
        if not rows:  # as of halves, which are no events yet
            return
        second = int(batch.event_times[-1]) // SECOND
        gaps = abs(second - self._last) // GAP
        self._skipped += rows
        if gaps or self._skipped >= EVERY:
            wanted = min(rows, KEPT // 2, max(1, gaps, self._skipped // ONE_OF))
            self._keep(batch.numeric[rows - wanted :].T)
            self._skipped, self._last = 0, second

    def _keep(self, columns: Floats) -> None:
        """Put columns float64[k, few] into the ring: neighbours, for rows far apart cost a cache line each."""
        count, at = columns.shape[1], self._kept % KEPT
        first = min(count, KEPT - at)
        self._ring[:, at : at + first] = columns[:, :first]
        self._ring[:, : count - first] = columns[:, first:]
        self._kept += count

    @staticmethod
    def _hear(heard: dict[str, int], text: str) -> None:
        """Count one text more; a full table gives the place of the rarest away, with its count (Metwally 2005)."""
        if text not in heard and len(heard) == TEXTS:
            rarest = min(heard, key=heard.__getitem__)
            heard[text] = heard.pop(rarest)
        heard[text] = heard.get(text, 0) + 1
        if sum(heard.values()) > FRESH:
            halved = {name: count // 2 for name, count in heard.items() if count > 1}
            heard.clear()
            heard.update(halved)

    def numbers(self, name: str) -> Floats:
        """Return the latest finite values of a numeric feature, at most 64, oldest first; none of what is no number."""
        column = next((at for at, feature in enumerate(self._layout.numeric) if feature.name == name), None)
        if column is None:
            return np.empty(0)
        held = min(self._kept, KEPT)
        found = self._ring[column, np.arange(self._kept - held, self._kept) % KEPT]
        return np.asarray(found[np.isfinite(found)])

    def unseen_categories(self, name: str) -> tuple[tuple[str, float], ...]:
        """Return the new categories of a feature, each with its share of those heard of late, most frequent first."""
        column = next((at for at, feature in enumerate(self._layout.categorical) if feature.name == name), None)
        heard = {} if column is None else self._heard.get(column, {})
        total = sum(heard.values())
        return tuple(
            (text, count / total) for text, count in sorted(heard.items(), key=lambda heard: (-heard[1], heard[0]))
        )
