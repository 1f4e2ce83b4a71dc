"""Alibi Detect: one KSDrift over all columns, feature by feature; it has no PSI, so the one by hand is added."""

import numpy as np
from alibi_detect.cd import KSDrift
from work import Judge, Matrix, Scores, decile_psi, run


def prepare(reference: Matrix) -> Judge:
    """Fit once; a sorted reference spares `ks_2samp` time and changes no score, since it looks at columns alone."""
    detector = KSDrift(np.asfortranarray(np.sort(reference, axis=0)), correction="bonferroni")
    psi = decile_psi(reference)

    def judge(rows: Matrix) -> Scores:
        found = detector.predict(
            np.asfortranarray(rows), drift_type="feature", return_p_val=True, return_distance=True
        )["data"]
        return {"ks": found["distance"].tolist(), "ks_p": found["p_val"].tolist(), "psi": psi(rows)}

    return judge


if __name__ == "__main__":
    run("alibi-detect", prepare)
