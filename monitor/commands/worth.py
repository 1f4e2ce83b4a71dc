"""What a reference's labels say of its predictions, in a line and for programs."""

from typing import Any

import detectors
from detectors import Reference
from monitor.sections import show_duration

TOLD = {"binary": ("accuracy", "auroc"), "multiclass": ("accuracy", "macro_f1"), "regression": ("mae", "rmse")}


def worth(reference: Reference) -> str | None:
    """One line: how many rows have a label, and what the predictions were worth by them; None without labels."""
    performance = reference.performance
    if performance is None:
        return None
    metrics = performance.metrics()
    parts = [told(name, metrics[name]) for name in TOLD[performance.task]]
    many, length = performance.starts.size, show_duration(performance.window_ns)
    windows = f" in {many:,} windows of {length}" if many else ""
    left = "".join(f"; left out: {reason} {count:,}" for reason, count in performance.total.left_out.items())
    return f"labels: {performance.task}, {performance.rows:,} rows{windows}, {', '.join(parts)}{left}"


def told(name: str, metric: object) -> str:
    """A metric in words."""
    return f"{name} {metric.value:.4g}" if isinstance(metric, detectors.Measured) else f"no {name}"


def worth_document(reference: Reference) -> dict[str, Any] | None:
    """The same as plain values."""
    performance = reference.performance
    if performance is None:
        return None
    known = {key: value for key, value in performance.head().items() if key != "window_ns"}
    return {
        **known,
        "rows": performance.rows,
        "left_out": performance.total.left_out,
        "window": show_duration(performance.window_ns) if performance.starts.size else None,
        "windows": performance.starts.size,
        "metrics": {name: metric_document(metric) for name, metric in performance.metrics().items()},
    }


def metric_document(metric: "detectors.Metric") -> dict[str, Any]:
    """A value with its interval, or why there is none."""
    if isinstance(metric, detectors.Unavailable):
        return {"value": None, "because": metric.reason}
    return {"value": metric.value, "interval": metric.interval}
