"""Every named step of making, saving and delivering fails in every way, in the real program; a verifier finds nothing lost, nothing twice, nothing unsaid.

In CI a step of each scene crashes, which the seed draws. `make failpoints` has each step crash, raise, hang and fill the disk; what the verifier says is in `build/failpoints.json`.
"""

import json
import os
import random
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from monitor.failpoints import VARIABLE, Action, Step
from monitor.pipeline import DISPENSABLE
from monitor.store import files, schema
from tests.integration.proven import PARTITIONS, TOPIC, Load, ProvenRun, proven_run, verdict

if TYPE_CHECKING:
    from tests.parts.mock import MockBroker

ALL = os.environ.get("FAILPOINTS") == "all"
REPORT = os.environ.get("FAILPOINTS_REPORT")
AT_ONCE = 4
LENGTH, LIVED = (
    120,
    75,
)  # seconds of event time: one alert that fires and resolves, and of them before the failure where a state is there
HANG = 3  # seconds
DISK = "16m"
PATIENCE, SUPERVISED = 240.0, 10.0  # seconds
Prepare = Callable[[ProvenRun], None]
BROKEN = "UPDATE record SET payload = CAST(payload || x'00' AS BLOB) WHERE kind = ?"  # its checksum stays what it was


def nothing(run: ProvenRun) -> None:
    """No state yet."""
    shutil.rmtree(run.state)
    (run.home / "webhooks.jsonl").unlink(missing_ok=True)


def older(run: ProvenRun) -> None:
    """The same state in format 4, whose rows have no checksums."""
    run.keep()
    new, old = run.state / files.DATABASE, run.state / "older"
    with closing(sqlite3.connect(old, isolation_level=None)) as made, closing(sqlite3.connect(new)) as source:
        marks = f"PRAGMA application_id={schema.APPLICATION_ID};PRAGMA user_version=4;"
        made.executescript(schema.STATE + schema.OUTBOX + schema.STANDING + schema.AUDIT + marks)
        tables = [name for (name,) in made.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            columns = [row[1] for row in made.execute(f"PRAGMA table_info({table})")]
            rows = source.execute(f"SELECT {', '.join(columns)} FROM {table}").fetchall()
            made.execute(f"DELETE FROM {table}")
            made.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(columns))})", rows)
    old.replace(new)


def damaged(run: ProvenRun) -> None:
    """A row that a backup has to stand in for, from which reading goes on: what was said is said again under its ids, in words of today's configuration."""
    (run.home / "webhooks.jsonl").unlink()
    run.keep(files.backups(run.state)[0])
    with closing(sqlite3.connect(run.state / files.DATABASE)) as database, database:
        assert database.execute(BROKEN, ("window",)).rowcount


def damaged_where_it_is_only_shown(run: ProvenRun) -> None:
    """A row that the state can do without."""
    run.keep()
    with closing(sqlite3.connect(run.state / files.DATABASE)) as database, database:
        assert sum(database.execute(BROKEN, (kind,)).rowcount for kind in DISPENSABLE)


def torn(run: ProvenRun) -> None:
    """Dead letters that no checkpoint covers, the last of which was not written to its end."""
    run.keep()
    segment = max(run.letters.glob("letters-*.jsonl"))
    with segment.open("ab") as lines:
        lines.write(segment.read_bytes()[:1000])


SCENES: dict[str, Prepare] = {  # what a step needs to be reached, by the first word of its name
    "create": nothing,
    "checkpoint": nothing,
    "backup": nothing,
    "delivery": nothing,
    "letters": nothing,
    "tail": torn,
    "migrate": older,
    "recover": damaged,
    "repair": damaged_where_it_is_only_shown,
}
BEGUN_BEFORE = {"recover", "repair"}  # where reading begins is known from before the failure
TIMES = {"checkpoint": 3}  # the third checkpoint is one of many; the others are reached once or soon


@pytest.fixture
def disks(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """File systems of a few MB."""
    with ExitStack() as mounted:

        def mount(name: str) -> Path:
            place = tmp_path / f"disk-{name}"
            place.mkdir()
            command = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(place)]
            try:
                subprocess.run(command, check=True, capture_output=True, timeout=10)
            except (OSError, subprocess.SubprocessError):
                pytest.skip("a small file system cannot be mounted here: needs root")
            mounted.callback(subprocess.run, ["umount", "--lazy", str(place)], check=True, timeout=10)
            return place

        yield mount


