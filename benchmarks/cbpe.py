"""Performance without labels beside NannyML's CBPE: how far apart in sampling errors, chunk by chunk, and how much quicker.

NannyML has an environment of its own, made once from `benchmarks/peers/requirements-nannyml.txt` in `.peers/nannyml`, or where
DRIFTD_PEERS points (2 GB). By hand: `python3.11 -m venv nml && nml/bin/pip install nannyml==0.13.1 pandas==2.3.3 statsmodels`, then
`--python nml/bin/python`.

A chunk costs driftd the counting of its scores and the estimate of all its metrics, all chunks in one call as NannyML takes them; fitting is left out for both. Each has one thread.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np

from benchmarks.measure import ROOT, Figures, options, said, spread, write
from benchmarks.peers.environments import python_of
from detectors import EstimatedPerformance, LabelColumn, Reference, ScoreEstimator, Sketch

NAMES = {"roc_auc": "auroc", "average_precision": "average_precision", "accuracy": "accuracy"} | {
    name: name for name in ("f1", "precision", "recall", "specificity")
}
ROUNDS, QUICK_ROUNDS = 5, 1
AGAIN = 20  # times that driftd estimates in a round: one takes too short to be measured
CHILD_SECONDS = 600


def main() -> None:
    """Estimate the same chunks by both."""
    parser = options(__doc__)
    parser.add_argument("--python", type=Path, help="an interpreter with nannyml==0.13.1 (the peers' own)")
    given = parser.parse_args()
    rounds = QUICK_ROUNDS if given.quick else ROUNDS
    with tempfile.TemporaryDirectory() as directory:
        python = given.python or python_of("nannyml")
        found = [one_round(python, Path(directory)) for _ in range(rounds)]
    figures = {name: together([each[name] for each in found]) for name in found[0]}
    report(figures)
    write(given.json, figures)


def one_round(python: Path, directory: Path) -> Figures:
    """Every data set by NannyML and, right after it, by driftd: what else the machine does meets both."""
    return {name: beside(directory / f"{name}.npz", told) for name, told in asked(python, directory).items()}


def together(rounds: list[Figures]) -> Figures:
    """The rounds of one data set: rates and their ratio as a spread."""
    ratios = [each["driftd rows/s"] / each["nannyml rows/s"] for each in rounds]
    rates = {name: spread([each[name] for each in rounds]) for name in ("nannyml rows/s", "driftd rows/s")}
    return rounds[0] | rates | {"ratio": spread(ratios)}


def asked(python: Path, directory: Path) -> Figures:
    """What NannyML says. It estimates twice: the first time it is not warm yet."""
    script = ROOT / "benchmarks" / "peers" / "cbpe_nannyml.py"
    single = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    done = subprocess.run(
        [str(python), str(script), str(ROOT / "examples" / "car_loan"), str(directory), "2"],
        env=os.environ | single | {"NML_DISABLE_USAGE_LOGGING": "1"},
        timeout=CHILD_SECONDS,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    found: Figures = json.loads(done.stdout.splitlines()[-1])
    return found


def beside(path: Path, theirs: Figures) -> Figures:
    """Both of one data set: distances in NannyML's sampling errors, and rows a second."""
    data = np.load(path)
    scores, threshold = data["analysis"], float(data["threshold"])
    table = {"score": data["reference"], "label": data["labels"]}
    reference = Reference.fit(table, prediction="score", label=LabelColumn("label", threshold=threshold))
    assert reference.performance is not None
    estimator = reference.performance.estimator()
    assert isinstance(estimator, ScoreEstimator)
    pieces = [scores[first : last + 1] for first, last in theirs["chunks"]]
    found = estimated(reference, estimator, pieces)
    ours = {name: [float(each.metrics[own].value) for each in found] for name, own in NAMES.items()}  # type: ignore[union-attr]  # all can be had
    apart = {name: distances(ours[name], told) for name, told in theirs["metrics"].items()}
    return {
        "rows": scores.size,
        "chunks": len(pieces),
        "sampling errors apart": {name: max(values) for name, values in apart.items()},
        "values": ours,
        "nannyml": {name: told["value"] for name, told in theirs["metrics"].items()},
        "nannyml rows/s": scores.size / theirs["seconds"][-1],
        "driftd rows/s": scores.size / spent(reference, estimator, pieces),
    }


def estimated(reference: Reference, estimator: ScoreEstimator, pieces: list[np.ndarray]) -> list[EstimatedPerformance]:
    """Count scores as the daemon does, from the columns that it decodes, and estimate all chunks by their counts, as NannyML does in one call."""
    windows = [Sketch.empty(reference.layout) for _ in pieces]
    for window, scores in zip(windows, pieces, strict=True):
        window.update(scores[:, None], np.empty((scores.size, 0), dtype=np.int32))
    return estimator.estimate_each(windows)


def distances(ours: list[float], told: Figures) -> list[float]:
    """How many of NannyML's sampling errors lie between the two, by chunk."""
    both = zip(ours, told["value"], told["sampling_error"], strict=True)
    return [abs(own - value) / error for own, value, error in both]


def spent(reference: Reference, estimator: ScoreEstimator, pieces: list[np.ndarray]) -> float:
    """Seconds of processor time of all chunks."""
    began = time.process_time()
    for _ in range(AGAIN):
        estimated(reference, estimator, pieces)
    return (time.process_time() - began) / AGAIN


def report(figures: Figures) -> None:
    """Print a table for people."""
    print("\ncbpe: performance without labels, beside NannyML 0.13.1")
    for name, found in figures.items():
        apart = found["sampling errors apart"]
        print(
            f"  {name:12} {found['rows']:,} rows in {found['chunks']} chunks; at most {max(apart.values()):.2f} sampling errors apart"
        )
        for metric, value in apart.items():
            print(f"    {metric:18} {value:5.2f}")
        print(
            f"    rows a second of CPU: driftd {said(found['driftd rows/s'])}, NannyML {said(found['nannyml rows/s'])}; "
            f"× {said(found['ratio'])}"
        )


if __name__ == "__main__":
    main()
