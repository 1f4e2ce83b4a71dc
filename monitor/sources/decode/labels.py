"""Messages of a topic of labels to rows to be joined: an id, a label, perhaps a weight and a time.

A label without a time has its record's. A null label, or a message without a value whose key is the id, withdraws what was said.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.columns import Coded
from detectors.sketches.identity import wide_hashes_of
from monitor.facts import EventsCounted
from monitor.series.truth import Truth
from monitor.sources.base import RecordParts, TopicRecords
from monitor.sources.decode.joining import ID_MISSING, UNUSABLE, LabelColumns, RowLabels, label_fields
from monitor.sources.decode.mapping import Timer, decode_records, event_times, map_rows
from monitor.sources.decode.rejected import Told
from monitor.sources.decode.shaping import beside
from monitor.sources.decode.topic import Decoded, TopicDecoder, places_of
from monitor.sources.formats.base import DecodeCounts, Decoder, Read, Rows, SeriesRows
from monitor.sources.formats.fields import FeatureSlots, FieldMap, JoinedFields, SeriesFields, TopicFields
from monitor.sources.formats.json.documents import dig
from monitor.sources.formats.times import NOT_A_TIME
from monitor.sources.formats.values import LATEST_NANOS
from monitor.stream.clocks import TOLERANCE
from monitor.stream.events import ANY_VERSION, JoinBatch, Nanos, Partition, SeriesKey
from monitor.stream.join import LABEL, PREDICTION, no_rows, rows_of
from monitor.stream.join import Rows as LabelRows


class LabelDecoder(TopicDecoder):
    """Labels of some models. A label is of every version of its model: it is the id that says which prediction it is of."""

    STAMPED = True

    def __init__(
        self,
        topic: str,
        truths: Mapping[str, Truth],
        series: Mapping[str, Sequence[SeriesKey]],
        fields: FieldMap,
        max_future: Nanos,
        form: str = "json",
        *,
        tolerance: Nanos = TOLERANCE,
        options: Any = None,
    ) -> None:
        held = [
            SeriesFields(SeriesKey(model, ANY_VERSION), FeatureSlots(()), fields, self.fields_of(truth, fields))
            for model, truth in truths.items()
        ]
        super().__init__(topic, held, fields, max_future, form, tolerance=tolerance, options=options)
        self.readers[-1] = LabelReader(self.events, self._holds)
        self._versions = series
        self._recorded = 0  # rows on record that were read
        self._columns = {each.key.model: self.columns_of(each, truths[each.key.model]) for each in held}

    def fields_of(self, truth: Truth, fields: FieldMap) -> JoinedFields:
        """The columns of a label."""
        return label_fields(truth, fields)

    def columns_of(self, series: SeriesFields, truth: Truth) -> LabelColumns:
        """What reads them."""
        return LabelColumns(series, truth)

    @property
    def wants(self) -> RecordParts:
        """What tells labels apart, and what the format needs."""
        return super().wants | RecordParts.KEYS | RecordParts.STAMPS | RecordParts.NUMBERS

    def decode(self, records: TopicRecords, now: Nanos) -> Decoded:
        """Decode one poll's records. Nothing a message holds can raise; what is wrong with it is counted.

        Raises NotNow, with nothing changed, where a format needs what is away.
        """
        self._fetch(records)
        counts, decoded, whole = DecodeCounts(), Decoded(), records
        latest = min(now + self.max_future, LATEST_NANOS)
        records = self._split(records, counts)
        empty = [place for place, value in enumerate(records.values) if value is None]
        told: list[Told] = []
        withdrawn = self._withdrawn(records.only(empty), latest, counts) if empty else no_rows(LABEL)
        labels = list[tuple[str, LabelRows]]()
        places = np.delete(np.arange(len(records.values)), empty)
        left = records.only(places.tolist()) if empty else records
        noted = counts.renumber(0, np.array(empty, dtype=np.intp))
        for read, of_these, held in self._readings(left, places, latest, counts):
            labels += [self._labels(part, of_these, counts) for part in read.rows]
            noted = counts.renumber(noted, held)
            told.append((places_of(read, held), read.times))
        self._see(records, told, decoded)
        accepted = len(withdrawn) + sum(len(rows) for _, rows in labels)
        self._tell(decoded, [*labels, *((model, withdrawn) for model in self._versions)], counts, accepted)
        decoded.rejected = self._rejected(whole, records, told, counts, now)
        return decoded

    def _tell(
        self, decoded: Decoded, labels: Sequence[tuple[str, LabelRows]], counts: DecodeCounts, accepted: int
    ) -> None:
        decoded.joins = [
            JoinBatch(key, no_rows(PREDICTION), rows)
            for model, rows in labels
            if rows.size
            for key in self._versions[model]
        ]
        decoded.facts = [*counts.facts(self.topic), *self._ahead({partition.index for partition in decoded.seen})]
        decoded.facts += [EventsCounted(self.topic, "ok", accepted)] if accepted else []

    def decode_rows(self, rows: Rows, partition: Partition, messages: int | None = None) -> Decoded:
        """Rows on record, of one partition, and of so many messages; None: of one each."""
        counts, decoded = DecodeCounts(), Decoded()
        mapped = map_rows(rows, self._holds, LATEST_NANOS, counts)
        if mapped.times.size:
            decoded.seen[partition] = self._clocks[partition.index].show(mapped.times, None)
        messages = len(rows) if messages is None else messages
        numbers = range(self._recorded, self._recorded + messages)
        self._recorded += messages
        records = TopicRecords(self.topic, (), (), numbers=numbers)
        labels = [self._labels(part, records, counts) for part in mapped.rows]
        self._tell(decoded, labels, counts, sum(len(rows) for _, rows in labels))
        return decoded

    def _labels(self, part: SeriesRows, records: TopicRecords, counts: DecodeCounts) -> tuple[str, LabelRows]:
        """A model, and the labels of decoded rows of it."""
        model = part.series.key.model
        if part.ids is None or part.more is None or part.messages is None:
            counts.reject(ID_MISSING, part.messages, np.ones(len(part.times), dtype=np.bool_))
            return model, no_rows(LABEL)
        held, reasons = self._refused(part, counts)
        kept = np.ones(len(part.times), dtype=np.bool_)
        kept[list(reasons)] = False
        for reason in {*reasons.values()}:
            which = np.zeros(len(kept), dtype=np.bool_)
            which[[place for place, why in reasons.items() if why == reason]] = True
            counts.reject(reason, part.messages, which)
        offsets = np.array(records.numbers, dtype=np.int64)[part.messages] if records.numbers else part.messages
        columns = {"high": part.ids, "low": part.more, "time": part.times, "offset": offsets}
        rows = rows_of(LABEL, **columns, value=held.values, weight=held.weights)
        return model, np.asarray(rows[kept])

    def _refused(self, part: SeriesRows, counts: DecodeCounts) -> tuple[RowLabels, dict[int, str]]:
        """The labels of rows, and why some have none, by place."""
        columns = self._columns[part.series.key.model]
        held = columns.labels(part)
        reasons = columns.refused(part, held, look=any(counts.labels[reason] for reason in UNUSABLE))
        for place in np.flatnonzero(part.ids == 0).tolist():
            reasons.setdefault(place, ID_MISSING)
        return held, reasons

    def _why_not(self, part: SeriesRows, counts: DecodeCounts) -> str | None:
        return ID_MISSING if part.ids is None else next(iter(self._refused(part, counts)[1].values()), None)

    def _withdrawn(self, records: TopicRecords, latest: Nanos, counts: DecodeCounts) -> LabelRows:
        """Messages without a value: their keys are the ids whose labels are taken back, of every model."""
        ids = self._ids_of(records)
        high, low = wide_hashes_of(np.array(ids, dtype=object), len(ids))
        stamps = np.array(records.stamps or [0] * len(ids), dtype=np.int64)
        named, future = (high != 0) & (stamps > 0), stamps > latest
        kept = named & ~future
        for reason, which in ((ID_MISSING, ~named), ("timestamp_in_future", named & future)):
            counts.reject(reason, np.arange(len(ids)), which)
        numbers = np.array(records.numbers or [0] * len(ids), dtype=np.int64)
        columns = {"high": high, "low": low, "time": stamps, "offset": numbers}
        return np.asarray(rows_of(LABEL, **columns, value=np.nan, weight=1.0)[kept])

    def _timer(self, now: Nanos) -> Timer:
        """A label without a time has its record's: of one that is explained, now."""
        return partial(stamped_times, np.full(1, now))

    def _timer_of(self, record: TopicRecords, rows: int) -> Timer:
        return partial(stamped_times, np.repeat(np.array(record.stamps[:1] or (0,), dtype=np.int64), rows + 1))

    def _ids_of(self, records: TopicRecords) -> list[object]:
        """The ids of messages without a value: where the mapping looks beside values, as of any others; else what their keys are."""
        place = next((each for each in self.fields.beside if each.path == self.fields.id), None)
        if place is not None:
            return list(beside(place, records).tolist())
        return [self._id_of(key) for key in records.keys] if records.keys else [None] * len(records.values)

    def _id_of(self, key: bytes | None) -> object:
        """The id that a record's key is: its text, the JSON text that it is, or what JSON holds at the path of ids."""
        if not key:
            return None
        if key[:1] in b'"{':
            try:
                held = msgspec.json.decode(key)
            except (msgspec.DecodeError, UnicodeDecodeError):
                held = None
            if isinstance(held, dict):
                connects = held.keys() == {"schema", "payload"}  # Kafka Connect's converter keeps the schema with it
                return dig(held["payload"] if connects else held, self.fields.id)
            if held is not None:
                return held
        return key.decode(errors="replace")


