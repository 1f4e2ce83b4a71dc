"""Performance without labels beside NannyML's CBPE: how far apart in sampling errors, chunk by chunk, and how much quicker.

NannyML has an environment of its own, made once from `benchmarks/peers/requirements-nannyml.txt` in `.peers/nannyml`, or where
DRIFTD_PEERS points (2 GB). By hand: `python3.11 -m venv nml && nml/bin/pip install nannyml==0.13.1 pandas==2.3.3 statsmodels`, then
`--python nml/bin/python`.

A chunk costs driftd the counting of its scores and the estimate of all its metrics; fitting is left out for both. Each has one thread.
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
from detectors import LabelColumn, Reference, ScoreEstimator, Sketch

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
        theirs = asked(given.python or python_of("nannyml"), Path(directory), rounds)
        figures = {name: beside(Path(directory) / f"{name}.npz", found, rounds) for name, found in theirs.items()}
    report(figures)
    write(given.json, figures)


def asked(python: Path, directory: Path, rounds: int) -> Figures:
    """What NannyML says."""
    script = ROOT / "benchmarks" / "peers" / "cbpe_nannyml.py"
    single = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    done = subprocess.run(
        [str(python), str(script), str(ROOT / "examples" / "car_loan"), str(directory), str(rounds)],
        env=os.environ | single | {"NML_DISABLE_USAGE_LOGGING": "1"},
        timeout=CHILD_SECONDS,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    found: Figures = json.loads(done.stdout.splitlines()[-1])
    return found


def beside(path: Path, theirs: Figures, rounds: int) -> Figures:
    """Both of one data set: distances in NannyML's sampling errors, rows a second, and the ratio."""
    data = np.load(path)
    scores, threshold = data["analysis"], float(data["threshold"])
    table = {"score": data["reference"], "label": data["labels"]}
    reference = Reference.fit(table, prediction="score", label=LabelColumn("label", threshold=threshold))
    assert reference.performance is not None
    estimator = reference.performance.estimator()
    assert isinstance(estimator, ScoreEstimator)
    pieces = [scores[first : last + 1] for first, last in theirs["chunks"]]
    ours = [chunk(reference, estimator, piece) for piece in pieces]
    apart = {name: distances(ours, NAMES[name], told) for name, told in theirs["metrics"].items()}
    rates = [scores.size / seconds for seconds in theirs["seconds"]]
    own = [scores.size / spent(reference, estimator, pieces) for _ in range(rounds)]
    return {
        "rows": scores.size,
        "chunks": len(pieces),
        "sampling errors apart": {name: max(values) for name, values in apart.items()},
        "values": {name: [float(each[NAMES[name]]) for each in ours] for name in apart},
        "nannyml": {name: told["value"] for name, told in theirs["metrics"].items()},
        "nannyml rows/s": spread(rates),
        "driftd rows/s": spread(own),
        "ratio": spread([one / other for one, other in zip(own, rates, strict=True)]),
    }


def chunk(reference: Reference, estimator: ScoreEstimator, scores: np.ndarray) -> dict[str, float]:
    """Count scores as the daemon does, and estimate by the counts."""
    window = Sketch.empty(reference.layout)
    window.update(*reference.encode({"__prediction__": scores}))
    found = estimator.estimate(window).metrics
    return {name: metric.value for name, metric in found.items() if hasattr(metric, "value")}


def distances(ours: list[dict[str, float]], name: str, told: Figures) -> list[float]:
    """How many of NannyML's sampling errors lie between the two, by chunk."""
    both = zip(ours, told["value"], told["sampling_error"], strict=True)
    return [abs(own[name] - value) / error for own, value, error in both]


def spent(reference: Reference, estimator: ScoreEstimator, pieces: list[np.ndarray]) -> float:
    """Seconds of processor time of all chunks."""
    began = time.process_time()
    for _ in range(AGAIN):
        for piece in pieces:
            chunk(reference, estimator, piece)
    return (time.process_time() - began) / AGAIN


def report(figures: Figures) -> None:
    """Print a table for people."""
    print("\ncbpe: performance without labels, beside NannyML 0.13.1")
    for name, found in figures.items():
        worst, apart = max((value, metric) for metric, value in found["sampling errors apart"].items())[::-1], found
        print(
            f"  {name:12} {apart['rows']:,} rows in {apart['chunks']} chunks; at most {worst[1]:.2f} sampling errors apart ({worst[0]})"
        )
        for metric, value in found["sampling errors apart"].items():
            print(f"    {metric:18} {value:5.2f}")
        print(
            f"    rows a second of CPU: driftd {said(found['driftd rows/s'])}, NannyML {said(found['nannyml rows/s'])}; "
            f"× {said(found['ratio'])}"
        )


if __name__ == "__main__":
    main()
