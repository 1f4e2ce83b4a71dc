"""The network, the broker and the machine at their worst, under load: a verifier that is another process finds nothing lost, nothing twice, nothing unsaid.

In CI a run suffers some of it, which the seed draws. `make network-faults` and `make broker-faults` have all of it, many times; what the verifier says,
and how long driftd took to catch up, is in `build/network-faults.json` and `build/broker-faults.json`.
"""

import json
import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from tests.integration.proven import PARTITIONS, PERIOD, TOPIC, Load, ProvenRun, proven_run, verdict
from tests.parts import certificates
from tests.parts.kafka import SCRAM, ApacheKafka
from tests.parts.kafka_cluster import KafkaCluster
from tests.parts.proxy import Fault, Proxy

KIND = os.environ.get("FAULTS", "some")  # network, broker
TIMES = int(os.environ.get("FAULTS_TIMES", "1"))
REPORT = os.environ.get("FAULTS_REPORT")
SOME = KIND == "some"
PAUSE = 0.1 if SOME else 0.5  # seconds that a hundred events take
LEAKED = 4  # descriptors and threads, at most: connections come and go
PATIENCE = 200.0  # seconds: the client gives up a connection after 60
USER, PASSWORD = "driftd", "long-and-right"
Change = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Trouble:
    """What is done to a run for some seconds, at least until it has met something, and how it is undone."""

    name: str
    seconds: float
    begin: Callable[[], object]
    end: Callable[[], object]
    met: Callable[[], bool] = lambda: True


def spoilt(side: str, proxy: Proxy, fault: Fault, lasting: float) -> Trouble:
    """A network that does this for a while."""

    def begin() -> None:
        proxy.touched.clear()
        proxy.suffer(fault)

    return Trouble(
        f"{side} {fault.value}", lasting, begin, lambda: proxy.suffer(None), lambda: proxy.touched[fault] > 0
    )


class Ordeal:
    """A run under load, and what it has suffered."""

    def __init__(self, run: ProvenRun, load: Load) -> None:
        self.run, self.load = run, load
        self.suffered: list[dict[str, Any]] = []

    @contextmanager
    def suffering(self, trouble: Trouble) -> Iterator[None]:
        """Have it, for as long as it takes or this lasts, and wait until all is read that came meanwhile, and more that came after it."""
        began = time.monotonic()
        trouble.begin()
        yield
        while time.monotonic() - began < trouble.seconds or not trouble.met():
            assert time.monotonic() - began < trouble.seconds + PATIENCE, f"{trouble.name} has met nothing"
            time.sleep(0.05)
        lasted = time.monotonic() - began
        trouble.end()
        ended = time.monotonic()
        self._read_on()
        self.suffered.append({"trouble": trouble.name, "lasted": lasted, "caught_up": time.monotonic() - ended})

    def _read_on(self) -> None:
        """Return when something has been sent and read: who is sent away tries again seconds later, and would not meet the next trouble."""
        before, daemon = len(self.load.records), self.run.daemon
        daemon.wait_for(lambda: len(self.load.records) > before, seconds=PATIENCE)
        sent = len(self.load.records)
        daemon.wait_for(lambda: daemon.metric("driftd_events_total") >= sent, seconds=PATIENCE)

    def suffer(self, troubles: Sequence[Trouble]) -> None:
        """One after the other."""
        for trouble in troubles:
            with self.suffering(trouble):
                pass

    @property
    def held(self) -> dict[str, int]:
        """Descriptors and threads."""
        return {what: len(list(Path(f"/proc/{self.run.daemon.pid}/{what}").iterdir())) for what in ("fd", "task")}


