"""A backtest of a model with a data contract: its incidents, what it left out, and what broke it, as live."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from monitor.alerting.rules import SCHEMA_RULE
from monitor.sources.decode.schema import is_looked
from tests.monitor.backtest import test_backtest as recordings
from tests.monitor.backtest.test_backtest import ROWS, configure, events, written

Backtest = Callable[..., dict[str, Any]]
home, backtest = recordings.home, recordings.backtest  # fixtures
HOURS = 90  # of a record, in which a new field is looked at thrice
CONTRACT = {
    "format": "driftd.contract/1",
    "version": "4",
    "new_columns": "refused",
    "columns": {
        "age": {"type": "number", "required": True, "max": 120},
        "plan": {"type": "text", "values": ["free", "pro"], "max_missing": 0.05},
    },
}


def held(home: Path, *, exclude: bool = False) -> None:
    (home / "c.yaml").write_text(yaml.safe_dump(CONTRACT))
    contract = {"path": "c.yaml", "exclude": exclude}
    configure(home, models=[{"name": "churn", "version": "3", "contract": contract}])


def broken(hours: int) -> list[dict[str, Any]]:
    """From hour 24 on no age, from hour 40 on again, with a new field; each tenth row of an hour has another plan."""
    found = events(hours)
    for at, event in enumerate(found):
        if 24 * ROWS + 7 <= at < 40 * ROWS:
            del event["features"]["age"]
        if at >= 40 * ROWS:
            event["features"]["zip"] = 8001
        if at % 10 == 0 and at < ROWS:
            event["features"]["plan"] = "gold"
    return found


def test_it_tells_what_broke_and_which_columns_changed_since_which_line(home: Path, backtest: Backtest) -> None:
    held(home)

    found = backtest(written(home, broken(HOURS)))

    contract = found["models"][0]["contract"]
    gone = 16 * ROWS - 7
    rules = [(each["field"], each["rule"], each["count"], each["samples"]) for each in contract["violations"]]
    assert rules == [("age", "required", gone, []), ("plan", "values", ROWS // 10, ["'gold'"])]
    assert (contract["version"], contract["rows"], contract["excluded"]) == ("4", HOURS * ROWS, None)
    looked = next(at for at in range(40 * ROWS, HOURS * ROWS) if is_looked(np.array([at]))[0])
    changes = [(each["field"], each["change"], each["first"][0]["offset"]) for each in contract["schema"]]
    assert changes == [("age", "gone", 24 * ROWS + 7), ("zip", "new", looked)]
    assert [each["ended_at"] is None for each in contract["schema"]] == [False, True]
    incidents = [each for each in found["alerts"] if each["rule"] == SCHEMA_RULE]
    assert [(each["state"], [one["feature"] for one in each["evidence"]]) for each in incidents] == [
        ("resolved", ["age"]),
        ("open", ["zip"]),
    ]
    assert [each["features"][0]["feature"] for each in found["incidents"]] == ["age", "zip"]
    assert f"  data contract 4: broken: age: required {gone:,} times, 18 %, plan: values 6 times, " in found["said"]
    assert f"schema: age is gone since predictions/0 offset {24 * ROWS + 7} (" in found["said"]


def test_what_is_left_out_is_counted(home: Path, backtest: Backtest) -> None:
    held(home, exclude=True)

    found = backtest(written(home, broken(HOURS)))

    out = 16 * ROWS - 7 + ROWS // 10
    assert (found["events"]["excluded"], found["events"]["ok"]) == (out, HOURS * ROWS - out)
    assert found["models"][0]["contract"]["excluded"] == out
    assert f"{out:,} excluded" in found["said"]


def test_without_a_contract_there_is_none(home: Path, backtest: Backtest) -> None:
    found = backtest(written(home, events(60)))

    assert found["models"][0]["contract"] is None
    assert "contract" not in found["said"]


def test_the_report_has_a_chapter(home: Path, backtest: Backtest) -> None:
    held(home)

    backtest(written(home, broken(HOURS)), "--report", str(home / "out.html"))

    report = (home / "out.html").read_text(encoding="utf-8")
    assert "<h3>Data contract</h3>" in report
    assert f"age is gone since predictions/0 offset {24 * ROWS + 7}" in report


def test_a_part_of_a_record_is_held_alone(home: Path, backtest: Backtest) -> None:
    """What lies outside --from and --until neither breaks a rule nor changes a schema."""
    held(home)

    found = backtest(written(home, broken(HOURS)), "--until", "2026-11-02T00:00:00Z")

    contract = found["models"][0]["contract"]
    assert (contract["rows"], [each["field"] for each in contract["violations"]]) == (24 * ROWS, ["plan"])
    assert contract["schema"] == []
