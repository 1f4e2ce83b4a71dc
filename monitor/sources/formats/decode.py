"""Bytes to columns (HOT): typed structs made from the reference, a lenient second try, reasons for the rest.

A message is decoded into a struct that has a typed slot for each feature of the reference. One wrong type, NaN or
1e999 makes the typed decoder refuse the whole message; such a message is read again leniently, field by field, so that
a bad field costs that field only.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from monitor.facts import EventsCounted, EventsRejected, Fact, FieldsRejected
from monitor.sources.base import TopicRecords
from monitor.sources.formats.columns import FieldMap, SeriesDecoder, decode_typed
from monitor.sources.formats.scanning import ODD, UNMONITORED, TopicScanner, message_of, newest, topic_scanner
from monitor.sources.formats.structs import plan_struct
from monitor.sources.formats.unseen import UnseenSampler
from monitor.sources.formats.values import (
    EARLIEST,
    LATEST_NANOS,
    UNREADABLE,
    Rejected,
    dig,
    parse_leniently,
    refusal,
    version_text,
)
from monitor.sources.formats.values import timestamp as read_timestamp
from monitor.stream.events import ANY_VERSION, EventBatch, Nanos, Partition, SeriesKey

__all__ = ["Decoded", "FieldMap", "SeriesDecoder", "TopicDecoder"]

UNKNOWN_SAMPLE = 256  # one message in so many is looked through for features that the reference does not know


@dataclass(slots=True)
class Decoded:
    """What a topic's records came to."""

    batches: list[EventBatch] = field(default_factory=list)
    seen: dict[Partition, Nanos] = field(default_factory=dict)
    facts: list[Fact] = field(default_factory=list)
    messages: list[Callable[[int], bytes | None]] = field(default_factory=list)  # a batch each: the bytes of its rows


@dataclass(slots=True)
class Tally:
    """Counts of one decode call."""

    rejected: Counter[str] = field(default_factory=Counter)
    fields: Counter[str] = field(default_factory=Counter)
    unmonitored: int = 0

    def facts(self, topic: str) -> list[Fact]:
        """As facts, none for nothing."""
        found: list[Fact] = [EventsRejected(topic, reason, count) for reason, count in self.rejected.items()]
        found += [FieldsRejected(topic, reason, count) for reason, count in self.fields.items() if count]
        for outcome, count in (("rejected", self.rejected.total()), ("unmonitored", self.unmonitored)):
            if count:
                found.append(EventsCounted(topic, outcome, count))
        return found


@dataclass(slots=True)
class Rows:
    """Messages of one series on their way to columns: envelope values and a column of values per feature."""

    partitions: list[int]
    times: NDArray[np.int64]
    numeric: NDArray[np.float64]
    codes: NDArray[np.int32]
    messages: list[bytes]  # of the rows that have columns


