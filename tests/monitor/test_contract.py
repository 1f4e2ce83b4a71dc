"""A data contract from the configuration to /metrics: a daemon whose loop is turned by hand; and what of a contract is refused."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from detectors import Reference
from detectors.contract import infer, written
from monitor.app import COMPILED, Daemon, build_board, build_decoders
from monitor.cli import main
from monitor.commands.cautions import warnings
from monitor.configuration import Configuration, load
from monitor.facts import ContractBroken
from monitor.settings import ConfigError, load_settings
from monitor.sources.base import TopicRecords
from monitor.stream.events import SECOND, Partition, SeriesKey
from tests.fakes import NOON, ListSource, ManualClock

P0 = Partition("predictions", 0)
MODEL = {"name": "churn", "reference": "r.json", "window": "1m", "lateness": "0s", "min_rows": 1}
RULES: dict[str, Any] = {
    "format": "driftd.contract/1",
    "version": 7,
    "columns": {
        "age": {"type": "integer", "required": True, "min": 0, "max": 99},
        "plan": {"type": "text", "matches": "[a-z]+"},
        "__id__": {"required": True},
    },
}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    Reference.fit({"age": [float(n) for n in range(100)], "plan": ["free", "pro"] * 50}).save(tmp_path / "r.json")
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(RULES))
    return tmp_path


def configured(home: Path, contract: Any, **changes: Any) -> Configuration:
    settings = {
        "topics": [{"name": "predictions"}],
        "models": [MODEL | ({} if contract is None else {"contract": contract})],
        "state": str(home / "state"),
        "http": {"port": 0},
    } | changes
    (home / "driftd.yaml").write_text(yaml.safe_dump(settings))
    return load(load_settings(home / "driftd.yaml"), home, {})


def event(second: int, age: Any, plan: Any, **more: Any) -> bytes:
    said = {"ts": (NOON + second * SECOND) // 10**6, "model": "churn", "features": {"age": age, "plan": plan}, **more}
    return json.dumps(said).encode()


EVENTS = [
    *(event(at, at, "pro", id=at) for at in range(40)),
    event(40, "12", "pro", id=40),
    event(41, 1.5, "free", id=41),
    event(42, 120, "Gold", id="secret"),
    event(43, None, "free"),
    event(44, 12, "brandnew", id=44),
    *(event(at, 12, "pro", id=at) for at in range(61, 66)),
]


class ContractDaemon:
    """A daemon that reads these events, and is turned by hand."""

    def __init__(self, home: Path, contract: Any, log: Sequence[bytes]) -> None:
        clock = ManualClock(NOON + 3600 * SECOND)
        self.source = ListSource({P0: log}, now=clock.now)
        self.daemon = Daemon.start(configured(home, contract), clock=clock, source=self.source)
        facts = self.daemon.pipeline.restore(self.daemon.store.records(), clock.now())
        self.daemon.telemetry.restore(self.daemon.pipeline.current())
        self.source.open(self.daemon.store.positions())
        self.daemon.loop.begin(facts)

    def turn(self) -> None:
        self.daemon.loop.turn(0.0)
        self.daemon.loop.save()

    def stop(self) -> None:
        self.source.close()
        self.daemon.server.close()
        self.daemon.store.close()

    def contract(self) -> Any:
        _, _, body = self.daemon.surface.answer("/api/v1/models/churn", "")
        return json.loads(body)[0]["contract"]

    def counted(self, name: str) -> dict[tuple[str, ...], int]:
        return {
            labels: count for labels, count in self.daemon.telemetry.look(lambda b: b.counters[name]).items() if count
        }


def test_what_breaks_a_contract_is_counted_shown_and_left_out(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    daemon = ContractDaemon(home, {"path": "c.yaml", "exclude": True}, EVENTS)
    known = daemon.daemon.telemetry.look(lambda board: set(board.counters["driftd_contract_violations_total"]))

    daemon.turn()
    shown = daemon.contract()
    counted = daemon.counted("driftd_contract_violations_total")
    outcomes = daemon.counted("driftd_events_total")
    daemon.stop()

    assert counted == {
        ("churn", "*", "age", "type"): 2,
        ("churn", "*", "age", "max"): 1,
        ("churn", "*", "age", "required"): 1,
        ("churn", "*", "plan", "matches"): 1,
        ("churn", "*", "__id__", "required"): 1,
    }
    assert counted.keys() <= known
    assert outcomes == {("predictions", "ok"): 46, ("predictions", "excluded"): 4}
    assert (shown["version"], shown["rows"], shown["excluded"], shown["not_checked"]) == ("7", 45, 4, [])
    assert {
        (each["field"], each["rule"]): (each["count"], sorted(each["samples"])) for each in shown["violations"]
    } == {
        ("__id__", "required"): (1, []),
        ("age", "max"): (1, ["120"]),
        ("age", "required"): (1, []),
        ("age", "type"): (2, ["'12'", "1.5"]),
        ("plan", "matches"): (1, ["'Gold'"]),
    }
    said = capsys.readouterr()
    assert "contract.broken" in said.out + said.err
    assert "secret" not in said.out + said.err


def test_counts_of_open_windows_outlive_the_process(home: Path) -> None:
    """What was read before a stop is in the window that closes after it, with another contract too; samples are not."""
    first = ContractDaemon(home, "c.yaml", EVENTS[:43])
    first.turn()
    first.stop()
    less = RULES | {"columns": {"age": RULES["columns"]["age"]}}
    (home / "c.yaml").write_text(yaml.safe_dump(less))

    second = ContractDaemon(home, "c.yaml", EVENTS)
    second.turn()
    shown = second.contract()
    second.stop()

    assert shown["rows"] == 45
    assert {(each["field"], each["rule"]): (each["count"], each["samples"]) for each in shown["violations"]} == {
        ("age", "max"): (1, []),
        ("age", "required"): (1, []),
        ("age", "type"): (2, []),
        ("plan", "matches"): (1, []),
    }


def test_an_inferred_contract_is_read_as_it_was_written(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "c.yaml").write_text(written(infer(Reference.load(home / "r.json")), "r.json"))
    configured(home, "c.yaml")

    assert main(["check", "--offline", "--config", str(home / "driftd.yaml")]) == 0
    assert "contract:" not in [line for line in capsys.readouterr().out.splitlines() if line.startswith("warning")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "models.churn.contract: {home}/c.yaml does not exist; make it with `driftd contract infer`"),
        (
            "format: driftd.contract/1\ncolumns: {age: {typ: number}}",
            "{home}/c.yaml: columns.age.typ is no key; did you mean type?",
        ),
        ("columns: [", "models.churn.contract: "),
    ],
)
def test_a_mistake_in_a_contract_is_one_line(
    home: Path, capsys: pytest.CaptureFixture[str], text: str | None, said: str
) -> None:
    (home / "c.yaml").unlink() if text is None else (home / "c.yaml").write_text(text)

    with pytest.raises(ConfigError) as raised:
        configured(home, "c.yaml")

    assert said.format(home=home) in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1
    assert main(["check", "--offline", "--config", str(home / "driftd.yaml")]) == 2
    assert str(home / "c.yaml") in capsys.readouterr().err


def test_what_is_not_checked_live_is_a_warning(home: Path) -> None:
    columns = {
        "age": {"type": "number", "unique": True, "monotone": True},
        "gone": {"required": True},
        "plan": {"type": "number", "monotone": True},
        "__id__": {"unique": True},
        "__time__": {"type": "time", "monotone": True},
    }
    (home / "c.yaml").write_text(yaml.safe_dump(RULES | {"columns": columns}))

    told = [line for line in warnings(configured(home, "c.yaml")) if "not checked" in line]

    where, behind = "models.churn.contract: ", "; not checked live, `driftd contract check` does"
    assert told == [
        f"{where}age: unique asks of all events before{behind}",
        f"{where}gone: is no feature, id or time that its events are mapped to{behind}",
        f"{where}plan: monotone asks of all events before{behind}",
    ]


def test_a_contract_counts_in_the_hash_where_there_is_one(home: Path) -> None:
    without, plain, excluding = (
        configured(home, contract).config_hash for contract in (None, "c.yaml", {"path": "c.yaml", "exclude": True})
    )

    assert len({without, plain, excluding}) == 3
    assert plain == configured(home, {"path": "c.yaml"}).config_hash


def test_leaving_out_needs_somebody_who_is_told(home: Path) -> None:
    with pytest.raises(ConfigError, match=r"models.churn.contract.exclude: true needs a budget"):
        configured(home, {"path": "c.yaml", "exclude": True}, alerting={"false_alarms_per_month": None})


def test_each_topic_says_what_of_a_contract_it_does_not_see(home: Path) -> None:
    """One maps no id, and one brings features alone: of neither is missed what it cannot have."""
    topics = [
        {"name": "predictions"},
        {"name": "other", "fields": {"id": ""}},
        {"name": "features", "kind": "features"},
    ]
    Reference.fit({"age": [1.0, 2.0] * 50, "plan": ["free", "pro"] * 50, "y": [0.0, 1.0] * 50}, prediction="y").save(
        home / "r.json"
    )
    rules = RULES | {"columns": RULES["columns"] | {"__prediction__": {"type": "number", "required": True}}}
    (home / "c.yaml").write_text(yaml.safe_dump(rules))
    configuration = configured(home, "c.yaml", topics=topics)

    board = build_board(configuration)
    decoders = build_decoders(configuration)
    batch = [event(1, 5, "pro", id=1)]
    found = {
        name: [
            rule
            for fact in decoder.decode(TopicRecords(name, [0], batch), NOON + 60 * SECOND).facts
            if isinstance(fact, ContractBroken)
            for rule in fact.counts
        ]
        for name, decoder in decoders.items()
    }

    said = [
        "other: __id__: is no feature, id or time that its events are mapped to",
        "features: __prediction__: is no feature, id or time that its events are mapped to",
    ]
    assert list(board.contracts[SeriesKey("churn", "*")].left_out) == said
    warned = [line for line in warnings(configuration) if line.startswith("models.churn.contract")]
    assert warned == [
        f"models.churn.contract: {words}; not checked live, `driftd contract check` does" for words in said
    ]
    assert found == {
        "predictions": [("__prediction__", "required")],
        "other": [("__prediction__", "required")],
        "features": [],
    }


@pytest.mark.parametrize(
    ("pattern", "compiled", "slow"),
    [("[0-9]+", True, []), ("(?=1)[0-9]+", True, ["__id__"]), ("[0-9]+", False, ["__id__", "plan"])],
)
def test_what_needs_every_event_as_it_came_is_said_to_be_slow(
    home: Path, monkeypatch: pytest.MonkeyPatch, pattern: str, compiled: bool, slow: list[str]
) -> None:
    """The compiled reader tells of ids and categories as they pass, but not what a pattern sees ahead."""
    monkeypatch.setitem(COMPILED, "decoding", compiled)
    rules = RULES | {
        "columns": {"plan": {"type": "number"}, "age": {"type": "integer"}, "__id__": {"matches": pattern}}
    }
    (home / "c.yaml").write_text(yaml.safe_dump(rules))

    warned = [line for line in warnings(configured(home, "c.yaml")) if "at several times the cost" in line]

    assert [line.split(": ")[1] for line in warned] == slow
