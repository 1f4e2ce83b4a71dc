"""Evidently: a Report of ValueDrift with tests for every window, methods and thresholds its own choice by the data."""

import numpy as np
import pandas as pd
from alarm_work import Alarms, Given, run
from evidently import DataDefinition, Dataset, Report
from evidently.metrics import ValueDrift

REFERENCE = 10_000  # rows, drawn: the cost of a report grows with them
PASSED = "SUCCESS"


def judge(given: Given) -> Alarms:
    """One report a window; a test that is not passed is an alarm."""
    definition = DataDefinition(numerical_columns=given.numbers, categorical_columns=sorted(given.texts))
    rows = np.random.default_rng(1).integers(0, given.before.size, REFERENCE)
    before = dataset({name: one[rows] for name, one in given.reference.items()}, definition)
    report = Report([ValueDrift(column=name) for name in given.names], include_tests=True)
    alarms = np.zeros((len(given.windows), len(given.names)), dtype=bool)
    for at, window in enumerate(given.windows):
        held = given.now == window
        done = report.run(dataset({name: one[held] for name, one in given.live.items()}, definition), before)
        alarms[at] = [test["status"] != PASSED for test in done.dict()["tests"]]
    return alarms


def dataset(columns: dict[str, np.ndarray], definition: DataDefinition) -> Dataset:
    """Rows as Evidently wants them."""
    return Dataset.from_pandas(pd.DataFrame(columns), data_definition=definition)


if __name__ == "__main__":
    run("evidently", judge)
