"""`make bench-alarms`: false pages and delays on simulated months, beside naive rules; writes docs/ALARMS.md.

`--short` is what CI runs, within three minutes, and writes nothing but `--json`: one reference a world, days for months,
without the worlds weekend, million, ties-1000 and iid-100000; of the contests two, small. The other bounds are the same.
Either form fails where chance cannot explain that a figure was not reached: a rate that one at its goal exceeds once in
10 000 runs, a mean delay more than 3.3 standard errors above its own; from ten model-months on, which only the full form has, also where
the upper 95 % bound of a rate is above its own goal. The seed is fresh from the system, printed, and settable by `--seed`.
"""

import argparse
import json
import os
import secrets
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from pathlib import Path
from zlib import crc32

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # one core a process

import numpy as np

from benchmarks.alarms import compare, daily, goals, packages, real, reality, trials, worlds
from benchmarks.alarms.cases import CASES, SHORT
from benchmarks.alarms.kept import merged, stamp
from benchmarks.alarms.model import fitted
from benchmarks.alarms.realcases import REAL
from benchmarks.alarms.report import OUT, write
from benchmarks.alarms.scenarios import CONTESTS, SCENARIOS, Scenario, short
from benchmarks.alarms.scoring import MONTH
from benchmarks.alarms.verdict import failures
from benchmarks.measure import ROOT, Figures, machine

PROCESSES = 2
KEPT = ROOT / ".bench" / "alarms.json"
Job = tuple[str, str, int, Callable[[np.random.Generator], Figures]]  # section, key, replica, what is done


def world(scenario: Scenario, rng: np.random.Generator) -> Figures:
    """One replica: fresh features, a fresh reference, its months and its changes."""
    model = fitted(scenario.world, scenario.mix, rng, weeks=scenario.weeks)
    calibration = model.reference.calibration
    assert calibration is not None
    return {
        "quiet": trials.quiet(model, round(scenario.months * MONTH), scenario.floors),
        "trials": {one.key: trials.delays(model, one) for one in scenario.trials},
        "profile": calibration.profile,
        "drifting": len(calibration.drifting),
    }


def jobs(*, quick: bool) -> list[Job]:
    """All there is to do, the longest first."""
    scenarios, contests = short() if quick else (SCENARIOS, CONTESTS)
    found: list[Job] = [
        ("worlds", one.key, replica, partial(world, one))
        for one in sorted(scenarios, key=lambda one: -one.world.rows * one.months * (one.world.phi > 0))
        for replica in range(one.replicas)
    ]
    found += [*ordinary(quick=quick)]
    found += [("contests", one.key, 0, partial(compare.contest, one)) for one in contests]
    found += [("car_loan", "", 0, real.car_loan), ("dummies", "", 0, compare.dummy_figures)]
    found += [("lasting", "", 0, real.lasting)]
    return found


def ordinary(*, quick: bool) -> list[Job]:
    """Worlds of ordinary days, of lasting changes and of what is easily missed; and real series and packages, which CI does not fetch."""
    months, replicas, keys = (0.25, 1, SHORT) if quick else (2.0, 10, tuple(CASES))
    found: list[Job] = [
        ("cases", key, replica, partial(lived, key, months)) for key in keys for replica in range(replicas)
    ]
    if quick:
        return found
    found += [("real", key, 0, partial(replayed, key)) for key in REAL]
    return found + [("packages", key, 0, partial(packages.contest, key)) for key in packages.WORLDS]


def lived(key: str, months: float, rng: np.random.Generator) -> Figures:
    """One model of a case, by name."""
    return worlds.run(CASES[key], months, rng)


def replayed(key: str, rng: np.random.Generator) -> Figures:
    """A real series, by name."""
    return reality.run(REAL[key], rng)


