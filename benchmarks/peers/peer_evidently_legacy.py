"""Evidently's older API, still shipped as `evidently.legacy`: the same scores of the same tests, and no plot a metric."""

import pandas as pd
from evidently.legacy.metrics import ColumnDriftMetric
from evidently.legacy.pipeline.column_mapping import ColumnMapping
from evidently.legacy.report import Report
from work import NAMES, Judge, Matrix, Scores, run

METHODS = ("ks", "psi")


def prepare(reference: Matrix) -> Judge:
    """Wrap the reference once; a report of this API is used for one window."""
    mapping = ColumnMapping(numerical_features=NAMES)
    before = pd.DataFrame(reference, columns=NAMES)

    def judge(rows: Matrix) -> Scores:
        report = Report([ColumnDriftMetric(column_name=name, stattest=method) for method in METHODS for name in NAMES])
        report.run(reference_data=before, current_data=pd.DataFrame(rows, columns=NAMES), column_mapping=mapping)
        values = [float(metric["result"]["drift_score"]) for metric in report.as_dict()["metrics"]]
        return {"ks_p": values[: len(NAMES)], "psi": values[len(NAMES) :]}

    return judge


if __name__ == "__main__":
    run("evidently", prepare)
