"""NannyML: one `calculate` over a data frame of ten windows (it is a batch library), KS on its binned reference.

It has no PSI; Jensen-Shannon distance, also over bins of the reference, stands in.
"""

import numpy as np
import pandas as pd
from nannyml import UnivariateDriftCalculator
from work import NAMES, WINDOW_ROWS, Judge, Matrix, Scores, run

METHODS = {"ks": "kolmogorov_smirnov", "js": "jensen_shannon"}
WINDOWS_AT_ONCE = 10  # four times the rate of one; twenty give little more


def prepare(reference: Matrix) -> Judge:
    """Fit once; with 10 000 reference rows or more NannyML takes its own fast KS over 10 000 bins."""
    calculator = UnivariateDriftCalculator(
        column_names=NAMES, continuous_methods=list(METHODS.values()), chunk_size=WINDOW_ROWS
    )
    calculator.fit(pd.DataFrame(reference, columns=NAMES))

    def judge(rows: Matrix) -> Scores:
        result = calculator.calculate(pd.DataFrame(np.asfortranarray(rows), columns=NAMES))
        last = result.filter(period="analysis").data.iloc[-1]
        return {short: [float(last[name, long, "value"]) for name in NAMES] for short, long in METHODS.items()}

    return judge


if __name__ == "__main__":
    run("nannyml", prepare, windows_at_once=WINDOWS_AT_ONCE)
