"""Messages to the rows of one series with their values as they came: what nobody has yet made numbers and codes of."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.columns import Column
from monitor.sources.base import TopicRecords
from monitor.sources.decode.finding import NO_COLUMNS
from monitor.sources.decode.mapping import decode_records, place_rows
from monitor.sources.decode.topic import Decoded, TopicDecoder
from monitor.sources.formats.base import SKIPPED, TOMBSTONE, WHOLE, DecodeCounts, Rows
from monitor.sources.formats.fields import FeatureSlots, FieldMap, Path, SeriesFields
from monitor.sources.formats.values import LATEST_NANOS
from monitor.stream.events import Nanos, Partition, SeriesKey


@dataclass(frozen=True, slots=True)
class RawRows:
    """Rows of the series: the number of each one's message, from 1, and its event time, int64[n]."""

    rows: Rows
    numbers: NDArray[np.int64]
    times: NDArray[np.int64]

    def columns(self, paths: Mapping[str, Path]) -> dict[str, Column]:
        """The columns at some paths, but those of which no row has anything."""
        found = {name: self.rows.column(path) for name, path in paths.items()}
        return {name: column for name, column in found.items() if column is not None and _holds(column)}


def _holds(column: Column) -> bool:
    """Whether anything is there; only objects can be nothing but absent."""
    if not isinstance(column, np.ndarray) or column.dtype.kind != "O":
        return True
    return any(value is not None for value in column.tolist())


class RawDecoder(TopicDecoder):
    """A topic's decoder that keeps the rows of one series until they are drained, and makes batches of none."""

    def __init__(
        self,
        topic: str,
        keys: Sequence[SeriesKey],
        ours: SeriesKey,
        layout: FeatureSlots,
        fields: FieldMap,
        form: str = "json",
        *,
        options: Any = None,
    ) -> None:
        series = [SeriesFields(key, layout if key == ours else NO_COLUMNS, fields) for key in keys]
        super().__init__(topic, series, fields, LATEST_NANOS, form, options=options)
        self._ours = list(keys).index(ours)
        self.reasons: Counter[str] = Counter()  # rejected rows
        self.others = 0  # rows of other models
        self.halves = 0  # rows that are half a prediction: nobody joins them here
        self._before = 0  # messages
        self._held: list[RawRows] = []

    def decode(self, records: TopicRecords, now: Nanos) -> Decoded:  # noqa: ARG002 - a TopicDecoder's; all that is on record is past
        """Keep the rows of records. Raises NotNow, with nothing changed, where a format needs what is away."""
        self._fetch(records)
        return self._keep(decode_records(self.format, records), len(records.values))

    def decode_rows(self, rows: Rows, partition: Partition, messages: int | None = None) -> Decoded:  # noqa: ARG002 - same
        """Keep rows on record."""
        return self._keep(rows, len(rows) if messages is None else messages)

    def drain(self) -> list[RawRows]:
        """The rows since the last time."""
        held, self._held = self._held, []
        return held

    def _keep(self, rows: Rows, messages: int) -> Decoded:
        counts = DecodeCounts()
        if rows.halves is not None and rows.halves.any():
            counts.rejected.update(rows.rejected)
            whole = np.flatnonzero(rows.halves == WHOLE)
            self.halves += len(rows) - whole.size
            rows = rows.take(whole)
        placed = place_rows(rows, self._holds, LATEST_NANOS, counts)
        for none in (TOMBSTONE, SKIPPED):
            counts.rejected.pop(none, None)
        self.reasons += counts.rejected
        self.others += counts.unmonitored
        ours = np.flatnonzero(placed.owners == self._ours)
        kept = placed.rows.take(ours)
        self._held.append(RawRows(kept, kept.messages.astype(np.int64) + self._before + 1, placed.times[ours]))
        self._before += messages
        return Decoded()
