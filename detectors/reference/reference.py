"""What a model's data looked like when all was well: frozen bins and categories, and the counts on them."""

import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from detectors.baseline import Baseline
from detectors.calibration.calibration import Calibration
from detectors.columns import as_columns
from detectors.features import Floats, Kind
from detectors.layout import Layout
from detectors.plugins import window_detectors
from detectors.reference import file as serial
from detectors.reference import fit as fitting
from detectors.reference.file import ReferenceFormatError
from detectors.scores import DriftScore
from detectors.sketches import Sketch

TIMES = "__timestamps__"  # the column of event times, where they are handed over beside the data


def _created_by() -> str:
    try:
        return f"driftd {metadata.version('driftd')}"
    except metadata.PackageNotFoundError:
        return "driftd"


@dataclass(frozen=True, eq=False)
class Reference(Baseline):
    """The profile of a reference data set; it holds no row of it.

    `period` is the first and last event time in nanoseconds, `rows_per_second` the usual traffic, both None when no
    timestamps were given. `calibration` is what its own windows teach; None where there were no timestamps, no window, or
    too few windows, and then `cold` says which. Two references are the same when `hash` is.

    >>> reference = Reference.fit({"age": [20, 30, 40, 50], "plan": ["pro", "free", "free", None]})
    >>> reference.names
    ('age', 'plan')
    >>> [score.value for score in reference.compare({"age": [20, 30], "plan": ["pro", "new"]}, min_rows=3)][:2]
    [None, None]
    """

    period: tuple[int, int] | None = None
    rows_per_second: float | None = None
    calibration: Calibration | None = None
    cold: str = ""
    created_by: str = ""

    @classmethod
    def fit(
        cls,
        data: Mapping[str, ArrayLike],
        *,
        kinds: Mapping[str, Kind | str] | None = None,
        prediction: str | None = None,
        timestamps: ArrayLike | None = None,
        window_ns: int | None = None,
    ) -> Self:
        """Profile columns of one length: numbers are numeric, text and booleans categorical, unless `kinds` says so.

        The column named by `prediction` becomes `__prediction__`. With `timestamps`, int64[n] nanoseconds or datetime64[n],
        and `window_ns`, it also learns the calibration. Raises ValueError for no column, no row, columns of unequal length
        and an unknown kind.
        """
        if timestamps is not None:
            if TIMES in data:
                raise ValueError(f"there is a column {TIMES} beside the timestamps")
            data = {**data, TIMES: timestamps}
        timestamp = None if timestamps is None else TIMES
        return cls.fit_chunks(
            lambda: [data], kinds=kinds, prediction=prediction, timestamp=timestamp, window_ns=window_ns
        )

    @classmethod
    def fit_chunks(
        cls,
        chunks: Callable[[], Iterable[Mapping[str, ArrayLike]]],
        *,
        kinds: Mapping[str, Kind | str] | None = None,
        prediction: str | None = None,
        timestamp: str | None = None,
        window_ns: int | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> Self:
        """Profile any number of rows in bounded memory: `chunks` is called twice and must give the same rows.

        A kind is inferred from the first chunk in which the column has a value. Edges come from a sample of 131 072
        values a column (all of them when fewer), counts are exact. `timestamp` names a column of int64 nanoseconds;
        with `window_ns` it also gives the usual traffic and the calibration, for which up to 64 bytes a feature are held of
        each of the last eight weeks' windows, or thousand. `progress` hears the rows read so far, both passes together.
        Raises ValueError as `fit` does, and when the two passes see different numbers of rows.
        """
        fitted = fitting.fit(
            chunks, kinds=kinds, prediction=prediction, timestamp=timestamp, window_ns=window_ns, progress=progress
        )
        return cls(
            **fitted.baseline.parts(),
            period=fitted.period,
            rows_per_second=fitted.rows_per_second,
            calibration=fitted.calibration,
            cold=fitted.cold,
            created_by=_created_by(),
        )

    @cached_property
    def hash(self) -> str:
        """Sixteen hexadecimal digits of the SHA-256 of all content but `created_by` and `cold`."""
        learnt = None if self.calibration is None else self.calibration.to_dict()
        return serial.content_hash(self._head(), list(self.features.values()), learnt)

    def encode(self, data: Mapping[str, ArrayLike]) -> tuple[Floats, NDArray[np.int32]]:
        """Return numeric float64[n, k] and codes int32[n, c] for `Sketch.update`; absent columns are all missing."""
        return fitting.encode(self.layout, as_columns(data))

    def compare(self, data: Mapping[str, ArrayLike] | Sketch, *, min_rows: int = 1) -> list[DriftScore]:
        """Return the scores of every window detector. Raises LayoutMismatchError for a sketch on another layout."""
        if isinstance(data, Sketch):
            window = data
        else:
            window = Sketch.empty(self.layout)
            window.update(*self.encode(data))
        return [
            score
            for detector in window_detectors().values()
            for score in detector.score(self, window, min_rows=min_rows)
        ]

    def select(self, names: Iterable[str]) -> "Reference":
        """Return a reference of these features only. Raises ValueError for an unknown name, and for none at all."""
        wanted = set(names)
        unknown = sorted(wanted - set(self.names))
        if unknown:
            raise ValueError(f"the reference has no feature {unknown[0]}; it has {', '.join(self.names)}")
        if not wanted:
            raise ValueError("a reference needs at least one feature")
        kept = Baseline.of([feature for feature in self.features.values() if feature.name in wanted], self.rows)
        calibration = None if self.calibration is None else self.calibration.select(wanted, kept.layout)
        return replace(self, **kept.parts(), calibration=calibration)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form, `driftd.reference/1`; exact, since floats are written by repr."""
        return {
            **self._head(),
            "created_by": self.created_by,
            "calibration": None if self.calibration is None else self.calibration.to_dict(),
            **({"cold": self.cold} if self.cold else {}),
            "features": [serial.feature_to_dict(feature) for feature in self.features.values()],
        }

    def _head(self) -> dict[str, Any]:
        return {
            "format": f"{serial.FAMILY}{serial.VERSION}",
            "rows": self.rows,
            "period": None if self.period is None else list(self.period),
            "rows_per_second": self.rows_per_second,
            "calibration": None,
        }

    @classmethod
    def from_dict(cls, content: Any) -> Self:
        """Read the JSON form. Raises ReferenceFormatError saying in one line what is wrong."""
        where = "the reference"
        raw = serial.typed(content, dict, where)
        serial.check_format(serial.get(raw, "format", where))
        rows = serial.integer(serial.get(raw, "rows", where), "rows")
        if rows < 1:
            raise ReferenceFormatError(f"rows is {rows}; a reference has at least one")
        try:
            kept = Baseline.of(serial.features_from(serial.get(raw, "features", where), rows), rows)
        except ReferenceFormatError:
            raise
        except ValueError as error:
            raise ReferenceFormatError(str(error)) from error
        return cls(
            **kept.parts(),
            period=_period(raw.get("period")),
            rows_per_second=_rate(raw.get("rows_per_second")),
            calibration=_calibration(raw.get("calibration"), kept.layout),
            cold=serial.typed(raw.get("cold", ""), str, "cold"),
            created_by=serial.typed(raw.get("created_by", ""), str, "created_by"),
        )

    def save(self, path: str | Path) -> None:
        """Write the JSON file, whole or not at all."""
        path = Path(path)
        text = json.dumps(self.to_dict()) + "\n"
        if path.exists() and not path.is_file():  # a pipe or a device cannot be replaced
            path.write_text(text, encoding="ascii")
            return
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            beside.write_text(text, encoding="ascii")
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read the JSON file. Raises ReferenceFormatError for bad content, OSError for a file that cannot be read."""
        return cls.from_dict(serial.parse(Path(path).read_bytes()))


def _calibration(content: Any, layout: Layout) -> Calibration | None:
    if content is None:
        return None
    try:
        return Calibration.from_dict(serial.typed(content, dict, "calibration"), layout)
    except ValueError as error:
        raise ReferenceFormatError(str(error)) from error


def _period(content: Any) -> tuple[int, int] | None:
    if content is None:
        return None
    if len(serial.typed(content, list, "period")) != 2:  # noqa: PLR2004 - first and last
        raise ReferenceFormatError("period is no list of first and last event time")
    first, last = (serial.integer(value, "period") for value in content)
    if first > last:
        raise ReferenceFormatError(f"period ends at {last}, before it begins at {first}")
    return first, last


def _rate(content: Any) -> float | None:
    rate = None if content is None else serial.number(content, "rows_per_second")
    if rate is not None and rate <= 0:
        raise ReferenceFormatError(f"rows_per_second is {rate}, which is not above zero")
    return rate
