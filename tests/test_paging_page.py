"""docs/paging.md against the code: every key, every field, and examples that are taken as they stand."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from monitor.targets.paging import PagingSettings
from monitor.targets.registry import built_in
from monitor.targets.wording import FIELDS
from tests.documents import blocks
from tests.paging import configured
from tests.parts.prometheus import promtool

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs/paging.md"
TEXT = PAGE.read_text(encoding="utf-8")
EXAMPLES = [yaml.safe_load(block.text) for block in blocks(PAGE, "paging") if block.language == "yaml"]
TARGETS = [entry for example in EXAMPLES for entry in example.get("targets", ())]
TYPES = {name: settings for name, settings in built_in().items() if issubclass(settings, PagingSettings)}
SECRETS = {"pagerduty": "0" * 32, "slack": "https://x", "teams": "https://x"}


def rows(text: str) -> set[str]:
    return {
        key for cell in re.findall(r"^\| (`.+?`) \|", text, flags=re.MULTILINE) for key in re.findall(r"`(.+?)`", cell)
    }


def keys_of(name: str) -> set[str]:
    fields = TYPES[name].model_fields
    keys = {info.alias or key for key, info in fields.items()} - {"template"}
    return keys | {"template.title", "template.text"}


@pytest.mark.parametrize("name", sorted(TYPES))
def test_every_key_of_a_type_is_in_its_table_and_no_other(name: str) -> None:
    heads = {"alertmanager": "Alertmanager", "pagerduty": "PagerDuty", "slack": "Slack", "teams": "Microsoft Teams"}
    head = heads.get(name, {"opsgenie": "Opsgenie and Jira Service Management", "email": "E-mail"}.get(name, name))
    sections = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", TEXT, flags=re.MULTILINE | re.DOTALL))
    own = rows(sections[head].partition("### ")[0])

    assert rows(sections["For every target"].partition("**Severities.**")[0]) | own == keys_of(name)


def test_every_type_has_an_example() -> None:
    assert {entry["type"] for entry in TARGETS} == set(TYPES)


@pytest.mark.parametrize("entry", TARGETS, ids=[f"{entry['type']}-{number}" for number, entry in enumerate(TARGETS)])
def test_examples_are_taken_as_they_stand(entry: dict[str, Any], tmp_path: Path) -> None:
    for key in [key for key in entry if key.endswith("_file")]:
        path = tmp_path / key
        path.write_text(SECRETS.get(entry["type"], "s3cret") + "\n")
        entry = {**entry, key: str(path)}

    assert configured(entry, base=tmp_path).name == entry["name"]


def test_every_field_of_a_template_is_documented_and_no_other() -> None:
    assert set(re.findall(r"^\| `\{(\w+)\}` \|", TEXT, flags=re.MULTILINE)) == set(FIELDS)


@pytest.mark.prometheus
def test_prometheus_takes_the_lines_that_leave_alerts_out(tmp_path: Path) -> None:
    (example,) = [each for each in EXAMPLES if "alerting" in each]
    path = tmp_path / "prometheus.yml"
    path.write_text(yaml.safe_dump(example))

    done = promtool("check", "config", path)

    assert done.returncode == 0, done.stdout + done.stderr
    named = set(example["alerting"]["alert_relabel_configs"][0]["regex"].split("|"))
    rules = yaml.safe_load((ROOT / "deploy/prometheus/rules/driftd.yml").read_text())["groups"]
    assert named <= {rule["alert"] for group in rules for rule in group["rules"]}
