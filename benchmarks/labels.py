"""What labels cost: events a second of predictions alone, and of predictions with a label each, decoded, joined, judged and saved.

Fed from memory, one core, in turn within a process. Event time moves with the predictions; a label comes an hour later, and is
waited for for a day, so that most of what is read waits. What counts is the ratio of the rates per event.
"""

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np

from benchmarks.measure import Figures, options, ratio, rss, said, spread, write
from benchmarks.traffic import BEGIN_MS, ENCODE, FEATURES, MILLI, columns, event

EVENTS, ROUNDS, QUICK = 300_000, 4, (6_000, 1)
BATCH = 10_000
STEP_MS = 2_000  # of event time from one prediction to the next
DELAY = 1_800  # predictions: an hour
WINDOW, WAIT = "1h", "1d"


def predictions(count: int) -> list[bytes]:
    """Events with a score."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(count, len(FEATURES))).round(6).tolist()
    scores = rng.random(count).round(4).tolist()
    plain = (event(at * STEP_MS, dict(zip(FEATURES, row, strict=True))) for at, row in enumerate(rows))
    return [
        each.replace(b'"prediction":0.5', b'"prediction":%r' % score) for each, score in zip(plain, scores, strict=True)
    ]


def labels(count: int) -> list[bytes]:
    """A label an hour after each prediction."""
    truth = np.random.default_rng(1).random(count) < 0.5
    return [
        ENCODE(
            {
                "id": f"request-{at * STEP_MS:09d}",
                "ts": BEGIN_MS + (at + DELAY) * STEP_MS,
                "model": "bench",
                "label": int(one),
            }
        )
        for at, one in enumerate(truth.tolist())
    ]


def configured(home: Path, *, labelled: bool) -> Any:
    """A configuration with labels or without."""
    import json

    from detectors import Reference
    from monitor.configuration import load
    from monitor.settings import load_settings

    reference = home / "reference.json"
    if not reference.exists():
        scores = {"score": np.random.default_rng(2).random(50_000)}
        Reference.fit(columns() | scores, prediction="score").save(reference)
    model = {"name": "bench", "reference": reference.name, "window": WINDOW} | (
        {"labels": {"wait": WAIT}} if labelled else {}
    )
    topics = [{"name": "predictions"}] + ([{"name": "labels", "kind": "labels"}] if labelled else [])
    path = home / f"driftd-{labelled}.yaml"
    path.write_text(json.dumps({"topics": topics, "models": [model], "state": str(home / "state")}), encoding="utf-8")
    return load(load_settings(path), home, {})


def run(home: Path, scored: list[bytes], told: list[bytes]) -> Figures:
    """Read all of it; events a second, and how long saving took, which is not counted in them."""
    from monitor.app import build_decoders, label_topics
    from monitor.facts import PerformanceJudged
    from monitor.pipeline import Pipeline
    from monitor.sources.base import TopicRecords
    from monitor.stream.events import MicroBatch, Partition

    configuration = configured(home, labelled=bool(told))
    decoders = build_decoders(configuration)
    pipeline = Pipeline(configuration.specs, 30 * 10**9, 0, label_topics(configuration.settings))
    now = (BEGIN_MS + (len(scored) + DELAY) * STEP_MS) * MILLI + 10**12
    places = {topic: Partition(topic, 0) for topic in decoders}
    spent = saving = 0.0
    judged = 0
    for at in range(0, len(scored), BATCH):
        begun = time.perf_counter()
        batches, joins, seen = [], [], {}
        first = max(0, at - DELAY)
        for topic, values in (
            ("predictions", scored[at : at + BATCH]),
            ("labels", told[first : max(0, at + BATCH - DELAY)]),
        ):
            if not values:
                continue
            stamps = (
                ([None] * len(values), range(at, at + len(values)), [now] * len(values)) if topic == "labels" else ()
            )
            decoded = decoders[topic].decode(TopicRecords(topic, [0] * len(values), values, (), {}, *stamps), now)
            batches += decoded.batches
            joins += decoded.joins
            seen |= decoded.seen
        assigned = frozenset(places.values()) if at == 0 else frozenset()
        read = frozenset(places.values())
        arrived = MicroBatch(tuple(batches), seen, read, assigned=assigned, joins=tuple(joins))
        facts = [*pipeline.ingest(arrived, now), *pipeline.advance()]
        judged += sum(isinstance(fact, PerformanceJudged) for fact in facts)
        ended = time.perf_counter()
        saved = sum(len(record.payload or b"") for record in pipeline.changes())
        spent, saving = spent + ended - begun, saving + time.perf_counter() - ended
    events = len(scored) + len(told)
    return {"rate": events / spent, "saving": saving / spent, "judged": judged, "rss": rss(), "saved": saved}


def main() -> None:
    """Measure in turn."""
    parser = options(__doc__)
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    chosen = parser.parse_args()
    count, rounds = QUICK if chosen.quick else (chosen.events, chosen.rounds)
    scored, told = predictions(count), labels(count)
    found: dict[str, list[Figures]] = {"predictions": [], "predictions and labels": []}
    with tempfile.TemporaryDirectory() as directory:
        for _ in range(rounds):
            found["predictions"].append(run(Path(directory), scored, []))
            found["predictions and labels"].append(run(Path(directory), scored, told))
    rates = {name: [each["rate"] for each in those] for name, those in found.items()}
    for name, those in rates.items():
        print(f"{name:<24} {said(spread(those))} events/s")
    against = ratio(rates["predictions and labels"], rates["predictions"])
    print(f"{'per event, ÷ predictions':<24} {said(against, 2)}")
    last = found["predictions and labels"][-1]
    print(f"{last['judged']} windows judged; saving took {last['saving']:.0%} of the time more")
    write(chosen.json, {"rates": {name: spread(those) for name, those in rates.items()}, "ratio": against})


if __name__ == "__main__":
    main()