@contextmanager
def ordeal(home: Path, broker: Any, seed: int, change: Change | None = None) -> Iterator[Ordeal]:
    """A run under load, which ends read to the end, with no more descriptors and threads than it began with."""
    broker.create_topic(TOPIC, PARTITIONS)
    load = Load(broker.bootstrap, seed, PERIOD, pause=PAUSE, lasting=True)
    with proven_run(home, broker.bootstrap, seed, group=f"group-{seed}", change=change) as run:
        run.daemon.start()
        load.start()
        run.daemon.wait_for(lambda: run.daemon.metric("driftd_events_total") > 0)
        found = Ordeal(run, load)
        before = found.held
        yield found
        run.daemon.wait_for(lambda: all(found.held[what] <= before[what] + LEAKED for what in before), seconds=PATIENCE)
        load.pace.set()
        load.rest.set()
        load.join(300)
        assert not load.is_alive()
        load.look_back()
        run.finish(load)


@pytest.fixture
def node(apache_kafka: ApacheKafka) -> Iterator[ApacheKafka]:
    """The one of all tests, whole again and without our topic at the end."""
    yield apache_kafka
    apache_kafka.heal()
    apache_kafka.delete_topic(TOPIC)


# --- scenes -----------------------------------------------------------------------------------------------------------


def long(chance: random.Random, least: float, most: float) -> float:
    """So many seconds, each factor as likely."""
    return float(least * (most / least) ** chance.random())


@contextmanager
def proxied(home: Path, broker: ApacheKafka, seed: int, *, quick: bool) -> Iterator[tuple[Ordeal, Proxy, Proxy]]:
    """A run with a proxy before the broker, and one before the receiver. `quick`: it gives up a connection after three seconds."""
    with Proxy(port=broker.proxy_port, seed=seed) as before_broker, Proxy(seed=seed) as before_receiver:
        before_broker.target = ("127.0.0.1", broker.behind_proxy)

        def change(settings: dict[str, Any]) -> None:
            settings["kafka"]["bootstrap_servers"] = f"127.0.0.1:{broker.proxy_port}"
            settings["webhooks"][0]["url"] = f"http://127.0.0.1:{before_receiver.port}/"
            if quick:
                settings["kafka"]["properties"] = {"socket.timeout.ms": 3_000}
                settings["webhooks"][0]["timeout"] = "3s"

        with ordeal(home, broker, seed, change) as found:
            before_receiver.target = ("127.0.0.1", found.run.receiver.server_address[1])
            yield found, before_broker, before_receiver


def some(request: pytest.FixtureRequest, home: Path, seed: int) -> Ordeal:
    """Two faults of the network before the broker and one before the receiver, one of the broker or of the machine."""
    chance, broker = random.Random(seed), request.getfixturevalue("node")
    with proxied(home, broker, seed, quick=True) as (found, before_broker, before_receiver):
        first, second, third = chance.sample([*Fault], 3)
        with found.suffering(spoilt("receiver", before_receiver, third, 1.0)):
            found.suffer(
                [spoilt("broker", before_broker, fault, chance.uniform(0.5, 1.5)) for fault in (first, second)]
            )
            found.suffer([chance.choice([*ills(broker, found.run, chance.uniform(0.5, 1.5))])])
        return found


def network(request: pytest.FixtureRequest, home: Path, seed: int) -> Ordeal:
    """Every fault before the broker and before the receiver, many times."""
    chance, broker = random.Random(seed), request.getfixturevalue("node")
    with proxied(home, broker, seed, quick=False) as (found, before_broker, before_receiver):
        sides = {"broker": before_broker, "receiver": before_receiver}
        cases = [(side, fault) for side in sides for fault in Fault] * TIMES
        chance.shuffle(cases)
        found.suffer([spoilt(side, sides[side], fault, long(chance, 1, 60)) for side, fault in cases])
        return found


def ills(broker: ApacheKafka, run: ProvenRun, lasting: float) -> Iterator[Trouble]:
    """What a broker and a machine may do."""
    yield Trouble("broker restarted", lasting, broker.stop, broker.heal)
    yield Trouble("broker killed", lasting, broker.kill, broker.heal)
    yield Trouble("broker paused", lasting, broker.pause, broker.heal)
    yield Trouble("daemon paused", lasting, run.daemon.pause, run.daemon.resume)


