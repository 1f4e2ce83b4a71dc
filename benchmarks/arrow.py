"""Rows of Arrow batches beside JSON messages, 20 features: processor time a row of one decoder, from the values to event batches, in one run."""

import gc
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import msgspec

from benchmarks.contenders import own_decoder
from benchmarks.measure import Figures, options, ratio, said, spread, write
from benchmarks.traffic import TOPIC, events

COUNT, ROUNDS = 50_000, 7
BATCH = 1_000  # rows of an Arrow batch, lines of a message
POLL = 10_000  # rows
KINDS = "numeric", "categorical"
MANY = "arrow", "json-lines", "json-batch"  # formats of many rows a message
CUT = 50  # messages, of which one is cut
Works = dict[str, Callable[[], None]]


def arrow_messages(values: list[bytes]) -> list[bytes]:
    """The same events as IPC streams of one batch each."""
    import pyarrow as pa

    table = pa.Table.from_pylist(list(map(msgspec.json.decode, values)))
    messages = []
    for batch in table.combine_chunks().to_batches(BATCH):
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_batch(batch)
        messages.append(sink.getvalue().to_pybytes())
    return messages


def column_messages(values: list[bytes]) -> list[bytes]:
    """The same events as columns: `inputs` beside times, ids and predictions."""
    events = list(map(msgspec.json.decode, values))
    messages = []
    for at in range(0, len(events), BATCH):
        rows = events[at : at + BATCH]
        beside = {name: [row[name] for row in rows] for name in ("id", "ts", "model", "version", "prediction")}
        inputs = {name: [row["features"][name] for row in rows] for name in rows[0]["features"]}
        messages.append(msgspec.json.encode(beside | {"inputs": inputs}))
    return messages


def works(home: Path, count: int, kind: str) -> Works:
    """Reading all of it by each format."""
    values = events(count, kind=kind)
    lines = [b"\n".join(values[at : at + BATCH]) for at in range(0, count, BATCH)]
    documents = [b"[" + b",".join(values[at : at + BATCH]) + b"]" for at in range(0, count, BATCH)]
    held = {"json": values, "arrow": arrow_messages(values), "json-lines": lines, "json-batch": documents}
    ways = {
        form: reading(home, messages, form, POLL if form == "json" else POLL // BATCH, kind)
        for form, messages in held.items()
    }
    ways["json-batch, columns"] = reading(home, column_messages(values), "json-batch", POLL // BATCH, kind)
    for form in MANY:  # one message in fifty cut in half
        cut = [raw[: len(raw) // 2] if at % CUT == CUT // 2 else raw for at, raw in enumerate(held[form])]
        ways[f"{form}, cut"] = reading(home, cut, form, POLL // BATCH, kind)
    return ways


def reading(home: Path, values: list[bytes], form: str, poll: int, kind: str) -> Callable[[], None]:
    """The daemon's decoder of one format, a poll at once."""
    from monitor.sources.base import TopicRecords
    from monitor.sources.decode.topic import TopicDecoder

    own = own_decoder(home, kind)
    decoder: Any = TopicDecoder(TOPIC, own.series.values(), own.fields, own.max_future, form)
    starts = range(0, len(values), poll)
    polls = [TopicRecords(TOPIC, [0] * len(values[at : at + poll]), values[at : at + poll]) for at in starts]

    def work() -> None:
        for records in polls:
            decoder.decode(records, time.time_ns())

    return work


def seconds(work: Callable[[], None]) -> float:
    """Processor time of one go."""
    gc.collect()
    began = time.process_time()
    work()
    return time.process_time() - began


def main() -> None:
    """All formats in turn, some rounds."""
    chosen = options(__doc__).parse_args()
    count, rounds = (10_000, 1) if chosen.quick else (COUNT, ROUNDS)
    figures: Figures = {}
    for kind in KINDS:
        with tempfile.TemporaryDirectory() as directory:
            ways = works(Path(directory), count, kind)
            for work in ways.values():
                work()
            found = [{name: count / seconds(work) for name, work in ways.items()} for _ in range(rounds)]
        rates = {name: [one[name] for one in found] for name in ways}
        figures[kind] = {
            "rates": {name: spread(those) for name, those in rates.items()},
            "ratios": {name: ratio(those, rates["json"]) for name, those in rates.items()},
        }
        print(f"\n{kind}: {count:,} rows, {rounds} rounds, rows a second of processor time, beside JSON")
        for name, against in figures[kind]["ratios"].items():
            print(f"  {name:<16} {said(figures[kind]['rates'][name]):<36} × {said(against, 2)}")
    write(chosen.json, figures)


if __name__ == "__main__":
    main()
