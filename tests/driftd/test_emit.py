"""What serving code is promised: no waiting, nothing raised, and a count of everything."""

import asyncio
import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from driftd.emit import Emitter

ROOT = Path(__file__).parents[2]
NOW = 1_763_870_700_000
SOON = 20.0  # seconds, on a machine that is busy


class Topic:
    """What was sent, as a function of topic, key and value; it waits while it is shut."""

    def __init__(self, *, open_: bool = True) -> None:
        self.sent: list[tuple[str, bytes, dict[str, Any]]] = []
        self.gate = threading.Event()
        if open_:
            self.gate.set()

    def __call__(self, topic: str, key: bytes, value: bytes) -> None:
        self.gate.wait(SOON)
        self.sent.append((topic, key, json.loads(value)))

    @property
    def events(self) -> list[dict[str, Any]]:
        return [event for _, _, event in self.sent]


@pytest.fixture
def make() -> Iterator[Callable[..., Emitter]]:
    made: list[Emitter] = []

    def emitter(produce: Any, **changes: Any) -> Emitter:
        settings: dict[str, Any] = {"topic": "p", "model": "churn", "clock": lambda: NOW, **changes}
        made.append(Emitter(produce, **settings))
        return made[-1]

    yield emitter
    for each in made:
        each.close(0)


def test_an_event_is_the_canonical_one(make: Any) -> None:
    topic = Topic()
    emitter = make(topic, version=3)

    assert emitter.emit({"age": 41.5, "plan": "pro"}, 0.83, id="r-1") == "r-1"
    assert emitter.emit({"age": 1}, id=7, ts=NOW - 1, label=1, latency=0.02, scores={"a": 0.5}) == "7"
    assert emitter.flush(SOON)

    first = {"id": "r-1", "ts": NOW, "model": "churn", "version": 3, "features": {"age": 41.5, "plan": "pro"}}
    second = {"id": "7", "ts": NOW - 1, "model": "churn", "version": 3, "features": {"age": 1}, "label": 1}
    assert topic.sent == [
        ("p", b"r-1", first | {"version": "3", "prediction": 0.83}),
        ("p", b"7", second | {"version": "3", "latency": 0.02, "scores": {"a": 0.5}}),
    ]
    assert (emitter.sent, emitter.dropped, emitter.failed, emitter.pending) == (2, 0, 0, 0)


def test_a_label_goes_to_its_topic_and_null_takes_it_back(make: Any) -> None:
    topic = Topic()
    emitter = make(topic, label_topic="labels", version="3")

    assert emitter.label("r-1", 1, weight=2)
    assert emitter.label(8, None, ts=NOW + 5)
    assert emitter.flush(SOON)

    assert topic.sent == [
        ("labels", b"r-1", {"id": "r-1", "ts": NOW, "model": "churn", "label": 1, "weight": 2}),
        ("labels", b"8", {"id": "8", "ts": NOW + 5, "model": "churn", "label": None}),
    ]


def test_ids_are_made_and_differ(make: Any) -> None:
    topic = Topic()
    emitter, other = make(topic), make(topic)

    ids = [each.emit({"a": 1}) for each in (emitter, other) for _ in range(100)]

    assert len(set(ids)) == 200
    assert make(topic, new_id=lambda: "mine").emit({}) == "mine"


def test_a_full_buffer_drops_and_counts_and_nobody_waits(make: Any) -> None:
    topic = Topic(open_=False)
    emitter = make(topic, buffer=10)
    emitter.emit({"a": 0}, id="first")
    while emitter._queue.qsize():  # until the thread has taken it, and stands at the gate
        time.sleep(0.001)

    for number in range(50):
        emitter.emit({"a": number}, id=str(number))

    assert emitter.dropped == 40
    assert not topic.sent
    assert not emitter.flush(0.02)
    topic.gate.set()
    assert emitter.flush(SOON)
    assert [event["id"] for event in topic.events] == ["first", *map(str, range(10))]
    assert (emitter.sent, emitter.dropped, emitter.failed) == (11, 40, 0)


def test_what_waits_is_bounded_in_bytes_too(make: Any) -> None:
    topic = Topic(open_=False)
    emitter = make(topic, buffer_bytes=10_000)
    emitter.emit({"a": 0}, id="first")
    while emitter._queue.qsize():
        time.sleep(0.001)

    for _ in range(5):
        emitter.emit({"a": "x" * 3_000})

    assert emitter.dropped == 2
    topic.gate.set()
    assert emitter.flush(SOON)
    assert emitter.emit({"a": "x" * 9_000})
    assert emitter.flush(SOON)
    assert (emitter.sent, emitter.dropped) == (5, 2)


def test_a_producer_that_raises_is_counted_and_the_next_event_goes_on(make: Any) -> None:
    sent: list[bytes] = []

    def produce(topic: str, key: bytes, value: bytes) -> None:
        if len(sent) % 2 == 0:
            sent.append(b"")
            raise OSError("gone")
        sent.append(value)

    emitter = make(produce)
    for number in range(10):
        emitter.emit({"a": number})

    assert emitter.flush(SOON)
    assert (emitter.sent, emitter.failed) == (5, 5)


