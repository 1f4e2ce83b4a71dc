"""References that came from elsewhere, kept beside the state: a start does without whom they are from, once it has had them."""

import hashlib
import os
import re
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

FOLDER = "references"
OURS = re.compile(r"[0-9a-f]{32}\.(json|new)")
MOST_KEPT = 64_000_000  # bytes; no registry is asked for more
MODE, FOLDER_MODE = 0o600, 0o700


@dataclass(slots=True)
class KeptReferences:
    """The last content of each reference, by where it is from.

    `asked`: places that are asked for. `used`: those that stood in for what could not be had, and why.
    """

    state: Path
    asked: set[str] = field(default_factory=set)
    used: dict[str, str] = field(default_factory=dict)

    def keep(self, place: str, content: bytes) -> None:
        """Keep it, whole or not at all; where that cannot be it is not kept: the state itself says what ails the disk."""
        self.asked.add(place)
        path = self._path(place)
        with suppress(OSError):
            self.state.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
            path.parent.mkdir(mode=FOLDER_MODE, exist_ok=True)
            unfinished = path.with_suffix(".new")
            unfinished.unlink(missing_ok=True)
            handle = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, MODE)
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(handle)
            unfinished.replace(path)

    def content(self, place: str) -> bytes | None:
        """What was kept; None where nothing was, or what is not read whole."""
        self.asked.add(place)
        try:
            with self._path(place).open("rb") as file:
                content = file.read(MOST_KEPT + 1)
        except OSError:
            return None
        return content if len(content) <= MOST_KEPT else None

    def stand_in(self, place: str, why: str) -> None:
        """What was kept is used, because of `why`."""
        self.used[place] = why

    def forget_others(self) -> None:
        """Remove those that nobody asked for: their models or versions are configured no more."""
        wanted = {self._path(place) for place in self.asked}
        with suppress(OSError):
            for path in [*(self.state / FOLDER).iterdir()]:
                if OURS.fullmatch(path.name) and path not in wanted:
                    path.unlink()

    def _path(self, place: str) -> Path:
        """A name of ours, whatever the place is called."""
        return self.state / FOLDER / f"{hashlib.sha256(place.encode()).hexdigest()[:32]}.json"
