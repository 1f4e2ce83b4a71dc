"""Tables whose rows are what a format would have as messages: tables of requests and responses, logs of features."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from monitor.backtest.recorded import Piece, RecordedError, piece_of, size_of
from monitor.sources.decode.topic import TopicDecoder
from monitor.sources.formats.logged import LogDecoder
from monitor.sources.tables.base import TableError
from monitor.sources.tables.files import objects_of
from monitor.stream.events import Partition

ROWS = 4_096  # of a table at once


class LoggedTables:
    """Files of such rows, read in the order given as one partition."""

    def __init__(self, paths: Sequence[Path], decoder: TopicDecoder, log: LogDecoder) -> None:
        self._paths = paths
        self._decoder = decoder
        self._log = log
        self._partition = Partition(decoder.topic, 0)
        self.notes: Sequence[str] = ()

    def hold(self, partitions: frozenset[Partition]) -> None:
        """A single partition runs ahead of nothing."""

    def pieces(self) -> Iterator[Piece]:
        """Some thousand rows at once. Raises RecordedError."""
        new = frozenset({self._partition})
        for at, path in enumerate(self._paths):
            size_of(path)
            try:
                for rows, done in objects_of(path, ROWS):
                    decoded = self._decoder.decode_documents(self._log.decode_objects(rows), self._partition, len(rows))
                    yield piece_of(decoded, self._partition, new, len(rows), (at + done) / len(self._paths))
                    new = frozenset()
            except TableError as error:
                raise RecordedError(str(error)) from None
