"""A log that holds a sample: as much evidence as it has rows, as many requests as there were."""

import json
from dataclasses import replace

import numpy as np
import pytest

from detectors import Reference, Sketch
from detectors.charts import BudgetSpec, Charts
from detectors.charts.rows import LEARNING, RowCharts
from detectors.features import Ints
from detectors.sketches.violations import PART, Violations
from monitor.facts import Fact, WindowClosed
from monitor.series.judging import Judging
from monitor.series.nodata import NoData
from monitor.sources.decode.topic import TopicDecoder
from monitor.sources.formats.fields import FieldMap, SeriesFields
from monitor.stream.delta import Folder, PaneDelta
from monitor.stream.events import FEATURES, MILLISECOND, SECOND, EventBatch
from monitor.stream.halves import HALVES
from monitor.stream.sketches import LayoutSketches
from monitor.stream.violations import of_weights
from monitor.stream.windows import SealedPane, WindowSpec
from tests.build import KEY, MIDNIGHT, MINUTE, REFERENCE, feed, make_batch, make_pipeline, of
from tests.charted import MONDAY, WINDOW, fitted, seeded
from tests.halved import FUTURE, TOPICS, Answered, Reading, halved_spec, logs_of

RATES = [1.0, 0.1, 0.01, 0.1, 0.5]
FEW, MANY = 0, 1


def sampled(times: Ints, weights: Ints | None, age: float = 50.0) -> EventBatch:
    batch = make_batch(times.tolist(), [age] * times.size)
    return replace(batch, violations=of_weights(None, weights))


def closed(*batches: EventBatch) -> list[WindowClosed]:
    pipeline = make_pipeline()
    facts = feed(pipeline, make_batch([MIDNIGHT - 1]), *batches)
    return of([*facts, *feed(pipeline, make_batch([MIDNIGHT + 60 * MINUTE]))], WindowClosed)


def test_a_sample_is_as_many_rows_as_it_has_and_as_much_traffic_as_there_was() -> None:
    times = MIDNIGHT + np.arange(40, dtype=np.int64) * SECOND
    weights = np.repeat([10 * PART, PART], 20)  # 10 % of some, all of others
    [window] = closed(sampled(times, weights))

    assert (window.rows, window.unlogged, window.volume) == (40, 180, 220)
    assert len(window.quality) == len(REFERENCE.names)


def test_estimates_agree_with_the_whole_within_their_stated_error() -> None:
    rng = seeded()
    apart = list[float]()
    for rate in RATES[1:] * 25:
        mixed = np.where(rng.random(20_000) < 0.5, rate, 1.0)  # some of it is logged whole
        kept = rng.random(20_000) < mixed
        found = of_weights(None, np.rint(PART / mixed[kept]).astype(np.int64)).counted()
        rows = int(np.count_nonzero(kept))
        error = np.sqrt(found.spread) / PART
        apart.append((found.volume(rows) - 20_000) / error)
        assert found.each(rows) == pytest.approx(np.square(1 / mixed[kept]).sum() / (1 / mixed[kept]).sum(), rel=1e-4)

    assert np.abs(apart).max() < 5
    assert 0.6 < np.square(apart).mean() < 1.6  # nor is the error too large


def test_any_batching_and_a_replica_give_the_same_integers() -> None:
    rng = seeded()
    times = MIDNIGHT + np.sort(rng.integers(0, 3 * MINUTE, 900))
    weights = np.rint(100 * PART / rng.uniform(1, 100, 900)).astype(np.int64)
    at_once = closed(sampled(times, weights))
    parts = [slice(0, 1), slice(1, 500), slice(500, 900)]
    cut = closed(*(sampled(times[part], weights[part]) for part in parts))
    assert [(each.rows, each.unlogged) for each in at_once] == [(each.rows, each.unlogged) for each in cut]

    [delta] = Folder({(KEY, FEATURES): 10 * MINUTE}).fold(sampled(times, weights))
    spec = LayoutSketches(REFERENCE.layout)
    sent = PaneDelta.from_bytes(delta.to_bytes(spec), spec)
    assert sent.to_bytes(spec) == delta.to_bytes(spec)
    [pane] = sent.panes.values()
    assert pane.sketch.violations == of_weights(None, weights).counted()


def test_what_is_not_sampled_is_written_as_before() -> None:
    assert Violations({("age", "min"): 2}, 1).to_bytes() == b'[1,[["age","min",2]]]'
    assert Violations.from_bytes(b'[1,[["age","min",2]]]') == Violations({("age", "min"): 2}, 1)
    weighed = Violations({}, 0, 9 * PART, 90 * PART**2)
    assert Violations.from_bytes(weighed.to_bytes()) == weighed
    assert weighed.plus(weighed).less(weighed) == weighed


@pytest.fixture(scope="module")
def learnt() -> Reference:
    rng = seeded()
    return fitted(rng, {"x": rng.normal(size=30_000)})


def follow(charts: RowCharts, at: int, rows: int, rate: float) -> None:
    """One subgroup of a log that holds this share."""
    start = MONDAY + 3600 * SECOND + at * WINDOW
    charts.follow(round(rows / rate), start, start + WINDOW, each=1 / rate)


