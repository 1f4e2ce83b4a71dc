"""axe-core, which reads a page as WCAG does, fetched once through npm. Standard library only: `.ci/parts` runs it before there is a .venv."""

import hashlib
import shutil
import sys
import tarfile
import tempfile
from pathlib import Path

from tests.parts.fetching import PARTS, fetch, not_fetched
from tests.parts.missing import MissingPart

VERSION = "4.14.1"
DIGEST = "e6b0ce02b84d892e2e33e403485e7f3d6c29e2be6df65daf44d89ba564139745"  # SHA-256 of the package as npm has it
SCRIPT = PARTS / f"axe-core-{VERSION}.min.js"
COMMAND = ("npm", "pack", "--silent", "--ignore-scripts", f"axe-core@{VERSION}")
FETCH_SECONDS = 120


def axe_core() -> str:
    """The script, fetched now if it is not there."""
    if not SCRIPT.exists():
        _fetch()
    return SCRIPT.read_text(encoding="utf-8")


def _fetch() -> None:
    if shutil.which("npm") is None:
        raise MissingPart("axe-core is not here: needs npm", "apt-get install npm")
    PARTS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="axe-core-", dir=PARTS) as partial:
        package = Path(partial) / f"axe-core-{VERSION}.tgz"
        fetch("axe-core", "npm", COMMAND, seconds=FETCH_SECONDS, cwd=Path(partial))
        if not package.exists() or hashlib.sha256(package.read_bytes()).hexdigest() != DIGEST:
            raise not_fetched("axe-core", "npm brought another package than the one that is known here")
        with tarfile.open(package) as archive:
            archive.extract("package/axe.min.js", partial, filter="data")
        (Path(partial) / "package" / "axe.min.js").replace(SCRIPT)  # at once: another run may read it


if __name__ == "__main__":
    try:
        axe_core()
        print(f"axe-core {VERSION}: {SCRIPT}")
    except MissingPart as missing:
        sys.exit(str(missing))
