"""`driftd reference fit` and `show`: a data set's profile, made and looked at."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from detectors import CategoricalFeature, Feature, Kind, NumericFeature, Reference, ReferenceFormatError
from monitor.settings import ConfigError
from monitor.settings.schema import parse_duration
from monitor.sources.files import Chunk, Shape, TableError, TimeColumn, chunks, look
from monitor.sources.values import UNITS

IDENTIFIERS = ("id", "uuid", "guid")
BARS = " ▁▂▃▄▅▆▇█"
BAR_COUNT = 24
SHOWN_CATEGORIES = 4


@dataclass(frozen=True, slots=True)
class FitChoice:
    """What the command line asked for."""

    inputs: list[Path]
    output: Path
    columns: list[str] | None = None
    prediction: str | None = None
    timestamp: str | None = None
    timestamp_unit: str = "ms"
    window: str | None = None
    kinds: list[str] | None = None


def fit(choice: FitChoice) -> int:
    """Profile a data set into a reference file. Raises ConfigError."""
    kinds = parse_kinds(choice.kinds or [])
    window = parse_window(choice)
    try:
        shape = look(choice.inputs)
        wanted = features_of(choice, shape, kinds)
        shape.numeric_text -= {name for name, kind in kinds.items() if kind is Kind.CATEGORICAL}
        time = None if choice.timestamp is None else TimeColumn(choice.timestamp, UNITS[choice.timestamp_unit])
        read = Progress(sys.stderr.isatty())

        def passes() -> Iterator[Chunk]:
            return chunks(choice.inputs, shape, wanted, time)

        reference = Reference.fit_chunks(
            passes,
            kinds={name: kind for name, kind in kinds.items() if name in wanted},
            prediction=choice.prediction,
            timestamp=choice.timestamp,
            window_ns=window,
            progress=read,
        )
        read.done()
    except (TableError, ValueError) as error:
        raise ConfigError(str(error)) from None
    try:
        reference.save(choice.output)
    except OSError as error:
        raise ConfigError(f"{choice.output}: cannot be written: {error.strerror or error}") from None
    numeric = len(reference.grid.numeric)
    print(
        f"{choice.output}: {reference.rows:,} rows, {numeric} numeric and {len(reference.names) - numeric} categorical "
        f"features, hash {reference.hash}"
    )
    return 0


def parse_kinds(texts: list[str]) -> dict[str, Kind]:
    """`COL=numeric` to kinds. Raises ConfigError."""
    kinds = {}
    for text in texts:
        name, separator, kind = text.rpartition("=")
        if not separator or kind not in {one.value for one in Kind}:
            raise ConfigError(f"--kind {text}: must be COLUMN=numeric or COLUMN=categorical")
        kinds[name] = Kind(kind)
    return kinds


def parse_window(choice: FitChoice) -> int | None:
    """`--window` in nanoseconds. Raises ConfigError."""
    if choice.window is None:
        return None
    if choice.timestamp is None:
        raise ConfigError("--window needs --timestamp: the usual rows a window are learnt from event times")
    try:
        return parse_duration(choice.window)
    except ValueError as error:
        raise ConfigError(f"--window {choice.window}: {error}") from None


def features_of(choice: FitChoice, shape: Shape, kinds: dict[str, Kind]) -> list[str]:
    """The columns to profile; what is left out is said. Raises ConfigError for a column that is not there."""
    asked = [
        *(choice.columns or []),
        *kinds,
        *(name for name in (choice.prediction, choice.timestamp) if name is not None),
    ]
    for name in asked:
        if name not in shape.columns:
            raise ConfigError(f"{choice.inputs[0]}: has no column {name}; it has {', '.join(shape.columns[:50])}")
    wanted = []
    for name in shape.columns:
        if name == choice.timestamp or (choice.columns and name not in {*choice.columns, choice.prediction}):
            continue
        reason = shape.left_out.get(name)
        if reason is None and is_identifier(name) and name not in (choice.columns or []) and name not in kinds:
            reason = "an identifier; name it in --columns to keep it"
        if reason is None:
            wanted.append(name)
        else:
            print(f"driftd: left out {name}: {reason}", file=sys.stderr)
    if not wanted:
        raise ConfigError(f"{choice.inputs[0]}: no column is left to profile")
    return wanted


def is_identifier(name: str) -> bool:
    """Whether a column is named as identifiers are."""
    low = name.lower()
    return low in IDENTIFIERS or low.endswith(("_id", "_uuid", "_guid"))


class Progress:
    """Rows read, on one line of a terminal."""

    def __init__(self, terminal: bool) -> None:  # noqa: FBT001 - a fact about stderr
        self._terminal = terminal

    def __call__(self, rows: int) -> None:
        """Show rows read so far, both passes together."""
        if self._terminal:
            print(f"\rread {rows:,} rows (two passes)", end="", file=sys.stderr, flush=True)

    def done(self) -> None:
        """Leave the line."""
        if self._terminal:
            print(file=sys.stderr)


def show(path: Path) -> int:
    """Print a reference as a table. Raises ConfigError."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    try:
        reference = Reference.load(path)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from None
    except ReferenceFormatError as error:
        raise ConfigError(f"{path}: {error}") from None
    table = Table(title=f"{path.name}: {reference.rows:,} rows, hash {reference.hash}", title_justify="left")
    for name in ("feature", "kind", "distribution", "missing", "range or commonest"):
        table.add_column(name, overflow="fold")
    for name, feature in reference.features.items():
        missing = feature.missing / reference.rows
        table.add_row(Text(name), feature.kind.value, histogram(feature), f"{missing:.2%}", Text(summary(feature)))
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print(table)
    return 0


def histogram(feature: Feature) -> str:
    """A small picture: of a numeric feature over its central 98 %, of a categorical one by category."""
    shares = binned(feature) if isinstance(feature, NumericFeature) else feature.counts[:-2][:BAR_COUNT]
    top = shares.max() if shares.size else 0
    if top <= 0:
        return ""
    return "".join(BARS[int(np.ceil(share / top * (len(BARS) - 1)))] for share in shares)


def binned(feature: NumericFeature) -> "np.ndarray[tuple[int, ...], np.dtype[np.float64]]":
    """Counts of equal-width bars, each grid bin's rows at its mean."""
    inside = feature.counts[1 : feature.bins + 1].astype(np.float64)
    means = feature.bin_means[1:-1]
    if not inside.sum():
        return np.zeros(0)
    order = np.cumsum(inside) / inside.sum()
    central = (order > 0.01) & (order - inside / inside.sum() < 0.99)  # noqa: PLR2004 - long tails would hide the rest
    bars, _ = np.histogram(means[central], bins=BAR_COUNT, weights=inside[central])
    return bars


def summary(feature: Feature) -> str:
    """Range and moments, or the commonest categories."""
    if isinstance(feature, CategoricalFeature):
        return commonest(feature)
    if not feature.count:
        return "no value"
    kind = "discrete, " if feature.discrete else ""
    return f"{kind}{feature.min:g} … {feature.max:g}, mean {feature.mean:.4g}, sd {feature.std:.4g}"


def commonest(feature: CategoricalFeature) -> str:
    """The commonest categories with their shares, and how many more there are."""
    count = max(feature.count, 1)
    shown = zip(feature.categories[:SHOWN_CATEGORIES], feature.counts[:SHOWN_CATEGORIES], strict=False)
    text = ", ".join(f"{name} {share / count:.1%}" for name, share in shown)
    more = len(feature.categories) - SHOWN_CATEGORIES
    return f"{text}, {more} more" if more > 0 else text
