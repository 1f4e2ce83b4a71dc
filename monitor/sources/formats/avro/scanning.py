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

from monitor.sources.base import TopicRecords, lent
from monitor.sources.formats.avro.compiled import COMPILED, VERDICTS, _avro, described
from monitor.sources.formats.avro.container import MAGIC
from monitor.sources.formats.avro.writers import Authors, AvroWriters, Writer, patiently
from monitor.sources.formats.base import DecodeCounts, Read, Rows, SeriesRows
from monitor.sources.formats.fields import Path, TopicFields
from monitor.sources.formats.json.documents import DocumentRows, dig
from monitor.sources.formats.json.scanning import ODD, UNMONITORED, Scan, TopicScanner, Values
from monitor.sources.formats.json.structs import plan_series
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

    def records(self, records: TopicRecords, places: NDArray[np.intp], writer: Writer) -> TopicRecords | None:
        """The records at these places with what was made of them ahead; None where that was of others."""
        group = self.groups.get(writer) if self.values is records.values else None
        if group is None or not np.array_equal(group.places, places):
            return None
        whole = records if len(places) == len(records.values) else records.only(places.tolist())
        return replace(whole, values=group.values, prepared=group.scan)


class AvroScanner:
    """Messages by who wrote them, each group by a scanner of its own."""

    def __init__(self, topic: TopicFields, writers: AvroWriters) -> None:
        self._topic = topic
        self._writers = writers
        self._scanners: dict[Writer, _WrittenScanner | None] = {}

    def read(self, records: TopicRecords, latest: Nanos, counts: DecodeCounts) -> Read:
        """Read messages; those that are odd are left."""
        authors = patiently(self._writers, records)
        if len(authors.found) == 1 and isinstance(authors.found[0], Writer):
            scanner = self._scanner(authors.found[0])
            if scanner is not None:
                return scanner.read(_of_writer(records, None, authors.found[0]), latest, counts)
        return self._each(authors, records, latest, counts)

    def prepare(self, values: Values, latest: Nanos) -> PreparedAvro:
        """Read values of the schemas that are known by now, in any thread."""
        authors = self._writers.known(values)
        groups = {}
        for number, found in enumerate(() if authors is None else authors.found):
            scanner = self._scanner(found) if isinstance(found, Writer) else None
            if authors is None or scanner is None or not isinstance(found, Writer):
                continue
            places = np.flatnonzero(authors.which == number)
            own = values if len(places) == len(values) else [values[place] for place in places.tolist()]
            groups[found] = PreparedGroup(places, own, scanner.prepare(own, latest))
        return PreparedAvro(values, groups)

    def _each(self, authors: Authors, records: TopicRecords, latest: Nanos, counts: DecodeCounts) -> Read:
        """Read the messages of each writer."""
        rows: list[SeriesRows] = []
        left: list[int] = []
        messages: list[NDArray[np.intp]] = [np.empty(0, dtype=np.intp)]
        times: list[NDArray[np.int64]] = [np.empty(0, dtype=np.int64)]
        for number, found in enumerate(authors.found):
            own = np.flatnonzero(authors.which == number)
            places = own.tolist()
            scanner = self._scanner(found) if isinstance(found, Writer) else None
            if scanner is None or not isinstance(found, Writer):
                left += places if isinstance(found, Writer) else _refused(found, places, records.values, counts)
                continue
            read = scanner.read(_of_writer(records, own, found), latest, counts)
            messages.append(own)
            rows += [replace(part, messages=_placed(part.messages, own)) for part in read.rows]
            left += [places[at] for at in read.left]
            times.append(read.times)
        return Read(rows, np.concatenate(messages), np.concatenate(times), sorted(left))

    def _scanner(self, writer: Writer) -> "_WrittenScanner | None":
        """By any thread: two may make the same, and either will do."""
        with suppress(KeyError):
            return self._scanners[writer]
        if len(self._scanners) >= MOST_SCANNERS:
            self._scanners.clear()
        return self._scanners.setdefault(writer, _scanner_of(self._topic, writer))


def _of_writer(records: TopicRecords, places: NDArray[np.intp] | None, writer: Writer) -> TopicRecords:
    """The records at some places, all of them where none are named, with what was made of them ahead."""
    found = None
    if isinstance(records.prepared, PreparedAvro):
        own = np.arange(len(records.values)) if places is None else places
        found = records.prepared.records(records, own, writer)
    if found is not None:
        return found
    return records if places is None else records.only(places.tolist())


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

    def read(self, records: TopicRecords, latest: Nanos, counts: DecodeCounts) -> Read:
        """Read messages; those that are odd are left, those that are surely none are counted."""
        scan = self._counted(records, latest, counts)
        series = scan.scanned.series
        failed = series < UNMONITORED
        if not failed.any():
            return Read(scan.rows, slice(None), scan.scanned.times, ())
        for verdict, reason in VERDICTS.items():
            if count := int(np.count_nonzero(series == verdict)):
                counts.rejected[reason] += count
        times = np.where(failed, NOT_A_TIME, scan.scanned.times)
        return Read(scan.rows, slice(None), times, np.flatnonzero(series == ODD).tolist())


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
        return _WrittenScanner(topic, partial(_look, writer), _WrittenPart(writer), partial(_again, writer))
    except (UnicodeEncodeError, ValueError):  # a name that no message can hold, or too many types
        return None


def avro_scanner(topic: TopicFields, writers: AvroWriters) -> AvroScanner | None:
    """A scanner, where the compiled part is there."""
    return AvroScanner(topic, writers) if COMPILED else None


def numbers_before(values: Sequence[bytes | None]) -> NDArray[np.int64] | None:
    """The number of the schema before each message, -1 where there is none; None without the compiled part."""
    if not COMPILED:
        return None
    found = np.empty(len(values), dtype=np.int64)
    _avro.prefixes(lent(values), found)
    return found


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
