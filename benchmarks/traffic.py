"""The events that every benchmark reads, the daemon's configuration for them, and references that charts can work with."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

if TYPE_CHECKING:
    from detectors import Reference
    from monitor.pipeline import Pipeline

FEATURES = [f"feature_{at:02d}" for at in range(20)]
CATEGORICAL = FEATURES[10:]  # in the traffic that has some
CATEGORIES = [f"category-{at}" for at in range(10)]
BEGIN_MS = 1_763_870_700_000
MILLI = 1_000_000  # nanoseconds
REFERENCE_WINDOWS = 62  # the first and the last are left out, and fifty are needed
WINDOW_ROWS = 10_000
TOPIC = "bench"
KINDS = {
    "numeric": "20 numeric features, one model",
    "categorical": "10 numeric and 10 categorical features, one model",
    "mixed": "5 models × 2 versions, 1 feature in 20 left out, 2 features that the reference does not know",
    "lenient": "one feature of each event has a text for a number",
}
SERIES = {kind: [("bench", "1")] for kind in KINDS} | {
    "mixed": [(f"bench-{model}", str(version)) for model in range(5) for version in (1, 2)]
}
LEFT_OUT = 0.05  # share of features in mixed traffic
ENCODE = msgspec.json.Encoder().encode


def events(count: int, seed: int = 0, kind: str = "numeric") -> list[bytes]:
    """JSON events of about 600 bytes; a millisecond of event time each."""
    return [event(at, features, *SERIES[kind][at % len(SERIES[kind])]) for at, features in _features(count, seed, kind)]


def event(at: int, features: dict[str, Any], model: str = "bench", version: str = "1") -> bytes:
    """One event."""
    return ENCODE(
        {
            "id": f"request-{at:09d}",
            "ts": BEGIN_MS + at,
            "model": model,
            "version": version,
            "features": features,
            "prediction": 0.5,
            "service": "scoring-service-eu-west-1a",
        }
    )


def _features(count: int, seed: int, kind: str) -> Iterator[tuple[int, dict[str, Any]]]:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(count, len(FEATURES))).round(6).tolist()
    choices = rng.integers(len(CATEGORIES), size=(count, len(CATEGORICAL))).tolist() if kind == "categorical" else []
    gone = (rng.random((count, len(FEATURES))) < LEFT_OUT).tolist() if kind == "mixed" else []
    for at, row in enumerate(rows):
        features: dict[str, Any] = dict(zip(FEATURES, row, strict=True))
        match kind:
            case "categorical":
                features |= zip(CATEGORICAL, (CATEGORIES[one] for one in choices[at]), strict=True)
            case "mixed":
                features = {
                    name: value for (name, value), out in zip(features.items(), gone[at], strict=True) if not out
                }
                features |= {"extra_a": row[0], "extra_b": "new"}
            case "lenient":
                features["feature_07"] = "n/a"
        yield at, features


def columns(rows: int = 50_000, kind: str = "numeric") -> dict[str, Any]:
    """What a reference is made from; as much is left out as in the traffic."""
    rng = np.random.default_rng(1)
    found: dict[str, Any] = {name: rng.normal(size=rows) for name in FEATURES}
    if kind == "categorical":
        found |= {name: [CATEGORIES[one] for one in rng.integers(len(CATEGORIES), size=rows)] for name in CATEGORICAL}
    if kind == "mixed":
        found = {name: np.where(rng.random(rows) < LEFT_OUT, np.nan, column) for name, column in found.items()}
    return found


def calibrated(found: Mapping[str, Any], window_ns: int) -> "Reference":
    """A reference whose rows are spread evenly over windows as long as those to be judged, up to the first event.

    What a window holds is far less than in the traffic: a step of the charts costs the same, and a fit a tenth of a second.
    """
    from detectors import Reference

    rows = len(next(iter(found.values())))
    span = REFERENCE_WINDOWS * window_ns
    begin = BEGIN_MS * MILLI // window_ns * window_ns - span
    reference = Reference.fit(found, timestamps=begin + np.arange(rows) * (span // rows), window_ns=window_ns)
    assert reference.calibration is not None, reference.cold
    assert reference.calibration.kind == "pooled"
    return reference


def refuse_uncharted(pipeline: "Pipeline") -> None:
    """Raise where a series is not decided by the budget's charts: that is not what users run."""
    for series in pipeline.series.values():
        assert series.spec.reference.calibration is not None, f"{series.spec.key}: the reference is not calibrated"
        names = [operator.name for operator in series.features.operators]
        assert "charts" in names, f"{series.spec.key}: there are no charts"


def config(home: Path, servers: str, kind: str = "numeric", *, topic: str = TOPIC, **model: Any) -> Path:
    """The daemon's configuration: windows of 10 000 rows, every detector on each feature, charts, a rule on psi."""
    path, window = home / "bench.json", WINDOW_ROWS * len(SERIES[kind])
    if not path.exists():
        calibrated(columns(kind=kind), window * MILLI).save(path)
    shared = {"reference": path.name, "window": f"{window}ms", "lateness": "1s", **model}
    models = [{"name": name, "version": version, **shared} for name, version in SERIES[kind]]
    return write_config(home, servers, topic, models)


def write_config(home: Path, servers: str, topic: str, models: list[dict[str, Any]], port: int = 0) -> Path:
    """A configuration file, as JSON, which YAML contains."""
    rule = {"name": "psi", "detector": "psi", "fire_above": 0.25, "clear_below": 0.1}
    settings = {
        "kafka": {"bootstrap_servers": servers, "start_from": "earliest", "group_id": f"driftd-{topic}-{home.name}"},
        "topics": [{"name": topic}],
        "models": models,
        "alerting": {"rules": [rule]},
        "state": str(home / f"state-{topic}"),
        "http": {"port": port},
        "log": {"level": "error"},
    }
    path = home / f"driftd-{topic}.yaml"
    path.write_text(json.dumps(settings), encoding="utf-8")
    return path
