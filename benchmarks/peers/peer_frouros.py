"""Frouros: its batch detectors KSTest and PSI, one of each a column, fitted once; PSI bins are made anew from both samples."""

import numpy as np
from frouros.detectors.data_drift import PSI, KSTest
from work import Judge, Matrix, Scores, run


def prepare(reference: Matrix) -> Judge:
    """Fit all detectors; a sorted reference spares them time."""
    columns = np.sort(reference, axis=0).T.copy()
    tests = [KSTest() for _ in columns]
    indices = [PSI() for _ in columns]
    for column, test, index in zip(columns, tests, indices, strict=True):
        test.fit(X=column)
        index.fit(X=column)

    def judge(rows: Matrix) -> Scores:
        values = rows.T.copy()
        found = [test.compare(X=column, method="asymp")[0] for test, column in zip(tests, values, strict=True)]
        return {
            "ks": [float(each.statistic) for each in found],
            "ks_p": [float(each.p_value) for each in found],
            "psi": [float(index.compare(X=column)[0].distance) for index, column in zip(indices, values, strict=True)],
        }

    return judge


if __name__ == "__main__":
    run("frouros", prepare)
