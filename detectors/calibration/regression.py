"""Least squares of many series at once: the best of several regressors beside what is known, and how sure it is."""

from dataclasses import dataclass

import numpy as np

from detectors import special
from detectors.features import Floats, Ints

NOTHING = 1e-12
MOST_AUTOCORRELATION = 0.9
FEWEST_FREE = 2.0


@dataclass(frozen=True, slots=True, eq=False)
class Best:
    """For each of s series: which regressor `at` says most, its coefficient `size`, and the `chance` of one as great, two-sided.

    `loudest`: the row that speaks most for it; `rest` float64[n, s] what it leaves; `autocorrelation` of that; `leans`: the
    same of all series together.
    """

    at: Ints
    size: Floats
    chance: Floats
    loudest: Ints
    rest: Floats
    autocorrelation: Floats
    leans: float


def left_by(values: Floats, known: Floats) -> Floats:
    """Return what the columns of `known` float64[n, p] leave of `values` float64[n, s]."""
    return _left_by(values, np.linalg.qr(known)[0])


def _left_by(values: Floats, base: Floats) -> Floats:
    return np.asarray(values - base @ (base.T @ values))


def best(values: Floats, known: Floats, regressors: Floats, leans: float | None = None) -> Best:
    """Return the best of `regressors` float64[n, k] for each of `values` float64[n, s], by a t test of it beside `known`.

    Rows that lean on the row before say less: t and its degrees of freedom shrink by (1 - a) / (1 + a), where a is the median of
    all series, or what one surely has beyond it; `leans` where it is known. Its bias is mended:
    what the regressors take from neighbours (as Durbin and Watson 1950), and 3 a / n each (Kendall 1954).
    """
    count, which = len(values), np.arange(values.shape[1])
    base = np.linalg.qr(known)[0]
    z, apart = _left_by(regressors, base), _left_by(values, base)
    norm = np.sqrt(np.square(z).sum(axis=0))
    z = np.where(norm > 1e-6, z / np.maximum(norm, NOTHING), 0.0)  # noqa: PLR2004 - what is known already
    said = z.T @ apart
    at = np.abs(said).argmax(axis=0)
    much, chosen = said[at, which], z[:, at]
    rest = apart - chosen * much
    inside = np.square(rest).sum(axis=0)
    fitted = known.shape[1] + 1
    smooth = (base[1:] * base[:-1]).sum() + (chosen[1:] * chosen[:-1]).sum(axis=0)
    lag = _lag(rest, inside) + smooth / (count - fitted)
    if leans is None:
        mended = np.clip(lag / np.maximum(1 - 3 * smooth / count, 0.2), -1, 1)
        leans = max(0.0, float(np.median(mended)) - 1 / np.sqrt(values.size))
    own = np.clip(np.maximum(lag - 1 / np.sqrt(count), leans), 0.0, MOST_AUTOCORRELATION)
    return Best(
        at,
        much / np.maximum(norm[at], NOTHING),
        _chance(np.abs(much), inside, count - fitted, own),
        np.asarray((chosen * apart * np.sign(much)).argmax(axis=0)),
        rest,
        lag,
        leans,
    )


def mean_chance(means: Floats, rows: Floats, *, at_least: Floats, more: float) -> Floats:
    """Return the two-sided chance of `means` float64[s], whose error is that of the mean of `rows` float64[n, s] times root `more`.

    Rows that lean on the row before say less, as in `best`; the error's square is `at_least` so much.
    """
    apart, count = rows - rows.mean(axis=0), len(rows)
    inside = np.square(apart).sum(axis=0)
    own = np.clip(_lag(apart, inside) + 1 / count - 1 / np.sqrt(count), 0.0, MOST_AUTOCORRELATION)
    least = at_least * more * count * (count - 1) * (1 - own) / (1 + own)
    return _chance(np.abs(means), np.maximum(inside * more, least) / count, count - 1, own)


def _lag(rest: Floats, inside: Floats) -> Floats:
    """Return the autocorrelation from row to row."""
    return np.asarray((rest[1:] * rest[:-1]).sum(axis=0) / np.maximum(inside, NOTHING))


def _chance(much: Floats, inside: Floats, free: int, autocorrelation: Floats) -> Floats:
    less = (1 - autocorrelation) / (1 + autocorrelation)
    t = much / np.sqrt(np.maximum(inside, NOTHING) / free) * np.sqrt(less)
    return np.asarray(2 * special.stdtr(np.maximum(free * less, FEWEST_FREE), -t))


def deviating(values: Floats, known: Floats, most: int, chance: float) -> list[tuple[int, float]]:
    """Return rows of one series, float64[n], that are unlike the others, and their chance; the farthest first, at most `most`.

    Externally studentised deviates, the farthest taken out before the next is looked at, so that two odd rows do not hide
    each other (generalised ESD: Rosner 1983).
    """
    base = np.linalg.qr(known)[0]
    hat = np.eye(values.size) - base @ base.T
    apart, farthest, sure = hat @ values, list[tuple[int, float]](), 0
    free = values.size - known.shape[1] - 1
    for taken in range(min(most, free - int(FEWEST_FREE))):
        own = np.maximum(np.diag(hat), NOTHING)
        squares = np.where(own > 0.1, np.square(apart) / own, 0.0)  # noqa: PLR2004 - else it is all that its level rests on
        row = int(squares.argmax())
        inside = max(float(apart @ apart) - float(squares[row]), NOTHING)
        p = float(2 * special.stdtr(free - taken, -np.sqrt(squares[row] / inside * (free - taken))))
        farthest.append((row, p))
        sure = taken + 1 if p < chance / values.size else sure
        column = hat[:, row].copy()
        apart = apart - column * (apart[row] / own[row])
        hat = hat - np.outer(column, column) / own[row]
    return farthest[:sure]
