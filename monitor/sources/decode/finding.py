"""Which features messages hold, and of what kind: found in the messages themselves, where no reference says it yet."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import islice

from detectors import Kind
from detectors.columns import BOOLEANS
from detectors.reference.copies import is_label
from monitor.sources.decode.naming import is_predicted
from monitor.sources.formats.fields import LABELLED, PREDICTION, FeatureSlot, FeatureSlots, FieldMap, Path
from monitor.sources.formats.values import (
    HALF_A_CHARACTER,
    LATEST_NANOS,
    Rejected,
    category,
    is_writable,
    parse_time,
    timestamp,
)
from monitor.sources.formats.written import people_write

IDENTIFIERS = ("id", "uuid", "guid")
TIMES = ("ts", "timestamp", "time", "datetime")
OURS = frozenset({PREDICTION, LABELLED, "__volume__"})
NOTHING = "\N{NULL}"  # stands for the features of what has none: no message holds such a key
MOST_TEXTS = 100_000  # of one feature that are known by code; more are read again where they stand
MOST_FEATURES = 10_000
STRAY = 0.1  # of the values of a number may be texts
NO_COLUMNS = FeatureSlots((FeatureSlot(NOTHING),))


def is_identifier(name: str) -> bool:
    """Whether a column is named as identifiers are."""
    low = name.lower()
    return low in IDENTIFIERS or low.endswith(("_id", "_uuid", "_guid"))


def is_time(name: str, values: Collection[object], unit: int) -> bool:
    """Whether values are event times: texts that are, or numbers that could be under a name that says so."""
    low = name.lower()
    named = low in TIMES or low.endswith(("_ts", "_time", "_at", "_timestamp"))
    if all(isinstance(value, str) for value in values):
        return all(map(_is_time_text, values))
    return named and all(_is_time_in(value, unit) for value in values)


def _is_time_text(value: object) -> bool:
    try:
        return isinstance(value, str) and parse_time(value) is not None
    except Rejected:
        return False


def _is_time_in(value: object, unit: int) -> bool:
    try:
        timestamp(value, unit, LATEST_NANOS)
    except Rejected:
        return False
    return True


@dataclass(slots=True)
class FoundFeature:
    """A feature, and the texts by which its categories are known, in the order of their codes."""

    name: str
    kind: Kind
    texts: dict[str, None] = field(default_factory=dict)

    def learn(self, texts: Iterable[str]) -> None:
        """Know these categories too, as far as there is room."""
        for text in texts:
            if len(self.texts) == MOST_TEXTS:
                break
            self.texts.setdefault(text)


@dataclass(slots=True)
class FeatureFinder:
    """Collects the features of one model. `only`, `without` and `kinds` are what was asked for, the last two by patterns.

    `left_out` says why of the others. `labelled`: what came true is read too, as texts, beside the features and the prediction.
    """

    fields: FieldMap
    predicted: bool = True
    labelled: bool = False
    only: Collection[str] | None = None
    kinds: Mapping[str, Kind] = field(default_factory=dict)
    without: Collection[str] = ()
    identifier: Path = ("id",)
    features: dict[str, FoundFeature] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    order: dict[str, None] = field(default_factory=dict)  # names as they came, with a value or without
    odd: dict[str, str] = field(default_factory=dict)  # numbers among which are a few texts, in words

    @property
    def names(self) -> tuple[str, ...]:
        """What was found, features and those left out."""
        return tuple(name for name in {**self.order, **dict.fromkeys(self.left_out)} if name != LABELLED)

    @property
    def known(self) -> tuple[int, int]:
        """How many features and categories are known; with either the layout becomes another one."""
        return len(self.features), sum(len(each.texts) for each in self.features.values())

    @property
    def layout(self) -> FeatureSlots:
        """As the decoder wants it."""
        numeric = tuple(FeatureSlot(each.name) for each in self._of(Kind.NUMERIC))
        categorical = tuple(FeatureSlot(each.name, tuple(each.texts)) for each in self._of(Kind.CATEGORICAL))
        return FeatureSlots(numeric, categorical) if self.features else NO_COLUMNS

    def _of(self, kind: Kind) -> Iterator[FoundFeature]:
        found = (self.features[name] for name in self.order if name in self.features)
        return (each for each in found if each.kind is kind)

    def look(self, rows: Iterable[Mapping[Path, object]]) -> None:
        """Look through rows of the model; what is new becomes a feature, or is left out with its reason."""
        found: dict[str, list[object]] = defaultdict(list)
        settled = self._settled
        passed = self._not_features | settled
        beside = {name: path for name, path in self.beside.items() if name not in settled}
        for row in rows:
            for name, value in self._held(row).items():
                if name not in passed:
                    found[name].append(value)
            for name, path in beside.items():
                found[name].append(row.get(path))
        for name, every in found.items():
            values = [value for value in every if value is not None]
            self.order.setdefault(name)
            if values and name not in self.features and name not in self.left_out:
                self.add(name, values)
            if name in self.features and self.features[name].kind is Kind.CATEGORICAL:
                self.learn(name, texts_of(values))

    @property
    def beside(self) -> dict[str, Path]:
        """What is read beside the features, and where it stands."""
        asked = {PREDICTION: (self.predicted, self.fields.prediction), LABELLED: (self.labelled, self.fields.label)}
        return {name: path for name, (wanted, path) in asked.items() if wanted}

    def add(self, name: str, values: Collection[object], known: Kind | None = None) -> None:
        """Take a feature with its first values, unless it is none. `known` is its kind where more than these tell it."""
        reason = self._refused(name, values)
        if reason is not None:
            self.left_out[name] = reason
        elif len(self.features) < MOST_FEATURES:
            self.order.setdefault(name)
            asked = self.kind_asked(name)
            kind = asked or known or kind_of(values)
            self.features[name] = FoundFeature(name, kind)
            if asked is None and known is None and kind is Kind.CATEGORICAL:
                self.note_numbers(name, values)
            stray = asked is None and kind is Kind.NUMERIC and str in set(map(type, values))
            if stray and (odd := [each for each in values if isinstance(each, str)]):
                self.odd[name] = (
                    f"{name}: {len(odd):,} of its first {len(values):,} values are no numbers, such as {str(odd[0])[:40]!r}: "
                    f"they count as missing; --kind {name}=categorical reads it as categories"
                )

    def note_numbers(self, name: str, values: Collection[object]) -> None:
        """Note texts of messages that are numbers to people only."""
        texts = [value for value in values if isinstance(value, str)]
        if texts and (found := people_write(texts)) is not None:
            how, first = found
            self.odd[name] = (
                f"{name} holds numbers with {how}, such as {first[:40]!r}, taken as text; "
                "numbers of messages are those without quotes, with a point"
            )

    def kind_asked(self, name: str) -> Kind | None:
        """The kind that was asked for: by the name itself, else by the last pattern. Labels are texts until it is known what they are the truth of."""
        if name == LABELLED:
            return Kind.CATEGORICAL
        matching = [kind for pattern, kind in self.kinds.items() if fnmatchcase(name, pattern)]
        return self.kinds.get(name) or (matching[-1] if matching else None)

    def learn(self, name: str, texts: Iterable[str]) -> None:
        """Know more categories of a feature."""
        self.features[name].learn(texts)

    def _refused(self, name: str, values: Collection[object]) -> str | None:
        """Why it is no feature; None where it is one."""
        if not is_writable(name):
            return HALF_A_CHARACTER
        if all(isinstance(value, dict | list) for value in values):
            return "nested"
        if name in self.without or any(fnmatchcase(name, pattern) for pattern in self.without):
            return "named in --exclude"
        if self.only is not None and name not in {*self.only, *self.beside}:
            return "not among --columns"
        return None if self.only is not None or name in {*self.kinds, *self.beside} else self._no_input(name, values)

    def _no_input(self, name: str, values: Collection[object]) -> str | None:
        """Why it is no input of a model, by its name or its values."""
        if (*self.fields.features, name) == self.fields.group:
            return "what rows are grouped by; name it in --columns to keep it"
        if is_identifier(name):
            return "an identifier; name it in --columns to keep it"
        if is_label(name):
            return "named as a target; name it in --columns to keep it"
        if self.predicted and is_predicted(name):
            return "named as a prediction; name it in --columns to keep it"
        return "a time" if is_time(name, values, self.fields.unit) else None

    def _held(self, row: Mapping[Path, object]) -> Mapping[str, object]:
        """What stands where a row has its features, by name."""
        path = self.fields.features
        held = row.get(path)
        if isinstance(held, Mapping):
            return held
        return {at[len(path)]: value for at, value in row.items() if at[: len(path)] == path and len(at) > len(path)}

    @property
    def _not_features(self) -> set[str]:
        """Names that stand among the features and are none of them, and those of ours."""
        return {*(OURS if self.fields.features else OURS | self.envelope), *self.predicted_inside}

    @property
    def _settled(self) -> set[str]:
        """Names of which no more is to be learnt: numbers, and what is left out."""
        numbers = {name for name, each in self.features.items() if each.kind is Kind.NUMERIC}
        return numbers | self.left_out.keys()

    @property
    def predicted_inside(self) -> set[str]:
        """The names of the prediction, of what came true and of how requests were served, where they stand among the features: no inputs."""
        paths = [
            *([self.fields.prediction] if self.predicted else []),
            self.fields.label,
            self.fields.weight,
            self.fields.scores,
            self.fields.latency,
            self.fields.error,
            self.fields.sampling,
        ]
        return {path[-1] for path in paths if path and self.fields.features and path[:-1] == self.fields.features}

    @property
    def envelope(self) -> set[str]:
        """Keys of the message that are no features where features are the message itself."""
        fields = self.fields
        beside = fields.prediction, fields.group, fields.label, fields.weight, fields.scores
        served = fields.latency, fields.error, fields.sampling
        paths = [*fields.envelope.values(), *beside, *served, self.identifier]
        return {path[0] for path in paths if path}


def kind_of(values: Collection[object]) -> Kind:
    """Numbers, where nearly all of the first values are some: the daemon reads texts as missing, truth among them as 1 and 0."""
    types = Counter(map(type, values))
    if types.keys() <= {str, bool}:
        return Kind.CATEGORICAL
    return Kind.NUMERIC if types[str] <= STRAY * len(values) else Kind.CATEGORICAL


def texts_of(values: Iterable[object]) -> list[str]:
    """The categories that values are counted as, booleans both."""
    values = list(values)
    reasons: Counter[str] = Counter()  # which are counted where the row is decoded
    plain = {value: None for value in values if isinstance(value, str)}
    texts = plain | dict.fromkeys(category(value, reasons) for value in values if not isinstance(value, str))
    if any(isinstance(value, bool) for value in islice(values, 1)):
        texts |= dict.fromkeys(BOOLEANS)
    return [text for text in texts if text is not None]
