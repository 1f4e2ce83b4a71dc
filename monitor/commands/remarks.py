"""What `driftd reference fit` says of columns that may not be what they look like: codes, constants, targets."""

import re
from collections.abc import Iterator, Mapping

from detectors import Kind, Reference
from detectors.baseline import NumericBaseline
from monitor.explain.figures import exact

CODE_WORDS = frozenset(
    ("code", "id", "type", "zip", "zipcode", "postcode", "postal", "plz", "category", "class", "kind", "sku", "region")
)
PLACES = frozenset(("zip", "zipcode", "postcode", "postal", "plz"))  # there are more of them than of other codes
TARGET_WORDS = ("target", "label", "outcome", "ground_truth", "y", "y_true")
MOST = 0.5  # of requests do not fail as a rule
FEW = 2  # up to so many values are a flag


def remarks(reference: Reference, kinds: Mapping[str, Kind]) -> Iterator[str]:
    """Lines for columns whose kind nobody has given."""
    for name, feature in reference.features.items():
        if isinstance(feature, NumericBaseline) and name not in kinds and looks_like_code(feature):
            held = f"{feature.bins // 2 + 1} whole numbers" if feature.discrete else "whole numbers"
            yield f"{name} holds {held} and is named as a code is: --kind {name}=categorical counts them as categories"
        if name.lower() in TARGET_WORDS:
            yield (
                f"{name} is named as a target is, which events do not hold; --exclude {name} leaves it out, "
                f"--label {name} counts what predictions were worth by it"
            )
        if (only := constant(reference, name)) is not None:
            yield f"{name} holds nothing but {only}: any other value will be new; --exclude {name} leaves it out"


def failing(reference: Reference) -> Iterator[str]:
    """A line where most requests of the reference failed: its texts may say that they did not."""
    rate = None if reference.service is None else reference.service.served.error_rate
    if rate is not None and rate >= MOST:
        yield (
            f"{rate:.0%} of requests failed by what --error, or topics[].fields.error, names: if a text there is no failure, "
            "say so with --fine TEXT, or fine: in the configuration"
        )


def looks_like_code(feature: NumericBaseline) -> bool:
    """Whether a number is a whole one without an order, by its name."""
    words = set(re.split(r"[^a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", feature.name).lower()))
    if not words & CODE_WORDS or feature.bins < FEW:
        return False
    values = feature.tops[feature.atoms] if feature.discrete else feature.bin_means[[0, -1]]
    whole = bool((values == values.round()).all())
    return whole and values.size > FEW * feature.discrete and (feature.discrete or bool(words & PLACES))


def constant(reference: Reference, name: str) -> str | None:
    """The only value of a feature, in words; None where there are more, or none."""
    feature = reference.features[name]
    if isinstance(feature, NumericBaseline):
        return exact(feature.min) if feature.count and feature.bins == 1 and feature.min == feature.max else None
    return repr(feature.categories[0]) if len(feature.categories) == 1 else None
