"""How often reading has begun at a position and never got past it: kept beside the state, for what kills a process takes all else with it."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from monitor.store import files
from monitor.stream.events import Partition

NAME = "starts"


class Begun(msgspec.Struct, array_like=True, frozen=True):
    """Where reading began in one partition, and how many starts in a row began there."""

    topic: str
    index: int
    offset: int
    starts: int


class Starts:
    """The starts of a daemon over one state directory. A file that is damaged or cannot be written counts nothing: deaths are counted anew."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / NAME
        self._begun: dict[Partition, Begun] | None = None

    def begin(self, positions: Mapping[Partition, int]) -> dict[Partition, int]:
        """Note, on the disk, that reading begins here; how many starts in a row have died before it got any further, where any has."""
        before = self._read() if self._begun is None else self._begun
        self._begun = dict(before)
        for place, offset in positions.items():
            known = before.get(place)
            starts = known.starts + 1 if known is not None and known.offset == offset else 1
            self._begun[place] = Begun(place.topic, place.index, offset, starts)
        with suppress(OSError):
            self._write()
        deaths = {place: self._begun[place].starts - 1 for place in positions}
        return {place: count for place, count in deaths.items() if count}

    def end(self) -> None:
        """The process ends by itself: nothing has killed it."""
        with suppress(OSError):
            self._path.unlink(missing_ok=True)

    @contextmanager
    def orderly(self) -> Iterator[None]:
        """However this ends, it was not killed, unless it has run out of memory."""
        try:
            yield
        except MemoryError:
            raise
        except BaseException:
            self.end()
            raise
        self.end()

    def _read(self) -> dict[Partition, Begun]:
        try:
            found = msgspec.json.decode(self._path.read_bytes(), type=list[Begun])
        except (OSError, msgspec.MsgspecError):
            return {}
        return {Partition(each.topic, each.index): each for each in found}

    def _write(self) -> None:
        assert self._begun is not None
        unfinished = self._path.with_name(self._path.name + ".new")
        with open(  # noqa: PTH123 - with flags
            os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600), "wb"
        ) as written:
            written.write(msgspec.json.encode(list(self._begun.values())))
            written.flush()
            os.fsync(written.fileno())
        unfinished.replace(self._path)
        files.sync(self._path.parent)