class LabelReader:
    """Any format's rows; those without a time have that of their record."""

    def __init__(self, decoder: Decoder, topic: TopicFields) -> None:
        self._decoder = decoder
        self._topic = topic

    def read(self, records: TopicRecords, latest: Nanos, counts: DecodeCounts) -> Read:
        """Read all messages: nothing is left."""
        rows = decode_records(self._decoder, records)
        stamps = np.array(records.stamps, dtype=np.int64) if records.stamps else None
        mapped = map_rows(rows, self._topic, latest, counts, partial(stamped_times, stamps))
        return Read(mapped.rows, mapped.messages, mapped.times, ())


def stamped_times(
    stamps: NDArray[np.int64] | None, rows: Rows, topic: TopicFields, latest: Nanos, counts: DecodeCounts
) -> NDArray[np.int64]:
    """The event time of each row, or its record's timestamp where it has none."""
    apart = DecodeCounts()
    times = event_times(rows, topic, latest, apart)
    missing = apart.rejected.pop("timestamp_missing", 0)
    counts.rejected.update(apart.rejected)
    counts.noted += [(reason, places) for reason, places in apart.noted if reason != "timestamp_missing"]
    if not missing:
        return times
    without = _without_time(rows, topic)
    usable = np.zeros(len(times), dtype=np.int64) if stamps is None else stamps[rows.messages]
    filled = without & (usable > 0) & (usable <= latest)
    counts.reject("timestamp_missing", rows.messages, without & ~filled)
    return np.where(filled, usable, np.where(without, NOT_A_TIME, times))


def _without_time(rows: Rows, topic: TopicFields) -> NDArray[np.bool_]:
    column = rows.column(topic.fields.timestamp)
    if column is None:
        return np.ones(len(rows), dtype=np.bool_)
    values = column.values if isinstance(column, Coded) else column.tolist()
    absent = np.array([value is None or value != value for value in values], dtype=np.bool_)  # noqa: PLR0124 - NaN
    return absent[column.rows] if isinstance(column, Coded) else absent
