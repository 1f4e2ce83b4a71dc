"""A bounded queue in front of a producer, drained by one thread of its own in each process."""

import atexit
import itertools
import logging
import os
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable, Sequence
from hashlib import blake2b
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from driftd.emit.events import UNSAID, EventWriter, TooLargeError, id_text, milliseconds
from driftd.emit.senders import EventSender, now_in_ms, sender_of

if TYPE_CHECKING:
    import asyncio

BUFFER = 10_000  # events
BUFFER_BYTES = 64 << 20
EXIT_SECONDS = 5.0
LOG_SECONDS = 60.0
IDLE_SECONDS = 0.1  # between looks at what the producer says has arrived
STEP_SECONDS = 0.005
LOG = logging.getLogger("driftd.emit")
_living: "weakref.WeakSet[Emitter]" = weakref.WeakSet()

Event = tuple[str, bytes, bytes]
"""Topic, key, value."""


class Emitter:
    """Emits what a model predicts, and later what came true. Any thread may call it, and a coroutine: it never waits.

    `produce` is a producer of confluent-kafka, kafka-python or aiokafka, or a function of topic, key and value. A producer does not
    live on in a process that was forked: give `connect` instead, which makes one in each process, when the first event is sent.
    At most `buffer` events of `buffer_bytes` wait. `names` are those of features that come as mere values. `sampling` is the share of predictions that are sent: which, the id decides;
    each says so. `loop` is that of an asynchronous producer. `clock` gives milliseconds since 1970; `new_id` the id of a prediction
    without one; `log` None: nothing is logged. At the end of the process what waits has `exit_seconds` to be sent.
    Raises ValueError and TypeError where it is made with what cannot be; nothing after that.
    """

    def __init__(
        self,
        produce: Any = None,
        topic: str = "predictions",
        model: str = "",
        *,
        version: str | None = None,
        connect: Callable[[], Any] | None = None,
        label_topic: str | None = None,
        buffer: int = BUFFER,
        buffer_bytes: int = BUFFER_BYTES,
        names: Sequence[str] = (),
        sampling: float = 1.0,
        loop: "asyncio.AbstractEventLoop | None" = None,
        clock: Callable[[], int] = now_in_ms,
        new_id: Callable[[], str] | None = None,
        log: logging.Logger | None = LOG,
        exit_seconds: float = EXIT_SECONDS,
    ) -> None:
        if (produce is None) == (connect is None):
            raise ValueError("give either `produce` or `connect`")
        if not model:
            raise ValueError("give the name of the model")
        if not 0 < sampling <= 1:
            raise ValueError(f"sampling must be above 0 and at most 1, not {sampling}")
        if buffer < 1:
            raise ValueError(f"buffer must be at least 1 event, not {buffer}")
        if produce is not None:
            sender_of(produce, loop)
        self._connect, self._loop = connect or (lambda: produce), loop
        self._made_in = os.getpid() if hasattr(produce, "produce") else None  # librdkafka's threads are not forked
        self._topic, self._label_topic = topic, label_topic or topic
        self._writer = EventWriter(model, version, names, sampling)
        self._buffer, self._buffer_bytes, self._sampling = buffer, buffer_bytes, sampling
        self._clock, self._new_id, self._log = clock, new_id, log
        self.exit_seconds = exit_seconds
        self.begin()
        _living.add(self)

    def begin(self) -> None:
        """Begin anew, with nothing waiting and nothing counted: in a process that was forked it is called by itself."""
        self._lock = threading.RLock()  # a signal's handler may emit, too
        self._queue: SimpleQueue[Event] = SimpleQueue()
        self._counts: Counter[str] = Counter()
        self._taken = 0
        self._waiting = 0  # bytes in the queue
        self._thread: threading.Thread | None = None
        self._closed = False
        self._hurried = False
        self._ids = map(f"{os.urandom(8).hex()}-{{}}".format, itertools.count())
        self._logged_at, self._logged = -LOG_SECONDS, 0
        self._last_error = ""

    # --- what serving code calls --------------------------------------------------------------------------------------

    def emit(
        self,
        features: Any,
        prediction: Any = None,
        *,
        id: Any = None,  # noqa: A002 - as the event calls it
        ts: Any = None,
        label: Any = UNSAID,
        **more: Any,
    ) -> str:
        """Emit a prediction, and return its id, by which its label is emitted. Never raises, never waits.

        `features`: a mapping, a pandas row, a frame of one row, an object with fields, or values in the order of `names`. `ts` is a
        datetime or milliseconds since 1970, now if absent. `more` stands beside the features: `latency`, `error`, `scores`, `group`…
        """
        name = ""
        try:
            name = self._name() if id is None else id_text(id)
            if self._sampled(name):
                at = self._clock() if ts is None else milliseconds(ts)
                self._put(self._topic, name, self._writer.prediction(name, at, features, prediction, label, more))
        except Exception as error:  # noqa: BLE001 - serving goes on, whatever it is
            self._fail(error)
        return name

    def label(self, id: Any, label: Any, *, ts: Any = None, **more: Any) -> bool:  # noqa: A002 - as the event calls it
        """Emit what came true of the prediction with this id; None takes back what was said. Whether it waits to be sent."""
        try:
            name = id_text(id)
            if not self._sampled(name):
                return False
            at = self._clock() if ts is None else milliseconds(ts)
            return self._put(self._label_topic, name, self._writer.label(name, at, label, more))
        except Exception as error:  # noqa: BLE001 - same
            self._fail(error)
            return False

    def flush(self, timeout: float = EXIT_SECONDS) -> bool:
        """Wait until all that was emitted is sent or has failed, so many seconds at most. Whether it is."""
        deadline = time.monotonic() + timeout
        self._hurried = True
        try:
            while self.pending:
                if time.monotonic() >= deadline:
                    return False
                time.sleep(STEP_SECONDS)
            return True
        finally:
            self._hurried = False

    def close(self, timeout: float = EXIT_SECONDS) -> bool:
        """Take no more, and flush. Called at exit by itself."""
        with self._lock:
            self._closed = True
        flushed = self.flush(timeout)
        if flushed and self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(max(0.0, timeout))
        _living.discard(self)
        return flushed

    # --- counters -----------------------------------------------------------------------------------------------------

    @property
    def sent(self) -> int:
        """Events that the producer delivered; took, where it says nothing of that."""
        return self._counts["sent"]

    @property
    def dropped(self) -> int:
        """Events for which there was no room, or that came after `close`."""
        return self._counts["dropped"]

    @property
    def failed(self) -> int:
        """Events that could not be written, or that the producer refused or could not deliver."""
        return self._counts["failed"]

    @property
    def unsampled(self) -> int:
        """Predictions and labels that `sampling` left out."""
        return self._counts["unsampled"]

    @property
    def pending(self) -> int:
        """Events taken of which nothing is known yet."""
        return self._taken - self._counts["sent"] - self._counts["undelivered"]

    # --- in the caller's thread ---------------------------------------------------------------------------------------

    def _name(self) -> str:
        return next(self._ids) if self._new_id is None else id_text(self._new_id())

    def _sampled(self, name: str) -> bool:
        if self._sampling >= 1:
            return True
        drawn = int.from_bytes(blake2b(name.encode(errors="surrogatepass"), digest_size=8).digest(), "big")
        if drawn < self._sampling * 2**64:
            return True
        self._count("unsampled")
        return False

    def _put(self, topic: str, name: str, value: bytes) -> bool:
        with self._lock:
            full = self._queue.qsize() >= self._buffer or self._waiting + len(value) > self._buffer_bytes
            if self._closed or full:
                self._counts["dropped"] += 1
                return False
            if self._thread is None:
                self._start()
            self._taken += 1
            self._waiting += len(value)
            self._queue.put((topic, name.encode(errors="surrogatepass"), value))
        return True

    def _start(self) -> None:
        thread = threading.Thread(target=self._drain, name="driftd-emit", daemon=True)
        thread.start()
        self._thread = thread

    def _count(self, what: str) -> None:
        with self._lock:
            self._counts[what] += 1

    def _fail(self, error: Exception) -> None:
        """Count what could not be written; the thread logs it."""
        with self._lock:
            self._counts["failed"] += 1
            self._last_error = type(error).__name__ if not isinstance(error, TooLargeError | ValueError) else str(error)

    # --- in the thread ------------------------------------------------------------------------------------------------

    def _drain(self) -> None:
        sender: EventSender | None = None
        while not (self._closed and self._queue.empty() and not self.pending):
            try:
                topic, key, value = self._queue.get(timeout=IDLE_SECONDS)
            except Empty:
                self._settle(sender)
                continue
            with self._lock:
                self._waiting -= len(value)
            try:
                sender = sender or self._sender()
                sender.send(topic, key, value, self._told, lambda: self._closed)
            except Exception as error:  # noqa: BLE001 - a producer may raise whatever it likes
                self._refuse(error)
            self._speak()

    def _sender(self) -> EventSender:
        if self._made_in is not None and self._made_in != os.getpid():
            raise RuntimeError("the producer was made before the process was forked, and is dead here: give `connect`")
        return sender_of(self._connect(), self._loop)

    def _settle(self, sender: EventSender | None) -> None:
        """Hear what has arrived, where nothing is to be sent."""
        try:
            if sender is not None and self.pending:
                sender.poll()
                if self._hurried:
                    sender.flush(IDLE_SECONDS)
        except Exception as error:  # noqa: BLE001 - same
            self._last_error = str(error)
        self._speak()

    def _told(self, delivered: bool) -> None:  # noqa: FBT001 - what a producer tells
        if delivered:
            self._count("sent")
        else:
            self._refuse(None)

    def _refuse(self, error: Exception | None) -> None:
        with self._lock:
            self._counts["failed"] += 1
            self._counts["undelivered"] += 1
            self._last_error = "not delivered" if error is None else str(error)

    def _speak(self) -> None:
        """Log what is lost, once a minute at most."""
        lost = self._counts["dropped"] + self._counts["failed"]
        now = time.monotonic()
        if self._log is None or lost == self._logged or now - self._logged_at < LOG_SECONDS:
            return
        self._logged_at, self._logged = now, lost
        counts = self._counts
        text = "driftd.emit: %d events sent, %d dropped for lack of room, %d failed, the last: %s"
        try:
            self._log.warning(text, counts["sent"], counts["dropped"], counts["failed"], self._last_error or "none")
        except Exception:  # noqa: BLE001 - a logger's handler may raise: the thread lives on
            self._logged_at = now


def _close_all() -> None:
    begun = time.monotonic()
    for emitter in list(_living):
        emitter.close(max(0.0, begun + emitter.exit_seconds - time.monotonic()))


def _begin_all() -> None:
    for emitter in list(_living):
        emitter.begin()


atexit.register(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_all)
