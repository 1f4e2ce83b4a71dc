"""What every peer is given alike: lines in memory, decoding to a matrix, windows, a clock, one core.

Runs in each peer's own environment and needs numpy and msgspec only. A peer is one function: from the reference it
makes another one, which turns the rows of a window into named lists of scores, one a feature.
"""

import argparse
import gc
import json
import os
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

WINDOW_ROWS = 10_000
LEAST_WINDOWS = 3
SHIFT = 0.5  # standard deviations, added to the first feature of the window on which the scores are checked
WIDTH = 20
NAMES = [f"feature_{at:02d}" for at in range(WIDTH)]

Matrix = NDArray[np.float64]
Scores = dict[str, list[float]]
Judge = Callable[[Matrix], Scores]

Features = msgspec.defstruct("Features", [(name, float) for name in NAMES], gc=False)
Event = msgspec.defstruct("Event", [("features", Features)], gc=False)
decode_lines = msgspec.json.Decoder(Event).decode_lines


def decode(lines: bytes) -> Matrix:
    """Return one row an event: the fastest of four ways tried with msgspec, without an array an event."""
    events: list[Any] = decode_lines(lines)
    rows = [msgspec.structs.astuple(event.features) for event in events]
    return np.fromiter(chain.from_iterable(rows), np.float64, len(rows) * WIDTH).reshape(-1, WIDTH)


def blocks(lines: bytes, rows: int) -> Iterator[bytes]:
    """Cut the file into runs of so many lines; a last shorter one is left out."""
    begin = 0
    ends = np.flatnonzero(np.frombuffer(lines, np.uint8) == ord("\n"))[rows - 1 :: rows] + 1
    for end in ends.tolist():
        yield lines[begin:end]
        begin = end


def check_window(lines: bytes) -> Matrix:
    """Return the first window with its first feature shifted, so that one score is large and the others are chance."""
    rows = decode(next(blocks(lines, WINDOW_ROWS)))
    rows[:, 0] += SHIFT
    return rows


def decile_psi(reference: Matrix) -> Callable[[Matrix], list[float]]:
    """Return PSI over reference deciles by hand, for peers that have none of their own."""
    deciles = np.arange(1, 10) / 10
    columns = reference.T
    edges = [np.quantile(column, deciles) for column in columns]
    before = [shares(column, edge) for column, edge in zip(columns, edges, strict=True)]

    def judge(rows: Matrix) -> list[float]:
        now = [shares(column, edge) for column, edge in zip(rows.T, edges, strict=True)]
        return [float(np.sum((q - p) * np.log(q / p))) for p, q in zip(before, now, strict=True)]

    return judge


def shares(column: Matrix, edges: Matrix) -> Matrix:
    """Return the share of each bin; half a row more in each keeps the logarithm finite."""
    counts = np.bincount(np.searchsorted(edges, column), minlength=edges.size + 1) + 0.5
    return np.asarray(counts / counts.sum(), dtype=np.float64)


def measure(judge: Judge, given: list[bytes], seconds: float) -> dict[str, float]:
    """Decode and judge block after block; stops after `seconds` of CPU, not before three windows."""
    rows, judging = 0, 0.0
    began, used = time.perf_counter(), time.process_time()
    for block in given:
        matrix = decode(block)
        decoded = time.process_time()
        judge(matrix)
        judging += time.process_time() - decoded
        rows += len(matrix)
        if time.process_time() - used > seconds and rows >= LEAST_WINDOWS * WINDOW_ROWS:
            break
    return {
        "events": rows,
        "events_per_second": rows / (time.perf_counter() - began),
        "events_per_cpu_second": rows / (time.process_time() - used),
        "detect_only": rows / judging,
    }


def run(distribution: str, prepare: Callable[[Matrix], Judge], *, windows_at_once: int = 1) -> None:
    """Measure this peer and print one line of JSON; the window on which scores are checked warms it up."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--lines", type=Path, required=True)
    parser.add_argument("--reference", type=Path, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):  # Linux; elsewhere the thread limits of the runner must do
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    lines = options.lines.read_bytes()
    judge = prepare(np.load(options.reference))
    scores = judge(check_window(lines))
    gc.collect()
    gc.disable()  # for every peer: what it leaves behind in a few windows fits in memory
    given = list(blocks(lines, WINDOW_ROWS * windows_at_once)) or [lines]
    found = measure(judge, given, options.seconds)
    print(json.dumps({**found, "version": metadata.version(distribution), "scores": scores}))
