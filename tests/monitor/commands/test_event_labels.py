"""`driftd reference fit --config --label`: labels of events are joined as the daemon joins them, and count as those of a table of the joined rows."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from detectors import MulticlassCounts, Reference, Unavailable
from monitor.cli import main
from monitor.stream.events import HOUR
from tests.charted import seeded

if TYPE_CHECKING:
    from tests.parts.mock import MockBroker

Output = pytest.CaptureFixture[str]
Row = dict[str, Any]
BEGIN = 1_793_491_200_000  # 2026-11-01
LENGTH = HOUR // 10**6
ROWS, HOURS, WAIT = 50, 60, 10  # events an hour; hours
END = BEGIN + (HOURS + 1) * LENGTH
CLASSES = ("cat", "dog", "owl")


def configure(home: Path, *, inside: str | None = None, **changes: Any) -> Path:
    model = {"name": "churn", "reference": "r.json", "window": "1h", "labels": {"wait": f"{WAIT}h"}}
    fields = {} if inside is None else {"label": inside}
    settings = {
        "topics": [{"name": "predictions", "fields": fields}, {"name": "outcomes", "kind": "labels"}],
        "models": [model | changes.pop("model", {})],
        "state": str(home / "state"),
        **changes,
    }
    (home / "driftd.yaml").write_text(yaml.safe_dump(settings))
    return home / "driftd.yaml"


def said_of(task: str, rng: Any) -> Any:
    """A prediction."""
    if task == "multiclass":
        return str(rng.choice(CLASSES))
    return round(float(rng.random()), 3) if task == "binary" else round(float(rng.normal(50, 9)), 3)


def true_of(task: str, prediction: Any, rng: Any) -> Any:
    """A label, in one of the spellings that people use."""
    if task == "multiclass":
        return str(rng.choice([prediction, *CLASSES, "yak"]))
    if task == "binary":
        true = bool(rng.random() < prediction)
        return [true, int(true), float(true), str(int(true))][int(rng.integers(4))]
    number = round(prediction + float(rng.normal(0, 3)), 2)
    return [number, str(number)][int(rng.integers(2))]


def told(task: str) -> tuple[list[Row], list[Row]]:
    """Events, and labels in no order: some early, late, corrected, withdrawn, of nobody, or never there."""
    rng = seeded()
    events, labels = [], []
    for n in range(HOURS * ROWS):
        at = BEGIN + n * (LENGTH // ROWS)
        event = {"id": f"r-{n}", "ts": at, "model": "churn", "features": {"age": round(float(rng.normal(40, 9)), 1)}}
        events.append(event | {"prediction": said_of(task, rng)})
        for _ in range(int(rng.integers(0, 4))):
            when = at + int(rng.exponential(4 * LENGTH)) - LENGTH // 2
            label = None if rng.random() < 0.1 else true_of(task, events[-1]["prediction"], rng)
            if when <= END:  # so the last hours are not waited for as long as the others
                labels.append({"id": f"r-{n}", "ts": when, "model": "churn", "label": label})
    labels += [{"id": "nobody", "ts": END - n, "model": "churn", "label": labels[0]["label"]} for n in range(8)]
    events.append(events[0] | {"prediction": events[1]["prediction"], "ts": BEGIN + 1000})  # an id that comes twice
    return events, [labels[n] for n in rng.permutation(len(labels))]


def joined(events: list[Row], labels: list[Row], slide: int = LENGTH) -> list[Any]:
    """Each event's label by the rules in docs/performance.md, the slow way."""
    by_id, found = defaultdict(list), dict[int, Any]()
    for n, label in enumerate(labels):
        by_id[label["id"]].append((label["ts"], n, label["label"]))
    seen: set[tuple[str, int]] = set()
    for at, event in sorted(enumerate(events), key=lambda each: each[1]["ts"]):
        pane = event["ts"] // slide * slide
        due = pane + slide + WAIT * LENGTH
        mine = [label for label in by_id[event["id"]] if pane - LENGTH <= label[0] <= due]
        first = (event["id"], pane) not in seen
        seen.add((event["id"], pane))
        found[at] = max(mine)[2] if mine and first and due <= END else None
    return [found[at] for at in range(len(events))]


