"""What the user has for a producer, as one thing: it takes an event, and says later whether it arrived."""

import inspect
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import asyncio

Told = Callable[[bool], None]
"""Called once for each event: whether the producer has it delivered, or, where it says nothing of that, taken it."""

PATIENCE = 0.1  # s between tries while a producer's own buffer is full


class EventSender(Protocol):
    """Sends from one thread."""

    def send(self, topic: str, key: bytes, value: bytes, told: Told, until: Callable[[], bool]) -> None:
        """Send one event; may wait `until` that says that nobody waits any longer. May raise: then `told` is not called."""
        ...

    def poll(self) -> None:
        """Let the producer say what has arrived."""
        ...

    def flush(self, seconds: float) -> None:
        """Ask for what is under way to be delivered."""
        ...


def sender_of(producer: Any, loop: "asyncio.AbstractEventLoop | None" = None) -> EventSender:
    """For a producer of confluent-kafka (`produce`), of kafka-python or aiokafka (`send`), or a function of topic, key and value.

    Raises TypeError.
    """
    if callable(getattr(producer, "produce", None)):
        return ProducingSender(producer)
    if callable(getattr(producer, "send", None)):
        return SendingSender(producer.send, loop or getattr(producer, "_loop", None), producer)
    if callable(producer):
        return SendingSender(lambda topic, value, key: producer(topic, key, value), loop, producer)
    raise TypeError(
        f"a producer has `produce` or `send`, or is a function of topic, key and value; {type(producer).__name__} is none"
    )


class ProducingSender:
    """confluent-kafka's: `produce` puts into a buffer of its own, `poll` calls back."""

    def __init__(self, producer: Any) -> None:
        self._producer = producer

    def send(self, topic: str, key: bytes, value: bytes, told: Told, until: Callable[[], bool]) -> None:
        """Send one; waits while the producer's buffer is full."""
        while True:
            try:
                self._producer.produce(topic, key=key, value=value, on_delivery=lambda error, _: told(error is None))
            except BufferError:
                if until():
                    raise
                self._producer.poll(PATIENCE)
            else:
                self._producer.poll(0)
                return

    def poll(self) -> None:
        """Call back what has arrived."""
        self._producer.poll(0)

    def flush(self, seconds: float) -> None:
        """Send what lingers."""
        self._producer.flush(seconds)


class SendingSender:
    """A function that sends. Where it gives a future, that tells; where it gives a coroutine, that runs in the producer's loop."""

    def __init__(self, send: Callable[..., Any], loop: "asyncio.AbstractEventLoop | None", producer: Any) -> None:
        self._send = send
        self._loop = loop
        self._producer = producer

    def send(self, topic: str, key: bytes, value: bytes, told: Told, until: Callable[[], bool]) -> None:
        """Send one."""
        del until
        sent = self._send(topic, value=value, key=key)
        if inspect.isawaitable(sent) and not hasattr(sent, "add_errback"):
            self._await(sent, told)
        elif callable(getattr(sent, "add_callback", None)) and callable(getattr(sent, "add_errback", None)):
            sent.add_callback(lambda *_: told(True))  # noqa: FBT003 - what is told is a truth value
            sent.add_errback(lambda *_: told(False))  # noqa: FBT003
        elif callable(getattr(sent, "add_done_callback", None)):
            sent.add_done_callback(lambda done: told(_succeeded(done)))
        else:
            told(True)  # noqa: FBT003

    def _await(self, sent: Any, told: Told) -> None:
        """Run in the loop; of aiokafka's `send` what it gives has to arrive in turn."""
        if self._loop is None or self._loop.is_closed():
            if inspect.iscoroutine(sent):
                sent.close()
            raise TypeError("the producer is asynchronous: give the event loop that it runs in, as `loop`")

        import asyncio

        async def arrive() -> None:
            held = await sent
            if inspect.isawaitable(held):
                await held

        asyncio.run_coroutine_threadsafe(arrive(), self._loop).add_done_callback(lambda done: told(_succeeded(done)))

    def poll(self) -> None:
        """Nothing: futures tell by themselves."""

    def flush(self, seconds: float) -> None:
        """Send what lingers, where the producer is one of kafka-python."""
        flush = getattr(self._producer, "flush", None)
        if callable(flush) and not inspect.iscoroutinefunction(flush):
            flush(timeout=seconds)


def _succeeded(done: Any) -> bool:
    return not done.cancelled() and done.exception() is None


def now_in_ms() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000
