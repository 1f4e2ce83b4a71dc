"""Simulations by seed: `python -m tests.simulation --seed N` plays one and prints what happened, `--seeds FIRST COUNT` many of them."""

import argparse
import gc
import json
import logging
import os
import platform
import sqlite3
import sys
from collections import Counter
from contextlib import closing
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from monitor.store import files
from tests.simulation.run import Simulation, configured

MEMORY = Path("/dev/shm")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--seed", type=int, metavar="N", help="play this one, and print what happened")
    parser.add_argument("--seeds", type=int, nargs=2, metavar=("FIRST", "COUNT"), help="play so many")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was found here, too")
    asked = parser.parse_args(arguments)
    logging.disable()
    with TemporaryDirectory(prefix="simulation", dir=MEMORY if MEMORY.is_dir() else None) as home:
        if asked.seed is not None:
            return show(asked.seed, Path(home))
        found = play(range(asked.seeds[0], sum(asked.seeds)), Path(home))
    text = json.dumps(found, indent=1)
    if asked.json is not None:
        asked.json.write_text(text + "\n", encoding="utf-8")
    print(text)
    return 0 if not found["violations"] else 1


def warm(home: Path) -> None:
    """What is made once is there: each simulation begins alike, and none has to make it."""
    configured(home, True)
    configured(home, False)
    Simulation(0, home).run()
    gc.collect()
    gc.freeze()


def digest(simulation: Simulation) -> str:
    """Of what happened, of what was drawn and of what was saved: alone and among many, in every process, a seed has the same."""
    story = "\n".join(simulation.world.story).replace(str(simulation.home), "")
    drawn, saved = simulation.world.random.getstate(), rows_of(simulation.state / files.DATABASE)
    return sha256(f"{story}{drawn}{saved}".encode()).hexdigest()[:16]


def rows_of(state: Path) -> dict[str, list[Any]]:
    """All rows of a state, but for its audit log, which has hashes of a configuration that says where it lies."""
    with closing(sqlite3.connect(state)) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        saved = sorted(name for name in tables if not name.startswith("audit"))
        return {name: sorted(database.execute(f"SELECT * FROM {name}").fetchall()) for name in saved}


def show(seed: int, home: Path) -> int:
    """What happened in one."""
    warm(home)
    simulation = Simulation(seed, home)
    verdict = simulation.run()
    print(*simulation.world.story, sep="\n")
    told = {"seed": seed, "figures": dict(verdict.figures), "violations": verdict.violations}
    print(json.dumps({**told, "story": digest(simulation)}, indent=1))
    return 0 if not verdict.violations else 1


def play(seeds: range, home: Path) -> dict[str, object]:
    """What is found of many, each in a child of its own: none begins with what another has left in memory."""
    figures: Counter[str] = Counter()
    violations, stories = [], {}
    warm(home)
    began = os.times()
    for seed in seeds:
        found = in_a_child(seed, home)
        figures += Counter(found["figures"])
        stories[seed] = found.get("story")
        if found["violations"]:
            print(f"seed {seed}: {found['violations'][0]}", file=sys.stderr, flush=True)
        violations += [{"seed": seed, **each} for each in found["violations"][:3]]
    ended = os.times()
    return {
        "seeds": [seeds.start, len(seeds)],
        "seconds_of_processor": round(sum(ended[:4]) - sum(began[:4]), 1),
        "figures": dict(figures),
        "violations": violations,
        "stories": stories,
        "versions": {
            "driftd": version("driftd"),
            "python": platform.python_version(),
            "sqlite": sqlite3.sqlite_version,
        },
    }


def in_a_child(seed: int, home: Path) -> dict[str, Any]:
    """What is found of one."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        simulation = Simulation(seed, home)
        verdict = simulation.run()
        found = {"figures": verdict.figures, "violations": verdict.violations[:3], "story": digest(simulation)}
        os.write(writing, json.dumps(found).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as answer:
        told = answer.read()
    status = os.waitpid(child, 0)[1]
    if status or not told:
        return {
            "figures": {},
            "violations": [{"invariant": "", "where": "the simulation", "what": f"ended with {status}"}],
        }
    return dict(json.loads(told))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