def written(home: Path, name: str, rows: list[Row]) -> Path:
    (home / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return home / name


def of_table(home: Path, events: list[Row], labels: list[Any], task: str, *options: str, **more: list[Any]) -> bytes:
    """The file of a reference of a table of events and their labels."""
    texts = [None if label is None else label if isinstance(label, str) else json.dumps(label) for label in labels]
    numbers = [None if label is None else float(label) for label in labels] if task == "regression" else texts
    table = {
        "ts": [row["ts"] for row in events],
        "age": [row["features"]["age"] for row in events],
        "prediction": [row["prediction"] for row in events],
        "label": numbers,
        **more,
    }
    pq.write_table(pa.table(table), home / "joined.parquet")
    path = home / "table.json"
    how = ("--timestamp", "ts", "--window", "1h", "--prediction", "prediction", "--label", "label", "--output")
    assert main(["reference", "fit", "--input", str(home / "joined.parquet"), *how, str(path), *options]) == 0
    return path.read_bytes()


def fit(config: Path, *options: str | Path) -> int:
    return main(["reference", "fit", "--config", str(config), *map(str, options)])


@pytest.mark.parametrize("slide", [None, "20m"])
@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_the_reference_is_that_of_a_table_of_the_joined_rows(tmp_path: Path, task: str, slide: str | None) -> None:
    events, labels = told(task)
    expected = joined(events, labels, LENGTH if slide is None else LENGTH // 3)
    config = configure(tmp_path, model={} if slide is None else {"slide": slide})

    files = [written(tmp_path, "b.jsonl", labels[400:]), written(tmp_path, "a.jsonl", labels[:400])]
    assert fit(config, "--input", written(tmp_path, "e.jsonl", events), "--label", "--labels", *files) == 0

    assert (tmp_path / "r.json").read_bytes() == of_table(tmp_path, events, expected, task)
    performance = Reference.load(tmp_path / "r.json").performance
    assert performance is not None
    assert performance.task == task
    assert performance.rows == sum(label is not None for label in expected)


def test_labels_in_another_order_are_the_same_reference(tmp_path: Path) -> None:
    """But for those stamped alike, of which the later in the record counts."""
    events, labels = told("multiclass")
    config, recorded = configure(tmp_path), written(tmp_path, "e.jsonl", events)
    options = "--input", recorded, "--label", "--labels"

    assert fit(config, *options, written(tmp_path, "l.jsonl", labels)) == 0
    before = (tmp_path / "r.json").read_bytes()
    assert fit(config, *options, written(tmp_path, "l.jsonl", sorted(labels, key=lambda label: label["ts"]))) == 0

    assert (tmp_path / "r.json").read_bytes() == before


@pytest.mark.parametrize("path", ["label", "features.truth"])
@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_labels_inside_predictions_are_read_and_are_no_feature(tmp_path: Path, task: str, path: str) -> None:
    """None waits for them: what stands inside a prediction is known with it."""
    rng = seeded()
    events, _ = told(task)
    events = events[:-1]
    labels = [None if n % 7 == 0 else true_of(task, event["prediction"], rng) for n, event in enumerate(events)]
    for event, label in zip(events, labels, strict=True):
        if path == "label":
            event["label"] = label
        else:
            event["features"] = event["features"] | {"truth": label}
    config = configure(tmp_path, inside=path)

    assert fit(config, "--input", written(tmp_path, "e.jsonl", events), "--label") == 0

    assert (tmp_path / "r.json").read_bytes() == of_table(tmp_path, events, labels, task)


def test_a_label_that_comes_by_itself_wins_over_the_one_inside(tmp_path: Path) -> None:
    events, _ = told("binary")
    events = events[:-1]
    inside = [event | {"label": 0} for event in events]
    labels = [{"id": event["id"], "ts": event["ts"], "model": "churn", "label": 1} for event in events[: 10 * ROWS]]
    config = configure(tmp_path, inside="label")
    recorded = written(tmp_path, "e.jsonl", inside), written(tmp_path, "l.jsonl", labels)

    assert fit(config, "--input", recorded[0], "--label", "--labels", recorded[1]) == 0

    performance = Reference.load(tmp_path / "r.json").performance
    assert performance is not None
    assert performance.total.cells.reshape(2, -1).sum(axis=1).tolist() == [performance.rows - 10 * ROWS, 10 * ROWS]


def test_a_mapped_label_is_no_feature_without_the_option_either(tmp_path: Path) -> None:
    events, _ = told("binary")
    flat = [{**event["features"], **event, "repaid": 1} for event in events]
    fields = {"features": "", "label": "repaid"}
    topics = [{"name": "predictions", "fields": fields}, {"name": "outcomes", "kind": "labels"}]
    config = configure(tmp_path, topics=topics)

    assert fit(config, "--input", written(tmp_path, "e.jsonl", [row | {"features": None} for row in flat])) == 0

    assert "repaid" not in Reference.load(tmp_path / "r.json").names


@pytest.fixture
def broker() -> Iterator["MockBroker"]:
    from tests.parts.mock import MockBroker

    cluster = MockBroker()
    yield cluster
    cluster.stop()


def test_kafka_gives_the_same_reference_as_files(tmp_path: Path, broker: "MockBroker") -> None:
    from confluent_kafka import Producer

    events, labels = told("binary")
    config = configure(tmp_path, kafka={"bootstrap_servers": broker.bootstrap})
    for topic, rows in (("predictions", events), ("outcomes", labels)):
        broker.create_topic(topic)
        producer = Producer({"bootstrap.servers": broker.bootstrap, "log_level": 0})
        for row in rows:
            producer.produce(topic, json.dumps(row).encode(), partition=0)
        assert producer.flush(30) == 0
    files = written(tmp_path, "e.jsonl", events), written(tmp_path, "l.jsonl", labels)

    assert fit(config, "--kafka", "--label") == 0
    of_kafka = (tmp_path / "r.json").read_bytes()
    assert fit(config, "--input", files[0], "--label", "--labels", files[1]) == 0

    assert (tmp_path / "r.json").read_bytes() == of_kafka


def test_what_became_of_labels_is_said(tmp_path: Path, capsys: Output) -> None:
    events, labels = told("binary")
    bad = [
        {"ts": BEGIN, "model": "churn", "label": 1},
        {"id": "r-1", "ts": BEGIN, "model": "other", "label": 1},
    ]
    config = configure(tmp_path)
    recorded = written(tmp_path, "e.jsonl", events), written(tmp_path, "l.jsonl", [*labels, *bad])

    assert fit(config, "--input", recorded[0], "--label", "--labels", recorded[1]) == 0

    said = capsys.readouterr()
    assert "labels: binary, " in said.out
    for words in ("corrected", "withdrawn", "outcomes: 1 labels were rejected: id_missing 1", "1 labels are of models"):
        assert words in said.err
    assert "theirs may still come: the record ends before their windows are 10h old" in said.err


def test_rows_that_are_left_out_have_no_labels_either(tmp_path: Path) -> None:
    events, labels = told("binary")
    expected = joined(events, labels)
    config = configure(tmp_path)
    options = "--exclude", "2026-11-01T03:00:00Z..2026-11-01T05:00:00Z"

    files = written(tmp_path, "e.jsonl", events), written(tmp_path, "l.jsonl", labels)
    assert fit(config, "--input", files[0], "--label", "--labels", files[1], *options) == 0

    assert (tmp_path / "r.json").read_bytes() == of_table(tmp_path, events, expected, "binary", *options)


def test_of_an_id_that_comes_twice_at_once_the_class_decides_and_not_the_order(tmp_path: Path) -> None:
    """As in the daemon: the more frequent one."""
    events, labels = told("multiclass")
    twice = [event | {"prediction": said} for event in events[:-1] for said in ("dog", event["prediction"], "cat")]
    config, files = configure(tmp_path), written(tmp_path, "l.jsonl", labels)
    expected = Counter[str]()
    for rows in (twice, twice[::-1]):
        recorded = written(tmp_path, "e.jsonl", rows)
        assert fit(config, "--input", recorded, "--label", "--labels", files) == 0
        performance = Reference.load(tmp_path / "r.json").performance
        assert performance is not None
        assert isinstance(performance.total, MulticlassCounts)
        often = Counter(row["prediction"] for row in rows).most_common()
        many = len(performance.classes)
        cells = performance.total.cells[: many**2].reshape(many, many).sum(axis=0)
        expected[str(cells.tolist())] += 1
        assert cells[performance.classes.index(often[0][0])] == performance.rows

    assert len(expected) == 1


@pytest.mark.parametrize("where", ["inside", "by itself"])
@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_weights_are_read_as_live(tmp_path: Path, capsys: Output, task: str, where: str) -> None:
    """A label without one weighs 1; one whose weight cannot be counted is none, and that is said."""
    rng = seeded()
    events, _ = told(task)
    events = events[:-1]
    weighed = [
        (true_of(task, event["prediction"], rng), [None, 0, 0.5, 2, 100, "2", 1000][n % 7])
        for n, event in enumerate(events)
    ]
    fields: dict[str, str] = {"label": "label", "weight": "w"}
    said = [{"label": label} | ({} if weight is None else {"w": weight}) for label, weight in weighed]
    if where == "inside":
        events = [event | more for event, more in zip(events, said, strict=True)]
        config, options = configure(tmp_path, topics=[{"name": "predictions", "fields": fields}]), []
    else:
        messages = [
            {key: event[key] for key in ("id", "ts", "model")} | more for event, more in zip(events, said, strict=True)
        ]
        later = {"id": "nobody", "model": "churn", "label": messages[0]["label"]}
        messages += [later | {"ts": END + n * LENGTH // 9} for n in range(9 * (WAIT + 3))]  # time goes on
        config = configure(
            tmp_path, topics=[{"name": "predictions"}, {"name": "outcomes", "kind": "labels", "fields": fields}]
        )
        options = ["--labels", written(tmp_path, "l.jsonl", messages)]

    assert fit(config, "--input", written(tmp_path, "e.jsonl", events), "--label", *options) == 0

    usable = [weight in (None, 0, 0.5, 2, 100) for _, weight in weighed]
    assert f"weight_invalid {usable.count(False):,}" in capsys.readouterr().err
    labels = [label if fair else None for (label, _), fair in zip(weighed, usable, strict=True)]
    weights = [
        1.0 if weight is None or not fair else float(weight) for (_, weight), fair in zip(weighed, usable, strict=True)
    ]
    table = of_table(tmp_path, events, labels, task, "--weight", "weight", weight=weights)
    assert (tmp_path / "r.json").read_bytes() == table
    performance = Reference.load(tmp_path / "r.json").performance
    assert performance is not None
    assert performance.weighted
    assert performance.rows == usable.count(True)


@pytest.mark.parametrize("named", [True, False], ids=["classes named", "keys tell them"])
@pytest.mark.parametrize("form", ["jsonl", "parquet", "list"])
def test_scores_of_classes_are_learnt(tmp_path: Path, form: str, named: bool) -> None:
    """Then what live windows have by scores is held against the reference's."""
    rng = seeded()
    names = [str(n) for n in range(1, 8)]
    events, _ = told("binary")
    events, labels = events[:-1], []
    for event in events:
        scores = rng.random(7).round(2)
        event["prediction"] = names[int(scores.argmax())]
        labels.append(str(rng.choice([*names, event["prediction"]])))
        event["label"] = labels[-1]
        event["p"] = (
            scores.tolist()
            if form == "list"
            else dict(zip([f"{name}.0" for name in names], scores.tolist(), strict=True))
        )
    model = {"performance": {"classes": names}} if named else {}
    config = configure(
        tmp_path, topics=[{"name": "predictions", "fields": {"label": "label", "scores": "p"}}], model=model
    )
    file = written(tmp_path, "e.jsonl", events)
    if form == "parquet":
        file = tmp_path / "e.parquet"
        pq.write_table(pa.Table.from_pylist(events), file)

    assert fit(config, "--input", file, "--label") == 0

    performance = Reference.load(tmp_path / "r.json").performance
    assert performance is not None
    found = performance.metrics()
    if form == "list" and not named:  # whose they are nobody says
        assert found["top_3_accuracy"] == Unavailable("no scores of classes", 0)
        return
    classes = performance.classes
    tables = [event["p"] if form == "list" else [*event["p"].values()] for event in events]
    of_class = {f"p_{float(name)}": [row[at] for row in tables] for at, name in enumerate(names)}
    table = of_table(tmp_path, events, labels, "multiclass", "--scores", "p_", **of_class)
    assert (tmp_path / "r.json").read_bytes() == table
    order = [classes.index(name) for name in names]
    hits = [
        names.index(label) in sorted(range(7), key=lambda at: (row[at], order[at]))[-3:]
        for row, label in zip(tables, labels, strict=True)
    ]
    assert found["top_3_accuracy"].value == pytest.approx(sum(hits) / len(hits))
    assert sum(each.metrics()["top_5_accuracy"].rows for each in performance.windows) == len(events)


@pytest.mark.parametrize("word", ["true", "12,5"])
def test_labels_inside_that_live_refuses_are_refused_and_said(tmp_path: Path, capsys: Output, word: str) -> None:
    events, _ = told("regression")
    events = events[:-1]
    inside = [event | {"label": word if n % 3 else event["prediction"] + 1} for n, event in enumerate(events)]
    config, recorded = configure(tmp_path, inside="label"), written(tmp_path, "e.jsonl", inside)

    assert fit(config, "--input", recorded, "--label") == 0

    assert "2,000 labels inside predictions were rejected: label_invalid 2,000" in capsys.readouterr().err
    performance = Reference.load(tmp_path / "r.json").performance
    assert performance is not None
    assert performance.rows == 1000
    document = backtest_of(config, recorded, tmp_path)
    assert document["models"][0]["labels"]["received"] == 1000
    assert any("labels inside 2,000 of 3,000 predictions could not" in hint for hint in document["hints"])


def backtest_of(config: Path, recorded: Path, home: Path) -> Any:
    """The JSON of a backtest."""
    options = "--config", str(config), "--input", str(recorded), "--json", str(home / "o.json")
    assert main(["backtest", *options]) == 0
    return json.loads((home / "o.json").read_text())


def test_a_label_with_a_stray_time_does_not_end_the_wait_for_others(tmp_path: Path, capsys: Output) -> None:
    events, labels = told("binary")
    config, recorded = configure(tmp_path), written(tmp_path, "e.jsonl", events)
    stray = labels[0] | {"id": "q", "ts": 2 * BEGIN}
    said = []
    for rows in (labels, [*labels, stray]):
        assert fit(config, "--input", recorded, "--label", "--labels", written(tmp_path, "l.jsonl", rows)) == 0
        said.append([line for line in capsys.readouterr().err.splitlines() if "may still come" in line])

    assert said[0] == said[1] != []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--label"], "no labels are read: --labels FILE… names recorded ones"),
        (["--label", "label"], "--label: the configuration says it, in topics.fields"),
        (["--positive", "1"], "--positive needs --label"),
        (["--label-topic", "outcomes"], "--label-topic needs --label"),
        (["--label", "--labels", "l.jsonl", "--label-topic", "none"], "is no configured topic of labels"),
        (["--label", "--labels", "l.jsonl", "--positive", "yes"], "no row has the positive label 'yes'"),
        (["--label", "--labels", "none.jsonl"], "none.jsonl: does not exist"),
        (["--label", "--labels", "empty.jsonl"], "empty.jsonl: is empty"),
        (
            ["--label", "--labels", "early.jsonl"],
            "no event has a label that can be used; labels of 3,001 events: 0 joined",
        ),
        (["--label", "--labels", "nobody.jsonl"], "outcomes: 2 labels were rejected: id_missing 2"),
        (["--label", "--labels", "other.jsonl"], "outcomes: 2 labels are of models that have none configured"),
        (
            ["--label", "--labels", "yes.jsonl"],
            "no row has the positive label '1'; others are 'yes', 'sure': name it by",
        ),
    ],
)
def test_mistakes_are_one_line(
    tmp_path: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch, options: list[str], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    events, labels = told("binary")
    written(tmp_path, "e.jsonl", events)
    written(tmp_path, "l.jsonl", labels)
    written(tmp_path, "empty.jsonl", [])
    written(tmp_path, "early.jsonl", [{"id": "r-1", "ts": BEGIN - 9 * LENGTH, "model": "churn", "label": 1}])
    both = [{"id": f"r-{n}", "ts": BEGIN, "model": "churn", "label": word} for n, word in enumerate(("yes", "sure"))]
    for name, more in {"nobody.jsonl": {"id": None}, "other.jsonl": {"model": "other"}, "yes.jsonl": {}}.items():
        written(tmp_path, name, [label | more for label in both])

    assert fit(configure(tmp_path), "--input", "e.jsonl", *options) == 2

    said = capsys.readouterr().err.splitlines()
    assert words in said[-1]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--label"], "--label: name the column"),
        (["--labels", "l.jsonl"], "--labels needs --config"),
        (["--label-topic", "outcomes"], "--label-topic needs --config"),
    ],
)
def test_without_a_configuration_labels_are_a_column(
    tmp_path: Path, capsys: Output, options: list[str], words: str
) -> None:
    events, _ = told("binary")
    recorded = written(tmp_path, "e.jsonl", events)

    assert main(["reference", "fit", "--input", str(recorded), "--output", str(tmp_path / "r.json"), *options]) == 2

    assert words in capsys.readouterr().err
