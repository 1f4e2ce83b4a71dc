"""Scores of classes, an object or a list in each row, as numbers by class; what stands there and gives none is counted.

An object is read as columns, a key each: a key that is another spelling of a class (`1.0` of 1) is that class. Rows of which no column has
anything are read again, many at once: they may hold a list.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from itertools import chain
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from detectors.features import Floats
from detectors.spellings import coded
from monitor.sources.formats.base import SeriesRows
from monitor.sources.formats.fields import Path, SeriesFields
from monitor.sources.formats.values import number, unusable

OF_CLASS: Final = "__score__ "  # before the key of a column of scores
INVALID: Final = "scores_invalid"
SUM: Final = "scores_sum"
NEAR_ONE: Final = 0.01  # rounded to two decimals, say
NUMBERS: Final = frozenset({int, float, type(None)})
Columns = tuple[tuple[str, Path], ...]


def score_columns(classes: Sequence[str], path: Path) -> tuple[Columns, Columns]:
    """The columns of scores: one a class, and one for each other key that says the same."""
    own = tuple((f"{OF_CLASS}{name}", (*path, name)) for name in classes)
    others = [key for key in coded(classes) if key not in set(classes)]
    return own, tuple((f"{OF_CLASS}{key}", (*path, key)) for key in others)


def is_score(name: str) -> bool:
    """Whether a column holds scores of a class."""
    return name.startswith(OF_CLASS)


def score_places(series: SeriesFields, names: Collection[str]) -> list[Path]:
    """Where a table with these columns has scores, or should have: of each class its column, however spelled; or one of lists."""
    if series.joined is None or not series.joined.classes:
        return []
    places = dict(series.numeric[series.own[0] :])
    codes, path = coded(series.joined.classes), series.fields.scores
    there = {
        codes[name.removeprefix(OF_CLASS)]: place
        for name, place in reversed(places.items())
        if is_score(name) and ".".join(place) in names
    }
    if not there:
        return [path]
    return [there.get(code, (*path, name)) for code, name in enumerate(series.joined.classes)]


class ClassScores:
    """Where the scores of a series stand. `listed`: a list of them has the order of the classes."""

    def __init__(self, series: SeriesFields, classes: Sequence[str], *, listed: bool) -> None:
        codes = coded(classes)
        numeric = enumerate(series.numeric[series.own[0] :], start=series.own[0])
        keys = [(at, name.removeprefix(OF_CLASS)) for at, (name, _) in numeric if is_score(name)]
        self._own = {codes[key]: at for at, key in keys if key in classes}
        self._others = [(codes[key], at) for at, key in keys if key not in classes]
        self._path, self._listed = series.fields.scores, listed

    def of(self, part: SeriesRows, fields: Counter[str]) -> Floats:
        """The scores of each row by class, float64[n, K], NaN where there is none. Why rows have none is counted among the `fields`, once a row."""
        scores = part.numeric[:, [self._own[code] for code in range(len(self._own))]]
        absent_cells = int(np.count_nonzero(np.isnan(scores) & ~unusable(scores)))  # each was counted as missing
        invalid = 0
        for code, at in self._others:
            absent = np.isnan(scores[:, code])
            scores[absent, code] = part.numeric[absent, at]
        without = np.flatnonzero(np.isnan(scores).all(axis=1))
        if without.size:
            held = self._as_they_came(part, without)
            found, invalid = scores_in(held, scores.shape[1] if self._listed else 0)
            if found is not None:
                scores[without] = found
            if invalid:
                fields[INVALID] += invalid
        nowhere = int(np.isnan(scores).all(axis=1).sum()) - invalid
        if nowhere != absent_cells:
            fields["missing"] = max(0, fields["missing"] + nowhere - absent_cells)
        scores = np.where(np.isinf(scores), np.nan, scores)
        if odd := int(np.count_nonzero(_sum_to_something_else(scores))):
            fields[SUM] += odd
        return np.asarray(scores)

    def _as_they_came(self, part: SeriesRows, rows: NDArray[np.intp]) -> list[Any]:
        if part.reread is None:
            return [part.look(row, [self._path])[0] for row in rows.tolist()]
        column = part.reread(rows, [self._path]).column(self._path)
        return [None] * len(rows) if column is None else column.tolist()


def scores_in(held: Sequence[Any], classes: int) -> tuple[Floats | None, int]:
    """The scores that lists of so many hold, float64[n, classes] with NaN for none, None where no row has a list; and how many rows hold something else.

    >>> scores_in([[0.2, 0.8], None, [1], {"no class": 1}], 2)
    (array([[0.2, 0.8],
           [nan, nan],
           [nan, nan],
           [nan, nan]]), 2)
    """
    lists = [each.tolist() if isinstance(each, np.ndarray) else each for each in held]
    places = [at for at, each in enumerate(lists) if isinstance(each, list) and len(each) == classes > 0]
    there = sum(each is not None and each == each for each in lists)  # noqa: PLR0124 - NaN is nothing
    if not places:
        return None, there
    scores = np.full((len(lists), classes), np.nan)
    scores[places] = _numbers([lists[at] for at in places])
    nothing = int(np.isnan(scores[places]).all(axis=1).sum())
    return scores, there - len(places) + nothing


def _sum_to_something_else(scores: Floats) -> NDArray[np.bool_]:
    """Rows whose scores look like probabilities, all there and from 0 to 1, and do not add up to one, bool[n]."""
    likely = ((scores >= 0) & (scores <= 1)).all(axis=1)  # NaN is neither
    return np.asarray(likely & (np.abs(scores.sum(axis=1) - 1) > NEAR_ONE))


def _numbers(lists: Sequence[list[Any]]) -> Floats:
    """Lists of one length as numbers; what is none is NaN."""
    if set(map(type, chain.from_iterable(lists))) <= NUMBERS:
        try:
            return np.array(lists, dtype=np.float64)
        except OverflowError:  # a whole number beyond all floats
            pass
    return np.array([[number(each, Counter()) for each in held] for held in lists], dtype=np.float64)


def scores_explained(series: SeriesFields, row: Mapping[Path, object]) -> tuple[int, str | None]:
    """How many classes of one row have a score, and why none has."""
    joined, path = series.joined, series.fields.scores
    assert joined is not None
    codes = coded(joined.classes)
    keys = [(codes[name.removeprefix(OF_CLASS)], at) for name, at in series.numeric[series.own[0] :] if is_score(name)]
    found = {code for code, at in keys if np.isfinite(number(row.get(at), Counter()))}
    if found:
        return len(found), None
    held = row.get(path)
    scores, invalid = scores_in([held], len(joined.classes) if joined.listed else 0)
    if scores is not None and not invalid:
        return int(np.isfinite(scores).sum()), None
    there = invalid or any(other[: len(path)] == path for other in row if other != path)
    return 0, INVALID if there else "missing"
