"""The plain rule that driftd is compared with: a window's mean beyond 3 sd of the reference's windows, three in a row."""

import numpy as np

from detectors.features import Bools, Floats

BEYOND = 3.0  # standard deviations
IN_A_ROW = 3


class PlainRule:
    """Of one model; it knows no hours, no rows and no budget. One incident, open while any feature is beyond."""

    def __init__(self, means: Floats) -> None:
        """`means` float64[w, f] of the reference's windows; a text counts by the share of its first category."""
        self._middle = np.nanmean(means, axis=0)
        self._sd = np.nanstd(means, axis=0, ddof=1)
        self._beyond = np.zeros(means.shape[1], dtype=np.int64)
        self.pages = self.windows = self.open_windows = 0
        self.open = False

    def take(self, means: Floats) -> Bools:
        """See a window's means, float64[f]; which features alarm now."""
        with np.errstate(invalid="ignore"):
            far = np.abs(means - self._middle) > BEYOND * self._sd
        self._beyond = np.where(far, self._beyond + 1, 0)
        alarmed = np.asarray(self._beyond >= IN_A_ROW)
        self.pages += bool(alarmed.any()) and not self.open
        self.open = bool(alarmed.any())
        self.windows += 1
        self.open_windows += self.open
        return alarmed