def lived(home: Path, bootstrap: str, seed: int) -> None:
    """A run that has gone well for a while: a state with a backup, windows, an alert that fires."""
    with proven_run(home, bootstrap, seed, group="lived") as run:
        run.daemon.start()
        run.daemon.wait_for(lambda: run.daemon.metric("driftd_alert_transitions_total", to="firing") == 1)
        run.daemon.wait_told()
        run.daemon.wait_for(lambda: bool(files.backups(run.state)))
        assert run.daemon.stop() == 0


def fail(run: ProvenRun, step: Step, action: Action, ballast: Path) -> None:
    """Start, meet the failure, and do what a supervisor does."""
    scene = step.partition(".")[0]
    how = {Action.HANG: f"hang:{HANG}", Action.FILL: f"fill:{ballast}"}.get(action, action.value)
    failpoint = f"{step}@{TIMES.get(scene, 1)}={how}"
    run.daemon.start(ready=False, environment={VARIABLE: failpoint})
    ends = time.monotonic() + PATIENCE
    while f"failpoint {step}: {action}" not in run.daemon.log.read_text(encoding="utf-8"):
        assert time.monotonic() < ends, (failpoint, run.daemon.log.read_text(encoding="utf-8")[-2000:])
        time.sleep(0.05)
    if action in {Action.FILL, Action.HANG}:
        time.sleep(HANG)
    ballast.unlink(missing_ok=True)
    if not well(run, action):
        if run.daemon.running:
            run.daemon.kill()
        if scene not in BEGUN_BEFORE:
            run.keep()
        run.daemon.start(ready=False)


def well(run: ProvenRun, action: Action) -> bool:
    """Whether it runs and is ready, after all; a mistake may need its time to end it."""
    ends = time.monotonic() + SUPERVISED
    while run.daemon.running and time.monotonic() < ends:
        if action in {Action.FILL, Action.HANG} and run.daemon.status("/readyz") == 200:
            return True
        time.sleep(0.1)
    return run.daemon.running and run.daemon.status("/readyz") == 200


def proven(base: Path, home: Path, bootstrap: str, load: Load, step: Step, action: Action, disk: Path | None) -> Path:
    """A run in which a step fails once, in a way."""
    shutil.copytree(base, home)
    state = None
    if disk is not None:
        state = disk / "state"
        shutil.move(home / "state", state)
    with proven_run(home, bootstrap, load.seed, group=home.name, state=state) as run:
        SCENES[step.partition(".")[0]](run)
        fail(run, step, action, (disk or home) / "ballast")
        run.daemon.wait_for(lambda: run.daemon.status("/readyz") == 200, seconds=PATIENCE)
        run.finish(load)
    return home


def cases() -> Sequence[tuple[Step, Action]]:
    """All of them, or one that crashes of each scene; a step that no scene reaches fails."""
    if ALL:
        return [(step, action) for action in Action for step in Step]
    return [
        (random.choice([step for step in Step if step.partition(".")[0] == scene]), Action.CRASH) for scene in SCENES
    ]


@pytest.mark.slow
@pytest.mark.timeout(1200 * (len(Action) if ALL else 1))
def test_a_step_that_fails_breaks_no_invariant(
    mock_broker: "MockBroker", tmp_path: Path, disks: Callable[[str], Path]
) -> None:
    seed = random.getrandbits(32)
    print(f"seed {seed}")
    mock_broker.create_topic(TOPIC, PARTITIONS)
    load = Load(mock_broker.bootstrap, seed, LENGTH, pause=0.0)
    base = tmp_path / "lived"
    load.produce(0, LIVED)
    lived(base, mock_broker.bootstrap, seed)
    load.produce(LIVED, LENGTH)
    chosen = cases()
    places = {(step, action): disks(step) if action is Action.FILL else None for step, action in chosen}

    def prove(case: tuple[Step, Action]) -> Path:
        home = tmp_path / "-".join(case).replace(".", "-")
        return proven(base, home, mock_broker.bootstrap, load, *case, places[case])

    with ThreadPoolExecutor(AT_ONCE) as pool:
        homes = [*pool.map(prove, chosen)]
    found = verdict(homes, tmp_path / "verdict.json")

    if REPORT is not None:
        Path(REPORT).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found))
    assert found["violations"] == []
    assert found["runs"] == len(chosen)
    assert found["figures"]["transitions"] >= 2 * found["runs"]
