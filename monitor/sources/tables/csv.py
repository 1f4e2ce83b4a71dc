"""CSV with a header line: texts, which mean what the caller says."""

from collections.abc import Collection, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from detectors.columns import Coded, Column
from monitor.sources.tables import arrow
from monitor.sources.tables.base import Chunk, Shape, TableError, Texts, present
from monitor.sources.tables.times import as_number

NO_VALUE = ["", "NA", "N/A", "NaN", "nan", "null", "NULL", "None"]  # what a CSV writes where there is nothing
OTHER_SEPARATORS = ";\t|"


class CsvTable:
    """One CSV file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @cached_property
    def names(self) -> Sequence[str]:
        """The names in the first line. Raises TableError for a line that is no header."""
        with csv.open_csv(self._path) as peek:
            names = [name.strip() for name in peek.schema.names]
        if len(names) == 1 and (other := next((mark for mark in OTHER_SEPARATORS if mark in names[0]), None)):
            raise TableError(f"{self._path}: is separated by {other!r}; commas are read")
        values = [as_number(name) for name in names]
        if all(isinstance(value, int | float) for value in values) and values != list(range(len(names))):
            raise TableError(f"{self._path}: the first line must name the columns; it is {','.join(names)[:60]}")
        return names

    def look(self, shape: Shape, first: Path) -> Iterator[int]:
        """Read all of it to see which columns hold numbers or booleans and nothing else."""
        names, others = self.names, set(shape.columns)
        shape.add(self._path, names, first)
        numbers = {name for name in names if name not in others or name in shape.numbers}
        booleans = {name for name in names if name not in others or name in shape.booleans}
        for batch in self._batches(()):
            numbers = {name for name in numbers if arrow.holds_numbers(batch.column(names.index(name)))}
            booleans = {name for name in booleans if arrow.holds_booleans(batch.column(names.index(name)))}
            yield batch.num_rows
        shape.numbers = (shape.numbers - set(names)) | numbers
        shape.booleans = (shape.booleans - set(names)) | (booleans - numbers)

    def read(self, wanted: Collection[str], texts: Texts) -> Iterator[tuple[Chunk, float]]:
        """A block of the file at a time."""
        held = present(self._path, self.names, wanted)
        whole, read = max(self._path.stat().st_size, 1), 0
        for batch in self._batches(texts.numbers):
            read += batch.nbytes
            columns = dict(zip(self.names, batch.columns, strict=True))
            yield {name: _meant(columns[name], name, texts) for name in held}, min(1.0, read / whole)

    def _batches(self, numbers: Collection[str]) -> Iterator[Any]:
        """Record batches of text, with `numbers` as float64."""
        kinds = {name: pa.float64() if name in numbers else pa.string() for name in self.names}
        convert = csv.ConvertOptions(column_types=kinds, strings_can_be_null=True, null_values=NO_VALUE)
        parse = csv.ParseOptions(newlines_in_values=True)
        header = csv.ReadOptions(column_names=self.names, skip_rows=1)
        with csv.open_csv(self._path, read_options=header, parse_options=parse, convert_options=convert) as reader:
            yield from (batch for batch in reader if batch.num_rows)


def _meant(text: Any, name: str, texts: Texts) -> Column:
    """A column as what its texts mean."""
    if name in texts.booleans:
        return arrow.to_numpy(pc.utf8_lower(text))
    if name in texts.parsed and name not in texts.numbers:
        return arrow.numbers_of(arrow.coded_texts(text))
    if name in texts.numbers or (name not in texts.mixed and name != texts.time):
        return arrow.to_numpy(text)
    try:
        plain = pc.cast(pc.utf8_trim_whitespace(text), pa.int64() if name == texts.time else pa.float64())
    except pa.ArrowInvalid:
        coded = arrow.coded_texts(text)
        return coded if name == texts.time else Coded(tuple(map(_number_or_text, coded.values)), coded.rows)
    return arrow.to_numpy(plain)


def _number_or_text(text: object) -> object:
    try:
        number = float(text) if isinstance(text, str) else text
    except ValueError:
        return text
    return None if number != number else number  # noqa: PLR0124 - NaN
