"""One simulation: processes of driftd that die and begin again, until all is calm, read and told; then it is judged."""

import shutil
import traceback
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import yaml
from structlog.testing import capture_logs

from detectors import Reference
from monitor.app import Daemon
from monitor.configuration import Configuration, load
from monitor.runtime.metrics import METRICS
from monitor.settings import load_settings
from monitor.sources.base import SourceError
from monitor.store.sqlite import StateError
from monitor.stream.events import SECOND
from tests.simulation import disk, process
from tests.simulation.broker import TOPIC, SimulatedBroker
from tests.simulation.disk import SimulatedDisk
from tests.simulation.judge import CountersTold, Judge
from tests.simulation.process import Place, Surroundings, Witness
from tests.simulation.receivers import SECRET, SimulatedReceiver
from tests.simulation.scenario import LATENESS, MODELS, Scenario
from tests.simulation.world import SimulatedClock, World, begin
from tests.verifier.invariants import Verdict

TAIL = 12.0  # seconds of events after the trouble
MOST_BEHIND = 500 * SECOND  # of the wall where a process starts
LIMIT = 900.0  # seconds after which it is over, calm or not
TYPES = ["model.alert.firing", "model.alert.resolved", "model.retrain.requested"]
PORTS = {"trainer": 8001, "pager": 8002}


# --- what is the same in all ------------------------------------------------------------------------------------------


@cache
def configured(home: Path, skip_lost: bool) -> Configuration:
    """The configuration, whose state lies at home."""
    path = home / f"driftd-{skip_lost}.yaml"
    reference = home / "m.json"
    if not reference.exists():
        rng = np.random.default_rng(1)
        plans = rng.choice(["a", "b", "c"], 2000)
        Reference.fit({"x": rng.normal(size=2000), "plan": plans}).save(reference)
        (home / "secret").write_text(SECRET, encoding="utf-8")
    path.write_text(yaml.safe_dump(settings(home, skip_lost)), encoding="utf-8")
    return load(load_settings(path), home)


def settings(home: Path, skip_lost: bool) -> dict[str, Any]:
    rule = {"name": "psi-high", "detector": "psi", "fire_above": 0.8, "clear_below": 0.5, "for": 1}
    features = {name: {"detectors": ["psi"]} for name in ("x", "plan")}
    model = {"version": "1", "features": features, "reference": "m.json", "min_rows": 8, "lateness": f"{LATENESS:g}s"}
    return {
        "kafka": {"start_from": "earliest", "lost_offsets": "skip" if skip_lost else "stop"},
        "topics": [{"name": TOPIC}],
        "models": [{**model, "name": name, "window": f"{window}s"} for name, window in MODELS.items()],
        "alerting": {"false_alarms_per_month": None, "rules": [{**rule, "keep_firing_for": 1, "severity": "critical"}]},
        "retraining": {"cooldown": "20s", "max_per_week": 1000},
        "webhooks": [
            {
                "name": name,
                "url": f"http://127.0.0.1:{port}/",
                "types": TYPES if name == "trainer" else TYPES[:2],
                "kinds": ["drift"],
                "secret_file": "secret",
            }
            for name, port in PORTS.items()
        ],
        "checkpoint_interval": "2s",
        "idle_after": "12s",
        "state": str(home / "state"),
        "http": {"port": 0},
    }


# --- one of them ------------------------------------------------------------------------------------------------------


