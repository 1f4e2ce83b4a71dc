"""Evidently: one Report of ValueDrift metrics a window, KS and PSI of each column, on data frames."""

import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.metrics import ValueDrift
from work import NAMES, Judge, Matrix, Scores, run

METHODS = ("ks", "psi")


def prepare(reference: Matrix) -> Judge:
    """Wrap the reference once. Evidently's KS score is the p-value; its PSI bins are made anew from both samples."""
    definition = DataDefinition(numerical_columns=NAMES)
    before = Dataset.from_pandas(pd.DataFrame(reference, columns=NAMES), data_definition=definition)
    report = Report([ValueDrift(column=name, method=method) for method in METHODS for name in NAMES])

    def judge(rows: Matrix) -> Scores:
        now = Dataset.from_pandas(pd.DataFrame(rows, columns=NAMES), data_definition=definition)
        metrics = report.run(now, before).dict()["metrics"]
        values = [float(metric["value"]) for metric in metrics]
        return {"ks_p": values[: len(NAMES)], "psi": values[len(NAMES) :]}

    return judge


if __name__ == "__main__":
    run("evidently", prepare)
