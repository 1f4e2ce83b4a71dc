"""Changes planted into recorded events, to see how long they take to be found."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from detectors import CategoricalFeature, NumericFeature, Reference
from monitor.series.series import SeriesSpec
from monitor.sources.formats.columns import CategoryTable
from monitor.sources.formats.values import LATEST_NANOS, Rejected, parse_time
from monitor.stream.events import EventBatch, Nanos, Newcomer, SeriesKey

KINDS = ("shift", "scale", "times", "missing", "constant", "category", "swap")
FORM = re.compile(rf"(?P<where>.+):(?P<kind>{'|'.join(KINDS)})=(?P<value>.+)@(?P<when>[^@]+)")
USAGE = "[MODEL/]FEATURE:CHANGE@TIME[..UNTIL], where CHANGE is shift=0.5sd, scale=1.25, times=100, missing=5%, constant=-1, category=NAME:8% or swap=OTHER"
PERCENT = 100

Draw = Callable[[int], NDArray[np.float64]]
Edit = Callable[[NDArray[np.float64], NDArray[np.int32], Draw], None]
"""Changes rows in place: numeric float64[n, k], codes int32[n, c]; `Draw` gives so many numbers from [0, 1)."""


class InjectError(ValueError):
    """An --inject that cannot be meant: one line that says why."""


@dataclass(slots=True)
class Plant:
    """One planted change. `features` are those it touches, the one named first; `rows` counts the events changed."""

    text: str
    key: SeriesKey
    features: tuple[str, ...]
    at: Nanos
    until: Nanos | None
    change: Edit
    newcomer: tuple[int, str] | None = None  # column and text of a category that the reference does not know
    rows: int = 0
    _rng: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        self._rng = np.random.default_rng(crc32(self.text.encode()))  # the same change on the same events, always

    def into(self, batch: EventBatch) -> EventBatch:
        """The batch with the change in the events that it concerns."""
        concerned = self._concerned(batch)
        count = int(np.count_nonzero(concerned))
        if not count:
            return batch
        self.rows += count
        numeric, codes = batch.numeric.copy(), batch.codes.copy()
        changed_numeric, changed_codes = numeric[concerned], codes[concerned]
        self.change(changed_numeric, changed_codes, self._rng.random)
        numeric[concerned], codes[concerned] = changed_numeric, changed_codes
        return replace(batch, numeric=numeric, codes=codes)

    def named_in(self, batch: EventBatch) -> EventBatch:
        """The batch with the name of the category that it got by the change, if it got one."""
        if self.newcomer is None or not len(times := batch.event_times[self._concerned(batch)]):
            return batch
        return replace(batch, newcomers=(*batch.newcomers, Newcomer(*self.newcomer, int(times[0]))))

    def _concerned(self, batch: EventBatch) -> NDArray[np.bool_]:
        if batch.key != self.key:
            return np.zeros(len(batch), dtype=np.bool_)
        until = LATEST_NANOS if self.until is None else self.until
        return np.asarray((batch.event_times >= self.at) & (batch.event_times < until))


def parse_plants(texts: Sequence[str], specs: Sequence[SeriesSpec]) -> list[Plant]:
    """`--inject` as planted changes. Raises InjectError."""
    return [_parse(text, specs) for text in texts]


def _parse(text: str, specs: Sequence[SeriesSpec]) -> Plant:
    found = FORM.fullmatch(text)
    if found is None:
        raise InjectError(f"--inject {text}: is not {USAGE}")
    try:
        spec, feature = _where(found["where"], specs)
        at, until = _when(found["when"])
        features, change = _change(spec.reference, feature, found["kind"], found["value"])
        newcomer = _newcomer(spec.reference, feature, found["kind"], found["value"])
    except InjectError as error:
        raise InjectError(f"--inject {text}: {error}") from None
    return Plant(text, spec.key, features, at, until, change, newcomer)


def _where(text: str, specs: Sequence[SeriesSpec]) -> tuple[SeriesSpec, str]:
    """The series and feature that are meant: FEATURE, MODEL/FEATURE or MODEL/VERSION/FEATURE; names may hold slashes."""
    known = [(spec, name) for spec in specs for name in spec.reference.names]
    meant = [
        (spec, name)
        for spec, name in known
        if text in {name, f"{spec.key.model}/{name}", f"{spec.key.model}/{spec.key.version}/{name}"}
    ]
    if len(meant) == 1:
        return meant[0]
    if meant:
        raise InjectError(f"{text} may be {' or '.join(f'{spec.key}/{name}' for spec, name in meant[:5])}: say which")
    names = ", ".join(dict.fromkeys(name for _, name in known[:50]))
    raise InjectError(f"no model has a feature {text}; there is {names}")


def _when(text: str) -> tuple[Nanos, Nanos | None]:
    first, separator, last = text.partition("..")
    at, until = _time(first), _time(last) if separator else None
    if until is not None and until <= at:
        raise InjectError(f"{last} is not after {first}")
    return at, until


def _time(text: str) -> Nanos:
    try:
        return parse_time(text)
    except Rejected:
        raise InjectError(f"{text!r} is no time such as 2026-11-01 or 2026-11-01T12:00:00Z") from None


# --- what is changed ------------------------------------------------------------------------------------------------


def _change(reference: Reference, feature: str, kind: str, value: str) -> tuple[tuple[str, ...], Edit]:
    match kind:
        case "swap":
            return (feature, value), _swap(reference, feature, value)
        case "missing":
            return (feature,), _missing(reference, feature, _share(value))
        case "constant":
            return (feature,), _constant(reference, feature, value)
        case "category":
            return (feature,), _category(reference, feature, value)
        case _:
            return (feature,), _moved(reference, feature, kind, value)


def _moved(reference: Reference, feature: str, kind: str, value: str) -> Edit:
    """Numbers moved: by standard deviations of the reference, spread about its mean, or multiplied."""
    one = reference.features[feature]
    if not isinstance(one, NumericFeature):
        raise InjectError(f"{feature} is categorical; {kind} is for numbers, category=NAME:8% is not")
    if kind == "shift" and not value.endswith("sd"):
        raise InjectError(f"shift={value}: say how many standard deviations, as in shift=0.5sd")
    if kind == "shift" and not one.std:
        held = "one value only" if one.count else "no value"
        raise InjectError(f"{feature} has {held} in the reference, so no standard deviation; constant=-1 sets a value")
    size, at = _number(value.removesuffix("sd") if kind == "shift" else value), reference.grid.numeric.index(one)
    factor, offset = {
        "shift": (1.0, size * one.std),
        "scale": (size, one.mean * (1 - size)),
        "times": (size, 0.0),
    }[kind]

    def change(numeric: NDArray[np.float64], _codes: NDArray[np.int32], _draw: Draw) -> None:
        with np.errstate(over="ignore"):  # then it is infinite, and counted as such
            numeric[:, at] = numeric[:, at] * factor + offset

    return change


def _missing(reference: Reference, feature: str, share: float) -> Edit:
    """A share of the events without a value, beside those that have none anyway."""
    return _put(reference, feature, np.nan, lambda table: table.missing, share)


def _constant(reference: Reference, feature: str, value: str) -> Edit:
    """Every event with the same value."""
    number = _number(value) if isinstance(reference.features[feature], NumericFeature) else 0.0
    return _put(reference, feature, number, lambda table: table[value], 1.0)


def _category(reference: Reference, feature: str, value: str) -> Edit:
    """A share of the events in one category, known or not."""
    name, _, share = value.rpartition(":")
    if not name:
        raise InjectError(f"category={value}: must be category=NAME:8%")
    if not isinstance(reference.features[feature], CategoricalFeature):
        raise InjectError(f"{feature} is numeric; category is for categories, shift=0.5sd is not")
    return _put(reference, feature, np.nan, lambda table: table[name], _share(share))


def _put(reference: Reference, feature: str, number: float, code: Callable[[CategoryTable], int], share: float) -> Edit:
    """One value put into a share of the events: a number, or the code that a category's table has for it."""
    one = reference.features[feature]
    if isinstance(one, NumericFeature):
        at = reference.grid.numeric.index(one)

        def change(numeric: NDArray[np.float64], _codes: NDArray[np.int32], draw: Draw) -> None:
            numeric[draw(len(numeric)) < share, at] = number

        return change
    column, put = reference.grid.categorical.index(one), code(CategoryTable(one.categories))

    def recode(_numeric: NDArray[np.float64], codes: NDArray[np.int32], draw: Draw) -> None:
        codes[draw(len(codes)) < share, column] = put

    return recode