def restarts(request: pytest.FixtureRequest, home: Path, seed: int) -> Ordeal:
    """A broker that is spoken to by SASL and TLS, stopped and killed many times each."""
    chance, place = random.Random(seed), home.with_name("secured")
    place.mkdir()
    keys = certificates.keystore(place, "broker")
    config = {
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(keys),
        "sasl.enabled.mechanisms": "SCRAM-SHA-256",
        **SCRAM,
    }
    login = {"sasl.mechanisms": "SCRAM-SHA-256", "sasl.username": USER, "sasl.password": PASSWORD}
    secured = {"ca_file": str(keys), "properties": {"security.protocol": "SASL_SSL", **login}}
    with closing(ApacheKafka(place, config=config, secured=["SASL_SSL"])) as broker:
        broker.add_user(USER, PASSWORD)
        secured["bootstrap_servers"] = broker.addresses["SASL_SSL"]
        with ordeal(home, broker, seed, lambda settings: settings["kafka"].update(secured)) as found:
            kinds = [0, 1] * TIMES
            chance.shuffle(kinds)
            found.suffer([[*ills(broker, found.run, long(chance, 0.1, 10))][kind] for kind in kinds])
            return found


def pauses(request: pytest.FixtureRequest, home: Path, seed: int) -> Ordeal:
    """Broker and daemon stopped for 5 to 120 seconds, and both bounds."""
    chance, broker = random.Random(seed), request.getfixturevalue("node")
    with ordeal(home, broker, seed) as found:
        lasting = [5.0, 120.0, *(long(chance, 5, 120) for _ in range(TIMES // 5))]
        found.suffer([[*ills(broker, found.run, each)][kind] for each in lasting for kind in (2, 3)])
        return found


def rolling(request: pytest.FixtureRequest, home: Path, seed: int) -> Ordeal:
    """Three nodes restarted one after the other, many times."""
    with closing(KafkaCluster(home.with_name("cluster"))) as cluster, ordeal(home, cluster, seed) as found:
        for node in cluster.nodes * max(1, TIMES // 5):
            found.suffer([Trouble("node restarted", 1.0, node.stop, node.heal)])
            cluster.wait_in_sync()
        return found


Scene = Callable[[pytest.FixtureRequest, Path, int], Ordeal]
SCENES: dict[str, list[Scene]] = {"some": [some], "network": [network], "broker": [restarts, pauses, rolling]}


def figures(suffered: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """By trouble: how often, how long it lasted at most, and how long driftd took to have read all that had come meanwhile, in seconds."""
    found = {}
    for name in sorted({each["trouble"] for each in suffered}):
        those = [each for each in suffered if each["trouble"] == name]
        caught_up = [each["caught_up"] for each in those]
        found[name] = {
            "times": len(those),
            "longest": round(max(each["lasted"] for each in those), 1),
            "median_to_catch_up": round(median(caught_up), 1),
            "most_to_catch_up": round(max(caught_up), 1),
        }
    return found


@pytest.mark.slow
@pytest.mark.kafka
@pytest.mark.timeout(300 if SOME else 300 * (TIMES + 4))
def test_faults_of_network_broker_and_machine_break_no_invariant(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    seed = int(os.environ.get("FAULTS_SEED", random.getrandbits(32)))
    print(f"FAULTS_SEED={seed}")
    ordeals = [scene(request, tmp_path / scene.__name__, seed) for scene in SCENES[KIND]]
    found = verdict([each.run.home for each in ordeals], tmp_path / "verdict.json")
    found["troubles"] = figures([trouble for each in ordeals for trouble in each.suffered])

    if REPORT is not None:
        Path(REPORT).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found))
    assert found["violations"] == []
    assert found["figures"]["transitions"] >= 2 * found["runs"]
