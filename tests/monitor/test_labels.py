"""Labels from configuration to /metrics: a daemon whose loop is turned by hand."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import yaml

from detectors import Reference
from monitor.alerting.decisions import Announce, Asked
from monitor.app import Daemon, build_decoders
from monitor.configuration import Configuration, load
from monitor.facts import StateReset
from monitor.series.performance import SavedPerformance
from monitor.settings import ConfigError, load_settings
from monitor.stream.events import MINUTE, SECOND, Nanos, Partition
from tests.build import of
from tests.charted import seeded
from tests.fakes import NOON, ListSource, ManualClock

PREDICTIONS, LABELS = Partition("predictions", 0), Partition("labels", 0)
MODEL = {
    "name": "churn",
    "reference": "r.json",
    "window": "1m",
    "lateness": "0s",
    "min_rows": 1,
    "labels": {"wait": "10m", "positive": "yes", "negative": "no"},
}
TOPICS = [{"name": "predictions"}, {"name": "labels", "kind": "labels"}]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    reference = Reference.fit(
        {"age": [float(n) for n in range(100)], "score": np.linspace(0, 1, 100)}, prediction="score"
    )
    reference.save(tmp_path / "r.json")
    return tmp_path


def configuration(home: Path, **changes: Any) -> Configuration:
    settings = {
        "topics": TOPICS,
        "models": [MODEL],
        "state": str(home / "state"),
        "http": {"port": 0},
        **changes,
    }
    (home / "driftd.yaml").write_text(yaml.safe_dump(settings))
    return load(load_settings(home / "driftd.yaml"), home, {})


class LabelledDaemon:
    """A daemon that reads lists, and is turned by hand."""

    def __init__(
        self,
        home: Path,
        log: Mapping[Partition, Sequence[bytes | None]],
        *,
        keys: Sequence[bytes | None] = (),
        batch: int = 1000,
        **changes: Any,
    ) -> None:
        self.clock = ManualClock()
        self.source = ListSource(log, batch=batch, now=self.clock.now, keys={LABELS: keys})
        self.daemon = Daemon.start(configuration(home, **changes), clock=self.clock, source=self.source)
        store, pipeline = self.daemon.store, self.daemon.pipeline
        facts = pipeline.restore(store.records(), self.clock.now())
        self.reset = of(facts, StateReset)
        self.daemon.telemetry.restore(pipeline.current())
        self.source.open(store.positions())
        self.daemon.loop.begin(facts)

    def kill(self) -> None:
        """It ends without a word: what was not saved is gone."""
        self.daemon.source.close()
        self.daemon.server.close()
        self.daemon.store.close()

    def labels(self, values: Sequence[bytes | None], keys: Sequence[bytes | None] | None = None) -> None:
        """Labels arrive."""
        self.source.keys[LABELS] += [None] * len(values) if keys is None else keys
        self.source.append(LABELS, values)

    def turn(self, seconds: float = 31.0) -> None:
        """One poll; the next comes after so many seconds."""
        self.daemon.loop.turn(0.0)
        self.clock.advance(seconds)

    def get(self, path: str) -> Any:
        """What a route answers."""
        _, _, body = self.daemon.surface.answer(path, "")
        return json.loads(body)

    def metric(self, name: str) -> dict[str, float]:
        """The samples of a metric by their labels."""
        _, _, body = self.daemon.surface.answer("/metrics", "")
        lines = [line.rpartition(" ") for line in body.decode().splitlines() if line.startswith(f"{name}{{")]
        return {labels.removeprefix(name): float(value) for labels, _, value in lines}

    def outcomes(self, name: str) -> dict[str, float]:
        """A counter by outcome, where there is any."""
        return {
            labels.split('outcome="')[1].split('"')[0]: value for labels, value in self.metric(name).items() if value
        }

    @property
    def performance(self) -> Any:
        """What is told of the model."""
        return self.get("/api/v1/models/churn")[0]["performance"]


@pytest.fixture
def started(home: Path) -> Iterator[list[LabelledDaemon]]:
    running: list[LabelledDaemon] = []
    yield running
    for each in running:
        each.kill()


def begin(home: Path, started: list[LabelledDaemon], **changes: Any) -> LabelledDaemon:
    started.append(LabelledDaemon(home, {PREDICTIONS: [], LABELS: []}, **changes))
    return started[-1]


def predicted(number: int, score: object, at: Nanos, **more: Any) -> bytes:
    event = {"id": f"r-{number}", "ts": at // 10**6, "model": "churn", "features": {"age": 50.0}, "prediction": score}
    return json.dumps(event | more).encode()


def labelled(number: object, label: object, at: Nanos | None, **more: Any) -> bytes:
    event = {"id": number if isinstance(number, str) else f"r-{number}", "model": "churn", "label": label} | more
    return json.dumps(event | ({} if at is None else {"ts": at // 10**6})).encode()


def time(at: Nanos) -> list[bytes]:
    """Event time comes as far as this: one event alone would be taken for one of a wrong clock."""
    return [predicted(1000 + n, 0.5, at + n) for n in range(9)]


START = NOON - 60 * MINUTE
MARK = [predicted(-1, 0.5, START - 30 * SECOND)]  # the first window is the first that lies wholly after the first event


def test_accuracy_is_told_once_labels_have_had_their_time(home: Path, started: list[LabelledDaemon]) -> None:
    here = begin(home, started)
    scores = [0.9, 0.8, 0.3, 0.2, 0.7]
    here.source.append(PREDICTIONS, [*MARK, *(predicted(n, score, START + n) for n, score in enumerate(scores))])
    here.labels([labelled(n, answer, START + 90 * SECOND) for n, answer in enumerate(["yes", "no", "no", "no"])])
    here.turn()
    here.source.append(PREDICTIONS, time(START + 10 * MINUTE))
    here.turn()
    assert here.performance == []

    here.source.append(PREDICTIONS, time(START + 11 * MINUTE))
    here.turn()
    here.turn()
    [told] = here.performance
    assert (told["predictions"], told["labelled"], told["coverage"], told["sampling"]) == (5, 4, 0.8, 1.0)
    assert told["metrics"]["accuracy"]["value"] == 0.75
    assert told["metrics"]["recall"]["value"] == 1.0
    assert told["classes"] == [
        {"class": "negative", "predictions": 2, "labelled": 2},
        {"class": "positive", "predictions": 3, "labelled": 2},
    ]
    assert told["delay_seconds"]["median"] == pytest.approx(90, rel=0.1)
    of = 'model="churn",version="*"'
    assert here.metric("driftd_performance")[
        f'{{{of},metric="accuracy",estimate="realised",bound="point"}}'
    ] == pytest.approx(0.75)
    assert here.metric("driftd_label_coverage_ratio") == {f"{{{of}}}": 0.8}
    assert here.outcomes("driftd_labels_total") == {"received": 4, "joined": 4}


def test_what_is_no_label_is_counted_by_its_reason_and_the_last_label_of_an_id_wins(
    home: Path, started: list[LabelledDaemon]
) -> None:
    here = begin(home, started)
    here.source.append(PREDICTIONS, [*MARK, *(predicted(n, 0.9, START + n) for n in range(6))])
    later = START + 2 * MINUTE
    here.labels(
        [
            labelled(0, "no", START),
            labelled(0, "yes", later),  # corrects it
            labelled(1, "yes", later),
            labelled(1, "no", later),  # the same time: the larger offset
            labelled(2, "maybe", START),
            labelled(3, {"a": 1}, START),
            labelled("", "yes", START),
            labelled(4, "yes", NOON + 60 * MINUTE),
            labelled(4, None, START),  # withdrawn, and nothing was said
            labelled(5, "yes", None),  # as its record: too late
            b"{",
            labelled("nobody", "yes", START),
        ]
    )
    here.turn()
    here.source.append(PREDICTIONS, time(START + 15 * MINUTE))
    here.turn()
    here.turn()
    told = here.performance[-1]

    assert (told["predictions"], told["labelled"]) == (6, 2)
    assert told["metrics"]["accuracy"]["value"] == 0.5
    assert told["metrics"]["auroc"]["value"] is not None
    rejected = {
        labels.split('reason="')[1][:-2]: n for labels, n in here.metric("driftd_events_rejected_total").items() if n
    }
    assert rejected == {
        "label_unknown": 1,
        "label_invalid": 1,
        "id_missing": 1,
        "timestamp_in_future": 1,
        "malformed_json": 1,
    }
    assert here.outcomes("driftd_labels_total") == {
        "received": 7,
        "joined": 2,
        "corrected": 2,
        "withdrawn": 1,
    }
    here.clock.advance(8 * 3600)
    here.source.append(PREDICTIONS, time(START + 300 * MINUTE))
    here.turn()
    here.turn()
    assert here.outcomes("driftd_labels_total")["unmatched"] == 2


def test_a_message_without_a_value_withdraws_the_label_of_its_key(home: Path, started: list[LabelledDaemon]) -> None:
    here = begin(home, started, models=[{**MODEL, "labels": {**MODEL["labels"], "wait": "2h"}}])  # type: ignore[dict-item]
    here.source.append(
        PREDICTIONS, [*MARK, predicted(0, 0.9, START), predicted(1, 0.9, START), predicted(2, 0.1, START)]
    )
    here.labels([labelled(n, "yes", START) for n in range(3)])
    here.labels([None, None, None], [b"r-1", b'"r-2"', None])
    here.turn()
    here.clock.advance(4 * 3600)
    here.source.append(PREDICTIONS, time(START + 3 * 60 * MINUTE))
    here.turn()
    here.turn()

    [told] = here.performance
    assert (told["predictions"], told["labelled"]) == (3, 1)
    assert here.outcomes("driftd_labels_total")["withdrawn"] == 2


def test_labels_inside_their_predictions_are_taken_too(home: Path, started: list[LabelledDaemon]) -> None:
    here = begin(home, started, topics=[{"name": "predictions", "fields": {"label": "truth.label"}}])
    events = [
        predicted(0, 0.9, START, truth={"label": "yes"}),
        predicted(1, 0.9, START, truth={"label": "no"}),
        predicted(2, 0.9, START),
        predicted(3, 0.9, START, truth={"label": "maybe"}),
    ]
    here.source.append(PREDICTIONS, [*MARK, *events, *time(START + 15 * MINUTE)])
    here.turn()
    here.turn()

    [told] = here.performance
    assert (told["predictions"], told["labelled"]) == (4, 2)
    assert told["metrics"]["accuracy"]["value"] == 0.5
    fields = here.metric("driftd_fields_rejected_total")
    assert [labels for labels in fields if "missing" in labels] == []
    assert [n for labels, n in fields.items() if "label_unknown" in labels] == [1]


def test_a_metric_that_cannot_be_computed_is_absent_with_a_reason(home: Path, started: list[LabelledDaemon]) -> None:
    here = begin(home, started)
    here.source.append(PREDICTIONS, [*MARK, predicted(0, 0.9, START), *time(START + 15 * MINUTE)])
    here.turn()
    here.turn()
    [told] = here.performance

    assert told["coverage"] == 0.0
    assert {each["value"] for each in told["metrics"].values()} == {None}
    assert all(each["because"] for each in told["metrics"].values())
    assert here.metric("driftd_performance") == {}
    assert set(here.metric("driftd_label_coverage_ratio").values()) == {0.0}


def test_labels_that_are_behind_hold_what_they_are_of_and_no_feature(home: Path, started: list[LabelledDaemon]) -> None:
    """The topic of labels is not read to its end: what it brings may be of any prediction. Windows of features close all the same."""
    here = begin(home, started)
    here.source.append(PREDICTIONS, [*MARK, predicted(0, 0.9, START), *time(START + 15 * MINUTE)])
    here.labels([labelled(0, "yes", START)])
    here.turn(seconds=1.0)
    here.turn(seconds=1.0)

    assert len(here.get("/api/v1/windows?model=churn")) == 1
    assert here.performance == []

    here.turn()
    here.turn()
    assert here.performance[0]["labelled"] == 1


def judged_of(here: LabelledDaemon, events: Sequence[bytes], labels: Sequence[bytes]) -> Any:
    """What becomes of a minute of events and these labels."""
    here.source.append(PREDICTIONS, [*MARK, *events])
    here.labels(labels)
    here.turn()
    here.source.append(PREDICTIONS, time(START + 15 * MINUTE))
    here.turn()
    here.turn()
    return here.performance[-1]


def test_numbers_are_read_however_they_are_spelled_though_the_reference_has_no_prediction(
    home: Path, started: list[LabelledDaemon]
) -> None:
    Reference.fit({"age": [float(n) for n in range(100)]}).save(home / "r.json")
    model = MODEL | {"labels": {"wait": "10m"}, "performance": {"task": "regression", "metrics": ["mae", "bias"]}}
    answers = [1, "2.5", 3.0, "x", float("nan"), True]
    told = judged_of(
        begin(home, started, models=[model]),
        [predicted(n, 2.0, START + n) for n in range(7)],
        [labelled(n, answer, START) for n, answer in enumerate(answers)],
    )

    assert (told["task"], told["predictions"], told["labelled"]) == ("regression", 7, 4)
    assert {name: each["value"] for name, each in told["metrics"].items()} == {
        "mae": pytest.approx((1 + 0.5 + 1 + 1) / 4),
        "bias": pytest.approx((1 - 0.5 - 1 + 1) / 4),
    }
    assert [
        n for labels, n in started[0].metric("driftd_events_rejected_total").items() if "label_invalid" in labels
    ] == [2]


def test_classes_are_those_of_the_reference_and_weights_count(home: Path, started: list[LabelledDaemon]) -> None:
    reference = Reference.fit(
        {"age": [float(n) for n in range(99)], "animal": ["cat", "dog", "owl"] * 33}, prediction="animal"
    )
    reference.save(home / "r.json")
    topics = [TOPICS[0], {"name": "labels", "kind": "labels", "fields": {"label": "truth", "weight": "w"}}]
    here = begin(home, started, topics=topics, models=[MODEL | {"labels": {"wait": "10m"}}])
    told = judged_of(
        here,
        [predicted(n, animal, START + n) for n, animal in enumerate(["cat", "cat", "dog", "owl", "cat"])],
        [
            labelled(0, None, START, truth="cat", w=3),
            labelled(1, None, START, truth="dog"),
            labelled(2, None, START, truth="fox"),
            labelled(3, None, START, truth="owl", w=-1),
            labelled(4, None, START, truth="cat", w="2"),
        ],
    )

    assert (told["task"], told["labelled"]) == ("multiclass", 2)
    assert told["metrics"]["accuracy"]["value"] == pytest.approx(3 / 4)
    assert told["classes"][0] == {"class": "cat", "predictions": 3, "labelled": 2}
    rejected = {
        labels.split('reason="')[1][:-2]: n for labels, n in here.metric("driftd_events_rejected_total").items()
    }
    assert rejected == {"label_unknown": 1, "weight_invalid": 2}


def test_a_label_is_of_every_version_of_its_model(home: Path, started: list[LabelledDaemon]) -> None:
    models = [MODEL | {"version": version} for version in ("1", "2")]
    here = begin(home, started, models=models)
    events = [predicted(n, 0.9, START + n, version=str(1 + n % 2)) for n in range(4)]
    later = [predicted(1000 + n, 0.5, START + 15 * MINUTE + n, version=str(1 + n % 2)) for n in range(18)]
    marks = [predicted(-1, 0.5, START - 30 * SECOND, version=version) for version in "12"]
    here.source.append(PREDICTIONS, [*marks, *events])
    here.labels([labelled(n, "yes" if n < 2 else "no", START) for n in range(4)])
    here.turn()
    here.source.append(PREDICTIONS, later)
    here.turn()
    here.turn()

    both = here.get("/api/v1/models/churn")
    assert [each["version"] for each in both] == ["1", "2"]
    assert [
        (each["performance"][0]["labelled"], each["performance"][0]["metrics"]["accuracy"]["value"]) for each in both
    ] == [
        (2, 0.5),
        (2, 0.5),
    ]


def test_a_daemon_that_is_killed_tells_what_one_tells_that_is_not(home: Path, started: list[LabelledDaemon]) -> None:
    """Killed between any two turns, with some of it saved: nothing is joined twice, and nothing is lost."""
    rng = np.random.default_rng(seeded())
    scores, truths = rng.random(400), rng.random(400) < 0.5
    log = {
        PREDICTIONS: [
            *MARK,
            *(predicted(n, score, START + n * SECOND) for n, score in enumerate(scores.tolist())),
            *time(START + 40 * MINUTE),
        ],
        LABELS: [
            labelled(n, "yes" if truth else "no", START + n * SECOND + 60 * SECOND)
            for n, truth in enumerate(truths.tolist())
            if rng.random() < 0.8
        ],
    }
    told = []
    for killed in (False, True):
        directory = home / str(killed)
        here = LabelledDaemon(home, log, keys=[None] * 400, batch=40, state=str(directory))
        for _ in range(24):
            here.turn(seconds=4.0)
            if rng.random() < 0.5:
                here.daemon.loop.save()
            if killed and rng.random() < 0.5:
                here.kill()
                here = LabelledDaemon(home, log, keys=[None] * 400, batch=40, state=str(directory))
        for _ in range(30):
            here.turn()
        started.append(here)
        told.append(here.performance)

    assert told[0] == told[1]
    assert told[0][0]["labelled"] > 0


def test_labels_that_are_no_longer_configured_are_forgotten_and_that_is_said(
    home: Path, started: list[LabelledDaemon]
) -> None:
    here = LabelledDaemon(home, {PREDICTIONS: [*MARK], LABELS: [labelled(0, "yes", START)]}, keys=[None])
    here.turn()
    here.daemon.loop.save()
    kept = here.daemon.store.records()
    here.kill()
    plain = {key: value for key, value in MODEL.items() if key != "labels"}
    without = begin(home, started, topics=TOPICS[:1], models=[plain])

    assert {record.kind for record in kept} >= {"performance/state", "performance/predictions", "performance/labels"}
    assert [fact.cause for fact in without.reset] == ["labels are no longer joined: what was kept of them is forgotten"]
    assert without.performance is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"topics": TOPICS[:1]}, "labels come from nowhere"),
        (
            {"models": [{key: value for key, value in MODEL.items() if key != "labels"}]},
            "no model has a section labels",
        ),
        (
            {"topics": [TOPICS[0], {"name": "features", "kind": "features", "fields": {"label": "truth"}}]},
            "labels come from nowhere",
        ),
        ({"topics": [{"name": "predictions", "fields": {"id": "features.age"}}, TOPICS[1]]}, "features.age is read as"),
        ({"topics": [TOPICS[0], {**TOPICS[1], "fields": {"id": "label"}}]}, "fields.id: label is read as"),
        *(
            ({"models": [{**MODEL, "labels": {"positive": one, "negative": other}}]}, "are the same label")
            for one, other in [("1", "1.0"), ("1", "true"), ("TRUE", "1"), ("no", "no"), ("0.0", "0")]
        ),
        (
            {"models": [{**MODEL, "performance": {"task": "multiclass", "classes": ["a", "1", "1.0"]}}]},
            "'1' and '1.0' are the same class",
        ),
        ({"topics": TOPICS[1:]}, "at least one must bring predictions"),
        ({"topics": [{"name": "features", "kind": "features"}, TOPICS[1]]}, "no topic is of kind predictions"),
        ({"models": [{**MODEL, "labels": {"topic": "truth"}}]}, "'truth' is no topic of kind labels"),
        ({"models": [{**MODEL, "labels": {"wait": "1d", "judge_at": ["2d"]}}]}, "judge_at 2d is later than wait 1d"),
        ({"models": [{**MODEL, "labels": {"join_memory": 64}}]}, "must be a size such as 64MB"),
        ({"models": [{**MODEL, "labels": {"join_memory": "10KB"}}]}, "join_memory: must be at least 1MB (is '10KB')"),
        ({"models": [{**MODEL, "labels": {"judge_at": []}}]}, "judge_at: must not be empty (is [])"),
        ({"models": [{**MODEL, "labels": {"positive": [1]}}]}, "positive: must be a text, not a list (is [1])"),
        (
            {"models": [{**MODEL, "performance": {"classes": ["a"]}}]},
            "performance.classes: must have at least 2 items, not 1",
        ),
        ({"models": [{**MODEL, "lateness": "20m"}]}, "would miss predictions"),
        ({"models": [{**MODEL, "performance": {"metrics": ["accurracy"]}}]}, "'accurracy' is none of task binary"),
        (
            {"models": [{**MODEL, "performance": {"task": "multiclass"}}]},
            "must be 2 to 256 distinct classes, and the reference has none: name them here",
        ),
    ],
)
def test_what_cannot_be_joined_is_refused_in_one_line(home: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as refused:
        build_decoders(configuration(home, **changes))

    assert words in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


# --- labels that are missing ------------------------------------------------------------------------------------------


def test_labels_that_come_for_one_class_alone_are_told_with_what_the_others_may_come_to(
    home: Path, started: list[LabelledDaemon]
) -> None:
    """Chargebacks come, good payments stay silent."""
    here = begin(home, started)
    told = judged_of(
        here,
        [predicted(n, 0.9 if n < 20 else 0.1, START + n) for n in range(120)],
        [labelled(n, "yes" if n < 15 else "no", START) for n in range(20)],
    )
    of = '{model="churn",version="*"}'
    bias, accuracy = told["selection_bias"], told["metrics"]["accuracy"]

    assert here.metric("driftd_label_selection_bias") == {of: 1}
    assert (bias["beyond_chance"], bias["class"], bias["level"]) == (True, "positive", 0.001)
    assert bias["words"].startswith(
        "labels do not come at random: 100 % of the predictions positive have one, 0 % of negative"
    )
    assert accuracy["value"] == 0.75
    assert accuracy["over_missing"] == [pytest.approx(15 / 120), pytest.approx(115 / 120)]
    assert told["metrics"]["precision"]["over_missing"] == [0.75, 0.75]
    assert told["metrics"]["auroc"]["over_missing"] is None
    assert [(each["rows"], each["observed"]) for each in told["reliability"]] == [(20, 0.75)]
    assert "reliability" not in here.get("/api/v1/models")[0]["performance"][-1]


def test_labels_that_come_at_random_are_told_as_such(home: Path, started: list[LabelledDaemon]) -> None:
    here = begin(home, started)
    events = [predicted(n, 0.9 if n % 2 else 0.1, START + n) for n in range(40)]
    told = judged_of(here, events, [labelled(n, "yes", START) for n in range(20)])

    assert told["selection_bias"] == {
        "beyond_chance": False,
        "pvalue": 1.0,
        "level": 0.001,
        "class": told["selection_bias"]["class"],
        "words": None,
    }
    assert list(here.metric("driftd_label_selection_bias").values()) == [0]


def test_numbers_are_told_apart_by_quarters_of_the_reference(home: Path, started: list[LabelledDaemon]) -> None:
    Reference.fit(
        {"age": [float(n) for n in range(400)], "price": [float(n % 80) for n in range(400)]}, prediction="price"
    ).save(home / "r.json")
    here = begin(home, started, models=[MODEL | {"labels": {"wait": "10m"}, "performance": {"quantile": 0.9}}])
    told = judged_of(
        here,
        [predicted(n, float(n), START + n) for n in range(80)],
        [labelled(n, float(n) + 1, START) for n in range(60, 80)],
    )

    assert [(each["class"], each["predictions"], each["labelled"]) for each in told["classes"]] == [
        ("up to 19", 20, 0),
        ("19 to 39", 20, 0),
        ("39 to 59", 20, 0),
        ("above 59", 20, 20),
    ]
    assert told["selection_bias"]["class"] == "above 59"
    assert told["metrics"]["quantile_loss"]["value"] == pytest.approx(0.9)
    assert told["metrics"]["mae"]["over_missing"] is None


def test_each_class_and_what_predictions_cost_are_told(home: Path, started: list[LabelledDaemon]) -> None:
    costs = {"false_positive": 1, "false_negative": 25}
    paid = begin(home, started, models=[MODEL | {"performance": {"metrics": ["cost_per_1000"], "costs": costs}}])
    events = [predicted(n, score, START + n) for n, score in enumerate([0.9, 0.8, 0.1, 0.1])]
    told = judged_of(paid, events, [labelled(n, answer, START) for n, answer in enumerate(["yes", "no", "yes"])])

    money = told["metrics"]["cost_per_1000"]
    assert money["value"] == pytest.approx(26_000 / 3)
    assert money["over_missing"] == [pytest.approx(26_000 / 4), pytest.approx(51_000 / 4)]
    assert set(told["metrics"]) == {"cost_per_1000"}


def test_a_table_by_class_is_told_with_what_missing_labels_leave_open(
    home: Path, started: list[LabelledDaemon]
) -> None:
    animals = {"age": [float(n) for n in range(99)], "animal": ["cat", "dog", "owl"] * 33}
    Reference.fit(animals, prediction="animal").save(home / "r.json")
    here = begin(home, started, models=[MODEL | {"labels": {"wait": "10m"}}])
    told = judged_of(
        here,
        [predicted(n, animal, START + n) for n, animal in enumerate(["cat", "cat", "dog", "owl"])],
        [labelled(n, animal, START) for n, animal in enumerate(["cat", "dog", "dog"])],
    )

    cat = told["by_class"][0]
    assert (cat["class"], cat["labels"]) == ("cat", 1)
    assert cat["metrics"]["precision"]["value"] == 0.5
    assert cat["metrics"]["recall"]["over_missing"] == [0.5, 1.0]
    assert told["metrics"]["accuracy"]["over_missing"] == [0.5, 0.75]


@pytest.mark.parametrize(
    ("performance", "words"),
    [
        (
            {"task": "regression", "costs": {"false_positive": 1}},
            "costs: are of task binary, and this one is regression",
        ),
        ({"quantile": 0.9}, "quantile: is of task regression, and this one is binary"),
        ({"metrics": ["cost_per_1000"]}, "'cost_per_1000' needs models.churn.performance.costs"),
        ({"costs": {"false_alarm": 1}}, "costs.false_alarm"),
        ({"costs": {"false_positive": float("inf")}}, "costs.false_positive"),
        ({"quantile": 1}, "quantile"),
    ],
)
def test_what_a_task_does_not_have_is_refused(home: Path, performance: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as refused:
        configuration(home, models=[MODEL | {"performance": performance}])

    assert words in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


def test_keys_of_performance_that_are_not_used_change_no_hash(home: Path) -> None:
    plain = MODEL | {"performance": {"threshold": 0.4}}
    hashes = {
        configuration(home, models=[plain | {"performance": {"threshold": 0.4, **more}}]).config_hash
        for more in ({}, {"quantile": 0.5}, {"costs": None})
    }

    assert len(hashes) == 1


def test_a_positive_label_that_never_came_is_said_and_nothing_is_told_of_it(
    home: Path, started: list[LabelledDaemon]
) -> None:
    """Most likely labels are spelled otherwise: a precision of 0 would be a lie. Once one has come, a window without any says so."""
    begin(home, started)
    for number, said in enumerate(("no", "yes", "no")):
        here = restarted(home, started)
        first = START + number * MINUTE
        ids = range(number * 100, number * 100 + 60)
        here.source.append(PREDICTIONS, [*MARK, *(predicted(each, 0.9, first + n) for n, each in enumerate(ids))])
        here.labels([labelled(each, said, first + SECOND) for each in ids])
        here.turn()
        here.source.append(PREDICTIONS, time(first + 11 * MINUTE))
        here.turn()
        here.turn()
        [told] = here.performance
        precision, f1 = told["metrics"]["precision"], told["metrics"]["f1"]
        assert told["labelled"] == 60
        assert told["metrics"]["accuracy"]["value"] == (said == "yes")
        if number == 0:
            assert (precision["value"], f1["value"]) == (None, None)
            assert precision["because"] == f1["because"] == "no label so far is the positive one, 'yes'"
            assert not any("precision" in each for each in here.metric("driftd_performance"))
        else:
            assert (precision["value"], f1["value"]) == (float(said == "yes"), float(said == "yes"))


def restarted(home: Path, started: list[LabelledDaemon]) -> LabelledDaemon:
    """Another daemon that goes on from what the last one saved before it was killed."""
    before = started.pop()
    before.daemon.loop.save()
    before.kill()
    started.append(LabelledDaemon(home, before.source.log, keys=before.source.keys[LABELS]))
    return started[-1]


def test_what_was_saved_before_this_was_known_is_taken_to_have_seen_a_positive_label(home: Path) -> None:
    """An older state's incident must be able to end."""
    saved = {"fingerprint": "", "clock": None, "origin": None, "judged": [], "level": 0, "levels": {}, "told": []}
    assert msgspec.json.decode(msgspec.json.encode(saved), type=SavedPerformance).positive_seen


