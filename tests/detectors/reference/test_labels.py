"""A reference with labels holds what its predictions were worth: all of them, and by its own windows."""

import json

import numpy as np
import pytest

from detectors import (
    BinaryCounts,
    BinaryTask,
    ClassEstimator,
    LabelColumn,
    NumberEstimator,
    Reference,
    ReferenceFormatError,
    ScoreEstimator,
    Sketch,
)
from detectors.reference import labelling
from tests.charted import seeded

HOUR = 3600 * 10**9


def scored(rows: int = 4000) -> dict[str, np.ndarray]:
    """Scores that mean what they say, a row a minute."""
    random = seeded()
    scores = random.beta(1.2, 2, rows).round(6)
    age = random.normal(40, 9, rows)
    paid = (random.random(rows) < scores).astype(int)
    return {"score": scores, "age": age, "paid": paid, "at": np.arange(rows) * 60 * 10**9}


def fitted(table: dict[str, np.ndarray], **changes: object) -> Reference:
    settings = {"prediction": "score", "timestamp": "at", "window": "1h", "label": "paid"}
    return Reference.fit(table, **settings | changes)


def counted(labels: object, scores: object, threshold: float = 0.5) -> BinaryCounts:
    counts = BinaryCounts.empty(BinaryTask(threshold=threshold))
    counts.update(labels, scores)
    return counts


def test_all_labelled_rows_are_counted_and_each_window_has_its_own() -> None:
    table = scored()
    performance = fitted(table).performance

    assert performance.total == counted(table["paid"], table["score"])
    assert (performance.task, performance.rows, performance.threshold) == ("binary", 4000, 0.5)
    for start, window in zip(performance.starts, performance.windows, strict=True):
        inside = table["at"] // HOUR == start // HOUR
        assert window == counted(table["paid"][inside], table["score"][inside])
    assert sum(window.histogram.sum() for window in performance.windows) == 4000


def test_a_label_is_no_feature_and_no_copy_of_the_prediction() -> None:
    table = scored()
    table["paid"] = (table["score"] >= 0.5).astype(int)  # the prediction knows all
    reference = fitted(table)

    assert reference.names == ("__prediction__", "age")
    assert reference.copies == ()


def test_a_reference_without_labels_is_what_it_was() -> None:
    table = scored()
    labels = fitted(table)
    del table["paid"]
    plain = fitted(table, label=None)

    assert "performance" not in plain.to_dict()
    assert plain.hash != labels.hash
    without = {name: value for name, value in labels.to_dict().items() if name != "performance"}
    assert without == plain.to_dict()
    assert Reference.from_dict(without).hash == plain.hash


def test_other_labels_make_another_hash() -> None:
    table = scored()
    before = fitted(table).hash
    table["paid"][7] = 1 - table["paid"][7]

    assert fitted(table).hash != before


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_a_reference_goes_through_its_file(tmp_path: pytest.TempPathFactory, task: str) -> None:
    reference = of_task(task)
    reference.save(tmp_path / "r.json")
    read = Reference.load(tmp_path / "r.json")

    assert read.hash == reference.hash
    assert read.to_dict() == reference.to_dict()
    assert read.performance.total == reference.performance.total
    assert list(read.performance.windows) == list(reference.performance.windows)
    window = Sketch.empty(read.layout)
    data = {"__prediction__": [0.2, 0.7, 0.9] if task != "multiclass" else ["b", "a", "a"]}
    window.update(*read.encode(data))
    estimated = [each.performance.estimator().estimate(window).metrics for each in (read, reference)]
    assert estimated[0] == estimated[1]