def test_neither_sampling_nor_another_rate_is_an_alarm_but_less_traffic_is(learnt: Reference) -> None:
    rng = seeded()
    charts = RowCharts(Charts(learnt, BudgetSpec()).design, 12)
    for at in range(200 * len(RATES)):
        rate = RATES[at // 200]
        follow(charts, at, int(rng.binomial(1000, rate)), rate)
        assert not charts.firing.any()
    for later in range(at + 1, at + 2 * LEARNING):
        follow(charts, later, int(rng.binomial(100, rate)), rate)

    assert charts.firing[FEW]


def test_sums_of_any_size_are_saved_with_an_open_subgroup(learnt: Reference) -> None:
    """A row that claims to stand for a million costs twelve digits, and no checkpoint."""
    sketch = Sketch(learnt.layout, 1, np.zeros(learnt.layout.size, dtype=np.int64))
    sketch.violate(Violations({}, 1, 2**70 * PART, 2**140))
    charts, other = Charts(learnt, BudgetSpec()), Charts(learnt, BudgetSpec())
    charts.update(sketch.tally(), MONDAY, MONDAY + SECOND)
    other.restore(charts.to_bytes())

    assert other.to_bytes() == charts.to_bytes()


def test_a_reference_of_a_sample_has_the_traffic_of_all() -> None:
    rng = seeded()
    times = MONDAY + np.sort(rng.integers(0, 200 * WINDOW, 60_000))
    table = {"x": rng.normal(size=times.size), "at": times, "share": np.where(rng.random(times.size) < 0.5, 10.0, 50.0)}
    kept = rng.random(times.size) < table["share"] / 100
    sample = {name: column[kept] for name, column in table.items()}
    how = {"timestamp": "at", "window_ns": WINDOW}
    of_all = Reference.fit_chunks(lambda: [{name: table[name] for name in ("x", "at")}], **how)
    halves = [{name: column[part] for name, column in sample.items()} for part in (slice(0, 9000), slice(9000, None))]
    found = Reference.fit_chunks(lambda: halves, sampling="share", **how)

    assert found.names == of_all.names
    assert found.rows == np.count_nonzero(kept)
    assert found.rows_per_second == pytest.approx(of_all.rows_per_second, rel=0.15)
    assert found.calibration.arrival_rate.level == pytest.approx(of_all.calibration.arrival_rate.level, abs=0.15)
    with pytest.raises(ValueError, match="share: 101 is no share of rows in percent"):
        Reference.fit_chunks(lambda: [{**sample, "share": np.full(kept.sum(), 101.0)}], sampling="share", **how)


def test_a_thin_sample_may_be_silent_for_longer() -> None:
    """Also after an error that is logged whole; a log that has become whole is waited for less, in time."""
    times = MONDAY + np.arange(2000) * MINUTE
    steady = Reference.fit({"x": np.arange(2000.0)}, timestamps=times, window_ns=10 * MINUTE)
    silence = NoData(KEY, WindowSpec(MINUTE, MINUTE, 0), Judging(steady, MINUTE))
    silence.pauses.begun = MONDAY - 14 * 24 * 60 * MINUTE
    limits = []
    for at, weight in enumerate([1, 10, 1, *[1] * 200]):
        sketch = Sketch(steady.layout, 1, np.zeros(steady.layout.size, dtype=np.int64))
        sketch.violate(Violations({}, 0, (weight - 1) * PART))
        end = MONDAY + (at + 1) * MINUTE
        silence.on_pane(SealedPane(end - MINUTE, end, sketch))
        limits.append(round(silence.limit(end) / MINUTE))

    assert (limits[:3], limits[-1]) == ([20, 200, 191], 20)


@pytest.mark.parametrize("size", [1, 2, 1000])
def test_the_share_of_a_request_counts_or_else_that_of_its_response_in_any_batching(size: int) -> None:
    shares = [(None, 10), (20, None), (100, 10), (50, 5), (None, None)]  # of which 10, 5, 1, 2, 1
    spec = replace(halved_spec(), sampled=True, performance=None)
    fields = FieldMap.parse({"sampling": "sampling"}, MILLISECOND)
    logs = logs_of((), HALVES)
    for number, each in enumerate(shares * 3):
        said = Answered(number, MIDNIGHT // MILLISECOND + number, 0, 1.0, 0.5)
        for half, share in zip(HALVES, each, strict=True):
            time, value = said.message(half)
            told = {} if share is None else {"sampling": share}
            logs[half] = [*logs[half], (time, json.dumps(json.loads(value) | told).encode())]
    reading = Reading(spec, logs)
    for half in HALVES:
        columns = SeriesFields(spec.key, spec.reference.layout, fields)
        reading.decoders[half] = TopicDecoder(TOPICS[half], [columns], fields, FUTURE, half=half, sampled=True)
    facts = list[Fact]()
    while reading.left:
        facts += reading.poll(dict.fromkeys(HALVES, size))
    [window] = of([*facts, *reading.end(MIDNIGHT + 60 * MINUTE)], WindowClosed)

    assert (window.rows, window.volume) == (15, 3 * (10 + 5 + 1 + 2 + 1))
