"""What the join of halves costs: predictions a second of whole messages, and of requests and responses that are joined; and its memory.

Fed from memory, one core, in turn within a process, by processor time. Responses lie so many predictions behind their requests; rates are of
predictions, so that a halved one is two messages. `--memory N`: N requests wait, none is answered.
"""

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np

from benchmarks.measure import Figures, options, ratio, rss, said, spread, write
from benchmarks.traffic import BEGIN_MS, ENCODE, FEATURES, MILLI, columns

EVENTS, ROUNDS, QUICK = 200_000, 4, (6_000, 1)
BATCH = 10_000
STEP_MS = 1  # of event time from one prediction to the next
BEHIND = 5_000  # predictions: five seconds
MEMORY = "64MB"


def messages(count: int) -> tuple[list[bytes], list[bytes], list[bytes]]:
    """Whole predictions, and the same as requests and as responses."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(count, len(FEATURES))).round(6).tolist()
    scores = rng.random(count).round(4).tolist()
    whole, asked, answered = [], [], []
    for at, (row, score) in enumerate(zip(rows, scores, strict=True)):
        common = {"id": f"request-{at:09d}", "model": "bench", "version": "1"}
        now, features = BEGIN_MS + at * STEP_MS, dict(zip(FEATURES, row, strict=True))
        whole.append(ENCODE({**common, "ts": now, "features": features, "prediction": score}))
        asked.append(ENCODE({**common, "ts": now, "features": features}))
        answered.append(ENCODE({**common, "ts": now + BEHIND * STEP_MS, "prediction": score}))
    return whole, asked, answered


def configured(home: Path, *, halved: bool) -> Any:
    """A configuration of one topic or of two."""
    import json

    from detectors import Reference
    from monitor.configuration import load
    from monitor.settings import load_settings

    reference = home / "reference.json"
    if not reference.exists():
        scores = {"score": np.random.default_rng(2).random(50_000)}
        Reference.fit(columns() | scores, prediction="score").save(reference)
    model = {"name": "bench", "reference": reference.name, "window": "1m", "lateness": "1m"}
    topics = [{"name": "asked", "half": "request"}, {"name": "answered", "half": "response"}]
    model |= {"halves": {"memory": MEMORY}} if halved else {}
    path = home / f"driftd-{halved}.yaml"
    held = {"topics": topics if halved else [{"name": "whole"}], "models": [model], "state": str(home / "state")}
    path.write_text(json.dumps(held), encoding="utf-8")
    return load(load_settings(path), home, {})


def run(home: Path, logs: dict[str, list[bytes]]) -> Figures:
    """Read all of it; predictions a second of processor time, what saving took beside, and most bytes that waited."""
    from monitor.app import build_decoders
    from monitor.facts import EventsCounted, HalvesCounted
    from monitor.pipeline import Pipeline
    from monitor.sources.base import TopicRecords
    from monitor.stream.events import MicroBatch, Partition

    configuration = configured(home, halved=len(logs) > 1)
    decoders = build_decoders(configuration)
    pipeline = Pipeline(configuration.specs, 10**18)
    [key] = pipeline.series
    count = len(next(iter(logs.values())))
    now = (BEGIN_MS + 2 * count * STEP_MS) * MILLI + 10**12
    places = frozenset(Partition(topic, 0) for topic in decoders)
    behind = {topic: BEHIND if topic == "answered" else 0 for topic in logs}
    spent = saving = 0.0
    waited = joined = evicted = 0
    for at in range(0, count + BEHIND, BATCH):
        begun = time.process_time()
        batches, halves, seen = [], [], {}
        for topic, log in logs.items():
            values = log[max(0, at - behind[topic]) : max(0, at + BATCH - behind[topic])]
            if values:
                decoded = decoders[topic].decode(TopicRecords(topic, [0] * len(values), values), now)
                batches += decoded.batches
                halves += decoded.halves
                seen |= decoded.seen
        assigned = places if at == 0 else frozenset()
        arrived = MicroBatch(tuple(batches), seen, places, assigned=assigned, halves=tuple(halves))
        facts = [*pipeline.ingest(arrived, now), *pipeline.advance()]
        ended = time.process_time()
        for _ in pipeline.changes():
            pass
        spent, saving = spent + ended - begun, saving + time.process_time() - ended
        waited = max(waited, pipeline.halves[key].join.bytes)
        joined += sum(fact.count for fact in facts if isinstance(fact, EventsCounted))
        evicted += sum(fact.outcomes.get("evicted", 0) for fact in facts if isinstance(fact, HalvesCounted))
    return {"rate": count / spent, "saving": saving / spent, "counted": joined, "waited": waited, "evicted": evicted}


def memory(count: int) -> None:
    """So many requests that nobody answers: what resident memory takes more at its most, saving included, beside `halves.memory`."""
    from monitor.app import build_decoders
    from monitor.pipeline import Pipeline
    from monitor.sources.base import TopicRecords
    from monitor.stream.events import MicroBatch

    _, asked, answered = messages(BATCH)
    most = 0
    with tempfile.TemporaryDirectory() as home:
        run(Path(home), {"asked": asked, "answered": answered})  # libraries and caches are there
        before = rss()
        configuration = configured(Path(home), halved=True)
        decoder, pipeline = build_decoders(configuration)["asked"], Pipeline(configuration.specs, 10**18)
        [halves] = pipeline.halves.values()
        for at in range(0, count, BATCH):
            values = [each.replace(b'"request-', b'"%09d-' % at) for each in asked]
            decoded = decoder.decode(TopicRecords("asked", [0] * len(values), values), 10**19 // 2)
            pipeline.ingest(MicroBatch(halves=tuple(decoded.halves)), 0)
            for _ in pipeline.changes():
                pass
            most = max(most, rss())
    waiting = sum(each.count for each in halves.join.kinds.values())
    print(
        f"{count:,} requests of {len(FEATURES)} features, halves.memory {MEMORY}: {waiting:,} wait in {halves.join.bytes / 1e6:.1f} MB, "
        f"{halves.join.bytes / waiting:.0f} bytes each, the others were evicted; {(most - before) / 1e6:.0f} MB more resident memory at most, "
        f"{(most - before) / waiting:.0f} bytes each, saving included"
    )


def main() -> None:
    """Measure in turn."""
    parser = options(__doc__)
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--memory", type=int, metavar="N", help="N requests that nobody answers, instead")
    chosen = parser.parse_args()
    if chosen.memory:
        memory(chosen.memory)
        return
    count, rounds = QUICK if chosen.quick else (chosen.events, chosen.rounds)
    whole, asked, answered = messages(count)
    found: dict[str, list[Figures]] = {"whole": [], "halved": []}
    with tempfile.TemporaryDirectory() as home:
        for _ in range(rounds):
            found["whole"].append(run(Path(home), {"whole": whole}))
            found["halved"].append(run(Path(home), {"asked": asked, "answered": answered}))
    rates = {name: [each["rate"] for each in those] for name, those in found.items()}
    for name, those in rates.items():
        print(f"{name:<24} {said(spread(those))} predictions/s of processor time")
    against = ratio(rates["halved"], rates["whole"])
    last = found["halved"][-1]
    print(f"{'per prediction, ÷ whole':<24} {said(against, 2)}; per message twice that")
    print(
        f"{last['counted']:,.0f} joined, {last['evicted']} evicted, {last['waited'] / 1e6:.1f} MB waited at most; saving took {last['saving']:.0%} more"
    )
    write(chosen.json, {"rates": {name: spread(those) for name, those in rates.items()}, "ratio": against})


if __name__ == "__main__":
    main()
