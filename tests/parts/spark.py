"""PySpark and Dask in a folder of their own: `make spark` installs them and runs the tests of `driftd.spark`.

Heavy (500 MB), so no part of a usual run; Java 17 or newer must be there. `python -m tests.parts.spark DIRECTORY` installs what
requirements/spark.txt locks; tests find it where SPARK says. Standard library only.
"""

import os
import subprocess
import sys
from pathlib import Path

LOCK = Path(__file__).parents[2] / "requirements" / "spark.txt"


def installed() -> Path | None:
    """The folder of the packages; None where this run does not want them."""
    folder = Path(os.environ.get("SPARK", "/nowhere"))
    return folder if (folder / "pyspark").is_dir() else None


def install(home: Path) -> None:
    """All of them, once; NumPy and PyArrow are those of the tests."""
    noted = home / "installed"
    wanted = LOCK.read_text(encoding="utf-8")
    if noted.exists() and noted.read_text(encoding="utf-8") == wanted:
        return
    home.mkdir(parents=True, exist_ok=True)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--upgrade"]
    subprocess.run([*pip, "--no-deps", "--require-hashes", "--target", home, "-r", LOCK], check=True)
    noted.write_text(wanted, encoding="utf-8")


if __name__ == "__main__":
    install(Path(sys.argv[1]).resolve())
