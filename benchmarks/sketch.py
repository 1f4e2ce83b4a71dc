"""Counting alone: nanoseconds a value of `Sketch.update`, beside numpy's bare searchsorted and bincount."""

import statistics
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

ROWS, FEATURES, ROUNDS = 10_000, 20, 20


def main() -> None:
    """Measure in turn."""
    from detectors import Reference, Sketch, window_detectors

    rng = np.random.default_rng(0)
    names = [f"f{at}" for at in range(FEATURES)]
    reference = Reference.fit({name: rng.normal(size=50_000) for name in names})
    numeric, codes = reference.encode({name: rng.normal(size=ROWS) for name in names})
    sketch = Sketch.empty(reference.grid)
    edges = [feature.edges for feature in reference.grid.numeric]

    def bare() -> None:
        for at, edge in enumerate(edges):
            np.bincount(np.searchsorted(edge, numeric[:, at]), minlength=edge.size + 1)

    spent: dict[str, list[float]] = {"bare": [], "update": []}
    for _ in range(ROUNDS):
        for name, work in (("bare", bare), ("update", lambda: sketch.update(numeric, codes))):
            began = time.perf_counter()
            work()
            spent[name].append(time.perf_counter() - began)
    ratio = statistics.median(update / least for update, least in zip(spent["update"], spent["bare"], strict=True))
    nanos = statistics.median(spent["update"]) / (ROWS * FEATURES) * 1e9
    print(f"\nsketch: update of {ROWS:,} rows × {FEATURES} features {nanos:.0f} ns a value, {ratio:.2f} of bare numpy")
    wide = Reference.fit({f"f{at}": rng.normal(size=10_000) for at in range(500)})
    judged = []
    for _ in range(ROUNDS + 1):
        began = time.perf_counter()
        for detector in window_detectors().values():
            detector.score(wide, wide.sketch)
        judged.append(time.perf_counter() - began)
    print(f"  all window detectors on 500 features: {statistics.median(judged[1:]) * 1e3:.1f} ms, warm")


if __name__ == "__main__":
    main()
