"""A table against its reference: the scores of some detectors, or of all."""

from collections.abc import Sequence

from detectors.baseline import Baseline
from detectors.encoding import encode_table, window_of
from detectors.features import Ints
from detectors.panes import NO_TIME, by_pane
from detectors.plugins import DETECTORS, columns_of
from detectors.protocols import Detector, WindowDetector
from detectors.results import Scores
from detectors.scores import DriftScore
from detectors.sketches import Sketch
from detectors.tables import TableLike, library_of, times_of
from detectors.univariate.adwin import Adwin
from detectors.univariate.volume import Volume


def compare(
    baseline: Baseline,
    data: TableLike | Sketch,
    *,
    detectors: Sequence[Detector | str] | None,
    timestamp: str | None,
    prediction: str | None,
    min_rows: int,
    pane_ns: int,
    rows_per_second: float | None,
) -> Scores:
    """See `Reference.compare`. ADWIN is fed panes of `pane_ns`; `rows_per_second` is the usual rate, if known."""
    chosen = list(DETECTORS.values()) if detectors is None else [_detector(each) for each in detectors]
    names = [detector.name for detector in chosen]
    if len(set(names)) < len(names):
        raise ValueError(f"two detectors have the name {next(name for name in names if names.count(name) > 1)}")
    window = window_of(baseline.layout, data, prediction)
    found: list[DriftScore] = []
    for detector in chosen:
        match detector:
            case WindowDetector():
                found += columns_of(detector, baseline, window.tally(), min_rows).scores()
            case Adwin() if timestamp is not None:
                bank = detector.bank(baseline)
                for _, pane in by_pane(
                    baseline.layout,
                    times_of(data, timestamp),
                    *encode_table(baseline.layout, data, prediction),
                    pane_ns,
                ):
                    bank.update(pane)
                found += bank.scores(min_rows=min_rows)
            case Volume() if timestamp is not None:
                times = times_of(data, timestamp)
                found.append(detector.score(times.size, _usual_rows(times[times != NO_TIME], rows_per_second)))
            case _ if detectors is not None:
                raise ValueError(f"{detector.name} needs to know when rows came: give timestamp")
    return Scores(found, None if isinstance(data, Sketch) else library_of(data))


def _detector(chosen: Detector | str) -> Detector:
    """Return a detector, or the one of that name with its defaults."""
    if isinstance(chosen, Detector):
        return chosen
    if chosen not in DETECTORS:
        raise ValueError(f"{chosen!r} is no detector: give one such as Ks(), or a name of {', '.join(DETECTORS)}")
    return DETECTORS[chosen]


def _usual_rows(times: Ints, rate: float | None) -> float | None:
    """Return the rows that the usual rate brings in the time these came in; None where either is unknown."""
    if rate is None or times.size < 2:  # noqa: PLR2004 - one row is no span
        return None
    span = (int(times.max()) - int(times.min())) / 1e9
    return rate * span * times.size / (times.size - 1)  # the last row stands for as long as the others
