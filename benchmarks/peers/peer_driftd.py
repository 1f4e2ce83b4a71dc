"""driftd's own library as one would use it in a notebook: a sketch a window, KS and PSI from its counts. No Kafka."""

import sys
from pathlib import Path

import numpy as np
from work import NAMES, Judge, Matrix, Scores, run

sys.path.insert(0, str(Path(__file__).parents[2]))

from detectors import Reference, Sketch
from detectors.univariate import ks, psi


def prepare(reference: Matrix) -> Judge:
    """Fit the reference once."""
    fitted = Reference.fit(dict(zip(NAMES, reference.T, strict=True)))

    def judge(rows: Matrix) -> Scores:
        window = Sketch.empty(fitted.layout)
        window.update(rows, np.empty((len(rows), 0), np.int32))
        return {
            "ks": [score.value or 0.0 for score in ks.score(fitted, window)],
            "psi": [score.value or 0.0 for score in psi.score(fitted, window)],
        }

    return judge


if __name__ == "__main__":
    run("driftd", prepare)
