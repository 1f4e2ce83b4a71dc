"""Results as people look at them: a sequence of values that is a table on the screen, in a notebook and in a data frame."""

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from types import MappingProxyType
from typing import Any, ClassVar, Generic, TypeVar, overload

import numpy as np

from detectors.scores import DriftScore
from detectors.tables import Library

T = TypeVar("T")
SHOWN = 60  # rows of a table on the screen; the rest is counted
DIGITS = 4


class Results(Sequence[T], Generic[T]):
    """Some values of one kind, each a row. They do not change.

    `library` is that of the data they were made of: pandas, polars or pyarrow; None for a dictionary of arrays.
    """

    kinds: ClassVar[Mapping[str, type]]  # of each column: str, int, float or np.datetime64, the last three with None

    def __init__(self, values: Iterable[T] = (), library: Library | None = None) -> None:
        self.values = tuple(values)
        self.library = library

    @abstractmethod
    def row(self, value: T) -> tuple[object, ...]:
        """Return what a value says in each column."""

    @overload
    def __getitem__(self, place: int) -> T: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[T]: ...
    def __getitem__(self, place: int | slice) -> T | Sequence[T]:
        return self.values[place]

    def __len__(self) -> int:
        return len(self.values)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self.values == tuple(other)

    def __hash__(self) -> int:
        return hash(self.values)

    def to_frame(self, library: Library | None = None) -> Any:
        """Return a table of one row a value; times in it are UTC, without a zone.

        Args:
            library: pandas, polars or pyarrow. Absent: the library of the data, or a dictionary of lists where the data
                were a dictionary.

        Raises:
            ModuleNotFoundError: The library is not installed.
        """
        rows = [self.row(value) for value in self.values]
        columns = {name: [row[at] for row in rows] for at, name in enumerate(self.kinds)}
        wanted = library or self.library
        if wanted is None:
            return columns
        import narwhals.stable.v2 as nw

        dtypes: dict[type, Any] = {str: nw.String, int: nw.Int64, float: nw.Float64, np.datetime64: nw.Datetime("ns")}
        times = {
            name: np.array(columns[name], "datetime64[ns]")
            for name, kind in self.kinds.items()
            if kind is np.datetime64
        }
        schema = {name: dtypes[kind] for name, kind in self.kinds.items()}
        return nw.from_dict(columns | times, schema=schema, backend=wanted).to_native()

    def __repr__(self) -> str:
        lines = [list(self.kinds), *self._shown()]
        widths = [max(len(line[at]) for line in lines) for at in range(len(self.kinds))]
        signs = ["<" if kind is str else ">" for kind in self.kinds.values()]
        padded = (
            "  ".join(f"{text:{sign}{width}}" for text, sign, width in zip(line, signs, widths, strict=True)).rstrip()
            for line in lines
        )
        return "\n".join([*padded, *self._more()])

    def _repr_html_(self) -> str:
        """Return the same for a notebook."""
        head = "".join(f"<th>{escape(name)}</th>" for name in self.kinds)
        body = "".join(f"<tr>{''.join(f'<td>{escape(text)}</td>' for text in line)}</tr>" for line in self._shown())
        more = "".join(f"<p>{text}</p>" for text in self._more())
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"

    def _shown(self) -> list[list[str]]:
        return [[shown(field) for field in self.row(value)] for value in self.values[:SHOWN]]

    def _more(self) -> list[str]:
        if not self.values:
            return ["(none)"]
        return [f"… {len(self) - SHOWN:,} more"] if len(self) > SHOWN else []


class Scores(Results[DriftScore]):
    """The scores of some detectors over some features.

    In a table `value` is the score, larger is further; `–` stands where too few rows were usable, or there is no p-value.

    >>> scores = Scores([DriftScore("age", "ks", 0.12, 500, 0.003), DriftScore("plan", "psi", None, 3)])
    >>> scores
    feature  detector  value  pvalue  rows
    age      ks         0.12   0.003   500
    plan     psi           –       –     3
    >>> scores["age", "ks"].statistic, scores["age"].rows
    (0.12, 500)
    """

    kinds = MappingProxyType({"feature": str, "detector": str, "value": float, "pvalue": float, "rows": int})

    @overload
    def __getitem__(self, place: int | str | tuple[str, str]) -> DriftScore: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[DriftScore]: ...
    def __getitem__(self, place: int | str | tuple[str, str] | slice) -> DriftScore | Sequence[DriftScore]:
        """Return a score by its place, by its feature and detector, or by its feature where that has only one.

        Raises:
            KeyError: No detector, or several, scored the feature.
        """
        if isinstance(place, int | slice):
            return self.values[place]
        feature, detector = (place, None) if isinstance(place, str) else place
        found = [score for score in self.values if score.feature == feature and detector in {None, score.detector}]
        if len(found) == 1:
            return found[0]
        if found:
            raise KeyError(f"{feature} is scored by {', '.join(score.detector for score in found)}: name one of them")
        features = ", ".join(dict.fromkeys(score.feature for score in self.values))
        raise KeyError(f"there is no score of {feature}{f' by {detector}' if detector else ''}; there is {features}")

    def row(self, value: DriftScore) -> tuple[object, ...]:
        """Return feature, detector, value, p-value and rows."""
        return value.feature, value.detector, value.value, value.pvalue, value.rows

    def to_dict(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Return value, p-value, rows and details by feature and detector, as JSON takes it.

        >>> Scores([DriftScore("age", "ks", 0.12, 500)]).to_dict()
        {'age': {'ks': {'value': 0.12, 'pvalue': None, 'rows': 500}}}
        """
        found: dict[str, dict[str, dict[str, Any]]] = {}
        for score in self.values:
            about = {"value": score.value, "pvalue": score.pvalue, "rows": score.rows, **score.details}
            found.setdefault(score.feature, {})[score.detector] = about
        return found


def shown(value: object) -> str:
    """Return a value as a table shows it.

    >>> [shown(value) for value in (0.123456, None, 5000, np.datetime64("2025-11-23T00:05:00", "ns"))]
    ['0.1235', '–', '5000', '2025-11-23 00:05:00']
    """
    match value:
        case None:
            return "–"
        case np.datetime64():
            return "–" if np.isnat(value) else str(value.astype("datetime64[s]")).replace("T", " ")
        case float():
            return f"{value:.{DIGITS}g}"
        case _:
            return str(value)
