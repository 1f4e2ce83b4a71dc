"""Decoding alone, from memory: events a second to columns, beside msgspec's bare typed decoding of the same bytes."""

import gc
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.contenders import own_decoder, plain_decoder
from benchmarks.measure import Figures, child, options, ratio, said, spread, write
from benchmarks.traffic import KINDS, TOPIC, events

COUNT, ROUNDS = 30_000, 3
BATCH = 10_000
PLAIN = "plain matrix"  # what everything is divided by


def once(count: int, *, pure: bool) -> dict[str, float]:
    """The rates in this process: all kinds of traffic, and the baseline where nothing is driftd's."""
    works: dict[str, Callable[[], object]] = {}
    with tempfile.TemporaryDirectory() as directory:
        for kind in KINDS:
            home = Path(directory, kind)
            home.mkdir()
            works[f"{kind}, pure Python" if pure else kind] = reading(home, events(count, kind=kind), kind)
    if not pure:
        works[PLAIN] = plain(events(count))
    return {name: rate(work, count) for name, work in works.items()}


def reading(home: Path, values: list[bytes], kind: str) -> Callable[[], object]:
    """The decoder of the daemon on one kind of traffic."""
    from monitor.sources.base import TopicRecords

    decoder = own_decoder(home, kind)
    starts = range(0, len(values), BATCH)
    batches = [TopicRecords(TOPIC, [0] * len(values[at : at + BATCH]), values[at : at + BATCH]) for at in starts]
    return lambda: [decoder.decode(batch, time.time_ns()) for batch in batches]


def plain(values: list[bytes]) -> Callable[[], object]:
    """A struct made by hand, its tuples, a matrix."""
    decode = plain_decoder()
    return lambda: [decode(values[at : at + BATCH]) for at in range(0, len(values), BATCH)]


def rate(work: Callable[[], object], count: int) -> float:
    """Events a second, the second time."""
    work()
    gc.collect()
    began = time.perf_counter()
    work()
    return count / (time.perf_counter() - began)


def main() -> None:
    """With the compiled part and without, in turn, each in a process of its own."""
    parser = options(__doc__)
    parser.add_argument("--one", choices=["pure", "compiled"], help="measure once in this process")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    chosen = parser.parse_args()
    count, rounds = (5_000, 1) if chosen.quick else (COUNT, chosen.rounds)
    if chosen.one:
        print(json.dumps(once(count, pure=chosen.one == "pure")))
        return
    quick = ("--quick",) if chosen.quick else ()
    found: list[dict[str, float]] = []
    for _ in range(rounds):
        compiled = child("decode", "--one", "compiled", *quick)
        found.append(compiled | child("decode", "--one", "pure", *quick, pure=True))
    rates = {name: [one[name] for one in found] for name in found[0]}
    figures: Figures = {
        "rates": {name: spread(those) for name, those in rates.items()},
        "ratios": {name: ratio(those, rates[PLAIN]) for name, those in rates.items()},
    }
    print(f"\ndecode: {count:,} events, {rounds} rounds, events/s, median (lowest to highest), beside a plain matrix")
    for name, against in figures["ratios"].items():
        print(f"  {name:<26} {said(figures['rates'][name]):<34} × {against['median']:.2f}")
    write(chosen.json, figures)


if __name__ == "__main__":
    main()
