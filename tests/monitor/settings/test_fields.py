"""Where events keep what is needed: every way to say it, every mistake one clear line."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from detectors import Reference
from monitor.app import broker_timed, build_decoders, fields_of, wanted_parts
from monitor.configuration import Configuration, load, may_bring
from monitor.settings import ConfigError, Settings, load_settings
from monitor.sources.base import RecordParts
from monitor.sources.formats.fields import FieldMap


def settings_of(tmp_path: Path, topic: str = "seldon.churn.inputs", **fields: Any) -> Settings:
    document = {
        "topics": [{"name": topic, "fields": fields}],
        "models": [{"name": "churn", "reference": "r.json"}, {"name": "other", "reference": "r.json"}],
    }
    (tmp_path / "driftd.yaml").write_text(yaml.safe_dump(document))
    return load_settings(tmp_path / "driftd.yaml")


def configuration_of(tmp_path: Path, **fields: Any) -> Configuration:
    Reference.fit({"age": [1.0, 2.0]}).save(tmp_path / "r.json")
    return load(settings_of(tmp_path, **fields), tmp_path, needs_secrets=False)


def mapped(tmp_path: Path, **fields: Any) -> FieldMap:
    return fields_of(settings_of(tmp_path, **fields).topics[0])


ODD: list[tuple[dict[str, Any], str]] = [
    (
        {"id": {"heder": "x"}},
        "topics[0].fields.id: must be a dotted path or one of {header: …}, {key: …}, {partition: …}",
    ),
    (
        {"id": {"header": "x", "key": True}},
        "topics[0].fields.id: must be a dotted path or one of {header: …}, {key: …}, {partition: …}",
    ),
    ({"id": {"header": ""}}, "topics[0].fields.id.header: must not be empty (is '')"),
    ({"id": {"key": "a..b"}}, "topics[0].fields.id.key: must be a dotted path such as meta.time (is 'a..b')"),
    ({"id": {"key": False}}, "topics[0].fields.id.key: must be true or a dotted path such as meta.id (is 'False')"),
    ({"group": {"partition": 3}}, "topics[0].fields.group.partition: must be true (is '3')"),
    ({"timestamp": {"broker": False}}, "topics[0].fields.timestamp.broker: must be true (is 'False')"),
    (
        {"timestamp": {"const": "x"}},
        "topics[0].fields.timestamp: must be a dotted path or one of {broker: …}, {header: …}, {key: …}",
    ),
    (
        {"model": {"topic": "x.{model}"}},
        "topics[0]: fields.model.topic: x.{model} does not fit the name of the topic, seldon.churn.inputs",
    ),
    (
        {"version": {"topic": "seldon.{model}.inputs"}},
        "topics[0]: fields.version.topic: seldon.{model}.inputs must have {version} once, such as seldon.{version}.inputs",
    ),
    (
        {"model": {"topic": ""}},
        "topics[0].fields.model.topic: must be true or a pattern such as seldon.{model}.inputs (is '')",
    ),
    ({"explode": "a..b"}, "topics[0].fields.explode: must be a dotted path such as meta.time (is 'a..b')"),
    ({"columns": ["a", "b", "a"]}, "topics[0].fields: columns names a twice"),
    ({"columns": []}, "topics[0].fields.columns: must not be empty (is [])"),
    (
        {"columns": ["a"], "features": ""},
        "topics[0].fields: columns are the names of a list at features, which is the message itself; give its path",
    ),
]


@pytest.mark.parametrize(("fields", "said"), ODD)
def test_a_mistake_is_one_line_that_says_what_is_valid(tmp_path: Path, fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        settings_of(tmp_path, **fields)

    assert str(refused.value) == f"{tmp_path / 'driftd.yaml'}: {said}"


def test_a_model_in_the_topics_name_is_as_a_constant_one(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, model={"topic": "seldon.{model}.inputs"})
    of_churn, of_other = settings.models

    assert fields_of(settings.topics[0]).model_is == "churn"
    assert may_bring(settings, settings.topics[0], of_churn)
    assert not may_bring(settings, settings.topics[0], of_other)


def test_a_model_in_the_topics_name_that_is_not_configured_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        build_decoders(configuration_of(tmp_path, model={"topic": "{model}.churn.inputs"}))

    said = "topics.seldon.churn.inputs.fields.model: seldon is no configured model; there is churn, other"
    assert str(refused.value) == said


def test_decoders_ask_for_what_the_mapping_needs_and_for_nothing_else(tmp_path: Path) -> None:
    plain = configuration_of(tmp_path, model={"topic": True}, topic="churn")
    more = configuration_of(tmp_path, timestamp={"broker": True}, id={"header": "x"}, group={"partition": True})

    assert wanted_parts(build_decoders(plain)) == {"churn": RecordParts.NOTHING}
    assert wanted_parts(build_decoders(more)) == {"seldon.churn.inputs": RecordParts.STAMPS | RecordParts.HEADERS}


def test_topics_that_go_by_the_brokers_time_are_told(tmp_path: Path) -> None:
    assert broker_timed(settings_of(tmp_path, timestamp={"broker": True})) == ("seldon.churn.inputs",)
    assert broker_timed(settings_of(tmp_path, timestamp="t")) == ()


def test_what_is_not_said_changes_nothing_of_the_hash(tmp_path: Path) -> None:
    """It stands in every notice; that of configurations before these keys stays."""
    said = {"explode": None, "columns": None}

    assert configuration_of(tmp_path).config_hash == configuration_of(tmp_path, **said).config_hash
    assert configuration_of(tmp_path).config_hash != configuration_of(tmp_path, explode="a").config_hash
    assert mapped(tmp_path) == FieldMap(unit=1_000_000)
