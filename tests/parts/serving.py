"""BentoML and MLServer, each in a virtual environment of its own: `make serving` installs them and runs the examples' tests.

Heavy, so no part of a usual run. `python -m tests.parts.serving DIRECTORY` installs; tests find them where SERVING says. Standard library only.
"""

import os
import subprocess
import sys
import venv
from pathlib import Path

PACKAGES = {
    "bentoml": ["bentoml==1.4.40", "confluent-kafka==2.16.1"],
    "mlserver": ["mlserver==1.7.1", "uvloop==0.21.0", "confluent-kafka==2.16.1"],
}


def installed(name: str) -> Path | None:
    """The folder of a server's programs; None where this run does not want them, or has not this one."""
    folder = Path(os.environ.get("SERVING", "/nowhere")) / name / "bin"
    return folder if (folder / name).exists() else None


def install(home: Path) -> None:
    """All of them, once."""
    for name, packages in PACKAGES.items():
        noted = home / name / "installed"
        if noted.exists() and noted.read_text(encoding="utf-8") == " ".join(packages):
            continue
        venv.create(home / name, with_pip=True, clear=True)
        subprocess.run([home / name / "bin" / "python", "-m", "pip", "install", "--quiet", *packages], check=True)
        noted.write_text(" ".join(packages), encoding="utf-8")


if __name__ == "__main__":
    install(Path(sys.argv[1]).resolve())
