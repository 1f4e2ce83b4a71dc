"""`driftd explain`: each kind of message, and what the mapping made of it."""

import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from detectors import Reference
from monitor.cli import main

Output = pytest.CaptureFixture[str]

EVENT: dict[str, Any] = {
    "id": "r-1",
    "ts": 1_763_870_700_000,
    "model": "churn",
    "version": "3",
    "features": {"age": 41.5, "plan": "pro"},
    "prediction": 0.83,
}
FRAMED = "framed by a schema registry (schema 7, Avro or Protobuf by its look): the topic's format is avro or protobuf, not json"
OK = "ok: churn version 3, event time 2025-11-23T04:05:00Z"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    Reference.fit({"age": [1.0, 99.0], "plan": ["pro", "free"], "score": [0.1, 0.9]}, prediction="score").save(
        tmp_path / "r.json"
    )
    path = tmp_path / "driftd.yaml"
    settings = {
        "topics": [{"name": "predictions"}, {"name": "flat", "fields": {"features": "", "prediction": "result.p"}}],
        "models": [{"name": "churn", "version": "3", "reference": "r.json"}],
        "webhooks": [{"name": "trainer", "url": "https://trainer.invalid/", "secret_env": "NOT_SET_ANYWHERE"}],
    }
    path.write_text(yaml.safe_dump(settings))
    return path


def explained(
    config: Path, output: Output, *messages: str | bytes | dict[str, Any], topic: str | None = None
) -> list[str]:
    lines = [json.dumps(one) if isinstance(one, dict) else one for one in messages]
    raw = b"\n".join(line.encode() if isinstance(line, str) else line for line in lines)
    (config.parent / "events").write_bytes(raw)
    options = [] if topic is None else ["--topic", topic]
    code = main(["explain", "--config", str(config), str(config.parent / "events"), *options])
    said = output.readouterr()
    assert said.err == ""
    assert code == (0 if ": ok: " in said.out else 1)
    *lines, totals = said.out.splitlines()
    assert " rows: " in totals
    return lines


def test_a_good_message_is_shown_field_by_field(config: Path, capsys: Output) -> None:
    assert explained(config, capsys, EVENT) == [
        f"1: {OK}",
        "1:    age = 41.5",
        "1:    __prediction__ = 0.83",
        "1:    plan = 'pro'",
    ]


def test_fields_that_do_not_count_have_their_reason(config: Path, capsys: Output) -> None:
    features = '{"age": "41", "plan": "gold", "zip": 1}'
    raw = f'{{"ts": 1763870700000, "model": "churn", "version": 3, "features": {features}, "prediction": NaN}}'

    assert explained(config, capsys, raw) == [
        f"1: {OK}",
        "1:    age: number_as_text",
        "1:    __prediction__: non_finite",
        "1:    plan = 'gold' (unseen in the reference)",
        "1:    unknown, ignored: 'zip'",
    ]


@pytest.mark.parametrize("age", [1_763_870_700_123, 0.123456789012, 1234567.5, 1e22, -0.1])
def test_a_number_is_shown_as_it_is_counted(config: Path, capsys: Output, age: float) -> None:
    """No digit of it is rounded away: 1.76387e+12 would be any time of a week."""
    (said,) = (line for line in explained(config, capsys, EVENT | {"features": {"age": age}}) if " age = " in line)

    assert float(said.partition(" = ")[2]) == age


def test_half_a_character_is_written_as_it_came(config: Path, capsys: Output) -> None:
    (config.parent / "events").write_text(json.dumps(EVENT | {"features": {"plan": "\ud800", "\udfff": 1}}))

    assert main(["explain", "--json", "--config", str(config), str(config.parent / "events")]) == 0
    explained, _ = map(json.loads, capsys.readouterr().out.splitlines())
    assert explained["unknown"] == ["\udfff"]
    assert {"feature": "plan", "value": "\ud800", "unseen": True}.items() <= explained["fields"][-1].items()


@pytest.mark.parametrize(
    ("features", "said"),
    [
        ({"age": [1]}, "age: wrong_type"),
        ({"age": None}, "age: missing"),
        ({"plan": {"a": 1}}, "plan: wrong_type"),
        ({}, "plan: missing"),
        ({"plan": 3}, "plan = '3' (unseen in the reference)"),
        (
            {f"x{n}": n for n in range(12)},
            "unknown, ignored: " + ", ".join(f"'x{n}'" for n in range(10)) + " and 2 more",
        ),
    ],
)
def test_one_field(config: Path, capsys: Output, features: dict[str, Any], said: str) -> None:
    assert f"1:    {said}" in explained(config, capsys, {**EVENT, "features": features})


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ({**EVENT, "ts": 1_763_870_700}, "timestamp_before_2000: ts is 1763870700 in ms"),
        ({**EVENT, "ts": "yesterday"}, "timestamp_invalid: ts is 'yesterday'"),
        ({**EVENT, "ts": None}, "timestamp_missing: ts is None"),
        ({**EVENT, "model": 7}, "model_invalid: model is 7"),
        ({**EVENT, "version": {"a": 1}}, "version_invalid: version is {'a': 1}"),
        ({**EVENT, "features": None}, "features_missing: features is None"),
        ({**EVENT, "features": [1]}, "features_invalid: features is [1]"),
        (
            {"time": 1, "model": "churn", "features": {}},
            "timestamp_missing: ts is not there; the message has time, model, features",
        ),
        (
            b"\0\0\0\0\x07\x02\x06abc",
            "schema_registry_framed: " + FRAMED,
        ),
        ("", "empty"),
        ("nope", "malformed_json"),
        ("[1]", "not_object"),
        (b'{"a": "\xff"}', "invalid_utf8"),
        ("[" * 40 + "]" * 40, "too_deep"),
        (" " * (1 << 20) + "{}", "too_large"),
    ],
)
def test_a_message_that_is_rejected(config: Path, capsys: Output, message: Any, said: str) -> None:
    assert explained(config, capsys, message, EVENT)[0] == f"1: rejected: {said}"


