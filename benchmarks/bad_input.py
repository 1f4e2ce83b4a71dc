"""Good traffic among bad messages of every class that the tests know of: good events a second of processor time, beside the good ones alone.

Decoding, folding and judging as the daemon does, from memory. All classes come in turn. `share` of the messages are bad.
"""

import gc
import itertools
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.measure import Figures, options, ratio, said, spread, write
from monitor.sources.base import TopicRecords
from monitor.sources.decode.topic import TopicDecoder
from monitor.sources.formats.fields import FieldMap, SeriesFields
from monitor.stream.events import SECOND
from tests.build import feed, make_pipeline, make_spec
from tests.fakes import NOON
from tests.hostile import CHURN, CLASSES, REFERENCE, event

COUNT, ROUNDS, QUICK = 20_000, 7, (2_000, 1)
POLL = 2_000  # messages
SHARES = (0.01, 0.1, 0.5)


def mixed(count: int, share: float) -> list[bytes]:
    """Good messages, and evenly among them bad ones, so that those are this share of all."""
    good, bad = [event(at) for at in range(count)], itertools.cycle(CLASSES.values())
    found, owed = list[bytes](), 0.0
    for number, message in enumerate(good):
        found.append(message)
        owed += share / (1 - share)
        while owed >= 1:
            found.append(next(bad).write(number))
            owed -= 1
    return found


def reading(messages: list[bytes]) -> Callable[[], None]:
    """A pass over all of them."""
    polls = [
        TopicRecords("t", [0] * len(poll), poll)
        for poll in (messages[at : at + POLL] for at in range(0, len(messages), POLL))
    ]

    def work() -> None:
        fields = FieldMap()
        decoder = TopicDecoder("t", [SeriesFields(CHURN, REFERENCE.layout, fields)], fields, 600 * SECOND)
        pipeline = make_pipeline(make_spec(key=CHURN, reference=REFERENCE))
        for records in polls:
            feed(pipeline, *decoder.decode(records, NOON).batches, until=NOON)

    return work


def rate(work: Callable[[], None], count: int) -> float:
    """Good events a second of processor time."""
    gc.collect()
    began = time.process_time()
    work()
    return count / (time.process_time() - began)


def main() -> None:
    """Clean and mixed traffic in turn."""
    parser = options(__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    chosen = parser.parse_args()
    count, rounds = QUICK if chosen.quick else (COUNT, chosen.rounds)
    passes = {share: reading(mixed(count, share)) for share in (0.0, *SHARES)}
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
