"""The verifier finds what is wrong: a run that was good is spoilt in one way after the other, and each promise is said to be broken where it is."""

import json
import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from monitor.store import files, sums
from tests.integration.proven import DAY, PARTITIONS, PERIOD, TOPIC, Load, ProvenRun, proven_run, verdict
from tests.parts.mock import MockBroker
from tests.verifier.evidence import Heard, Left, Letter, letters
from tests.verifier.invariants import REACHABILITY, Verifier
from tests.verifier.replay import FIRING, RESOLVED
from tests.verifier.runs import document, verified
from tests.verifier.truth import Truth

Spoil = Callable[[Path], None]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with one kill."""
    home, seed = tmp_path_factory.mktemp("good") / "run", random.getrandbits(32)
    broker = MockBroker()
    broker.create_topic(TOPIC, PARTITIONS)
    load = Load(broker.bootstrap, seed, PERIOD, pause=0.0)
    with proven_run(home, broker.bootstrap, seed) as run:
        load.produce(0, PERIOD // 2)
        killed(run)
        load.produce(PERIOD // 2, PERIOD)
        run.daemon.start()
        run.finish(load)
    broker.stop()
    return home


def killed(run: ProvenRun) -> None:
    """Read something, and die."""
    run.daemon.start()
    run.daemon.wait_for(lambda: run.daemon.metric("driftd_events_total", outcome="ok") > 0)
    run.daemon.wait_told()
    run.daemon.kill()
    run.keep()


def lines(path: Path, change: Callable[[list[Any]], list[Any]]) -> None:
    """Write a file of JSON anew, a line each."""
    found = change([json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()])
    path.unlink()
    path.write_text("".join(json.dumps(line) + "\n" for line in found), encoding="utf-8")


def sent(home: Path, change: Callable[[list[Any]], list[Any]]) -> None:
    lines(home / "truth.jsonl", lambda found: [found[0], *change(found[1:])])


def said(home: Path, change: Callable[[list[Any]], list[Any]]) -> None:
    lines(home / "webhooks.jsonl", change)


def first_good(found: list[Any]) -> int:
    """The number of the first record that counts, of the model whose one pane holds all: of another it may lie before the first window."""
    return next(
        number
        for number, record in enumerate(found)
        if not record[2] and DAY in record[3] and '"x": null' not in record[3]
    )


def one_more(home: Path) -> None:
    """An event that was never counted: under an offset that was read."""

    def change(found: list[Any]) -> list[Any]:
        return [*found, found[first_good(found)]]

    sent(home, change)


def one_less(home: Path) -> None:
    sent(home, lambda found: [*found[: first_good(found)], *found[first_good(found) + 1 :]])


def other_value(home: Path) -> None:
    def change(found: list[Any]) -> list[Any]:
        at = first_good(found)
        event = json.loads(found[at][3])
        event["features"]["x"] = -1e6 if event["features"]["x"] > 0 else 1e6
        return [*found[:at], [*found[at][:3], json.dumps(event)], *found[at + 1 :]]

    sent(home, change)


def sql(state: Path, statement: str) -> None:
    with closing(sqlite3.connect(state / files.DATABASE)) as database, database:
        sums.teach(database)
        database.execute(statement)


def metrics(home: Path, name: str, by: int) -> None:
    """Add to the first sample of a metric that is not zero."""
    text = (home / "metrics.txt").read_text(encoding="utf-8").splitlines()
    at = next(at for at, line in enumerate(text) if line.startswith(name + "{") and not line.endswith(" 0.0"))
    sample, _, value = text[at].rpartition(" ")
    (home / "metrics.txt").write_text("\n".join([*text[:at], f"{sample} {float(value) + by}", *text[at + 1 :], ""]))


def unlike(found: list[Any]) -> list[Any]:
    """The last line once more, with another body."""
    last = json.loads(json.dumps(found[-1]))
    last["body"]["data"]["window"]["rows"] += 1
    return [*found, last]


def another(found: list[Any]) -> list[Any]:
    return [*found, found[-1] | {"id": "0" * 32}]


def untaken(found: list[Any]) -> list[Any]:
    return [each | {"taken": each["taken"] and each["type"] != RESOLVED} for each in found]


def early(found: list[Any]) -> list[Any]:
    """The end of an alert before its beginning."""
    return sorted(found, key=lambda each: each["type"] != RESOLVED)


def without(kind: str) -> Callable[[list[Any]], list[Any]]:
    return lambda found: [each for each in found if each["type"] != kind]


def forged(found: list[Any]) -> list[Any]:
    return [found[0] | {"verified": False}, *found[1:]]


FEWER = "UPDATE record SET payload = REPLACE(payload, '\"rows\":', '\"rows\":1') WHERE kind = 'window'"
BACK = "UPDATE position SET next_offset = next_offset - 1 WHERE partition = 0"
ON = "UPDATE position SET next_offset = 999999999 WHERE partition = 0"
SUM = f"UPDATE record SET sum = {sums.of('record')}"
PLACED = f"UPDATE position SET sum = {sums.of('position')}"
SPOILT: dict[str, tuple[str, Spoil]] = {
    "an event was lost": ("I1", one_more),
    "an event was counted twice": ("I1", one_less),
    "a window has other rows": ("I1", lambda home: [sql(home / "state", each) for each in (FEWER, SUM)] and None),
    "a row is damaged": ("I1", lambda home: sql(home / "state", FEWER)),
    "a value was counted as another": ("I2", other_value),
    "something was said that is not so": ("I3", lambda home: said(home, another)),
    "an alert was never told": ("I4", lambda home: said(home, without(FIRING))),
    "an end was never taken": ("I4", lambda home: said(home, untaken)),
    "an end was told first": ("I4", lambda home: said(home, early)),
    "two bodies have one id": ("I4", lambda home: said(home, unlike)),
    "a signature is wrong": ("I4", lambda home: said(home, forged)),
    "a delivery still waits": ("I4", lambda home: sql(home / "state", "UPDATE delivery SET status = 'pending'")),
    "a reason was counted twice": ("I5", lambda home: metrics(home, "driftd_events_rejected_total", 1)),
    "an outcome was not counted": ("I5", lambda home: metrics(home, "driftd_events_total", -1)),
    "not all was read": ("I6", lambda home: [sql(home / "state", each) for each in (BACK, PLACED)] and None),
    "positions went back": ("I6", lambda home: [sql(home / "killed/0001", each) for each in (ON, PLACED)] and None),
}


def test_what_was_good_holds_as_another_process_sees_it(good: Path, tmp_path: Path) -> None:
    found = verdict([good], tmp_path / "verdict.json")

    assert found["violations"] == []
    assert set(found["invariants"].values()) == {True}
    assert found["figures"]["states"] == 2
    assert found["figures"]["transitions"] == 3
    assert found["figures"]["events"] == PERIOD * 100
    assert found["figures"]["kept"] > 0
    assert found["figures"]["kept_again"] == 0


@pytest.mark.parametrize("how", SPOILT)
def test_what_was_spoilt_is_found(good: Path, tmp_path: Path, how: str) -> None:
    invariant, spoil = SPOILT[how]
    home = tmp_path / "run"
    shutil.copytree(good, home)
    spoil(home)
    found = document([verified(home)])

    assert not found["invariants"][invariant], found
    assert not found["holds"]


def silence(kind: str, *, taken: bool = True, name: str = "") -> Heard:
    """What a receiver hears of a leader that is silent."""
    alert = {"rule": REACHABILITY, "since": "2026-01-01T00:00:00Z"}
    data = {"model": "m", "model_version": "1", "alert": alert}
    return Heard(name or kind, kind, verified=True, taken=taken, body={"data": data, "type": kind})


SILENCES: dict[str, tuple[set[str], list[Heard]]] = {
    "told, and its end": (set(), [silence(FIRING, taken=False), silence(FIRING), silence(RESOLVED)]),
    "its end was not told": ({"I4"}, [silence(FIRING)]),
    "its beginning was not": ({"I4"}, [silence(RESOLVED)]),
    "its end was not taken": ({"I4"}, [silence(FIRING), silence(RESOLVED, taken=False)]),
    "its end came first": ({"I4"}, [silence(RESOLVED), silence(FIRING)]),
    "two ids have it": ({"I3"}, [silence(FIRING), silence(FIRING, name="other"), silence(RESOLVED)]),
}


@pytest.mark.parametrize("how", SILENCES)
def test_of_a_silence_beginning_and_end_are_told_once_in_order(how: str) -> None:
    broken, log = SILENCES[how]
    found = Verifier(Truth(TOPIC, 1, 0, []), {}, [])
    found.said(Left(deliveries={each.id: "delivered" for each in log}), log)

    assert {each["invariant"] for each in found.verdict.violations} == broken


NOT_KEPT: dict[str, Callable[[list[Letter]], list[Letter]]] = {
    "nothing was": lambda _: [],
    "its bytes are others": lambda found: [replace(found[0], value=found[0].value + " "), *found[1:]],
    "it has another reason": lambda found: [replace(found[0], reason="other"), *found[1:]],
    "a record that counts was": lambda found: [*found, replace(found[0], offset=10**6)],
}


@pytest.mark.parametrize("how", NOT_KEPT)
def test_what_is_not_kept_as_it_came_is_found(good: Path, how: str) -> None:
    truth = Truth.read(good / "truth.jsonl")
    truth.series.clear()  # nothing is counted here
    found = letters(good / "state" / "letters")
    right, wrong = Verifier(truth, {}, []), Verifier(truth, {}, [])
    right.kept([*found, found[0]])
    wrong.kept(NOT_KEPT[how](found))

    assert right.verdict.violations == []
    assert right.verdict.figures["kept_again"] == 1
    assert {each["invariant"] for each in wrong.verdict.violations} == {"I5"}
