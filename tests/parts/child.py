"""A server as a child process: it dies with the test run, and its log explains a failed start."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path


class StartFailed(Exception):  # noqa: N818  it is a failed start
    """The server ended or was not ready in time; the text carries the end of its log."""


class Child:
    """One started process. Signals go to its own id, never to a name."""

    def __init__(
        self, name: str, command: Sequence[str | Path], *, log: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self.log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [*_dies_with_its_parent(), *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **(environment or {})},
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    @property
    def returncode(self) -> int:
        return self._process.wait()

    def wait_until(self, ready: Callable[[], bool], *, seconds: float) -> None:
        """Return when ready; raise StartFailed when the process has ended or the time is over."""
        deadline = time.monotonic() + seconds
        while not ready():
            if not self.running:
                raise StartFailed(f"{self.name} ended with {self._process.returncode}; {self.tail()}")
            if time.monotonic() > deadline:
                raise StartFailed(f"{self.name} was not ready within {seconds} s; {self.tail()}")
            time.sleep(0.05)

    def tail(self, lines: int = 40) -> str:
        """The end of the log, with its path."""
        text = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join([f"the end of {self.log}:", *text[-lines:]])

    def stop(self, *, seconds: float = 15) -> None:
        """SIGTERM, then SIGKILL when that takes too long. A paused process is resumed first."""
        self.resume()
        self._process.terminate()
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        self._process.kill()
        self._process.wait()

    def pause(self) -> None:
        """SIGSTOP: alive, connected and silent, once this returns. Of many threads some go on for a moment after the signal."""
        self._process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED)

    def resume(self) -> None:
        self._process.send_signal(signal.SIGCONT)


def _dies_with_its_parent() -> list[str]:
    """A wrapper that makes the kernel kill the child when the thread that starts it ends, however it ends.

    The wrapper becomes the program by exec, so the process id is the program's own. A preexec_fn could do it too,
    but is unsafe beside librdkafka's threads.
    """
    return ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []
