"""The benchmarks run and count what they say: on tiny counts, and nothing here measures speed."""

import json
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import backtest, brokers, measure, plots, report, stages, targets, traffic

COUNT = 3_000
BUSY_LOOP = "main (cli.py);Loop.run (monitor/runtime/loop.py);Loop.turn (monitor/runtime/loop.py);"


@pytest.fixture(scope="module")
def servers() -> Iterator[str]:
    """A mock cluster that holds each kind of traffic."""
    with brokers.mock() as broker:
        for kind in traffic.KINDS:
            brokers.filled(broker, kind, traffic.events(COUNT, kind=kind), partitions=32)
        yield broker.bootstrap


@pytest.mark.slow
@pytest.mark.parametrize("contender", ["bare", "plain", "decode", "run"])
def test_each_contender_reads_all_events(servers: str, contender: str) -> None:
    found = measure.child("contenders", contender, "--servers", servers, "--topic", "numeric", "--events", str(COUNT))

    assert found["read"] == COUNT


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["categorical", "mixed", "lenient"])
def test_the_daemon_reads_each_kind_of_traffic(servers: str, kind: str) -> None:
    where = ("--servers", servers, "--topic", kind, "--kind", kind, "--events", str(COUNT))

    assert measure.child("contenders", "run", *where)["read"] == COUNT


@pytest.mark.slow
def test_the_loop_can_be_fed_from_memory(tmp_path: Path) -> None:
    arguments = ("--quick", "--line", "partitions", "--json", str(tmp_path / "found.json"))
    subprocess.run(measure.command("scaling", *arguments), check=True, capture_output=True, timeout=120)

    [few, many] = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))["partitions"]
    assert (few["at"], many["at"]) == (1, 100)


@pytest.mark.slow
def test_backtest_reads_the_daemons_events_in_each_format(tmp_path: Path) -> None:
    backtest.record(tmp_path, COUNT)
    found = [measure.child("backtest", "--home", str(tmp_path), "--format", ending) for ending in backtest.FORMATS]

    assert [one["read"] for one in found] == [COUNT] * len(backtest.FORMATS)


@pytest.mark.parametrize("kind", list(traffic.KINDS))
def test_traffic_is_as_long_as_it_says(kind: str) -> None:
    found = traffic.events(200, kind=kind)

    assert 500 < sum(map(len, found)) / len(found) < 700
    assert {(one["model"], one["version"]) for one in map(json.loads, found)} == set(traffic.SERIES[kind])


@pytest.mark.parametrize(
    ("below", "stage"),
    [
        ("KafkaSource.poll (monitor/sources/kafka.py);consume (somewhere.py)", "poll"),
        ("Loop._decode (monitor/runtime/loop.py);TopicDecoder.decode (monitor/sources/decode.py)", "decode"),
        ("Pipeline.ingest (monitor/pipeline.py);Sketch.update (detectors/sketches/sketch.py)", "fold"),
        ("Pipeline.advance (monitor/pipeline.py);Telemetry.record (monitor/runtime/telemetry.py)", "judge"),
        ("Telemetry.record (monitor/runtime/telemetry.py)", "telemetry"),
        ("something (monitor/else.py)", "other"),
    ],
)
def test_a_stack_counts_for_the_outermost_stage(below: str, stage: str) -> None:
    assert stages.stage_of(f"{BUSY_LOOP}{below}".split(";")) == stage


def test_a_stack_outside_the_loop_counts_for_nothing() -> None:
    found = stages.shares([f"{BUSY_LOOP}Pipeline.ingest (monitor/pipeline.py) 3", "import (frozen) 7"])

    assert found["samples"] == 3
    assert found["stages"]["fold"] == 1.0


def test_what_was_not_measured_is_said_so() -> None:
    rows = [target.row({}) for target in targets.TARGETS]

    assert all("not measured" in row for row in rows)


@pytest.mark.parametrize(("value", "verdict"), [(0.79, "**not reached**"), (0.8, "reached")])
def test_a_goal_is_reached_or_not(value: float, verdict: str) -> None:
    row = targets.Target("a ratio", lambda _: value, 0.8).row({})

    assert row == f"| a ratio | ≥ 0.8 | {value:.2f} | {verdict} |"


def test_a_report_says_what_was_left_out(tmp_path: Path) -> None:
    run = {"command": "make bench", "python": "3", "kafka": "4", "load": 0.1, "seconds": 60, "left_out": {"fit": "why"}}

    text = report.write(tmp_path, {"replicas": {}}, {"replicas": "two ÷ one 1"}, run).read_text(encoding="utf-8")

    assert "Left out: why." in text
    assert "two ÷ one 1" in text


def test_plots_are_well_formed_pictures() -> None:
    drawn = [
        plots.bars("a & b", [plots.Bar("one", 1.0, 0.5, 2.0), plots.Bar("two", 100.0, 90.0, 110.0)], log=True),
        plots.lines("c", {"line": [(1.0, 2.0), (10.0, 3.0)]}, x="at", y="cost", log=True, goal=1.0),
    ]

    assert [ET.fromstring(picture).tag for picture in drawn] == ["{http://www.w3.org/2000/svg}svg"] * 2
