"""References that came from elsewhere, kept beside the state: a start does without whom they are from, once it has had them."""

import hashlib
import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

FOLDER = "references"
MODE, FOLDER_MODE = 0o600, 0o700


@dataclass(slots=True)
class KeptReferences:
    """The last content of each reference, by where it is from. `used`: those that stood in for what could not be had, and why."""

    state: Path
    used: dict[str, str] = field(default_factory=dict)

    def keep(self, place: str, content: bytes) -> None:
        """Keep it, whole or not at all; where that cannot be it is not kept: the state itself says what ails the disk."""
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

    def instead(self, place: str, why: str) -> bytes | None:
        """What was kept, to be used because of `why`; None where nothing was."""
        try:
            content = self._path(place).read_bytes()
        except OSError:
            return None
        self.used[place] = why
        return content

    def _path(self, place: str) -> Path:
        """A name of ours, whatever the place is called."""
        return self.state / FOLDER / f"{hashlib.sha256(place.encode()).hexdigest()[:32]}.json"
