"""What a model was worth, in words."""

import math

from detectors.figures import share
from monitor.facts import ClassCoverage, PerformanceJudged


def bias_words(judged: PerformanceJudged) -> str:
    """That labels do not come at random, where that is beyond chance; else empty."""
    test = judged.coverage_test
    if test is None or not test.beyond_chance:
        return ""
    ours = next(each for each in judged.classes if each.name == test.name)
    others = [each for each in judged.classes if each.name != test.name]
    rest = ClassCoverage("", sum(each.predictions for each in others), sum(each.labelled for each in others))
    whose = others[0].name if len(others) == 1 else "all others"
    soon = "" if judged.final else " so far"
    return (
        f"labels do not come at random{soon}: {_covered(ours)} of the predictions {ours.name} have one, {_covered(rest)} of "
        f"{whose}; metrics are those of the labels that are in"
    )


def _covered(coverage: ClassCoverage) -> str:
    return share(coverage.labelled / coverage.predictions) if coverage.predictions else "none"


def metric_words(first: PerformanceJudged, last: PerformanceJudged, name: str) -> str:
    """A metric then and now with its interval; empty where it has no value now."""
    before, now = first.metric(name), last.metric(name)
    if now is None or now.value is None:
        return ""
    told = spelled(name)
    then = "" if first is last or before is None or before.value is None else f"{figure(before.value)} → "
    reach = "" if now.lower is None or now.upper is None else f" ({figure(now.lower)} to {figure(now.upper)})"
    return f"{told} {then}{figure(now.value)}{reach}"


def spelled(name: str) -> str:
    """A metric's name as people write it.

    >>> spelled("auroc"), spelled("balanced_accuracy"), spelled("f1"), spelled("cost_per_1000")
    ('AUROC', 'balanced accuracy', 'F1', 'cost per 1000')
    """
    known = {"auroc": "AUROC", "f1": "F1", "mcc": "MCC", "mae": "MAE", "rmse": "RMSE", "mape": "MAPE", "smape": "SMAPE"}
    known |= {"macro_f1": "macro F1", "weighted_f1": "weighted F1", "r2": "R²", "brier": "Brier score"}
    return known.get(name, name.replace("_", " "))


def figure(value: float) -> str:
    """A metric for people: two decimals as a rule, three digits of what is large or small.

    >>> figure(0.9123), figure(0.0123), figure(1234.5), figure(-0.5), figure(0.0)
    ('0.91', '0.0123', '1 234', '−0.50', '0')
    """
    size = abs(value)
    if value == 0:
        return "0"
    digits = 2 if 0.1 <= size < 10 else max(0, 2 - math.floor(math.log10(size)))  # noqa: PLR2004 - three digits
    return f"{value:,.{digits}f}".replace(",", " ").replace("-", "−")


def coverage_words(judged: PerformanceJudged) -> str:
    """How much of the truth is in.

    `71 % of labels in`.
    """
    kept = "" if judged.sampling == 1 else f", of a sample of {share(judged.sampling)} of the ids"
    return f"{share(judged.coverage)} of labels in{kept}"
