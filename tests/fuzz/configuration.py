"""Configurations: whatever the file says, `driftd check` takes it or says in plain lines why not, and changes nothing."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from detectors import Reference
from monitor.commands.check import look_at
from monitor.sections import Section
from monitor.settings import ConfigError, Settings, masked
from tests.build import MIDNIGHT, MINUTE
from tests.fuzz.words import check_lines

DOCS = Path(__file__).parents[2] / "docs"
TAKEN = """
kafka: {bootstrap_servers: 127.0.0.1:9092, group_id: driftd, start_from: earliest, lost_offsets: skip}
topics:
  - {name: p, format: json, fields: {timestamp: ts, features: features}, timestamp_unit: ms}
  - {name: l, kind: labels}
models:
  - {name: churn, version: "3", reference: churn.json, window: 5m, slide: 1m, lateness: 30s, min_rows: 20,
     features: {age: {detectors: [ks, psi], thresholds: {psi: 0.3}, importance: 2}}}
  - {name: fraud, reference: hours.json, window: 5m, timezone: Europe/Berlin, learn_for: 14d, baseline: trailing 28d}
defaults: {min_rows: 10}
alerting:
  false_alarms_per_month: 1
  rules:
    - {name: psi-high, detector: psi, features: ["*"], fire_above: 0.25, clear_below: 0.1, for: 2, keep_firing_for: 2}
retraining: {cooldown: 24h, max_per_week: 3, schedule: "0 3 * * 1"}
webhooks:
  - {name: trainer, url: "http://127.0.0.1:1/", secret_file: secret, types: ["*"]}
targets:
  - {name: air, type: airflow, url: "http://127.0.0.1:1", dag: train, token_file: secret}
state: state
checkpoint_interval: 5s
http: {host: 127.0.0.1, port: 9464}
log: {level: info, format: json}
"""


def keys(section: Any) -> Iterator[str]:
    """Every key of a section and of those below it."""
    for name, field in section.model_fields.items():
        yield field.alias or name
        for inner in [field.annotation, *getattr(field.annotation, "__args__", ())]:
            if isinstance(inner, type) and issubclass(inner, Section):
                yield from keys(inner)


WORDS = tuple(sorted({*keys(Settings), "trailing", "labels", "adwin", "chi2", "*", "1e999", "0", "-1", "P1D", "!!"}))


def seeds() -> list[bytes]:
    """One that is taken, and what the documentation shows."""
    found = [TAKEN.encode()]
    for page in sorted(DOCS.rglob("*.md")):
        blocks = page.read_text(encoding="utf-8").split("```yaml\n")[1:]
        found += [block.split("```")[0].encode() for block in blocks]
    return [each for each in found if len(each) < 3_000]


def prepared(home: Path) -> Callable[[bytes], None]:
    """What takes one input: the file."""
    rng = np.random.default_rng(1)
    Reference.fit({"age": np.arange(50.0), "plan": ["a", "b"] * 25}).save(home / "churn.json")
    columns = {"x": rng.normal(size=4_000).round(2), "at": MIDNIGHT + np.arange(4_000) * MINUTE}
    Reference.fit(columns, timestamp="at").save(home / "hours.json")
    (home / "secret").write_text("whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3")
    path = home / "driftd.yaml"

    def check(data: bytes) -> None:
        path.write_bytes(data)
        try:
            checked = look_at(path)
        except ConfigError as error:
            check_lines(error)
            return
        yaml.safe_dump(masked(checked.configuration.settings))

    return check
