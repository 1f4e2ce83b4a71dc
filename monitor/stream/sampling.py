"""Which ids are kept when not all can be: those whose hash lies below a threshold that halves, the same ids wherever it is asked.

The level of an id is the number of zero bits that its hash begins with: at least L with chance 2^-L. Whoever keeps the ids of
level L and above keeps a simple random sample of all ids, whatever came first, and two who keep the same level keep the same ids
(bottom-k: Cohen and Kaplan, Summarizing data using bottom-k sketches, PODC 2007).
"""

import numpy as np
from numpy.typing import NDArray

from detectors.features import Ints

LEVELS = 41  # 0 to 40: of 2^40 ids one is left
_BITS = np.uint64(1) << np.arange(64, dtype=np.uint64)


def levels_of(hashes: NDArray[np.uint64]) -> Ints:
    """The level of each hash, int64[n].

    >>> levels_of(np.array([2**64 - 1, 2**63 - 1, 2**62, 1], dtype=np.uint64)).tolist()
    [0, 1, 1, 40]
    """
    return np.minimum(64 - np.searchsorted(_BITS, hashes, side="right"), LEVELS - 1).astype(np.int64)


def least_level(sizes: Ints, levels: Ints, most: int) -> int:
    """The lowest level at which all stores together hold at most so much.

    `sizes` int64[s, LEVELS] is what each store holds of ids of exactly that level, `levels` int64[s] the level it keeps by now.

    >>> sizes = np.zeros((1, LEVELS), dtype=np.int64)
    >>> sizes[0, :3] = 50, 25, 25
    >>> [least_level(sizes, np.array([0]), most) for most in (100, 99, 30)]
    [0, 1, 2]
    """
    held = sizes[:, ::-1].cumsum(axis=1)[:, ::-1]  # of ids of at least that level
    at_least = np.maximum(np.arange(LEVELS), levels[:, None])
    total = np.take_along_axis(held, at_least, axis=1).sum(axis=0)
    return min(int(np.count_nonzero(total > most)), LEVELS - 1)
