"""`driftd backtest`: what recorded events would have set off, on a clock that is theirs."""

import json
import random
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from detectors import Reference
from monitor.app import build_decoders
from monitor.backtest import recorded, replay
from monitor.cli import main
from monitor.commands.backtest import undated
from monitor.commands.progress import ProgressLine
from monitor.configuration import load
from monitor.facts import AlertChanged, Fact, RetrainDecided, WindowClosed
from monitor.pipeline import Pipeline
from monitor.series.lateness import FEW
from monitor.settings import load_settings
from monitor.sources.base import Poll
from monitor.sources.decode.topic import TopicDecoder
from monitor.stream.events import SECOND, MicroBatch, Nanos, Partition
from monitor.targets.payloads import rfc3339
from tests.fakes import ListSource

Output = pytest.CaptureFixture[str]
Events = list[dict[str, Any]]

BEGIN = datetime(2026, 11, 1, tzinfo=UTC)
HOUR = 3_600_000
LATE: Nanos = 1_830_000_000 * SECOND  # long after all of it
ROWS = 60  # an hour
RULE = {"name": "psi-high", "detector": "psi", "fire_above": 1.0, "clear_below": 0.5, "severity": "critical"}
SEED = random.getrandbits(32)
BACKTEST_MD = Path(__file__).parents[3] / "docs" / "backtest.md"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A reference of two weeks and a configuration with windows of an hour."""
    print(f"seed {SEED}")
    fit(tmp_path)
    configure(tmp_path)
    return tmp_path


def fit(home: Path, **more: Any) -> None:
    rng = np.random.default_rng(SEED)
    rows = 24 * 14 * ROWS
    columns = {"age": rng.normal(40, 10, rows), "plan": rng.choice(["free", "pro"], rows)}
    if more:
        columns |= {"score": rng.random(rows), "true": rng.integers(0, 2, rows)}
    times = (np.arange(rows) * (HOUR // ROWS) + ms(BEGIN) - 30 * 24 * HOUR) * 1_000_000
    Reference.fit(columns, timestamps=times, window_ns=HOUR * 1_000_000, **more).save(home / "r.json")


def configure(home: Path, *, alerting: dict[str, Any] | None = None, models: Events | None = None) -> None:
    shared = {"reference": "r.json", "window": "1h", "lateness": "1m", "min_rows": 20}
    settings = {
        "topics": [{"name": "predictions"}, {"name": "flat", "fields": {"features": ""}}],
        "defaults": shared,
        "models": models or [{"name": "churn", "version": "3"}],
        "alerting": {"rules": [RULE], **(alerting or {})},
        "webhooks": [{"name": "trainer", "url": "https://trainer.invalid/", "secret_env": "NOT_SET_ANYWHERE"}],
        "state": "state",
    }
    (home / "driftd.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")


def ms(time: datetime) -> int:
    return round(time.timestamp() * 1000)


def events(hours: int, *, first: float = 0, **shared: Any) -> Events:
    """An event a minute."""
    rng = np.random.default_rng(SEED + 1)
    ages, plans = rng.normal(40, 10, hours * ROWS), rng.choice(["free", "pro"], hours * ROWS)
    start = ms(BEGIN) + round(first * HOUR)
    return [
        {
            "ts": start + at * (HOUR // ROWS),
            "model": "churn",
            "version": "3",
            "features": {"age": float(age), "plan": str(plan)},
        }
        | shared
        for at, (age, plan) in enumerate(zip(ages, plans, strict=True))
    ]


def day(number: float) -> str:
    return (BEGIN + timedelta(days=number)).strftime("%Y-%m-%dT%H:%M:%SZ")


def written(home: Path, found: Events | list[str], name: str = "events.jsonl", ending: str = "\n") -> Path:
    lines = [one if isinstance(one, str) else json.dumps(one) for one in found]
    (home / name).write_text("".join(line + ending for line in lines), encoding="utf-8", newline="")
    return home / name


@pytest.fixture
def backtest(home: Path, capsys: Output) -> Callable[..., dict[str, Any]]:
    """backtest(file, …, "--option", …) is the JSON that it writes; `said` of it what it prints."""

    def run(*arguments: str | Path) -> dict[str, Any]:
        files = [str(one) for one in arguments if isinstance(one, Path)]
        options = [one for one in arguments if isinstance(one, str)]
        command = ["backtest", "--config", str(home / "driftd.yaml"), "--json", str(home / "out.json")]
        code = main([*command, "--input", *files, *options])
        printed = capsys.readouterr()
        assert code == 0, printed.err
        return json.loads((home / "out.json").read_bytes()) | {"said": printed.out, "hints_said": printed.err}

    return run


def refused(home: Path, capsys: Output, *arguments: str | Path, code: int = 2) -> str:
    """What is said when it refuses; it is one line."""
    assert main(["backtest", "--config", str(home / "driftd.yaml"), *map(str, arguments)]) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1, printed.err
    return printed.err


# --- what is found ------------------------------------------------------------------------------------------------------


def test_a_planted_shift_is_found_and_explained(home: Path, backtest: Callable[..., dict[str, Any]]) -> None:
    found = backtest(written(home, events(96)), "--inject", f"age:shift=3sd@{day(2)}..{day(3)}")

    alert = next(one for one in found["alerts"] if one["rule"] == "psi-high")
    assert alert["model"] == "churn"
    assert alert["version"] == "3"
    assert alert["fired_at"] == day(2 + 1 / 24)
    assert alert["resolved_at"] == day(3 + 1 / 24)
    assert [one["feature"] for one in alert["evidence"]] == ["age"]
    assert found["injected"][0]["delay_windows"] == 1
    assert found["injected"][0]["events"] == 24 * ROWS
    assert f"age:shift=3sd@{day(2)}..{day(3)}: found after 1 window" in found["said"]


def test_the_result_has_what_the_contract_promises(home: Path, backtest: Callable[..., dict[str, Any]]) -> None:
    found = backtest(written(home, events(72)), "--inject", f"age:shift=3sd@{day(2)}")

    assert found["events"].items() >= {"ok": 72 * ROWS, "late": 0, "rejected": 0}.items()
    assert found["windows"] == 72  # the first begins with the first event
    assert found["alerts"][0].keys() >= {"model", "version", "rule", "fired_at", "resolved_at", "evidence"}
    assert found["alerts"][0]["resolved_at"] is None
    assert found["retrains"][0].items() >= {"model": "churn", "reason": "drift"}.items()
    assert found["retrains"][0]["requested_at"] == found["alerts"][0]["fired_at"]
    assert found["suppressed"] == [] or found["suppressed"][0].keys() >= {"model", "requested_at", "reason", "outcome"}
    assert found["expected_false_alarms"] >= 71 / 24 / 30


NAMED_OUTSIDE = {
    "rejected",
    "fields_rejected",
    "labels_rejected",
    "policies[].suppressed",
    "models[].thresholds",
    "open_share",
    "models[].labels",
    "models[].performance[].judged[].left_out",
    "models[].service.learning",
    "models[].service.slowest",
}


def keys_in(value: Any, path: str) -> Iterator[str]:
    """Every key with its path; `[]` is a list, and what has names of its own below it is not entered."""
    if isinstance(value, list):
        each = [value[0]] if value and path not in {"alerts[].evidence", "alerts[].joined"} else [None]
        for one in each:
            yield from keys_in(one, f"{path}[]")
    elif isinstance(value, dict) and path not in NAMED_OUTSIDE:
        for name, one in value.items():
            yield from keys_in(one, f"{path}.{name}".lstrip("."))
    else:
        yield path


def test_a_feature_that_alarmed_is_shown_as_it_was_beside_its_reference(
    home: Path, backtest: Callable[..., dict[str, Any]]
) -> None:
    found = backtest(written(home, events(96)), "--inject", f"age:shift=5sd@{day(2)}..{day(2.25)}")
    [age, *_] = found["models"][0]["distributions"]
    outside = {share["part"]: share["current"] for share in age["shares"]}

    assert (age["feature"], age["rule"]) == ("age", "drift")
    assert day(2) < age["at"] <= day(3)  # where it was furthest, which may be some windows after the change ended
    assert sum(age["bins"]["reference"]) == pytest.approx(1)
    assert outside["above"] > 0.3


def test_a_feature_that_did_not_alarm_is_shown_over_the_whole_recording(
    home: Path, backtest: Callable[..., dict[str, Any]], capsys: Output
) -> None:
    configure(home, alerting={"rules": [], "false_alarms_per_month": None})  # nothing can alarm
    file = written(home, events(96))
    [plan] = backtest(file, "--show", "pl*")["models"][0]["distributions"]

    assert (plan["feature"], plan["rule"]) == ("plan", None)
    assert plan["rows"]["current"] == pytest.approx(96 * ROWS, abs=2 * ROWS)
    assert "--show plam: no feature is called so; there is age, plan" in refused(
        home, capsys, "--input", file, "--show", "plam"
    )


def test_a_feature_of_an_explicit_rule_is_shown_as_it_was_in_the_window(
    home: Path, backtest: Callable[..., dict[str, Any]]
) -> None:
    configure(home, alerting={"false_alarms_per_month": None})
    found = backtest(written(home, events(96)), "--inject", f"age:shift=5sd@{day(2)}..{day(2.25)}")
    [age, *_] = found["models"][0]["distributions"]

    assert (age["feature"], age["rule"], age["rows"]["current"]) == ("age", RULE["name"], ROWS)


def test_a_feature_that_breaks_a_contract_is_shown_as_it_was_in_the_window(
    home: Path, backtest: Callable[..., dict[str, Any]]
) -> None:
    """Its evidence counts rows that break a rule, and not values."""
    contract = {"format": "driftd.contract/1", "version": "1", "columns": {"age": {"type": "number", "max": 60}}}
    (home / "c.yaml").write_text(yaml.safe_dump(contract), encoding="utf-8")
    configure(
        home,
        alerting={"false_alarms_per_month": 1},
        models=[{"name": "churn", "version": "3", "contract": "c.yaml"}],
    )

    found = backtest(written(home, events(96)), "--inject", f"age:shift=3sd@{day(2)}..{day(3)}")

    assert "contract" in {one["rule"] for one in found["alerts"]}
    assert {one["feature"] for one in found["models"][0]["distributions"]} == {"age"}


def test_every_key_of_the_json_is_documented_and_no_other(home: Path, backtest: Callable[..., dict[str, Any]]) -> None:
    twice = [f"age:shift=5sd@{day(2)}..{day(2.25)}", f"age:shift=5sd@{day(2.75)}..{day(2.9)}"]  # within the cooldown
    settings = yaml.safe_load((home / "driftd.yaml").read_text())
    fields = {"label": "label", "latency": "took"}
    settings["topics"][0]["fields"], settings["models"][0]["labels"] = fields, {"wait": "1h"}
    contract = {
        "format": "driftd.contract/1",
        "new_columns": "allowed",
        "columns": {"age": {"type": "number", "max": 40}},
    }
    (home / "c.yaml").write_text(yaml.safe_dump(contract))
    settings["models"][0]["contract"] = "c.yaml"
    settings["retraining"] = {"veto": []}  # the broken contract would hold back every request
    (home / "driftd.yaml").write_text(yaml.safe_dump(settings))
    fit(home, prediction="score", label="true")
    labelled = [
        each | {"id": str(n), "prediction": 0.9, "label": n % 2, "took": 10 + n % 7}
        for n, each in enumerate(events(96))
    ]
    backtest(written(home, labelled), "--inject", *twice)
    found = json.loads((home / "out.json").read_bytes())
    section = BACKTEST_MD.read_text(encoding="utf-8").split("`--json OUT.json`")[1].split("\n## ")[0]
    rows = [line.split(" | ")[0] for line in section.splitlines() if line.startswith("| `")]

    assert found["suppressed"], "a list without an entry shows no keys"
    assert sorted(key for row in rows for key in re.findall(r"`([^`]+)`", row)) == sorted(keys_in(found, ""))


def test_nothing_is_sent_and_no_state_is_made(home: Path, backtest: Callable[..., dict[str, Any]]) -> None:
    backtest(written(home, events(72)), "--inject", f"age:shift=3sd@{day(2)}")

    assert not (home / "state").exists()
    assert {path.name for path in home.iterdir()} == {"r.json", "driftd.yaml", "events.jsonl", "out.json"}


def test_it_says_what_the_daemon_would_have_said(home: Path, backtest: Callable[..., dict[str, Any]]) -> None:
    """Polls of another size from two partitions, through decoder and pipeline as the loop does it."""
    configure(home, models=[{"name": "churn", "version": "3", "slide": "15m"}])
    messages = events(72)
    for one in messages[40 * ROWS : 60 * ROWS]:
        one["features"]["age"] += 30
    found = backtest(written(home, messages))
    partitions = {Partition("predictions", at): [json.dumps(one).encode() for one in messages[at::2]] for at in (0, 1)}
    facts = live(home, partitions)

    ends = [rfc3339(fact.end) for fact in facts if isinstance(fact, WindowClosed)]
    opened = [fact for fact in facts if isinstance(fact, AlertChanged) and fact.opened]
    told = [(one.rule, rfc3339(one.window.end), [each.feature for each in one.evidence]) for one in opened]
    assert {rule for rule, _, _ in told} == {"psi-high", "drift"}
    assert [one["end"] for one in found["models"][0]["timeline"]][: len(ends)] == ends
    assert [
        (one["rule"], one["fired_at"], [each["feature"] for each in one["evidence"]]) for one in found["alerts"]
    ] == sorted(told, key=lambda one: (one[1], one[0]))
    asked = [fact for fact in facts if isinstance(fact, RetrainDecided)]
    assert len(found["retrains"]) + len(found["suppressed"]) == len(asked)


def live(home: Path, partitions: dict[Partition, list[bytes | None]]) -> list[Fact]:
    """The facts of a daemon that reads these partitions now."""
    configuration = load(load_settings(home / "driftd.yaml"), home, needs_secrets=False)
    source, pipeline = ListSource(partitions, batch=97), Pipeline(configuration.specs, SECOND, SECOND)
    decoders, facts = build_decoders(configuration), []
    source.open({})
    while (poll := source.poll(0.0)).records:
        arrived, more = as_the_loop_does(decoders, poll)
        facts += [*more, *pipeline.ingest(arrived, LATE), *pipeline.advance()]
    return facts


def as_the_loop_does(decoders: dict[str, TopicDecoder], poll: Poll) -> tuple[MicroBatch, list[Fact]]:
    (records,) = poll.records
    decoded = decoders[records.topic].decode(records, LATE)
    read = frozenset(decoded.seen)
    return MicroBatch(tuple(decoded.batches), decoded.seen, read=read, assigned=poll.assigned), decoded.facts


def test_the_same_input_gives_the_same_bytes(home: Path, backtest: Callable[..., dict[str, Any]]) -> None:
    file, change = written(home, events(72)), f"age:missing=30%@{day(1)}"
    backtest(file, "--inject", change)
    first = (home / "out.json").read_bytes()
    backtest(file, "--inject", change)

    assert (home / "out.json").read_bytes() == first


def test_blocks_of_any_size_give_the_same(
    home: Path, backtest: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = written(home, events(30))
    whole = backtest(file, "--inject", f"plan:category=EU:20%@{day(1)}")
    monkeypatch.setattr("monitor.sources.lines.BLOCK", 997)

    assert backtest(file, "--inject", f"plan:category=EU:20%@{day(1)}") == whole


def test_slices_of_any_length_give_the_same(
    home: Path, backtest: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where two models come at other times, and some events are late: fewer at once than are judged before a span ends."""
    configure(home, models=[{"name": "churn", "version": "3"}, {"name": "fraud", "window": "15m"}])
    fraud = events(6, first=26, model="fraud")
    monkeypatch.setattr("monitor.sources.lines.BLOCK", 100_000)
    file = written(home, [*events(30), *fraud, *events(10, first=30), *events(3)])
    whole = backtest(file, "--inject", f"churn/plan:category=EU:20%@{day(1)}")
    assert 0 < whole["events"]["late"] < 2 * FEW  # of two models
    sliced = replay.slices
    for panes in (3, 7, 1000):
        monkeypatch.setattr(replay, "slices", lambda arrived, length, panes=panes: sliced(arrived, panes * length))
        assert backtest(file, "--inject", f"churn/plan:category=EU:20%@{day(1)}") == whole


