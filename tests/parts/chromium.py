"""A real Chromium without a window, spoken to over a pair of pipes (Chrome DevTools Protocol)."""

import base64
import itertools
import json
import os
import select
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.parts.child import Child, StartFailed
from tests.parts.missing import MissingPart

NAMES = ("chromium", "chromium-browser", "google-chrome")
START_SECONDS = 60
ANSWER_SECONDS = 60
FLAGS = (
    "--headless=new",
    "--no-sandbox",  # the tests may be root's, and open nothing but their own files
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # it finds no host but this one
    "--remote-debugging-pipe",  # it reads from descriptor 3 and writes to 4
)


class Chromium:
    """One browser; each page it opens has a width and a colour scheme of its own."""

    def __init__(self, directory: Path) -> None:
        program = next((name for name in NAMES if shutil.which(name)), None)
        if program is None:
            raise MissingPart("chromium is not here", "apt-get install chromium")
        self._to, self._from = _pipe(directory / "to"), _pipe(directory / "from")
        pipes = f'exec "$@" 3<{directory / "to"} 4>{directory / "from"}'
        command = ["sh", "-c", pipes, "sh", program, *FLAGS, f"--user-data-dir={directory / 'profile'}", "about:blank"]
        self._child = Child("Chromium", command, log=directory / "chromium.log")
        self._numbers = itertools.count(1)
        self._unread = b""
        self.events: list[dict[str, Any]] = []
        try:
            self.call("Browser.getVersion", seconds=START_SECONDS)
        except BaseException:
            self.stop()
            raise

    def open(
        self, path: Path | str, *, width: int, height: int = 900, dark: bool = False, scripts: bool = True
    ) -> "Page":
        """Load a file or an address and wait until it has; without `scripts` pages run none."""
        address = path if isinstance(path, str) else path.absolute().as_uri()
        return Page(self, address, width, height, dark=dark, scripts=scripts)

    def call(
        self, method: str, session: str | None = None, *, seconds: float = ANSWER_SECONDS, **parameters: Any
    ) -> dict[str, Any]:
        """Send a command and return its result; events that come before it are kept."""
        number = next(self._numbers)
        said = {"id": number, "method": method, "params": parameters} | ({"sessionId": session} if session else {})
        os.write(self._to, json.dumps(said).encode() + b"\0")
        deadline = time.monotonic() + seconds
        while (message := self.message(deadline)).get("id") != number:
            self.events.append(message)
        assert "error" not in message, (method, message["error"])
        result: dict[str, Any] = message["result"]
        return result

    def message(self, deadline: float) -> dict[str, Any]:
        """The next message, an answer or an event."""
        while b"\0" not in self._unread:
            if not self._child.running or time.monotonic() > deadline:
                raise StartFailed(f"Chromium does not answer; {self._child.tail()}")
            if select.select([self._from], [], [], 0.2)[0]:
                self._unread += os.read(self._from, 1 << 20)
        message, self._unread = self._unread.split(b"\0", 1)
        found: dict[str, Any] = json.loads(message)
        return found

    def stop(self) -> None:
        self._child.stop()
        os.close(self._to)
        os.close(self._from)


class Page:
    """One page, as wide as a test says."""

    def __init__(self, browser: Chromium, address: str, width: int, height: int, *, dark: bool, scripts: bool) -> None:
        self.browser = browser
        target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        self.call("Emulation.setScrollbarsHidden", hidden=True)
        self.show_in("dark" if dark else "light")
        if not scripts:
            self.call("Emulation.setScriptExecutionDisabled", value=True)
        self.call("Page.navigate", url=address)
        self._wait_for("Page.loadEventFired")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self.browser.call(method, self._session, **parameters)

    def show_in(self, scheme: str, media: str = "") -> None:
        """As a reader with this colour scheme sees it; `media` may be print."""
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.call("Emulation.setEmulatedMedia", media=media, features=[feature])

    def evaluate(self, expression: str) -> Any:
        """The value of some JavaScript."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def text(self) -> str:
        """All text of the page, asked of its document: no script is run."""
        root = self.call("DOM.getDocument", depth=-1)["root"]
        return " ".join(_texts(root))

    def wait_until(self, expression: str) -> None:
        """Return when some JavaScript is true."""
        deadline = time.monotonic() + ANSWER_SECONDS
        while not self.evaluate(expression):
            assert time.monotonic() < deadline, f"never true: {expression}"
            time.sleep(0.02)

    def complaints(self) -> list[Any]:
        """What the console, the log and uncaught exceptions said, from debug to error."""
        kinds = {"Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"}
        return [event["params"] for event in self._events() if event["method"] in kinds]

    def requested(self) -> list[str]:
        """The address of everything that was asked for, the page itself among them."""
        asked = (event for event in self._events() if event["method"] == "Network.requestWillBeSent")
        return [event["params"]["request"]["url"] for event in asked]

    def point(self, x: float, y: float) -> None:
        """Move the mouse there."""
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def screenshot(self, *, whole: bool = True) -> bytes:
        """The whole page, also what is below the fold, or the window alone, as PNG."""
        taken = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        return base64.b64decode(taken["data"])

    def pdf(self) -> bytes:
        """What a printer would get."""
        return base64.b64decode(self.call("Page.printToPDF")["data"])

    def _events(self) -> list[dict[str, Any]]:
        return [event for event in self.browser.events if event.get("sessionId") == self._session]

    def _wait_for(self, method: str) -> None:
        deadline = time.monotonic() + ANSWER_SECONDS
        while not any(event["method"] == method for event in self._events()):
            self.browser.events.append(self.browser.message(deadline))


def _texts(node: dict[str, Any]) -> Iterator[str]:
    if node["nodeName"] == "#text":
        yield node["nodeValue"]
    for child in node.get("children", ()):
        yield from _texts(child)


def _pipe(path: Path) -> int:
    """A named pipe, open at both ends, so that neither side waits for the other."""
    os.mkfifo(path)
    return os.open(path, os.O_RDWR)
