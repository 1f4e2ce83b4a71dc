"""Tensors of 100 rows as V2 JSON beside the same rows as JSON events, to columns: the ratio of their rates a row, by processor time."""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.measure import Figures, ratio, said, spread, write
from benchmarks.traffic import BEGIN_MS, ENCODE, FEATURES, MILLI, TOPIC, calibrated, columns, events

ROWS, ROUNDS, QUICK_ROWS = 100_000, 7, 10_000
AT_ONCE = 100  # rows of a request
BATCH = 10_000  # rows of a poll
WINDOW_MS = 10_000


def requests(rows: int, datatype: str = "FP64") -> list[bytes]:
    """The events' features as V2 requests, a tensor a feature."""
    features = [json.loads(event)["features"] for event in events(rows)]
    made = []
    for begin in range(0, rows, AT_ONCE):
        part = features[begin : begin + AT_ONCE]
        tensors = [
            {"name": name, "shape": [len(part), 1], "datatype": datatype, "data": [row[name] for row in part]}
            for name in FEATURES
        ]
        made.append(ENCODE({"id": f"request-{begin:09d}", "inputs": tensors}))
    return made


def decoder(home: Path, form: str) -> Any:
    """The daemon's decoder of one format."""
    from monitor.app import build_decoders
    from monitor.configuration import load
    from monitor.settings import load_settings

    reference = home / "bench.json"
    if not reference.exists():
        calibrated(columns(), WINDOW_MS * MILLI).save(reference)
    settings = {
        "topics": [{"name": TOPIC, "format": form}],
        "models": [{"name": "bench", "reference": reference.name, "window": f"{WINDOW_MS}ms"}],
    }
    path = home / f"{form}.yaml"
    path.write_text(json.dumps(settings), encoding="utf-8")
    return build_decoders(load(load_settings(path), path.parent, needs_secrets=False))[TOPIC]


def reading(home: Path, form: str, values: list[bytes], each: int) -> Callable[[], int]:
    """A pass over all messages, a poll's at a time; how many rows it gives."""
    from monitor.sources.base import TopicRecords

    made = decoder(home, form)
    batches = []
    for begin in range(0, len(values), each):
        part = values[begin : begin + each]
        stamps = [(BEGIN_MS + begin + at) * MILLI for at in range(len(part))]
        keys, headers = [None] * len(part), [()] * len(part)
        batches.append(TopicRecords(TOPIC, [0] * len(part), part, keys=keys, stamps=stamps, headers=headers))
    return lambda: sum(map(_rows, (made.decode(batch, time.time_ns()) for batch in batches)))


def _rows(decoded: Any) -> int:
    """How many rows a poll gave; requests wait as halves for their responses."""
    return sum(len(found) for found in (*decoded.batches, *decoded.halves))


def rate(work: Callable[[], int], rows: int) -> float:
    """Rows a second of processor time."""
    began = time.process_time()
    read = work()
    spent = time.process_time() - began
    if read != rows:
        raise ValueError(f"{read} of {rows} rows were read")
    return rows / spent


def main() -> None:
    """Both in turn, in one process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    rows, rounds = (QUICK_ROWS, 1) if chosen.quick else (ROWS, chosen.rounds)
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        tensors = reading(home, "mlserver", requests(rows), BATCH // AT_ONCE)
        plain = reading(home, "json", events(rows), BATCH)
        for work in (tensors, plain):
            work()
        found = [(rate(tensors, rows), rate(plain, rows)) for _ in range(rounds)]
    ours, theirs = ([round_[at] for round_ in found] for at in range(2))
    figures: Figures = {
        "rates": {"tensors": spread(ours), "json": spread(theirs)},
        "ratios": {"tensors": ratio(ours, theirs)},
    }
    print(f"tensors: {rows:,} rows, {AT_ONCE} a request, {rounds} rounds, rows/s of processor time")
    for name, rates in figures["rates"].items():
        print(f"  {name:<10} {said(rates)}")
    print(f"  ratio      {said(figures['ratios']['tensors'], 2)}")
    write(chosen.json, figures)


if __name__ == "__main__":
    main()
