"""Columns kept on disk between two passes: what was read once from Kafka need not be there, or the same, a second time."""

import tempfile
from collections.abc import Iterator
from typing import IO, Self

import msgspec
import numpy as np

from monitor.sources.decode.learner import EventColumns


class Spool:
    """Written once, read as often as wanted; a file without a name, gone with the process."""

    def __init__(self) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed where the spool is left
        self._sizes: list[int] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, columns: EventColumns) -> None:
        """Keep some rows. Raises OSError where there is no room."""
        arrays = ({name: column.tobytes() for name, column in of.items()} for of in (columns.numbers, columns.codes))
        content = msgspec.msgpack.encode((columns.times.tobytes(), *arrays, columns.others))
        self._file.write(content)
        self._sizes.append(len(content))

    def read(self) -> Iterator[EventColumns]:
        """All that was written, in its order."""
        self._file.seek(0)
        for size in self._sizes:
            times, numbers, codes, others = msgspec.msgpack.decode(self._file.read(size))
            yield EventColumns(
                np.frombuffer(times, dtype=np.int64),
                {name: np.frombuffer(column, dtype=np.float64) for name, column in numbers.items()},
                {name: np.frombuffer(column, dtype=np.int32) for name, column in codes.items()},
                others,
            )
