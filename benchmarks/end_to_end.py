"""Events a second of the daemon beside its ceilings, interleaved in one run, on the mock cluster and on Apache Kafka.

Each contender reads the same events (JSON, 20 features, about 600 bytes) from the same broker in a process of its own,
start-up apart: contenders.py says what each of them does. What counts are the ratios within a round.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import brokers
from benchmarks.measure import Figures, child, options, ratio, said, spread, write
from benchmarks.traffic import KINDS, TOPIC, config, events

__all__ = ["TOPIC", "config", "events"]  # what other benchmarks read

EVENTS, ROUNDS = 400_000, 4
LEAST = 20_000  # more than the first batch, which is not counted
QUICK = (LEAST, 1)


@dataclass(frozen=True, slots=True)
class Contender:
    """What is measured, on which traffic, with or without the compiled part."""

    program: str
    kind: str = "numeric"
    pure: bool = False
    share: float = 1.0  # of the events: a slow one need not read all


CEILINGS = {
    "bare": Contender("bare"),
    "plain": Contender("plain"),
    "decode": Contender("decode"),
    "native": Contender("native"),
    "run": Contender("run"),
    "run, pure Python": Contender("run", pure=True, share=0.5),
}
TRAFFICS = {
    "run, categorical": Contender("run", "categorical"),
    "run, mixed": Contender("run", "mixed"),
    "run, lenient": Contender("run", "lenient"),
    "run, lenient, pure Python": Contender("run", "lenient", pure=True, share=0.2),
}
AGAINST = {  # which rates are divided by which
    "run ÷ bare": ("run", "bare"),
    "run ÷ plain": ("run", "plain"),
    "run ÷ decode": ("run", "decode"),
    "native ÷ decode": ("native", "decode"),
    "pure ÷ bare": ("run, pure Python", "bare"),
    "pure ÷ plain": ("run, pure Python", "plain"),
    "run ÷ pure": ("run", "run, pure Python"),
    "categorical ÷ numeric": ("run, categorical", "run"),
    "mixed ÷ single model": ("run, mixed", "run"),
    "lenient ÷ numeric": ("run, lenient", "run"),
}
BY_PROCESSOR = "run ÷ bare", "native ÷ decode"


def topic_of(kind: str) -> str:
    """A topic for each kind of traffic."""
    return f"{TOPIC}-{kind}"


def compare(servers: str, contenders: dict[str, Contender], count: int, rounds: int) -> Figures:
    """Measure all of them in turn, so many times; rates, ratios and the share of a core each used."""
    found: dict[str, list[Figures]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, one in contenders.items():
            found[name].append(measure(servers, one, count))
    rates = {name: [each["rate"] for each in those] for name, those in found.items()}
    return {
        "events": count,
        "rates": {name: spread(those) for name, those in rates.items()},
        "cpu": {name: spread([each["cpu"] for each in those]) for name, those in found.items()},
        "ratios": {
            name: ratio(rates[ours], rates[theirs])
            for name, (ours, theirs) in AGAINST.items()
            if ours in rates and theirs in rates
        },
        "by processor": {  # events a CPU second
            name: ratio(*([each["rate"] / each["cpu"] for each in found[whose]] for whose in AGAINST[name]))
            for name in BY_PROCESSOR
        },
    }


def measure(servers: str, one: Contender, count: int) -> Figures:
    """One contender, once, in a process of its own."""
    count = max(LEAST, round(count * one.share))
    where = ("--servers", servers, "--topic", topic_of(one.kind), "--kind", one.kind, "--events", str(count))
    found: Figures = child("contenders", one.program, *where, pure=one.pure)
    return found


def on(broker: Any, contenders: dict[str, Contender], count: int, rounds: int) -> Figures:
    """Fill the topics of one broker and compare on them."""
    for kind in sorted({one.kind for one in contenders.values()}):
        brokers.filled(broker, topic_of(kind), events(count, kind=kind))
    return compare(broker.bootstrap, contenders, count, rounds)


def show(name: str, found: Figures) -> None:
    """For people."""
    rounds = found["rates"]["bare"]["rounds"]
    print(f"\n{name}: {found['events']:,} events, {rounds} rounds, events/s, median (lowest to highest), CPU in cores")
    for contender, rate in found["rates"].items():
        print(f"  {contender:<27} {said(rate):<32} {found['cpu'][contender]['median']:.2f}")
    for what, against in found["ratios"].items():
        print(f"  {what:<27} {said(against, 2)}")
    for what, against in found["by processor"].items():
        print(f"  {what + ', by CPU':<27} {said(against, 2)}")


def main() -> None:
    """Measure on the mock, and on a real Kafka where there is one."""
    parser = options(__doc__)
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    chosen = parser.parse_args()
    count, rounds = QUICK if chosen.quick else (chosen.events, chosen.rounds)
    example = events(1_000)
    figures: Figures = {"bytes": sum(map(len, example)) / len(example), "kinds": KINDS}
    print(f"{figures['bytes']:.0f} bytes an event")
    with brokers.mock() as broker:
        figures["mock"] = on(broker, CEILINGS | TRAFFICS, count, rounds)
        show("mock cluster", figures["mock"])
    with brokers.apache() as node:
        if node is not None:
            figures["kafka"] = on(node, CEILINGS, count, rounds)
            show("Apache Kafka", figures["kafka"])
    write(chosen.json, figures)


if __name__ == "__main__":
    main()
