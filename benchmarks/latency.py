"""From event to metric under load, what little traffic costs, and how fast a backlog is made up for.

A producer in a process of its own keeps a pace on Apache Kafka, `driftd run` reads, and this process looks at /metrics.
Producer, broker and daemon share the machine's cores, so the load that is held is said beside what was asked for.
"""

import json
import math
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import brokers
from benchmarks.daemon import Daemon, pacing, running
from benchmarks.measure import Figures, child, cpu_seconds, options, write
from benchmarks.pacer import stamped
from benchmarks.traffic import BEGIN_MS, events

PARTITIONS = 4
LOADS = (0.7, 0.5, 0.35, 0.25)  # of the rate at which a backlog is read; the first that is held counts
WINDOW, LATENESS = 0.5, 0.5  # seconds
LOOK_EVERY = 0.05
WARM = 4.0
TRIED = 4.0  # seconds of a load that may be too much
HELD = 0.95  # of what was asked for
SLOW = 1_000  # events a second
OUTAGE_LOAD = 0.25
HOUR_MS = 3_600_000


def measured_rate(node: Any, count: int = 200_000) -> float:
    """The daemon's rate on a backlog, where it was not given."""
    servers = brokers.filled(node, "rate", events(count))
    found: Figures = child("contenders", "run", "--servers", servers, "--topic", "rate", "--events", str(count))
    return float(found["rate"])


# --- event to metric ------------------------------------------------------------------------------------------------


def look(daemon: Daemon, seconds: float) -> tuple[list[float], float]:
    """Seconds from each window's end and lateness until its metrics were seen, and the lag at the end."""
    found: list[float] = []
    last = math.nan
    deadline = time.time() + seconds
    lag = 0.0
    while (now := time.time()) < deadline:
        samples = daemon.metrics()
        seen = time.time()
        lag = sum(value for (name, _), value in samples.items() if name == "driftd_consumer_lag")
        end = max((v for (name, _), v in samples.items() if name == "driftd_window_end_timestamp_seconds"), default=0)
        while last < end:
            last += WINDOW
            found.append(seen - last - LATENESS)
        last = end or last
        time.sleep(max(0.0, now + LOOK_EVERY - time.time()))
    return found, lag