def done(job: Job, seed: int) -> tuple[str, str, Figures, float]:
    """Do one job with randomness of its own, whichever process, order and company it has."""
    section, key, replica, work = job
    began = time.perf_counter()
    rng = np.random.default_rng([seed, replica, crc32(f"{section} {key}".encode())])
    return section, key, work(rng), time.perf_counter() - began


def collect(todo: Sequence[Job], seed: int) -> Figures:
    """Run all jobs; results by section, replicas in their order."""
    results: Figures = {"worlds": {}, "contests": {}, "cases": {}, "real": {}, "packages": {}, "seconds": {}}
    with ProcessPoolExecutor(PROCESSES) as pool:
        waiting = {pool.submit(done, job, seed): number for number, job in enumerate(todo)}
        found = {}
        for ended in as_completed(waiting):
            found[waiting[ended]] = ended.result()
            section, key, _, seconds = ended.result()
            print(f"  {len(found)}/{len(todo)} {section} {key} {seconds:.0f} s", file=sys.stderr, flush=True)
    for number in sorted(found):
        section, key, figures, seconds = found[number]
        results["seconds"][key or section] = results["seconds"].get(key or section, 0.0) + seconds
        if section in {"worlds", "cases"}:
            results[section].setdefault(key, []).append(figures)
        elif section in {"contests", "real", "packages"}:
            results[section][key] = figures
        else:
            results[section] = figures
    return results


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, write, and say what was missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="within three minutes, as CI runs it; writes no document")
    parser.add_argument("--seed", type=int, default=None, help="of another run, to have it again; fresh otherwise")
    parser.add_argument("--only", default="", help="keys of worlds, contests or sections, by comma")
    parser.add_argument("--json", type=Path, default=None, help="write the figures to this file")
    parser.add_argument("--report", action="store_true", help="the document again, from the figures kept in .bench/")
    parser.add_argument(
        "--into", type=Path, default=None, help="put worlds and series of this --json into the document"
    )
    parser.add_argument(
        "--merge", type=Path, default=None, help="put the worlds of this --json into the last run's figures"
    )
    chosen = parser.parse_args(arguments)
    if chosen.merge is not None:
        KEPT.write_text(
            json.dumps(merged(json.loads(KEPT.read_text("utf-8")), json.loads(chosen.merge.read_text("utf-8"))))
        )
    if chosen.report or chosen.merge:
        print(write(OUT, json.loads(KEPT.read_text(encoding="utf-8"))))
        return 0
    if chosen.into is not None:
        print(daily.put_into(OUT / "ALARMS.md", json.loads(chosen.into.read_text("utf-8"))))
        return 0
    results = measured(chosen)
    target = chosen.json or (None if chosen.short or chosen.only else KEPT)
    if target is not None:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(results), encoding="utf-8")
    if target == KEPT:
        print(write(OUT, results))
    return said(results)


def measured(chosen: argparse.Namespace) -> Figures:
    """Run what was asked for."""
    seed = secrets.randbits(63) if chosen.seed is None else chosen.seed
    print(f"seed {seed}", flush=True)
    wanted = set(filter(None, chosen.only.split(",")))
    todo = [job for job in jobs(quick=chosen.short) if not wanted or wanted & {job[0], job[1]}]
    began, stamped = time.perf_counter(), stamp(seed)
    results = collect(todo, seed)
    own = stamped | {
        "minutes": (time.perf_counter() - began) / 60,
        "machine": machine(),
        "command": "make bench-alarms-short" if chosen.short else "make bench-alarms",
    }
    return results | own | {"cases_run": own, "titles": {one.key: one.title for one in SCENARIOS}}


def said(results: Figures) -> int:
    """Print the tables and what was missed; the exit code."""
    from benchmarks.alarms.report import tables

    print(tables(results))
    missed = failures(results) + goals.failures(results)
    for line in missed:
        print(f"not reached: {line}", file=sys.stderr)
    print(f"seed {results['seed']}, {results['minutes']:.1f} minutes")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
