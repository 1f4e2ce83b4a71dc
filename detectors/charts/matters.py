"""Which charts are a matter of their own: one change of one feature is told once, under one kind."""

from collections.abc import Iterable, Mapping

from detectors.charts.firing import FiringFeature
from detectors.charts.kinds import IncidentKind

Matters = dict[tuple[str, IncidentKind], int]  # feature and kind: the end of the subgroup in which it began to fire


def matters(
    firing: Iterable[FiringFeature], before: Mapping[tuple[str, IncidentKind], int], end: int
) -> list[FiringFeature]:
    """Return what fires after the subgroup that ends here, without what another kind of the same feature has told.

    New categories move the mix too, and a number in another unit leaves its range: each is one change. So a kind is left out
    that had begun to change by the time at which the feature began to fire under another. What changes after that is a matter of
    its own. Of what fires at once the first, which says most, stays; but a new category is why a mix has moved, however far it
    has. `before` is what was returned last.
    """
    ranked = list(firing)
    left_out: set[tuple[str, IncidentKind]] = set()
    told: dict[str, list[tuple[IncidentKind, int]]] = {}
    now = {(each.feature, each.kind) for each in ranked}
    for place in now & before.keys():
        told.setdefault(place[0], []).append((place[1], before[place]))
    for each in sorted(ranked, key=_is_cause, reverse=True):
        if (each.feature, each.kind) in before:
            continue
        if any(kind is not each.kind and each.since <= at for kind, at in told.get(each.feature, ())):
            left_out.add((each.feature, each.kind))
        else:
            told.setdefault(each.feature, []).append((each.kind, end))
    return [each for each in ranked if (each.feature, each.kind) not in left_out]


def _is_cause(firing: FiringFeature) -> bool:
    """Whether it is a new category: what else its feature shows is a consequence. A number out of its range is none."""
    return firing.chart == "unseen" and not firing.numeric


def begun(kept: Iterable[FiringFeature], before: Mapping[tuple[str, IncidentKind], int], end: int) -> Matters:
    """Return when each of them began to fire."""
    places = [(each.feature, each.kind) for each in kept]
    return {place: before.get(place, end) for place in places}
