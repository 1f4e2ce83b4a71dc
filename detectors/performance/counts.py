"""What is kept of labelled predictions: integers alone, so that merging is addition, in any order, and is undone exactly."""

import hashlib
import struct
import zlib
from typing import ClassVar, Final, Generic, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from detectors.columns import as_floats
from detectors.features import Bools, Floats, Ints
from detectors.performance import exact
from detectors.performance.cells import WeighedCells
from detectors.precision import as_written

HEADER: Final = struct.Struct(
    "<4sBB8sI"
)  # magic, version, bytes a cell, task id, refused reasons; then the cells, sums, CRC-32
MAGIC: Final = b"dPFc"
VERSION: Final = 1
WEIGHT_UNIT: Final = 2.0**-24  # weights, and their squares, are whole numbers of it
LEAST_WEIGHT, MOST_WEIGHT = 0.01, 100.0
MOST: Final = np.iinfo(np.int64).max


class TaskMismatchError(ValueError):
    """Counts of two tasks were to be added: their cells do not mean the same."""


class Task(Protocol):
    """What is counted, and how: frozen, so that counts of one task can be added."""

    @property
    def cells(self) -> int:
        """How many cells rows are counted in."""

    @property
    def sums(self) -> int:
        """How many exact sums are kept."""

    @property
    def weighted(self) -> bool:
        """Whether rows have weights."""


def task_id(task: Task) -> bytes:
    """Return eight bytes that tell tasks apart."""
    return hashlib.sha256(repr(task).encode()).digest()[:8]


T = TypeVar("T", bound=Task)


