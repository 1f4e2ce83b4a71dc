"""What should have been said: the same events through the pure pipeline, once, without a kill; and the ids that it is said under."""

import hashlib
import json
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.verifier.truth import Truth

FIRING, RESOLVED, RETRAIN = "model.alert.firing", "model.alert.resolved", "model.retrain.requested"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, order=True)
class Transition:
    """Something that is to be said, and at which end of a window (nanoseconds)."""

    at: int
    type: str
    model: str
    version: str
    rule: str
    since: int

    @property
    def id(self) -> str:
        """What it is said under: docs/webhooks.md."""
        said = [self.model, self.version, self.rule, self.since, self.type]
        return hashlib.sha256(json.dumps(said, separators=(",", ":")).encode()).hexdigest()[:32]


def nanos(text: str) -> int:
    """RFC 3339 to nanoseconds."""
    past = datetime.fromisoformat(text) - EPOCH
    return (past.days * 86_400 + past.seconds) * 10**9 + past.microseconds * 1000


def replayed(truth: Truth, config: Path) -> list[Transition]:
    """All that is to be said of these events."""
    with TemporaryDirectory(prefix="replayed") as place:
        events, result = Path(place) / "events.jsonl", Path(place) / "result.json"
        truth.write_events(events)
        command = [sys.executable, "-m", "monitor", "backtest", "--config", str(config)]
        command += ["--input", str(events), "--json", str(result)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
        if done.returncode:
            raise RuntimeError(f"the replay failed: {done.stderr or done.stdout}")
        return sorted(transitions(json.loads(result.read_text(encoding="utf-8"))))


def transitions(result: dict[str, Any]) -> list[Transition]:
    """From what a backtest has written."""
    found: list[Transition] = []
    since: dict[tuple[str, str, int], int] = {}
    for alert in result["alerts"]:
        about = alert["model"], alert["version"], alert["rule"], nanos(alert["since"])
        fired = nanos(alert["fired_at"])
        since[alert["model"], alert["rule"], fired] = about[3]
        found.append(Transition(fired, FIRING, *about))
        if alert["resolved_at"] is not None:
            found.append(Transition(nanos(alert["resolved_at"]), RESOLVED, *about))
    versions = {alert["model"]: alert["version"] for alert in result["alerts"]}
    for wish in result["retrains"]:
        at, model, rule = nanos(wish["requested_at"]), wish["model"], wish["rule"]
        found.append(Transition(at, RETRAIN, model, versions[model], rule, since[model, rule, at]))
    return found
