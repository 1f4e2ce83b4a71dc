"""`driftd reference show`: a profile as a table for people, or as JSON."""

import sys
from pathlib import Path
from typing import Any

import numpy as np

from detectors import CategoricalBaseline, FeatureBaseline, NumericBaseline, Reference, ReferenceFormatError
from detectors.charts import Against, Comparison
from detectors.charts.compared import AUTO
from monitor.commands import selfreport
from monitor.commands.calibration import COLUMNS, SEASONS, Variation, learnt, misgivings, variations
from monitor.commands.exits import Exit
from monitor.commands.selfreport import detectable, unseen
from monitor.commands.served import served, served_document
from monitor.commands.worth import worth, worth_document
from monitor.explain.documents import as_lines
from monitor.explain.figures import apart, beside
from monitor.settings import ConfigError, show_duration
from monitor.targets.payloads import rfc3339

BARS = " ▁▂▃▄▅▆▇█"
BAR_COUNT = 16
SHOWN_CATEGORIES = 4


def show(path: Path, *, as_json: bool = False) -> Exit:
    """Print a reference. Raises ConfigError."""
    reference = load_reference(path)
    if as_json:
        print_document(path, reference)
    else:
        print_table(path, reference)
    return Exit.OK


def print_document(path: Path, reference: Reference) -> None:
    """Print a reference for programs."""
    print(as_lines(document(path, reference)).decode())


def load_reference(path: Path) -> Reference:
    """A reference file. Raises ConfigError."""
    try:
        return Reference.load(path)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from None
    except ReferenceFormatError as error:
        raise ConfigError(f"{path}: {error}") from None


# --- for programs -------------------------------------------------------------------------------------------------------


def document(path: Path, reference: Reference) -> dict[str, Any]:
    """A reference as plain values."""
    period = reference.period
    return {
        "file": str(path),
        "hash": reference.hash,
        "rows": reference.rows,
        "period": None if period is None else {"from": rfc3339(period[0]), "to": rfc3339(period[1])},
        "calibration": calibration_document(reference),
        "features": [
            feature_document(feature, reference.rows)
            | variation_document(variation)
            | {"found_in_a_day": shift, "baseline": compared_with(feature.name, reference)}
            for feature, variation, shift in zip(
                reference.features.values(), variations(reference), detectable(reference), strict=True
            )
        ],
        **({} if (said := worth_document(reference)) is None else {"performance": said}),
        **({} if (requests := served_document(reference)) is None else {"service": requests}),
        **selfreport.document(reference),
        "warnings": list(misgivings(reference)),
    }


def calibration_document(reference: Reference) -> dict[str, Any]:
    """How it is calibrated, also in words."""
    calibration = reference.calibration
    document: dict[str, Any] = {"kind": "cold", "windows": None, "window": None, "rows_a_window": None}
    if calibration is not None:
        window = show_duration(calibration.window_ns)
        document = {
            "kind": calibration.kind,
            "windows": calibration.windows,
            "window": window,
            "rows_a_window": calibration.rows,
            **({"group_of_a_row": calibration.together} if calibration.together else {}),
        }
    return document | {"words": learnt(reference).removeprefix("calibration: ")}


def feature_document(feature: FeatureBaseline, rows: int) -> dict[str, Any]:
    """One feature; what its kind does not have is null."""
    numeric = feature if isinstance(feature, NumericBaseline) else None
    known = numeric if feature.count else None
    return {
        "feature": feature.name,
        "kind": feature.kind.value,
        "values": feature.count,
        "missing_ratio": feature.missing / rows,
        "min": None if known is None else known.min,
        "max": None if known is None else known.max,
        "mean": None if known is None else known.mean,
        "sd": None if known is None else known.std,
        "discrete": None if numeric is None else numeric.discrete,
        "categories": category_shares(feature) if isinstance(feature, CategoricalBaseline) else None,
    }


def compared_with(feature: str, reference: Reference) -> str:
    """What a feature is compared with where no configuration says otherwise."""
    wandering = () if reference.calibration is None else reference.calibration.unsteady.wandering
    days = AUTO.trailing(feature, {each.feature for each in wandering})
    return str(Comparison(Against.TRAILING, days)) if days else str(Against.REFERENCE)


