"""From the start of `driftd run` to its first event, in fresh processes on the mock cluster: `make bench`.

`daemon` is the program itself, watched over HTTP. `parts` takes the same steps one by one with a stamp after each; what
passes while the broker is asked or a poll waits is the broker's, the rest is ours. Imports are counted by top-level
package as `-X importtime` has them, which makes each a little slower. Medians of fresh processes; the files are cached.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.measure import Figures, cpu_seconds, machine, options, rss, said, spread, write

TOPIC = "start"
FEATURES = [f"feature_{at:02d}" for at in range(20)]
EVENTS = 4_000  # four seconds of event time: no window closes
BEGIN_MS = 1_763_870_700_000
WINDOW_NS = 60 * 10**9
IDLE = 12.0  # seconds; what was freed is given back every ten
DEADLINE = 30.0  # seconds for one process
SHOWN = 14  # packages
STANDARD = sys.stdlib_module_names | {"sitecustomize", "_virtualenv", "zipimport", "_frozen_importlib_external"}
RUN = [sys.executable, "-m", "monitor", "run", "--config"]


# --- what is read -------------------------------------------------------------------------------------------------------


def produce(servers: str) -> None:
    """Events of 20 numeric features, a millisecond apart."""
    import numpy as np
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": servers, "linger.ms": 20})
    rows = np.random.default_rng(0).normal(size=(EVENTS, len(FEATURES))).tolist()
    for at, row in enumerate(rows):
        event = {"id": str(at), "ts": BEGIN_MS + at, "model": "m", "version": "1"}
        features = dict(zip(FEATURES, row, strict=True))
        producer.produce(TOPIC, json.dumps({**event, "features": features}), partition=0)
    if producer.flush(30):
        raise SystemExit("the broker did not take all events")


def config(home: Path, servers: str, port: int) -> Path:
    """One model with one rule; no webhook."""
    path = home / "driftd.yaml"
    model = {"name": "m", "version": "1", "reference": "reference.json", "window": "1m"}
    settings = {
        "kafka": {"bootstrap_servers": servers, "start_from": "earliest"},
        "topics": [{"name": TOPIC}],
        "models": [model],
        "alerting": {"rules": [{"name": "psi", "detector": "psi", "fire_above": 0.25}]},
        "http": {"port": port},
        "log": {"level": "error"},
        "state": f"state-{time.monotonic_ns()}",
    }
    path.write_text(json.dumps(settings), encoding="utf-8")
    return path


def reference(home: Path) -> None:
    """A reference of 20 features, calibrated on windows of a minute."""
    import numpy as np

    from benchmarks.traffic import calibrated

    rng = np.random.default_rng(1)
    found = calibrated({name: rng.normal(size=50_000) for name in FEATURES}, WINDOW_NS)
    found.save(home / "reference.json")


# --- the program itself --------------------------------------------------------------------------------------------------


def measure_daemon(home: Path, servers: str) -> dict[str, float]:
    """Seconds from the start to HTTP, to ready and to the first event; MiB when it has read all and waits."""
    from tests.parts.ports import free_ports

    (port,) = free_ports(1)
    command = [*RUN, str(config(home, servers, port))]
    began = time.monotonic()
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as daemon:
        try:
            found = {}
            for name, shown in (("http", answers), ("ready", ready), ("first event", counted)):
                wait_for(shown, port, daemon)
                found[name] = time.monotonic() - began
            found["first event, processor"] = cpu_seconds(daemon.pid)
            time.sleep(IDLE)
            found["RSS when idle, MiB"] = rss(daemon.pid) / 2**20
        finally:
            daemon.send_signal(signal.SIGTERM)
    return found


def wait_for(shown: Callable[[int], bool], port: int, daemon: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + DEADLINE
    while not shown(port):
        if daemon.poll() is not None or time.monotonic() > deadline:
            raise SystemExit("the daemon has not come so far")
        time.sleep(0.01)


def answers(port: int) -> bool:
    return get(port, "/healthz") is not None


def ready(port: int) -> bool:
    return get(port, "/readyz") is not None


def counted(port: int) -> bool:
    text = get(port, "/metrics") or ""
    lines = [line for line in text.splitlines() if line.startswith("driftd_events_total") and 'outcome="ok"' in line]
    return any(float(line.rsplit(" ", 1)[1]) > 0 for line in lines)


def get(port: int, path: str) -> str | None:
    with suppress(URLError, OSError), urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
        return str(answer.read().decode())
    return None


# --- its steps -----------------------------------------------------------------------------------------------------------


class Stamps:
    """Seconds by step, one after the other without a gap."""

    def __init__(self, began: float) -> None:
        self.steps: Counter[str] = Counter()
        self._last = began

    def stamp(self, step: str) -> None:
        """What has passed since the last stamp was this."""
        now = time.monotonic()
        self.steps[step] += now - self._last
        self._last = now

    def around(self, step: str, call: Callable[..., Any], otherwise: str) -> Callable[..., Any]:
        """The same call, its own time under a step of its own; what came before it was the other."""

        def timed(*arguments: Any) -> Any:
            self.stamp(otherwise)
            answer = call(*arguments)
            self.stamp(step)
            return answer

        return timed


def take_steps(path: Path, began: float) -> dict[str, float]:
    """What `driftd run` does up to its first closed window."""
    stamps = Stamps(began)
    stamps.stamp("interpreter")
    from monitor.app import Daemon
    from monitor.commands.run import warm_up, with_absolute_state
    from monitor.configuration import load
    from monitor.runtime.loop import calm_collector
    from monitor.runtime.telemetry import configure_logging
    from monitor.settings import load_settings

    stamps.stamp("imports")
    settings = with_absolute_state(load_settings(path), path.parent)
    configure_logging("error", "json")
    stamps.stamp("settings")
    configuration = load(settings, path.parent)
    stamps.stamp("references")
    daemon = Daemon.start(configuration)
    warm_up(configuration)
    calm_collector()
    daemon.server.serve(daemon.surface)
    stamps.stamp("daemon and state")
    daemon.source.open({})
    stamps.stamp("broker: look-up")
    daemon.loop.begin([])
    stamps.stamp("first save")
    daemon.source.poll = stamps.around("broker: polls", daemon.source.poll, "first events")  # type: ignore[method-assign]
    series = next(iter(daemon.pipeline.series.values()))
    while series.features.windows.origin is None:
        daemon.loop.turn(0.1)
    stamps.stamp("first events")
    from benchmarks.traffic import refuse_uncharted  # not before: its imports are not the daemon's

    refuse_uncharted(daemon.pipeline)
    daemon.close()
    return dict(stamps.steps)


def measure_parts(home: Path, servers: str) -> dict[str, float]:
    command = [sys.executable, __file__, "--steps", str(config(home, servers, 0)), "--began", repr(time.monotonic())]
    found: dict[str, float] = json.loads(output_of(command))
    ours = sum(seconds for step, seconds in found.items() if not step.startswith("broker"))
    return {**found, "ours, all of it": ours, "(first judging)": judge_cold(home)}


def judge_cold(home: Path) -> float:
    """Seconds that the first judging of all takes, imports and tables; `driftd run` does it in a thread while it waits."""
    program = (
        "import sys, time; from detectors import Reference; reference = Reference.load(sys.argv[1]); "
        "began = time.monotonic(); reference.compare(reference.sketch); print(time.monotonic() - began)"
    )
    return float(output_of([sys.executable, "-c", program, str(home / "reference.json")]))


def output_of(command: list[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=DEADLINE, cwd=ROOT).stdout


# --- imports and other commands --------------------------------------------------------------------------------------------


def measure_imports() -> dict[str, float]:
    """Seconds of importing the daemon by top-level package, each without what it imports in turn."""
    command = [sys.executable, "-X", "importtime", "-c", "import monitor.commands.run"]
    lines = subprocess.run(command, check=True, capture_output=True, text=True, timeout=DEADLINE, cwd=ROOT).stderr
    found: Counter[str] = Counter()
    for line in lines.splitlines()[1:]:
        own, _, module = line.removeprefix("import time:").split("|")
        package = module.strip().split(".")[0]
        found["standard library" if package in STANDARD else package] += int(own) / 1e6
    return {"all": sum(found.values()), **found}


def measure_commands(home: Path, servers: str) -> dict[str, float]:
    """Seconds of processor time, which other programs on the machine do not lengthen."""
    commands = {
        "driftd --help": ["--help"],
        "driftd check --offline": ["check", "--offline", "--config", str(config(home, servers, 9464))],
    }
    found = {}
    for name, arguments in commands.items():
        before = os.times()
        output_of([sys.executable, "-m", "monitor", *arguments])
        after = os.times()
        found[name] = after.children_user + after.children_system - before.children_user - before.children_system
    return found


# --- all of it -------------------------------------------------------------------------------------------------------------


def measure(rounds: int) -> dict[str, dict[str, list[float]]]:
    """Every figure of every round, interleaved."""
    from tests.parts.mock import MockBroker

    figures: dict[str, dict[str, list[float]]] = {name: {} for name in ("daemon", "parts", "imports", "commands")}
    broker = MockBroker()
    broker.create_topic(TOPIC)
    produce(broker.bootstrap)
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        reference(home)
        for _ in range(rounds):
            found = {
                "daemon": measure_daemon(home, broker.bootstrap),
                "parts": measure_parts(home, broker.bootstrap),
                "imports": measure_imports(),
                "commands": measure_commands(home, broker.bootstrap),
            }
            for name, values in found.items():
                for key, value in values.items():
                    figures[name].setdefault(key, []).append(value)
    broker.stop()
    return figures


def show(figures: Figures) -> None:
    """For people: of the packages the dearest."""
    for name, values in figures.items():
        print(f"\n{name}")
        shown = list(values.items())
        if name == "imports":
            shown = sorted(shown, key=lambda item: -item[1]["median"])[:SHOWN]
        for key, found in shown:
            print(f"  {key:<24} {said(found, 3)}")


def main() -> None:
    """Measure, print, and write where asked."""
    parser = options(__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=Path, help="of a configuration, in this process")
    parser.add_argument("--began", type=float, help="monotonic seconds")
    asked = parser.parse_args()
    if asked.steps:
        print(json.dumps(take_steps(asked.steps, asked.began)))
        return
    rounds = 1 if asked.quick else asked.rounds
    found = measure(rounds)
    figures = {name: {key: spread(values) for key, values in of.items()} for name, of in found.items()}
    print(f"medians of {rounds} fresh processes (lowest to highest); seconds, where nothing else is said")
    show(figures)
    write(asked.json, {"machine": machine(), **figures})


if __name__ == "__main__":
    main()
