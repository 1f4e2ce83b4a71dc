"""What replicas refuse, and what they need: a line each."""

from pathlib import Path
from typing import Any

import pytest

from monitor.cli import main
from monitor.replica import Replica, internal_topics, judged_by, not_replicated, replica_plan
from monitor.replicas.cells import judge_of
from monitor.settings import ConfigError
from monitor.sources.kafka.internal import COUNTS_KEPT, LARGEST, FoundTopic, InternalTopic, complaints
from tests.monitor.test_app import MODEL, configuration, home

__all__ = ["home"]
REPLICAS: dict[str, Any] = {"judge_partitions": 4}
COUNTS, STATE = InternalTopic("g.driftd-counts", 4, COUNTS_KEPT), InternalTopic("g.driftd-state", 4, None)


def refused(home: Path, **changes: Any) -> list[str]:
    return list(not_replicated(configuration(home, {"TOKEN": "x" * 20}, replicas=REPLICAS, **changes)))


def test_what_is_plain_is_refused_with_nothing(home: Path) -> None:
    assert refused(home) == []


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"models": [{**MODEL, "version": None}]}, "models.churn.version"),
        ({"models": [{**MODEL, "new_versions": {}}]}, "models.churn.new_versions"),
        ({"kafka": {"lost_offsets": "skip"}}, "kafka.lost_offsets"),
        ({"dead_letters": {"topic": "letters"}}, "dead_letters"),
        ({"http": {"port": 0, "token_env": "TOKEN"}}, "http.token_env"),
        (
            {
                "topics": [
                    {"name": "asked", "half": "request", "fields": {"id": "id"}},
                    {"name": "answered", "half": "response", "fields": {"id": "id"}},
                ]
            },
            "topics.asked.half",
        ),
        (
            {"topics": [{"name": "t", "format": "avro", "options": {"registry": {"url": "https://r.internal"}}}]},
            "topics.t.options.registry",
        ),
    ],
)
def test_what_is_not_replicated_is_a_line_that_names_it(home: Path, changes: dict[str, Any], place: str) -> None:
    lines = refused(home, **changes)

    assert [line.split(": ")[0] for line in lines if line.startswith(place)] == [place]
    assert all(": not with replicas yet: " in line and "\n" not in line for line in lines)


def test_without_the_section_nothing_is_refused_and_the_configuration_is_called_what_it_was(home: Path) -> None:
    before = configuration(home, dead_letters={"topic": "letters"})

    assert list(not_replicated(before)) == []
    assert "replicas" not in before.section_hashes()


def test_topics_are_named_after_the_group_where_nothing_else_is_said(home: Path) -> None:
    settings = configuration(home, kafka={"group_id": "g"}, replicas=REPLICAS).settings

    assert internal_topics(settings) == (COUNTS, STATE)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"kafka": {"group_id": "two words"}}, "replicas.counts_topic: 'two words.driftd-counts'"),
        ({"replicas": {"counts_topic": "predictions"}}, "replicas.counts_topic: predictions is read itself"),
        ({"replicas": {"counts_topic": "a", "state_topic": "a"}}, "counts_topic and state_topic are both a"),
        ({"replicas": {"session_timeout": "1s"}}, "session_timeout 1s must be from 6s to 30m"),
        ({"replicas": {"judge_partitions": 0}}, "replicas.judge_partitions"),
        ({"replicas": {"judges": 3}}, "replicas.judges"),
    ],
)
def test_a_mistake_is_a_line_that_names_the_key(home: Path, changes: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigError) as error:
        configuration(home, **{"replicas": REPLICAS, **changes})

    assert why in str(error.value)


def test_a_judge_partition_has_all_series_of_its_models_and_no_others(home: Path) -> None:
    models = [{**MODEL, "name": name, "version": version} for name in ("a", "b", "c", "d") for version in ("1", "2")]
    whole = configuration(home, models=models, replicas=REPLICAS)
    parts = [judged_by(whole, {number}).specs for number in range(4)]

    assert sorted(spec.key for part in parts for spec in part) == sorted(spec.key for spec in whole.specs)
    assert all(judge_of(spec.key.model, 4) == number for number, part in enumerate(parts) for spec in part)


