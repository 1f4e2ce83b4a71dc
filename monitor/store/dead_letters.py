"""Dead letters in a directory: JSON, a record a line, in segments that are only added to, and cut back to what a checkpoint covers.

    letters-00000003.jsonl   │ covered by the last checkpoint │ added since │
                                                              ▲ this length stands in the state

What was added since is read from Kafka and rejected again after a crash, so a start cuts it off: the directory holds each record once. A state
that is older than the directory, as a backup is, cuts nothing: then the same records stand there twice, and topic, partition and offset say so.
"""

import fcntl
import os
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from secrets import token_hex

import msgspec

from monitor.facts import DeadLettersDropped, DeadLettersKept, Fact
from monitor.failpoints import Step, reach
from monitor.series.records import Record
from monitor.store import files
from monitor.store.opening import StateError
from monitor.stream.rejected import RejectedRecord

KIND = "dead_letters"  # of the record in the state
LOCK, PREFIX, SUFFIX = "letters.lock", "letters-", ".jsonl"
SEGMENT = 64_000_000  # bytes, from which on another one is begun; at most this part of all that there may be:
SEGMENTS = 8
PIECE = 1_000_000  # bytes of lines that are written at once
SPACE = 79  # bytes of what the lock says
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FLAGS = os.O_CLOEXEC | os.O_NOFOLLOW


class DeadLetterError(Exception):
    """Why dead letters cannot be kept now, in a line: nothing is lost, and it is tried again."""


class Cover(msgspec.Struct, array_like=True, frozen=True, order=True):
    """How far a directory is covered by a checkpoint: its last segment, and the bytes of it. `of` is which directory that is."""

    of: str
    segment: int
    length: int


