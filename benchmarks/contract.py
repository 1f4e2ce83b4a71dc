"""What a data contract costs: events a second decoded, counted and judged with one, over those without one.

Fed from memory, by the time that one core works, batch by batch in turn within a run: each batch goes to a daemon's parts with the contract that
`driftd contract infer` writes of the reference, or one with a rule of another kind (OTHERS), and to the same parts without. What counts is the ratio of the rates, over the second
half of the events.
"""

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.measure import Figures, options, ratio, said, spread, write
from benchmarks.traffic import BEGIN_MS, KINDS, MILLI, TOPIC, config, events

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
        self.spent = 0.0
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
        self.spent += time.process_time() - begun
        self.broken += sum(sum(fact.counts.values()) for fact in decoded.facts if isinstance(fact, ContractBroken))


OTHERS: dict[str, tuple[str, Any]] = {  # by name: what is asked, beside what is inferred
    "values": (
        "feature_00 is one of twelve whole numbers",
        {"columns": {"feature_00": {"type": "integer", "values": [*range(12)]}}},
    ),
    "id": ("an id is a text", {"columns": {"__id__": {"type": "text", "required": True}}}),
    "pattern": ("an id matches a pattern", {"columns": {"__id__": {"matches": "request-[0-9]+"}}}),
    "comparison": (
        "feature_01 >= feature_02",
        {
            "columns": {"feature_01": {"type": "number"}, "feature_02": {"type": "number"}},
            "comparisons": ["feature_01 >= feature_02"],
        },
    ),
}


def small_numbers(produced: list[bytes]) -> list[bytes]:
    """The same events with a whole number from 0 to 11 for the first feature."""
    import msgspec

    changed = []
    for at, raw in enumerate(produced):
        event = msgspec.json.decode(raw)
        event["features"]["feature_00"] = at % 12
        changed.append(msgspec.json.encode(event))
    return changed


def contract_of(home: Path, kind: str, other: str | None = None) -> str:
    """The contract that is inferred from the reference: its types, ranges, values, and what may be missing; or with another rule."""
    import yaml

    from detectors import Reference
    from detectors.contract import infer, written

    config(home, "nowhere:9092", kind)
    path = home / "contract.yaml"
    text = written(infer(Reference.load(home / "bench.json")), "bench.json")
    if other is not None:
        said, more = yaml.safe_load(text), OTHERS[other][1]
        text = yaml.safe_dump(said | more | {"columns": said["columns"] | more["columns"]})
    path.write_text(text, encoding="utf-8")
    return path.name


def run(kind: str, count: int, other: str | None = None) -> tuple[Figures, Figures, int]:
    """Read all events both ways; events a second without and with a contract, and how often it was broken."""
    produced = events(count, kind=kind)
    if other == "values":
        produced = small_numbers(produced)
    now = (BEGIN_MS + count) * MILLI + 10**12
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        contract = contract_of(home, kind, other)
        ways = Parts(home, kind), Parts(home, kind, contract=contract)
        for number, at in enumerate(range(0, count, BATCH)):
            if at == count // 2:  # the first values of each rule have been shown: three a minute
                ways[0].spent = ways[1].spent = 0.0
            for way in ways if number % 2 else reversed(ways):
                way.take(produced[at : at + BATCH], now)
    plain, held = ({"rate": (count - count // 2) / way.spent} for way in ways)
    return plain, held, ways[1].broken


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
        found = [run(*((kind, count) if kind in KINDS else ("numeric", count, kind))) for _ in range(rounds)]
        plain, held = ([each[way]["rate"] for each in found] for way in (0, 1))
        against = ratio(held, plain)
        figures[kind] = {"without": spread(plain), "with": spread(held), "ratio": against, "broken": found[-1][2]}
        print(f"{kind:<12} {KINDS[kind] if kind in KINDS else OTHERS[kind][0]}")
        print(f"  without a contract  {said(spread(plain))} events/s")
        print(f"  with                {said(spread(held))} events/s, broken {found[-1][2] / count:.3%} times an event")
        print(f"  with ÷ without      {said(against, 3)}")
    write(chosen.json, figures)


if __name__ == "__main__":
    main()
