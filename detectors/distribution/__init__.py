"""A feature's values in its baseline and in a window, side by side: the shares, and a drawing of them."""

from detectors.distribution.drawing import svg
from detectors.distribution.shares import Distribution, ShareOf, ShareRow, distribution_of
from detectors.distribution.table import Distributions, distributions_of

__all__ = ["Distribution", "Distributions", "ShareOf", "ShareRow", "distribution_of", "distributions_of", "svg"]
