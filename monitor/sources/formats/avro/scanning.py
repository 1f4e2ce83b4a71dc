"""Avro bytes to columns in one pass by the compiled part (HOT), a scanner for each schema that wrote some of a batch.

What it leaves is read value by value; a property test holds the two to the same answer. Without the compiled part, or with
DRIFTD_PURE=1, everything is.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.sources.base import TopicRecords
from monitor.sources.formats.avro.compiled import COMPILED, VERDICTS, _avro, described
from monitor.sources.formats.avro.container import MAGIC
from monitor.sources.formats.avro.schema import names_below
from monitor.sources.formats.avro.writers import AvroWriters, Writer, patiently
from monitor.sources.formats.base import DecodeCounts, Read, Rows, SeriesRows
from monitor.sources.formats.fields import Path, TopicFields
from monitor.sources.formats.json.documents import DocumentRows, dig
from monitor.sources.formats.json.scanning import ODD, UNMONITORED, Scan, TopicScanner, Values
from monitor.sources.formats.json.structs import plan_series
from monitor.sources.formats.schema_registry.frames import behind
from monitor.sources.formats.times import NOT_A_TIME
from monitor.stream.events import Nanos

MOST_SCANNERS = 64


@dataclass(frozen=True, slots=True)
class PreparedGroup:
    """What was made ahead of the messages at some places that one schema wrote, as far as is known."""

    places: NDArray[np.intp]
    values: Values
    scan: Scan


@dataclass(frozen=True, slots=True)
class PreparedAvro:
    """What was made ahead of values, by who wrote them."""

    values: Values
    groups: Mapping[Writer, PreparedGroup]

    @property
    def nbytes(self) -> int:
        """What it keeps in memory."""
        return sum(group.scan.nbytes for group in self.groups.values())

    def of(self, values: Values, places: NDArray[np.intp], writer: Writer) -> PreparedGroup | None:
        """What was made of just these; None where it was of others."""
        group = self.groups.get(writer) if self.values is values else None
        return group if group is not None and np.array_equal(group.places, places) else None


class AvroScanner:
    """Messages by who wrote them, each group by a scanner of its own."""

    def __init__(self, topic: TopicFields, writers: AvroWriters) -> None:
        self._topic = topic
        self._writers = writers
        self._scanners: dict[Writer, _WrittenScanner | None] = {}

    def read(self, records: TopicRecords, latest: Nanos, counts: DecodeCounts) -> Read:
        """Read messages, those of each writer; those that are odd are left."""
        authors = patiently(self._writers, records)
        rows: list[SeriesRows] = []
        left: list[int] = []
        strange = False
        times = np.full(len(records.values), NOT_A_TIME, dtype=np.int64)
        for number, found in enumerate(authors.found):
            own = np.flatnonzero(authors.which == number)
            scanner = self._scanner(found) if isinstance(found, Writer) else None
            if scanner is None or not isinstance(found, Writer):
                places = own.tolist()
                left += places if isinstance(found, Writer) else _refused(found, places, records.values, counts)
                continue
            read = scanner.read(_of_writer(records, own, found), latest, counts)
            strange = strange or read.strange
            if len(read.times) == len(times):  # where they stood
                rows += read.rows
                left += [at for at in read.left if authors.which[at] == number]
                times[own] = read.times[own]
            else:
                rows += [replace(part, messages=_placed(part.messages, own)) for part in read.rows]
                left += [int(own[at]) for at in read.left]
                times[own] = read.times
        return Read(rows, slice(None), times, sorted(left), strange=strange)

    def prepare(self, values: Values, latest: Nanos) -> PreparedAvro:
        """Read values of the schemas that are known by now, in any thread."""
        authors = self._writers.known(values)
        groups = {}
        for number, found in enumerate(() if authors is None else authors.found):
            scanner = self._scanner(found) if isinstance(found, Writer) else None
            if authors is None or scanner is None or not isinstance(found, Writer):
                continue
            places = np.flatnonzero(authors.which == number)
            own = _at(values, places)
            groups[found] = PreparedGroup(places, own, scanner.prepare(own, latest))
        return PreparedAvro(values, groups)

    def _scanner(self, writer: Writer) -> "_WrittenScanner | None":
        """By any thread: two may make the same, and either will do."""
        with suppress(KeyError):
            return self._scanners[writer]
        if len(self._scanners) >= MOST_SCANNERS:
            self._scanners.clear()
        return self._scanners.setdefault(writer, _scanner_of(self._topic, writer))


def _of_writer(records: TopicRecords, places: NDArray[np.intp], writer: Writer) -> TopicRecords:
    """What a scanner needs of the records at some places, with what was made of them ahead."""
    ahead = records.prepared
    found = ahead.of(records.values, places, writer) if isinstance(ahead, PreparedAvro) else None
    if found is None:
        return TopicRecords(records.topic, (), _at(records.values, places))
    return TopicRecords(records.topic, (), found.values, prepared=found.scan)


def _at(values: Values, places: NDArray[np.intp]) -> Values:
    """The values at some places; where these are most, all of them, the others hidden: then none is looked at but by the compiled part."""
    if len(places) == len(values):
        return values
    if 2 * len(places) < len(values):
        return [values[place] for place in places.tolist()]
    offsets = np.full(len(values), -1, dtype=np.int64)
    offsets[places] = 0
    return behind(values, offsets)


def _placed(messages: NDArray[np.intp] | None, places: NDArray[np.intp]) -> NDArray[np.intp] | None:
    return None if messages is None else places[messages]


def _refused(reason: str, places: Sequence[int], values: Values, counts: DecodeCounts) -> list[int]:
    """Count the messages that nobody known wrote; what says so itself, or is none, is left."""
    left = [place for place in places if not (raw := values[place]) or raw.startswith(MAGIC)]
    if count := len(places) - len(left):
        counts.rejected[reason] += count
    return left


class _WrittenScanner(TopicScanner):
    """Messages that one schema wrote."""

    def __init__(self, topic: TopicFields, writer: Writer) -> None:
        super().__init__(topic, partial(_look, writer), _WrittenPart(writer), partial(_again, writer))
        names = names_below(writer.type, topic.fields.features)
        self._strange = names is None or any(not names.issubset(series.known) for series in topic.series.values())

    def read(self, records: TopicRecords, latest: Nanos, counts: DecodeCounts) -> Read:
        """Read messages; those that are odd are left, those that are surely none are counted."""
        scan = self._counted(records, latest, counts)
        series = scan.scanned.series
        failed = series < UNMONITORED
        if not failed.any():
            return Read(scan.rows, slice(None), scan.scanned.times, (), strange=self._strange)
        for verdict, reason in VERDICTS.items():
            if count := int(np.count_nonzero(series == verdict)):
                counts.rejected[reason] += count
        times = np.where(failed, NOT_A_TIME, scan.scanned.times)
        return Read(scan.rows, slice(None), times, np.flatnonzero(series == ODD).tolist(), strange=self._strange)


class _WrittenPart:
    """The compiled part, with shapes for what one schema wrote."""

    def __init__(self, writer: Writer) -> None:
        self._types = described(writer.type)
        self._begin = writer.begin
        self.routes, self.scan, self.route, self.scan_each = _avro.routes, _avro.scan, _avro.route, _avro.scan_each

    def shape(self, *told: Any) -> Any:
        """Where what it wrote keeps what is wanted."""
        return _avro.shape(self._types, self._begin, told)


def _scanner_of(topic: TopicFields, writer: Writer) -> _WrittenScanner | None:
    """A scanner, where the compiled part can read this topic and this schema."""
    if not topic.series or any(plan_series(series) is None for series in topic.series.values()):
        return None
    try:
        return _WrittenScanner(topic, writer)
    except (UnicodeEncodeError, ValueError):  # a name that no message can hold, or too many types
        return None


def avro_scanner(topic: TopicFields, writers: AvroWriters) -> AvroScanner | None:
    """A scanner, where the compiled part is there."""
    return AvroScanner(topic, writers) if COMPILED else None


# --- read again -------------------------------------------------------------------------------------------------------


def _look(writer: Writer, raw: bytes | None, paths: Iterable[Path]) -> Sequence[object]:
    """What a message holds at some paths, read again for words."""
    document = {} if raw is None else writer.datum.read(raw, writer.begin)  # which was read a moment ago
    return [dig(document, path) for path in paths]


def _again(
    writer: Writer,
    values: Values,
    places: Sequence[int] | NDArray[np.intp],
    rows: NDArray[np.intp],
    paths: Sequence[Path],
) -> Rows:
    """Rows with what stands in them as it came."""
    del paths  # a datum is read as a whole
    documents = [writer.datum.read(values[places[row]] or b"", writer.begin) for row in rows.tolist()]
    return DocumentRows({}, np.arange(len(documents)), documents=documents)
