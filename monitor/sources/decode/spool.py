"""Columns kept on disk between two passes: what was read once from Kafka need not be there, or the same, a second time."""

import pickle
import tempfile
from collections.abc import Iterator
from typing import IO, Self

from monitor.sources.decode.learner import EventColumns


class Spool:
    """Written once, read as often as wanted; a file without a name, gone with the process."""

    def __init__(self) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed where the spool is left
        self._pieces = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, columns: EventColumns) -> None:
        """Keep some rows, with any text that a message may hold. Raises OSError where there is no room."""
        pickle.dump(columns, self._file, protocol=pickle.HIGHEST_PROTOCOL)
        self._pieces += 1

    def read(self) -> Iterator[EventColumns]:
        """All that was written, in its order."""
        self._file.seek(0)
        for _ in range(self._pieces):
            columns: EventColumns = pickle.load(self._file)  # noqa: S301 - nobody else can write it: it has no name
            yield columns
