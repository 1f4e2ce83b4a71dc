"""A reference to a contract that its own rows keep: what it tells of each column, and remarks on what it cannot tell."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from detectors.baseline import CategoricalBaseline, FeatureBaseline, NumericBaseline
from detectors.contract.contract import ColumnRules, ColumnType, Contract
from detectors.contract.values import is_number_text
from detectors.features import Floats
from detectors.figures import share
from detectors.precision import WHOLE
from detectors.reference.reference import Reference
from detectors.spellings import TRUTH, is_flag

ENOUGH = 300  # values: what none of them is makes up less than 1 % of all, with 95 % confidence
MOST_VALUES = 100  # that are still readable as a list
LENIENCE = 2  # times the missing of the reference are let pass: a file of its rows alone would break its own share half the time


@dataclass(frozen=True, slots=True)
class InferredContract:
    """A contract, and remarks for people by column and rule; the rule "" is the column itself."""

    contract: Contract
    remarks: Mapping[str, Mapping[str, str]]
    rows: int


def infer(reference: Reference, slack: float = 0.0) -> InferredContract:
    """Write down what the rows of a reference keep to.

    Args:
        reference: The reference; nothing but it is looked at.
        slack: By how much of their width ranges are widened at both ends; 0.1 is a tenth.

    Raises:
        ValueError: A slack below zero.

    >>> inferred = infer(Reference.fit({"age": [20, 30, 40], "plan": ["free", "pro", None]}))
    >>> inferred.contract.columns["age"].max, inferred.contract.columns["plan"].values
    (40.0, None)
    """
    if not (math.isfinite(slack) and slack >= 0):
        raise ValueError(f"slack {slack} must be a share of a range, such as 0.1")
    columns, remarks = {}, {}
    for name, feature in reference.features.items():
        noted: dict[str, str] = {}
        columns[name] = _rules(feature, reference.rows, slack, noted)
        remarks[name] = noted
    return InferredContract(Contract(columns, version="1", reference=reference.hash), remarks, reference.rows)


def _rules(feature: FeatureBaseline, rows: int, slack: float, noted: dict[str, str]) -> ColumnRules:
    if not feature.count:
        noted[""] = "the reference has no value of it, so nothing is known"
        return ColumnRules()
    required, most = _presence(feature.missing / rows, noted)
    if isinstance(feature, CategoricalBaseline):
        kind = _category_type(feature, noted)
        values = None if kind is ColumnType.BOOLEAN else _closed(feature, noted)
        return ColumnRules(kind, required, most, values=values)
    whole = holds_whole_numbers(feature)
    if not whole and all(map(float.is_integer, feature.tops.tolist())):
        noted["type"] = "perhaps integer: the reference keeps too few of its values to tell"
    low, high = _range(feature, slack, whole=whole)
    if slack:
        noted["min"] = f"{feature.min:.10g} to {feature.max:.10g} in the reference, widened by {share(slack)} of that"
    return ColumnRules(ColumnType.INTEGER if whole else ColumnType.NUMBER, required, most, min=low, max=high)


def _presence(missing: float, noted: dict[str, str]) -> tuple[bool, float | None]:
    """Whether no row may lack it, or how many may."""
    if not missing:
        return True, None
    if LENIENCE * missing >= 1:
        noted["max_missing"] = f"no bound: {share(missing)} of the reference's rows lack it"
        return False, None
    noted["max_missing"] = f"{share(missing)} of the reference's rows lack it; twice that is let pass"
    return False, _rounded_up(LENIENCE * missing)


def _rounded_up(part: float) -> float:
    """A share in three digits, never less than it is."""
    digits = 2 - math.floor(math.log10(part))
    return min(1.0, math.ceil(part * 10.0**digits) / 10.0**digits)


# --- numbers ------------------------------------------------------------------------------------------------------------


def holds_whole_numbers(feature: NumericBaseline) -> bool:
    """Whether all values are surely whole: each bin that has rows has them at its whole upper end, where their mean is."""
    held = feature.counts[1 : feature.bins + 1] > 0
    tops = feature.tops[held]
    alone = feature.atoms[held] | (feature.bin_means[1:-1][held] == feature.edges[1:][held])
    outside = feature.counts[[0, feature.bins + 1]].any()
    return bool(alone.all() and (np.rint(tops) == tops).all() and not outside)


def _range(feature: NumericBaseline, slack: float, *, whole: bool) -> tuple[float, float]:
    low, high = _outward(feature)
    if slack:
        wider = min(slack * (high - low), np.finfo(np.float64).max / 4)
        low = max(low - wider, 0.0) if low >= 0 else low - wider  # what was never below zero is not meant to be
        high = min(high + wider, 0.0) if high <= 0 else high + wider
        if whole:
            low, high = math.floor(low), math.ceil(high)
        else:
            low, high = float(f"{low:.6g}"), float(f"{high:.6g}")
            low, high = min(low, feature.min), max(high, feature.max)
    return float(low), float(high)


def _outward(feature: NumericBaseline) -> tuple[float, float]:
    """Smallest and largest value; of large whole numbers in less precision all that are one value there."""
    low, high = feature.min, feature.max
    ends: Floats = np.array([np.nextafter(feature.edges[0], np.inf), feature.edges[-1]])
    if abs(low) > WHOLE and ends[0] < low:
        low = math.floor(ends[0])
    if abs(high) > WHOLE and ends[1] > high:
        high = math.ceil(ends[1])
    return float(low), float(high)


# --- categories ---------------------------------------------------------------------------------------------------------


def _category_type(feature: CategoricalBaseline, noted: dict[str, str]) -> ColumnType | None:
    texts = feature.categories
    if is_flag(texts) and any(text in TRUTH for text in texts) and not feature.counts[-2]:
        return ColumnType.BOOLEAN
    if any(map(is_number_text, texts)):
        noted[""] = "no type: some of its values are numbers, as text or as such"
        return None
    return ColumnType.TEXT


def _closed(feature: CategoricalBaseline, noted: dict[str, str]) -> tuple[str, ...] | None:
    """The values, where they are surely all there are."""
    counts, many = feature.counts[: len(feature.categories)], len(feature.categories)
    if feature.counts[-2]:
        noted["values"] = f"left out, open-ended: the reference has more than {many:,} different ones"
    elif many > MOST_VALUES:
        noted["values"] = f"left out, open-ended: the reference has {many:,} different ones"
    elif feature.count < ENOUGH:
        noted["values"] = f"left out: {feature.count} rows are too few to tell that {_all_of(many)}"
    elif (once := int(np.count_nonzero(counts == 1))) > 0:
        noted["values"] = f"left out, open-ended: {once} of {many} came only once, so others may come"
    else:
        noted["values"] = f"all of the reference; the rarest came {int(counts.min()):,} times"
        return feature.categories
    return None


def _all_of(many: int) -> str:
    return "there is only one value" if many == 1 else f"these {many} are all there are"