def of_task(task: str) -> Reference:
    table = scored()
    if task == "regression":
        table["paid"] = table["score"] * 3 + 1
    if task == "multiclass":
        table["score"] = np.where(table["score"] > 0.4, "a", "b")
        table["paid"] = np.where(table["age"] > 50, "c", table["score"])
    label = LabelColumn("paid", task=task)
    return fitted(table, label=label)


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_chunks_and_the_order_of_rows_change_nothing(chunk: int) -> None:
    table = scored(600)
    whole = fitted(table)
    order = seeded().permutation(600)
    shuffled = {name: values[order] for name, values in table.items()}

    def pieces() -> list[dict[str, np.ndarray]]:
        return [{name: values[at : at + chunk] for name, values in shuffled.items()} for at in range(0, 600, chunk)]

    settings = {"prediction": "score", "timestamp": "at", "window_ns": HOUR, "label": "paid"}
    again = Reference.fit_chunks(pieces, **settings)
    assert again.performance.content() == whole.performance.content()


@pytest.mark.parametrize("threshold", [0.5, 0.37, 0.9, 1.0])
def test_an_estimate_is_that_of_the_rows_themselves(threshold: float) -> None:
    table = scored()
    reference = fitted(table)
    by_rows = ScoreEstimator.fit(reference, table["paid"], table["score"], threshold)
    kept = reference.performance.estimator(threshold)

    assert np.array_equal(kept.labelled, by_rows.labelled)
    assert reference.performance.at(threshold).total == counted(table["paid"], table["score"], threshold)


@pytest.mark.parametrize("threshold", [0.37, 0.9, 1.0])
def test_weights_go_with_their_rows_to_another_threshold(threshold: float) -> None:
    """Rows, weights and their squares, of all rows and of each window: as if they were counted with it."""
    table = scored()
    table["weight"] = seeded().choice([0.0, 0.25, 1.0, 7.0], table["paid"].size)
    moved = fitted(table, label=LabelColumn("paid", weight="weight")).performance.at(threshold)
    task = BinaryTask(threshold=threshold, weighted=True)

    def weighed(which: np.ndarray) -> BinaryCounts:
        counts = BinaryCounts.empty(task)
        counts.update(table["paid"][which], table["score"][which], table["weight"][which])
        return counts

    assert moved.total == weighed(table["at"] >= 0)
    windows = list(moved.windows)
    assert windows == [weighed(table["at"] // HOUR == start // HOUR) for start in moved.starts]
    assert len(windows) > 60


def test_a_weight_that_is_a_text_is_refused_and_one_that_is_absent_is_1() -> None:
    table = scored(400)
    weights = [None if n % 4 == 0 else "heavy" if n % 4 == 1 else 2.0 for n in range(400)]
    performance = fitted(
        {name: values.tolist() for name, values in table.items()} | {"weight": weights},
        label=LabelColumn("paid", weight="weight"),
    ).performance

    assert performance.total.left_out == {"weight_refused": 100}
    kept = np.arange(400) % 4 != 1
    counts = BinaryCounts.empty(BinaryTask(weighted=True))
    counts.update(table["paid"][kept], table["score"][kept], np.where(np.arange(400)[kept] % 4, 2.0, 1.0))
    assert performance.rows == 300
    assert performance.metrics() == counts.metrics()


def test_a_threshold_between_hundredths_is_that_of_the_fit() -> None:
    table = scored()
    reference = fitted(table, label=LabelColumn("paid", threshold=0.3771))

    assert reference.performance.total == counted(table["paid"], table["score"], 0.3771)
    assert reference.performance.at(0.5).total == counted(table["paid"], table["score"])
    assert len(list(reference.performance.at(0.5).windows)) == len(list(reference.performance.windows))
    for asked in (reference.performance.at, reference.performance.estimator):
        with pytest.raises(ValueError, match=r"whole hundredths and 0\.3771, not 0\.1234"):
            asked(0.1234)


def test_an_estimate_of_numbers_is_that_of_the_rows_themselves() -> None:
    table = scored()
    table["paid"] = table["score"] * 3 + seeded().normal(0, 0.2, 4000)
    reference = fitted(table, label=LabelColumn("paid", task="regression"))
    by_rows = NumberEstimator.fit(reference, table["paid"], table["score"])
    window = table["score"][:500]

    estimated = reference.performance.estimator().estimate(window).metrics
    assert estimated == by_rows.estimate(window).metrics


def test_a_class_that_is_never_predicted_counts_against_the_model() -> None:
    said, labels = ["a"] * 100 + ["b"] * 100, ["a"] * 100 + ["b"] * 50 + ["c"] * 50
    reference = Reference.fit({"p": said, "true": labels}, prediction="p", label="true")
    window = Sketch.empty(reference.layout)
    window.update(*reference.encode({"__prediction__": ["b"] * 40}))
    estimator = reference.performance.estimator()

    assert reference.performance.classes == ("a", "b", "c")
    assert isinstance(estimator, ClassEstimator)
    assert estimator.estimate(window).metrics["accuracy"].value == pytest.approx(0.5, abs=0.01)
    assert estimator.estimate(window).metrics == estimator.estimate(["b"] * 40).metrics


def test_labels_are_read_however_they_are_spelled_and_counted_by_reason() -> None:
    table = {"p": [0.9, 0.8, 0.1, 0.2, 0.5, np.nan], "y": ["yes", "no", "no", "perhaps", None, "yes"]}
    reference = Reference.fit(table, prediction="p", label=LabelColumn("y", positive="yes", negative="no"))

    assert reference.performance.rows == 3
    assert reference.performance.total.left_out == {"label_missing": 1, "label_unknown": 1, "score_missing": 1}


def test_windows_are_kept_in_a_fraction_of_what_they_take_and_read_one_by_one() -> None:
    performance = fitted(scored()).performance
    assert performance is not None
    unpacked = sum(each.cells.nbytes for each in performance.windows)

    assert len(performance.kept) < unpacked / 20
    assert list(performance.latest(3)) == list(performance.windows)[-3:]
    first, again = next(performance.windows), next(performance.windows)
    assert first == again
    assert first is not again


def test_the_last_windows_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labelling, "MOST_WINDOWS", 5)
    table = scored()
    performance = fitted(table).performance

    assert (performance.starts // HOUR).tolist() == [62, 63, 64, 65, 66]
    assert performance.rows == 4000


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"label": "nothing"}, "there is no column nothing of labels"),
        ({"label": "score"}, "label score is the prediction"),
        ({"label": "at"}, "label at is the timestamp"),
        ({"prediction": None}, "label paid needs prediction"),
        ({"label": LabelColumn("paid", positive="yes")}, "no row has the positive label 'yes'; it holds "),
        ({"label": LabelColumn("paid", task="multiclass")}, "task multiclass needs a prediction of another kind"),
    ],
)
def test_what_cannot_be_counted_is_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        fitted(scored(300), **changes)


