"""The benchmarks run and count what they say: on tiny counts, and nothing here measures speed."""

import json
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import structlog

from benchmarks import (
    against,
    audit,
    backtest,
    brokers,
    cluster,
    contenders,
    daemon,
    end_to_end,
    fit,
    labels,
    measure,
    memory,
    page,
    performance,
    plan,
    plots,
    policies,
    report,
    request_latency,
    run_all,
    second_thread,
    stages,
    targets,
    traffic,
    windows,
)
from benchmarks.feed import Feed
from detectors import Reference
from detectors.charts import Charts
from monitor.app import Daemon
from monitor.clock import SystemClock
from monitor.runtime.telemetry import configure_logging

COUNT = 3_000
pytestmark = pytest.mark.serial
BUSY_LOOP = "main (cli.py);Loop.run (monitor/runtime/loop.py);Loop.turn (monitor/runtime/loop.py);"


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Errors alone are logged, and that to this test's stderr."""
    configure_logging("error", "json")
    yield
    structlog.reset_defaults()


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
def test_what_a_second_thread_costs_is_said_of_each_number_of_threads(servers: str) -> None:
    found = second_thread.compare(servers, "numeric", COUNT, 1, [1, 2])

    assert list(found) == [1, 2]
    assert all(figures[what]["median"] > 0 for figures in found.values() for what in ("loop", "cost", "rss"))


@pytest.mark.slow
def test_the_loop_can_be_fed_from_memory(tmp_path: Path) -> None:
    arguments = ("--quick", "--line", "partitions", "--json", str(tmp_path / "found.json"))
    subprocess.run(measure.command("scaling", *arguments), check=True, capture_output=True, timeout=120)

    [few, many] = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))["partitions"]
    assert (few["at"], many["at"]) == (1, 100)


@pytest.mark.slow
def test_counting_is_measured_on_every_path_there_is(tmp_path: Path) -> None:
    subprocess.run(
        measure.command("sketch", "--quick", "--json", str(tmp_path / "found.json")), check=True, timeout=120
    )

    found = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    assert all({"numpy alone", "pure"} <= set(one["ns a value"]) for one in found.values() if isinstance(one, dict))


@pytest.mark.slow
def test_backtest_reads_the_daemons_events_in_each_format(tmp_path: Path) -> None:
    backtest.record(tmp_path, COUNT)
    found = [measure.child("backtest", "--home", str(tmp_path), "--format", ending) for ending in backtest.FORMATS]

    assert [one["read"] for one in found] == [COUNT] * len(backtest.FORMATS)


@pytest.mark.slow
def test_three_policies_are_compared_and_two_runs_say_the_same(tmp_path: Path) -> None:
    policies.record(tmp_path, 30)
    config = policies.configured(tmp_path)

    (first, text), (second, _) = (policies.compare(tmp_path, config, number) for number in range(2))

    assert first["sha256"] == second["sha256"]
    assert all(f"m, {rank}. " in text for rank in (1, 2, 3))


LOAD = cluster.Load(
    rate=3_000,
    folders=3,
    judges=2,
    partitions=6,
    models=5,
    features=3,
    skew=0.5,
    spread=2,
    flush=0.5,
    cell=500,
    seconds=3,
)


def test_a_simulated_cluster_reads_and_counts_every_event() -> None:
    """`check` raises where a judge has not taken all that was folded."""
    found = cluster.Simulation(LOAD, decoding=0.0).run()

    assert found["read"] == found["of"] == 9_000
    assert sum(judge["models"] for judge in found["judges"]) == 5
    assert found["bytes"]["raw"] > found["bytes"]["sent"] > 0
    assert "nobody falls behind" in cluster.first_to_break(found)


def test_folders_that_have_not_the_time_to_decode_fall_behind() -> None:
    found = cluster.Simulation(LOAD, decoding=0.01).run()

    assert found["folders"]["lag"] == found["of"] - found["read"] > 0
    assert cluster.first_to_break(found) == "broken: 3 folders fall behind"