def test_a_message_from_the_future_is_rejected(config: Path, capsys: Output) -> None:
    ahead = round((datetime.now(UTC) + timedelta(minutes=11)).timestamp() * 1000)

    assert explained(config, capsys, {**EVENT, "ts": ahead}) == [
        f"1: rejected: timestamp_in_future: ts is {ahead} in ms"
    ]


def test_an_unmonitored_message_says_what_it_is_and_what_there_is(config: Path, capsys: Output) -> None:
    said = "there is churn version 3 (event time 2025-11-23T04:05:00Z)"

    assert explained(config, capsys, {**EVENT, "model": "chrun"}, {**EVENT, "version": None}) == [
        f"1: unmonitored: chrun version 3; {said}",
        f"2: unmonitored: churn version (none); {said}",
    ]


def test_another_topic_has_its_own_mapping(config: Path, capsys: Output) -> None:
    flat = {"ts": "2025-11-23T04:05:00Z", "model": "churn", "version": 3, "age": 20, "plan": "free", "result": {"p": 1}}

    assert explained(config, capsys, flat, topic="flat") == [
        f"1: {OK}",
        "1:    age = 20",
        "1:    __prediction__ = 1",
        "1:    plan = 'free'",
    ]


def test_standard_input_is_read_where_no_file_is_named(
    config: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(json.dumps(EVENT).encode() + b"\r\n")))

    assert main(["explain", "--config", str(config)]) == 0
    assert capsys.readouterr().out.startswith(f"1: {OK}\n")


def test_where_no_message_is_accepted_the_answer_is_no(config: Path, capsys: Output) -> None:
    (config.parent / "events").write_bytes(b"nope\n")

    assert main(["explain", "--config", str(config), str(config.parent / "events")]) == 1
    assert capsys.readouterr() == (
        "1: rejected: malformed_json\n1 rows: 0 ok, 1 rejected (malformed_json 1), 0 unmonitored\n",
        "",
    )


