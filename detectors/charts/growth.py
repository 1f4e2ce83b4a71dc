"""Sizes of what fires, over some subgroups; whether a change has become twice as large as it was, or has turned.

1. Size. An effect of one subgroup is as noisy as its rows are few: its mean, later ones weighing more.
2. As it was. Over the first subgroups in which a chart fires the mean effect and the mean deviate are learnt; they are what
   people have been told.
3. Twice as large. From then on a CUSUM (Page 1954) of the deviate less twice that of before, √n taken into account, against the
   chart's own threshold: what is not twice as large reaches it no more often than nothing would. Where it is reached and the
   effect has been twice as large on average since the sum left 0, the change has grown. Then the new size is learnt.
4. Turned. Where a mean was higher and a chart now proves that it is lower, or a spread was wider and is now narrower, that is another
   change, however large the sum of the one before still is. What follows the hours of the day does so twice a day: so it has to last a
   day, or to be half as large again as what was known and clear in each subgroup. Its size is that of this subgroup, and is learnt on from there.
"""

import numpy as np

from detectors.charts.budget import DRIFT
from detectors.charts.design import CLIP
from detectors.charts.watch import NEVER, TOLD, Watch
from detectors.features import Bools, Floats, Ints, some

LEARNING = 12  # subgroups
TWICE = 2.0
SMALLEST = 0.5  # deviate: of less nothing is known to be twice as large
MOST = 0.6  # of the threshold, that one subgroup may add
PAIRS = ((0, 1), (2, 3))  # of location and scale: the charts that look up and down
NONE = -1
LASTS_NS = 86_400 * 10**9  # that a turn has to last, or to be
LARGER = 1.5  # times as large as what was known,
CLEAR = 3.0  # deviate, where that was so clear in each subgroup that it is no sum of ups and downs


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


def turn(watch: Watch, evidence: tuple[Floats, Floats], state: tuple[Bools, Bools], start: int, end: int) -> Ints:
    """Take the subgroup [start, end), as `follow` does and before it.

    Return the chart that has just proven the opposite of what was known, int64[k], or `NONE`.
    """
    (firing, judged), (z, effects) = ((part[watch.places] for part in parts) for parts in (state, evidence))
    found = np.full(watch.places.size, NONE)
    for pair, charts in enumerate(PAIRS):
        known = watch.learnt[:, charts]
        older = np.take(charts, known.argmax(axis=1))
        other = older ^ 1
        opposes = (known.max(axis=1) > 0) & (_at(effects, other) > 0)
        since, looked = watch.opposed[:, pair], judged[:, charts[0]]
        since = np.where(looked, np.where(opposes, np.where(since == NEVER, start, since), NEVER), since)
        fires = opposes & looked & (since != TOLD) & (_at(firing, other) > 0)
        larger = _at(effects, other) >= LARGER * _at(watch.level_effect, older)
        usual = _at(watch.level_z, older)
        larger &= (usual >= CLEAR) & (_at(z, other) >= LARGER * usual)  # of few rows an effect is large by chance
        turned = fires & ((end - np.where(fires, since, end) >= LASTS_NS) | larger)
        watch.opposed[:, pair] = np.where(turned, TOLD, since)
        found = np.where(turned & (found == NONE), other, found)
    return found


def _at(part: Floats | Bools, charts: Ints) -> Floats:
    """One chart of each feature, of [k, c], by int64[k]."""
    return np.take_along_axis(part, charts[:, None], axis=1)[:, 0].astype(np.float64)


def resize(watch: Watch, turned: Ints, effects: Floats) -> None:
    """Take the effects of this subgroup, float64[f, c], for the sizes of what has turned."""
    rows = np.flatnonzero(turned != NONE)
    for chart in (turned[rows], turned[rows] ^ 1):  # and the one that looks the other way
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
