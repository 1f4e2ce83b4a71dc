"""What new categories are called: of the messages that hold one, a few are read again."""

from collections import Counter
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from monitor.explain.samples import legible
from monitor.sources.formats.columns import SeriesDecoder
from monitor.sources.formats.values import Rejected, category, dig, parse_leniently
from monitor.stream.events import SECOND, EventBatch, Nanos, UnseenCategory

EVERY = 4096  # messages: for so many a batch is looked through, and some each second where there are fewer
LOOKS = 32  # those some
FEW = 4  # messages that are read again for each look
MOST = 8 * FEW  # of one batch, where there are more looks than batches
LONGEST = 1 << 16  # bytes of a message worth reading twice


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

    def named(
        self, decoder: SeriesDecoder, batch: EventBatch, rows: int, message: Callable[[int], bytes | None]
    ) -> tuple[UnseenCategory, ...]:
        """Some unseen categories of a batch, out of at most so many `rows`; `message` gives the bytes of a row."""
        if not decoder.tables:
            return ()
        unseen = np.equal(batch.codes.T, decoder.unseen[:, None])
        if not unseen.any():
            return ()
        return tuple(
            UnseenCategory(column, text, int(batch.event_times[row]))
            for row in rows_to_read(unseen, self._turn, rows)
            for column, text in named(decoder, np.flatnonzero(unseen[:, row]).tolist(), message(row))
        )


def rows_to_read(unseen: NDArray[np.bool_], turn: int, most: int) -> list[int]:
    """At most so many rows of bool[c, n] in which something is true: of each column some, spread over the batch."""
    columns = np.flatnonzero(unseen.any(axis=1))
    columns = np.roll(columns, -turn)[:most]
    each = most // columns.size
    found: set[int] = set()
    for column in columns.tolist():
        rows = np.flatnonzero(unseen[column])
        found.update(rows[np.arange(each) * rows.size // each].tolist())
    return sorted(found)


def named(decoder: SeriesDecoder, columns: list[int], raw: bytes | None) -> list[tuple[int, str]]:
    """What a message says in these columns, where it is a category that the reference does not know."""
    if raw is None or len(raw) > LONGEST:
        return []
    try:
        found = parse_leniently(raw)
    except Rejected:  # it was read a moment ago, so this cannot be; and a name is not worth a crash
        return []
    reasons: Counter[str] = Counter()  # counted already, where it was decoded
    texts = [(column, category(dig(found, decoder.categorical[column][1]), reasons)) for column in columns]
    return [(column, legible(text)) for column, text in texts if text is not None]
