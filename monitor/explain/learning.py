"""What a cold reference learns from live traffic, as plain values for JSON."""

from typing import Any

from detectors.reference.live import Difference
from monitor.facts import CalibrationLearning, CalibrationLearnt, ServiceJudged, ServiceLearnt
from monitor.stream.events import DAY

MOST_DIFFERENCES = 50
DIGITS = 4


def learning_item(learning: CalibrationLearning) -> dict[str, Any]:
    """How far it has come."""
    return {
        "words": learning.words,
        "days": round(learning.learnt / DAY, DIGITS),
        "of_days": round(learning.wanted / DAY, DIGITS),
        "windows": learning.windows,
        "of_windows": learning.needed,
        "apart": learning.apart,
        "why": learning.why or None,
    }


def learnt_item(learnt: CalibrationLearnt) -> dict[str, Any]:
    """What was learnt, and how far the training set lies from it: the furthest features, and how many there are."""
    return {
        "calibration": learnt.calibration,
        "windows": learnt.windows,
        "days": round(learnt.span / DAY, DIGITS),
        "training": learnt.before,
        "reference": learnt.after,
        "differing": len(learnt.differs),
        "differs": [difference_item(each) for each in learnt.differs[:MOST_DIFFERENCES]],
        "changes": list(learnt.changes),
    }


def service_item(learnt: ServiceLearnt) -> dict[str, Any]:
    """What was learnt of how requests are served."""
    return {
        "calibration": learnt.calibration,
        "windows": learnt.windows,
        "days": round(learnt.span / DAY, DIGITS),
        "of": list(learnt.service.profile.names),
        "before": learnt.before,
        "reference": learnt.after,
        "changes": list(learnt.changes),
    }


def difference_item(difference: Difference) -> dict[str, Any]:
    """How far one feature lies from the training set."""
    shift = difference.shift
    return {
        "feature": difference.feature,
        "psi": round(difference.psi, DIGITS),
        "shift_sigma": None if shift is None else round(shift, DIGITS),
        "missing": round(difference.missing, DIGITS),
        "unseen": round(difference.unseen, DIGITS),
        "words": difference.words,
    }


def judged_item(judged: ServiceJudged) -> dict[str, Any]:
    """One subgroup of the charts, but its times."""
    return {
        "requests": judged.requests,
        "latency_seconds": {
            f"p{100 * each.share:g}": {"now": _figures(each.now), "usual": _figures(each.usual)}
            for each in judged.latencies
        },
        "errors": None
        if judged.usual_error_rate is None
        else {"ratio": _figures(judged.error_rate), "usual": _figures(judged.usual_error_rate)},
        "firing": list(judged.told),
    }


def _figures(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")