def test_judges_that_take_nothing_fall_behind_until_the_end() -> None:
    simulated = cluster.Simulation(LOAD, decoding=0.0)
    judge = simulated.judges[0]
    simulated.send(simulated.folders[0].step(until=400, budget=1.0, now=0))
    judge.step(budget=0.0)

    assert judge.spent.waiting == [len(judge.queue)] != [0]
    judge.step(budget=10.0)
    assert judge.spent.waiting[-1] == 0
    assert judge.prefixes > 0


def test_a_model_lies_in_as_many_partitions_as_it_should() -> None:
    world = cluster.World(LOAD)
    shares = np.array(list(world.shares.values()))

    assert np.allclose(shares.sum(axis=1), 1)
    assert [(column > 0).sum() for column in shares.T] == [6, 2, 2, 2, 2]
    assert shares[:, 0].min() == 0.5


@pytest.mark.parametrize("rate", [600, 3_900])
def test_a_plan_counts_the_prefixes_and_progress_that_a_cluster_sends(rate: int) -> None:
    load = replace(LOAD, rate=rate, models=6, skew=0.0, seconds=10)
    simulation = cluster.Simulation(load, decoding=0.0)
    simulation.world.shares = {log: even(found) for log, found in simulation.world.shares.items()}
    simulation.run()
    sent = {kind: count / load.seconds for kind, count in kinds(simulation).items()}
    costs = plan.Costs(**plan.DEFAULTS | {"flush": load.flush, "cell": load.cell, "spread": load.spread})
    sends, prefixes, _ = plan.sending(rate / load.partitions, 2.0, costs)

    assert sent[True] == pytest.approx(prefixes * load.partitions, rel=0.1)
    assert sent[False] == pytest.approx(sends * load.partitions * load.judges, rel=0.1)


def even(shares: "np.ndarray[Any, np.dtype[np.float64]]") -> "np.ndarray[Any, np.dtype[np.float64]]":
    """Two models, alike."""
    found = np.zeros_like(shares)
    found[:2] = 0.5
    return found


def kinds(simulation: cluster.Simulation) -> dict[bool, int]:
    """How many prefixes were taken, and how much progress."""
    prefixes = sum(judge.prefixes for judge in simulation.judges)
    return {True: prefixes, False: sum(judge.records for judge in simulation.judges) - prefixes}


def test_bytes_of_a_prefix_are_the_measured_ones_and_between_them() -> None:
    assert [plan.bytes_of(rows) for rows in plan.PREFIX_BYTES] == list(plan.PREFIX_BYTES.values())
    assert 671 < plan.bytes_of(50) < 1_862
    assert plan.bytes_of(10**6) == 4_824


def test_where_all_partitions_are_told_to_every_judge_too_often_no_number_of_judges_will_do() -> None:
    often = plan.Costs(**plan.DEFAULTS | {"flush": 1.0, "cell": 10_000})

    assert plan.planned(10**8, 100, often).judges is None
    assert plan.planned(10**6, 100, often).judges == 1


def test_the_page_has_the_plan_that_is_worked_out() -> None:
    page = (Path(__file__).parents[1] / "docs/SCALING.md").read_text(encoding="utf-8")

    for row in plan.rows_of(plan.Costs(**plan.DEFAULTS)):
        assert row in page.splitlines()


def test_every_request_is_timed(tmp_path: Path) -> None:
    found = request_latency.measure(tmp_path, requests=2, models=2, interval="5s")

    assert found["requests"] >= 2
    assert 0 < found["p50"] <= found["p99"] <= found["most"]


def test_what_run_imports_and_holds_is_compared_with_another_checkout() -> None:
    found = against.compare(measure.ROOT, ["imports"], servers="none", count=0, rounds=1)

    assert found["imports"]["ratio"]["median"] == 1


def test_a_checkout_is_compared_with_another() -> None:
    found = against.compare(measure.ROOT, ["window close"], servers="none", count=0, rounds=1)

    assert found["window close"]["ratio"]["median"] > 0


