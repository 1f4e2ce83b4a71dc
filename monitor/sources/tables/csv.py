"""CSV with a header line: texts, which mean what the caller says."""

from collections.abc import Collection, Iterator, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from detectors.columns import Coded, Column
from monitor.sources.formats.arrow.columns import is_text
from monitor.sources.tables import arrow
from monitor.sources.tables.base import BOM, Chunk, Dialect, TableError, Texts, present
from monitor.sources.tables.shape import Shape
from monitor.sources.tables.texts import TextTally, number_in, numbers_of, with_points
from monitor.sources.tables.times import as_number

OTHER_SEPARATORS = ";\t|,"
PLAIN = Dialect()
PEEKED = 100  # lines that tell how fields are separated
INDEX = "is nameless, as the index that pandas writes"


class CsvTable:
    """One CSV file. An empty field is missing, one in quotes is the empty text."""

    def __init__(self, path: Path, dialect: Dialect = PLAIN) -> None:
        self._path = path
        self._dialect = dialect

    @cached_property
    def names(self) -> Sequence[str]:
        """The names in the first line that is not empty; a nameless column has its place. Raises TableError for no header."""
        header = csv.ReadOptions(skip_rows=self._blank)
        with csv.open_csv(self._path, read_options=header, parse_options=self._parse) as peek:
            names = [name.strip() for name in peek.schema.names]
        mark = self._dialect.delimiter
        values = [as_number(name) for name in names]
        if all(isinstance(value, int | float) for value in values) and values != list(range(len(names))):
            raise TableError(f"{self._path}: the first line must name the columns; it is {mark.join(names)[:60]}")
        return [name or f"Unnamed: {at}" for at, name in enumerate(names)]

    @cached_property
    def _blank(self) -> int:
        """Empty lines before the header. Raises TableError where the header is separated by something else."""
        with self._path.open("rb") as file:
            lines = (line.removeprefix(BOM).strip() for line in file)
            blank, first = next(((count, line) for count, line in enumerate(lines) if line), (0, b""))
        mark = self._dialect.delimiter
        if mark.encode() not in first and (other := next((o for o in OTHER_SEPARATORS if o.encode() in first), None)):
            raise TableError(f"{self._path}: is separated by {other!r}, not {mark!r}; --delimiter {other!r} reads it")
        return blank

    @cached_property
    def _spaced(self) -> bool:
        """Whether fields are separated by the delimiter and a space, as in the census data of the UCI archive."""
        mark = self._dialect.delimiter.encode()
        with self._path.open("rb") as file:
            lines = list(islice(file, self._blank, self._blank + PEEKED))
        fields = [(line.count(mark), line.count(mark + b" ")) for line in lines[1:] if line.strip()]
        return any(count for count, _ in fields) and all(count == spaced for count, spaced in fields)

    @property
    def _parse(self) -> Any:
        return csv.ParseOptions(delimiter=self._dialect.delimiter, newlines_in_values=True)

    def look(self, shape: Shape, first: Path) -> Iterator[int]:
        """Read all of it to see which columns hold numbers or booleans and nothing else."""
        names = self.names
        shape.add(self._path, names, first)
        tallies = {name: TextTally() for name in names}
        for batch in self._batches(()):
            for name, column in zip(names, batch.columns, strict=True):
                tallies[name].add(with_points(column) if self._dialect.decimal == "," else column)
            yield batch.num_rows
        for name, tally in tallies.items():
            if name.startswith("Unnamed: "):
                shape.left_out.setdefault(name, INDEX)
            shape.see(name, self._path, *tally.kinds)
            shape.texts.setdefault(name, TextTally()).merge(tally)

    def read(self, wanted: Collection[str], texts: Texts) -> Iterator[tuple[Chunk, float]]:
        """A block of the file at a time."""
        held = present(self._path, self.names, wanted)
        whole, read = max(self._path.stat().st_size, 1), 0
        for batch in self._batches(texts.numbers):
            read += batch.nbytes
            columns = dict(zip(self.names, batch.columns, strict=True))
            yield {name: self._meant(columns[name], name, texts) for name in held}, min(1.0, read / whole)

    def _batches(self, numbers: Collection[str]) -> Iterator[Any]:
        """Record batches of text, with `numbers` as float64."""
        kinds = {name: pa.float64() if name in numbers else pa.string() for name in self.names}
        convert = csv.ConvertOptions(
            column_types=kinds, strings_can_be_null=True, null_values=[""], quoted_strings_can_be_null=False
        )
        header = csv.ReadOptions(column_names=self.names, skip_rows=self._blank + 1)
        options = {"read_options": header, "parse_options": self._parse, "convert_options": convert}
        with csv.open_csv(self._path, **options) as reader:
            yield from (self._unspaced(batch) for batch in reader if batch.num_rows)

    def _unspaced(self, batch: Any) -> Any:
        """The same without the space that belongs to the separator; a field of nothing else is empty."""
        if not self._spaced:
            return batch
        columns = [
            arrow.or_nothing(pc.utf8_ltrim(column, characters=" ")) if is_text(column.type) else column
            for column in batch.columns
        ]
        return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)

    def _meant(self, text: Any, name: str, texts: Texts) -> Column:
        """A column as what its texts mean."""
        if name in texts.exact:
            return arrow.coded_texts(arrow.without_words(text))
        if name in texts.booleans:
            return arrow.to_numpy(pc.utf8_lower(arrow.without_words(text)))
        if name in texts.numbers:
            return arrow.to_numpy(text)
        if name in texts.parsed:
            return numbers_of(text, self._dialect.decimal)
        if name in texts.mixed:
            return self._mixed(arrow.without_words(text))
        return _as(pa.int64(), arrow.without_words(text)) if name == texts.time else arrow.coded_texts(text)

    def _mixed(self, texts: Any) -> Column:
        """Numbers as people write them; what is none stays a text."""
        column = _as(pa.float64(), texts) if self._dialect.decimal == "." else arrow.coded_texts(texts)
        if not isinstance(column, Coded):
            return column
        numbers = [number_in(text, self._dialect.decimal) for text in column.values]
        pairs = zip(column.values, numbers, strict=True)
        return Coded(tuple(text if number != number else number for text, number in pairs), column.rows)  # noqa: PLR0124 - NaN


def _as(kind: Any, texts: Any) -> Column:
    """A column of texts as numbers of a kind, where all of them are such; else as it is."""
    try:
        return arrow.to_numpy(pc.cast(pc.utf8_trim_whitespace(texts), kind))
    except pa.ArrowInvalid:
        return arrow.coded_texts(texts)