def at_load(node: Any, home: Path, rate: float, load: float, seconds: float) -> Figures:
    """One load, for some seconds."""
    topic = f"load-{load}-{seconds}"
    node.create_topic(topic, PARTITIONS)
    window = {"window": f"{WINDOW * 1000:.0f}ms", "lateness": f"{LATENESS * 1000:.0f}ms"}
    with (
        running(home, node.bootstrap, topic, **window) as daemon,
        pacing(node.bootstrap, topic, PARTITIONS, load * rate, WARM + seconds + 1) as pacer,
    ):
        time.sleep(WARM)
        used, began = cpu_seconds(daemon.pid), time.monotonic()
        delays, lag = look(daemon, seconds)
        cpu = (cpu_seconds(daemon.pid) - used) / (time.monotonic() - began)
        sent = json.loads(pacer.communicate(timeout=60)[0])
    ordered = sorted(delays) or [math.inf]
    return {
        "asked": load * rate,
        "sent": sent["rate"],
        "load": sent["rate"] / rate,
        "lag_seconds": lag / sent["rate"],
        "windows": len(delays),
        "p50": ordered[len(ordered) // 2],
        "p99": ordered[min(len(ordered) - 1, math.ceil(0.99 * len(ordered)) - 1)],
        "max": ordered[-1],
        "cpu": cpu,
        "producer_cpu": sent["cpu"],
        "delays": [round(delay, 4) for delay in delays],
    }


def event_to_metric(node: Any, home: Path, rate: float, seconds: float) -> Figures:
    """At 70 % load, or at the highest load below it that producer, broker and daemon hold together on this machine."""
    tried = []
    for load in LOADS:
        found = at_load(node, home, rate, load, TRIED)
        tried.append({key: found[key] for key in ("asked", "sent", "lag_seconds", "p99")})
        if found["lag_seconds"] < 1 and found["sent"] > HELD * found["asked"]:
            break
    return {"tried": tried, **at_load(node, home, rate, load, seconds)}


# --- little traffic -------------------------------------------------------------------------------------------------


def little(node: Any, home: Path, seconds: float) -> Figures:
    """Share of a core at 1 000 events/s, and with none."""
    node.create_topic("little", PARTITIONS)
    with running(home, node.bootstrap, "little") as daemon:
        time.sleep(2)
        idle = share(daemon, seconds / 2)
        with pacing(node.bootstrap, "little", PARTITIONS, SLOW, seconds + 3) as pacer:
            time.sleep(2)
            busy = share(daemon, seconds)
            sent = json.loads(pacer.communicate(timeout=60)[0])
    return {"rate": sent["rate"], "cpu": busy, "idle": idle}


def share(daemon: Daemon, seconds: float) -> float:
    """Cores used."""
    used, began = cpu_seconds(daemon.pid), time.monotonic()
    time.sleep(seconds)
    return (cpu_seconds(daemon.pid) - used) / (time.monotonic() - began)


# --- after an outage ------------------------------------------------------------------------------------------------


def outage(node: Any, home: Path, rate: float, seconds: float) -> Figures:
    """An hour of event time lies unread, and traffic goes on at 25 % load: how fast is it made up for?"""
    steady = OUTAGE_LOAD * rate
    backlog = int(steady * seconds)
    step = HOUR_MS / backlog
    servers, topic = node.bootstrap, "outage"
    brokers.filled(node, topic, stamped(backlog, BEGIN_MS, step), PARTITIONS)
    go_on = ("--from-ms", str(BEGIN_MS + HOUR_MS), "--step-ms", str(step))
    with (
        pacing(servers, topic, PARTITIONS, steady, 60, *go_on),
        running(home, servers, topic, window="1m", lateness="10s") as daemon,
    ):
        daemon.until(lambda: daemon.total("driftd_events_total") > 0, 20)
        began, first = time.monotonic(), daemon.total("driftd_events_total")
        caught_up = daemon.until(lambda: made_up_for(daemon, backlog, steady / 2), 40)
        took, read = time.monotonic() - began, daemon.total("driftd_events_total") - first
        late = daemon.total("driftd_events_total", 'outcome="late"')
    speed = read / took
    found = {"backlog": backlog, "input": steady, "rate": speed, "ratio": speed / steady, "seconds": took}
    return found | {"caught_up": caught_up, "late": late}


def made_up_for(daemon: Daemon, backlog: int, lag: float) -> bool:
    """Whether all of the backlog was read, and less than so much lies unread."""
    samples = daemon.metrics()
    read = sum(value for (name, _), value in samples.items() if name == "driftd_events_total")
    return read > backlog and sum(v for (name, _), v in samples.items() if name == "driftd_consumer_lag") < lag


# --- all of it --------------------------------------------------------------------------------------------------------


def show(figures: Figures) -> None:
    """For people."""
    delay, small, after = figures["latency"], figures["little"], figures["outage"]
    print(f"latency on Apache Kafka; a backlog is read at {figures['rate']:,.0f} events/s")
    for one in delay["tried"]:
        print(f"  tried {one['asked']:,.0f} events/s: sent {one['sent']:,.0f}, lag {one['lag_seconds']:.1f} s")
    print(
        f"  event to metric at {delay['load']:.0%} load, past the window's end and lateness: {delay['windows']} windows"
    )
    print(
        f"    p50 {delay['p50']:.2f} s, p99 {delay['p99']:.2f} s, highest {delay['max']:.2f} s; CPU {delay['cpu']:.2f}"
    )
    print(f"  CPU at {small['rate']:,.0f} events/s: {small['cpu']:.1%} of a core; idle {small['idle']:.1%}")
    print(
        f"  after an outage: {after['backlog']:,} events read at {after['rate']:,.0f}/s while {after['input']:,.0f}/s"
    )
    print(f"    come in: × {after['ratio']:.1f}, caught up in {after['seconds']:.1f} s, late {after['late']:,.0f}")


def main() -> None:
    """Measure all three on one node."""
    parser = options(__doc__)
    parser.add_argument("--rate", type=float, help="events/s of the daemon on a backlog; measured where not given")
    chosen = parser.parse_args()
    seconds = 4.0 if chosen.quick else 20.0
    figures: Figures = {}
    with brokers.apache() as node, tempfile.TemporaryDirectory() as directory:
        if node is not None:
            home = Path(directory)
            rate = chosen.rate or measured_rate(node)
            figures = {
                "rate": rate,
                "latency": event_to_metric(node, home, rate, seconds),
                "little": little(node, home, seconds),
                "outage": outage(node, home, rate, seconds / 2),
            }
            show(figures)
    write(chosen.json, figures)


if __name__ == "__main__":
    main()
