"""NannyML's CBPE on three real or published data sets: its estimates chunk by chunk, and the processor time they take.

Run by `benchmarks/cbpe.py` in NannyML's environment: `cbpe_nannyml.py CAR_LOAN DIRECTORY ROUNDS`. It writes labels and scores of each
data set to DIRECTORY, so that both estimate from the same rows.
"""

import json
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

warnings.filterwarnings("ignore")

from nannyml import CBPE
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from statsmodels import datasets

METRICS = ["roc_auc", "average_precision", "f1", "precision", "recall", "specificity", "accuracy"]


def car_loan(directory: Path) -> dict[str, object]:
    """The tutorial's: published scores of a model, drift from row 25 000 on."""
    reference, analysis = (pd.read_parquet(directory / f"{part}.parquet") for part in ("reference", "analysis"))
    scores = [part["y_pred_proba"].to_numpy() for part in (reference, analysis)]
    return {
        "labels": reference["repaid"].to_numpy(),
        "reference": scores[0],
        "analysis": scores[1],
        "chunk": 5000,
        "threshold": 0.65,
    }


def rand_health() -> dict[str, object]:
    """20 190 person-years of the RAND health insurance experiment (statsmodels): who saw a doctor at all; the sicker come later."""
    return modelled(
        datasets.randhie.load_pandas().data, "mdvis", "disea", 1000, HistGradientBoostingClassifier(max_depth=3)
    )


def affairs() -> dict[str, object]:
    """6 366 answers of 1974 (Fair 1978, statsmodels): who has had an affair; the longer married come later."""
    model = make_pipeline(StandardScaler(), LogisticRegression())
    return modelled(datasets.fair.load_pandas().data, "affairs", "yrs_married", 300, model)


def modelled(table: pd.DataFrame, target: str, later: str, chunk: int, model: object) -> dict[str, object]:
    """A model of a third, a reference of a third; the last third in the order of one input, so that inputs drift and labels follow them."""
    mixed = table.sample(frac=1, random_state=1).reset_index(drop=True)
    labels, inputs = (mixed[target] > 0).astype(int), mixed.drop(columns=target)
    third = len(mixed) // 3
    model.fit(inputs[:third], labels[:third])
    rest = inputs[2 * third :].sort_values(later, kind="stable")
    return {
        "labels": labels[third : 2 * third].to_numpy(),
        "reference": model.predict_proba(inputs[third : 2 * third])[:, 1],
        "analysis": model.predict_proba(rest)[:, 1],
        "chunk": chunk,
        "threshold": 0.5,
    }


def estimated(data: dict[str, object], rounds: int) -> dict[str, object]:
    """Values and sampling errors by metric and chunk, and seconds of processor time of each call."""
    frames = [framed(data, part) for part in ("reference", "analysis")]
    frames[0]["label"] = data["labels"]
    cbpe = CBPE(
        problem_type="classification_binary",
        y_pred_proba="score",
        y_pred="said",
        y_true="label",
        metrics=METRICS,
        chunk_size=data["chunk"],
    )
    cbpe.fit(frames[0])
    result, spent = None, []
    for _ in range(rounds):
        began = time.process_time()
        result = cbpe.estimate(frames[1])
        spent.append(time.process_time() - began)
    found = result.filter(period="analysis").to_df()
    told = {name: {part: found[name, part].tolist() for part in ("value", "sampling_error")} for name in METRICS}
    return {"seconds": spent, "metrics": told, "chunks": sizes(found)}


def framed(data: dict[str, object], part: str) -> pd.DataFrame:
    """Scores and what they are taken for."""
    return pd.DataFrame({"score": data[part], "said": (data[part] >= data["threshold"]).astype(int)})


def sizes(found: pd.DataFrame) -> list[list[int]]:
    """First and last row of each chunk."""
    return np.stack([found["chunk", "start_index"], found["chunk", "end_index"]], axis=1).astype(int).tolist()


def main() -> None:
    """Estimate each data set."""
    source, directory, rounds = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    told = {}
    for name, data in {"car_loan": car_loan(source), "rand_health": rand_health(), "affairs": affairs()}.items():
        np.savez(directory / f"{name}.npz", **data)
        told[name] = estimated(data, rounds)
    print(json.dumps(told))


if __name__ == "__main__":
    main()