@dataclass
class Simulation:
    """One seed."""

    seed: int
    home: Path
    scenario: Scenario = field(init=False)
    world: World = field(init=False)
    around: Surroundings = field(init=False)
    seen: Witness = field(default_factory=Witness)
    verdict: Verdict = field(default_factory=Verdict)
    kept: list[tuple[Path, frozenset[Place]]] = field(default_factory=list)  # what kills have left
    daemon: Daemon | None = None
    begun_with: frozenset[Place] = frozenset()  # of the process that runs
    running: bool = False
    over: bool = False
    lives: int = 0

    def __post_init__(self) -> None:
        self.scenario = Scenario.of(self.seed)
        self.state = self.home / "state"
        shutil.rmtree(self.state, ignore_errors=True)
        shutil.rmtree(self.home / "killed", ignore_errors=True)
        self.world = begin(self.seed)
        broker = SimulatedBroker(self.scenario.partitions, self.scenario.stamps)
        receivers = [SimulatedReceiver(name, port) for name, port in PORTS.items()]
        configuration = configured(self.home, self.scenario.skip_lost)
        self.around = Surroundings(broker, SimulatedDisk(self.state), receivers, configuration)

    def run(self) -> Verdict:
        """All of it."""
        self._prepare()
        with process.simulated(self.around, self.seen), capture_logs() as self.logs:
            number = 0
            while not self.over:
                self._live(number)
                number = self.lives = number + 1
                self.world.wait(self.world.random.choice((0.1, 1.0, 7.0)))
        self._judge()
        return self.verdict

    def _prepare(self) -> None:
        world, chance = self.world, Random(self.seed + 1)
        for second in range(int(self.scenario.length + TAIL)):
            world.at(second + 0.5, lambda at=second + 0.5: self.scenario.write(chance, self.around, at, 1.0))
        for at, what, put in self.scenario.faults:
            world.at(at, lambda what=what, put=put: (world.tell(what), put(world, self.around)))
        for at in self.scenario.stops:
            world.at(at, self._ask_to_stop)
        world.at(self.scenario.length, lambda: setattr(world, "dies_at", None))
        world.at(self.scenario.length + TAIL, self._look)
        world.at(LIMIT, self._give_up)

    def _ask_to_stop(self) -> None:
        if self.running and self.daemon is not None and self.daemon._opened:
            self.world.tell("asked to stop")
            self.daemon.stopping.set()

    def _look(self) -> None:
        """Once all is calm: what waits for a receiver is tried at once, as people would; once all is read and told it ends."""
        if self.over:
            return
        daemon = self.daemon
        if daemon is not None and daemon._begun and self.running:
            ends = {index: len(log) for index, log in enumerate(self.around.broker.now.partitions)}
            at = {place.index: offset for place, offset in daemon.source.positions().items()}
            waiting = [each for each in daemon.store.undelivered() if each.status == "pending"]
            if waiting:
                daemon.store.retry(waiting, daemon.clock.now())
                for each in daemon.notifiers:
                    each.try_now()
            elif at == ends and daemon.checkpointer.failing is None and daemon.source.trouble() is None:
                self.over = True
                daemon.stopping.set()
                return
        self.world.at(self.world.elapsed + 2.0, self._look)

    def _give_up(self) -> None:
        if not self.over:
            self.over = True
            self.verdict.break_("I4", "the end", "not all was read and told when all had been calm for long")
            self.world.end()

    def _live(self, number: int) -> None:
        """One process, from its beginning to its end."""
        world, deaths = self.world, self.scenario.deaths
        while world.ahead < -MOST_BEHIND:  # who starts so takes all that comes for the future: max_future
            world.wait(1.0)
        kept = self.home / "killed" / f"{number:04}"
        calm = world.elapsed >= self.scenario.length
        world.dies_at = deaths[number] if number < len(deaths) and not calm else None
        world.on_death = lambda: disk.keep(self.state, kept)
        self.seen.begin()
        self.begun_with, self.daemon = self.seen.saved, None
        self.seen.polled_in = self.around.broker.epoch
        world.tell(f"process {number} begins")
        main = world.spawn(self._main, "main")
        main.ended.wait()
        died, self.running = not world.alive, False
        world.bury()
        self.around.disk.let_go()
        if died and not self.over:
            disk.put_back(kept, self.state)
            self.kept.append((kept, self.seen.saved))
        else:
            self._look_at_end(main.failure)
        self.around.broker.clients = 0

    def _main(self) -> None:
        daemon = Daemon.start(self.around.configuration, clock=SimulatedClock())
        self.daemon, self.running = daemon, True
        daemon.run()

    def _look_at_end(self, failure: BaseException | None) -> None:
        """Whether a process may end so, and what its operator does."""
        self.world.tell(f"process ends: {failure!r}")
        if failure is None:
            return
        self.world.story += traceback.format_tb(failure.__traceback__)[-4:]
        if isinstance(failure, SourceError) and "our position" in str(failure) and self.scenario.lossy:
            self.around.configuration = configured(self.home, True)
        elif not self._may_end(failure):
            self.verdict.break_("I4", "a process", f"ended by {failure!r}")

    def _may_end(self, failure: BaseException) -> bool:
        """Whether its supervisor is to begin it again, no more."""
        silent = isinstance(failure, SourceError) and "no answer" in str(failure)
        return silent or (isinstance(failure, StateError) and self._disk_failed)

    @property
    def _disk_failed(self) -> bool:
        return any("disk" in what for _, what, _ in self.scenario.faults)

    def _judge(self) -> None:
        """Ask whether the promises hold, of what is left."""
        mine, found = self.verdict, None
        judged = Judge(
            [*self.around.broker.written()],
            self.scenario.partitions,
            self.around.configuration,
            self.seen,
            self.scenario.lossy,
        )
        self.verdict = judged.verdict
        for each in mine.violations:
            self.verdict.break_(each["invariant"], each["where"], each["what"])
        for failure in self.world.failures:
            self.verdict.break_("I4", "a thread", failure)
        for fact in self.seen.strange:
            self.verdict.break_("I6", "the log", f"{fact} was told, for nothing")
        if mine.violations:
            return
        for directory, saved in self.kept:
            judged.state(directory, saved)
        found = judged.state(self.state, self.seen.saved)
        assert found is not None
        assert self.daemon is not None
        judged.said(self.state, found, self.around.receivers)
        counters = self.daemon.telemetry.look(lambda board: board.counters)
        judged.processes(CountersTold(counters, {name: spec.labels for name, spec in METRICS.items()}), self.begun_with)
        judged.read(found)
        self._count(judged.verdict)

    def _count(self, verdict: Verdict) -> None:
        broker = self.around.broker
        verdict.figures["events"] += sum(1 for _ in broker.written())
        verdict.figures["processes"] += self.lives
        verdict.figures["deaths"] += len(self.kept)
        verdict.figures["lost_told"] += len(self.seen.lost)
        verdict.figures["faults"] += len(self.scenario.faults)
        verdict.figures["simulated_seconds"] += round(self.world.elapsed)