class Broken:
    def __init__(self, *_: Any) -> None:
        pass

    def items(self) -> Any:
        raise MemoryError

    def __str__(self) -> str:
        raise RuntimeError

    __repr__ = keys = __iter__ = __len__ = __getitem__ = __str__


@pytest.mark.parametrize("features", [None, 3, "text", Broken(), {"a": 1}.items, object()])
def test_features_that_are_none_are_counted(make: Any, features: Any) -> None:
    topic = Topic()
    emitter = make(topic)

    emitter.emit(features)

    assert emitter.flush(SOON)
    assert (emitter.failed, emitter.sent, topic.sent) == (1, 0, [])


def test_whatever_else_is_wrong_is_counted(make: Any) -> None:
    topic = Topic()
    emitter = make(topic)

    emitter.emit({"a": "x" * (1 << 20)})  # driftd would refuse it
    emitter.emit({}, ts="yesterday")
    emitter.emit({}, ts=float("inf"))
    emitter.label("r", 1, ts=Broken())
    make_broken = make(topic, clock=lambda: 1 // 0)
    make_broken.emit({})
    make(topic, new_id=Broken).emit({"a": 2})

    assert emitter.failed == 4
    assert make_broken.failed == 1
    assert emitter.flush(SOON)


def test_many_threads_lose_and_double_nothing(make: Any) -> None:
    topic = Topic()
    emitter = make(topic, buffer=200)

    def serve(who: int) -> None:
        for number in range(500):
            emitter.emit({"who": who, "number": number}, id=f"{who}-{number}")

    threads = [threading.Thread(target=serve, args=(who,)) for who in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert emitter.flush(SOON)
    assert emitter.sent + emitter.dropped == 4000
    assert emitter.sent == len(topic.sent) == len({event["id"] for event in topic.events})
    assert sum(thread.name == "driftd-emit" for thread in threading.enumerate()) >= 1


def test_a_share_is_sampled_by_id_and_says_so(make: Any) -> None:
    topic = Topic()
    emitter = make(topic, sampling=0.25)

    for number in range(4000):
        emitter.emit({"a": number}, id=number)
    kept = {event["id"] for event in (emitter.flush(SOON), topic.events)[1]}
    labelled = {str(number) for number in range(4000) if emitter.label(number, 1)}

    assert emitter.flush(SOON)
    assert {event["sampling"] for event in topic.events if "features" in event} == {25}
    assert labelled == kept
    assert 800 < len(kept) < 1200
    assert emitter.unsampled == 2 * (4000 - len(kept))


def test_what_is_lost_is_logged_once_a_minute_at_most(make: Any, caplog: pytest.LogCaptureFixture) -> None:
    """By the thread, after the events that it has by then."""
    emitter = make(lambda *_: 1 // 0, log=logging.getLogger("driftd.emit.once"))

    for _ in range(50):
        emitter.emit({})
    assert emitter.flush(SOON)
    emitter.close(SOON)

    [record] = [record for record in caplog.records if record.name == "driftd.emit.once"]
    assert "failed, the last: integer" in record.getMessage()


def test_a_log_that_raises_and_none_at_all_are_borne(make: Any) -> None:
    class BrokenHandler(logging.Handler):
        def handle(self, record: logging.LogRecord) -> bool:
            raise OSError

    log = logging.getLogger("broken")
    log.addHandler(BrokenHandler())
    for given in (log, None):
        emitter = make(lambda *_: 1 // 0, log=given)
        for _ in range(3):
            emitter.emit({})
        assert emitter.flush(SOON)
        assert emitter.failed == 3


def test_after_close_events_are_dropped(make: Any) -> None:
    topic = Topic()
    emitter = make(topic)
    emitter.emit({"a": 1})

    assert emitter.close(SOON)
    emitter.emit({"a": 2})

    assert (emitter.sent, emitter.dropped) == (1, 1)
    assert len(topic.sent) == 1


class FutureProducer:
    """As kafka-python's: `send` gives a future with callbacks."""

    def __init__(self, *, fails: bool = False) -> None:
        self.fails = fails
        self.flushed = 0

    def send(self, topic: str, value: bytes, key: bytes) -> Any:
        fails = self.fails

        class FutureRecord:
            def add_callback(self, told: Callable[..., None]) -> None:
                if not fails:
                    told("metadata")

            def add_errback(self, told: Callable[..., None]) -> None:
                if fails:
                    told(OSError())

        return FutureRecord()

    def flush(self, timeout: float) -> None:
        self.flushed += 1


@pytest.mark.parametrize("fails", [False, True])
def test_a_future_with_callbacks_tells(make: Any, fails: bool) -> None:
    emitter = make(FutureProducer(fails=fails))
    emitter.emit({})

    assert emitter.flush(SOON)
    assert (emitter.sent, emitter.failed) == ((0, 1) if fails else (1, 0))


@pytest.mark.parametrize("fails", [False, True])
def test_a_future_of_an_executor_tells(make: Any, fails: bool) -> None:
    def produce(*_: Any) -> Future[None]:
        future: Future[None] = Future()
        future.set_exception(OSError()) if fails else future.set_result(None)
        return future

    emitter = make(produce)
    emitter.emit({})

    assert emitter.flush(SOON)
    assert (emitter.sent, emitter.failed) == ((0, 1) if fails else (1, 0))


class AsyncProducer:
    """As aiokafka's: `send` is a coroutine that gives a future of the delivery."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    async def send(self, topic: str, value: bytes, key: bytes) -> "asyncio.Future[str]":
        future = asyncio.get_running_loop().create_future()
        if b"bad" in value:
            future.set_exception(OSError("not delivered"))
        else:
            self.sent.append(value)
            future.set_result("metadata")
        return future


def test_an_asynchronous_producer_runs_in_its_loop(make: Any) -> None:
    async def serve() -> tuple[Emitter, AsyncProducer]:
        producer = AsyncProducer()
        emitter: Emitter = make(producer, loop=asyncio.get_running_loop())
        for word in ("good", "bad", "good"):
            emitter.emit({"word": word})
        await asyncio.to_thread(emitter.flush, SOON)
        return emitter, producer

    emitter, producer = asyncio.run(asyncio.wait_for(serve(), SOON))

    assert (emitter.sent, emitter.failed, len(producer.sent)) == (2, 1, 2)


def test_an_asynchronous_producer_without_its_loop_fails_and_says_what_to_do(
    make: Any, caplog: pytest.LogCaptureFixture
) -> None:
    emitter = make(AsyncProducer())
    emitter.emit({})

    assert emitter.flush(SOON)
    assert emitter.failed == 1
    emitter.close(SOON)
    assert "give the event loop" in caplog.text


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"produce": None}, "produce"),
        ({"produce": 3}, "int is none"),
        ({"model": ""}, "name of the model"),
        ({"sampling": 0}, "sampling must be above 0"),
        ({"sampling": 1.5}, "at most 1"),
        ({"buffer": 0}, "at least 1"),
    ],
)
def test_what_cannot_be_is_refused_when_it_is_made(changes: dict[str, Any], said: str) -> None:
    with pytest.raises((ValueError, TypeError), match=said):
        Emitter(**dict[str, Any](produce=print, topic="p", model="churn") | changes)


def test_each_forked_process_has_a_thread_and_a_producer_of_its_own(tmp_path: Path) -> None:
    """As gunicorn does with `preload`: the emitter is made, and has sent, before the fork."""
    code = f"""
import os, sys
from pathlib import Path
from driftd.emit import Emitter

made = []
def connect():
    made.append(os.getpid())
    path = Path({str(tmp_path)!r}) / str(os.getpid())
    return lambda topic, key, value: path.open("ab").write(value + b"\\n")

emitter = Emitter(topic="p", model="churn", connect=connect)
for number in range(100):
    emitter.emit({{"a": number}})
children = []
for _ in range(3):
    if (pid := os.fork()) == 0:
        assert (emitter.sent, emitter.pending, emitter.dropped) == (0, 0, 0)
        for number in range(50):
            emitter.emit({{"a": number}})
        sys.exit(0)
    children.append(pid)
for pid in children:
    assert os.waitpid(pid, 0)[1] == 0
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, timeout=60, cwd=ROOT)

    files = [path.read_bytes().splitlines() for path in tmp_path.iterdir()]
    ids = [json.loads(line)["id"] for lines in files for line in lines]
    assert sorted(map(len, files)) == [50, 50, 50, 100]
    assert len(set(ids)) == 250


def test_what_waits_at_the_end_of_a_process_is_sent() -> None:
    code = """
import time
from driftd.emit import Emitter
emitter = Emitter(lambda topic, key, value: (time.sleep(0.002), print(key.decode())), "p", "churn")
for number in range(100):
    emitter.emit({}, id=number)
"""
    ended = subprocess.run(
        [sys.executable, "-c", code], check=True, timeout=60, capture_output=True, text=True, cwd=ROOT
    )

    assert ended.stdout.split() == [str(number) for number in range(100)]
    assert ended.stderr == ""


def test_a_producer_that_hangs_does_not_hold_the_end_of_a_process() -> None:
    code = """
import threading
from driftd.emit import Emitter
emitter = Emitter(lambda topic, key, value: threading.Event().wait(), "p", "churn", exit_seconds=0.1)
emitter.emit({})
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, capture_output=True, cwd=ROOT)


def test_serving_code_loads_the_standard_library_alone() -> None:
    code = "import sys, driftd.emit; print(*{name.partition('.')[0] for name in sys.modules} - sys.stdlib_module_names)"
    environment = os.environ | {"PYTHONSAFEPATH": "", "COVERAGE_PROCESS_START": ""}

    loaded = subprocess.run(
        [sys.executable, "-S", "-c", code], check=True, capture_output=True, text=True, cwd=ROOT, env=environment
    )

    assert set(loaded.stdout.split()) <= {"driftd", "__main__"}
