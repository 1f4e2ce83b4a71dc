"""The audit log's promise and price: so many decisions of a real pipeline are written down, verified, made again, and one bit is flipped.

Five models of four features, a window a minute under the budget's charts and two rules, whose data shift to and fro so that alerts open and end
and ask for retraining; saved to real SQLite on disk after each window, once with the log and once without, in turn.
"""

import argparse
import random
import sqlite3
import statistics
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np

from benchmarks.measure import Figures
from benchmarks.windows import BEGIN, MINUTE, PARTITION, fitted
from detectors.charts import BudgetSpec
from monitor.alerting.retraining import RetrainPolicy
from monitor.alerting.rules import AlertRule, Severity
from monitor.audit.chain import AuditLog, AuditNote, chained
from monitor.audit.entries import audited
from monitor.audit.replay import is_decision, replayed
from monitor.commands.audit import of_state
from monitor.pipeline import Pipeline
from monitor.series.judging import Judging
from monitor.series.series import SeriesSpec
from monitor.store.sqlite import StateStore
from monitor.stream.events import EventBatch, MicroBatch, SeriesKey
from monitor.stream.windows import WindowSpec

MODELS, FEATURES, ROWS = 5, 4, 300
SHIFT = 1.0  # reference standard deviations
LASTS = 3  # windows, to and fro
RULES = tuple(
    AlertRule(name, name, above, 0.1, severity=Severity.CRITICAL) for name, above in (("psi", 0.25), ("ks", 0.2))
)


@dataclass(slots=True)
class Made:
    """What was decided, and milliseconds that each checkpoint took without the log and with it, where it held entries and where not."""

    notes: Counter[str]
    sizes: list[int]
    without: list[float]
    having: list[float]
    entries: list[int]


def pipeline() -> Pipeline:
    """Models whose policies suppress some wishes and grant others."""
    reference = fitted(FEATURES, MINUTE)
    judging = Judging(reference, MINUTE, RULES, plan=BudgetSpec(pane_ns=MINUTE))
    return Pipeline(
        [
            SeriesSpec(
                SeriesKey(f"model-{at}", "1"),
                WindowSpec(MINUTE, MINUTE, 0),
                judging,
                RetrainPolicy(cooldown=at * 5 * MINUTE, max_per_week=10**6, veto=frozenset()),
            )
            for at in range(MODELS)
        ],
        10 * MINUTE,
    )


