"""How often the interval of a difference of two versions holds the true one, of split and of shadow traffic: `python benchmarks/version_coverage.py`."""

import numpy as np
from scipy import stats

from detectors.performance.intervals import wilson
from detectors.performance.versions import WindowWorth, difference

FIRST, SECOND, ROWS, DRAWS = 0.90, 0.92, 200, 4000
COMMON = 0.7  # of what makes a row hard; its square is the correlation of two versions' errors, on the normal scale


def windows(rng: np.random.Generator, count: int, hard: np.ndarray, accuracy: float) -> list[WindowWorth]:
    """Accuracies of windows whose rows are so hard."""
    own = np.sqrt(1 - COMMON**2) * rng.normal(size=(count, ROWS))
    right = (COMMON * hard + own < stats.norm.ppf(accuracy)).mean(axis=1)
    return [WindowWorth(float(each), *wilson(float(each), ROWS, 0.95), ROWS) for each in right]


def coverage(rng: np.random.Generator, count: int, *, shadow: bool) -> float:
    """The share of draws in which the interval holds the true difference."""
    held = 0
    for _ in range(DRAWS):
        hard = rng.normal(size=(count, ROWS))
        other = hard if shadow else rng.normal(size=hard.shape)
        found = difference(windows(rng, count, hard, FIRST), windows(rng, count, other, SECOND))
        held += found.interval[0] <= SECOND - FIRST <= found.interval[1]
    return held / DRAWS


def main() -> None:
    """Print a row a number of windows."""
    rng = np.random.default_rng(20261129)
    for count in (1, 4, 12, 30):
        told = ", ".join(f"{name} {coverage(rng, count, shadow=name == 'shadow'):.1%}" for name in ("split", "shadow"))
        print(f"{count} windows of {ROWS} rows: {told}", flush=True)


if __name__ == "__main__":
    main()