class Counts(Generic[T]):
    """The counts of one window (or pane) for its task; only `update`, `add` and `subtract` change them.

    `cells` int64 hold rows, then, where rows have weights, the sums of weights and of their squares, in units of 2⁻²⁴: for
    each the cells of the task. `sums` are exact (`exact.py`). `refused` int64 are rows that were left out, by reason in
    the order of `REASONS`.
    """

    REASONS: ClassVar[tuple[str, ...]]
    __slots__ = ("cells", "refused", "sums", "task")

    def __init__(self, task: T, cells: Ints, sums: list[int], refused: Ints) -> None:
        self.task = task
        self.cells = cells
        self.sums = sums
        self.refused = refused

    @classmethod
    def empty(cls, task: T) -> Self:
        """Return counts of no rows."""
        size = task.cells * (3 if task.weighted else 1)
        return cls(task, np.zeros(size, np.int64), [0] * task.sums, np.zeros(len(cls.REASONS), np.int64))

    def add(self, other: Self) -> None:
        """Add the other's counts to these. Raises TaskMismatchError when the tasks differ."""
        self._same_as(other)
        self.cells += other.cells.astype(np.int64, copy=False)
        self.sums = [one + two for one, two in zip(self.sums, other.sums, strict=True)]
        self.refused += other.refused

    def subtract(self, part: Self) -> None:
        """Take counts out again that were added before: what is left is what there would be without them, to the last bit."""
        self._same_as(part)
        self.cells -= part.cells.astype(np.int64, copy=False)
        self.sums = [one - two for one, two in zip(self.sums, part.sums, strict=True)]
        self.refused -= part.refused

    def merge(self, other: Self) -> Self:
        """Return the counts of both together; order never matters."""
        both = self.copy()
        both.add(other)
        return both

    def copy(self) -> Self:
        """Return counts that no longer change with these."""
        return type(self)(self.task, self.cells.astype(np.int64), list(self.sums), self.refused.copy())

    def packed(self) -> Self:
        """Return the same counts, to be kept: in the smallest unsigned integers that hold them. They take no more rows."""
        kept = type(self)(self.task, self._smallest(), list(self.sums), self.refused.copy())
        for numbers in (kept.cells, kept.refused):
            numbers.setflags(write=False)
        return kept

    def to_bytes(self) -> bytes:
        """Write the counts with task, version and checksum."""
        cells = self._smallest()
        width = cells.itemsize
        head = HEADER.pack(MAGIC, VERSION, width, task_id(self.task), self.refused.size)
        body = head + self.refused.astype("<i8").tobytes() + cells.astype(f"<u{width}").tobytes()
        body += exact.to_bytes(self.sums)
        return body + struct.pack("<I", zlib.crc32(body))

    @classmethod
    def from_bytes(cls, task: T, data: bytes) -> Self:
        """Read what `to_bytes` wrote. Raises ValueError for damaged bytes, TaskMismatchError for another task's."""
        if len(data) < HEADER.size + 4 or data[:4] != MAGIC:
            raise ValueError("these bytes are no counts of predictions and labels")
        if zlib.crc32(data[:-4]) != struct.unpack("<I", data[-4:])[0]:
            raise ValueError("the counts are damaged: their checksum does not fit")
        _, version, width, identity, reasons = HEADER.unpack_from(data)
        if version != VERSION or reasons != len(cls.REASONS):
            raise ValueError(f"the counts have format {version}, this version reads {VERSION}")
        if identity != task_id(task):
            raise TaskMismatchError("the counts belong to another task")
        counts = cls.empty(task)
        start = HEADER.size + 8 * reasons
        end = start + width * counts.cells.size
        refused = np.frombuffer(data[HEADER.size : start], "<i8").astype(np.int64)
        cells = np.frombuffer(data[start:end], f"<u{width}").astype(np.int64)
        return cls(task, cells, exact.from_bytes(data[end:-4], task.sums), refused)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, type(self))
            and self.task == other.task
            and np.array_equal(self.cells, other.cells)
            and self.sums == other.sums
            and np.array_equal(self.refused, other.refused)
        )

    __hash__ = None  # type: ignore[assignment]  # counts change

    @property
    def left_out(self) -> dict[str, int]:
        """How many rows were left out, by reason; reasons that never occurred are not there."""
        return {reason: count for reason, count in zip(self.REASONS, self.refused.tolist(), strict=True) if count}

    def _same_as(self, other: Self) -> None:
        if self.task != other.task:
            raise TaskMismatchError(f"counts of {other.task} cannot be added to counts of {self.task}")

    def _smallest(self) -> Ints:
        kind = np.min_scalar_type(int(self.cells.max(initial=0)))
        return self.cells.astype(kind)

    @property
    def _counted(self) -> WeighedCells:
        """Rows, weights and squared weights of each cell."""
        parts = self.cells.astype(np.int64, copy=False).reshape(-1, self.task.cells)
        rows, mass, squares = (parts[which if self.task.weighted else 0] for which in range(3))
        unit = WEIGHT_UNIT if self.task.weighted else 1.0
        return WeighedCells(rows, mass * unit, squares * unit)

    def _count(self, places: Ints, weights: Floats | None) -> None:
        """Count rows in their cells, weights as `_weighed` returns them."""
        size = self.task.cells
        self.cells[:size] += np.bincount(places, minlength=size)
        if weights is not None:
            units = np.rint(weights / WEIGHT_UNIT).astype(np.int64)
            squares = np.rint(weights**2 / WEIGHT_UNIT).astype(np.int64)
            np.add.at(self.cells, places + size, units)
            np.add.at(self.cells, places + 2 * size, squares)

    def _sum(self, added: list[int]) -> None:
        self.sums = [one + two for one, two in zip(self.sums, added, strict=True)]

    def _weighed(self, weights: ArrayLike | None, rows: int) -> tuple[Floats | None, Bools]:
        """Return weights as they are counted, and bool[n] saying which are usable; None where the task has none.

        A weight is 0, or between 0.01 and 100; it is rounded to a multiple of 2⁻²⁴.
        """
        if not self.task.weighted:
            if weights is not None:
                raise ValueError("these counts have no weights: make them of a task with weighted=True")
            return None, np.ones(rows, np.bool_)
        if weights is None:
            return np.ones(rows), np.ones(rows, np.bool_)
        given = column(weights, rows, "weights")
        with np.errstate(invalid="ignore"):
            usable = (given == 0) | ((given >= LEAST_WEIGHT) & (given <= MOST_WEIGHT))
        return np.rint(np.where(usable, given, 0.0) / WEIGHT_UNIT) * WEIGHT_UNIT, usable

    def _refuse(self, causes: list[Bools]) -> Bools:
        """Count each row under the first reason that holds, in the order of `REASONS`; return bool[n]: none holds."""
        free = np.ones(causes[0].size, np.bool_)
        for at, cause in enumerate(causes):
            self.refused[at] += np.count_nonzero(cause & free)
            free &= ~cause
        return free


def column(values: ArrayLike, rows: int | None, name: str) -> Floats:
    """Return numbers as float64[n], singles as the decimals that they are written as, and NaN for None.

    Raises ValueError for another shape, and for what is no number or boolean.
    """
    found = np.asarray(values)
    if found.dtype.kind == "O" and found.ndim == 1 and not any(isinstance(value, str) for value in found.tolist()):
        found = as_floats(found)
    if found.ndim != 1 or found.dtype.kind not in "biuf" or rows not in {None, found.size}:
        many = "" if rows is None else f" as long as the labels, {rows}"
        raise ValueError(f"{name} must be one column of numbers{many}, not {found.dtype} of shape {found.shape}")
    return as_written(found)
