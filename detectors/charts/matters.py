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
    its own. Of what fires at once the first, which says most, stays. `before` is what was returned last.
    """
    kept: list[FiringFeature] = []
    told: dict[str, list[tuple[IncidentKind, int]]] = {}
    ranked = list(firing)
    now = {(each.feature, each.kind) for each in ranked}
    for place in now & before.keys():
        told.setdefault(place[0], []).append((place[1], before[place]))
    for each in ranked:
        known = (each.feature, each.kind) in before
        if not known and any(kind is not each.kind and each.since <= at for kind, at in told.get(each.feature, ())):
            continue
        kept.append(each)
        if not known:
            told.setdefault(each.feature, []).append((each.kind, end))
    return kept


def begun(kept: Iterable[FiringFeature], before: Mapping[tuple[str, IncidentKind], int], end: int) -> Matters:
    """Return when each of them began to fire."""
    places = [(each.feature, each.kind) for each in kept]
    return {place: before.get(place, end) for place in places}
