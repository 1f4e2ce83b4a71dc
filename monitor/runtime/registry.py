"""Asks a registry for the versions of models in a thread of its own: a webhook is a hint that comes or does not, so it is asked anyway."""

from collections.abc import Callable, Mapping
from queue import Empty, SimpleQueue
from threading import Event, Thread

from monitor.alerting.versions import ListedVersions

Ask = Callable[[str, str | None], ListedVersions]


class RegistryPoller(Thread):
    """Asks for each model, every so often and at once after a hint. `models`: by name the alias that counts there, None: all versions."""

    def __init__(self, ask: Ask, models: Mapping[str, str | None], every: float) -> None:
        super().__init__(name="registry", daemon=True)
        self._ask = ask
        self._models = dict(models)
        self._every = every
        self._told: SimpleQueue[ListedVersions] = SimpleQueue()
        self._wake = Event()
        self._over = False

    def poll_now(self) -> None:
        """Ask at once."""
        self._wake.set()

    def take(self) -> list[ListedVersions]:
        """What was said since the last call."""
        found = []
        while True:
            try:
                found.append(self._told.get_nowait())
            except Empty:
                return found

    def run(self) -> None:
        """Ask until stopped."""
        while not self._over:
            self._wake.clear()
            for model, alias in self._models.items():
                if not self._over:
                    self._told.put(self._ask(model, alias))
            self._wake.wait(self._every)

    def stop(self) -> None:
        """End after what is being asked."""
        self._over = True
        self._wake.set()
