"""scipy by hand: `ks_2samp` and a decile PSI in numpy, column by column; what many write before they look for a library."""

import numpy as np
from scipy.stats import ks_2samp
from work import Judge, Matrix, Scores, decile_psi, run


def prepare(reference: Matrix) -> Judge:
    """Keep the reference's columns contiguous and sorted: `ks_2samp` sorts them again, faster so."""
    columns = np.sort(reference, axis=0).T.copy()
    psi = decile_psi(reference)

    def judge(rows: Matrix) -> Scores:
        found = [ks_2samp(before, now, method="asymp") for before, now in zip(columns, rows.T.copy(), strict=True)]
        return {
            "ks": [float(each.statistic) for each in found],
            "ks_p": [float(each.pvalue) for each in found],
            "psi": psi(rows),
        }

    return judge


if __name__ == "__main__":
    run("scipy", prepare)
