"""Versions of a model side by side: by the windows of a real pipeline, and by what labels said of both."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from detectors.performance.versions import VersionDifference
from monitor.facts import MetricTold, PerformanceJudged
from monitor.pipeline import Pipeline
from monitor.runtime.beside import MetricApart, comparisons, digits_told
from monitor.runtime.board import Board, SeriesBoard
from monitor.runtime.compared import side_by_side
from monitor.runtime.http import Surface
from monitor.runtime.inbox import Inbox
from monitor.runtime.metrics import DaemonStatus, Exposition
from monitor.runtime.telemetry import Telemetry
from monitor.runtime.writing import Deciding
from monitor.stream.events import SECOND, SeriesKey
from tests.build import KEY, MINUTE, OTHER_KEY, OTHER_REFERENCE, REFERENCE, at, feed, make_batch, make_spec
from tests.fakes import nothing_waits
from tests.reported import HOSTILE

SECOND_AGE = 5 * MINUTE


def board(second: SeriesKey = OTHER_KEY, *, shift: float = 0.0, rows: int = 600, champions: Any = None) -> Board:
    """Two versions after two windows; the values of the second are shifted."""
    specs = [make_spec(key=KEY, reference=REFERENCE), make_spec(key=second, reference=OTHER_REFERENCE)]
    series = {
        spec.key: SeriesBoard(spec.reference.hash, spec.reference.rows, baseline=spec.reference) for spec in specs
    }
    found = Board(series, performance={spec.key: {} for spec in specs}, champions=champions or {})
    pipeline = Pipeline(specs, 30 * SECOND)
    rng = np.random.default_rng(4)
    for minute in range(2):
        times = [at(minute) + n * MINUTE // rows for n in range(rows)]
        batches = [
            make_batch(
                times[: rows // (1 + place)],
                list(rng.normal(60 + shift * place, 20, rows // (1 + place))),
                "free",
                key=spec.key,
                reference=spec.reference,
            )
            for place, spec in enumerate(specs)
        ]
        for fact in feed(pipeline, *batches, until=at(minute + 1)):
            found.apply(fact)
    return found


def judged(key: SeriesKey, window: int, recall: float, **more: Any) -> PerformanceJudged:
    metrics = (
        MetricTold("recall", recall, recall - 0.02, recall + 0.02, 500),
        MetricTold("log_loss", 1 - recall, 0.95 - recall, 1.05 - recall, 500),
        MetricTold("auroc", None, None, None, 500, "no positive label"),
    )
    return PerformanceJudged(
        key, at(window), at(window + 1), SECOND_AGE, True, "binary", 500, 400, 1.0, metrics, **more
    )


def with_labels(found: Board, one: Iterable[float], two: Iterable[float], second: SeriesKey = OTHER_KEY) -> Board:
    for window, (first, other) in enumerate(zip(one, two, strict=True)):
        found.apply(judged(KEY, window, first))
        found.apply(judged(second, window, other))
    return found


def surface(found: Board) -> Surface:
    telemetry = Telemetry(found, now=lambda: at(10))
    status = DaemonStatus("1", lambda: at(10), lambda: None, lambda: False, dict, (), 0)
    exposition = Exposition(telemetry.look, status, CollectorRegistry())
    return Surface(telemetry, exposition, lambda: None, Deciding(None, Inbox(), telemetry.look), nothing_waits())


def test_versions_that_see_the_same_traffic_are_told_so_though_their_references_are_counted_otherwise() -> None:
    (told,) = comparisons(board(), "churn")

    assert told.same_time
    assert [each.feature for each in told.inputs] == ["age", "plan"]
    assert told.different == ()
    assert told.verdict[0] == "3 and 4 see the same traffic, as far as 2 features tell"
    assert "cannot be told: no window of both was judged by labels" in told.verdict[-1]


def test_versions_that_see_different_traffic_are_told_so_before_anything_else() -> None:
    (told,) = comparisons(board(shift=30.0), "churn")

    assert [each.feature for each in told.different] == ["age"]
    assert told.verdict[0].startswith("3 and 4 see different traffic: age (ks 0.")


def test_the_one_that_performs_is_named_with_how_much() -> None:
    (told,) = comparisons(with_labels(board(), [0.80, 0.81] * 10, [0.84, 0.86] * 10), "churn")

    recall, loss = told.metrics
    assert (recall.metric, recall.better, recall.apart.paired) == ("recall", "4", True)
    assert recall.apart.value == pytest.approx(0.045)
    assert loss.better == "4", "of a loss less is better"
    assert any(each.startswith("4 is better in recall by 0.04") for each in told.verdict)


def test_the_champion_is_named_where_it_is_the_better_one() -> None:
    (told,) = comparisons(with_labels(board(), [0.9, 0.92] * 6, [0.7, 0.71] * 6), "churn")

    assert [each.better for each in told.metrics] == ["3", "3"]


def test_a_difference_within_chance_is_none() -> None:
    (told,) = comparisons(with_labels(board(), [0.80, 0.84] * 6, [0.83, 0.81] * 6), "churn")

    assert [each.better for each in told.metrics] == [None, None]
    assert told.verdict[-1].startswith("no difference of 3 and 4 can be told in recall")


def test_windows_of_one_version_alone_and_those_of_frozen_predictions_are_left_out() -> None:
    found = with_labels(board(), [0.8] * 3, [0.9] * 3)
    found.apply(judged(KEY, 7, 0.1))
    found.apply(judged(KEY, 8, 0.1, frozen=True))
    found.apply(judged(OTHER_KEY, 8, 0.9))

    (told,) = comparisons(found, "churn")

    assert [each.apart.windows for each in told.metrics] == [3, 3]
    assert not told.metrics[0].apart.paired


def test_a_third_version_that_comes_takes_nothing_of_what_is_known_of_two() -> None:
    """The state says how the last window was; those before it the process has."""
    before = with_labels(board(), [0.80, 0.81] * 10, [0.84, 0.86] * 10)
    third = SeriesKey("churn", "5")
    series = {key: SeriesBoard(each.reference, each.reference_rows) for key, each in before.series.items()}
    series |= {third: SeriesBoard("abc", 10)}
    fresh = Board(series, performance={key: {} for key in series})
    telemetry = Telemetry(before, now=lambda: at(10))
    telemetry.renew(fresh, [judged(KEY, 19, 0.81), judged(OTHER_KEY, 19, 0.86)])

    found = telemetry.look(Board.copy)
    assert [len(found.worth[key]) for key in (KEY, OTHER_KEY)] == [20, 20]
    assert found.rows_seen == before.rows_seen
    (recall, _), none = (each.metrics for each in comparisons(found, "churn"))
    assert (recall.better, recall.apart.windows, none) == ("4", 20, ())


def test_the_champion_is_the_configured_one_or_the_one_with_most_rows() -> None:
    (by_rows,) = comparisons(board(), "churn")
    (configured,) = comparisons(board(champions={"churn": "4"}), "churn")

    assert (by_rows.champion.version, configured.champion.version) == ("3", "4")


def test_the_route_the_page_and_the_metric_say_the_same() -> None:
    asked = surface(with_labels(board(), [0.80, 0.81] * 10, [0.84, 0.86] * 10))

    said = json.loads(asked.answer("/api/v1/models/churn/versions", "")[2])
    page = asked.answer("/versions?model=churn", "text/html")[2].decode()
    text = asked.answer("/metrics", "")[2].decode()

    (told,) = said["comparisons"]
    assert (said["champion"], said["configured"], told["challenger"], told["same_traffic"]) == ("3", False, "4", True)
    assert told["performance"][0]["by"] == "windows"
    assert all(sentence in page for sentence in told["verdict"])
    value = told["performance"][0]["difference"]["lower"]
    assert f'driftd_version_difference{{model="churn",version="4",metric="recall",bound="lower"}} {value}' in text


def test_a_model_that_is_not_there_and_one_of_one_version() -> None:
    one = Board({KEY: SeriesBoard("hash", 10, baseline=REFERENCE)})

    assert surface(one).answer("/api/v1/models/nobody/versions", "")[0] == 404
    assert surface(one).answer("/versions?model=nobody", "")[0] == 404
    assert json.loads(surface(one).answer("/api/v1/models/churn/versions", "")[2])["comparisons"] == []
    assert b"nothing to compare" in surface(one).answer("/versions?model=churn", "")[2]


def test_where_series_change_while_the_process_runs_rows_and_judged_windows_are_kept() -> None:
    before = with_labels(board(), [0.9] * 12, [0.8] * 12)
    before.rows_seen = Counter({KEY: 700, OTHER_KEY: 300})
    telemetry = Telemetry(before, now=lambda: at(10))
    last = before.worth[KEY][-1]

    telemetry.renew(board(), [last])

    renewed = telemetry.look(lambda found: found)
    (told,) = comparisons(renewed, "churn")
    assert told.metrics[0].apart.windows == 12
    assert renewed.worth[KEY] == before.worth[KEY]
    versions: Any = side_by_side(renewed, "churn")["versions"]
    assert [each["rows_seen"] for each in versions] == [700, 300]


def test_what_is_better_beyond_chance_is_never_better_by_zero() -> None:
    apart = VersionDifference(0.8, (0.7, 0.9), 0.85, (0.75, 0.95), 0.08, (0.0012, 0.16), 20, paired=True)

    assert digits_told(MetricApart("recall", apart, "4")) == 3
    assert digits_told(MetricApart("recall", replace(apart, interval=(-0.01, 0.16)), None)) == 2


def test_the_page_says_that_windows_are_of_different_times_only_where_both_have_one() -> None:
    empty = Board({key: SeriesBoard("hash", 10, baseline=REFERENCE) for key in (KEY, OTHER_KEY)})

    assert b"of different times" not in surface(empty).answer("/versions?model=churn", "")[2]


def test_before_any_window_nothing_is_claimed() -> None:
    empty = Board({key: SeriesBoard("hash", 10, baseline=REFERENCE) for key in (KEY, OTHER_KEY)})

    (told,) = comparisons(empty, "churn")

    assert not told.same_time
    assert "cannot be told" in told.verdict[0]


def test_a_hostile_version_runs_nothing() -> None:
    bad = SeriesKey("churn", HOSTILE)
    page = surface(with_labels(board(bad), [0.8] * 3, [0.9] * 3, bad)).answer("/versions?model=churn", "")[2].decode()

    assert "<script>" not in page
    assert "<img" not in page