def test_labels_of_one_class_are_refused() -> None:
    table = scored(300)
    table["paid"][:] = 1
    with pytest.raises(ValueError, match="no row has a negative label; it holds '1'"):
        fitted(table)


def test_labels_are_shown_with_the_spaces_that_they_end_in() -> None:
    table = {"p": [0.9, 0.8, 0.1], "y": ["YES ", "YES ", "NO"]}

    with pytest.raises(
        ValueError, match=r"no row has .* 'yes'; it holds 'YES ', 'NO': name it by positive \(--positive\)"
    ):
        Reference.fit(table, prediction="p", label=LabelColumn("y", positive="yes"))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("task", "ranking"),
        ("total", "AAAA"),
        ("total", 7),
        ("cells", "eJwDAAAAAAE="),
        ("windows", "=="),
        ("threshold", None),
        ("threshold", 0.25),
        ("positive", 1),
        ("window_ns", "1h"),
    ],
)
def test_a_damaged_file_is_refused_in_one_line(key: str, value: object) -> None:
    content = json.loads(json.dumps(fitted(scored(300)).to_dict()))
    content["performance"][key] = value
    with pytest.raises(ReferenceFormatError, match="performance") as refused:
        Reference.from_dict(content)
    assert "\n" not in str(refused.value)


def test_a_selection_without_the_prediction_has_no_performance() -> None:
    reference = fitted(scored())

    assert reference.select(["age"]).performance is None
    assert reference.select(["__prediction__"]).performance is not None