def test_who_decodes_or_counts_otherwise_has_another_hash(home: Path) -> None:
    same = {"replicas": REPLICAS}
    hashes = [
        replica_plan(configuration(home, **changes)).config
        for changes in (
            same,
            {**same, "log": {"level": "debug"}, "state": str(home / "other")},
            {**same, "topics": [{"name": "predictions", "timestamp_unit": "s"}]},
            {**same, "models": [{**MODEL, "window": "2m"}]},
            {"replicas": {"judge_partitions": 4, "cell": 5}},
        )
    ]

    assert hashes[0] == hashes[1]
    assert len(set(hashes)) == 4


# --- topics -----------------------------------------------------------------------------------------------------------

RIGHT = {"cleanup.policy": "delete", "retention.ms": str(COUNTS_KEPT), "max.message.bytes": str(LARGEST)}


def found(partitions: int = 4, copies: int = 3, **settings: str) -> FoundTopic:
    told = RIGHT | {"min.insync.replicas": "2"} | {name.replace("_", "."): value for name, value in settings.items()}
    return FoundTopic(partitions, copies, told)


def test_a_topic_is_made_as_it_must_be() -> None:
    for wanted in (COUNTS, STATE):
        for brokers in (1, 3):
            made = FoundTopic(wanted.partitions, min(3, brokers), wanted.settings(brokers))
            assert list(complaints(wanted, made, brokers)) == []


@pytest.mark.parametrize(
    ("there", "why"),
    [
        (None, "does not exist"),
        (found(partitions=3), "has 3 partitions where replicas.judge_partitions is 4"),
        (found(cleanup_policy="compact"), "cleanup.policy is compact and must be delete"),
        (found(cleanup_policy="compact,delete"), "cleanup.policy is compact,delete and must be delete"),
        (found(retention_ms="1000"), "retention.ms is 1000"),
        (found(max_message_bytes="1000"), "max.message.bytes is 1000"),
        (found(copies=1), "is kept by 1 of 3 brokers"),
        (found(min_insync_replicas="1"), "min.insync.replicas is 1"),
    ],
)
def test_what_is_wrong_with_a_topic_is_one_line(there: FoundTopic | None, why: str) -> None:
    (line,) = complaints(COUNTS, there, 3)

    assert line.startswith(f"topic {COUNTS.name}: ")
    assert why in line


def test_records_that_are_kept_for_ever_are_kept_long_enough() -> None:
    assert list(complaints(COUNTS, found(retention_ms="-1"), 3)) == []


def test_without_the_section_there_are_no_topics_to_make(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    configuration(home)

    assert main(["topics", "create", "--config", str(home / "driftd.yaml")]) == 2
    assert "replicas: the configuration has no such section" in capsys.readouterr().err


def test_a_broker_that_is_silent_is_one_line(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitor.sources.kafka.internal.PATIENCE", 0.5)
    configuration(home, kafka={"bootstrap_servers": "127.0.0.1:1"}, replicas=REPLICAS)

    assert main(["topics", "check", "--config", str(home / "driftd.yaml")]) == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("driftd: kafka: ")


def test_check_and_run_refuse_what_is_not_replicated(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    models = [{**MODEL, "version": None}]
    refused = configuration(home, replicas=REPLICAS, dead_letters={"topic": "letters"}, models=models)
    wanted = list(not_replicated(refused))

    assert main(["check", "--offline", "--config", str(home / "driftd.yaml")]) == 2
    assert capsys.readouterr().err.splitlines() == [f"driftd: {line}" for line in wanted]
    with pytest.raises(ConfigError) as error:
        Replica.start(refused)
    assert str(error.value).splitlines() == wanted
    assert len(wanted) == 2
