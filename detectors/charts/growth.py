"""Sizes of what fires, over some subgroups; whether a change has become twice as large as it was, or has turned.

1. Size. An effect of one subgroup is as noisy as its rows are few: its mean, later ones weighing more.
2. As it was. Over the first subgroups in which a chart fires the mean effect and the mean deviate are learnt; they are what
   people have been told.
3. Twice as large. From then on a CUSUM (Page 1954) of the deviate less twice that of before, √n taken into account, against the
   chart's own threshold: what is not twice as large reaches it no more often than nothing would. Where it is reached and the
   effect has been twice as large on average since the sum left 0, the change has grown. Then the new size is learnt.
4. Turned. Where a mean was higher and a chart now proves that it is lower, or a spread was wider and is now narrower, that is another
   change, however large the sum of the one before still is. Its size is that of this subgroup, and is learnt on from there.
"""

import numpy as np

from detectors.charts.budget import DRIFT
from detectors.charts.design import CLIP
from detectors.charts.watch import NEVER, Watch
from detectors.features import Bools, Floats, Ints, some

LEARNING = 12  # subgroups
TWICE = 2.0
SMALLEST = 0.5  # deviate: of less nothing is known to be twice as large
MOST = 0.6  # of the threshold, that one subgroup may add
OPPOSITE = (1, 0, 3, 2)  # of location and scale, up and down: the chart that looks the other way
NONE = -1


def follow(
    watch: Watch, evidence: tuple[Floats, Floats], state: tuple[Bools, Bools], rows: int, limits: Floats
) -> Bools:
    """Take one subgroup: deviates and effects float64[f, c], what fires and what was judged bool[f, c], thresholds float64[c].

    Who has grown is returned, bool[k].
    """
    z, effects = (part[watch.places] for part in evidence)
    watch.seen = np.where(
        watch.held & (watch.fired == NEVER), 1, watch.seen + 1
    )  # what is only held begins at any time
    watch.sizes += (effects - watch.sizes) / np.minimum(watch.seen, LEARNING)[:, None]
    firing, judged = (part[watch.places] for part in state)
    _forget(watch, ~firing)
    fires = firing & judged
    learning = fires & (watch.learnt < LEARNING)
    watch.learnt = np.where(learning, watch.learnt + 1, watch.learnt)
    more = np.where(learning, 1 / np.maximum(watch.learnt, 1), 0.0)
    watch.level_z += (z - watch.level_z) * more
    watch.level_effect += (effects - watch.level_effect) * more
    watch.level_rows += (rows - watch.level_rows) * more
    return _grown(watch, fires & ~learning, np.clip(z, -CLIP, None), effects, rows, limits)


def turn(watch: Watch, effects: Floats, firing: Bools, judged: Bools) -> Ints:
    """Return the chart that newly fires of what was known to have changed the other way, int64[k], or `NONE`; to be asked before `follow`."""
    two_ways = len(OPPOSITE)
    fires, size = (firing & judged)[watch.places, :two_ways], effects[watch.places, :two_ways]
    turned = fires & (watch.learnt[:, :two_ways] == 0) & (watch.learnt[:, OPPOSITE] > 0) & (size > 0)
    return np.where(turned.any(axis=1), np.where(turned, size, -np.inf).argmax(axis=1), NONE)


def resize(watch: Watch, turned: Ints, effects: Floats) -> None:
    """Take the effects of this subgroup, float64[f, c], for the sizes of what has turned."""
    rows = np.flatnonzero(turned != NONE)
    for chart in (turned[rows], np.take(OPPOSITE, turned[rows])):
        watch.sizes[rows, chart] = effects[watch.places[rows], chart]


def _grown(watch: Watch, judged: Bools, z: Floats, effects: Floats, rows: int, limits: Floats) -> Bools:
    if not some(judged):
        return np.zeros(watch.places.size, dtype=np.bool_)
    due = TWICE * np.maximum(watch.level_z, SMALLEST) * np.sqrt(rows / np.maximum(watch.level_rows, 1.0))
    sums = np.maximum(watch.sums + np.minimum(z - due - DRIFT, MOST * limits), 0.0)
    watch.sums = np.where(judged, np.minimum(sums, TWICE * limits), watch.sums)
    rising = watch.sums > 0
    watch.run = np.where(judged, np.where(rising, watch.run + 1, 0), watch.run)
    watch.run_effect = np.where(judged, np.where(rising, watch.run_effect + effects, 0.0), watch.run_effect)
    mean = watch.run_effect / np.maximum(watch.run, 1)
    grown = judged & (watch.sums >= limits) & (mean >= TWICE * watch.level_effect)
    watch.sizes = np.where(grown, mean, watch.sizes)
    _forget(watch, np.repeat(np.asarray(grown.any(axis=1))[:, None], grown.shape[1], axis=1))
    return np.asarray(grown.any(axis=1))


def _forget(watch: Watch, which: Bools) -> None:
    """Learn these sizes anew."""
    for name in ("learnt", "level_z", "level_effect", "level_rows", "sums", "run", "run_effect"):
        array = getattr(watch, name)
        setattr(watch, name, np.where(which, np.zeros_like(array), array))
