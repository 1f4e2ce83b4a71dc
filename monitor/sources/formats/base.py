"""What a format promises: message values to rows, a column a path. Mapping and routing are shared, above it."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from detectors.columns import Coded, Column
from detectors.sketches.identity import hashes_of, wide_hashes_of
from detectors.sketches.ids import Hashes
from monitor.facts import EventsCounted, EventsRejected, Fact, FieldsRejected
from monitor.sources.base import Prepared, RecordParts, TopicRecords
from monitor.sources.formats.fields import Path, SeriesFields
from monitor.stream import halves
from monitor.stream.events import Nanos
from monitor.stream.violations import RowViolations

TOMBSTONE = (
    "tombstone"  # a message without a value, as compacted topics have them: no event, and nothing is wrong with it
)
SKIPPED = "skipped"  # what a format passes over by design, as a change that deletes a row: no event, and nothing is wrong with it

WHOLE, REQUEST, RESPONSE = halves.WHOLE, halves.REQUEST, halves.RESPONSE  # what of a prediction a row is

# --- what every format does -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Rows:
    """What messages hold: a row an event, a column a path. A path that has no column is missing in every row.

    `messages` int64[n], rising, is the message of each row. `rejected` counts what could not be read, by reason.
    Arrays of floats say missing by NaN; arrays of objects hold values as JSON would: None is missing.
    A column at the path of the features themselves says whether a row has them: what is no mapping there is rejected.
    `halves` int8[n] says of each row whether it is WHOLE, or a REQUEST or RESPONSE that waits for its other half; None: all are whole.
    """

    columns: Mapping[Path, Column]
    messages: NDArray[np.intp]
    rejected: Mapping[str, int] = field(default_factory=dict)
    which: NDArray[np.intp] | None = None  # the rows of the columns that count; None: all
    halves: NDArray[np.int8] | None = None

    def __len__(self) -> int:
        return len(self.messages)

    def column(self, path: Path) -> Column | None:
        """The column of a path; None where no row has it."""
        column = self.columns.get(path)
        return column if column is None or self.which is None else only_rows(column, self.which)

    def names(self, path: Path) -> set[str]:
        """The keys below a path that any row has."""
        depth = len(path)
        return {other[depth] for other in self.columns if len(other) > depth and other[:depth] == path}

    def hashes(self, path: Path) -> Hashes:
        """The hashes of the ids at a path, uint64[n], NO_ID where there is none."""
        return hashes_of(self.column(path), len(self))

    def wide_hashes(self, path: Path) -> tuple[Hashes, Hashes]:
        """The same, and 64 more bits of each."""
        return wide_hashes_of(self.column(path), len(self))

    def take(self, which: NDArray[np.intp]) -> "Rows":
        """Some rows; a column is copied when it is asked for."""
        halves = None if self.halves is None else self.halves[which]
        held = which if self.which is None else self.which[which]
        return Rows(self.columns, self.messages[which], which=held, halves=halves)

    def values(self, row: int, paths: Iterable[Path]) -> list[object]:
        """What a row holds at some paths."""
        at = np.array([row if self.which is None else self.which[row]])
        columns = (self.columns.get(path) for path in paths)
        return [None if column is None else only_rows(column, at).tolist()[0] for column in columns]


def only_rows(column: Column, which: NDArray[Any]) -> Column:
    """Some rows of a column."""
    return Coded(column.values, column.rows[which]) if isinstance(column, Coded) else column[which]


class Decoder(Protocol):
    """One format, for one topic. Nothing a message holds may raise but what is named here."""

    def decode(self, values: Sequence[bytes | None]) -> Rows:
        """Read messages; one may hold many rows. What cannot be read is counted by reason."""
        ...

    def inspect(self, raw: bytes) -> Iterable[Mapping[Path, object]]:
        """Read the rows of one message as they came, in the order of `decode`, for words. Raises Rejected."""
        ...


# --- what a format may offer besides ----------------------------------------------------------------------------------


@runtime_checkable
class RecordDecoder(Protocol):
    """A decoder that needs more of records than their values. Who has values alone uses `decode` and `inspect`."""

    @property
    def wants(self) -> RecordParts:
        """What it needs; of records without it, as those of a file, it makes what it can."""
        ...

    def decode_records(self, records: TopicRecords) -> Rows:
        """As `decode` does."""
        ...

    def inspect_record(self, record: TopicRecords) -> Iterable[Mapping[Path, object]]:
        """As `inspect` does, of a single record. Raises Rejected."""
        ...


@runtime_checkable
class Wordy(Protocol):
    """A decoder that can say what it makes of a message on the way to rows: what frames it, which schema, what lies inside."""

    def steps(self, record: TopicRecords) -> Iterable[str]:
        """A line a step, of a single record; nothing may raise."""
        ...


@runtime_checkable
class Splits(Protocol):
    """A decoder that cuts messages of many events into one record an event, which `parts` reads, by its quicker ways too."""

    @property
    def parts(self) -> Decoder:
        """What reads one event."""
        ...

    def split(self, records: TopicRecords) -> tuple[TopicRecords, Counter[str]]:
        """Cut records; what holds no event is counted by reason."""
        ...

    def prepare(self, values: Sequence[bytes | None], reader: "Reader", latest: Nanos, /) -> Prepared:
        """Cut values ahead, in any thread, and read them by the first reader of `parts`, where that can; nothing is counted."""
        ...


@runtime_checkable
class Outward(Protocol):
    """A decoder that needs something from outside, such as schemas of a registry, before it can decode some records."""

    def fetch(self, records: TopicRecords) -> None:
        """Have what these records need, in bounded time. Raises NotNow where that is away: then they are decoded later, and nothing was counted."""
        ...


@dataclass(slots=True)
class DecodeCounts:
    """Counts of one decode call."""

    rejected: Counter[str] = field(default_factory=Counter)
    fields: Counter[str] = field(default_factory=Counter)
    labels: Counter[str] = field(default_factory=Counter)  # of their columns, which are no features: no fact tells them
    latencies: Counter[str] = field(default_factory=Counter)  # same: of what requests took
    errors: Counter[str] = field(default_factory=Counter)  # same: of whether they failed
    unmonitored: int = 0
    noted: list[tuple[str, NDArray[np.intp]]] = field(
        default_factory=list
    )  # rejections whose messages are known: their places

    @property
    def of_columns(self) -> tuple[Counter[str], ...]:
        """Those of columns, by what they hold: features, labels, latencies, errors."""
        return self.fields, self.labels, self.latencies, self.errors

    def reject(self, reason: str, messages: NDArray[np.intp] | None, which: NDArray[np.bool_]) -> None:
        """Count rows that are rejected, `which` of some; `messages` int64[n] are the places of their messages, None: not known."""
        if count := int(np.count_nonzero(which)):
            self.rejected[reason] += count
            if messages is not None:
                self.noted.append((reason, messages[which]))

    def renumber(self, since: int, places: NDArray[np.intp] | None) -> int:
        """What was noted since then is of these places, None: of all; how much is noted now."""
        if places is not None:
            self.noted[since:] = [(reason, places[held]) for reason, held in self.noted[since:]]
        return len(self.noted)

    def add(self, other: "DecodeCounts") -> None:
        """Count what was counted apart, too."""
        self.rejected.update(other.rejected)
        for own, more in zip(self.of_columns, other.of_columns, strict=True):
            own.update(more)
        self.unmonitored += other.unmonitored

    def of_number(self, series: SeriesFields, column: int) -> Counter[str]:
        """Those of a column of numbers."""
        if column == series.latency:
            return self.latencies
        return self.fields if column < series.counted[0] else self.labels

    def of_category(self, series: SeriesFields, column: int) -> Counter[str]:
        """Those of a column of categories."""
        if column == series.error:
            return self.errors
        return self.fields if column < series.counted[1] else self.labels

    def facts(self, topic: str) -> list[Fact]:
        """As facts, none for nothing; reasons in the order of their names, whoever counted them first."""
        none = {what: self.rejected.pop(what, 0) for what in (TOMBSTONE, SKIPPED)}
        facts: list[Fact] = [EventsRejected(topic, reason, count) for reason, count in sorted(self.rejected.items())]
        facts += [FieldsRejected(topic, reason, count) for reason, count in sorted(self.fields.items()) if count]
        for outcome, count in (
            ("rejected", self.rejected.total()),
            ("unmonitored", self.unmonitored),
            *none.items(),
        ):
            if count:
                facts.append(EventsCounted(topic, outcome, count))
        return facts


Cells = tuple[NDArray[np.intp], NDArray[np.intp]]
"""Columns and rows, int64[m] each."""


@dataclass(frozen=True, slots=True, eq=False)
class Suspects:
    """What a contract has to look at: numbers that are `lacking`, and `others` that are not within the bounds of their series."""

    lacking: Cells
    others: Cells

    def only(self, kept: NDArray[np.intp]) -> "Suspects":
        """Those of some rows, rising places."""
        held = []
        for columns, rows in (self.lacking, self.others):
            ours = np.isin(rows, kept)
            held.append((columns[ours], np.searchsorted(kept, rows[ours])))
        return Suspects(*held)


@dataclass(frozen=True, slots=True)
class SeriesRows:
    """Rows of one series as its columns: event times int64[n], numeric float64[n, k], codes int32[n, c].

    `ids` uint64[n] are hashes of the rows' ids, 0 where a row has none; None where no id is read. `groups` the same of what
    rows belong to. Where rows are joined, `more` uint64[n] are further bits of their ids; there, and where a contract is held against
    them, `messages` int64[n] is the place of each row's message. `served` int16[n, 2] is what the requests took and whether they failed, as `detectors.service` has it; None
    where neither is read.
    `look` gives the values of a row at some paths, for words; it may have to read the message again, as may `reread`, which gives
    rows, rising, with their values at some paths as they came; None: by `look`. `suspects` are what is not within
    the bounds of their series; None where nobody looked. `violations` are the rules of a contract that rows break. `weights` int64[n] are
    millionths: how many requests each row stands for, where the log holds a sample of them. `waiting`: rows as they wait for their
    other half, where whoever read them wrote times, numbers, codes and ids there, which then are views of it; rows of a message differ in their ids. `named`: all rows are known to have ids.
    """

    series: SeriesFields
    times: NDArray[np.int64]
    numeric: NDArray[np.float64]
    codes: NDArray[np.int32]
    look: Callable[[int, Iterable[Path]], Sequence[object]]
    ids: NDArray[np.uint64] | None = None
    groups: NDArray[np.uint64] | None = None
    more: NDArray[np.uint64] | None = None
    messages: NDArray[np.intp] | None = None
    reread: Callable[[NDArray[np.intp], Sequence[Path]], Rows] | None = None
    suspects: Suspects | None = None
    violations: RowViolations | None = None
    served: NDArray[np.int16] | None = None
    weights: NDArray[np.int64] | None = None
    waiting: halves.Rows | None = None
    named: bool = False

    def only(self, kept: NDArray[np.intp]) -> "SeriesRows":
        """Some rows, rising places."""
        look, reread = self.look, self.reread
        some: dict[str, Any] = {
            name: None if held is None else held[kept]
            for name, held in ((each, getattr(self, each)) for each in BY_ROW)
        }
        return replace(
            self,
            **some,
            look=lambda row, paths: look(int(kept[row]), paths),
            reread=None if reread is None else lambda which, paths: reread(kept[which], paths),
            suspects=None if self.suspects is None else self.suspects.only(kept),
            violations=None if self.violations is None else self.violations.where(kept),
        )


BY_ROW = "times", "numeric", "codes", "ids", "groups", "more", "messages", "served", "weights", "waiting"


@dataclass(frozen=True, slots=True)
class Read:
    """What a reader made of messages: rows, valid event times with the message of each, in their order, and what it left.

    `times` int64[n], `NOT_A_TIME` where there is none; `messages[i]` is the place of the message of `times[i]`, a slice where each
    message has one. `left` are the places of the messages that it leaves. `strange`: whether messages may hold features that nobody
    asked for, as far as it was looked. `beside`: what is the same in all rows of the message at a place, whose and when they are, for
    who wants no more; None where that is not known, or asked of a reader that does not know. `strangers`: which of the messages at some
    places, whoever read them, may hold features that not all series know; None: any may.
    """

    rows: Sequence[SeriesRows]
    messages: NDArray[np.intp] | slice
    times: NDArray[np.int64]
    left: Sequence[int]
    strange: bool = True
    beside: Callable[[int], Mapping[Path, object] | None] | None = None
    strangers: Callable[[Sequence[int]], Sequence[int]] | None = None


class Reader(Protocol):
    """Messages of a topic straight to the rows of its series."""

    def read(self, records: TopicRecords, latest: Nanos, counts: DecodeCounts) -> Read:
        """Read what is wholly understood; event times up to `latest` are valid."""
        ...


@runtime_checkable
class Prepares(Protocol):
    """A reader, or a decoder, that may read values ahead, in any thread; it finds what it made in the records."""

    def prepare(self, values: Sequence[bytes | None], latest: Nanos, /) -> Prepared | None:
        """Read what is wholly understood, with nothing counted; None where nothing can be read ahead."""
        ...


@runtime_checkable
class Quick(Protocol):
    """A decoder that knows quicker ways than rows. They are tried in turn; `decode` gets what they leave."""

    @property
    def readers(self) -> Sequence[Reader]:
        """The quickest first."""
        ...
