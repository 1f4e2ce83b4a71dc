"""What BentoML's monitor writes for fixed values: the lines of its files, with times of the clock put to one. Runs where bentoml is."""

import json
import re
import sys
import tempfile
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path

import bentoml
import numpy as np
import pandas as pd

MOMENT = "2026-11-01T12:00:00.250000"


def lines(folder: Path) -> list[str]:
    """All lines below a folder, those of schemas first."""
    files = sorted(folder.rglob("*.log"), key=lambda path: (path.parent.name != "schema", str(path)))
    clock = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?")
    return [clock.sub(MOMENT, line) for path in files for line in path.read_text(encoding="utf-8").splitlines()]


def values(folder: Path) -> list[str]:
    """One monitor with values of every kind."""
    with bentoml.monitor("churn", monitor_class="default", monitor_options={"log_path": str(folder)}) as log:
        log.log_batch([np.int64(3), 4], name="age", role="feature", data_type="numerical")
        log.log_batch([np.float32(0.5), float("nan")], name="rate", role="feature", data_type="numerical")
        log.log_batch([np.float64(0.25), 1.5], name="income", role="feature", data_type="numerical")
        log.log_batch([np.bool_(True), None], name="active", role="feature", data_type="categorical")
        log.log_batch(["pro", pd.NA], name="plan", role="feature", data_type="categorical")
        log.log_batch([Decimal("1.10"), Decimal("2.5")], name="price", role="feature", data_type="numerical")
        log.log_batch([np.float32(0.83), np.float32(0.1)], name="score", role="prediction", data_type="numerical")
        log.log_batch([np.int64(1), np.int64(0)], name="churned", role="target", data_type="categorical")
    return lines(folder)


def two_monitors(folder: Path) -> list[str]:
    """Two monitors of one process, and which files their rows stand in."""
    for name, column in (("first", "a"), ("second", "b"), ("first", "a")):
        with bentoml.monitor(name, monitor_class="default", monitor_options={"log_path": str(folder)}) as log:
            log.log(np.float64(1.5), name=column, role="feature", data_type="numerical")
            log.log(np.float64(0.5), name=f"{column}_score", role="prediction", data_type="numerical")
    return lines(folder)


if __name__ == "__main__":
    home = Path(tempfile.mkdtemp())
    made = {
        "version": version("bentoml"),
        "values": values(home / "values"),
        "two_monitors": two_monitors(home / "two"),
    }
    json.dump(made, sys.stdout, indent=1, sort_keys=True)
    sys.stdout.write("\n")
