#!/usr/bin/env bash
# SciPy 1.17.1, cramervonmises_2samp: of two samples of whole numbers from one law that differ in size every pair is "different".
# Its notes let one expect the contrary: with ties it takes middle ranks, and p-values are likely to be too large. The statistic adds up
# squared distances between ranks in the sample and in both together; middle ranks make these larger, the less alike the sizes are.
# Seen over 100 pairs without any difference, of the digits 0 to 9, at 0.05: 5 000 and 500 rows 100 of 100, with p-values below 1e-6;
# 1 000 and 1 000 rows 5; normal values without ties 5; ks_2samp on the same digits 1.
# Evidently 0.7.23 has a test of its own of this name, and Frouros 0.9.0 takes SciPy's: both say the same of such columns.
# What follows: counts, ages, prices in cents and ratings are "drifted" at each run where the reference is larger than the window.
# Ends with 0 where this is so, with 1 where it has changed.
set -euo pipefail
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
for name in new peers; do python3 -m venv "$home/$name"; done
"$home/new/bin/pip" install --quiet --disable-pip-version-check scipy==1.17.1 numpy==2.4.6
"$home/peers/bin/pip" install --quiet --disable-pip-version-check evidently==0.7.23 frouros==0.9.0 numpy==2.1.3 pandas==2.3.3 scipy==1.14.1
"$home/new/bin/python" - <<'PYTHON'
import sys

import numpy as np
import scipy
from scipy.stats import cramervonmises_2samp, ks_2samp

PAIRS, LEVEL = 100, 0.05
rng = np.random.default_rng(0)


def digits(rows):
    return rng.integers(0, 10, rows).astype(float)


def told(law, rows, others, test=cramervonmises_2samp):
    """P-values of pairs from one law."""
    return np.array([test(law(rows), law(others)).pvalue for _ in range(PAIRS)])


tied, alike, floats, by_ks = (
    told(digits, 5_000, 500),
    told(digits, 1_000, 1_000),
    told(lambda rows: rng.normal(size=rows), 5_000, 500),
    told(digits, 5_000, 500, ks_2samp),
)
counted = [int(np.sum(each < LEVEL)) for each in (tied, alike, floats, by_ks)]
print(f"SciPy {scipy.__version__}, of {PAIRS} pairs told apart: digits, 5000 and 500 rows {counted[0]} (largest p {tied.max():.1e}), "
      f"1000 and 1000 rows {counted[1]}, normal values {counted[2]}; ks_2samp {counted[3]}")
sys.exit(0 if counted[0] == PAIRS and tied.max() < 1e-6 and max(counted[1:]) <= 20 else 1)
PYTHON
DO_NOT_TRACK=1 "$home/peers/bin/python" -W ignore - <<'PYTHON'
import sys
from importlib.metadata import version

import numpy as np
import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.metrics import ValueDrift
from frouros.detectors.data_drift import CVMTest

PAIRS = 10
COLUMN = DataDefinition(numerical_columns=["x"])
rng = np.random.default_rng(0)


def evidently(reference, current):
    sides = (Dataset.from_pandas(pd.DataFrame({"x": each}), COLUMN) for each in (current, reference))
    return Report([ValueDrift(column="x", method="cramer_von_mises")]).run(*sides).dict()["metrics"][0]["value"]


def frouros(reference, current):
    detector = CVMTest()
    detector.fit(X=reference)
    return detector.compare(X=current)[0].p_value


found = {}
for law, draw in (("digits", lambda rows: rng.integers(0, 10, rows).astype(float)), ("normal values", lambda rows: rng.normal(size=rows))):
    for name, test in (("evidently", evidently), ("frouros", frouros)):
        found[f"{name}, {law}"] = sum(float(test(draw(5_000), draw(500))) < 0.05 for _ in range(PAIRS))
print(f"Evidently {version('evidently')}, Frouros {version('frouros')}, of {PAIRS} pairs: {found}")
tied = [count for name, count in found.items() if "digits" in name]
sys.exit(0 if tied == [PAIRS, PAIRS] and max(count for name, count in found.items() if "normal" in name) <= 4 else 1)
PYTHON