class TopicDecoder:
    """Records of one topic to batches, one per series."""

    def __init__(self, topic: str, series: Iterable[SeriesDecoder], fields: FieldMap, max_future: Nanos) -> None:
        self.topic = topic
        self.fields = fields
        self.max_future = max_future
        self.series = {decoder.key: decoder for decoder in series}
        self._wildcards = {key.model: decoder for key, decoder in self.series.items() if key.version == ANY_VERSION}
        self._only = next(iter(self.series.values())) if len(self.series) == 1 else None
        envelope = {"timestamp": fields.timestamp, "model": fields.model, "version": fields.version}
        self._envelope = plan_struct(envelope, [], [], fields.features)
        self._scanner = topic_scanner(list(self.series.values()), fields)
        self._sampled = 0
        self._newcomers = UnseenSampler()

    def decode(self, records: TopicRecords, now: Nanos) -> Decoded:
        """Decode one poll's records. Nothing a message holds can raise; what is wrong with it is counted."""
        tally, decoded = Tally(), Decoded()
        latest = min(now + self.max_future, LATEST_NANOS)
        parts: dict[SeriesKey, list[Rows]] = defaultdict(list)
        self._sample_unknown(records.values, tally, latest)
        left = records if self._scanner is None else self._scan(self._scanner, records, tally, latest, decoded)
        for decoder, values, partitions in self._by_series(left, tally, latest, decoded):
            rows = self._rows(decoder, values, partitions, tally, latest)
            parts[decoder.key] += rows
        for key, rows in parts.items():
            self._finish(key, rows, decoded)
        self._name_newcomers(decoded, len(records.values), now)
        decoded.facts += tally.facts(self.topic)
        return decoded

    # --- the compiled part, for what it understands ------------------------------------------------------------

    def _scan(
        self, scanner: TopicScanner, records: TopicRecords, tally: Tally, latest: Nanos, decoded: Decoded
    ) -> TopicRecords:
        """Decode what the compiled part understands; the rest is returned."""
        values, partitions = list(records.values), list(records.partitions)
        found, columns = scanner.scan(values, latest, tally.fields)
        tally.unmonitored += int(np.count_nonzero(found.series == UNMONITORED))
        for index, time in newest(partitions, found).items():
            self._see(index, time, decoded)
        for one in columns:
            decoded.batches.append(EventBatch(one.decoder.key, self.topic, one.times, one.numeric, one.codes))
            decoded.messages.append(partial(message_of, values, found, one.series))
        odd = np.flatnonzero(found.series == ODD).tolist()
        return TopicRecords(self.topic, [partitions[at] for at in odd], [values[at] for at in odd])

    # --- which series a message belongs to ----------------------------------------------------------------------

    def _by_series(
        self, records: TopicRecords, tally: Tally, latest: Nanos, decoded: Decoded
    ) -> list[tuple[SeriesDecoder, list[bytes], list[int]]]:
        values: list[bytes] = []
        partitions: list[int] = []
        for raw, partition in zip(records.values, records.partitions, strict=True):
            reason = refusal(raw)
            if reason is not None:
                tally.rejected[reason] += 1
            else:
                assert raw is not None
                values.append(raw)
                partitions.append(partition)
        if self._only is not None:
            return [(self._only, values, partitions)] if values else []
        grouped: dict[SeriesKey, tuple[SeriesDecoder, list[bytes], list[int]]] = {}
        for raw, partition, envelope in zip(values, partitions, self._envelopes(values), strict=True):
            decoder = self._route(raw, partition, envelope, tally, latest, decoded)
            if decoder is not None:
                _, found_values, found_partitions = grouped.setdefault(decoder.key, (decoder, [], []))
                found_values.append(raw)
                found_partitions.append(partition)
        return list(grouped.values())

    def _envelopes(self, values: list[bytes]) -> list[tuple[Any, Any, Any] | None]:
        """(timestamp, model, version) of each message; None where the typed reading failed."""
        if self._envelope is None:
            return [None] * len(values)
        decode = msgspec.json.Decoder(self._envelope.struct).decode
        read = self._envelope.envelope
        found: list[tuple[Any, Any, Any] | None] = []
        for raw in values:
            try:
                found.append(read(decode(raw)))
            except UNREADABLE:
                found.append(None)
        return found

    def _route(
        self,
        raw: bytes,
        partition: int,
        envelope: tuple[Any, Any, Any] | None,
        tally: Tally,
        latest: Nanos,
        decoded: Decoded,
    ) -> SeriesDecoder | None:
        try:
            if envelope is None:
                envelope = self._lenient_envelope(parse_leniently(raw))
            stamp, model, version = envelope
            decoder = self.decoder_of(model, version)
            if decoder is None:
                self._see(partition, read_timestamp(stamp, self.fields.unit, latest), decoded)
                tally.unmonitored += 1
        except Rejected as rejected:
            tally.rejected[str(rejected)] += 1
            return None
        return decoder

    def _lenient_envelope(self, found: dict[str, Any]) -> tuple[Any, Any, Any]:
        fields = self.fields
        return dig(found, fields.timestamp), dig(found, fields.model), dig(found, fields.version)

    def decoder_of(self, model: Any, version: Any) -> SeriesDecoder | None:
        """The series of a message's model and version; None where it is not monitored. Raises Rejected."""
        if model is None:
            raise Rejected("model_missing")
        if not isinstance(model, str):
            raise Rejected("model_invalid")
        if isinstance(version, dict | list):
            raise Rejected("version_invalid")
        return self.series.get(SeriesKey(model, version_text(version))) or self._wildcards.get(model)

    # --- one series' messages to columns ------------------------------------------------------------------------

    def _rows(
        self, decoder: SeriesDecoder, values: list[bytes], partitions: list[int], tally: Tally, latest: Nanos
    ) -> list[Rows]:
        typed, typed_at, odd = decode_typed(decoder, values)
        rows = []
        if typed:
            of_typed = [partitions[at] for at in typed_at], [values[at] for at in typed_at]
            found = self._typed_rows(decoder, typed, *of_typed, tally, latest)
            rows.append(found)
        if odd:
            rows.append(self._lenient_rows(decoder, [(values[at], partitions[at]) for at in odd], tally, latest))
        return rows

    def _typed_rows(
        self,
        decoder: SeriesDecoder,
        messages: list[Any],
        partitions: list[int],
        values: list[bytes],
        tally: Tally,
        latest: Nanos,
    ) -> Rows:
        assert decoder.plan is not None
        stamps, models, versions = decoder.plan.envelopes(messages)
        times, fine = self._times(stamps, latest, tally)
        ours = self._ours(decoder, models, versions)
        tally.unmonitored += int(np.count_nonzero(fine & ~ours))
        numeric, codes = decoder.columns(messages)
        keep = fine & ours
        if not keep.all():
            numeric, codes = numeric[keep], codes[keep]
            values = [raw for raw, kept in zip(values, keep.tolist(), strict=True) if kept]
        missing = int(np.isnan(numeric).sum())
        missing += sum(int(np.count_nonzero(codes[:, at] == table.missing)) for at, table in enumerate(decoder.tables))
        tally.fields["missing"] += missing
        return self._kept(partitions, times, fine, ours, numeric, codes, values)

    @staticmethod
    def _kept(
        partitions: list[int],
        times: NDArray[np.int64],
        fine: NDArray[np.bool_],
        ours: NDArray[np.bool_],
        numeric: NDArray[np.float64],
        codes: NDArray[np.int32],
        values: list[bytes],
    ) -> Rows:
        """Rows of ours first, then those that only move event time on: of other models, with empty columns."""
        if fine.all() and ours.all():
            return Rows(partitions, times, numeric, codes, values)
        own, other = np.flatnonzero(fine & ours), np.flatnonzero(fine & ~ours)
        order = np.concatenate([own, other])
        return Rows([partitions[at] for at in order], times[order], numeric, codes, values)

    def _ours(self, decoder: SeriesDecoder, models: Sequence[Any], versions: Sequence[Any]) -> NDArray[np.bool_]:
        key = decoder.key
        if set(models) == {key.model} and (
            key.version == ANY_VERSION or {version_text(one) for one in set(versions)} == {key.version}
        ):
            return np.ones(len(models), dtype=bool)
        pairs = zip(models, versions, strict=True)
        return np.fromiter((self.decoder_of(*pair) is decoder for pair in pairs), dtype=bool, count=len(models))

    def _times(self, stamps: Sequence[Any], latest: Nanos, tally: Tally) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Event times int64[n] and whether each is valid; what is not is counted."""
        unit = self.fields.unit
        if all(type(stamp) is int for stamp in stamps):
            try:
                epochs = np.array(stamps, dtype=np.int64)
            except OverflowError:
                epochs = None
            if epochs is not None and epochs.min() >= -(-EARLIEST // unit) and epochs.max() <= latest // unit:
                return epochs * unit, np.ones(len(epochs), dtype=bool)
        times = np.zeros(len(stamps), dtype=np.int64)
        fine = np.zeros(len(stamps), dtype=bool)
        for at, stamp in enumerate(stamps):
            try:
                times[at] = read_timestamp(stamp, unit, latest)
                fine[at] = True
            except Rejected as rejected:
                tally.rejected[str(rejected)] += 1
        return times, fine

    def _lenient_rows(
        self, decoder: SeriesDecoder, messages: list[tuple[bytes, int]], tally: Tally, latest: Nanos
    ) -> Rows:
        partitions: list[int] = []
        others: list[tuple[int, Nanos]] = []
        times: list[Nanos] = []
        numbers: list[list[float]] = []
        codes: list[list[int]] = []
        values: list[bytes] = []
        for raw, partition in messages:
            try:
                found = parse_leniently(raw)
                stamp, model, version = self._lenient_envelope(found)
                ours = self.decoder_of(model, version) is decoder
                time = read_timestamp(stamp, self.fields.unit, latest)
                if not ours:
                    tally.unmonitored += 1
                    others.append((partition, time))
                    continue
                if self.fields.features and not isinstance(dig(found, self.fields.features), dict):
                    raise Rejected(
                        "features_missing" if dig(found, self.fields.features) is None else "features_invalid"
                    )
            except Rejected as rejected:
                tally.rejected[str(rejected)] += 1
                continue
            row_numbers, row_codes = decoder.lenient_row(found, tally.fields)
            partitions.append(partition)
            times.append(time)
            numbers.append(row_numbers)
            codes.append(row_codes)
            values.append(raw)
        return Rows(
            partitions + [partition for partition, _ in others],
            np.array(times + [time for _, time in others], dtype=np.int64),
            np.array(numbers, dtype=np.float64).reshape(len(times), len(decoder.numeric)),
            np.array(codes, dtype=np.int32).reshape(len(times), len(decoder.tables)),
            values,
        )

    def _sample_unknown(self, values: Sequence[bytes | None], tally: Tally, latest: Nanos) -> None:
        for at in range(-self._sampled % UNKNOWN_SAMPLE, len(values), UNKNOWN_SAMPLE):
            raw = values[at]
            if raw is None or refusal(raw) is not None:
                continue
            with suppress(Rejected):  # counted where it is decoded
                found = parse_leniently(raw)
                stamp, model, version = self._lenient_envelope(found)
                read_timestamp(stamp, self.fields.unit, latest)
                decoder = self.decoder_of(model, version)
                if decoder is not None:
                    tally.fields["unknown"] += decoder.unknown(found)
        self._sampled += len(values)

    # --- batches ------------------------------------------------------------------------------------------------

    def _see(self, index: int, time: Nanos, decoded: Decoded) -> None:
        partition = Partition(self.topic, index)
        decoded.seen[partition] = max(time, decoded.seen.get(partition, time))

    def _finish(self, key: SeriesKey, rows: list[Rows], decoded: Decoded) -> None:
        for part in rows:
            indices = np.array(part.partitions, dtype=np.int64)
            for index in np.unique(indices):
                self._see(int(index), int(part.times[indices == index].max()), decoded)
        counted = [part for part in rows if len(part.numeric)]
        if not counted:
            return
        decoded.messages.append([raw for part in counted for raw in part.messages].__getitem__)
        times = np.concatenate([part.times[: len(part.numeric)] for part in counted])
        if len(counted) == 1:
            decoded.batches.append(EventBatch(key, self.topic, times, counted[0].numeric, counted[0].codes))
            return
        numeric = np.concatenate([part.numeric for part in counted])
        codes = np.concatenate([part.codes for part in counted])
        decoded.batches.append(EventBatch(key, self.topic, times, numeric, codes))

    def _name_newcomers(self, decoded: Decoded, messages: int, now: Nanos) -> None:
        """Write down what some of the new categories are called."""
        for at, rows in self._newcomers.places(len(decoded.batches), messages, now).items():
            batch = decoded.batches[at]
            named = self._newcomers.named(self.series[batch.key], batch, rows, decoded.messages[at])
            if named:
                decoded.batches[at] = replace(batch, unseen_categories=named)
