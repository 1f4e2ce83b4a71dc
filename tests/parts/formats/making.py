"""Makes what is recorded of real libraries again, each in an environment of its own, and says where it differs: `make formats`."""

import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

from tests.parts.formats import PACKAGES

HERE = Path(__file__).parent
ENVIRONMENTS = Path(__file__).parents[3] / ".parts" / "formats"


def made(name: str) -> str:
    """What the maker of a library writes now; its packages are installed first, where they are not."""
    home, wanted = ENVIRONMENTS / name, " ".join(PACKAGES[name])
    python, noted = home / "bin" / "python", home / "installed"
    if not noted.exists() or noted.read_text(encoding="utf-8") != wanted:
        venv.create(home, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES[name]], check=True)
        noted.write_text(wanted, encoding="utf-8")
    command = [python, "-P", HERE / f"{name}.py"]  # the maker bears the library's name: its folder must not be searched
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def main(names: Sequence[str]) -> int:
    """Compare those that are named, else all; 1 where one differs."""
    differ = 0
    for name in names or sorted(PACKAGES):
        same = made(name) == (HERE / f"{name}.json").read_text(encoding="utf-8")
        print(f"{name}: {'as recorded' if same else 'DIFFERS from what is recorded'}")
        differ += not same
    return int(differ > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
