"""How bad a change is, by its size in a person's terms: a note, a warning, or a page that cannot wait."""

from monitor.alerting.rules import Severity

NOTABLE = {
    "location": 0.25,
    "scale": 0.25,
    "mass": 0.05,
}  # sigma, relative change of the spread, share of the rows: critical
NOTABLE_SHAPE = 0.5  # of a number: relative change of its cells, root mean square
RATES = frozenset({"missing", "unseen", "duplicates"})
FEW_POINTS, MANY_POINTS = 0.005, 0.05  # of a rate: a warning if it has doubled too, critical
FOURFOLD = 2.0  # doublings of the number of rows
RANKS = (Severity.INFO, Severity.WARNING, Severity.CRITICAL)


def severity_of(chart: str, size: float, *, usual: float = 0.0, numeric: bool = True) -> Severity:
    """Return how bad a change is that a chart has found.

    `size` as `effect` of the evidence, `usual` the usual rate of missing or unseen values, or of duplicates; `numeric`: the feature is a number.

    >>> [severity_of("missing", size, usual=0.01).value for size in (0.004, 0.008, 0.02, 0.06)]
    ['info', 'info', 'warning', 'critical']
    >>> severity_of("location-", -0.3), severity_of("shape", 0.03, numeric=False)
    (<Severity.CRITICAL: 'critical'>, <Severity.WARNING: 'warning'>)
    """
    name, size = chart.rstrip("+-"), abs(size)
    if name in RATES:
        if size >= MANY_POINTS:
            return Severity.CRITICAL
        return Severity.WARNING if size >= max(FEW_POINTS, usual) else Severity.INFO
    return Severity.CRITICAL if size >= _notable(name, numeric=numeric) else Severity.WARNING


def _notable(name: str, *, numeric: bool) -> float:
    if name == "shape":
        return NOTABLE_SHAPE if numeric else NOTABLE["mass"]
    return FOURFOLD if name == "rows" else NOTABLE.get(name, 0.0)


def is_worse(one: Severity, other: Severity) -> bool:
    """Whether one is worse than the other."""
    return RANKS.index(one) > RANKS.index(other)


def worst_severity(*severities: Severity) -> Severity:
    """The worst of some, info where there are none."""
    return max(severities, key=RANKS.index, default=Severity.INFO)