def charts_after(home: Path, kind: str, windows_long: int) -> list[Charts]:
    """The charts of each series, after so many of its windows were fed to the whole daemon."""
    count = windows_long * traffic.WINDOW_ROWS * len(traffic.SERIES[kind])
    configuration = contenders.loaded_from(traffic.config(home, "127.0.0.1:1", kind))
    feed = contenders.Timed(Feed(traffic.events(count, kind=kind)), count)
    running = Daemon.start(configuration, clock=SystemClock(), source=feed)
    feed.stop = running.stop
    running.run()
    return [series.features.operator("charts").charts for series in running.pipeline.series.values()]


@pytest.mark.parametrize(
    ("kind", "firing"),
    [("numeric", 0), ("categorical", 0), pytest.param("mixed", 0, marks=pytest.mark.slow), ("lenient", 1)],
)
def test_the_charts_judge_the_traffic_and_fire_where_it_is_wrong(tmp_path: Path, kind: str, firing: int) -> None:
    """An incident costs words: of usual traffic it would be measured for nothing."""
    found = charts_after(tmp_path, kind, 3)

    assert len(found) == len(traffic.SERIES[kind])
    assert all(charts.judged.all() for charts in found if kind != "lenient")
    assert [int(charts.firing.any(axis=1).sum()) for charts in found] == [firing] * len(found)


def test_a_pipeline_without_charts_is_not_measured() -> None:
    reference = Reference.fit({"x": np.arange(100.0)})

    with pytest.raises(AssertionError, match="not calibrated"):
        windows.Bench(reference, 1, windows.MINUTE)
    with pytest.raises(AssertionError, match="no charts"):
        traffic.refuse_uncharted(
            windows.Bench(windows.fitted(2, windows.MINUTE), 1, windows.MINUTE, charts=False).pipeline
        )


class Told(daemon.Daemon):
    """A daemon that shows one metric."""

    def __init__(self, name: str) -> None:
        self.name = name

    def metrics(self) -> dict[tuple[str, str], float]:
        return {(self.name, ""): 0.0}


def test_a_daemon_without_charts_is_not_measured() -> None:
    daemon.refuse_uncharted(Told("driftd_chart_warnings_total"))
    with pytest.raises(SystemExit, match="without charts"):
        daemon.refuse_uncharted(Told("driftd_ready"))


def test_windows_are_closed_with_quiet_charts() -> None:
    """The same rows again and again are as the law says, all together."""
    bench = windows.Bench(windows.fitted(20, windows.MINUTE), 2, windows.MINUTE)

    for _ in range(40):
        bench.window()

    charts = [series.features.operator("charts").charts for series in bench.pipeline.series.values()]
    assert [bool(one.judged.all()) for one in charts] == [True, True]
    assert not any(one.firing.any() or one.row_charts.firing.any() for one in charts if one is not None)


def test_a_profile_of_the_week_is_in_reference_and_formula() -> None:
    plain, weekly = (memory.specs_of(2, 1, memory.content(3, 1, season)) for season in (0, 168))

    assert [spec.judging.calibration for spec in (*plain, *weekly)] == ["pooled", "pooled", "week", "week"]
    assert memory.formula(weekly, 1) - memory.formula(plain, 1) > 2 * 3 * 168 * 16
    assert weekly[0].reference is not weekly[1].reference


def test_every_page_of_the_scene_that_is_measured_is_there() -> None:
    scene = page.PagedScene(3, 4)
    try:
        scene.close_windows()
        answers = {name: scene.surface.answer(path, "") for name, path in scene.pages.items()}
    finally:
        scene.close()

    assert {int(status) for status, _, _ in answers.values()} == {200}
    assert b"3 incidents are open" in answers["first page"][2]


def test_memory_is_measured_after_windows_were_judged() -> None:
    found = memory.build(1, 2, 2, 168)

    assert found["panes"] == 3