def test_the_last_line_has_the_totals(config: Path, capsys: Output) -> None:
    unnamed = {name: value for name, value in EVENT.items() if name != "model"}
    rows = [
        EVENT,
        unnamed,
        {**EVENT, "features": {"age": None, "plan": "pro", "zip": 1}},
        {**EVENT, "version": "9"},
        "x",
    ]
    (config.parent / "events").write_text("\n".join(one if isinstance(one, str) else json.dumps(one) for one in rows))

    assert main(["explain", "--config", str(config), str(config.parent / "events")]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == (
        "5 rows: 3 ok (churn version 3 3), 1 rejected (malformed_json 1), 1 unmonitored (churn version 9 1); "
        "without a value: age 1; unknown, ignored: zip 1"
    )
    assert main(["explain", "--config", str(config), str(config.parent / "events"), "--json"]) == 0
    totals = json.loads(capsys.readouterr().out.splitlines()[-1])["totals"]
    assert (totals["ok"], totals["rejected"], totals["unmonitored"]) == (3, 1, 1)
    assert (totals["reasons"], totals["missing"]) == ({"malformed_json": 1}, {"age": 1})


def test_the_keys_there_are_stand_where_the_mapped_one_is_not(config: Path, capsys: Output) -> None:
    """One level down too: `result` is there, `result.p` is not."""
    flat = {"ts": 1_763_870_700_000, "model": "churn", "version": 3, "age": 20, "result": {"score": 1}}

    assert explained(config, capsys, flat, topic="flat")[2:] == [
        "1:    __prediction__: missing: result.p is not there; result has score",
        "1:    plan: missing: plan is not there; the message has ts, model, version, age, result",
    ]


def test_each_message_is_a_line_of_json_for_programs(config: Path, capsys: Output) -> None:
    messages = [EVENT | {"features": {"age": "41", "plan": "gold", "zip": 1}}, {**EVENT, "model": "chrun"}, {}]
    (config.parent / "events").write_text("\n".join(map(json.dumps, messages)))

    assert main(["explain", "--config", str(config), str(config.parent / "events"), "--json"]) == 0
    ok, unmonitored, rejected, _ = map(json.loads, capsys.readouterr().out.splitlines())
    assert ok == {
        "line": 1,
        "row": 1,
        "outcome": "ok",
        "reason": None,
        "detail": None,
        "model": "churn",
        "version": "3",
        "event_time": "2025-11-23T04:05:00Z",
        "fields": [
            {"feature": "age", "value": None, "reason": "number_as_text", "unseen": False, "detail": None},
            {"feature": "__prediction__", "value": 0.83, "reason": None, "unseen": False, "detail": None},
            {"feature": "plan", "value": "gold", "reason": None, "unseen": True, "detail": None},
        ],
        "unknown": ["zip"],
        "contract": None,
        "half": None,
    }
    assert (unmonitored["outcome"], unmonitored["model"], unmonitored["fields"]) == ("unmonitored", "chrun", [])
    assert (rejected["outcome"], rejected["reason"], rejected["detail"]) == (
        "rejected",
        "timestamp_missing",
        "ts is not there; the message is empty",
    )
    assert ok.keys() == unmonitored.keys() == rejected.keys()


def test_mistakes_are_one_line(config: Path, capsys: Output) -> None:
    assert main(["explain", "--config", str(config), "--topic", "nope"]) == 2
    assert main(["explain", "--config", str(config), str(config.parent / "nope")]) == 2
    assert main(["explain", "--config", str(config), str(config.parent)]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "driftd: --topic nope: is not configured; there is predictions, flat",
        f"driftd: {config.parent / 'nope'}: cannot be read: No such file or directory",
        f"driftd: {config.parent}: cannot be read: Is a directory",
    ]


@pytest.mark.parametrize("name", ["live.parquet", "live.PQ", "neu.csv"])
def test_a_table_is_refused_with_what_reads_it(config: Path, capsys: Output, name: str) -> None:
    path = config.parent / name
    path.write_text("ts;age\n2025-01-01T00:00:00Z;3,5\n")

    assert main(["explain", "--config", str(config), str(path)]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err == (
        f"driftd: {path}: explain reads messages, one JSON a line; of a table, `driftd reference fit --config` "
        "and `driftd backtest --input` say what they read from which column\n"
    )


def test_what_breaks_the_contract_is_named(config: Path, capsys: Output) -> None:
    """By its rules, in words and for programs; a share that may be missing is broken by no single row."""
    columns = {
        "age": {"type": "integer", "required": True, "max": 99},
        "plan": {"type": "text", "values": ["pro", "free"], "max_missing": 0.1},
        "__id__": {"required": True},
        "__prediction__": {"type": "number"},
    }
    contract = {"format": "driftd.contract/1", "new_columns": "refused", "columns": columns}
    (config.parent / "c.yaml").write_text(yaml.safe_dump(contract))
    settings = yaml.safe_load(config.read_text())
    settings["models"][0]["contract"] = "c.yaml"
    config.write_text(yaml.safe_dump(settings))
    broken = EVENT | {"id": None, "features": {"age": 120, "plan": "gold", "zip": 1}}
    kept = EVENT | {"features": {"age": 41}}

    lines = explained(config, capsys, broken, kept)
    main(["explain", "--json", "--config", str(config), str(config.parent / "events")])
    first, second, totals = map(json.loads, capsys.readouterr().out.splitlines())

    assert "1:    breaks the contract: __id__ required, age max, plan values, zip new" in lines
    assert len([line for line in lines if "contract" in line]) == 1
    assert [(each["field"], each["rule"]) for each in first["contract"]] == [
        ("__id__", "required"),
        ("age", "max"),
        ("plan", "values"),
        ("zip", "new"),
    ]
    assert second["contract"] == []
    assert totals["totals"]["contract"] == {"age max": 1, "plan values": 1, "__id__ required": 1, "zip new": 1}


def test_scores_of_classes_are_told_together(tmp_path: Path, capsys: Output) -> None:
    names = ["1", "2", "3", "4"]
    Reference.fit({"age": [1.0, 99.0] * 2, "said": names}, prediction="said").save(tmp_path / "r.json")
    settings = {
        "topics": [
            {"name": "predictions", "fields": {"scores": "output.p"}},
            {"name": "outcomes", "kind": "labels"},
        ],
        "models": [
            {
                "name": "churn",
                "version": "3",
                "reference": "r.json",
                "labels": {"wait": "1d"},
                "performance": {"classes": names},
            }
        ],
    }
    (tmp_path / "driftd.yaml").write_text(yaml.safe_dump(settings))
    given: list[object] = [{"1.0": 0.5, "2": 0.5}, [0.1, 0.2, 0.3, 0.4], {"one": 1.0}, [0.1], None]
    events = [EVENT | {"features": {"age": 41.5}, "prediction": "2", "output": {"p": scores}} for scores in given]

    said = [line for line in explained(tmp_path / "driftd.yaml", capsys, *events) if "scores of classes" in line]

    nothing = "output.p has no number for any of '1', '2', '3', '4', nor a list of 4 numbers"
    assert [line.split("scores of classes", 1)[1] for line in said] == [
        " = 2",
        " = 4",
        f": scores_invalid: {nothing}",
        f": scores_invalid: {nothing}",
        ": missing",
    ]
