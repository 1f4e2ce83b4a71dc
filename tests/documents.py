"""What README and the task pages say to type: their blocks as steps, and a shell that goes through them.

A block of `sh` is a script that must end well. In a block of `console` a command stands behind `$ `, and below it what it says:
`…` stands for any text within a line, alone on a line for any lines. Three remarks above a block are for the tests:
`<!-- not run: why -->`; `<!-- file: NAME -->`, whose text is written there; and `<!-- may differ: this; that -->`, texts of what is
shown that are examples, as words are that rest on the latest values.
"""

import contextlib
import os
import re
import shlex
import signal
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

BLOCK = re.compile(
    r"^(?: *<!-- (?P<remark>not run|file|may differ): (?P<about>.+?) -->\n)?"
    r"(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)
SECONDS = 90  # no command of a page may take longer


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of a page."""

    page: str
    line: int
    language: str
    text: str
    remark: str | None
    about: str | None

    @property
    def is_typed(self) -> bool:
        return self.language in {"sh", "console"}

    @property
    def is_run(self) -> bool:
        return self.is_typed and self.remark != "not run"

    @property
    def steps(self) -> "list[Step]":
        if self.language == "sh":
            return [Step(self.text, None)]
        return [Step.of(each) for each in re.split(r"^\$ ", self.shown, flags=re.MULTILINE)[1:]]

    @property
    def shown(self) -> str:
        """The text, with `…` for what may differ."""
        text = self.text
        for each in str(self.about).split("; ") if self.remark == "may differ" else ():
            assert each in text, f"{self.page}:{self.line}: {each} is not shown"
            text = text.replace(each, "…")
        return text


@dataclass(frozen=True, slots=True)
class Step:
    """A command, and what the page says comes of it; None: it does not say."""

    command: str
    said: str | None

    @classmethod
    def of(cls, text: str) -> "Step":
        """A command goes on in the next line behind a backslash."""
        found = re.fullmatch(r"((?:.*\\\n)*.*\n)([\s\S]*)", text)
        assert found is not None
        return cls(found[1], found[2])


def blocks(page: Path, name: str) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    for found in BLOCK.finditer(text):
        line = text.count("\n", 0, found.start()) + 1
        inner = re.sub(rf"^{found['indent']}", "", found["text"], flags=re.MULTILINE)
        yield Block(name, line, found["language"], inner, found["remark"], found["about"])


def is_like(said: str, output: str) -> bool:
    """Whether an output is what a page shows, with `…` for what differs from time to time."""
    return re.fullmatch("".join(map(_pattern, said.splitlines())), _bare(output)) is not None


def _pattern(line: str) -> str:
    if line.strip() == "…":
        return r"(?:.*\n)*"
    return re.escape(line.rstrip()).replace("…", ".*") + r" *\n"


def _bare(output: str) -> str:
    return output if output.endswith("\n") or not output else output + "\n"


class Shell:
    """Goes through blocks as one would in one terminal: directory and variables stay, what runs behind goes on."""

    def __init__(self, home: Path, notes: Path, variables: Mapping[str, str]) -> None:
        self._notes = notes
        self._started: list[int] = []
        exports = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
        (notes / "variables").write_text("\n".join(exports), encoding="utf-8")
        (notes / "directory").write_text(str(home), encoding="utf-8")

    @property
    def directory(self) -> Path:
        return Path((self._notes / "directory").read_text(encoding="utf-8").strip())

    def run(self, command: str) -> tuple[int, str]:
        """The exit code, and all that was said. What goes on behind writes to a file, so it keeps nobody waiting."""
        script = (
            f". {self._notes}/variables\ncd {shlex.quote(str(self.directory))}\n"
            f"trap 'export -p > {self._notes}/variables; pwd > {self._notes}/directory' EXIT\nset -e\n{command}"
        )
        output = self._notes / "output"
        with output.open("wb") as said:
            done = subprocess.Popen(
                ["bash", "-c", script],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                env={
                    "HOME": os.environ.get("HOME", "/"),
                    "LANG": "C.UTF-8",
                    "PYTHONUNBUFFERED": "1",
                },  # as on a terminal
                start_new_session=True,
            )
            self._started.append(done.pid)
            code = done.wait(SECONDS)
        return code, output.read_text(encoding="utf-8")

    def end(self) -> None:
        """End what still runs, by its group."""
        for number in reversed(self._started):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(number, signal.SIGKILL)
