"""The same by Dask: two functions for each part, one that puts together. Ray, Beam or a pool of processes do it likewise."""

from collections.abc import Mapping

import dask
import numpy as np
import pyarrow as pa

import driftd
from driftd.parts import CountingPass, PaneFold, count_tables, merge_panes, put_together

draw = np.random.default_rng(7)
rows = 50_000
table = pa.table(
    {
        "amount": np.where(draw.random(rows) < 0.1, 49.9, draw.lognormal(3, 1, rows)),
        "plan": draw.choice(["free", "pro"], rows, p=[0.7, 0.3]),
        "score": draw.beta(2, 5, rows),
        "at": 1_763_870_700_000_000_000 + draw.integers(0, 14 * 86_400 * 10**9, rows),
    }
)
parts = [table.slice(first, 9_000) for first in range(0, rows, 9_000)]


def everywhere(counting: CountingPass) -> Mapping[str, bytes]:
    """Make a pass over every part: each is a task, and gives counts."""
    tasks = [dask.delayed(count_tables)(counting, [part]) for part in parts]
    return put_together(counting, dask.compute(*tasks, scheduler="processes"))


def panes_of(fold: PaneFold, part: pa.Table) -> list[tuple[int, bytes]]:
    """Fold one part."""
    return list(fold([part]))


if __name__ == "__main__":
    reference = driftd.Reference.fit_parts(everywhere, prediction="score", timestamp="at", window_ns=3600 * 10**9)
    fold = PaneFold.of(reference, pane="1h", timestamp="at", prediction="score")
    folded = dask.compute(*[dask.delayed(panes_of)(fold, part) for part in parts], scheduler="processes")
    panes = merge_panes(reference, [pane for part in folded for pane in part])

    alone = driftd.Reference.fit(table, prediction="score", timestamp="at", window="1h", any_order=True)
    print(f"{reference}, the same hash: {reference.hash == alone.hash}")
    print(f"{len(panes)} panes, the same bytes: {panes == merge_panes(reference, fold([table]))}")
