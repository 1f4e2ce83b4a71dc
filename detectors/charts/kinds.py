"""What a chart is about: data that are broken, features that drift, or what the model says of them."""

from enum import StrEnum

from detectors.encoding import PREDICTION


class IncidentKind(StrEnum):
    """What an incident is about. Performance and service come with ground truth."""

    DRIFT = "drift"
    DATA_QUALITY = "data_quality"
    PREDICTION = "prediction"
    PERFORMANCE = "performance"
    SERVICE = "service"


KINDS = (
    IncidentKind.DRIFT,
    IncidentKind.DATA_QUALITY,
    IncidentKind.PREDICTION,
)  # of the budget's incidents, the one first that trains a model anew
QUALITY = frozenset(
    {"missing", "unseen", "rows-", "rows+", "duplicates"}
)  # charts; a model must not be trained on what they tell of


def kind_of(feature: str, chart: str) -> IncidentKind:
    """Return what a chart of a feature is about.

    >>> [kind_of(feature, chart).value for feature, chart in (("age", "shape"), ("age", "missing"), ("__prediction__", "shape"))]
    ['drift', 'data_quality', 'prediction']
    """
    if chart in QUALITY:
        return IncidentKind.DATA_QUALITY
    return IncidentKind.PREDICTION if feature == PREDICTION else IncidentKind.DRIFT
