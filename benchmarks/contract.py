"""What a data contract costs: events a second decoded, counted and judged with one, over those without one.

Fed from memory, by the time that one core works, batch by batch in turn within a run: each batch goes to a daemon's parts with the contract that
`driftd contract infer` writes of the reference, or one with a rule of another kind (OTHERS), and to the same parts without. What counts is the ratio of the rates, over the second
half of the events, as processor time has it: of each round; and of all rounds, where each batch counts with the median of its rounds, which leaves out what others on the machine cost.
Three values that break each rule are read before: so many are read again in a minute, to be shown.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.measure import options, ratio, said, spread, write
from benchmarks.traffic import (
    BEGIN_MS,
    CATEGORICAL,
    FEATURES,
    KINDS,
    MILLI,
    SERIES,
    TOPIC,
    WINDOW_ROWS,
    calibrated,
    columns,
    config,
    event,
    events,
)

EVENTS, ROUNDS, QUICK = 400_000, 5, (20_000, 1)
BATCH = 10_000


class Parts:
    """What of a daemon reads and judges events."""

    def __init__(self, home: Path, kind: str, **model: Any) -> None:
        from monitor.app import build_decoders
        from monitor.configuration import load
        from monitor.pipeline import Pipeline
        from monitor.settings import load_settings

        path = config(home, "nowhere:9092", kind, **model)
        configuration = load(load_settings(path), home, {})
        self._decoder = build_decoders(configuration)[TOPIC]
        self._pipeline = Pipeline(configuration.specs, 30 * 10**9)
        self.spent: list[float] = []  # seconds, a batch each
        self.begun = False
        self.broken = 0

    def take(self, batch: list[bytes], now: int) -> None:
        """Read a batch, and judge what it completes."""
        from monitor.facts import ContractBroken
        from monitor.sources.base import TopicRecords
        from monitor.stream.events import MicroBatch, Partition

        place = Partition(TOPIC, 0)
        new = frozenset() if self.begun else frozenset({place})
        self.begun = True
        begun = time.process_time()
        decoded = self._decoder.decode(TopicRecords(TOPIC, [0] * len(batch), batch), now)
        arrived = MicroBatch(tuple(decoded.batches), decoded.seen, frozenset({place}), assigned=new)
        self._pipeline.ingest(arrived, now)
        self._pipeline.advance()
        self.spent.append(time.process_time() - begun)
        self.broken += sum(sum(fact.counts.values()) for fact in decoded.facts if isinstance(fact, ContractBroken))


OTHERS: dict[str, tuple[str, Any]] = {  # by name: what is asked, beside what is inferred
    "values": (
        "feature_00 is one of twelve whole numbers",
        {"columns": {"feature_00": {"type": "integer", "values": [*range(12)]}}},
    ),
    "id": ("an id is a text", {"columns": {"__id__": {"type": "text", "required": True}}}),
    "pattern": ("an id matches a pattern", {"columns": {"__id__": {"matches": "request-[0-9]+"}}}),
    "lookahead": (
        "an id matches a pattern that looks ahead",
        {"columns": {"__id__": {"matches": "(?=request)[a-z]+-[0-9]+"}}},
    ),
    "number": ("an id is a whole number", {"columns": {"__id__": {"type": "integer", "required": True}}}),
    "codes": (
        "feature_19 is a whole number, of which the reference has categories",
        {"columns": {"feature_19": {"type": "integer", "required": True}}},
    ),
    "comparison": (
        "feature_01 >= feature_02",
        {
            "columns": {"feature_01": {"type": "number"}, "feature_02": {"type": "number"}},
            "comparisons": ["feature_01 >= feature_02"],
        },
    ),
}


def suited(produced: list[bytes], other: str) -> list[bytes]:
    """The same events with what a rule asks for."""
    import msgspec

    changed = []
    for at, raw in enumerate(produced):
        event = msgspec.json.decode(raw)
        match other:
            case "values":
                event["features"]["feature_00"] = at % 12
            case "number":
                event["id"] = at
            case "codes":
                event["features"]["feature_19"] = at % 10
        changed.append(msgspec.json.encode(event))
    return changed


def contract_of(home: Path, kind: str, other: str | None = None) -> str:
    """The contract that is inferred from the reference: its types, ranges, values, and what may be missing; or with another rule."""
    import yaml

    from detectors import Reference
    from detectors.contract import infer, written

    if other == "codes":
        codes = [str(at % 10) for at in range(50_000)]
        calibrated(columns() | {"feature_19": codes}, WINDOW_ROWS * MILLI).save(home / "bench.json")
    config(home, "nowhere:9092", kind)
    path = home / "contract.yaml"
    text = written(infer(Reference.load(home / "bench.json")), "bench.json")
    if other is not None:
        said, more = yaml.safe_load(text), OTHERS[other][1]
        text = yaml.safe_dump(said | more | {"columns": said["columns"] | more["columns"]})
    path.write_text(text, encoding="utf-8")
    return path.name


def broken_ones(kind: str) -> list[bytes]:
    """Of each series three events above and three below all bounds, of categories that nobody knows."""
    words = dict.fromkeys(CATEGORICAL if kind == "categorical" else (), "unknown")
    return [
        event(0, dict.fromkeys(FEATURES, beyond) | words, *each)
        for each in SERIES[kind]
        for beyond in (1e9, -1e9)
        for _ in range(3)
    ]


def run(kind: str, count: int, rounds: int, other: str | None = None) -> tuple[list[list[list[float]]], int]:
    """Read all events both ways: of each round the seconds that each batch of the second half took without and with a contract.

    Returned with how often the contract was broken.
    """
    produced = events(count, kind=kind)
    if other is not None:
        produced = suited(produced, other)
    now = (BEGIN_MS + count) * MILLI + 10**12
    spent, broken = [], 0
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        contract = contract_of(home, kind, other)
        for _ in range(rounds):
            ways = Parts(home, kind), Parts(home, kind, contract=contract)
            for way in ways:
                way.take(broken_ones(kind), now)
            for number, at in enumerate(range(0, count, BATCH)):
                for way in ways if number % 2 else reversed(ways):
                    way.take(produced[at : at + BATCH], now)
            spent.append([way.spent[-(count // BATCH // 2) :] for way in ways])
            broken = ways[1].broken
    return spent, broken


def batch_by_batch(spent: list[list[list[float]]]) -> float:
    """The ratio of the rates, where each batch took the median of what it took in all rounds."""
    plain, held = (
        sum(statistics.median(of_batch) for of_batch in zip(*(each[way] for each in spent), strict=True))
        for way in (0, 1)
    )
    return plain / held


def main() -> None:
    """Measure every kind of traffic."""
    parser = options(__doc__)
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--kind", choices=[*KINDS, *OTHERS], action="append")
    chosen = parser.parse_args()
    count, rounds = QUICK if chosen.quick else (chosen.events, chosen.rounds)
    figures: dict[str, Any] = {}
    for kind in chosen.kind or [*KINDS, *OTHERS]:
        spent, broken = run(*(kind, count, rounds) if kind in KINDS else ("numeric", count, rounds, kind))
        plain, held = ([BATCH * len(each[way]) / sum(each[way]) for each in spent] for way in (0, 1))
        against, of_medians = ratio(held, plain), batch_by_batch(spent)
        figures[kind] = {
            "without": spread(plain),
            "with": spread(held),
            "ratio": against,
            "batch_by_batch": of_medians,
            "broken": broken,
        }
        print(f"{kind:<12} {KINDS[kind] if kind in KINDS else OTHERS[kind][0]}")
        print(f"  without a contract  {said(spread(plain))} events/s")
        print(f"  with                {said(spread(held))} events/s, broken {broken / count:.3%} times an event")
        print(f"  with ÷ without      {said(against, 3)}, batch by batch {of_medians:.3f}")
    write(chosen.json, figures)


if __name__ == "__main__":
    main()
