"""Counting alone: nanoseconds a value of `Sketch.update`, compiled and in numpy, beside bare searchsorted and bincount."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np

from benchmarks.measure import Figures, options, ratio, said, spread, write
from detectors import Reference, Sketch
from detectors.sketches.counting import COMPILED, numpy_counter

FEATURES, FITTED, ROUNDS, QUICK_ROUNDS = 20, 50_000, 25, 2
SIZES = {"batch": 10_000, "small": 10}  # rows: one model's whole batch; its share where a thousand models write
TIMES = {"batch": 1, "small": 200}  # calls in one measurement
Work = Callable[[], object]


def main() -> None:
    """Measure everything in turn, round by round."""
    given = options(__doc__).parse_args()
    rounds = QUICK_ROUNDS if given.quick else ROUNDS
    figures: Figures = {"features": FEATURES, "compiled": COMPILED}
    for kind, reference in references().items():
        for size, rows in SIZES.items():
            figures[f"{kind} {size}"] = compare(reference, kind, rows, TIMES[size], rounds)
    report(figures)
    write(given.json, figures)


def references() -> dict[str, Reference]:
    """Twenty numeric features; ten and ten categorical ones."""
    numbers = {f"n{at}": values(FITTED, seed=at) for at in range(FEATURES)}
    texts = {f"c{at}": texts_of(FITTED, seed=at) for at in range(FEATURES // 2)}
    half = dict(list(numbers.items())[: FEATURES // 2])
    return {"numeric": Reference.fit(numbers), "mixed": Reference.fit(half | texts)}


def values(rows: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=rows)


def texts_of(rows: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 10, rows).astype(str)


def compare(reference: Reference, kind: str, rows: int, times: int, rounds: int) -> Figures:
    """Nanoseconds a value of each way, and ratios to bare numpy."""
    works = contenders(reference, rows)
    spent: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            spent[name].append(seconds(work, times) / (rows * FEATURES) * 1e9)
    bare = spent["numpy alone"]
    return {
        "rows": rows,
        "ns a value": {name: spread(found) for name, found in spent.items()},
        "of numpy alone": {name: ratio(found, bare) for name, found in spent.items() if found is not bare},
        "kind": kind,
    }


def contenders(reference: Reference, rows: int) -> dict[str, Work]:
    """The bare work, and what `update` does by each path there is."""
    grid = reference.layout
    columns = {f.name: values(rows, seed=at) for at, f in enumerate(grid.numeric)}
    columns |= {f.name: texts_of(rows, seed=at) for at, f in enumerate(grid.categorical)}
    numeric, codes = reference.encode(columns)
    sketch, counts = Sketch.empty(grid), np.zeros(grid.size, np.int64)

    def bare() -> None:
        for at, feature in enumerate(grid.numeric):
            np.bincount(np.searchsorted(feature.edges, numeric[:, at]), minlength=feature.edges.size + 1)
        for at, category in enumerate(grid.categorical):
            np.bincount(codes[:, at], minlength=category.usable)

    works: dict[str, Work] = {"numpy alone": bare}
    works["pure"] = lambda: numpy_counter(grid).count(numeric, codes, counts)
    if COMPILED:
        works["compiled"] = lambda: sketch.update(numeric, codes)
    return works


def seconds(work: Work, times: int) -> float:
    began = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - began) / times


def report(figures: Figures) -> None:
    print(f"\nsketch: counting into {FEATURES} features, ns a value, median (lowest to highest)")
    for found in (one for one in figures.values() if isinstance(one, dict)):
        print(f"  {found['rows']:,} rows, {found['kind']}")
        for name, nanos in found["ns a value"].items():
            call = nanos["median"] * found["rows"] * FEATURES / 1e3
            beside = found["of numpy alone"].get(name)
            share = f", {said(beside, 3)} of numpy alone" if beside else ""
            print(f"    {name:12} {said(nanos, 1)}; {call:,.1f} µs a call{share}")
    if not figures["compiled"]:
        print("  the compiled part is not built or not wanted (DRIFTD_PURE=1)")


if __name__ == "__main__":
    main()
