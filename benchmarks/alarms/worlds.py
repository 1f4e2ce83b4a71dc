"""`python -m benchmarks.alarms.worlds NAME…`: a world lived through by the daemon's own operator, model after model.

Prints for each: pages a month with their exact 95 % interval, the share of time with an incident open, escalations, settled
ones, what opened them, delays of planted changes and whether the right feature stood first; beside it the plain rule.
Without a name all worlds are listed. Each model has features, levels and a reference of its own; `--seed` gives it again.
"""

import argparse
import json
import os
import secrets
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from zlib import crc32

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # one core a process

import numpy as np

from benchmarks.alarms.cases import CASES, Case
from benchmarks.alarms.itself import words_of
from benchmarks.alarms.months import lived
from benchmarks.alarms.subject import Subject
from benchmarks.alarms.told import said
from benchmarks.alarms.trying import tried
from benchmarks.measure import Figures


def run(case: Case, months: float, rng: np.random.Generator) -> Figures:
    """One model of a case: its months, then its trials."""
    subject = Subject(case, months, rng)
    return {
        "lived": lived(subject, months) if case.months and months else None,
        "trials": {trial.key: tried(subject, trial) for trial in case.trials},
        "itself": words_of(subject.reference),
    }


def replica(case: Case, at: int, seed: int) -> np.random.Generator:
    """Randomness of its own for each model, whichever process and order it has."""
    return np.random.default_rng([seed, at, crc32(case.key.encode())])


def measured(case: Case, models: int, months: float, seed: int) -> Figures:
    """Some models of a case."""
    began = time.process_time()
    found = [run(case, months, replica(case, at, seed)) for at in range(models)]
    seconds = time.process_time() - began
    return {"case": case.key, "title": case.title, "seed": seed, "models": found, "seconds": seconds}


def wanted(chosen: Sequence[str]) -> list[Case]:
    """The cases of these names, or of names that begin so; all of them."""
    return [case for key, case in CASES.items() if "all" in chosen or any(key.startswith(name) for name in chosen)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the worlds that are named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="worlds, or beginnings of their names; all: every one")
    parser.add_argument("--models", type=int, default=4, help="models, each with a reference of its own")
    parser.add_argument("--months", type=float, default=1.0, help="that each is lived through; 0: trials alone")
    parser.add_argument("--seed", type=int, default=None, help="of another run, to have it again; fresh otherwise")
    parser.add_argument("--notices", action="store_true", help="print everything that people were told")
    parser.add_argument("--json", type=Path, default=None, help="write the figures to this file")
    chosen = parser.parse_args(arguments)
    cases = wanted(chosen.names)
    if not cases:
        print("\n".join(f"{key:<16} {case.title}" for key, case in CASES.items()))
        return 2 if chosen.names else 0
    seed = secrets.randbits(32) if chosen.seed is None else chosen.seed
    print(f"seed {seed}", flush=True)
    results = []
    for case in cases:
        results.append(measured(case, chosen.models, chosen.months, seed))
        print(said(results[-1], notices=chosen.notices), flush=True)
        if chosen.json is not None:
            chosen.json.write_text(json.dumps(results), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
