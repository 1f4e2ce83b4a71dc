"""What a daemon has left behind: its state, the text of /metrics, and what a webhook's receiver has written down."""

import base64
import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from shutil import copytree
from tempfile import TemporaryDirectory
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from monitor.store import files
from monitor.store.schema import SCHEMA_VERSION

Series = tuple[str, str]


@dataclass
class Left:
    """What one state holds. `flaw`: why it is none to go on from."""

    positions: dict[int, int] = field(default_factory=dict)
    panes: dict[tuple[Series, int], bytes] = field(default_factory=dict)
    windows: dict[tuple[Series, int], int] = field(default_factory=dict)  # rows by start
    spans: dict[tuple[Series, int], int] = field(default_factory=dict)  # ends by start
    origin: dict[Series, int] = field(default_factory=dict)
    sealed: dict[Series, int] = field(default_factory=dict)
    deliveries: dict[str, str] = field(default_factory=dict)  # how they stand, by id
    flaw: str | None = None


@contextmanager
def opened(directory: Path) -> Iterator[sqlite3.Connection]:
    """A copy of a state, so that to look at it changes nothing."""
    with TemporaryDirectory(prefix="verified") as place:
        copytree(directory, Path(place) / "state")
        with closing(sqlite3.connect(Path(place) / "state" / files.DATABASE)) as database:
            yield database


def left(directory: Path, topic: str) -> Left | None:
    """What a state holds, of the positions those of a topic; None where there was none yet."""
    if not (directory / files.DATABASE).exists():
        return None
    with opened(directory) as database:
        found = Left(flaw=_flaw(database))
        positions = database.execute("SELECT partition, next_offset FROM position WHERE topic = ?", (topic,))
        found.positions = dict(positions)
        found.deliveries = dict(database.execute("SELECT id, status FROM delivery"))
        for kind, key, payload in database.execute("SELECT kind, key, payload FROM record"):
            if kind in {"pane", "window", "series"}:
                _take(found, kind, json.loads(key), payload)
    return found


def _flaw(database: sqlite3.Connection) -> str | None:
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if version != SCHEMA_VERSION:  # one that was killed before it was taken over
        return None
    path = Path(database.execute("PRAGMA database_list").fetchone()[2])
    return files.flaw(path, alone=False)


def _take(found: Left, kind: str, key: list[Any], payload: bytes) -> None:
    series = key[0], key[1]
    if kind == "pane":
        found.panes[series, key[2]] = payload
        return
    told = json.loads(payload)
    if kind == "window":
        found.windows[series, told["start"]] = told["rows"]
        found.spans[series, told["start"]] = told["end"]
        return
    if told["origin"] is not None:
        found.origin[series] = told["origin"]
    if told["sealed_until"] is not None:
        found.sealed[series] = told["sealed_until"]


@dataclass(frozen=True)
class Letter:
    """A rejected record as it was kept."""

    partition: int
    offset: int
    reason: str
    value: str  # a byte a character, as the truth has it


def letters(directory: Path) -> list[Letter]:
    """All that were kept, in the order written."""
    found = []
    for path in sorted(directory.glob("letters-*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            told = json.loads(line)
            value = base64.b64decode(told["value"]).decode("latin-1")
            found.append(Letter(told["partition"], told["offset"], told["reason"], value))
    return found


class Told:
    """The text of /metrics, as far as it is about a topic."""

    def __init__(self, text: str, topic: str) -> None:
        samples = [each for family in text_string_to_metric_families(text) for each in family.samples]
        self._samples = [each for each in samples if each.labels.get("topic") == topic]

    def by(self, name: str, label: str) -> Counter[str]:
        """The samples of a counter, added up by one of its labels; those that are zero left out."""
        found: Counter[str] = Counter()
        for sample in self._samples:
            if sample.name == name and sample.value:
                found[sample.labels.get(label, "")] += int(sample.value)
        return found


@dataclass(frozen=True)
class Heard:
    """One request as a receiver took it down; `taken`: it was answered with 2xx, as far as the receiver knows."""

    id: str
    type: str
    verified: bool
    taken: bool
    body: dict[str, Any]

    @property
    def subject(self) -> tuple[str, ...]:
        """The alert that it is of."""
        data = self.body["data"]
        return data["model"], data["model_version"], str(data.get("alert", {}).get("rule"))


def heard(path: Path) -> list[Heard]:
    """The receiver's log, in its order."""
    if not path.exists():
        return []
    return [Heard(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]
