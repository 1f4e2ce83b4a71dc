"""A detector of another package that fails on a window: no score, no end of an alert, no end of the daemon; and it is said."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from detectors import Baseline, ScoreColumns, Tally, WindowDetector, window_detectors
from detectors.protocols import Scorer
from monitor.alerting.alerts import AlertState
from monitor.facts import AlertChanged, AlertSeen, DetectorFailed
from tests.build import KEY, at, make_pipeline, make_rule, of, play, scores_of


@dataclass(frozen=True, eq=False)  # what one has prepared is not another's
class Moody(WindowDetector):
    """The share of missing values of `age`, where it is in the mood."""

    name = "moody"
    help = "share of missing values, or nothing"
    ill: list[bool] = field(default_factory=list)

    def prepare(self, baseline: Baseline) -> Scorer:
        del baseline

        def score(window: Tally, min_rows: int = 1) -> ScoreColumns:
            del min_rows
            if self.ill:
                raise ZeroDivisionError("division by zero\nat a line of mine")
            rows = np.array([window.rows])
            return ScoreColumns(self.name, ("age",), rows > 0, rows, 1 - window.usable[:1] / np.maximum(rows, 1))

        return score


def install(moody: Moody, monkeypatch: pytest.MonkeyPatch) -> None:
    """As by an entry point."""
    monkeypatch.setattr("monitor.series.features.window_detectors", lambda: {**window_detectors(), "moody": moody})


def test_a_detector_that_fails_freezes_its_alerts_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    moody = Moody()
    install(moody, monkeypatch)
    pipeline = make_pipeline(rules=[make_rule(detector="moody")])

    assert [each.after for each in of(play(pipeline, "CB"), AlertChanged)] == [AlertState.FIRING]
    moody.ill.append(True)
    facts = play(pipeline, "CC", first=2)
    assert of(facts, AlertChanged) == []
    assert of(facts, DetectorFailed) == [
        DetectorFailed(KEY, at(3 + number), "moody", "detector moody failed: ZeroDivisionError: division by zero")
        for number in range(2)
    ]
    assert {each.value for each in scores_of(facts) if each.detector == "moody"} == {None}
    assert [each.state for each in of(pipeline.current(), AlertSeen)] == [AlertState.FIRING]

    moody.ill.clear()
    (ended,) = of(play(pipeline, "C", first=4), AlertChanged)
    assert ended.closed


def test_one_that_never_scored_a_window_holds_nothing_else_up(monkeypatch: pytest.MonkeyPatch) -> None:
    install(Moody([True]), monkeypatch)
    facts = play(make_pipeline(rules=[make_rule(), make_rule(name="mine", detector="moody")]), "CBB")

    assert [each.rule for each in of(facts, AlertChanged) if each.opened] == [make_rule().name]
    assert len(of(facts, DetectorFailed)) == 3
