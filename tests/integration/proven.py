"""A run of the daemon that a verifier judges: what was sent is written down, as are the states that kills leave, metrics, and what a receiver hears.

The directory of a run is the daemon's home, and all that `python -m tests.verifier` reads.
"""

import base64
import json
import random
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any

import numpy as np
from standardwebhooks import Webhook, WebhookVerificationError

from detectors import Reference
from monitor.store import files
from tests.integration.daemon import ROOT, Driftd

TOPIC, PARTITIONS = "predictions", 3
PER_SECOND = 100  # events in one second of event time
WINDOW = 10  # seconds
PERIOD = 120  # seconds of event time, of which one feature is shifted in the middle third
DELIVERED_WITHIN = 290  # seconds: brokers are away meanwhile
BEGIN = 1_763_870_700  # event time of the first event, seconds
TYPES = ["model.alert.firing", "model.alert.resolved", "model.retrain.requested"]  # what a replay knows
DAY = "all-day"  # a model whose one window never closes: its pane holds whatever was read of it since the beginning
SECRET = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
BAD: dict[str, Any] = {  # what is rejected, by its reason
    "malformed_json": "{",
    "empty": "",
    "not_object": "[1]",
    "invalid_utf8": '{"ts": "\xff"}',
    "too_deep": "[" * 40,
    "timestamp_missing": {"model": "m", "version": "1", "features": {}},
    "timestamp_invalid": {"ts": "noon", "model": "m", "version": "1", "features": {}},
    "timestamp_before_2000": {"ts": 1, "model": "m", "version": "1", "features": {}},
    "features_missing": {"ts": BEGIN * 1000, "model": "m", "version": "1"},
    "unmonitored": {"ts": BEGIN * 1000, "model": "nobody", "version": "1", "features": {}},
}


def seconds(time_text: str) -> int:
    """RFC 3339 to seconds."""
    return int(datetime.fromisoformat(time_text).astimezone(UTC).timestamp())


def fitted(home: Path, seed: int) -> None:
    """A number and a category."""
    rng = np.random.default_rng(seed)
    plans = rng.choice(["a", "b", "c"], 20_000)
    Reference.fit({"x": rng.normal(size=20_000), "plan": plans}).save(home / "m.json")


def config(bootstrap: str, url: str, group: str = "driftd") -> dict[str, Any]:
    """Two models, one of which never closes a window, and a rule that somebody is told of."""
    rule = {"name": "psi-high", "detector": "psi", "fire_above": 0.25, "clear_below": 0.1, "for": 2}
    model = {"version": "1", "reference": "m.json", "min_rows": 100, "lateness": "2s"}
    return {
        "kafka": {"bootstrap_servers": bootstrap, "start_from": "earliest", "group_id": group},
        "topics": [{"name": TOPIC}],
        "models": [model | {"name": "m", "window": f"{WINDOW}s"}, model | {"name": DAY, "window": "1d"}],
        "alerting": {"false_alarms_per_month": None, "rules": [{**rule, "keep_firing_for": 2, "severity": "critical"}]},
        "webhooks": [{"name": "trainer", "url": url, "types": TYPES, "secret_file": "secret"}],
        "checkpoint_interval": "100ms",
        "dead_letters": {"directory": "state/letters"},
        "idle_after": "60s",
    }


# --- events -----------------------------------------------------------------------------------------------------------


