"""Whether a peer did the work: its scores of one window against scipy's, and against what theory says of the shift."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import numpy as np
from scipy.stats import ks_2samp

from benchmarks.peers.work import WIDTH, Scores, check_window, decile_psi

# Of two normal distributions half a standard deviation apart, d = 1/2. Each peer bins in its own way, hence the margin.
EXPECTED = {
    "psi": 0.25,  # d²
    "js": 0.21,  # about √(d² / 8 ln 2)
    "hellinger": 0.175,  # √(1 - exp(-d² / 8))
}
MARGIN = 0.25
SKETCHED = 0.02  # KS read off a sketch may be so far from the exact one
ALIKE = 0.01  # a p-value computed from all rows is scipy's own


@dataclass(frozen=True)
class Exact:
    """Scipy's scores of the check window."""

    ks: list[float]
    ks_p: list[float]
    psi: list[float]

    @classmethod
    def of(cls, directory: Path) -> Self:
        """Compute them from the very lines and reference that the peers read."""
        reference = np.load(directory / "reference.npy")
        rows = check_window((directory / "lines").read_bytes())
        found = [ks_2samp(before, now, method="asymp") for before, now in zip(reference.T, rows.T, strict=True)]
        return cls(
            [float(each.statistic) for each in found],
            [float(each.pvalue) for each in found],
            decile_psi(reference)(rows),
        )

    def to_dict(self) -> dict[str, list[float]]:
        """Return the scores of the first two features."""
        return {name: [float(f"{value:.3g}") for value in values[:2]] for name, values in asdict(self).items()}

    def doubt(self, scores: Scores) -> str | None:
        """Return what is wrong with a peer's scores, None when nothing is."""
        for name, values in scores.items():
            if len(values) != WIDTH:
                return f"{len(values)} scores of {name}, not {WIDTH}"
            if not self.agrees(name, np.array(values)):
                return f"{name} is {values[0]:.3g} and {values[1]:.3g}"
        return None if len(scores.keys() - {"ks_p"}) == 2 or scores.keys() == {"ks_p", "psi"} else "not two scores"

    def agrees(self, name: str, values: np.ndarray) -> bool:
        """Say whether KS is scipy's, and whether other distances are large for the shifted feature alone."""
        if name == "ks":
            return bool(np.all(np.abs(values - self.ks) <= SKETCHED))
        if name == "ks_p":
            return bool(values[0] < 1e-100 and np.all(np.abs(values - self.ks_p) <= ALIKE))
        expected = EXPECTED[name]
        return bool(abs(values[0] / expected - 1) <= MARGIN and np.all(values[1:] < expected / 2))
