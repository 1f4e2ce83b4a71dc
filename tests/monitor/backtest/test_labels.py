"""Labels in `driftd backtest`: what a model would have been told to be worth, on a clock that is the record's."""

import json
from collections import defaultdict
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from detectors import LabelColumn, Reference
from monitor.backtest.labelled import MOST, Judgements
from monitor.cli import main
from monitor.facts import PerformanceJudged
from monitor.stream.events import HOUR, MINUTE
from tests.build import KEY
from tests.charted import seeded

Output = pytest.CaptureFixture[str]
BEGIN = 1_793_491_200_000  # 2026-11-01
LENGTH = HOUR // 10**6
ROWS = 20  # an hour
HOURS = 40


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A model of scores, judged when its windows are three hours old, and ten."""
    score = np.linspace(0, 1, 200)
    Reference.fit({"age": np.arange(200.0), "score": score}, prediction="score").save(tmp_path / "r.json")
    configure(tmp_path)
    return tmp_path


def configure(home: Path, **changes: Any) -> None:
    model = {
        "name": "churn",
        "reference": "r.json",
        "window": "1h",
        "lateness": "1m",
        "min_rows": 1,
        "labels": {"wait": "10h", "judge_at": ["3h", "10h"]},
    }
    settings = {
        "topics": [{"name": "predictions"}, {"name": "outcomes", "kind": "labels"}],
        "models": [model | changes.pop("model", {})],
        "state": str(home / "state"),
        **changes,
    }
    (home / "driftd.yaml").write_text(yaml.safe_dump(settings))


def told() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Events in the order of time, and labels, of which some are late, some corrected, and some never come."""
    rng = seeded()
    events, labels = [], []
    for n in range(HOURS * ROWS):
        at, score = BEGIN + n * (LENGTH // ROWS), round(float(rng.random()), 3)
        events.append({"id": f"r-{n}", "ts": at, "model": "churn", "features": {"age": 50.0}, "prediction": score})
        for _ in range(int(rng.integers(0, 3))):
            when = at + int(rng.exponential(4 * LENGTH))
            labels.append({"id": f"r-{n}", "ts": when, "model": "churn", "label": int(rng.random() < score)})
    return events, sorted(labels, key=lambda label: label["ts"])


def written(home: Path, name: str, rows: list[dict[str, Any]]) -> Path:
    (home / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return home / name


@pytest.fixture
def backtest(home: Path, capsys: Output) -> Callable[..., dict[str, Any]]:
    """The model's part of the JSON; `said` is what is printed."""

    def run(events: Path, *options: str | Path) -> dict[str, Any]:
        command = ["backtest", "--config", str(home / "driftd.yaml"), "--input", str(events), *map(str, options)]
        code = main([*command, "--json", str(home / "out.json"), "--report", str(home / "out.html")])
        printed = capsys.readouterr()
        assert code == 0, printed.err
        found = json.loads((home / "out.json").read_bytes())
        return found["models"][0] | {"events_read": found["events"], "said": printed.out, "hints": printed.err}

    return run


def as_anybody_would(
    events: list[dict[str, Any]], labels: list[dict[str, Any]], age: int
) -> dict[int, tuple[int, int, int]]:
    """By window: predictions, those with a label that had come by the age, and right ones."""
    last: dict[str, dict[int, int]] = defaultdict(dict)
    for label in labels:
        last[label["id"]][label["ts"]] = label["label"]
    found: dict[int, tuple[int, int, int]] = {}
    for event in events:
        start = event["ts"] // LENGTH * LENGTH
        known = {ts: label for ts, label in last[event["id"]].items() if ts <= start + LENGTH + age * LENGTH}
        predictions, labelled, right = found.get(start, (0, 0, 0))
        hit = bool(known) and known[max(known)] == (event["prediction"] >= 0.5)
        found[start] = predictions + 1, labelled + bool(known), right + hit
    return found


def windows(found: dict[str, Any], age: str) -> dict[str, tuple[int, int, float | None]]:
    [of_age] = [each for each in found["performance"] if each["age"] == age]
    return {each["start"]: (each["predictions"], each["labelled"], accuracy(each)) for each in of_age["judged"]}


def accuracy(window: dict[str, Any]) -> float | None:
    return next(each["value"] for each in window["metrics"] if each["metric"] == "accuracy")


def test_windows_are_judged_by_the_labels_that_had_come_by_their_age(
    home: Path, backtest: Callable[..., dict[str, Any]]
) -> None:
    events, labels = told()
    found = backtest(written(home, "e.jsonl", events), "--labels", written(home, "l.jsonl", labels))
    ends = events[-1]["ts"]

    for age in (3, 10):
        expected = {
            f"{np.datetime64(start, 'ms')}"[:19] + "Z": (
                many,
                known,
                pytest.approx(right / known, abs=1e-6) if known else None,
            )
            for start, (many, known, right) in as_anybody_would(events, labels, age).items()
        }
        judged = windows(found, f"{age}h")
        assert judged == {start: expected[start] for start in judged}
        old = sum(start + (1 + age) * LENGTH <= ends for start in as_anybody_would(events, labels, age))
        assert len(judged) >= old > 25  # the last labels, which are few, may look like those of a clock that runs fast
    assert [(each["age"], each["provisional"]) for each in found["performance"]] == [("3h", True), ("10h", False)]
    assert found["events_read"]["ok"] == len(events)
    assert found["labels"]["received"] == len(labels)
    assert "performance by labels of 10h" in found["said"]


def test_tables_and_labels_inside_their_predictions_tell_the_same(
    home: Path, backtest: Callable[..., dict[str, Any]]
) -> None:
    """Of a Parquet file, and where every event has its label."""
    events, _ = told()
    labels = [{"id": each["id"], "ts": each["ts"], "model": "churn", "label": n % 2} for n, each in enumerate(events)]
    lines = backtest(written(home, "e.jsonl", events), "--labels", written(home, "l.jsonl", labels))
    for name, rows in (("e.parquet", events), ("l.parquet", labels)):
        pq.write_table(pa.Table.from_pylist(rows), home / name)
    tables = backtest(home / "e.parquet", "--labels", home / "l.parquet")
    configure(home, topics=[{"name": "predictions", "fields": {"label": "label"}}])
    inside = [event | {"label": label["label"]} for event, label in zip(events, labels, strict=True)]
    within = backtest(written(home, "i.jsonl", inside))

    assert windows(tables, "10h") == windows(lines, "10h")
    assert dict(islice(windows(within, "10h").items(), len(windows(lines, "10h")))) == windows(lines, "10h")
    assert len(windows(within, "10h")) == HOURS  # nothing can come after the record's end


def test_an_end_leaves_out_predictions_and_no_labels_that_come_for_the_others(
    home: Path, backtest: Callable[..., dict[str, Any]]
) -> None:
    events, labels = told()
    files = written(home, "e.jsonl", events), "--labels", written(home, "l.jsonl", labels)
    whole, cut = backtest(*files), backtest(*files, "--until", "2026-11-01T20:00:00Z")

    assert len(windows(cut, "10h")) == 20
    assert windows(cut, "10h") == dict(islice(windows(whole, "10h").items(), 20))


def test_a_label_from_a_clock_that_runs_fast_lets_nothing_be_judged_before_its_time(
    home: Path, backtest: Callable[..., dict[str, Any]]
) -> None:
    events, labels = told()
    early = [each for each in labels if each["ts"] <= BEGIN + HOURS * LENGTH]
    stray = early[-1] | {"ts": BEGIN + 9_000 * LENGTH}
    record = written(home, "e.jsonl", events)
    plain = backtest(record, "--labels", written(home, "l.jsonl", early))
    strayed = backtest(record, "--labels", written(home, "l.jsonl", [*early, stray]))

    assert 0 < len(windows(plain, "10h")) < HOURS
    assert windows(strayed, "10h") == windows(plain, "10h")


def test_the_report_tells_performance_with_its_intervals(home: Path, backtest: Callable[..., dict[str, Any]]) -> None:
    events, labels = told()
    chargebacks = [each for each in labels if each["label"]]
    found = backtest(written(home, "e.jsonl", events), "--labels", written(home, "l.jsonl", chargebacks))
    report = (home / "out.html").read_text()

    assert "<h3>Performance</h3>" in report
    assert "10h after the prediction" in report
    assert "3h after the prediction, provisional" in report
    assert 'class="intervals"' in report
    assert "&lt;svg" not in report
    assert 'aria-label="Reliability diagram: mean score ' in report
    assert "Reliability in the window until 2026-11-" in report
    assert found["labels"]["received"] == len(chargebacks)


def test_a_fall_of_performance_is_an_alert_as_it_would_be_live(
    home: Path, backtest: Callable[..., dict[str, Any]]
) -> None:
    """From the middle on labels are the other way round."""
    limits = {"thresholds": {"accuracy": {"at_least": 0.9}}}
    configure(home, model={"performance": limits, "labels": {"wait": "3h"}})
    events = [each | {"prediction": 0.9 if n % 2 else 0.1} for n, each in enumerate(told()[0])]
    labels = [
        {"id": each["id"], "ts": each["ts"], "model": "churn", "label": (n + (n > HOURS * ROWS // 2)) % 2}
        for n, each in enumerate(events)
    ]
    backtest(written(home, "e.jsonl", events), "--labels", written(home, "l.jsonl", labels))
    found = json.loads((home / "out.json").read_bytes())

    [alert] = [each for each in found["alerts"] if each["rule"] == "performance"]
    assert "against at least 0.9" in alert["evidence"][0]["words"]
    assert "2026-11-01T20:00:00Z" < alert["fired_at"] <= "2026-11-02T00:00:00Z"


def test_labels_that_cannot_be_read_are_no_events_and_are_said(
    home: Path, backtest: Callable[..., dict[str, Any]]
) -> None:
    events, labels = told()
    file = written(home, "l.jsonl", labels)
    file.write_text(file.read_text() + "{broken\n" * 50)
    found = backtest(written(home, "e.jsonl", events), "--labels", file)
    whole = json.loads((home / "out.json").read_bytes())

    assert (whole["rejected"], whole["labels_rejected"]) == ({}, {"malformed_json": 50})
    assert found["events_read"]["rejected"] == 0
    assert f"outcomes: 50 of {len(labels) + 50:,} labels could not be used: malformed_json 50" in found["hints"]
    assert "malformed_json" in (home / "out.html").read_text()


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_a_file_of_which_no_label_can_be_read_is_said(
    home: Path, backtest: Callable[..., dict[str, Any]], form: str
) -> None:
    """Its ids are called otherwise."""
    events, labels = told()
    odd = [{"ref": each["id"], "ts": each["ts"], "model": "churn", "label": each["label"]} for each in labels]
    if form == "parquet":
        pq.write_table(pa.Table.from_pylist(odd), home / "l.parquet")
    else:
        written(home, "l.jsonl", odd)
    found = backtest(written(home, "e.jsonl", events), "--labels", home / f"l.{form}")

    assert f"outcomes: none of {len(odd):,} labels could be used: id_missing {len(odd):,}" in found["hints"]
    assert "`driftd explain --topic outcomes` shows why" in found["hints"]
    assert "churn/*: no label that could be used is of this model" in found["hints"]


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_labels_that_are_read_say_nothing(home: Path, backtest: Callable[..., dict[str, Any]], form: str) -> None:
    events, labels = told()
    if form == "parquet":
        pq.write_table(pa.Table.from_pylist(labels), home / "l.parquet")
    else:
        written(home, "l.jsonl", labels)
    found = backtest(written(home, "e.jsonl", events), "--labels", home / f"l.{form}")

    assert "labels" not in found["hints"].replace("test_labels", "")
    assert json.loads((home / "out.json").read_bytes())["labels_rejected"] == {}


def test_labels_without_a_value_are_withdrawn_and_that_is_said(
    home: Path, backtest: Callable[..., dict[str, Any]]
) -> None:
    events, labels = told()
    odd = [{"id": each["id"], "ts": each["ts"], "model": "churn", "outcome": each["label"]} for each in labels]
    found = backtest(written(home, "e.jsonl", events), "--labels", written(home, "l.jsonl", odd))

    assert "churn/*: its labels are withdrawn" in found["hints"]
    assert "nothing stands at fields.label" in found["hints"]


def test_labels_of_which_none_is_the_positive_one_have_no_precision_and_that_is_said(
    home: Path, backtest: Callable[..., dict[str, Any]]
) -> None:
    configure(
        home, model={"performance": {"thresholds": {"accuracy": {"at_least": 0.9}, "precision": {"at_least": 0.5}}}}
    )
    events, labels = told()
    said = [label | {"label": ["no", "yes"][label["label"]]} for label in labels]
    found = backtest(written(home, "e.jsonl", events), "--labels", written(home, "l.jsonl", said))
    metrics = [each for age in found["performance"] for window in age["judged"] for each in window["metrics"]]
    of_positives = [each for each in metrics if each["metric"] in {"precision", "recall", "f1", "mcc", "auroc"}]

    assert {each["value"] for each in of_positives} == {None}
    assert all("positive one, '1'" in each["because"] for each in of_positives if each["because"] != "no labelled row")
    assert "no label so far is the positive one" in found["hints"]
    assert "performance" not in {each["kind"] for each in json.loads((home / "out.json").read_bytes())["alerts"]}


def test_scores_that_are_none_are_told_by_reason_and_metrics_say_of_how_many_rows_they_are(
    home: Path, backtest: Callable[..., dict[str, Any]]
) -> None:
    events, labels = told()
    for number, event in enumerate(events):
        event["prediction"] = [event["prediction"], 1.5, None, event["prediction"]][number % 4]
    found = backtest(written(home, "e.jsonl", events), "--labels", written(home, "l.jsonl", labels))
    windows = [each for age in found["performance"] for each in age["judged"] if each["labelled"]]
    final = found["performance"][-1]["judged"]
    outside, missing = (
        sum(each["left_out"].get(reason, 0) for each in final) for reason in ("score_outside", "score_missing")
    )

    assert outside > 50
    for each in windows:
        rows = {metric["rows"] for metric in each["metrics"] if metric["metric"] in {"accuracy", "brier"}}
        assert rows == {each["labelled"] - sum(each["left_out"].values())}
    assert "labelled predictions could not be counted: " in found["said"]
    assert f"score_outside {outside:,}" in found["said"]
    assert (f"score_missing {missing:,}" in found["said"]) is (missing > 0)
    assert "could not be counted: score_outside" in (home / "out.html").read_text() or missing > outside


def test_labels_of_other_ids_find_no_prediction_and_that_is_said(
    home: Path, backtest: Callable[..., dict[str, Any]]
) -> None:
    events, labels = told()
    others = [each | {"id": f"x{each['id']}"} for each in labels]
    found = backtest(written(home, "e.jsonl", events), "--labels", written(home, "l.jsonl", others))

    assert f"churn/*: none of its {len(labels):,} labels found a prediction" in found["hints"]


@pytest.mark.parametrize(
    ("change", "accuracy_after"), [("constant=0.9", 0.5), ("times=0.01", 0.5), ("missing=100%", None), ("shift=0sd", 1)]
)
def test_a_change_planted_in_predictions_is_in_what_they_were_worth(
    home: Path, backtest: Callable[..., dict[str, Any]], change: str, accuracy_after: float | None
) -> None:
    """Every prediction was right until then; half of the labels are positive."""
    events = [each | {"prediction": 0.7 if n % 2 else 0.1} for n, each in enumerate(told()[0])]
    labels = [{"id": each["id"], "ts": each["ts"], "label": n % 2, "model": "churn"} for n, each in enumerate(events)]
    files = written(home, "e.jsonl", events), "--labels", written(home, "l.jsonl", labels)
    found = windows(backtest(*files, "--inject", f"__prediction__:{change}@2026-11-01T12:00:00Z"), "10h")

    before = [each[2] for start, each in found.items() if start < "2026-11-01T12"]
    after = [each[2] for start, each in found.items() if start >= "2026-11-01T12"]
    assert before == [1] * 12
    assert after
    assert after == [accuracy_after] * len(after)


@pytest.mark.parametrize(("change", "accuracy_after"), [("constant=no", 0.5), ("constant=maybe", None)])
def test_so_it_is_of_predicted_classes(
    home: Path, backtest: Callable[..., dict[str, Any]], change: str, accuracy_after: float | None
) -> None:
    """One that is none of the reference's is no prediction that could be right."""
    table = {"age": np.arange(200.0), "answer": ["no", "yes"] * 100}
    Reference.fit(table, prediction="answer").save(home / "r.json")
    events = [each | {"prediction": "yes" if n % 2 else "no"} for n, each in enumerate(told()[0])]
    labels = [{"id": e["id"], "ts": e["ts"], "label": e["prediction"], "model": "churn"} for e in events]
    files = written(home, "e.jsonl", events), "--labels", written(home, "l.jsonl", labels)
    found = windows(backtest(*files, "--inject", f"__prediction__:{change}@2026-11-01T12:00:00Z"), "10h")

    assert {each[2] for start, each in found.items() if start < "2026-11-01T12"} == {1}
    assert {each[2] for start, each in found.items() if start >= "2026-11-01T12"} == {accuracy_after}


def test_a_change_that_the_join_cannot_see_is_said(home: Path, backtest: Callable[..., dict[str, Any]]) -> None:
    events, labels = told()
    files = written(home, "e.jsonl", events), "--labels", written(home, "l.jsonl", labels)
    found = backtest(*files, "--inject", "__prediction__:swap=age@2026-11-01T12:00:00Z")

    assert "performance is told of the predictions without that change" in found["hints"]


def test_where_no_label_is_read_that_is_said(home: Path, backtest: Callable[..., dict[str, Any]]) -> None:
    events, _ = told()
    found = backtest(written(home, "e.jsonl", events))

    assert "churn/*: none of its labels are read; --labels FILE… names them" in found["hints"]
    assert (found["performance"], found["labels"]) == (None, None)


def test_a_record_that_ends_before_any_window_is_old_enough_says_so(
    home: Path, backtest: Callable[..., dict[str, Any]]
) -> None:
    configure(home, model={"labels": {"wait": "9d"}})
    events, labels = told()
    found = backtest(written(home, "e.jsonl", events), "--labels", written(home, "l.jsonl", labels[:5]))

    assert found["performance"] == []
    assert "churn/*: no window is 9d old when the record ends" in found["hints"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--kafka", "--labels", "l.jsonl"], "with --kafka the topics of labels are read"),
        (["--input", "e.jsonl", "--label-topic", "outcomes"], "--label-topic outcomes: needs --labels FILE…"),
        (
            ["--input", "e.jsonl", "--labels", "l.jsonl", "--label-topic", "predictions"],
            "--label-topic predictions: is no configured topic of labels; there is outcomes",
        ),
        (["--input", "e.jsonl", "--labels", "l.txt"], "--labels l.txt: .txt is no format known here"),
        (["--input", "e.jsonl", "--labels", "gone.jsonl"], "gone.jsonl: does not exist"),
    ],
)
def test_mistakes_are_said_in_one_line(
    home: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch, options: list[str], words: str
) -> None:
    monkeypatch.chdir(home)
    events, labels = told()
    written(home, "e.jsonl", events)
    written(home, "l.jsonl", labels)

    assert main(["backtest", "--config", "driftd.yaml", *options]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert len(said.splitlines()) == 1


def test_windows_are_thinned_evenly_and_counted() -> None:
    judgements = Judgements()
    for n in range(3 * MOST):
        at = n * MINUTE
        judgements.take(PerformanceJudged(KEY, at, at + MINUTE, HOUR, True, "binary", 1, 1, 1.0, ()))
    [judged] = judgements.by_age()
    apart = {two.start - one.start for one, two in zip(judged.judged, judged.judged[1:], strict=False)}

    assert judged.windows == 3 * MOST
    assert len(judged.judged) < MOST
    assert len(apart) == 1


def test_a_threshold_that_is_broken_is_an_incident_of_performance(home: Path, capsys: Output) -> None:
    """Scores say nothing of these labels: accuracy is that of a coin."""
    configure(home, model={"performance": {"thresholds": {"accuracy": {"at_least": 0.9}}}})
    rng = seeded()
    scores, answers = rng.random(HOURS * ROWS), rng.integers(0, 2, HOURS * ROWS)
    events = [
        {"id": f"r-{n}", "ts": BEGIN + n * (LENGTH // ROWS), "model": "churn", "features": {"age": 50.0}}
        | {"prediction": round(float(score), 3)}
        for n, score in enumerate(scores)
    ]
    labels = [
        {"id": event["id"], "ts": event["ts"], "model": "churn", "label": int(answer)}
        for event, answer in zip(events, answers, strict=True)
    ]
    paths = [written(home, "events.jsonl", events), written(home, "labels.jsonl", labels)]
    command = ["backtest", "--config", home / "driftd.yaml", "--input", paths[0], "--labels", paths[1]]
    assert main([*map(str, command), "--json", str(home / "out.json"), "--report", str(home / "out.html")]) == 0

    found = json.loads((home / "out.json").read_bytes())
    [incident] = [each for each in found["incidents"] if each["kind"] == "performance"]
    assert "against at least 0.90" in incident["features"][0]["words"]
    assert [each["reason"] for each in (*found["retrains"], *found["suppressed"])][-1] == "performance"
    said = capsys.readouterr().out
    assert "against at least 0.90" in said
    pages = sum(each["severity"] == "critical" for each in found["alerts"])
    others = pages - sum(each["rule"] == "drift" for each in found["alerts"])
    assert incident["severity"] == "critical"
    assert f"  {pages} page" in said
    assert others == 1
    assert found["open_share"]["churn/*"] > 0.4  # of forty hours
    assert "against at least 0.90" in (home / "out.html").read_text()


def test_columns_are_said_to_be_what_they_are_mapped_as(home: Path, backtest: Callable[..., dict[str, Any]]) -> None:
    """An id and a label are no features, and labels have no prediction."""
    events, labels = told()
    for name, rows in (("e.parquet", events), ("l.parquet", labels)):
        pq.write_table(pa.Table.from_pylist(rows), home / name)

    backtest(home / "e.parquet", "--labels", home / "l.parquet")

    hints = json.loads((home / "out.json").read_bytes())["hints"]
    said = {hint.split(": ")[0].rpartition("/")[2]: hint.split(": ")[1] for hint in hints if "timestamp from" in hint}
    assert said["l.parquet"] == "timestamp from ts, model from model, id from id, label from label"
    assert "id from id, prediction from prediction, 1 features" in said["e.parquet"]


@pytest.mark.parametrize("negative", [None, "no"])
@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_words_are_the_same_label_in_small_letters_and_in_capitals(
    home: Path, backtest: Callable[..., dict[str, Any]], form: str, negative: str | None
) -> None:
    """People type Yes, yes and YES; another word is the other label, or none."""
    events, labels = told()
    plain = backtest(written(home, "e.jsonl", events), "--labels", written(home, "l.jsonl", labels))
    words = {1: ("yes", "Yes", "YES"), 0: ("no", "No", "NO")}
    spelled = [label | {"label": words[label["label"]][n % 3]} for n, label in enumerate(labels)]
    told_by = {"wait": "10h", "judge_at": ["3h", "10h"], "positive": "yes"} | (
        {"negative": negative} if negative else {}
    )
    configure(home, model={"labels": told_by})
    file = written(home, "l.jsonl", spelled)
    if form == "parquet":
        file = home / "l.parquet"
        pq.write_table(pa.Table.from_pylist(spelled), file)

    found = backtest(home / "e.jsonl", "--labels", file)

    said = json.dumps(found["performance"]).replace("'yes'", "'1'")  # where a window lacks it, it is named
    assert json.loads(said) == plain["performance"]
    assert found["labels"] == plain["labels"]


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
@pytest.mark.parametrize("held", ["object", "list"])
def test_scores_of_classes_and_the_reference_s_labels_give_more_metrics(
    home: Path, backtest: Callable[..., dict[str, Any]], held: str, form: str
) -> None:
    rng = seeded()
    names = [f"c{k}" for k in range(6)]
    reference = {"age": np.arange(300.0), "said": rng.choice(names, 300)}
    Reference.fit(reference, prediction="said").save(home / "r.json")
    fields = {"scores": "probabilities"}
    configure(
        home,
        topics=[{"name": "predictions", "fields": fields}, {"name": "outcomes", "kind": "labels"}],
        model={"performance": {"classes": names, "thresholds": {"top_3_accuracy": {"at_least": 0.2}}}},
    )
    events, _ = told()
    labels, hits = [], []
    for event in events:
        scores = rng.random(6).round(2)
        label = int(rng.integers(6))
        event["probabilities"] = dict(zip(names, scores.tolist(), strict=True)) if held == "object" else scores.tolist()
        event["prediction"] = names[int(scores.argmax())]
        labels.append({"id": event["id"], "ts": event["ts"], "model": "churn", "label": names[label]})
        hits.append(label in sorted(range(6), key=lambda at: (scores[at], at))[-3:])
    file = written(home, "e.jsonl", events)
    if form == "parquet":
        file = home / "e.parquet"
        pq.write_table(pa.Table.from_pylist(events), file)
    found = backtest(file, "--labels", written(home, "l.jsonl", labels))

    assert "no column probabilities" not in found["hints"]
    [*_, of_age] = found["performance"]
    for number, window in enumerate(of_age["judged"]):
        metrics = {each["metric"]: each for each in window["metrics"]}
        told_here = metrics["top_3_accuracy"]
        assert told_here["value"] == pytest.approx(np.mean(hits[number * ROWS : (number + 1) * ROWS]), abs=1e-6)
        assert told_here["lower"] < told_here["value"] < told_here["upper"] or told_here["value"] == 1
        assert metrics["top_5_accuracy"]["value"] >= told_here["value"]


@pytest.mark.parametrize(
    ("performance", "words"),
    [
        ({"metrics": ["top_3_accuracy"]}, "'top_3_accuracy' is none of task binary"),
        ({"metrics": ["r2_reference"], "task": "regression"}, "'r2_reference' needs a reference with labels"),
        (
            {"metrics": ["top_5_accuracy"], "task": "multiclass", "classes": ["1", "2"]},
            "'top_5_accuracy' needs topics.fields.scores and more than 5 classes",
        ),
    ],
)
def test_a_metric_that_needs_more_says_what(
    home: Path, capsys: Output, performance: dict[str, Any], words: str
) -> None:
    configure(home, model={"performance": performance})

    assert main(["check", "--config", str(home / "driftd.yaml")]) == 2

    assert words in capsys.readouterr().err


def test_numbers_are_held_against_the_spread_of_the_reference_s_labels(
    home: Path, backtest: Callable[..., dict[str, Any]]
) -> None:
    rng = seeded()
    said = rng.normal(50, 9, 400)
    table = {"age": np.arange(400.0), "said": said, "true": said + rng.normal(2, 3, 400)}
    Reference.fit(table, prediction="said", label="true").save(home / "r.json")
    configure(home, model={"performance": {"thresholds": {"r2_reference": {"at_least": 0.5}}}})
    events, _ = told()
    labels = []
    for event in events:
        event["prediction"] = round(float(rng.normal(50, 9)), 2)
        true = round(event["prediction"] + float(rng.normal(0, 3)), 2)
        labels.append({"id": event["id"], "ts": event["ts"], "model": "churn", "label": true})
    found = backtest(written(home, "e.jsonl", events), "--labels", written(home, "l.jsonl", labels))

    [*_, of_age] = found["performance"]
    centre = float(np.mean(table["true"]))
    for number, window in enumerate(of_age["judged"]):
        rows = slice(number * ROWS, (number + 1) * ROWS)
        p = np.array([event["prediction"] for event in events[rows]])
        y = np.array([label["label"] for label in labels[rows]])
        metric = next(each for each in window["metrics"] if each["metric"] == "r2_reference")
        assert metric["value"] == pytest.approx(1 - np.sum((p - y) ** 2) / np.sum((y - centre) ** 2), abs=1e-6)
        assert metric["lower"] < metric["value"] < metric["upper"]


def labelled_reference(home: Path, rng: np.random.Generator) -> Reference:
    """Of scores that say with what chance the label is 1."""
    scores = rng.random(4000)
    table = {"age": np.arange(4000.0), "score": scores, "true": (rng.random(4000) < scores).astype(int)}
    reference = Reference.fit(table, prediction="score", label="true")
    reference.save(home / "r.json")
    return reference


def many_events(rng: np.random.Generator) -> list[dict[str, Any]]:
    scores = rng.random(4 * HOURS * ROWS).round(3).tolist()
    step = LENGTH // ROWS // 4
    return [
        {"id": f"r-{n}", "ts": BEGIN + n * step, "model": "churn", "features": {"age": 50.0}, "prediction": score}
        for n, score in enumerate(scores)
    ]


def test_estimates_without_labels_are_those_of_the_library(home: Path, backtest: Callable[..., dict[str, Any]]) -> None:
    rng = seeded()
    reference, events = labelled_reference(home, rng), many_events(rng)
    found = backtest(written(home, "e.jsonl", events))

    assert found["performance"] is None
    assert found["estimated"]["windows"] == len(found["estimated"]["judged"]) == HOURS
    assert reference.performance is not None
    estimator = reference.performance.estimator()
    for number, window in enumerate(found["estimated"]["judged"]):
        scores = [event["prediction"] for event in events[4 * ROWS * number : 4 * ROWS * (number + 1)]]
        expected = estimator.estimate(scores)
        assert (window["predictions"], window["outside"]) == (4 * ROWS, pytest.approx(expected.outside, abs=1e-6))
        metrics = {each["metric"]: each for each in window["metrics"]}
        accuracy = expected.metrics["accuracy"]
        wanted = [accuracy.value, *accuracy.interval]  # type: ignore[union-attr, misc]
        assert [metrics["accuracy"][key] for key in ("value", "lower", "upper")] == pytest.approx(wanted, abs=1e-6)
        assert metrics["log_loss"]["because"] == "not estimated without labels"
    assert f"estimated without labels, first to last of {HOURS} windows: accuracy 0." in found["said"]
    report = (home / "out.html").read_text()
    assert "Estimated without labels" in report
    assert "Performance of churn/*, estimated without labels" in report


def test_estimates_stand_beside_what_labels_said(home: Path, backtest: Callable[..., dict[str, Any]]) -> None:
    """Labels are the contrary of what the reference's say: that is beyond chance."""
    rng = seeded()
    labelled_reference(home, rng)
    events = many_events(rng)
    labels = [
        {"id": event["id"], "ts": event["ts"], "model": "churn", "label": int(rng.random() > event["prediction"])}
        for event in events
    ]
    found = backtest(written(home, "e.jsonl", events), "--labels", written(home, "l.jsonl", labels))

    [*_, of_age] = found["performance"]
    window = of_age["judged"][0]
    [estimated] = [each for each in window["estimated"] if each["metric"] == "accuracy"]
    [apart] = [each for each in window["difference"] if each["metric"] == "accuracy"]
    assert apart["value"] == pytest.approx(accuracy(window) - estimated["value"], abs=2e-6)  # type: ignore[operator]
    assert apart["beyond_chance"]
    assert apart["upper"] < 0


def test_where_nothing_can_be_estimated_the_reason_is_told(
    home: Path, backtest: Callable[..., dict[str, Any]], capsys: Output
) -> None:
    """Windows of twenty predictions are too few; at a threshold that the reference has not counted nothing is told."""
    labelled_reference(home, seeded())
    events, _ = told()
    found = backtest(written(home, "e.jsonl", events))

    assert {each["because"] for each in found["estimated"]["judged"][0]["metrics"]} == {"20 predictions, fewer than 30"}
    assert f"estimated without labels, first to last of {HOURS} windows: 20 predictions, fewer than 30" in found["said"]
    configure(home, model={"performance": {"threshold": 0.123}})
    assert main(["check", "--offline", "--config", str(home / "driftd.yaml")]) == 0
    assert "estimated without labels: nothing, for the reference's labels were counted" in capsys.readouterr().out


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_check_says_what_will_be_estimated(home: Path, capsys: Output, task: str) -> None:
    rng = seeded()
    numbers, classes = rng.normal(9, 5, 500), rng.choice(["a", "b"], 500)
    said, true = {
        "binary": (rng.random(500), (rng.random(500) < 0.5).astype(int)),
        "multiclass": (classes, classes),
        "regression": (numbers, numbers + rng.normal(size=500)),
    }[task]
    reference = Reference.fit({"age": np.arange(500.0), "y": said, "t": true}, prediction="y", label="t")
    reference.save(home / "r.json")

    assert main(["check", "--offline", "--config", str(home / "driftd.yaml")]) == 0
    line = next(each for each in capsys.readouterr().out.splitlines() if "estimated without labels" in each)
    assert "by 500 labels of the reference" in line
    assert main(["check", "--offline", "--json", "--config", str(home / "driftd.yaml")]) == 0
    found = json.loads(capsys.readouterr().out)["models"][0]["estimates"]
    names = [each["metric"] for each in found["metrics"]]
    usual = {"binary": "accuracy", "multiclass": "macro_f1", "regression": "rmse"}[task]
    value = next(each["value"] for each in found["metrics"] if each["metric"] == usual)
    assert reference.performance is not None
    assert value == reference.performance.metrics()[usual].value  # type: ignore[union-attr]
    left = {"binary": "brier", "multiclass": "", "regression": "r2_reference"}[task]
    assert (left in found["not_estimated"]) is bool(left)
    assert not set(names) & set(found["not_estimated"])


@pytest.mark.parametrize(
    ("metric", "why"),
    [
        ("top_3_accuracy", "is not known of the reference, which has no scores of classes: fit it with them"),
        ("r2_reference", "is not known of the reference's own windows; give it one of thresholds"),
    ],
)
def test_what_the_reference_s_windows_do_not_say_is_not_watched(
    home: Path, capsys: Output, metric: str, why: str
) -> None:
    rng = seeded()
    numbers, classes = rng.normal(50, 9, 400), rng.choice(list("abcdef"), 400)
    said = numbers if metric == "r2_reference" else classes
    table = {"age": np.arange(400.0), "said": said, "true": numbers + 1 if metric == "r2_reference" else classes}
    Reference.fit(table, prediction="said", label="true").save(home / "r.json")
    topics = [{"name": "predictions", "fields": {"scores": "scores"}}, {"name": "outcomes", "kind": "labels"}]
    budget = {"alerting": {"false_alarms_per_month": 1}}
    check = ["check", "--offline", "--config", str(home / "driftd.yaml")]

    configure(home, topics=topics, model={"performance": {"metrics": [metric]}}, **budget)
    assert main(check) == 0
    told = capsys.readouterr().out
    unscored = metric == "top_3_accuracy"
    assert (f"{metric}: no chart, for the reference has no scores of classes" in told) is unscored
    assert ("no chart" in told) is unscored
    configure(home, topics=topics, model={"performance": {"watch": [metric]}}, **budget)
    assert main(check) == 2
    assert f"{metric} {why}" in capsys.readouterr().err


def test_a_reference_of_fewer_classes_than_live_says_so_of_what_needs_more(home: Path, capsys: Output) -> None:
    """Scores of three classes say nothing of the three highest; of six they do."""
    names, rng = list("abcdef"), seeded()
    said, scores = rng.choice(list("abc"), 6000), rng.random(6000)
    at = np.datetime64("2026-01-01", "ns") + np.arange(6000) * np.timedelta64(1, "m")
    table = {"age": np.arange(6000) % 100.0, "said": said, "true": said, "at": at} | {f"p_{k}": scores for k in "abc"}
    label = LabelColumn("true", scores="p_")
    Reference.fit(table, prediction="said", label=label, timestamp="at", window="1h").save(home / "r.json")
    topics = [{"name": "predictions", "fields": {"scores": "scores"}}, {"name": "outcomes", "kind": "labels"}]
    budget = {"alerting": {"false_alarms_per_month": 1}}
    check = ["check", "--offline", "--config", str(home / "driftd.yaml")]
    why = "has 3 classes, too few for it: fit it with rows of more, and their scores"

    configure(home, topics=topics, model={"performance": {"classes": names, "metrics": ["top_3_accuracy"]}}, **budget)
    assert main(check) == 0
    assert f"top_3_accuracy: no chart, for the reference {why}" in capsys.readouterr().out
    configure(home, topics=topics, model={"performance": {"classes": names, "watch": ["top_3_accuracy"]}}, **budget)
    assert main(check) == 2
    assert f"top_3_accuracy is not known of the reference, which {why}" in capsys.readouterr().err
