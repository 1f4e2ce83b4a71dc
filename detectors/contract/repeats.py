"""Which values came before, exactly but for a collision of 64-bit hashes, in 8 bytes a row."""

import numpy as np
from numpy.typing import NDArray

from detectors.columns import Coded, Column, as_written_floats
from detectors.contract.values import EXACT
from detectors.features import Bools, canonical
from detectors.spellings import plain

Keys = NDArray[np.uint64]
SMALLEST, LARGEST = -(2**63), 2**63 - 1
ODD, MASK = 0x9E3779B97F4A7C15, (1 << 64) - 1
MIX = (30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1)  # splitmix64's finaliser (Steele and others 2014)


class Seen:
    """The keys of all rows so far, as sorted runs, each at least twice as long as the next: n rows cost n log² n."""

    def __init__(self) -> None:
        self._runs: list[Keys] = []

    def repeated(self, keys: Keys) -> Bools:
        """Say which of these keys came before, in earlier rows of these as well, bool[n]; and remember them."""
        order = np.argsort(keys, kind="stable")
        rising = keys[order]
        first = np.ones(keys.size, dtype=np.bool_)
        first[1:] = rising[1:] != rising[:-1]
        for run in self._runs:  # looked up in rising order, near one another
            places = np.minimum(np.searchsorted(run, rising), run.size - 1)
            first &= run[places] != rising
        self._add(rising[first])
        again = np.empty(keys.size, dtype=np.bool_)
        again[order] = ~first
        return again

    def _add(self, run: Keys) -> None:
        if not run.size:
            return
        self._runs.append(run)
        while len(self._runs) > 1 and self._runs[-2].size < 2 * self._runs[-1].size:
            last = self._runs.pop()
            both = np.concatenate([self._runs[-1], last])
            self._runs[-1] = np.sort(both, kind="stable")  # two rising runs: merged in one go


def keys_of(column: Column) -> tuple[Keys, Bools]:
    """A key of each row's value, uint64[n], and which rows have one that tells, bool[n]. 1, 1.0 and "1" are one value.

    A float above 2⁵³ tells no whole number from the next, so it is not judged.
    """
    if isinstance(column, Coded):
        read = [_key(value) for value in column.values]
        keys = np.array([key or 0 for key in read], dtype=np.uint64)[column.rows]
        return np.asarray(keys), np.array([key is not None for key in read], dtype=np.bool_)[column.rows]
    match column.dtype.kind:
        case "i" | "b":
            return _mixed(column.astype(np.int64).view(np.uint64)), np.ones(column.size, dtype=np.bool_)
        case "u":
            return _mixed(column.astype(np.uint64)), np.ones(column.size, dtype=np.bool_)
        case "M":
            return _mixed(column.astype("datetime64[ns]").view(np.uint64)), ~np.isnat(column)
    floats = as_written_floats(column)
    whole = np.floor(floats) == floats
    known = np.isfinite(floats) & ~(whole & (np.abs(floats) > EXACT))
    integers = np.where(whole & known, floats, 0.0).astype(np.int64).view(np.uint64)
    return np.where(whole, _mixed(integers), _mixed(floats.view(np.uint64) ^ np.uint64(ODD))), known


def _key(value: object) -> int | None:
    """The key of one value; None where there is none."""
    if isinstance(value, float) and abs(value) > EXACT:
        return None
    text = canonical(value)
    if text is None or text == "":
        return None
    said = plain(text)
    if said.removeprefix("-").isdecimal() and str(int(said[:20])) == said and SMALLEST <= int(said) <= LARGEST:
        return _mix(int(said) & MASK)
    try:
        number = float(said)
        if repr(number) == said and np.isfinite(number):
            return _mix(int(np.float64(number).view(np.uint64)) ^ ODD)
    except ValueError:
        pass
    return hash(said) & MASK  # of this process alone, which is long enough


def _mixed(keys: Keys) -> Keys:
    """Spread keys over 64 bits, one to one."""
    mixed = keys
    for shift, times in MIX:
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(times)
    return mixed


def _mix(key: int) -> int:
    for shift, times in MIX:
        key = ((key ^ (key >> shift)) * times) & MASK
    return key
