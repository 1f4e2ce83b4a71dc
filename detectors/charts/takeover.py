"""Charts of a reference go on where those of an earlier one stand, for the features that both know alike.

What charts have summed up, and the levels that features are held to, is worth something under the very baseline and calibration it
was made under, feature by feature. The rest begins anew, and so does what is of all rows: their number, repeated ids, the checks of
the calibration.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.charts.charts import Charts
from detectors.features import Ints
from detectors.reference.file import feature_to_dict
from detectors.reference.reference import Reference

Array = NDArray[Any]
BY_FEATURE = (  # arrays whose first axis is of features
    *("values", "firing", "judged", "since", "risen", "armed", "open", "carried_since", "worth_carried", "rates"),
    *("rest_level", "rest_count", "rest_odds", "rest_quiet", "improved", "better", "passing_own"),
)
BY_SECOND = ("carried", "rest_loud", "rest_calm")  # whose second axis is
OF_RATES = ("excess", "firing", "since", "sums", "risen", "rest_level", "rest_count", "rest_odds", "rest_quiet")


@dataclass(frozen=True, slots=True, eq=False)
class _KeptPlaces:
    """Where the features that are kept were, and where they are: int64[k] each, the latter rising."""

    before: Ints
    now: Ints


def alike(one: Reference, other: Reference) -> list[str]:
    """Return the features that two references know alike, by their counts and by what their windows teach, in the order of the second."""
    first, second = (_known(each) for each in (one, other))
    return [name for name in other.names if name in first and first[name] == second[name]]


def _known(reference: Reference) -> Mapping[str, Any]:
    learnt = {} if reference.calibration is None else reference.calibration.to_dict()["features"]
    return {name: (feature_to_dict(feature), learnt.get(name)) for name, feature in reference.features.items()}


def take_over(charts: Charts, before: Charts, names: list[str], at: int, *, accept: bool = True) -> list[str]:
    """Let charts have what those of an earlier reference hold of features that both know alike.

    `accept`: of these what fires is accepted first as it is at event time `at`, for what comes next was made with it in view.
    `names` are those that may be kept; the ones that were are returned. None is where subgroups are of another length.
    """
    together = charts.design.together, before.design.together
    if charts.design.subgroup_ns != before.design.subgroup_ns or together[0] != together[1]:
        return []
    kept = [name for name in alike(before.reference, charts.reference) if name in names]
    if not kept:
        return []
    firing = [name for name in kept if before.features_firing[before.reference.names.index(name)]]
    if firing and accept:
        before.accept(firing, None, at)
    places = _KeptPlaces(*(np.array([each.reference.names.index(name) for name in kept]) for each in (before, charts)))
    theirs, mine = before._arrays(), charts._arrays()  # noqa: SLF001 - the same class's
    for name in BY_FEATURE:
        if name in mine and name in theirs:
            mine[name][places.now] = theirs[name][places.before]
    for name in BY_SECOND:
        width = min(mine[name].shape[-1], theirs[name].shape[-1])
        mine[name][:, places.now, :width] = theirs[name][:, places.before, :width]
    _take_rates(charts, before, places, mine, theirs)
    _take_levels(charts, before, places)
    _take_trailing(charts, before, places)
    charts.design.widen(charts.passing.widened)
    charts.levels.rebase()
    return kept


def _take_rates(
    charts: Charts, before: Charts, places: _KeptPlaces, mine: Mapping[str, Array], theirs: Mapping[str, Array]
) -> None:
    """Take the charts of missing, unseen and rare values."""
    many, others = len(charts.reference.names), len(before.reference.names)
    own, their = charts.design.rates, before.design.rates
    rare_before, rare = _rare(their.mass_features, own.mass_features, places)
    there = np.concatenate([places.before, others + places.before, 2 * others + rare_before])
    here = np.concatenate([places.now, many + places.now, 2 * many + rare])
    for part in OF_RATES:
        mine[f"up_{part}"][here] = theirs[f"up_{part}"][there]
        mine[f"down_{part}"][rare] = theirs[f"down_{part}"][rare_before]
    moved = dict(zip(rare_before.tolist(), rare.tolist(), strict=True))
    first = {place: row for row, place in enumerate(own.of_watched.tolist())}
    for side in ("up_leading", "down_leading"):  # of each watched feature the row in front
        for row in theirs[side].tolist():
            if row in moved:
                mine[side][first[int(own.mass_features[moved[row]])]] = moved[row]


def _rare(before: Ints, now: Ints, places: _KeptPlaces) -> tuple[Ints, Ints]:
    """Where the rare values of kept features were among all that are watched, and where they are."""
    pairs = zip(places.before.tolist(), places.now.tolist(), strict=True)
    rows = [(np.flatnonzero(before == was), np.flatnonzero(now == here)) for was, here in pairs]
    alike = [(one, other) for one, other in rows if one.size == other.size]
    none = np.empty(0, dtype=np.int64)
    return np.concatenate([none, *(one for one, _ in alike)]), np.concatenate([none, *(other for _, other in alike)])


def _take_levels(charts: Charts, before: Charts, places: _KeptPlaces) -> None:
    """Take the levels of the features, and what was watched of them."""
    mine, theirs = charts.levels, before.levels
    _take_rows(theirs._arrays(), mine._arrays(), places, lambda name, array: setattr(mine, name, array))  # noqa: SLF001
    ours, watched = mine.watch, theirs.watch
    ours.block = watched.block
    _take_rows(watched._arrays(), ours._arrays(), places, lambda name, array: setattr(ours, name, array))  # noqa: SLF001


def _take_rows(
    theirs: Mapping[str, Array], mine: Mapping[str, Array], places: _KeptPlaces, put: Callable[[str, Array], None]
) -> None:
    """Put the rows that are of kept features, whose places stand under `places`, in the order of those of now."""
    moved = dict(zip(places.before.tolist(), places.now.tolist(), strict=True))
    found = sorted((moved[place], row) for row, place in enumerate(theirs["places"].tolist()) if place in moved)
    rows = np.array([row for _, row in found], dtype=np.int64)
    for name, array in theirs.items():
        if name == "places":
            put(name, np.array([place for place, _ in found], dtype=np.int64))
            continue
        taken = np.full((len(rows), *mine[name].shape[1:]), float(name == "ratio")).astype(array.dtype)
        width = min(taken.shape[-1], array.shape[-1])
        if taken.ndim == 1:
            taken[...] = array[rows]
        else:
            taken[..., :width] = array[rows][..., :width]
        put(name, taken)


def _take_trailing(charts: Charts, before: Charts, places: _KeptPlaces) -> None:
    """Take the recent past of features that are compared with it, where their places and cells are the same."""
    mine, theirs = charts.trailing, before.trailing
    same = np.array_equal(mine.places, theirs.places) and np.array_equal(places.before, places.now)
    if same and charts.design.cells.width == before.design.cells.width and np.isin(mine.places, places.now).all():
        mine.restore(theirs.packed())