class Load(Thread):
    """Produces events over a while, out of order within the lateness, bad ones among them, and remembers what became of each."""

    def __init__(
        self,
        bootstrap: str,
        seed: int,
        length: int,
        *,
        pause: float = 0.2,
        lasting: bool = False,
        per_second: int = PER_SECOND,
    ) -> None:
        """`length` in seconds of event time, each of which takes `pause` seconds at least. `lasting`: on by whole periods until `pace` is set.

        `per_second`: events in one second of event time.
        """
        super().__init__(daemon=True)
        self.seed, self.length = seed, length
        self._servers, self._pause, self._lasting, self._per_second = bootstrap, pause, lasting, per_second
        self._random = random.Random(seed)
        self.pace = Event()  # set: as fast as it goes
        self.rest = Event()  # set: the last seconds come, too
        self.records: list[tuple[int, int, str, str]] = []

    def run(self) -> None:
        """Produce all of it, the last seconds when they are asked for."""
        self.produce(0, self.length - 2 * WINDOW)
        while self._lasting and not self.pace.is_set():
            self.length += PERIOD
            self.produce(self.length - PERIOD - 2 * WINDOW, self.length - 2 * WINDOW)
        assert self.rest.wait(3600)
        self.produce(self.length - 2 * WINDOW, self.length)

    def produce(self, first: int, last: int) -> None:
        """Produce some seconds of it."""
        from confluent_kafka import Producer

        settings = {"bootstrap.servers": self._servers, "linger.ms": 5, "compression.type": "zstd", "log_level": 0}
        producer = Producer(settings)
        for second in range(first, last):
            for number in range(self._per_second):
                reason, value = self._event(second * self._per_second + number)
                self._send(producer, reason, value)
            self.more(producer, second)
            assert producer.flush(DELIVERED_WITHIN) == 0
            self.pace.wait(self._pause)

    def more(self, producer: Any, second: int) -> None:
        """What else is produced in a second of event time, of which no record is kept."""

    def _send(self, producer: Any, reason: str, value: bytes) -> None:
        def note(error: object, message: Any) -> None:
            assert error is None, error
            self.records.append((message.partition(), message.offset(), reason, value.decode("latin-1")))

        producer.produce(TOPIC, value, partition=self._random.randrange(PARTITIONS), on_delivery=note)

    def _event(self, number: int) -> tuple[str, bytes]:
        """Under which reason it is rejected, none if it counts; and the message."""
        if self._random.random() < 0.02:
            reason, bad = self._random.choice([*BAD.items()])
            return reason, (bad if isinstance(bad, str) else json.dumps(bad)).encode("latin-1")
        second = number / self._per_second
        shift = 1.5 if PERIOD / 3 < second % PERIOD < 2 * PERIOD / 3 else 0.0
        features: dict[str, Any] = {
            "x": self._random.gauss(shift, 1.0),
            "plan": self._random.choices("abcd", (33, 33, 33, 1))[0],
        }
        if self._random.random() < 0.01:
            features[self._random.choice(["x", "plan"])] = None
        late_by = self._random.randrange(400)
        event = {
            "ts": BEGIN * 1000 + int(second * 1000) - late_by,
            "model": DAY if number % 4 == 0 else "m",
            "version": "1",
            "features": features,
        }
        return "", json.dumps(event).encode("latin-1")

    def look_back(self) -> None:
        """Take for sent what lies in the log: where a broker died before it answered, a record may be there twice."""
        reasons = {text: reason for _, _, reason, text in self.records}
        found = [(index, offset, reasons[text], text) for index, offset, text in lying(self._servers)]
        assert {(record[0], record[1], record[3]) for record in self.records} <= {
            (record[0], record[1], record[3]) for record in found
        }, "the broker has lost what it had taken"
        self.records = found

    @property
    def last_window(self) -> int:
        """The end of the last window that closes: nothing comes after the one behind it."""
        return BEGIN + self.length // WINDOW * WINDOW - WINDOW

    def write(self, path: Path) -> None:
        """What was sent, as a verifier reads it."""
        head = {"topic": TOPIC, "partitions": PARTITIONS, "seed": self.seed}
        path.write_text("".join(json.dumps(line) + "\n" for line in (head, *self.records)), encoding="utf-8")


def lying(bootstrap: str) -> list[tuple[int, int, str]]:
    """Partition, offset and text of all that lies in the log."""
    from confluent_kafka import Consumer, KafkaError, TopicPartition

    settings = {"bootstrap.servers": bootstrap, "group.id": "who-looks-back", "enable.partition.eof": True}
    found, left = [], set(range(PARTITIONS))
    with closing(Consumer({**settings, "enable.auto.commit": False, "log_level": 0})) as consumer:
        consumer.assign([TopicPartition(TOPIC, index, 0) for index in left])
        ends = time.monotonic() + DELIVERED_WITHIN
        while left:
            assert time.monotonic() < ends, f"no answer, with {left} left"
            for message in consumer.consume(1_000, timeout=0.2):
                if message.error() is None:
                    found.append((message.partition(), message.offset(), message.value().decode("latin-1")))
                elif message.error().code() == KafkaError._PARTITION_EOF:
                    left.discard(message.partition())
    return found


# --- a receiver -------------------------------------------------------------------------------------------------------


