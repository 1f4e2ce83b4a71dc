"""What a model was worth, in words."""

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
