"""What a reference says against itself, in words, and which features it names."""

from collections.abc import Collection
from itertools import chain

from detectors import Reference

PARTS = ("drifting", "odd_days", "wandering")


def words_of(reference: Reference) -> list[str]:
    """Everything it says; builds that say less are measured too."""
    calibration = reference.calibration
    if calibration is None:
        return [reference.cold]
    told = getattr(calibration, "unsteady", calibration)
    return [one.words for one in chain.from_iterable(getattr(told, part, ()) for part in PARTS)]


def named(words: Collection[str], features: Collection[str]) -> int:
    """How many of the features these words name."""
    said = {word.strip(":,;()") for line in words for word in line.split()}
    return len(said.intersection(features))
