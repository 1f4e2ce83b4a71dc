"""Whether labels come as often for one predicted class as for another: an exact test, of counts alone."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from detectors import special
from detectors.features import Floats, Ints

LEVEL: Final = 0.001  # how often the test says so of labels that come at random, at most
ENOUGH: Final = (12.0, 64)  # of a tail: so many standard deviations and terms leave nothing out that a double shows
TWO: Final = 2


@dataclass(frozen=True, slots=True)
class SelectionBias:
    """Whether coverage differs between groups of predictions beyond chance.

    `pvalue` is exact: where labels come at random it is at most p in at most a share p of windows. `group` is the place of the
    group whose coverage is furthest from that of the others, as far as chance allows.
    """

    pvalue: float
    group: int
    level: float = LEVEL

    @property
    def beyond_chance(self) -> bool:
        """Whether labels do not come at random."""
        return self.pvalue <= self.level


def selection_bias(predictions: ArrayLike, labelled: ArrayLike, level: float = LEVEL) -> SelectionBias | None:
    """Test whether labels come at random, by the predictions of each group and those of them that have a label, both int [K].

    Groups are predicted classes, or ranges of a predicted number. Given how many labels there are, those of a group are
    hypergeometric where they come at random: Fisher's exact test, two-sided, of each group against the others (Fisher,
    Journal of the Royal Statistical Society 98, 1935), the smallest p times the number of groups (Bonferroni); of two
    groups both tests are one. None where fewer than two groups have predictions. Raises ValueError for counts that are none.

    >>> selection_bias([900, 100], [450, 50]).beyond_chance
    False
    >>> found = selection_bias([900, 100], [180, 90])
    >>> found.beyond_chance, found.group
    (True, 1)
    """
    said, known = np.asarray(predictions), np.asarray(labelled)
    if said.shape != known.shape or said.ndim != 1 or (said.size and {said.dtype.kind, known.dtype.kind} - set("iu")):
        raise ValueError("predictions and labelled must be counts of the same groups")
    if (known < 0).any() or (known > said).any():
        raise ValueError("no group has fewer labels than none, or more than predictions")
    held = np.flatnonzero(said)
    if held.size < TWO:
        return None
    every = np.array([_fisher(said, known, group) for group in held.tolist()])
    least = int(every.argmin())
    many = 1 if held.size == TWO else int(held.size)
    group = held[least] if many > 1 else held[int(said[held].argmin())]
    return SelectionBias(min(1.0, float(every[least]) * many), int(group), level)


def _fisher(said: Ints, known: Ints, group: int) -> float:
    """Twice the chance of a group's labels, or of still fewer where they are few, more where they are many."""
    every, labels, drawn, found = int(said.sum()), int(known.sum()), int(said[group]), int(known[group])
    mean = labels * (drawn / every)
    spread = math.sqrt(mean * (1 - labels / every) * (1 - drawn / every) * every / max(1, every - 1))
    reach = int(ENOUGH[0] * spread) + ENOUGH[1]
    lowest, highest = max(0, drawn + labels - every), min(drawn, labels)
    first, last = (max(lowest, found - reach), found) if found <= mean else (found, min(highest, found + reach))
    counts = np.arange(first, last + 1, dtype=np.float64)
    chances = _log_choose(labels, counts) + _log_choose(every - labels, drawn - counts)
    return min(1.0, TWO * float(np.exp(chances - _log_choose(every, np.array([float(drawn)]))).sum()))


def _log_choose(many: int, some: Floats) -> Floats:
    return np.asarray(special.gammaln(many + 1.0) - special.gammaln(some + 1) - special.gammaln(many - some + 1))
