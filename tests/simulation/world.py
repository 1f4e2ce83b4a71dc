"""Simulated time and threads: one thread at a time runs, the seed says which, and time goes on only where somebody waits.

Code of the daemon runs as it is, in threads of its own. Each of them waits for its turn; where it waits for anything else – a message, an
answer, a signal – it says until when, and the next one whose time has come goes on. So the order of all that happens follows from the
seed alone. `Thread` and `Event` stand for those of `threading` in the modules that start any.
"""

import random
import threading
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from typing import Any

from monitor.stream.events import SECOND, Nanos

BEGIN: Nanos = 1_763_870_700 * SECOND  # where the wall stands when a simulation begins
LONGEST = 3600.0  # simulated seconds after which a simulation that has not ended never will
PATIENCE = 600.0  # real seconds that a thread waits for its turn, where a fault of the simulation never gives it one
STACK = 512 * 1024


class ProcessDied(BaseException):
    """The process that runs this was killed."""


class Task:
    """A thread, and its place among those whose turn it is. `inside`: it is of the simulated process, and dies with it."""

    def __init__(self, name: str, *, inside: bool) -> None:
        self.name = name
        self.inside = inside
        self.done = False
        self.failure: BaseException | None = None
        self.ended = SimulatedEvent()
        self.entry: list[Any] | None = None  # where it stands in the agenda
        self._turn = threading.Lock()
        self._turn.acquire()

    def give_turn(self) -> None:
        self._turn.release()

    def wait_turn(self) -> None:
        if not self._turn.acquire(timeout=PATIENCE):
            raise RuntimeError(f"{self.name} never had its turn")