def test_slices_of_any_length_open_the_same_incidents_where_late_events_pour_in(
    home: Path, backtest: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """How many late events an incident tells of hangs on when one looked; that it opens, when, and all else do not."""
    configure(home, models=[{"name": "churn", "version": "3"}, {"name": "fraud", "window": "15m"}])
    monkeypatch.setattr("monitor.sources.lines.BLOCK", 100_000)
    file = written(home, [*events(30), *events(12, first=20, model="fraud"), *events(10, first=30), *events(3)])
    whole = backtest(file)
    assert {each["model"] for each in whole["alerts"] if each["rule"] == "lateness"} == {"churn", "fraud"}
    sliced = replay.slices
    for panes in (3, 7, 1000):
        monkeypatch.setattr(replay, "slices", lambda arrived, length, panes=panes: sliced(arrived, panes * length))
        found = backtest(file)
        assert [without_counts(each) for each in found["alerts"]] == [without_counts(each) for each in whole["alerts"]]
        assert {key: found[key] for key in ("events", "topics", "windows", "period", "hints")} == {
            key: whole[key] for key in ("events", "topics", "windows", "period", "hints")
        }


def without_counts(alert: dict[str, Any]) -> dict[str, Any]:
    """An alert of a backtest without how many late events it tells of."""
    if alert["rule"] != "lateness":
        return alert
    told = ("feature", "detector", "severity", "since", "chart")
    window = {key: alert["window"][key] for key in ("start", "end")}
    return alert | {"window": window, "evidence": [{key: each[key] for key in told} for each in alert["evidence"]]}


@pytest.mark.parametrize("until", ["", f"..{day(1.5)}"])
def test_the_words_of_a_page_know_nothing_of_what_comes_later(
    home: Path, backtest: Callable[..., dict[str, Any]], until: str
) -> None:
    """All the record is one block."""
    recorded = [
        one | {"features": one["features"] | ({"plan": "XX-9"} if at > 60 * ROWS and at % 10 == 0 else {})}
        for at, one in enumerate(events(96))
    ]
    file = written(home, recorded)
    (page, *_) = backtest(file, "--inject", f"plan:category=EU-2:10%@{day(1)}{until}")["alerts"]
    assert 'new category "EU-2" ' in page["evidence"][0]["words"]
    assert "other" not in page["evidence"][0]["words"]
    assert "XX-9" not in json.dumps(page)

    (page, *_) = backtest(file, "--inject", f"age:times=100@{day(1)}{until}")["alerts"]
    assert "values × 100" in page["evidence"][0]["words"]


def test_sparse_events_do_not_fill_memory_with_panes(home: Path) -> None:
    class Watched(Pipeline):
        most = 0

        def advance(self) -> list[Fact]:
            self.most = max(self.most, *(series.open_panes for series in self.series.values()))
            return super().advance()

    sparse = [one | {"ts": one["ts"] + at * HOUR} for at, one in enumerate(events(20))]
    configuration = load(load_settings(home / "driftd.yaml"), home, needs_secrets=False)
    pipeline = Watched(configuration.specs, SECOND)
    decoder = build_decoders(configuration)["predictions"]
    closed: list[int] = []

    def take(turn: replay.Turn) -> None:
        closed.append(sum(isinstance(fact, WindowClosed) for fact in turn.facts))

    replay.Replay(pipeline, recorded.Lines([written(home, sparse)], undated(decoder))).run(take)

    assert sum(closed) == 20 * ROWS
    assert pipeline.most <= 3
    assert max(closed) <= 3  # nor with what is said of them


def test_files_in_order_are_one_record(home: Path, backtest: Callable[..., dict[str, Any]]) -> None:
    all_of_it = events(48)
    whole = backtest(written(home, all_of_it))
    parts = [written(home, all_of_it[:1500], "a.jsonl"), written(home, all_of_it[1500:], "b.jsonl")]

    assert backtest(*parts) == whole


@pytest.mark.parametrize("compiled", [True, False])
def test_a_result_is_the_same_read_ahead_or_not(
    home: Path, backtest: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch, *, compiled: bool
) -> None:
    """With what cannot be used among the lines: nothing, blanks, NUL bytes, no end, half a line, more than a message holds."""
    monkeypatch.setattr("monitor.sources.lines.BLOCK", 20_000)
    monkeypatch.setattr("monitor.sources.lines.USED", compiled)
    good = [json.dumps(one) for one in events(48)]
    odd = ["", "  ", "\0", good[0][:-20], good[1] + "\0", good[2].replace("age", "a\0e"), "x" * 100_000, "[]", "\r"]
    file = written(home, [*good[:2_000], *odd, *good[2_000:]])
    file.write_bytes(file.read_bytes() + good[-1].encode()[:30])
    found = [backtest(file, "--threads", threads) for threads in ("1", "2", "8")]

    assert found[1:] == [found[0], found[0]]
    assert found[0]["events"]["ok"] == len(good)
    assert found[0]["rejected"] == {"malformed_json": 6, "not_object": 1}


@pytest.mark.parametrize("ending", ["\r\n", "\n\n", "\r\n\r\n"])
def test_empty_lines_and_carriage_returns_are_no_events(
    home: Path, backtest: Callable[..., dict[str, Any]], ending: str
) -> None:
    whole = backtest(written(home, events(30)))
    written(home, events(30), ending=ending)
    (home / "events.jsonl").write_bytes(b"\xef\xbb\xbf" + (home / "events.jsonl").read_bytes().rstrip())

    assert backtest(home / "events.jsonl") == whole


def test_events_of_the_future_count(home: Path, backtest: Callable[..., dict[str, Any]]) -> None:
    """What is recorded has happened; whoever simulates next year must not be told that it is not there yet."""
    found = backtest(written(home, events(30, first=24 * 365 * 20)))

    assert found["events"]["rejected"] == 0
    assert found["windows"] == 30


def test_what_cannot_be_used_is_counted_by_reason(home: Path, backtest: Callable[..., dict[str, Any]]) -> None:
    lines = [json.dumps(one) for one in events(30)]
    odd = ["{", '{"ts": 1, "model": "churn", "features": {}}', json.dumps(events(1)[0] | {"model": "other"})]
    found = backtest(written(home, [*lines, *odd]))

    assert found["rejected"] == {"malformed_json": 1, "timestamp_before_2000": 1}
    assert found["events"].items() >= {"ok": 30 * ROWS, "rejected": 2, "unmonitored": 1}.items()
    assert "1 events are of models that are not configured" in found["hints_said"]


def test_late_events_are_counted_and_the_way_out_is_said(
    home: Path, backtest: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitor.sources.lines.BLOCK", 10_000)  # within a block, as within a poll, any order is in time
    in_order = events(30)
    found = backtest(written(home, [*in_order[600:], *in_order[:600]]))

    assert found["events"]["late"] == 600
    assert "raise lateness, or sort a file that is not in the order" in found["hints_said"]


def test_what_would_be_late_live_is_foretold_though_a_small_file_is_read_at_once(
    home: Path, backtest: Callable[..., dict[str, Any]]
) -> None:
    """A tenth of the events stand two hours later in the record than they happened."""
    recorded = events(48)
    moved = [at + 120.5 if at % 10 == 0 else at for at in range(len(recorded))]
    order = sorted(range(len(recorded)), key=lambda at: moved[at])
    found = backtest(written(home, [recorded[at] for at in order]))

    (topic,) = found["topics"]
    assert (topic["topic"], topic["late"]) == ("predictions", 0)
    assert 0.08 < topic["late_share"] <= 0.1
    assert "an incident of the rule lateness: they are out of order within a partition" in found["hints_said"]
    (sorted_topic,) = backtest(written(home, recorded))["topics"]
    assert (sorted_topic["late_live"], sorted_topic["cause"], sorted_topic["ahead"]) == (0, None, 0)


def test_events_that_another_reader_has_to_read_are_not_late_live_for_that(
    home: Path, backtest: Callable[..., dict[str, Any]]
) -> None:
    """The fast ways leave a key that is said twice, and a number that is a text: such events are read after the others of their block."""
    lines = [json.dumps(event) for event in events(48)]
    lines[::10] = [line.replace('"age": ', '"age": "1", "age": ') for line in lines[::10]]
    lines[5::10] = [re.sub(r'("age": )([^,]+)', r'\1"\2"', line) for line in lines[5::10]]
    found = backtest(written(home, lines))

    (topic,) = found["topics"]
    assert (topic["late_live"], topic["cause"]) == (0, None)


def test_a_fast_clock_is_foretold_and_makes_no_other_event_late(
    home: Path, backtest: Callable[..., dict[str, Any]]
) -> None:
    recorded = events(48)
    for event in recorded[50::50]:
        event["ts"] += 3 * HOUR
    found = backtest(written(home, recorded))

    (topic,) = found["topics"]
    assert (topic["late"], topic["late_live"]) == (0, 0)
    assert topic["ahead"] >= 50
    assert 10_000 < topic["lead_seconds"] <= 10_800
    assert "a clock runs fast" in found["hints_said"]


def test_few_rows_are_said_with_both_numbers_and_the_window_that_would_do(
    home: Path, backtest: Callable[..., dict[str, Any]]
) -> None:
    configure(home, models=[{"name": "churn", "version": "3", "min_rows": 200}])
    found = backtest(written(home, events(30)))

    few = "churn/3: a usual window of 60m holds 60 rows, min_rows is 200: KS, PSI and χ² will say insufficient_data; a window of 4h would do"
    assert few in found["hints_said"]
    assert few in found["hints"]


def test_only_events_within_from_and_until_count(home: Path, backtest: Callable[..., dict[str, Any]]) -> None:
    found = backtest(written(home, events(72)), "--from", day(1), "--until", day(2))

    assert found["events"].items() >= {"ok": 24 * ROWS, "outside": 48 * ROWS, "late": 0}.items()
    assert found["windows"] == 24


def test_the_windows_open_at_the_end_are_closed(home: Path, backtest: Callable[..., dict[str, Any]]) -> None:
    found = backtest(written(home, events(30)[:-30]))

    assert found["windows"] == 30
    assert [one["rows"] for one in found["models"][0]["timeline"]][-2:] == [ROWS, ROWS - 30]


def test_each_model_has_its_own_findings(home: Path, backtest: Callable[..., dict[str, Any]]) -> None:
    configure(home, models=[{"name": "churn", "version": "3"}, {"name": "fraud"}])
    both = [one | {"model": model} for one in events(48) for model in ("churn", "fraud")]
    found = backtest(written(home, both), "--inject", f"fraud/age:times=100@{day(1)}")

    assert [one["events"]["ok"] for one in found["models"]] == [48 * ROWS, 48 * ROWS]
    assert {one["model"] for one in found["alerts"]} == {"fraud"}


def test_a_feature_that_joins_an_open_alert_is_told_apart(home: Path, backtest: Callable[..., dict[str, Any]]) -> None:
    changes = [f"age:shift=3sd@{day(1)}", f"plan:constant=pro@{day(1.5)}"]
    found = backtest(written(home, events(48)), "--inject", *changes)

    alert = next(one for one in found["alerts"] if one["rule"] == "psi-high")
    assert [one["feature"] for one in alert["evidence"]] == ["age"]
    assert [one["feature"] for one in alert["joined"]] == ["plan"]
    assert [one["delay_windows"] for one in found["injected"]] == [1, 1]


def test_a_change_to_what_is_firing_already_is_found_by_a_chart_that_did_not_fire(
    home: Path, backtest: Callable[..., dict[str, Any]]
) -> None:
    changes = [
        f"age:shift=3sd@{day(1)}..{day(2)}",
        f"age:times=3@{day(1.5)}",
        f"age:missing=90%@{day(1.25)}..{day(1.3)}",
    ]
    found = backtest(written(home, events(72)), "--inject", *changes)

    first, second, third = found["injected"]
    assert first["delay_windows"] == 1
    assert second["found_at"] is None or second["found_at"] > day(1.5)
    assert (third["found_at"], third["rule"], third["rank"]) == ("2026-11-02T07:00:00Z", "drift", None)
    assert third["chart"].startswith("missing")


# --- the budget ---------------------------------------------------------------------------------------------------------


def test_a_broker_that_is_away_is_said_before_anybody_has_waited_long(
    home: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its cause; `kafka.startup_timeout` is the daemon's, which nobody watches."""
    monkeypatch.setattr("monitor.sources.kafka.range.ASKING", 0.2)
    monkeypatch.setattr("monitor.sources.kafka.range.LOOKING_UP", 0.6)
    with (home / "driftd.yaml").open("a", encoding="utf-8") as config:
        config.write("kafka: {bootstrap_servers: '127.0.0.1:1', startup_timeout: 1h}\n")

    assert "Connection refused" in refused(home, capsys, "--kafka")


def test_the_headline_says_what_a_team_must_know(home: Path, backtest: Callable[..., dict[str, Any]]) -> None:
    """Pages, the share of the time under alarm, the largest effect."""
    configure(home, alerting={"rules": []})
    found = backtest(written(home, events(96)), "--inject", f"age:shift=2sd@{day(2)}")

    line = next(line for line in found["said"].splitlines() if "under alarm" in line)
    critical = [each for each in found["incidents"] if each["severity"] == "critical"]
    assert line.startswith(f"  {len(critical)} page")
    assert f"under alarm {round(100 * found['models'][0]['open_share'])} % of the time" in line
    assert "age" in line.partition("largest effect: ")[2]  # or among those that joined


def test_a_change_is_found_by_the_budget_alone(home: Path, backtest: Callable[..., dict[str, Any]]) -> None:
    configure(home, alerting={"rules": []})
    found = backtest(written(home, events(96)), "--inject", f"age:shift=2sd@{day(2)}")

    (planted,) = found["injected"]
    assert planted["rule"] == "drift"
    assert planted["rank"] == 1
    assert planted["delay_windows"] <= 6  # three times what theory asks for
    assert found["models"][0]["nearest"][0]["feature"] == "age"
    assert found["models"][0]["nearest"][0]["highest"] >= 1
    assert found["models"][0]["panes"] == 96
    assert found["models"][0]["warnings"]["expected"] >= 0
    (row,) = [row for row in found["models"][0]["sweep"] if row["false_alarms_per_month"] == 1]
    assert row["first_page"] == found["alerts"][0]["fired_at"]  # the same increments, the same thresholds
    assert row["delays_panes"] == [planted["delay_windows"]]


def test_a_smaller_budget_never_finds_sooner(home: Path, backtest: Callable[..., dict[str, Any]]) -> None:
    found = backtest(
        written(home, events(96)), "--inject", f"age:shift=0.8sd@{day(2)}", "--budget", "0.01,0.1,1,10,100"
    )

    sweep = found["models"][0]["sweep"]
    delays = [row["delays_panes"][0] for row in sweep]
    assert [row["false_alarms_per_month"] for row in sweep] == [0.01, 0.1, 1, 10, 100]
    assert None not in delays
    assert delays == sorted(delays, reverse=True)


def test_delays_count_whole_panes_where_the_first_was_cut(home: Path, backtest: Callable[..., dict[str, Any]]) -> None:
    configure(home, alerting={"rules": []}, models=[{"name": "churn", "version": "3", "slide": "15m"}])
    found = backtest(written(home, events(72, first=0.5)), "--inject", f"age:missing=60%@{day(2)}")

    injected, model = found["injected"][0], found["models"][0]
    waited = datetime.fromisoformat(injected["found_at"]) - datetime.fromisoformat(day(2))
    assert injected["rule"] == "drift"
    assert injected["delay_windows"] == waited / timedelta(hours=1)
    configured = next(row for row in model["sweep"] if row["false_alarms_per_month"] == 1)
    assert configured["delays_panes"] == [injected["delay_windows"]]


def test_versions_of_a_model_share_its_budget(home: Path, backtest: Callable[..., dict[str, Any]]) -> None:
    models = [{"name": "churn", "version": "3"}, {"name": "churn", "version": "4"}, {"name": "fraud"}]
    configure(home, alerting={"rules": []}, models=models)
    told = [{"version": "3"}, {"version": "4"}, {"model": "fraud"}]
    found = backtest(written(home, [one | shared for one in events(48) for shared in told]))
    expected = [one["expected_false_alarms"] for one in found["models"]]

    assert expected[:2] == pytest.approx([expected[2] / 2] * 2)
    assert found["expected_false_alarms"] == pytest.approx(2 * expected[2])
    assert expected[2] == pytest.approx(48 / 24 / 30, rel=0.1)


def test_a_budget_that_is_off_is_not_charted(home: Path, backtest: Callable[..., dict[str, Any]]) -> None:
    configure(home, alerting={"false_alarms_per_month": None})
    found = backtest(written(home, events(48)))

    assert found["models"][0]["panes"] == 0
    assert found["models"][0]["sweep"] == []
    assert found["models"][0]["warnings"] == {"seen": None, "expected": None}


def test_a_reference_without_times_is_said_to_be_cold(home: Path, backtest: Callable[..., dict[str, Any]]) -> None:
    Reference.fit({"age": np.arange(100.0), "plan": ["free", "pro"] * 50}).save(home / "r.json")
    found = backtest(written(home, events(48)))

    assert found["models"][0]["calibration"] == "cold"
    assert "churn/3: not calibrated" in found["hints_said"]
    assert found["models"][0]["expected_false_alarms"] is None
    assert found["expected_false_alarms"] is None
    assert "how many false ones to expect is not known; calibration cold" in found["said"]


def test_a_cold_reference_learns_in_a_backtest_too(home: Path, backtest: Callable[..., dict[str, Any]]) -> None:
    """After 60 hours, and from then on charts decide; live ages lie a sigma and a half above those of the training set."""
    rng = np.random.default_rng(SEED)
    Reference.fit({"age": rng.normal(25, 10, 5000), "plan": rng.choice(["free", "pro"], 5000)}).save(home / "r.json")
    configure(home, alerting={"rules": []}, models=[{"name": "churn", "version": "3", "learn_for": "60h"}])
    found = backtest(
        written(home, events(120)), "--report", str(home / "out.html"), "--inject", f"age:shift=2sd@{day(4)}"
    )
    model, page = found["models"][0], (home / "out.html").read_text(encoding="utf-8")
    cold = found["alerts"][0]  # what the charts open by chance in the days after may stand among the rest

    assert (model["calibration"], model["learning"]) == ("learnt_pooled", None)
    assert model["learnt"]["at"] == day(2.5)
    assert [each["feature"] for each in model["learnt"]["differs"]] == ["age"]
    assert found["expected_false_alarms"] is model["expected_false_alarms"] is None
    assert model["learnt"]["expected_false_alarms"] == pytest.approx(2.5 / 30, rel=0.01)
    assert model["panes"] == 60
    assert cold["resolved_at"] == day(2.5)
    assert day(4) < found["injected"][0]["found_at"] <= day(4.5)
    assert f"not known until {day(2.5)}, 0.0833 by the budget after; calibration learnt_pooled" in found["said"]
    assert (
        "when live traffic had taught a calibration; live traffic is not like the training set: age"
        in found["hints_said"]
    )
    assert "Learnt from live traffic." in page
    assert "no budget could be kept at first" in page


def test_a_reference_that_is_still_learning_says_how_far_it_has_come(
    home: Path, backtest: Callable[..., dict[str, Any]]
) -> None:
    Reference.fit({"age": np.arange(100.0), "plan": ["free", "pro"] * 50}).save(home / "r.json")
    found = backtest(written(home, events(48)))

    assert (found["models"][0]["calibration"], found["models"][0]["learnt"]) == ("cold", None)
    assert found["models"][0]["learning"]["words"].startswith("learning 1.")
    assert "no budget is promised: learning 1." in found["hints_said"]


def test_the_report_is_written_where_it_is_asked_for(home: Path, backtest: Callable[..., dict[str, Any]]) -> None:
    backtest(written(home, events(48)), "--report", str(home / "out.html"), "--inject", f"age:shift=3sd@{day(1)}")

    report = (home / "out.html").read_text(encoding="utf-8")
    assert report.startswith("<!doctype html>")
    assert "age:shift=3sd" in report


# --- mistakes -----------------------------------------------------------------------------------------------------------


def test_a_file_that_cannot_be_read_is_one_line(home: Path, capsys: Output) -> None:
    (home / "empty.jsonl").touch()
    (home / "events.txt").touch()
    (home / "mixed.csv").touch()
    (home / "dir.jsonl").mkdir()

    assert "no.jsonl: does not exist" in refused(home, capsys, "--input", home / "no.jsonl")
    assert "no.parquet: does not exist" in refused(home, capsys, "--input", home / "no.parquet")
    assert "empty.jsonl: is empty" in refused(home, capsys, "--input", home / "empty.jsonl", code=1)
    assert "dir.jsonl: is a directory" in refused(home, capsys, "--input", home / "dir.jsonl")
    assert ".txt is no format known here" in refused(home, capsys, "--input", home / "events.txt")
    both = refused(home, capsys, "--input", home / "mixed.csv", home / "empty.jsonl")
    assert "cannot be read in one go" in both


def test_what_is_asked_for_must_make_sense(home: Path, capsys: Output) -> None:
    file = written(home, events(30))

    assert "needs --input FILE… or --kafka" in refused(home, capsys)
    assert "needs --input FILE… or --kafka" in refused(home, capsys, "--kafka", "--input", file)
    assert "--topic no: is not configured; there is predictions, flat" in refused(
        home, capsys, "--input", file, "--topic", "no"
    )
    assert "--from soon: is no time" in refused(home, capsys, "--input", file, "--from", "soon")
    assert "is not after --from" in refused(home, capsys, "--input", file, "--from", day(2), "--until", day(1))
    assert "is one of the inputs" in refused(home, capsys, "--input", file, "--json", file)
    assert "there is no directory" in refused(home, capsys, "--input", file, "--report", home / "no" / "out.html")
    assert "is a directory" in refused(home, capsys, "--input", file, "--report", home)


def test_when_nothing_can_be_judged_the_reason_is_said_with_exit_code_1(home: Path, capsys: Output) -> None:
    file = written(home, events(30))
    other = written(home, events(30, model="other"), "other.jsonl")
    short = written(home, events(1, first=0.5)[:20], "short.jsonl")
    broken = written(home, ["{", "[]"], "broken.jsonl")

    assert "no event lies between --from and --until; 1,800 lie outside" in refused(
        home, capsys, "--input", file, "--from", day(100), code=1
    )
    assert "no event is of a configured model: there is churn/3; 1,800 are of others" in refused(
        home, capsys, "--input", other, code=1
    )
    assert "no window closed: the events of churn/3 span 19 minutes, its window is 60 minutes" in refused(
        home, capsys, "--input", short, code=1
    )
    assert "every event was rejected: malformed_json 1, not_object 1" in refused(
        home, capsys, "--input", broken, code=1
    )


def test_a_file_of_one_endless_line_is_given_up(home: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitor.sources.lines.BLOCK", 100)
    monkeypatch.setattr("monitor.sources.lines.LONGEST", 1000)
    (home / "one.jsonl").write_bytes(b"[" * 5000)

    assert "one.jsonl: a line is longer than" in refused(home, capsys, "--input", home / "one.jsonl")


def test_progress_is_one_line_of_a_terminal(capsys: Output) -> None:
    progress = ProgressLine(terminal=True)
    progress.show("read 1,234 events, 50%")
    progress.show("read 1,300 events, 60%")
    progress.show("read 2,468 events, 100%")
    progress.done()

    assert capsys.readouterr().err == "\rread 1,234 events, 50%\rread 2,468 events, 100%\n"


def test_progress_is_for_a_terminal_only(capsys: Output) -> None:
    progress = ProgressLine(terminal=False)
    progress.show("read 1,234 events, 50%")
    progress.done()

    assert capsys.readouterr().err == ""


def test_a_change_that_concerns_no_event_is_refused(home: Path, capsys: Output) -> None:
    said = refused(home, capsys, "--input", written(home, events(30)), "--inject", f"age:shift=1sd@{day(50)}")

    assert f"--inject age:shift=1sd@{day(50)}: concerns no event of churn/3" in said


@pytest.mark.parametrize("budgets", ["", "0", "1,-3", "x", "inf", "nan"])
def test_budgets_to_compare_are_numbers_above_zero(home: Path, capsys: Output, budgets: str) -> None:
    with pytest.raises(SystemExit) as left:
        main(["backtest", "--config", str(home / "driftd.yaml"), "--input", "x.jsonl", "--budget", budgets])

    assert left.value.code == 2
    assert "is no list of numbers above zero" in capsys.readouterr().err