class Listener(ThreadingHTTPServer):
    """Writes down what it hears before it answers; the first it refuses, and of others it loses the answer or refuses them, too."""

    daemon_threads = True

    def __init__(self, log: Path, seed: int, *, faults: float = 0.3) -> None:
        super().__init__(("127.0.0.1", 0), Hearing)
        self.log, self.faults, self.heard = log, faults, 0
        self.chance, self.lock = random.Random(seed), Lock()
        self.verifier = Webhook(SECRET)
        Thread(target=self.serve_forever, name="listener", daemon=True).start()

    @property
    def url(self) -> str:
        """Where to post."""
        return f"http://127.0.0.1:{self.server_address[1]}/"

    def hear(self, headers: dict[str, str], body: bytes) -> HTTPStatus | None:
        """Write down what was said; the answer, None where it gets lost."""
        try:
            self.verifier.verify(body, headers)
            verified = True
        except WebhookVerificationError:
            verified = False
        said = json.loads(body)
        with self.lock:
            self.heard += 1
            faulty = self.chance.random() < self.faults
            answer = self.chance.choice([None, HTTPStatus.SERVICE_UNAVAILABLE]) if faulty else HTTPStatus.NO_CONTENT
            answer = HTTPStatus.SERVICE_UNAVAILABLE if self.heard == 1 else answer
            line = {"id": headers.get("webhook-id", ""), "type": said["type"], "verified": verified}
            line |= {"taken": answer is HTTPStatus.NO_CONTENT, "body": said}
            with self.log.open("a", encoding="utf-8") as log:
                log.write(json.dumps(line) + "\n")
        return answer


class Hearing(BaseHTTPRequestHandler):
    """One request."""

    server: Listener
    timeout = 10.0

    def do_POST(self) -> None:
        """Write down, answer."""
        body = self.rfile.read(int(self.headers["content-length"]))
        answer = self.server.hear({name.lower(): value for name, value in self.headers.items()}, body)
        if answer is None:
            self.close_connection = True
            return
        self.send_response(answer)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """It has a log of its own."""


# --- a run ------------------------------------------------------------------------------------------------------------


class ProvenRun:
    """A daemon at home, its receiver, and what both leave."""

    def __init__(
        self,
        home: Path,
        bootstrap: str,
        seed: int,
        *,
        group: str = "driftd",
        state: Path | None = None,
        change: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        """`state`: the directory of the state, where it is not at home; `change`: what the configuration has otherwise."""
        self.home = home
        home.mkdir(exist_ok=True)
        fitted(home, seed)
        (home / "secret").write_text(SECRET, encoding="utf-8")
        self.receiver = Listener(home / "webhooks.jsonl", seed)
        self.state = state or home / "state"
        self.letters = self.state / "letters"
        place = (
            {"state": str(self.state), "dead_letters": {"directory": str(self.letters)}} if state is not None else {}
        )
        settings = config(bootstrap, self.receiver.url, group) | place
        if change is not None:
            change(settings)
        self.daemon = Driftd(home, settings)
        self.kills = 0

    def keep(self, database: Path | None = None) -> None:
        """Keep the state as it was found, which nobody has open; or a database that is to take its place."""
        self.kills += 1
        kept = self.home / "killed" / f"{self.kills:04}"
        if database is not None:
            kept.mkdir(parents=True)
            shutil.copy(database, kept / files.DATABASE)
        elif self.state.exists():
            shutil.copytree(self.state, kept)

    def finish(self, load: Load, *, patience: float = 240) -> None:
        """Wait until all is read and told, stop, and write down what the metrics say."""
        daemon = self.daemon
        load.write(self.home / "truth.jsonl")

        def closed() -> bool:
            found = daemon.get("/api/v1/windows?model=m&limit=1")
            return bool(found) and seconds(found[0]["end"]) == load.last_window

        daemon.wait_for(closed, seconds=patience)
        daemon.wait_for(lambda: daemon.metric("driftd_consumer_lag") == 0, seconds=patience)
        daemon.wait_told()
        (self.home / "metrics.txt").write_text(daemon.text("/metrics"), encoding="utf-8")
        assert daemon.stop() == 0
        if self.state != self.home / "state":
            shutil.copytree(self.state, self.home / "state")

    def close(self) -> None:
        """Hear nothing more."""
        self.receiver.shutdown()
        self.receiver.server_close()


@contextmanager
def proven_run(home: Path, bootstrap: str, seed: int, **more: Any) -> Iterator[ProvenRun]:
    """A run, ended with what it began."""
    found = ProvenRun(home, bootstrap, seed, **more)
    try:
        yield found
    finally:
        if found.daemon.running:
            found.daemon.kill()
        found.close()


def verdict(homes: Sequence[Path], report: Path) -> dict[str, Any]:
    """What the verifier, a process of its own, says of some runs."""
    command = [sys.executable, "-m", "tests.verifier", *map(str, homes), "--json", str(report)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=1800, check=False)
    assert done.returncode in {0, 1}, done.stderr
    found: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    assert found["holds"] is (done.returncode == 0)
    return found