def decide(wanted: int, plain: StateStore, logged: StateStore, seed: int = 0) -> Made:
    """Let the pipeline run until it has decided so often."""
    monitored, rng, at = pipeline(), np.random.default_rng(seed), BEGIN
    monitored.ingest(MicroBatch(assigned=frozenset({PARTITION})), 0)
    made, decided, number = Made(Counter(), [], [], [], []), 0, 0
    while decided < wanted:
        values = rng.normal(size=(ROWS, FEATURES))
        values[:, 0] += SHIFT * (number // LASTS % 2)
        times = at + np.arange(ROWS, dtype=np.int64) * (MINUTE // ROWS)
        codes, at, number = np.zeros((ROWS, 0), dtype=np.int32), at + MINUTE, number + 1
        batches = tuple(EventBatch(key, "bench", times, values, codes) for key in monitored.series)
        facts = monitored.ingest(MicroBatch(batches, {PARTITION: at}), 0) + monitored.advance()
        records, positions = monitored.changes(), {PARTITION: number}
        took = {}
        for store in random.sample([plain, logged], 2):
            began = time.perf_counter()
            notes: list[AuditNote] = audited(facts, at) if store is logged else []
            store.save(records, positions, [], at, audited=notes)
            took[store] = (time.perf_counter() - began) * 1e3
            if store is logged:
                made.entries.append(len(notes))
                made.notes.update(note.kind for note in notes)
                decided += sum(map(is_decision, notes))
        made.without.append(took[plain])
        made.having.append(took[logged])
    return made


def measured(decisions: int) -> Figures:
    """All of it. The figures are of this machine; `agreed` and `found` have to be true anywhere."""
    with tempfile.TemporaryDirectory(dir=".") as home:  # /tmp may be memory
        plain, logged = StateStore(Path(home) / "plain"), StateStore(Path(home) / "logged")
        made = decide(decisions, plain, logged)
        plain.close()
        logged.close()
        directory = Path(home) / "logged"
        began = time.perf_counter()
        with of_state(directory) as source:
            log = AuditLog(source.anchor, list(source.entries))
        read = time.perf_counter()
        whole = chained(log) is None
        verified = time.perf_counter()
        again = [replayed(each.link.seq, note) for each in log.entries if is_decision(note := each.note())]
        ended = time.perf_counter()
        flipped = flip(directory)
        with of_state(directory) as source:
            broken = chained(AuditLog(source.anchor, list(source.entries)))
    busy = [(a, b) for a, b, count in zip(made.without, made.having, made.entries, strict=True) if count]
    quiet = [(a, b) for a, b, count in zip(made.without, made.having, made.entries, strict=True) if not count]
    sizes = [len(each.entry) for each in log.entries]
    return {
        "entries": len(log.entries),
        "kinds": dict(made.notes.most_common()),
        "decisions": len(again),
        "scores": sum(each.scores for each in again),
        "agreed": whole and all(each.wrong is None for each in again),
        "found": broken is not None and broken.seq == flipped,
        "bytes": {"median": statistics.median(sizes), "max": max(sizes)},
        "seconds": {"read": read - began, "verify": verified - read, "replay": ended - verified},
        "checkpoint": {
            "entries": statistics.mean(count for count in made.entries if count),
            "with entries": compared(busy),
            "without entries": compared(quiet),
        },
    }


def compared(pairs: list[tuple[float, float]]) -> Figures:
    """Milliseconds without the log and with it, and the median of their ratios."""
    if not pairs:
        return {"checkpoints": 0, "plain": 0.0, "logged": 0.0, "ratio": 1.0}
    without, having = zip(*pairs, strict=True)
    ratio = statistics.median(having) / statistics.median(without)
    return {
        "checkpoints": len(pairs),
        "plain": statistics.median(without),
        "logged": statistics.median(having),
        "ratio": ratio,
    }


def flip(directory: Path) -> int:
    """Flip one bit of one entry; its number."""
    with closing(sqlite3.connect(directory / "driftd.sqlite3")) as database, database:
        entries = dict(database.execute("SELECT seq, entry FROM audit"))
        seq = random.choice(list(entries))
        entry = bytearray(entries[seq])
        entry[random.randrange(len(entry))] ^= 1 << random.randrange(8)
        database.execute("UPDATE audit SET entry = ? WHERE seq = ?", (bytes(entry), seq))
    return seq


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--decisions", type=int, default=10_000)
    options = parser.parse_args()
    found = measured(options.decisions)
    took, price = found["seconds"], found["checkpoint"]
    print(f"{found['entries']} entries: {', '.join(f'{count} {kind}' for kind, count in found['kinds'].items())}")
    print(f"  {found['bytes']['median'] / 1e3:.1f} KB median, {found['bytes']['max'] / 1e3:.1f} at most")
    print(f"  read in {took['read']:.2f} s, chain verified in {took['verify']:.2f} s")
    print(f"  {found['decisions']} decisions and {found['scores']} scores made again in {took['replay']:.2f} s")
    print(
        f"  {'all agree' if found['agreed'] else 'NOT ALL AGREE'}; one flipped bit is {'found' if found['found'] else 'NOT FOUND'}"
    )
    for name in ("with entries", "without entries"):
        each = price[name]
        print(
            f"  {each['checkpoints']} checkpoints {name}: {each['plain']:.2f} ms without the log, {each['logged']:.2f} with it, × {each['ratio']:.2f}"
        )
    more = price["with entries"]["logged"] - price["with entries"]["plain"]
    print(f"  {price['entries']:.1f} entries in a checkpoint that has any: {more / price['entries']:.2f} ms each")
    sys.exit(not (found["agreed"] and found["found"]))


if __name__ == "__main__":
    main()
