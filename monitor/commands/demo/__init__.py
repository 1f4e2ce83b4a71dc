"""`driftd demo`: embedded broker, live traffic of two models, drift at a known moment, alert, webhook, recovery."""

import base64
import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread

import numpy as np
import yaml

from monitor.alerting.alerts import AlertState
from monitor.alerting.rules import BUDGET_RULE as RULE
from monitor.app import Daemon
from monitor.clock import SystemClock
from monitor.commands.demo.receiver import ReceivedNotice, Receiver
from monitor.commands.demo.traffic import MODELS, TOPIC, WINDOW, Timetable, Traffic, write_references
from monitor.commands.demo.view import DemoView, Frame, Row
from monitor.commands.exits import Exit
from monitor.commands.run import cannot
from monitor.configuration import load
from monitor.runtime.board import Board
from monitor.runtime.telemetry import configure_logging
from monitor.settings import load_settings
from monitor.sources.kafka.embedded import EmbeddedBroker
from monitor.stream.events import SECOND

DRIFTING, SILENT, FEATURE = "fraud", "pricing", "amount"
REFRESH = 0.25  # seconds
SEED = 7
CLOCK = SystemClock()
PAUSE = Event()  # never set


@dataclass(slots=True)
class Story:
    """What has been seen so far, by the outside: alerts on the board, deliveries at the receiver."""

    alerts: dict[tuple[str, str], AlertState] = field(default_factory=dict)
    heard: int = 0
    windows: int = 0
    fired_after: int | None = None
    fired_feature: str = ""
    fired_seconds: float = 0.0
    resolved: bool = False
    said: set[str] = field(default_factory=set)


def demo(*, seconds: int, port: int) -> Exit:
    """Run the whole thing. 0 if the drift was detected and delivered and the other model stayed silent, else 1."""
    configure_logging("error", "console")
    began = CLOCK.elapsed()
    timetable = Timetable(begins=max(8.0, seconds * 0.2), ends=max(18.0, seconds * 0.45))
    with tempfile.TemporaryDirectory(prefix="driftd-demo-") as directory:
        home = Path(directory)
        secret = "whsec_" + base64.b64encode(os.urandom(32)).decode()
        (home / "secret").write_text(secret, encoding="utf-8")
        (home / "secret").chmod(0o600)
        receiver = Receiver(secret)
        rng = np.random.default_rng(SEED)
        write_references(home, rng)
        broker = EmbeddedBroker()
        broker.create(TOPIC)
        config = write_config(home, broker.bootstrap_servers, receiver.url, port)
        try:
            daemon = Daemon.start(load(load_settings(config), home))
        except OSError as error:
            return cannot(f"http: port {port} cannot be bound: {error.strerror or error}; choose another with --port")
        thread = Thread(target=daemon.run, name="daemon", daemon=True)
        thread.start()
        traffic = Traffic(broker.producer, timetable, rng)
        traffic.start()
        story = Story()
        try:
            with DemoView() as view:
                view.say(
                    0, f"serving {daemon.server.url}/metrics; two models, windows of {WINDOW} s, 1 false alarm a month"
                )
                watch(WatchedDemo(daemon, traffic, receiver, view, story), began, seconds)
        finally:
            traffic.stopping.set()
            traffic.join(3)
            daemon.stopping.set()
            thread.join(10)
            receiver.shutdown()
        return conclude(story, receiver.deliveries())


@dataclass(frozen=True, slots=True)
class WatchedDemo:
    """All that is watched."""

    daemon: Daemon
    traffic: Traffic
    receiver: Receiver
    view: DemoView
    story: Story


def watch(watched: WatchedDemo, began: float, seconds: int) -> None:
    """Look at board and receiver until the story has ended or the time is up."""
    last_count, last_at, rate = 0, began, 0.0
    while (elapsed := CLOCK.elapsed() - began) < seconds and not finished(watched):
        count, now = events_read(watched.daemon), CLOCK.elapsed()
        if now - last_at >= 1.0:
            rate, last_count, last_at = (count - last_count) / (now - last_at), count, now
        follow(watched, elapsed)
        watched.view.show(frame_of(watched, elapsed, rate))
        PAUSE.wait(REFRESH)


def finished(watched: WatchedDemo) -> bool:
    """Whether drift was found, delivered, and is over."""
    kinds = {delivery.type for delivery in watched.receiver.deliveries()}
    return watched.story.resolved and {"model.retrain.requested", "model.alert.resolved"} <= kinds


def events_read(daemon: Daemon) -> int:
    """Events counted so far."""
    return int(daemon.telemetry.look(lambda board: sum(board.counters["driftd_events_total"].values())))


