"""Metrics as textbooks write them, row by row and pair by pair: what the counts are held against."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise, product

import numpy as np

from detectors.features import Floats

Weights = Sequence[float] | Floats


def weight_where(rows: Sequence[bool] | np.ndarray, weights: Weights) -> float:
    return math.fsum(w for row, w in zip(rows, weights, strict=True) if row)


def accuracy(labels: np.ndarray, said: np.ndarray, weights: Weights) -> float:
    return weight_where(labels == said, weights) / math.fsum(weights)


def precision(labels: np.ndarray, said: np.ndarray, weights: Weights) -> float:
    return weight_where((labels == 1) & (said == 1), weights) / weight_where(said == 1, weights)


def recall(labels: np.ndarray, said: np.ndarray, weights: Weights) -> float:
    return weight_where((labels == 1) & (said == 1), weights) / weight_where(labels == 1, weights)


def specificity(labels: np.ndarray, said: np.ndarray, weights: Weights) -> float:
    return recall(1 - labels, 1 - said, weights)


def f1(labels: np.ndarray, said: np.ndarray, weights: Weights) -> float:
    right, wrong = weight_where((labels == 1) & (said == 1), weights), weight_where(labels != said, weights)
    return 2 * right / (2 * right + wrong)


def balanced_accuracy(labels: np.ndarray, said: np.ndarray, weights: Weights) -> float:
    return (recall(labels, said, weights) + specificity(labels, said, weights)) / 2


def mcc(labels: np.ndarray, said: np.ndarray, weights: Weights) -> float:
    covariance = np.cov(labels, said, aweights=weights, ddof=0)
    return float(covariance[0, 1] / math.sqrt(covariance[0, 0] * covariance[1, 1]))


def brier(labels: np.ndarray, scores: Floats, weights: Weights) -> float:
    return math.fsum(w * (p - y) ** 2 for y, p, w in zip(labels, scores, weights, strict=True)) / math.fsum(weights)


def log_loss(labels: np.ndarray, scores: Floats, weights: Weights) -> float:
    least = float(np.finfo(float).eps)
    chances = [min(max(p if y else 1 - p, least), 1 - least) for y, p in zip(labels, scores, strict=True)]
    return math.fsum(-w * math.log(p) for p, w in zip(chances, weights, strict=True)) / math.fsum(weights)


def calibration_error(labels: np.ndarray, scores: Floats, weights: Weights, bins: int = 10) -> float:
    ends = np.linspace(0, 1, bins + 1)
    parts = []
    for low, high in pairwise(ends):
        inside = (scores > low) & (scores <= high) | ((low == 0) & (scores == 0))
        parts.append(abs(math.fsum((np.asarray(weights) * (labels - scores))[inside])))
    return math.fsum(parts) / math.fsum(weights)


def auroc(labels: np.ndarray, scores: Floats, weights: Weights) -> float:
    """The share of pairs in order; equal scores count one half."""
    rows = list(zip(labels, scores, weights, strict=True))
    pairs = [((p > q) + (p == q) / 2, v * w) for (y, p, v), (z, q, w) in product(rows, rows) if y == 1 and z == 0]
    return math.fsum(order * both for order, both in pairs) / math.fsum(both for _, both in pairs)


def average_precision(labels: np.ndarray, scores: Floats, weights: Weights) -> float:
    """The mean over positives of the precision at their score."""
    weights = np.asarray(weights)
    parts = [
        (w, precision(labels, (scores >= p).astype(int), weights))
        for y, p, w in zip(labels, scores, weights, strict=True)
        if y == 1 and w > 0
    ]
    return math.fsum(w * value for w, value in parts) / math.fsum(w for w, _ in parts)


def f1_by_class(labels: np.ndarray, said: np.ndarray, weights: Weights) -> dict[int, float]:
    """Of the classes that occur."""
    return {k: f1((labels == k) * 1, (said == k) * 1, weights) for k in sorted({*labels.tolist(), *said.tolist()})}


def weighted_mean(of: Callable[[float, float], float], labels: Floats, said: Floats, weights: Weights) -> float:
    """Of a loss of label and prediction."""
    losses = [of(float(y), float(p)) * float(w) for y, p, w in zip(labels, said, weights, strict=True)]
    return math.fsum(losses) / math.fsum(weights)


def r2(labels: Floats, said: Floats, weights: Weights, mean: float | None = None) -> float:
    weights = np.asarray(weights)
    middle = math.fsum(weights * labels) / math.fsum(weights) if mean is None else mean
    return 1 - math.fsum(weights * (labels - said) ** 2) / math.fsum(weights * (labels - middle) ** 2)
