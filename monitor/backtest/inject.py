"""Changes planted into recorded events, to see how long they take to be found."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from detectors import CategoricalFeature, NumericFeature, Reference
from detectors.encoding import PREDICTION
from monitor.series.series import SeriesSpec
from monitor.series.truth import MULTICLASS
from monitor.sources.decode.joining import meanings
from monitor.sources.formats.categories import CategoryTable
from monitor.sources.formats.values import LATEST_NANOS, Rejected, parse_time
from monitor.stream.events import EventBatch, JoinBatch, Nanos, SeriesKey, UnseenCategory

KINDS = ("shift", "scale", "times", "missing", "constant", "category", "swap")
FORM = re.compile(rf"(?P<where>.+):(?P<kind>{'|'.join(KINDS)})=(?P<value>.+)@(?P<when>[^@]+)")
USAGE = "[MODEL/]FEATURE:CHANGE@TIME[..UNTIL], where CHANGE is shift=0.5sd, scale=1.25, times=100, missing=5%, constant=-1, category=NAME:8% or swap=OTHER"
PERCENT = 100

Draw = Callable[[int], NDArray[np.float64]]
Edit = Callable[[NDArray[np.float64], NDArray[np.int32], Draw], None]
"""Changes rows in place: numeric float64[n, k], codes int32[n, c]; `Draw` gives so many numbers from [0, 1)."""
Remade = Callable[[NDArray[np.float64], Draw], NDArray[np.float64]]
"""Predictions float64[n] that wait for labels, as a change makes them."""


class InjectError(ValueError):
    """An --inject that cannot be meant: one line that says why."""


@dataclass(slots=True)
class Plant:
    """One planted change. `features` are those it touches, the one named first; `rows` counts the events changed.

    `remade` is what it makes of predictions that wait for labels; None: it leaves them, or cannot say it of them alone. A share of them is
    another draw than that of the events.
    """

    text: str
    key: SeriesKey
    features: tuple[str, ...]
    at: Nanos
    until: Nanos | None
    change: Edit
    unseen_category: tuple[int, str] | None = None  # column and text of a category that the reference does not know
    rows: int = 0
    remade: Remade | None = None
    _rng: np.random.Generator = field(init=False)
    _joined: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        self._rng = np.random.default_rng(crc32(self.text.encode()))  # the same change on the same events, always
        self._joined = np.random.default_rng(crc32(self.text.encode()))

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

    def joined(self, batch: JoinBatch) -> JoinBatch:
        """What is joined with labels, with the change in the predictions that it concerns."""
        if self.remade is None or batch.key != self.key:
            return batch
        concerned = self._within(batch.predictions["time"])
        predictions = batch.predictions.copy()
        predictions["value"][concerned] = self.remade(predictions["value"][concerned], self._joined.random)
        return replace(batch, predictions=predictions)

    @property
    def unjoined(self) -> bool:
        """Whether predictions change that wait for labels unchanged."""
        return PREDICTION in self.features and self.remade is None

    def named_in(self, batch: EventBatch) -> EventBatch:
        """The batch with the name of the category that it got by the change, if it got one."""
        if self.unseen_category is None or not len(times := batch.event_times[self._concerned(batch)]):
            return batch
        return replace(
            batch, unseen_categories=(*batch.unseen_categories, UnseenCategory(*self.unseen_category, int(times[0])))
        )

    def _concerned(self, batch: EventBatch) -> NDArray[np.bool_]:
        if batch.key != self.key:
            return np.zeros(len(batch), dtype=np.bool_)
        return self._within(batch.event_times)

    def _within(self, times: NDArray[np.int64]) -> NDArray[np.bool_]:
        until = LATEST_NANOS if self.until is None else self.until
        return np.asarray((times >= self.at) & (times < until))


def parse_plants(texts: Sequence[str], specs: Sequence[SeriesSpec]) -> list[Plant]:
    """`--inject` as planted changes. Raises InjectError."""
    return [_parse(text, specs) for text in texts]


def _parse(text: str, specs: Sequence[SeriesSpec]) -> Plant:
    parts = FORM.fullmatch(text)
    if parts is None:
        raise InjectError(f"--inject {text}: is not {USAGE}")
    try:
        spec, feature = _where(parts["where"], specs)
        begins, ends = _when(parts["when"])
        features, change = _change(spec.reference, feature, parts["kind"], parts["value"])
        unseen_category = _unseen_category(spec.reference, feature, parts["kind"], parts["value"])
    except InjectError as error:
        raise InjectError(f"--inject {text}: {error}") from None
    remade = remaking(spec, features, change)
    return Plant(text, spec.key, features, begins, ends, change, unseen_category, remade=remade)


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
    begins, ends = _time(first), _time(last) if separator else None
    if ends is not None and ends <= begins:
        raise InjectError(f"{last} is not after {first}")
    return begins, ends


def _time(text: str) -> Nanos:
    try:
        return parse_time(text)
    except Rejected:
        raise InjectError(f"{text!r} is no time such as 2026-11-01 or 2026-11-01T12:00:00Z") from None


def remaking(spec: SeriesSpec, features: Sequence[str], change: Edit) -> Remade | None:
    """What a change of the prediction alone makes of predictions that wait for labels; None for any other."""
    if spec.performance is None or tuple(features) != (PREDICTION,):
        return None
    reference, truth = spec.reference, spec.performance.truth
    profile = reference.features[PREDICTION]
    if isinstance(profile, NumericFeature):
        return None if truth.task == MULTICLASS else _remade_numbers(reference, profile, change)
    return _remade_classes(reference, profile, meanings(truth, profile.categories), change)


def _remade_numbers(reference: Reference, profile: NumericFeature, change: Edit) -> Remade:
    column = reference.numeric.index(profile)

    def remade(values: NDArray[np.float64], draw: Draw) -> NDArray[np.float64]:
        numeric = np.full((len(values), len(reference.numeric)), np.nan)
        numeric[:, column] = values
        change(numeric, np.empty((len(values), 0), dtype=np.int32), draw)
        return np.where(np.isfinite(numeric[:, column]), numeric[:, column], np.nan)

    return remade


def _remade_classes(
    reference: Reference, profile: CategoricalFeature, by_code: NDArray[np.float64], change: Edit
) -> Remade:
    """What is not changed stays as it is: several categories may mean one prediction."""
    column = reference.categorical.index(profile)

    def remade(values: NDArray[np.float64], draw: Draw) -> NDArray[np.float64]:
        codes = np.full((len(values), len(reference.categorical)), -1, dtype=np.int32)
        change(np.empty((len(values), 0)), codes, draw)
        changed = codes[:, column]
        return np.where(changed < 0, values, by_code[changed])

    return remade


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
    profile = reference.features[feature]
    if not isinstance(profile, NumericFeature):
        raise InjectError(f"{feature} is categorical; {kind} is for numbers, category=NAME:8% is not")
    if kind == "shift" and not value.endswith("sd"):
        raise InjectError(f"shift={value}: say how many standard deviations, as in shift=0.5sd")
    if kind == "shift" and not profile.std:
        held = "one value only" if profile.count else "no value"
        raise InjectError(f"{feature} has {held} in the reference, so no standard deviation; constant=-1 sets a value")
    size, column = (
        _number(value.removesuffix("sd") if kind == "shift" else value),
        reference.numeric.index(profile),
    )
    factor, offset = {
        "shift": (1.0, size * profile.std),
        "scale": (size, profile.mean * (1 - size)),
        "times": (size, 0.0),
    }[kind]

    def change(numeric: NDArray[np.float64], _codes: NDArray[np.int32], _draw: Draw) -> None:
        with np.errstate(over="ignore"):  # then it is infinite, and counted as such
            numeric[:, column] = numeric[:, column] * factor + offset

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
    profile = reference.features[feature]
    if isinstance(profile, NumericFeature):
        place = reference.numeric.index(profile)

        def change(numeric: NDArray[np.float64], _codes: NDArray[np.int32], draw: Draw) -> None:
            numeric[draw(len(numeric)) < share, place] = number

        return change
    column, put = reference.categorical.index(profile), code(CategoryTable(profile.categories))

    def recode(_numeric: NDArray[np.float64], codes: NDArray[np.int32], draw: Draw) -> None:
        codes[draw(len(codes)) < share, column] = put

    return recode


def _unseen_category(reference: Reference, feature: str, kind: str, value: str) -> tuple[int, str] | None:
    """The column and name of a category that a change brings and the reference does not know."""
    profile, name = reference.features[feature], value.rpartition(":")[0] if kind == "category" else value
    if (
        kind not in {"category", "constant"}
        or not isinstance(profile, CategoricalFeature)
        or name in profile.categories
    ):
        return None
    return reference.categorical.index(profile), name


def _swap(reference: Reference, feature: str, other: str) -> Edit:
    """Two features with each other's values."""
    first, second = reference.features[feature], reference.features.get(other)
    if second is None or second is first:
        raise InjectError(f"swap={other}: is no other feature; there is {', '.join(reference.names[:50])}")
    if isinstance(first, NumericFeature) and isinstance(second, NumericFeature):
        pair = [reference.numeric.index(first), reference.numeric.index(second)]

        def change(numeric: NDArray[np.float64], _codes: NDArray[np.int32], _draw: Draw) -> None:
            numeric[:, pair] = numeric[:, pair[::-1]]

        return change
    if isinstance(first, CategoricalFeature) and isinstance(second, CategoricalFeature):
        return _swap_codes(reference, first, second)
    raise InjectError(f"swap={other}: {feature} is {first.kind}, {other} is {second.kind}; both must be of one kind")


def _swap_codes(reference: Reference, first: CategoricalFeature, second: CategoricalFeature) -> Edit:
    """Codes say different things in two features: each is put into the words of the other."""
    column, other_column = reference.categorical.index(first), reference.categorical.index(second)
    there, here = _translation(first, second), _translation(second, first)

    def change(_numeric: NDArray[np.float64], codes: NDArray[np.int32], _draw: Draw) -> None:
        codes[:, column], codes[:, other_column] = here[codes[:, other_column]], there[codes[:, column]]

    return change


def _translation(first: CategoricalFeature, second: CategoricalFeature) -> NDArray[np.int32]:
    """The codes of `two` for those of `one`, unseen and missing last."""
    known: Mapping[str, int] = {name: code for code, name in enumerate(second.categories)}
    unseen = len(known)
    return np.array([*(known.get(name, unseen) for name in first.categories), unseen, unseen + 1], dtype=np.int32)


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = np.nan
    if not np.isfinite(number):
        raise InjectError(f"{text!r} is no number")
    return number


def _share(text: str) -> float:
    share = _number(text.removesuffix("%")) / PERCENT if text.endswith("%") else -1.0
    if not 0 < share <= 1:
        raise InjectError(f"{text!r} is no share such as 5%")
    return share
