"""Protobuf alone, from memory: messages of 20 features to columns, beside the same events as JSON and the official runtime."""

import gc
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import chain
from operator import attrgetter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import json

import numpy as np

from benchmarks.measure import Figures, options, ratio, said, spread, write
from benchmarks.traffic import FEATURES, TOPIC, columns, events

COUNT, ROUNDS = 30_000, 9
BATCH = 10_000
OURS, AS_MAP, BROKEN, AS_JSON, OFFICIAL = (
    "protobuf",
    "protobuf, a map",
    "protobuf, 1 % broken",
    "json",
    "official runtime",
)


def declared() -> tuple[Any, Any, bytes]:
    """The official classes of an event with a message of features and of one with a map, and the set of their descriptors."""
    from tests.parts.protobuf import classes_of, declare, file_of, set_of

    file = file_of("bench.proto", "bench", imports=())
    declare(file.message_type.add(name="Features"), dict.fromkeys(FEATURES, "double"))
    for name, features in (("Event", ".bench.Features"), ("MapEvent", "map string double")):
        fields = {"id": "string", "ts": "int64", "model": "string", "version": "string", "features": features}
        declare(file.message_type.add(name=name), fields | {"prediction": "double", "service": "string"})
    find = classes_of(file)
    return find("bench.Event"), find("bench.MapEvent"), set_of(file)


def messages(kind: Any, held: list[dict[str, Any]]) -> list[bytes]:
    """The events as Protobuf."""
    return [kind(**each).SerializeToString() for each in held]


def damaged(values: list[bytes]) -> list[bytes]:
    """One in a hundred broken off."""
    return [each[: len(each) // 2] if at % 100 == 50 else each for at, each in enumerate(values)]


def batches(values: list[bytes]) -> Iterator[list[bytes]]:
    """As a poll brings them."""
    return (values[at : at + BATCH] for at in range(0, len(values), BATCH))


def reading(values: list[bytes], format_: str, options_: Any = None) -> Callable[[], object]:
    """Driftd's decoder of a topic."""
    from detectors import Reference
    from monitor.sources.base import TopicRecords
    from monitor.sources.decode.topic import TopicDecoder
    from monitor.sources.formats.fields import FieldMap, SeriesFields
    from monitor.stream.events import SECOND, SeriesKey

    fields = FieldMap()
    series = [SeriesFields(SeriesKey("bench", "1"), Reference.fit(columns()).layout, fields)]
    decoder = TopicDecoder(TOPIC, series, fields, SECOND, format_, options=options_)
    held = [TopicRecords(TOPIC, [0] * len(batch), batch) for batch in batches(values)]
    return lambda: [decoder.decode(batch, time.time_ns()) for batch in held]


def official(kind: Any, values: list[bytes]) -> Callable[[], object]:
    """The official runtime to times and a matrix, as one would write it."""
    parse, features, row = kind.FromString, attrgetter("features"), attrgetter(*FEATURES)

    def work(batch: list[bytes]) -> object:
        found = list(map(parse, batch))
        numbers = chain.from_iterable(map(row, map(features, found)))
        matrix = np.fromiter(numbers, np.float64, len(found) * len(FEATURES)).reshape(-1, len(FEATURES))
        return np.fromiter((each.ts for each in found), np.int64, len(found)), matrix

    return lambda: list(map(work, batches(values)))


def rate(work: Callable[[], object], count: int) -> float:
    """Events a second of the processor's time, the second time."""
    work()
    gc.collect()
    began = time.process_time()
    work()
    return count / (time.process_time() - began)


def main() -> None:
    """All of them in turn, several rounds, in one process."""
    parser = options(__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    chosen = parser.parse_args()
    count, rounds = (2_000, 1) if chosen.quick else (COUNT, chosen.rounds)
    with tempfile.TemporaryDirectory() as home:
        works = all_works(Path(home), count)
    found = [{name: rate(work, count) for name, work in works.items()} for _ in range(rounds)]
    rates = {name: [one[name] for one in found] for name in works}
    ratios = {f"{name} / {other}": ratio(rates[name], rates[other]) for name, other in COMPARED}
    figures: Figures = {"rates": {name: spread(those) for name, those in rates.items()}, "ratios": ratios}
    print(
        f"\nprotobuf: {count:,} events, {rounds} rounds, events a second of the processor, median (lowest to highest)"
    )
    for name, those in figures["rates"].items():
        print(f"  {name:<36} {said(those)}")
    for name, those in figures["ratios"].items():
        print(f"  {name:<36} × {said(those, 2)}")
    write(chosen.json, figures)


COMPARED = (OURS, AS_JSON), (AS_MAP, AS_JSON), (OURS, OFFICIAL), (BROKEN, OURS)


def all_works(home: Path, count: int) -> dict[str, Callable[[], object]]:
    """What is measured."""
    from monitor.sources.formats.protobuf import Options

    event, map_event, described = declared()
    path = home / "bench.binpb"
    path.write_bytes(described)
    plain = events(count)
    held = [json.loads(each) for each in plain]
    values = messages(event, held)
    of_event, of_map = (Options(message=f"bench.{name}", descriptor_set_file=path) for name in ("Event", "MapEvent"))
    return {
        OURS: reading(values, "protobuf", of_event),
        AS_MAP: reading(messages(map_event, held), "protobuf", of_map),
        BROKEN: reading(damaged(values), "protobuf", of_event),
        AS_JSON: reading(plain, "json"),
        OFFICIAL: official(event, values),
    }


if __name__ == "__main__":
    main()