class World:
    """Time, whose turn it is, and what is drawn."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.random = random.Random(seed)
        self.elapsed = 0.0
        self.ahead: Nanos = 0  # of the daemon's wall clock before the true one
        self.alive = True  # the simulated process
        self.story: list[str] = []
        self.steps = 0  # of the process, at any of which it may be killed
        self.dies_at: int | None = None
        self.on_death: Callable[[], None] = lambda: None
        self.failures: list[str] = []  # of threads that ended by what nobody caught
        self.tasks: list[Task] = []  # of the process
        self._order = count()
        self._agenda: list[list[Any]] = []
        self.current = Task("supervisor", inside=False)

    # --- time -------------------------------------------------------------------------------------------------------

    @property
    def truth(self) -> Nanos:
        """The true time."""
        return BEGIN + round(self.elapsed * SECOND)

    def tell(self, what: str) -> None:
        """Write down what happened."""
        self.story.append(f"{self.elapsed:9.3f}  {what}")

    def at(self, time: float, what: Callable[[], None]) -> None:
        """Let something happen outside at a time: in no thread of anybody, and it may wait for nothing."""
        self._put(time, what)

    def _put(self, time: float, target: Any) -> list[Any]:
        entry = [time, self.random.random(), next(self._order), target]
        heappush(self._agenda, entry)
        return entry

    # --- turns ------------------------------------------------------------------------------------------------------

    def wait(self, seconds: float | None, event: "SimulatedEvent | None" = None) -> None:
        """Let the running thread wait so long, or until an event; None: only for that."""
        me = self.current
        self.refuse_the_dead(me)
        if seconds is not None:
            me.entry = self._put(self.elapsed + max(0.0, seconds), me)
        if event is not None:
            event.waiting.append(me)
        self._next(me)
        if event is not None and me in event.waiting:
            event.waiting.remove(me)
        self.refuse_the_dead(me)

    def refuse_the_dead(self, task: Task) -> None:
        """Let no thread of a process go on that was killed."""
        if task.inside and not self.alive:
            raise ProcessDied

    def wake(self, task: Task) -> None:
        """Let a thread that waits go on now."""
        if task.entry is not None:
            task.entry[-1] = None
        task.entry = self._put(self.elapsed, task)

    def freeze(self, seconds: float) -> None:
        """Let the whole process stand still, as where its machine has something better to do."""
        until = self.elapsed + seconds
        for entry in [*self._agenda]:
            if isinstance(entry[-1], Task) and entry[-1].inside and entry[0] < until:
                task, entry[-1] = entry[-1], None
                task.entry = self._put(until, task)

    def _next(self, me: Task | None) -> None:
        """Let happen what is next, until it is the turn of who asks; who does not come back (None) hands over and ends."""
        while True:
            if not self._agenda:
                raise RuntimeError("everybody waits for somebody else")
            time, _, _, target = heappop(self._agenda)
            if target is None:
                continue
            self.elapsed = max(self.elapsed, time)
            if not isinstance(target, Task):
                self._let_happen(target)
                continue
            target.entry = None
            if target is me:
                self.current = target
                return
            self.current = target
            target.give_turn()
            if me is not None:
                me.wait_turn()
            return

    def _let_happen(self, what: Callable[[], None]) -> None:
        """Something outside; a fault of the simulation itself is told when it is over."""
        try:
            what()
        except Exception as error:  # noqa: BLE001 - whose thread this is has nothing to do with it
            self.failures.append(f"the simulation itself: {error!r}")

    def spawn(self, run: Callable[[], object], name: str) -> Task:
        """Begin a thread of the process; its turn comes later."""
        task = Task(name, inside=True)

        def body() -> None:
            task.wait_turn()
            try:
                self.refuse_the_dead(task)
                run()
            except ProcessDied:
                pass
            except BaseException as error:  # noqa: BLE001 - whoever began it looks
                task.failure = error
            task.done = True
            task.ended.set()
            self._next(None)

        self.tasks.append(task)
        threading.Thread(target=body, name=f"simulated-{name}", daemon=True).start()
        task.entry = self._put(self.elapsed, task)
        return task

    # --- death ------------------------------------------------------------------------------------------------------

    def step(self, what: str) -> None:
        """Say that the process does something; it may be the last thing that it does."""
        if not self.current.inside:
            return
        self.refuse_the_dead(self.current)
        self.steps += 1
        if self.dies_at is not None and self.steps >= self.dies_at:
            self.tell(f"killed at step {self.steps}, {what}")
            self.kill()
            raise ProcessDied

    def kill(self) -> None:
        """Kill the process: what it has written stays as it is, all its threads end where they are."""
        self.on_death()
        self.end()

    def end(self) -> None:
        """Let no thread of the process do anything more."""
        self.alive = False
        for task in self.tasks:
            if not task.done and task is not self.current:
                self.wake(task)

    def bury(self) -> None:
        """Wait until all its threads have ended; called by the supervisor. Another process may begin."""
        self.end()
        while any(not task.done for task in self.tasks):
            self.wait(0.0)
        self.failures += [f"{task.name}: {task.failure!r}" for task in self.tasks[1:] if task.failure is not None]
        self.tasks.clear()
        self.alive, self.dies_at, self.steps = True, None, 0


_world: World | None = None


def world() -> World:
    """The one that is being simulated."""
    assert _world is not None
    return _world


def begin(seed: int) -> World:
    """A new one takes the place of the last."""
    global _world  # noqa: PLW0603 - stands for the machine
    _world = World(seed)
    return _world


# --- what stands for threading ----------------------------------------------------------------------------------------


class SimulatedEvent:
    """As `threading.Event`."""

    def __init__(self) -> None:
        self.waiting: list[Task] = []
        self._set = False

    def is_set(self) -> bool:
        return self._set

    def set(self) -> None:
        self._set = True
        waiting, self.waiting = self.waiting, []
        for task in waiting:
            world().wake(task)

    def clear(self) -> None:
        self._set = False

    def wait(self, timeout: float | None = None) -> bool:
        if not self._set:
            world().wait(timeout, self)
        return self._set


class OnSimulatedTime:
    """What `threading.Thread` begins, begun as a simulated thread; to be named before the class that is a thread."""

    _task: Task | None = None
    run: Callable[[], None]
    name: Any

    def start(self) -> None:
        self._task = world().spawn(self.run, self.name)

    def is_alive(self) -> bool:
        return self._task is not None and not self._task.done

    def join(self, timeout: float | None = None) -> None:
        if self._task is not None and not self._task.done and world().alive:  # on the way out nobody is waited for
            self._task.ended.wait(timeout)


class SimulatedThread(OnSimulatedTime, threading.Thread):  # type: ignore[misc]
    """As `threading.Thread`."""


class SimulatedClock:
    """The daemon's clock: its wall may be wrong."""

    def now(self) -> Nanos:
        return world().truth + world().ahead

    def elapsed(self) -> float:
        return world().elapsed


def interleave(share: float) -> None:
    """Let others have a turn, here and there."""
    if world().current.inside and world().random.random() < share:
        world().wait(0.0)
