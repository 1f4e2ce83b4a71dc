"""Tensors of 100 rows as V2 JSON beside the same rows as JSON events, to columns: the ratios of their rates a row, by processor time.

Requests wait as halves for their responses, with the ids that these have; so do JSON events of a topic of requests, and whole events do not.
One request in a hundred is cut off in one pass; in another the tensors lie behind the JSON (`binary_data_size`).
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

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


def behind(values: list[bytes]) -> list[bytes]:
    """The same requests with their tensors behind the JSON."""
    made = []
    for value in values:
        held, written = json.loads(value), b""
        for tensor in held["inputs"]:
            raw = np.array(tensor.pop("data"), dtype=np.float64).tobytes()
            tensor["parameters"] = {"binary_data_size": len(raw)}
            written += raw
        made.append(ENCODE(held) + written)
    return made


def cut(values: list[bytes]) -> list[bytes]:
    """The same, every hundredth without its second half."""
    return [value[: len(value) // 2] if at % 100 == AT_ONCE // 2 else value for at, value in enumerate(values)]


def decoder(home: Path, form: str, **more: str) -> Any:
    """The daemon's decoder of one format."""
    from monitor.app import build_decoders
    from monitor.configuration import load
    from monitor.settings import load_settings

    reference = home / "bench.json"
    if not reference.exists():
        calibrated(columns(), WINDOW_MS * MILLI).save(reference)
    settings = {
        "topics": [
            {"name": TOPIC, "format": form, **more},
            *([{"name": "answers", "half": "response"}] if more else []),
        ],
        "models": [{"name": "bench", "reference": reference.name, "window": f"{WINDOW_MS}ms"}],
    }
    path = home / f"{form}.yaml"
    path.write_text(json.dumps(settings), encoding="utf-8")
    return build_decoders(load(load_settings(path), path.parent, needs_secrets=False))[TOPIC]


def reading(home: Path, form: str, values: list[bytes], each: int, **more: str) -> Callable[[], int]:
    """A pass over all messages, a poll's at a time; how many rows it gives."""
    from monitor.sources.base import TopicRecords

    made = decoder(home, form, **more)
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
        sent, plain = requests(rows), events(rows)
        broken = rows - sum(AT_ONCE for at in range(len(sent)) if at % 100 == AT_ONCE // 2)
        passes = {
            "tensors": (reading(home, "mlserver", sent, BATCH // AT_ONCE), rows),
            "1 % cut off": (reading(home, "mlserver", cut(sent), BATCH // AT_ONCE), broken),
            "behind the JSON": (reading(home, "mlserver", behind(sent), BATCH // AT_ONCE), rows),
            "json": (reading(home, "json", plain, BATCH), rows),
            "json requests": (reading(home, "json", plain, BATCH, half="request"), rows),
        }
        for work, _ in passes.values():
            work()
        rates = {name: list[float]() for name in passes}
        for _ in range(rounds):
            for name, (work, wanted) in passes.items():
                rates[name].append(rate(work, wanted))
    tensors = rates["tensors"]
    figures: Figures = {
        "rates": {name: spread(held) for name, held in rates.items()},
        "ratios": {
            "tensors": ratio(tensors, rates["json"]),
            "requests": ratio(tensors, rates["json requests"]),
            "broken": ratio(rates["1 % cut off"], tensors),
            "behind": ratio(rates["behind the JSON"], rates["json"]),
        },
    }
    print(f"tensors: {rows:,} rows, {AT_ONCE} a request, {rounds} rounds, rows/s of processor time")
    for name, held in figures["rates"].items():
        print(f"  {name:<24} {said(held)}")
    for name, words in (
        ("tensors", "÷ JSON events"),
        ("requests", "÷ JSON requests"),
        ("broken", "1 % cut off ÷ whole"),
        ("behind", "behind JSON ÷ JSON events"),
    ):
        print(f"  {words:<24} {said(figures['ratios'][name], 2)}")
    write(chosen.json, figures)


if __name__ == "__main__":
    main()