def category_shares(feature: CategoricalBaseline) -> list[dict[str, Any]]:
    """Each category's share of the values, the commonest first as in the reference."""
    count = max(feature.count, 1)
    shares = zip(feature.categories, feature.counts.tolist(), strict=False)  # unseen and missing stand behind
    return [{"category": category, "share": rows / count} for category, rows in shares]


def variation_document(variation: Variation | None) -> dict[str, Any]:
    """How the feature varies, by the keys of the table's columns."""
    if variation is None:
        return {"varies": None, "slow": None, "season": None}
    return {"varies": variation.varies, "slow": variation.slow, "season": SEASONS.get(variation.season)}


# --- for people ---------------------------------------------------------------------------------------------------------


def print_table(path: Path, reference: Reference) -> None:
    """The profile with small histograms."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    title = Text(f"{path.name}: {reference.rows:,} rows, hash {reference.hash}\n{learnt(reference)}")
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=0)
    for name in ("feature", "kind", "distribution", "missing", *columns(reference), "range or commonest"):
        table.add_column(name, overflow="fold")
    for (name, feature), variation in zip(reference.features.items(), variations(reference), strict=True):
        missing = f"{feature.missing / reference.rows:.2%}"
        varies = () if variation is None else variation.cells
        table.add_row(Text(name), feature.kind.value, histogram(feature), missing, *varies, Text(summary(feature)))
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print(table)
    for line in filter(None, (worth(reference), served(reference), *misgivings(reference), unseen(reference))):
        console.print(Text(line))


def columns(reference: Reference) -> tuple[str, ...]:
    """The columns that only a calibrated reference fills."""
    return COLUMNS if reference.calibration else ()


def histogram(feature: FeatureBaseline) -> str:
    """A small picture: of a numeric feature over its central 98 %, of a categorical one by category."""
    shares = binned(feature) if isinstance(feature, NumericBaseline) else feature.counts[:-2][:BAR_COUNT]
    top = shares.max() if shares.size else 0
    if top <= 0:
        return ""
    return "".join(BARS[int(np.ceil(share / top * (len(BARS) - 1)))] for share in shares)


def binned(feature: NumericBaseline) -> "np.ndarray[tuple[int, ...], np.dtype[np.float64]]":
    """Counts of equal-width bars, each bin's rows at its mean."""
    inside = feature.counts[1 : feature.bins + 1].astype(np.float64)
    means = feature.bin_means[1:-1]
    if not inside.sum():
        return np.zeros(0)
    order = np.cumsum(inside) / inside.sum()
    central = (order > 0.01) & (order - inside / inside.sum() < 0.99)  # noqa: PLR2004 - long tails would hide the rest
    halves, weights = means[central] / 2, inside[central]  # halved: the distance of huge values stays finite
    try:
        bars, _ = np.histogram(halves, bins=BAR_COUNT, weights=weights)
    except ValueError:  # neighbouring floats, with nothing between them to draw
        bars = weights
    return np.asarray(bars, dtype=np.float64)


def summary(feature: FeatureBaseline) -> str:
    """Range and moments, or the commonest categories."""
    if isinstance(feature, CategoricalBaseline):
        return commonest(feature)
    if not feature.count:
        return "no value"
    kind = "discrete, " if feature.discrete else ""
    return f"{kind}{' … '.join(apart(feature.min, feature.max, 6))}, mean {beside(feature.mean, feature.std)}, sd {feature.std:.4g}"


def commonest(feature: CategoricalBaseline) -> str:
    """The commonest categories with their shares, and how many more there are."""
    count = max(feature.count, 1)
    shown = zip(feature.categories[:SHOWN_CATEGORIES], feature.counts[:SHOWN_CATEGORIES], strict=False)
    text = ", ".join(f"{name} {share / count:.1%}" for name, share in shown)
    more = len(feature.categories) - SHOWN_CATEGORIES
    return f"{text}, {more} more" if more > 0 else text