def _newcomer(reference: Reference, feature: str, kind: str, value: str) -> tuple[int, str] | None:
    """The column and name of a category that a change brings and the reference does not know."""
    one, name = reference.features[feature], value.rpartition(":")[0] if kind == "category" else value
    if kind not in {"category", "constant"} or not isinstance(one, CategoricalFeature) or name in one.categories:
        return None
    return reference.grid.categorical.index(one), name


def _swap(reference: Reference, feature: str, other: str) -> Edit:
    """Two features with each other's values."""
    one, two = reference.features[feature], reference.features.get(other)
    if two is None or two is one:
        raise InjectError(f"swap={other}: is no other feature; there is {', '.join(reference.names[:50])}")
    if isinstance(one, NumericFeature) and isinstance(two, NumericFeature):
        pair = [reference.grid.numeric.index(one), reference.grid.numeric.index(two)]

        def change(numeric: NDArray[np.float64], _codes: NDArray[np.int32], _draw: Draw) -> None:
            numeric[:, pair] = numeric[:, pair[::-1]]

        return change
    if isinstance(one, CategoricalFeature) and isinstance(two, CategoricalFeature):
        return _swap_codes(reference, one, two)
    raise InjectError(f"swap={other}: {feature} is {one.kind}, {other} is {two.kind}; both must be of one kind")


def _swap_codes(reference: Reference, one: CategoricalFeature, two: CategoricalFeature) -> Edit:
    """Codes say different things in two features: each is put into the words of the other."""
    at, other = reference.grid.categorical.index(one), reference.grid.categorical.index(two)
    there, here = _translation(one, two), _translation(two, one)

    def change(_numeric: NDArray[np.float64], codes: NDArray[np.int32], _draw: Draw) -> None:
        codes[:, at], codes[:, other] = here[codes[:, other]], there[codes[:, at]]

    return change


def _translation(one: CategoricalFeature, two: CategoricalFeature) -> NDArray[np.int32]:
    """The codes of `two` for those of `one`, unseen and missing last."""
    known: Mapping[str, int] = {name: code for code, name in enumerate(two.categories)}
    unseen = len(known)
    return np.array([*(known.get(name, unseen) for name in one.categories), unseen, unseen + 1], dtype=np.int32)


def _number(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = np.nan
    if not np.isfinite(found):
        raise InjectError(f"{text!r} is no number")
    return found


def _share(text: str) -> float:
    share = _number(text.removesuffix("%")) / PERCENT if text.endswith("%") else -1.0
    if not 0 < share <= 1:
        raise InjectError(f"{text!r} is no share such as 5%")
    return share
