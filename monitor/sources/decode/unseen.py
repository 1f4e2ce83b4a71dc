"""What unseen categories are called: of the messages that hold one, a few are read again."""

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from monitor.explain.samples import legible
from monitor.sources.formats.base import SeriesRows
from monitor.sources.formats.values import category
from monitor.stream.events import SECOND, Nanos, UnseenCategory

EVERY = 4096  # messages: for so many a batch is looked through, and some each second where there are fewer
LOOKS = 32  # those some
FEW = 4  # messages that are read again for each look
MOST = 8 * FEW  # of one batch, where there are more looks than batches
SPREAD = 32  # rows of a chunk on record that are read for each column


class UnseenSampler:
    """Takes turns: its cost a message is bounded whatever comes, and no series or column is left out for ever."""

    def __init__(self) -> None:
        self._turn = 0
        self._skipped = 0  # messages since the last look
        self._looked: Nanos = 0

    def places(self, batches: int, messages: int, now: Nanos) -> dict[int, int]:
        """The batches of this poll that are to be looked through, each with how many rows; it brought so many messages."""
        self._skipped += messages
        looks = self._skipped // EVERY
        if abs(now - self._looked) >= SECOND:
            looks = max(looks, LOOKS)
        if not looks or not batches:
            return {}
        self._turn += 1
        self._skipped, self._looked = 0, now
        rows = min(FEW * max(1, looks // batches), MOST)
        return {(self._turn + at) % batches: rows for at in range(min(batches, looks))}

    def named(self, rows: SeriesRows, most: int) -> tuple[UnseenCategory, ...]:
        """Some unseen categories, out of at most so many rows."""
        unseen = unseen_in(rows)
        if not unseen.any():
            return ()
        return tuple(
            UnseenCategory(column, text, int(rows.times[row]))
            for row in rows_to_read(unseen, self._turn, most)
            for column, text in named(rows, np.flatnonzero(unseen[:, row]).tolist(), row)
        )


def unseen_in(rows: SeriesRows) -> NDArray[np.bool_]:
    """Where the reference does not know a category, bool[c, n]."""
    return np.equal(rows.codes.T, rows.series.unseen[: rows.codes.shape[1], None])


def spread(rows: SeriesRows) -> tuple[UnseenCategory, ...]:
    """Some unseen categories of each column, of rows spread over a chunk that need not be read again."""
    return tuple(
        UnseenCategory(column, text, int(rows.times[row]))
        for column, unseen in enumerate(unseen_in(rows))
        for row in spread_over(np.flatnonzero(unseen), SPREAD)
        for _, text in named(rows, [column], row)
    )


def spread_over(rows: NDArray[np.intp], most: int) -> list[int]:
    """At most so many of some rows, evenly."""
    few = min(most, rows.size)
    return [int(row) for row in rows[np.arange(few) * rows.size // max(few, 1)]]


def rows_to_read(unseen: NDArray[np.bool_], turn: int, most: int) -> list[int]:
    """At most so many rows of bool[c, n] in which something is true: of each column some, spread over the batch."""
    columns = np.flatnonzero(unseen.any(axis=1))
    columns = np.roll(columns, -turn)[:most]
    each = most // columns.size
    chosen: set[int] = set()
    for column in columns.tolist():
        chosen.update(spread_over(np.flatnonzero(unseen[column]), each))
    return sorted(chosen)


def named(rows: SeriesRows, columns: list[int], row: int) -> list[tuple[int, str]]:
    """What a row says in these columns, where it is a category that the reference does not know."""
    values = rows.look(row, [rows.series.categorical[column][1] for column in columns])
    texts = [category(value, Counter()) for value in values]  # the reasons were counted where it was decoded
    return [(column, legible(text)) for column, text in zip(columns, texts, strict=True) if text is not None]