def follow(watched: WatchedDemo, elapsed: float) -> None:
    """Say what has changed since the last look."""
    story, view, traffic = watched.story, watched.view, watched.traffic
    began, ended = traffic.drift_began, traffic.drift_ended
    windows, alerts = watched.daemon.telemetry.look(lambda board: (windows_after(board, began), alert_states(board)))
    story.windows = windows
    for (model, rule), (state, evidence) in alerts.items():
        before = story.alerts.get((model, rule), AlertState.INACTIVE)
        if state is before:
            continue
        story.alerts[model, rule] = state
        style = {AlertState.FIRING: "bold red", AlertState.INACTIVE: "bold green"}.get(state, "yellow")
        word = "resolved" if state is AlertState.INACTIVE else state.name.lower()
        view.say(elapsed, f"alert {rule} on {model}: {before.name.lower()} → {word}  {evidence}", style)
        note(story, model, before, state, evidence, (CLOCK.now() - began) / SECOND if began else 0.0)
    for delivery in watched.receiver.deliveries()[story.heard :]:
        story.heard += 1
        verified = "signature verified" if delivery.verified else "SIGNATURE WRONG"
        view.say(elapsed, f"webhook {delivery.type} arrived, id {delivery.id[:12]}…, {verified}", "cyan")
    if ended is not None and "ended" not in story.said:
        story.said.add("ended")
        view.say(elapsed, f"{DRIFTING}.{FEATURE} is back to normal")
    elif began is not None and "began" not in story.said:
        story.said.add("began")
        view.say(elapsed, f"{DRIFTING}.{FEATURE} begins to drift: every amount × 1.9", "bold")


def note(story: Story, model: str, before: AlertState, state: AlertState, evidence: str, after: float) -> None:
    """Remember what the summary will need."""
    if model != DRIFTING:
        return
    if state is AlertState.FIRING and before is not AlertState.RECOVERING and story.fired_after is None:
        story.fired_after, story.fired_seconds = story.windows, after
        story.fired_feature = evidence.split(" ", maxsplit=1)[0]
    if state is AlertState.INACTIVE and story.fired_after is not None:
        story.resolved = True


def windows_after(board: Board, began: int | None) -> int:
    """Windows of the drifting model that closed with drift in them."""
    if began is None:
        return 0
    return sum(
        window.end > began for key, windows in board.windows.items() if key.model == DRIFTING for window in windows
    )


def alert_states(board: Board) -> dict[tuple[str, str], tuple[AlertState, str]]:
    """Each model's alert with its leading evidence."""
    states = {(key.model, RULE): (AlertState.INACTIVE, "") for key in board.series}
    for (key, rule, _), alert in board.alerts.items():
        if rule != RULE or alert.state <= states[key.model, rule][0]:
            continue
        shown = ", ".join(f"{one.feature} {one.words}" for one in alert.evidence[:3])
        states[key.model, rule] = (alert.state, shown)
    return states


def frame_of(watched: WatchedDemo, elapsed: float, rate: float) -> Frame:
    """The board as a frame."""
    phase = f"{DRIFTING}.{FEATURE} × 1.9" if watched.traffic.drifting else "no drift"

    def read(board: Board) -> Frame:
        rows = [
            Row(
                key.model,
                feature,
                {score.detector: score for score in series.scores if score.feature == feature},
                state,
            )
            for key, series in board.series.items()
            for feature, state in series.states.items()
            if feature != "__volume__"
        ]
        last = {key.model: series.window.rows for key, series in board.series.items() if series.window is not None}
        closed = sum(len(windows) for windows in board.windows.values())
        return Frame(elapsed, phase, rate, closed, last, tuple(rows), watched.daemon.server.url)

    return watched.daemon.telemetry.look(read)


def conclude(story: Story, deliveries: list[ReceivedNotice]) -> Exit:
    """The summary line, and whether all went as it must."""
    retrains = [delivery for delivery in deliveries if delivery.type == "model.retrain.requested"]
    ids = {delivery.id for delivery in retrains}
    silent = all(model == DRIFTING for model, _ in story.alerts) and all(
        delivery.data["model"] == DRIFTING for delivery in deliveries
    )
    verified = bool(deliveries) and all(delivery.verified for delivery in deliveries)
    passed = (
        story.fired_after is not None
        and story.fired_feature == FEATURE
        and story.resolved
        and len(retrains) == len(ids) == 1
        and verified
        and silent
    )
    outcome = (
        f"{DRIFTING}.{story.fired_feature} fired after {story.fired_after} windows ({story.fired_seconds:.1f} s of drift)"
        if story.fired_after is not None
        else f"{DRIFTING}.{FEATURE} was not found"
    )
    print(
        f"{'PASSED' if passed else 'FAILED'}: {outcome}; retraining requested {len(ids)}×, delivered {len(retrains)}×, "
        f"{'all signatures verified' if verified else 'signatures NOT verified'}; "
        f"{'resolved' if story.resolved else 'not resolved'}; {SILENT} {'stayed silent' if silent else 'WAS NOT SILENT'}"
    )
    return Exit.OK if passed else Exit.NO


def write_config(home: Path, servers: str, url: str, port: int) -> Path:
    """The demo's configuration, as a user would write it."""
    config = {
        "kafka": {"bootstrap_servers": servers, "start_from": "latest"},
        "topics": [{"name": TOPIC}],
        "defaults": {"window": f"{WINDOW}s", "lateness": "500ms", "min_rows": 200},
        "models": [{"name": name, "version": "1", "reference": f"{name}.reference.json"} for name in MODELS],
        "alerting": {"false_alarms_per_month": 1},
        "webhooks": [{"name": "trainer", "url": url, "types": ["*"], "secret_file": "secret"}],
        "state": str(home / "state"),
        "checkpoint_interval": "1s",
        "idle_after": "2s",
        "http": {"port": port},
    }
    path = home / "driftd.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    return path