# --- a new version beside the labelled one ------------------------------------------------------------------------------


def renew(here: LabelledDaemon, version: str) -> None:
    """Tell of a version, and go on with a series of it as the loop does."""
    daemon = here.daemon
    daemon.loop._tell(daemon.pipeline.decide(Asked(version, Announce("churn", version), "ana"), here.clock.now()))
    daemon.loop.save()
    assert daemon.pipeline.versions.moved
    daemon.loop._go_on_with(daemon._renewed())
    assert version in {each["version"] for each in here.get("/api/v1/models")}


def test_a_new_version_takes_no_label_from_the_one_before(home: Path, started: list[LabelledDaemon]) -> None:
    """Predictions wait over the change, and what labels have said of them stands."""
    three = {"version": "3"}
    here = begin(home, started, models=[{**MODEL, **three, "new_versions": {"reference": "learn"}}])
    rows = [predicted(n, score, START + n, **three) for n, score in enumerate([0.9, 0.8, 0.3, 0.2, 0.7])]
    here.source.append(PREDICTIONS, [predicted(-1, 0.5, START - 30 * SECOND, **three), *rows])
    here.turn()
    renew(here, "4")
    here.labels([labelled(n, answer, START + 90 * SECOND) for n, answer in enumerate(["yes", "no", "no", "no"])])
    here.turn()
    for until in (START + 10 * MINUTE, START + 11 * MINUTE):
        here.source.append(PREDICTIONS, [predicted(1000 + n, 0.5, until + n, **three) for n in range(9)])
        here.turn()
    here.turn()
    [told] = here.performance
    assert (told["predictions"], told["labelled"], told["coverage"]) == (5, 4, 0.8)
    worth = here.daemon.telemetry.look(lambda board: dict(board.worth))
    renew(here, "5")
    assert here.performance == [told]
    assert here.daemon.telemetry.look(lambda board: dict(board.worth)) == worth
    assert here.outcomes("driftd_labels_total") == {"received": 4, "joined": 4}
