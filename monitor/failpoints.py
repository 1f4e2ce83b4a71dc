"""Failpoints: the named steps of making, saving and delivering, each of which a test can make fail. In production none is armed.

A step says what is done when it is reached, and is reached at one place. What a test wants is in an environment variable that is
read once, at the start of `driftd run`, and said on stderr: no configuration reaches it.
"""

import os
import signal
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from threading import Event, Lock

VARIABLE = "DRIFTD_FAILPOINT"
SHAPE = "STEP=crash, STEP=raise, STEP=hang:SECONDS or STEP=fill:FILE; STEP@3 is the third time that a step is reached"
LONGEST = 60.0  # seconds of a hang
PIECE = bytes(65_536)


class Step(StrEnum):
    """A step of the state's life: what is done when it is reached, and what is not."""

    CREATED = "create.written"  # a new state is on the disk, without its name
    NAMED = "create.named"  # it has its name, which may not be on the disk yet
    MIGRATION_BEGUN = "migrate.begun"  # an older format was found, nothing is changed
    MIGRATED = "migrate.written"  # all is changed, within the transaction
    MIGRATION_DONE = "migrate.done"
    RECOVERY_COPIED = "recover.copied"  # a backup was copied beside the damaged state
    SET_ASIDE = "recover.aside"  # the damaged state was put away: nothing bears its name
    RECOVERED = "recover.named"  # the copy bears it
    REPAIR_KEPT = "repair.kept"  # damaged rows that can be done without were copied, and are still there
    REPAIRED = "repair.written"  # they are gone, within the transaction
    LETTERS_BEGUN = "letters.begun"  # a segment of dead letters has its name, and nothing stands in it
    LETTERS_WRITTEN = "letters.written"  # rejected records stand in it, which may not be on the disk yet
    LETTERS_SYNCED = "letters.synced"  # they are, and no checkpoint covers them
    LETTERS_CUT = "tail.cut"  # at a start: what no checkpoint covered was cut off, which may not be on the disk yet
    CHANGES_TAKEN = "checkpoint.taken"  # the pipeline has handed out what changed, nothing is written
    RECORDS = "checkpoint.records"  # within the transaction, as the next four
    POSITIONS = "checkpoint.positions"
    OUTBOX = "checkpoint.outbox"
    AUDIT = "checkpoint.audit"
    SAVED = "checkpoint.saved"  # the transaction has ended, Kafka is not told
    TOLD = "checkpoint.told"  # Kafka is
    BACKUP_COPIED = "backup.copied"  # nobody has looked yet whether the copy is whole
    BACKUP_WHOLE = "backup.whole"  # it is, and on the disk; the others stand where they stood
    BACKUP_SHIFTED = "backup.shifted"  # they are a place older, the copy has no place yet
    BACKUP_NAMED = "backup.named"  # it has, which may not be on the disk yet
    CHOSEN = "delivery.chosen"  # a notice is due, nothing is sent
    SENT = "delivery.sent"  # its receiver has answered, nothing is written down
    DELIVERED = "delivery.written"  # that it was taken, within the transaction
    POSTPONED = "delivery.postponed"  # that it is tried again, within the transaction
    NOTED = "delivery.noted"  # either, and the transaction has ended


class Action(StrEnum):
    """How a step fails."""

    CRASH = "crash"  # kill -9
    RAISE = "raise"  # a mistake of ours
    HANG = "hang"  # for some seconds, locks held
    FILL = "fill"  # the disk is full from then on, until who set it up removes the file


class FailpointError(RuntimeError):
    """What a step was made to raise."""


@dataclass(slots=True)
class Failpoint:
    """One step that is to fail, once, when it is reached for the n-th time."""

    step: Step
    action: Action
    argument: str = ""
    left: int = 1
    _lock: Lock = field(default_factory=Lock)

    @classmethod
    def parse(cls, text: str) -> "Failpoint":
        """From what the variable says. Raises ValueError, one line."""
        where, _, how = text.partition("=")
        name, counted, times = where.partition("@")
        word, _, argument = how.partition(":")
        try:
            found = cls(Step(name), Action(word), argument, int(times) if counted else 1)
            good = found.left >= 1 and found.needs_argument == bool(argument)
            good = good and (found.action is not Action.HANG or 0 < float(argument) <= LONGEST)
        except ValueError:
            good = False
        if not good:
            raise ValueError(f"{VARIABLE}: {text!r} is no failpoint such as {SHAPE}")
        return found

    @property
    def needs_argument(self) -> bool:
        """Whether it is to be said for how long, or with which file."""
        return self.action in {Action.HANG, Action.FILL}

    def reach(self, step: Step) -> None:
        """Fail, where it is time to. Raises FailpointError where that is how."""
        if step is not self.step:
            return
        with self._lock:
            self.left -= 1
            if self.left:
                return
        os.write(2, f"driftd: failpoint {self.step}: {self.action}\n".encode())
        match self.action:
            case Action.CRASH:
                os.kill(os.getpid(), signal.SIGKILL)
            case Action.RAISE:
                raise FailpointError(f"{VARIABLE}: {self.step}")
            case Action.HANG:
                Event().wait(float(self.argument))
            case Action.FILL:
                fill(Path(self.argument))


def fill(ballast: Path) -> None:
    """Fill the disk that a file is on."""
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(PIECE)
        except OSError:
            return


_armed: Failpoint | None = None


def arm(text: str | None) -> Failpoint | None:
    """Let a step fail, from now on; None: none. Raises ValueError, one line."""
    global _armed  # noqa: PLW0603 - one for the process, as the variable is
    _armed = Failpoint.parse(text) if text else None
    return _armed


def reach(step: Step) -> None:
    """Say that a step is reached."""
    if _armed is not None:
        _armed.reach(step)
