"""A batch decoded with its rejected events kept, beside the same batch decoded alone: processor time of one process, in turn.

Kept means: found, written to a directory as lines, and synced once. Bad events are of ten kinds in turn; then all of them of one kind.
"""

import sys
import tempfile
import time
from collections import deque
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.measure import Figures, options, ratio, said, spread, write
from benchmarks.traffic import TOPIC, columns, events
from detectors import Reference
from monitor.sources.base import TopicRecords
from monitor.sources.decode.topic import TopicDecoder
from monitor.sources.formats.fields import FieldMap, SeriesFields
from monitor.store.dead_letters import DeadLetterFiles
from monitor.stream.events import SECOND, SeriesKey
from tests.fakes import NOON

COUNT, ROUNDS, QUICK = 10_000, 7, (500, 1)
SIZE = 4_000_000_000  # bytes: the directory is never full
EVENT = events(1)[0]
KINDS = {
    "cut off": EVENT[:-2],
    "empty": b"",
    "no object": b"7",
    "no UTF-8": b"\xff\xfe" + EVENT,
    "too deep": b"[" * 40,
    "no time": EVENT.replace(b'"ts"', b'"at"'),
    "a text for a time": EVENT.replace(b'"ts":1', b'"ts":"never","at":1'),
    "in the future": EVENT.replace(b'"ts":1', b'"ts":9'),
    "no object of features": EVENT.replace(b'"features":', b'"features":7,"columns":'),
    "no features": EVENT.replace(b'"features"', b'"columns"'),
}


def batch(count: int, share: float, kinds: list[bytes]) -> tuple[TopicRecords, int]:
    """Events of which this share are bad, evenly, and how many those are."""
    messages, bad = events(count), range(0, count if share else 0, round(1 / share) if share else 1)
    for number, place in enumerate(bad):
        messages[place] = kinds[number % len(kinds)]
    return TopicRecords(TOPIC, [0] * count, messages, numbers=range(count)), len(bad)


def rejected(records: TopicRecords, *, into: Path | None) -> tuple[int, float]:
    """How many rejected records were kept, and seconds of processor time; None: they are not."""
    fields, reference = FieldMap(), Reference.fit(columns(1_000))
    series = [SeriesFields(SeriesKey("bench", "1"), reference.layout, fields)]
    decoder = TopicDecoder(TOPIC, series, fields, 600 * SECOND)
    decoder.keeps_rejected = into is not None
    files = None if into is None else DeadLetterFiles(into, SIZE, drop_oldest=False)
    began = time.process_time()
    found = decoder.decode(records, NOON).rejected
    if files is not None and found:
        files.write(deque(found))
        files.secure()
    spent = time.process_time() - began
    if files is not None:
        files.close()
    return len(found), spent


def measured(records: TopicRecords, bad: int, rounds: int) -> Figures:
    """The same batch with and without, in turn, each round in a directory of its own."""
    alone, kept = list[float](), list[float]()
    for _ in range(rounds + 1):
        alone.append(rejected(records, into=None)[1])
        with tempfile.TemporaryDirectory(dir=".") as home:  # /tmp may be memory
            count, spent = rejected(records, into=Path(home) / "letters")
        kept.append(spent)
        if count != bad:
            raise ValueError(f"{count} of {bad} bad events were kept")
    alone, kept = alone[1:], kept[1:]  # the first is cold
    each = [(ours - theirs) * 1e6 / max(bad, 1) for ours, theirs in zip(kept, alone, strict=True)]
    return {
        "alone ms": spread([1e3 * took for took in alone]),
        "times": ratio(kept, alone),
        "µs a bad one": spread(each),
    }


def main() -> None:
    """Measure and print."""
    parser = options(__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    chosen = parser.parse_args()
    count, rounds = QUICK if chosen.quick else (COUNT, chosen.rounds)
    several = list(KINDS.values())
    cases = {f"{share:.0%} bad, ten kinds": (share, several) for share in (0.01, 0.1, 1.0)}
    cases = {"none bad": (0.0, several), **cases} | {
        f"all {name}": (1.0, [KINDS[name]]) for name in ("cut off", "no time")
    }
    figures: Figures = {}
    print(f"dead letters: {count:,} JSON events of 20 features, {rounds} rounds, processor time")
    for name, (share, kinds) in cases.items():
        figures[name] = found = measured(*batch(count, share, kinds), rounds)
        more = f", {said(found['µs a bad one'], 1)} µs more a bad event" if share else ""
        print(
            f"  {name:21} {said(found['alone ms'], 1)} ms decoded alone; kept × {said(found['times'], 2)}{more}",
            flush=True,
        )
    write(chosen.json, figures)


if __name__ == "__main__":
    main()