class DeadLetterFiles:
    """The directory of one daemon. `most`: bytes that it may hold; then it is full, or the oldest segments go."""

    def __init__(self, directory: Path, most: int, *, drop_oldest: bool) -> None:
        """Raises StateError where the directory cannot be used, or another daemon has it."""
        self._directory, self._most, self._drop_oldest = directory, most, drop_oldest
        self._segment = min(SEGMENT, most // SEGMENTS)
        self._open: int | None = None  # the segment that is added to
        self._number = self._length = 0  # of the last segment, and what is known to be in it
        self._unsure = False  # whether more than that may be in it
        self._unsynced = False
        self._news = list[Fact]()
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | FLAGS, 0o600)
        except OSError as error:
            raise StateError(f"dead_letters.directory: {directory} cannot be used: {_words(error)}") from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise StateError(f"dead_letters.directory: {directory} is in use by another driftd") from None
        self._covered = self._known() or self._named(Cover(token_hex(8), 0, 0))

    # --- beginning --------------------------------------------------------------------------------------------------

    def begin(self, saved: bytes | None) -> None:
        """Go on from what the state says, None: it says nothing. Raises StateError."""
        told = _cover(saved or b"")
        try:
            found = segments(self._directory)
            if told is not None and told >= self._covered and told.of == self._covered.of:
                self._cut(found, told)
            else:
                self._number, self._length = max(found.items(), default=(0, 0))
                self._repair()
        except OSError as error:
            raise StateError(f"dead_letters.directory: {self._directory} cannot be used: {_words(error)}") from None

    def _cut(self, found: dict[int, int], told: Cover) -> None:
        """Take away what no checkpoint covers: it is read and rejected again."""
        self._number, self._length = told.segment, found.get(told.segment, 0)
        for number in sorted(each for each in found if each > told.segment):
            self._path(number).unlink()
        if self._length > told.length:
            os.truncate(self._path(told.segment), told.length)
            self._length = told.length
        if found and (max(found) > told.segment or found.get(told.segment, 0) > told.length):
            reach(Step.LETTERS_CUT)
            files.sync(self._directory)
        if told.segment in found and self._length == told.length:
            self._open = os.open(self._path(told.segment), os.O_WRONLY | os.O_APPEND | FLAGS)
            self._unsynced = True
        else:
            self._repair()

    def _repair(self) -> None:
        """Take a line that was not written to its end off the last segment, which is not gone on with."""
        if not self._length:
            return
        with self._path(self._number).open("r+b") as segment:
            whole = segment.seek(0, os.SEEK_END)
            while whole:
                begin = max(0, whole - PIECE)
                segment.seek(begin)
                if (end := segment.read(whole - begin).rfind(b"\n")) >= 0:
                    whole = begin + end + 1
                    break
                whole = begin
            segment.truncate(whole)
            self._length = whole

    def _known(self) -> Cover | None:
        """What was covered as far as the directory knows: it may be behind the state, and is never before it."""
        return _cover(os.pread(self._lock, PIECE, 0))

    def _named(self, cover: Cover) -> Cover:
        """Write down which directory this is. Raises StateError."""
        try:
            self._write_down(cover)
            os.fsync(self._lock)
        except OSError as error:
            os.close(self._lock)
            raise StateError(f"dead_letters.directory: {self._directory} cannot be used: {_words(error)}") from None
        return cover

    def _write_down(self, cover: Cover) -> None:
        """In place, and always as long: a full disk has room for it."""
        os.pwrite(self._lock, msgspec.json.encode(cover).ljust(SPACE) + b"\n", 0)

    # --- adding -----------------------------------------------------------------------------------------------------

    def write(self, waiting: deque[RejectedRecord]) -> None:
        """Add records, which leave `waiting` as they are written. What was written is not on the disk yet. Raises DeadLetterError."""
        while waiting:
            self._prepare()
            lines, size = list[bytes](), 0
            for record in waiting:
                lines.append(line_of(record))
                size += len(lines[-1])
                if size >= PIECE:
                    break
            self._append(b"".join(lines))
            self._news += kept(list(islice(waiting, len(lines))))
            for _ in lines:
                waiting.popleft()

    def news(self) -> list[Fact]:
        """What was kept, or let go, since the last call."""
        news, self._news = self._news, []
        return news

    def _prepare(self) -> None:
        """Have a segment that takes more, and room in the directory. Raises DeadLetterError.

        In this order: a segment that is ended is then one that may go, however much of the directory it takes.
        """
        try:
            if self._open is None or self._length >= self._segment:
                self._begin_segment()
            self._make_room()
        except OSError as error:
            raise DeadLetterError(f"{self._directory}: {_words(error)}") from None

    def _append(self, lines: bytes) -> None:
        assert self._open is not None
        try:
            if self._unsure:
                os.ftruncate(self._open, self._length)
            self._unsure, left = True, memoryview(lines)
            while left:
                left = left[os.write(self._open, left) :]
        except OSError as error:
            self._take_back()
            raise DeadLetterError(f"{self._directory}: {_words(error)}") from None
        self._length += len(lines)
        self._unsure, self._unsynced = False, True
        reach(Step.LETTERS_WRITTEN)

    def _take_back(self) -> None:
        """Take off what was written of lines that do not fit: no reader is to see them."""
        if self._open is not None and self._unsure:
            with suppress(OSError):
                os.ftruncate(self._open, self._length)
                self._unsure = False

    def _begin_segment(self) -> None:
        """Begin another segment, once the one before is on the disk."""
        if self._open is not None:
            self._sync()
            os.close(self._open)
            self._open = None
        self._number, self._length, self._unsure = self._number + 1, 0, False
        self._open = os.open(
            self._path(self._number), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | FLAGS, 0o600
        )
        files.sync(self._directory)
        reach(Step.LETTERS_BEGUN)

    def _make_room(self) -> None:
        """Where the directory is full, let the oldest segments go, if that is wanted. Raises DeadLetterError, OSError."""
        found = segments(self._directory)
        size = sum(found.values())
        for number in sorted(found):
            if size < self._most or number == self._number or not self._drop_oldest:
                break
            self._path(number).unlink()
            size -= found[number]
            self._news.append(DeadLettersDropped(str(self._path(number)), found[number]))
        if size >= self._most:
            raise DeadLetterError(
                f"{self._directory} is full: it holds {size} bytes, and dead_letters.max_size is {self._most}; "
                "take all but the newest segment away, or allow more"
            )

    def _path(self, number: int) -> Path:
        return self._directory / f"{PREFIX}{number:08}{SUFFIX}"

    # --- with a checkpoint ------------------------------------------------------------------------------------------

    def secure(self) -> None:
        """Have all that was written on the disk. Raises StateError where that cannot be known any more: then it is read again, from the last checkpoint on."""
        if self._open is None:
            return
        path, ours = self._path(self._number), os.fstat(self._open)
        with suppress(OSError):
            if os.path.samestat(path.stat(follow_symlinks=False), ours):
                self._sync()
                return
        raise StateError(
            f"dead_letters: {path} was deleted or replaced while driftd ran; what was not saved is read again"
        )

    def _sync(self) -> None:
        """After a failure nobody can say what of a file is on the disk, nor would asking again tell. Raises StateError."""
        assert self._open is not None
        if not self._unsynced:
            return
        try:
            os.fsync(self._open)
        except OSError as error:
            why = f"dead_letters: {self._path(self._number)} cannot be written: {_words(error)}"
            raise StateError(f"{why}; what was not saved is read again") from None
        self._unsynced = False
        reach(Step.LETTERS_SYNCED)

    @property
    def record(self) -> Record:
        """What the state is to hold with what was secured."""
        return Record(KIND, "", msgspec.json.encode(self._cover))

    @property
    def _cover(self) -> Cover:
        return Cover(self._covered.of, self._number, self._length)

    def covered(self) -> None:
        """A checkpoint has saved this record. What the directory knows of that is to tell a state that is older, and never more."""
        if self._cover != self._covered:
            self._covered = self._cover
            with suppress(OSError):
                self._write_down(self._cover)

    @property
    def size(self) -> int:
        """Bytes in the directory."""
        with suppress(OSError):
            return sum(segments(self._directory).values())
        return 0

    def close(self) -> None:
        """Let go of the directory."""
        for handle in (self._open, self._lock):
            if handle is not None:
                os.close(handle)
        self._open = None


