"""Avro beside JSON: the same events decoded to columns, and fastavro's reading of the same bytes to a matrix. Processor time, ratios of one run."""

import gc
import io
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.contenders import own_decoder
from benchmarks.measure import Figures, options, ratio, said, spread, write
from benchmarks.traffic import FEATURES, TOPIC, events

COUNT, ROUNDS, BATCH = 30_000, 7, 10_000
NUMBER = 7  # of the schema
BROKEN = 100  # one message in so many
JSON, AVRO, FASTAVRO, SOME_BROKEN = "json", "avro", "fastavro to a matrix", "avro, 1 % broken"


def schema(kind: str) -> dict[str, Any]:
    """The canonical event; what a category is, is a text."""
    told = [{"name": name, "type": "double"} for name in FEATURES]
    for each in told[10:] if kind == "categorical" else ():
        each["type"] = "string"
    fields: list[dict[str, Any]] = [
        {"name": "id", "type": "string"},
        {"name": "ts", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "model", "type": "string"},
        {"name": "version", "type": "string"},
        {"name": "features", "type": {"type": "record", "name": "Features", "fields": told}},
        {"name": "prediction", "type": "double"},
        {"name": "service", "type": "string"},
    ]
    return {"type": "record", "name": "Event", "fields": fields}


def works(home: Path, count: int, kind: str, url: str) -> dict[str, Callable[[], object]]:
    """What is measured, on the same events."""
    import fastavro
    import numpy as np

    from monitor.sources.decode.topic import TopicDecoder
    from monitor.sources.formats.avro import Options

    texts = events(count, kind=kind)
    parsed = fastavro.parse_schema(schema(kind))
    framed = [_written(fastavro, parsed, json.loads(text)) for text in texts]
    broken = [raw[: len(raw) // 2] if at % BROKEN == 0 else raw for at, raw in enumerate(framed)]
    plain = own_decoder(home, kind)
    registry = Options.model_validate({"registry": {"url": url}})
    avro = TopicDecoder(TOPIC, plain.series.values(), plain.fields, plain.max_future, "avro", options=registry)

    def matrix() -> object:
        found = []
        for raw in framed:
            row = fastavro.schemaless_reader(io.BytesIO(raw[5:]), parsed, None)
            found.append([*row["features"].values(), row["prediction"]])
        return np.array(found, dtype=np.float64)

    own = {JSON: _decoding(plain, texts), AVRO: _decoding(avro, framed), SOME_BROKEN: _decoding(avro, broken)}
    return own if kind == "categorical" else own | {FASTAVRO: matrix}


def _written(fastavro: Any, parsed: Any, event: dict[str, Any]) -> bytes:
    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, parsed, event)
    return b"\x00" + NUMBER.to_bytes(4, "big") + stream.getvalue()


def _decoding(decoder: Any, values: list[bytes]) -> Callable[[], object]:
    from monitor.sources.base import TopicRecords

    starts = range(0, len(values), BATCH)
    batches = [TopicRecords(TOPIC, [0] * len(values[at : at + BATCH]), values[at : at + BATCH]) for at in starts]
    return lambda: [decoder.decode(batch, time.time_ns()) for batch in batches]


def rate(work: Callable[[], object], count: int) -> float:
    """Events a second of processor time."""
    gc.collect()
    began = time.process_time()
    work()
    return count / (time.process_time() - began)


def main() -> None:
    """Each in turn, round by round."""
    from tests.parts.registry import Registry

    chosen = options(__doc__).parse_args()
    count, rounds = (5_000, 2) if chosen.quick else (COUNT, ROUNDS)
    figures: Figures = {}
    for kind in ("numeric", "categorical"):
        with tempfile.TemporaryDirectory() as home, Registry() as registry:
            registry.add(NUMBER, json.dumps(schema(kind)))
            todo = works(Path(home), count, kind, registry.url)
            for work in todo.values():
                work()
            found = {name: list[float]() for name in todo}
            for _ in range(rounds):
                for name, work in todo.items():
                    found[name].append(rate(work, count))
        figures[kind] = {name: spread(rates) for name, rates in found.items()}
        print(f"\navro: {count:,} {kind} events, {rounds} rounds, events a second of processor time")
        for name, rates in figures[kind].items():
            print(f"  {name:<26} {said(rates)}")
        others = [JSON, FASTAVRO] if FASTAVRO in found else [JSON]
        figures[kind]["ratios"] = {name: ratio(found[AVRO], found[name]) for name in others}
        figures[kind]["ratios"][SOME_BROKEN] = ratio(found[SOME_BROKEN], found[AVRO])
        for name, figure in figures[kind]["ratios"].items():
            words = f"{SOME_BROKEN} ÷ avro" if name == SOME_BROKEN else f"avro ÷ {name}"
            print(f"  {words:<32} {said(figure, 2)}")
    write(chosen.json, figures)


if __name__ == "__main__":
    main()
