"""The traffic of all benchmarks among bad messages of every class that the tests know of: good events a second of processor time, beside those alone.

Decoding, folding and judging as the daemon does, from memory. The classes come in turn, those of a hundred kilobytes and of a megabyte too.
"""

import gc
import itertools
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.measure import Figures, options, ratio, said, spread, write
from benchmarks.traffic import MILLI, TOPIC, WINDOW_ROWS, calibrated, columns, events
from detectors import Reference
from detectors.charts import BudgetSpec
from monitor.sources.base import TopicRecords
from monitor.sources.decode.topic import TopicDecoder
from monitor.sources.formats.fields import FieldMap, SeriesFields
from monitor.stream.events import SECOND, SeriesKey
from tests.build import feed, make_pipeline, make_spec
from tests.fakes import NOON
from tests.hostile import CHURN, CLASSES
from tests.hostile import REFERENCE as HOSTILE

COUNT, ROUNDS, QUICK = 20_000, 7, (2_000, 1)
POLL = 10_000  # messages, as the daemon takes them at most
WINDOW = WINDOW_ROWS * MILLI
SHARES = (0.01, 0.1, 0.5)


def mixed(count: int, share: float) -> list[bytes]:
    """Good messages, and evenly among them bad ones, so that those are this share of all."""
    bad, found, owed = itertools.cycle(CLASSES.values()), list[bytes](), 0.0
    for number, message in enumerate(events(count)):
        found.append(message)
        owed += share / (1 - share)
        while owed >= 1:
            found.append(next(bad).write(number))
            owed -= 1
    return found


def reading(messages: list[bytes], reference: Reference) -> Callable[[], int]:
    """A pass over all of them; how many good events were read."""
    polls = [
        TopicRecords(TOPIC, [0] * len(poll), poll)
        for poll in (messages[at : at + POLL] for at in range(0, len(messages), POLL))
    ]
    key, fields = SeriesKey("bench", "1"), FieldMap()
    held = {key: reference, CHURN: HOSTILE}

    def work() -> int:
        series = [SeriesFields(each, known.layout, fields) for each, known in held.items()]
        decoder = TopicDecoder(TOPIC, series, fields, 600 * SECOND)
        specs = [make_spec(key=each, reference=known, length=WINDOW, plan=BudgetSpec()) for each, known in held.items()]
        pipeline, read = make_pipeline(*specs), 0
        for records in polls:
            batches = decoder.decode(records, NOON).batches
            times = [int(batch.event_times.max()) for batch in batches if batch.key == key]
            read += sum(len(batch) for batch in batches if batch.key == key)
            feed(pipeline, *batches, until=max(times))
        return read

    return work


def rate(work: Callable[[], int], count: int) -> float:
    """Good events a second of processor time."""
    gc.collect()
    began = time.process_time()
    read = work()
    spent = time.process_time() - began
    if read != count:
        raise ValueError(f"{read} of {count} good events were read")
    return count / spent


def main() -> None:
    """Clean and mixed traffic in turn."""
    parser = options(__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    chosen = parser.parse_args()
    count, rounds = QUICK if chosen.quick else (COUNT, chosen.rounds)
    reference = calibrated(columns(), WINDOW)
    passes = {share: reading(mixed(count, share), reference) for share in (0.0, *SHARES)}
    rates: dict[float, list[float]] = {share: [] for share in passes}
    for work in passes.values():
        work()
    for _ in range(rounds):
        for share, work in passes.items():
            rates[share].append(rate(work, count))
    figures: Figures = {
        "classes": len(CLASSES),
        "rates": {str(share): spread(found) for share, found in rates.items()},
        "ratios": {str(share): ratio(rates[share], rates[0.0]) for share in SHARES},
    }
    print(
        f"bad input: {count:,} good events, {len(CLASSES)} classes of bad ones, {rounds} rounds, good events/s of processor time"
    )
    print(f"  none bad      {said(figures['rates']['0.0'])}")
    for share in SHARES:
        print(f"  {share:4.0%} bad      × {said(figures['ratios'][str(share)], 2)}")
    write(chosen.json, figures)


if __name__ == "__main__":
    main()
