"""debezium and otel as a configuration names them: options reach the decoder, a wrong one is one line, explain says what is read."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from detectors import Reference
from monitor.app import build_decoders
from monitor.cli import main
from monitor.configuration import load
from monitor.settings import ConfigError, load_settings
from monitor.sources.base import TopicRecords
from monitor.sources.formats.registry import options_of
from tests.fakes import NOON

DEBEZIUM = {
    "before": None,
    "after": {"id": "r-1", "amount": "BNI=", "name": "pro", "at": NOON // 1_000},
    "source": {"connector": "postgresql", "db": "d", "table": "t", "snapshot": "false", "ts_ms": NOON // 1_000_000},
    "op": "c",
}
OTEL = {
    "resourceSpans": [
        {
            "scopeSpans": [
                {
                    "spans": [
                        {
                            "traceId": "5b8efff798038103d269b633813fc60c",
                            "spanId": "eee19b7ec3c1b174",
                            "startTimeUnixNano": str(NOON),
                            "endTimeUnixNano": str(NOON + 250_000_000),
                            "attributes": [
                                {"key": "llm.model_name", "value": {"stringValue": "m"}},
                                {"key": "mine", "value": {"stringValue": "churn"}},
                                {"key": "amount", "value": {"doubleValue": 12.34}},
                                {"key": "name", "value": {"stringValue": "pro"}},
                            ],
                        }
                    ]
                }
            ]
        }
    ]
}
CASES: dict[str, tuple[Any, dict[str, Any], dict[str, Any]]] = {
    "debezium": (DEBEZIUM, {"scales": {"amount": 2}}, {}),
    "otel": (OTEL, {"model": ["mine"]}, {"latency": "latency"}),
}


def configured(home: Path, form: str, **changes: Any) -> Path:
    Reference.fit({"amount": [1.0, 12.34, 99.0], "name": ["free", "pro", "free"]}).save(home / "r.json")
    _, options, fields = CASES[form]
    topic = {"name": "p", "format": form, "options": options, "fields": fields, **changes}
    held = {"topics": [topic], "models": [{"name": "churn", "reference": "r.json"}]}
    (home / "driftd.yaml").write_text(yaml.safe_dump(held))
    return home / "driftd.yaml"


@pytest.mark.parametrize("form", list(CASES))
def test_options_reach_the_decoder(form: str, tmp_path: Path) -> None:
    config = configured(tmp_path, form)
    decoder = build_decoders(load(load_settings(config), tmp_path, needs_secrets=False))["p"]

    decoded = decoder.decode(TopicRecords("p", [0], [json.dumps(CASES[form][0]).encode()]), NOON)

    [batch] = decoded.batches
    assert (batch.numeric[0, 0], batch.codes[0, 0]) == (12.34, 1)
    assert batch.event_times.tolist() == [NOON]


@pytest.mark.parametrize(
    ("form", "options", "said"),
    [
        ("debezium", {"timestamp": "now"}, r"topics\[0\].options.timestamp: must be 'source' or 'column' \(is 'now'\)"),
        ("debezium", {"scales": {"a": "two"}}, r"topics\[0\].options.scales.a: "),
        (
            "debezium",
            {"colums": []},
            r"topics\[0\].options: format debezium has no option colums; valid here: json, scales, text_numbers, timestamp",
        ),
        ("otel", {"model": []}, r"topics\[0\].options.model: "),
        ("otel", {"operations": "chat"}, r"topics\[0\].options.operations: "),
    ],
)
def test_a_wrong_option_is_one_line(form: str, options: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=said) as refused:
        load_settings(configured(tmp_path, form, options=options))

    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("form", list(CASES))
def test_explain_says_what_is_read(form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    events = tmp_path / "events.jsonl"
    events.write_text(json.dumps(CASES[form][0]) + "\n")

    assert main(["explain", "--config", str(configured(tmp_path, form)), str(events)]) == 0

    told = capsys.readouterr().out
    assert "12.34" in told
    assert "pro" in told


@pytest.mark.parametrize(
    ("form", "options", "said"),
    [
        ("kserve", {"column": ["a"]}, "options: format kserve has no option column; did you mean columns?"),
        ("kserve", {"columns": 3}, r"options.columns: must be a list of names, or such lists by tensor \(is '3'\)"),
        ("seldon", {"columns": {"x": "age"}}, r"options.columns.x: must be a list \(is 'age'\)"),
        (
            "avro",
            {"registry": {"url": "http://127.0.0.1:1", "timeuot": "1s"}},
            "options: format avro has no option registry.timeuot; did you mean registry.timeout?",
        ),
        (
            "cloudevents",
            {"of": "avro", "options": {"registry": {"url": "http://127.0.0.1:1", "cafile": "x"}}},
            "options.options: format avro has no option registry.cafile; did you mean registry.ca_file?",
        ),
        ("mlserver", {"columns": ["a", "a"]}, "options.columns: must be different names"),
        (
            "avro",
            {"registry": {"url": "http://127.0.0.1:1", "timeout": "1m"}},
            r"options.registry.timeout: must be 20s at most \(is '1m'\)",
        ),
    ],
)
def test_wrong_options_are_said_in_the_words_of_the_page(form: str, options: Any, said: str, tmp_path: Path) -> None:
    Reference.fit({"amount": [1.0, 12.34, 99.0]}).save(tmp_path / "r.json")
    config = tmp_path / "driftd.yaml"
    config.write_text(
        yaml.safe_dump(
            {
                "topics": [{"name": "p", "format": form, "options": options}],
                "models": [{"name": "churn", "reference": "r.json"}],
            }
        )
    )

    with pytest.raises(ConfigError, match=said) as refused:
        load_settings(config)

    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("topic", [{"format": "kserve"}, {"format": "cloudevents", "options": {"of": "mlflow"}}])
def test_columns_are_named_in_one_place(topic: dict[str, Any], tmp_path: Path) -> None:
    config, named = tmp_path / "driftd.yaml", {"columns": ["age"]}
    config.write_text(yaml.safe_dump({"topics": [{"name": "p", "fields": named, **topic}], "models": []}))

    said = rf"topics\[0\]: fields.columns is not for format {topic['format']}, whose columns options.columns names"
    with pytest.raises(ConfigError, match=said):
        load_settings(config)


def test_names_of_columns_are_a_list_or_lists_by_tensor() -> None:
    section = options_of("kserve")
    assert section is not None

    assert section.model_validate({"columns": ["a", "b"]}).model_dump()["columns"] == ["a", "b"]
    assert section.model_validate({"columns": {"x": ["a"]}}).model_dump()["columns"] == {"x": ["a"]}
