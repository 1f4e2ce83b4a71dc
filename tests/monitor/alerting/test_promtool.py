"""`for` and `keep_firing_for` beside Prometheus: random scores, each judged by our alerts and by `promtool test rules`, minute by minute.

With n windows a rule of ours has the `for` of n − 1 evaluations in Prometheus, which counts the time since the first one. Where Prometheus
means something else, it is what ours does of other signals, and that is tested as well.
"""

import json
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from monitor.alerting.alerts import Alert, AlertState, Span
from monitor.alerting.episodes import OPEN
from monitor.alerting.rules import AlertRule, Signal
from tests.build import at
from tests.parts.prometheus import promtool

pytestmark = pytest.mark.prometheus

INACTIVE, PENDING, FIRING, RECOVERING = AlertState
BREACH, DEADBAND, CLEAR, NO_DATA = Signal
VALUES = {BREACH: "0.9", DEADBAND: "0.5", CLEAR: "0.1", NO_DATA: "stale"}
COUNTS = range(1, 4)  # windows
TRACES, MINUTES = 8, 40
STATES = {PENDING: "pending", FIRING: "firing", RECOVERING: "firing"}
Trace = Sequence[Signal]
Meaning = Callable[[AlertState, Signal], Signal]


def as_it_is(_state: AlertState, signal: Signal) -> Signal:
    return signal


def nothing_is_clear(_state: AlertState, signal: Signal) -> Signal:
    """To Prometheus a series that is not there is one that does not breach."""
    return CLEAR if signal is NO_DATA else signal


def a_deadband_holds_up(state: AlertState, signal: Signal) -> Signal:
    """The usual way to write hysteresis: what fires breaches down to the lower threshold."""
    return signal if signal is not DEADBAND else BREACH if state in OPEN else CLEAR


SCORES: dict[str, tuple[Sequence[Signal], Meaning]] = {  # what is drawn of each, and what it means to Prometheus
    "plain": ((BREACH, CLEAR), as_it_is),
    "gaps": ((BREACH, CLEAR, NO_DATA), nothing_is_clear),
    "band": ((BREACH, CLEAR, DEADBAND), a_deadband_holds_up),
}


def drawn(signals: Sequence[Signal]) -> Trace:
    """Signals in runs, as long as what rules count."""
    found: list[Signal] = []
    while len(found) < MINUTES:
        found += [random.choice(signals)] * random.randint(1, 4)
    return found[:MINUTES]


def followed(trace: Trace, rule: AlertRule, meaning: Meaning) -> Iterator[Alert]:
    """The alert after each window: one ends at each minute."""
    alert = Alert()
    for minute, signal in enumerate(trace):
        alert = alert.step(rule, meaning(alert.state, signal), Span(at(minute - 1), at(minute)))
        yield alert


def rule_of(hold: int, keep: int) -> AlertRule:
    return AlertRule("r", "psi", fire_above=0.7, clear_below=0.2, hold=hold, keep_firing_for=keep)


def rule_file() -> dict[str, Any]:
    """The same rules in the words of Prometheus."""
    rules = []
    for score in SCORES:
        for hold in COUNTS:
            for keep in COUNTS:
                name, expr = f"{score}-{hold}-{keep}", f"{score} > 0.7"
                if score == "band":
                    firing = f'ALERTS{{alertname="{name}",alertstate="firing"}}'
                    expr += f" or ({score} > 0.2 and ignoring(alertname, alertstate) {firing})"
                rules.append({"alert": name, "expr": expr, "for": f"{hold - 1}m", "keep_firing_for": f"{keep - 1}m"})
    return {"groups": [{"name": "driftd", "interval": "1m", "rules": rules}]}


def expected(traces: dict[tuple[str, str], Trace], meanings: dict[str, Meaning]) -> list[dict[str, Any]]:
    """What each alert is at each minute, and since when: by our machine."""
    states: list[list[dict[str, Any]]] = [[] for _ in range(MINUTES)]
    since: list[list[dict[str, Any]]] = [[] for _ in range(MINUTES)]
    for (score, number), trace in traces.items():
        for hold in COUNTS:
            for keep in COUNTS:
                about = f'alertname="{score}-{hold}-{keep}",trace="{number}"'
                for minute, alert in enumerate(followed(trace, rule_of(hold, keep), meanings[score])):
                    if alert.state is not INACTIVE and alert.since is not None:
                        labels = f'ALERTS{{alertstate="{STATES[alert.state]}",{about}}}'
                        states[minute].append({"labels": labels, "value": 1})
                        began = (alert.since - at(0)) // 10**9
                        since[minute].append({"labels": f"ALERTS_FOR_STATE{{{about}}}", "value": began})
    return [
        {"expr": name, "eval_time": f"{minute}m", "exp_samples": samples[minute]}
        for name, samples in (("ALERTS", states), ("ALERTS_FOR_STATE", since))
        for minute in range(MINUTES)
    ]


def judged(home: Path, traces: dict[tuple[str, str], Trace], said: list[dict[str, Any]]) -> str:
    """What `promtool` says of these expectations; empty where it agrees. One call: JSON is YAML."""
    series = [
        {"series": f'{score}{{trace="{number}"}}', "values": " ".join(VALUES[signal] for signal in trace)}
        for (score, number), trace in traces.items()
    ]
    test = {"interval": "1m", "input_series": series, "promql_expr_test": said}
    (home / "rules.yml").write_text(json.dumps(rule_file()))
    (home / "test.yml").write_text(
        json.dumps({"rule_files": ["rules.yml"], "evaluation_interval": "1m", "tests": [test]})
    )
    done = promtool("test", "rules", home / "test.yml")
    return "" if done.returncode == 0 else (done.stdout + done.stderr)[:4_000] or "it failed without a word"


@pytest.fixture
def traces() -> dict[tuple[str, str], Trace]:
    return {(score, str(number)): drawn(signals) for score, (signals, _) in SCORES.items() for number in range(TRACES)}


def test_alerts_move_as_those_of_prometheus_do(tmp_path: Path, traces: dict[tuple[str, str], Trace]) -> None:
    """Without gaps and deadbands exactly so; with them as the documentation says that Prometheus differs."""
    meanings = {score: meaning for score, (_, meaning) in SCORES.items()}

    assert judged(tmp_path, traces, expected(traces, meanings)) == ""


def test_where_they_differ_promtool_says_so(tmp_path: Path) -> None:
    """With no data ours stays as it was; so it would be seen if the two were not the same."""
    traces = {("gaps", "0"): [BREACH, NO_DATA, *[BREACH] * (MINUTES - 2)]}

    assert "ALERTS" in judged(tmp_path, traces, expected(traces, {"gaps": as_it_is}))