def _cover(told: bytes) -> Cover | None:
    try:
        return msgspec.json.decode(told, type=Cover)
    except msgspec.MsgspecError:
        return None


def _words(error: OSError) -> str:
    return error.strerror or str(error)


# --- what stands there ------------------------------------------------------------------------------------------------


def segments(directory: Path) -> dict[int, int]:
    """The segments of a directory by number, with their sizes. Raises OSError."""
    found = {}
    for each in os.scandir(directory):
        number = each.name.removeprefix(PREFIX).removesuffix(SUFFIX)
        if each.name == f"{PREFIX}{number}{SUFFIX}" and number.isascii() and number.isdigit():
            with suppress(FileNotFoundError):
                found[int(number)] = each.stat(follow_symlinks=False).st_size
    return dict(sorted(found.items()))


class DeadLetter(msgspec.Struct, frozen=True, omit_defaults=True):
    """A line: bytes are in base64, and what there is not is left out. `value` is absent where nobody has the bytes, and in a record without one."""

    topic: str
    partition: int
    offset: int
    reason: str
    events: int = 1
    last_offset: int | None = None
    rows: Sequence[tuple[int | None, str]] = ()
    time: datetime | None = None
    key: bytes | None = None
    headers: Sequence[tuple[str, bytes | None]] = ()
    value: bytes | None = None


def line_of(record: RejectedRecord) -> bytes:
    """A record as a line."""
    place, rows = record.partition, record.whys if len(record.whys) > 1 or record.whys[0][0] else ()
    broker = None if record.time is None else EPOCH + timedelta(microseconds=record.time // 1000)
    about = record.reason, record.events, record.last, rows, broker
    letter = DeadLetter(place.topic, place.index, record.offset, *about, record.key, record.headers, record.value)
    return msgspec.json.encode(letter) + b"\n"


def kept(records: Sequence[RejectedRecord]) -> list[Fact]:
    """That these are kept, by topic and reason."""
    events, sizes = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for record in records:
        topic = record.partition.topic
        for reason, count in record.reasons.items():
            events[topic, reason] += count
        sizes[topic, record.reason] += record.nbytes
    return [DeadLettersKept(*place, count, sizes[place]) for place, count in sorted(events.items())]


def letters_in(directory: Path) -> Iterator[DeadLetter]:
    """All that a directory holds, in the order written; a line that is just being written is left out. Raises OSError and ValueError."""
    decode = msgspec.json.Decoder(DeadLetter).decode
    for number in segments(directory):
        name = f"{PREFIX}{number:08}{SUFFIX}"
        with (directory / name).open("rb") as lines:
            for at, line in enumerate(lines, start=1):
                if not line.endswith(b"\n"):
                    break
                try:
                    yield decode(line)
                except msgspec.MsgspecError as error:
                    raise ValueError(f"{directory / name}, line {at}: {error}") from None