@pytest.mark.parametrize("kind", list(traffic.KINDS))
def test_traffic_is_as_long_as_it_says(kind: str) -> None:
    found = traffic.events(200, kind=kind)

    assert 500 < sum(map(len, found)) / len(found) < 700
    assert {(one["model"], one["version"]) for one in map(json.loads, found)} == set(traffic.SERIES[kind])


@pytest.mark.parametrize(
    ("below", "stage"),
    [
        ("KafkaSource.poll (monitor/sources/kafka/source.py);consume (somewhere.py)", "poll"),
        ("Loop._decode (monitor/runtime/loop.py);TopicDecoder.decode (monitor/sources/decode/topic.py)", "decode"),
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


def test_goals_by_the_clock_and_by_processor_time_are_told_apart() -> None:
    names = {"ratios": dict.fromkeys(end_to_end.AGAINST, measure.spread([2.0]))}
    names["by processor"] = dict.fromkeys(end_to_end.BY_PROCESSOR, measure.spread([3.0]))
    rows = [target.row({"end_to_end": dict.fromkeys(("kafka", "mock"), names)}) for target in targets.END_TO_END]

    assert "| `run` ÷ bare Python consume loop, by CPU, Apache Kafka | ≥ 0.9 | 3.00 | reached |" in rows
    assert "| same by the clock, Apache Kafka | ≥ 1.2 | 2.00 | reached |" in rows
    assert sum("3.00" in row for row in rows) == 2 * len(end_to_end.BY_PROCESSOR)


@pytest.mark.parametrize(("value", "verdict"), [(0.79, "**not reached**"), (0.8, "reached")])
def test_a_goal_is_reached_or_not(value: float, verdict: str) -> None:
    row = targets.Target("a ratio", lambda _: value, 0.8).row({})

    assert row == f"| a ratio | ≥ 0.8 | {value:.2f} | {verdict} |"


def test_a_fit_has_the_same_goal_with_event_times_and_without() -> None:
    tables = {name: {"values_per_second": measure.spread([1e6])} for name in fit.ROWS}
    tables["plain.parquet"] = {"values_per_second": measure.spread([32e6])}
    rows = [target.row({"fit": {"tables": tables}}) for target in targets.TARGETS]

    assert "| `reference fit` from Parquet | ≥ 30 M values/s | 32.0 M values/s | reached |" in rows
    assert "| same with `--timestamp`: calibration too | ≥ 30 M values/s | 1.0 M values/s | **not reached** |" in rows


def test_every_section_has_its_place_in_the_report() -> None:
    assert {section.name for section in run_all.SECTIONS} == set(report.WORKED)


def test_a_backtest_is_reported_beside_its_goal(tmp_path: Path) -> None:
    run = {"command": "make bench", "python": "3", "kafka": "4", "load": 0.1, "seconds": 60, "left_out": {}}
    rates = {"run": measure.spread([100.0]), "jsonl": measure.spread([140.0])}
    figures = {"rates": rates, "ratios": {"jsonl ÷ run": measure.ratio([140.0], [100.0])}}

    text = report.write(tmp_path, {"backtest": figures}, {"backtest": "jsonl 140"}, run).read_text(encoding="utf-8")

    assert "| backtest of JSONL ÷ `run` | ≥ 1.3 | 1.40 | reached |" in text
    assert "plots/backtest.svg" in text


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


def test_what_is_measured_of_performance_is_done() -> None:
    for plain, counted in performance.contenders(50).values():
        plain()
        counted()
    for work in performance.windows().values():
        work()


def test_labels_are_joined_where_their_cost_is_measured(tmp_path: Path) -> None:
    scored, told = labels.predictions(12_000), labels.labels(12_000)

    assert labels.run(tmp_path, scored, [])["judged"] == 0
    assert labels.run(tmp_path, scored, told)["saved"] > 0


@pytest.mark.slow
def test_decisions_of_the_audit_log_agree_and_a_flipped_bit_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 300, where the benchmark has 10 000."""
    monkeypatch.chdir(tmp_path)

    found = audit.measured(300)

    assert found["decisions"] >= 300
    assert found["scores"] > 100
    assert found["agreed"]
    assert found["found"]
