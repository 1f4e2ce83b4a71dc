"""river + scipy, the hand-rolled loop: each value to river's ADWIN as it comes, each window to scipy and numpy."""

from peer_scipy import prepare as prepare_scipy
from river.drift import ADWIN
from work import NAMES, Judge, Matrix, Scores, run


def prepare(reference: Matrix) -> Judge:
    """River's part is ADWIN: it has no PSI, and its KS compares two streams value by value, not a window and a reference."""
    detectors = [ADWIN() for _ in NAMES]
    judge_window = prepare_scipy(reference)

    def judge(rows: Matrix) -> Scores:
        for detector, values in zip(detectors, rows.T.tolist(), strict=True):
            update = detector.update
            for value in values:
                update(value)
        return judge_window(rows)

    return judge


if __name__ == "__main__":
    run("river", prepare)
