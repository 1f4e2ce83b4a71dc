"""What the reference's own windows held: the raw material of a calibration."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from detectors.features import Floats, Ints


@dataclass(frozen=True, eq=False)
class WindowCounts:
    """The reference cut into windows of `window_ns`, aligned to the epoch; those without a row are left out.

    `starts` int64[k] rising nanoseconds; `rows` int64[k]; `cells` uint32[k, f, width] counts of usable values on merged
    cells, so that rows less their sum are missing. `together` float64[k]: how many rows the group of a row has, NaN where that
    is not told; None where rows have no groups. `grouped` int64[k] rows say theirs. `arrived` int64[k] are the rows and those that are left
    out of them, or that a sample left out, None where none is; then a window may have no row.
    """

    window_ns: int
    starts: Ints
    rows: Ints
    cells: NDArray[np.uint32]
    together: Floats | None = None
    grouped: Ints | None = None
    arrived: Ints | None = None

    def __len__(self) -> int:
        return self.starts.size

    def without_groups(self) -> "WindowCounts":
        """Return the same of rows that are on their own."""
        return replace(self, together=None, grouped=None)
