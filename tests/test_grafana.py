"""The dashboards: code and files agree, every panel explains itself, every query is PromQL over metrics that exist."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana.queries import metrics, queries
from monitor.alerting.rules import OUR_RULES
from tests.parts.prometheus import promtool

ROOT = Path(__file__).parent.parent
PAGES = {path.stem: json.loads(path.read_text()) for path in sorted((ROOT / "grafana/dashboards").glob("*.json"))}


def panels(page: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Panels that show something; rows are headings."""
    return (panel for panel in page["panels"] if panel["type"] != "row")


FEW = {"Which way the mean went (ADWIN)"}  # lanes of those that ADWIN watches
EVERY_PAGE = pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)
EVERY_PANEL = pytest.mark.parametrize(
    "panel",
    [pytest.param(panel, id=f"{name}: {panel['title']}") for name, page in PAGES.items() for panel in panels(page)],
)


def test_the_files_are_what_the_code_builds() -> None:
    built = subprocess.run(
        [sys.executable, ROOT / "grafana/build.py", "--check"], capture_output=True, text=True, check=False
    )

    assert built.returncode == 0, f"run `make dashboards`\n{built.stderr}"


def test_a_changed_file_is_noticed(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "grafana", tmp_path / "grafana", ignore=shutil.ignore_patterns("__pycache__"))
    changed = tmp_path / "grafana/dashboards/overview.json"
    changed.write_text(changed.read_text().replace("driftd: overview", "driftd: something else"))

    built = subprocess.run(
        [sys.executable, tmp_path / "grafana/build.py", "--check"], capture_output=True, text=True, check=False
    )

    assert built.returncode == 1
    assert "something else" in built.stderr


def test_there_are_an_overview_and_a_model_page() -> None:
    assert {page["uid"] for page in PAGES.values()} == {"driftd-overview", "driftd-model"}


@EVERY_PAGE
def test_the_page_survives_a_round_trip_through_the_sdks_own_model(page: dict[str, Any]) -> None:
    register_default_plugins()

    again = json.loads(json.dumps(Dashboard.from_json(page), cls=JSONEncoder))

    assert again == page


@EVERY_PAGE
def test_ids_and_titles_are_unique(page: dict[str, Any]) -> None:
    ids = [panel["id"] for panel in page["panels"]]
    titles = [panel["title"] for panel in page["panels"]]

    assert len(set(ids)) == len(ids)
    assert len(set(titles)) == len(titles)


@EVERY_PAGE
def test_no_two_panels_overlap_and_none_leaves_the_grid(page: dict[str, Any]) -> None:
    places = [panel["gridPos"] for panel in page["panels"]]

    assert all(place["x"] + place["w"] <= 24 for place in places)
    for one, other in combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or above, (one, other)


@EVERY_PANEL
def test_a_panel_says_what_it_means_and_in_which_unit(panel: dict[str, Any]) -> None:
    assert len(panel["description"].split()) >= 8
    assert panel["fieldConfig"]["defaults"]["unit"]


@EVERY_PANEL
def test_a_panel_asks_the_chosen_data_source(panel: dict[str, Any]) -> None:
    sources = [panel["datasource"], *(target["datasource"] for target in panel["targets"])]

    assert panel["targets"]
    assert all(source == {"type": "prometheus", "uid": "${datasource}"} for source in sources)


@EVERY_PANEL
def test_a_panel_is_of_the_chosen_jobs_and_instances(panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        for name in metrics(target["expr"]):
            asked = re.findall(rf"\b{name}\b(.{{0,40}})", target["expr"])
            assert asked
            assert all(each.startswith('{job=~"$job", instance=~"$instance"') for each in asked), target["expr"]


@EVERY_PANEL
def test_where_a_feature_is_a_line_not_all_are_drawn(panel: dict[str, Any]) -> None:
    lines = [each for each in panel["targets"] if "{{feature}}" in each.get("legendFormat", "")]

    assert all("topk(" in each["expr"] or "bottomk(" in each["expr"] for each in lines if each.get("range")) or (
        panel["title"] in FEW
    )


@EVERY_PAGE
def test_alerts_are_marked_on_the_graphs_and_the_status_page_is_a_link_away(page: dict[str, Any]) -> None:
    marked = {each["name"]: each["expr"] for each in page["annotations"]["list"]}
    variables = {each["name"] for each in page["templating"]["list"]}

    assert {"Incidents", "Alert rules"} <= set(marked)
    assert "driftd_incident_open" in marked["Incidents"]
    assert {"job", "instance", "page"} <= variables
    assert any(link.get("url") == "${page}/" for link in page["links"])


@EVERY_PAGE
def test_what_is_marked_as_an_incident_is_not_marked_as_a_rule_too(page: dict[str, Any]) -> None:
    marked = {each["name"]: each["expr"] for each in page["annotations"]["list"]}
    (own,) = re.findall(r'rule!~"([^"]*)"', marked["Alert rules"])

    assert set(own.split("|")) == OUR_RULES


@EVERY_PAGE
def test_an_incident_of_every_kind_is_explained_where_it_is_shown(page: dict[str, Any]) -> None:
    (panel,) = (each for each in panels(page) if any("driftd_incident_open" in of["expr"] for of in each["targets"]))

    assert "service" in panel["description"]
    assert "late" in panel["description"]
    assert "do not answer" in panel["description"]


def test_the_overview_leads_to_the_models_page_with_model_and_version() -> None:
    links = json.dumps(PAGES["overview"])

    assert f"/d/{PAGES['model']['uid']}?" in links
    for variable in ("model", "version"):
        assert f"var-{variable}=" in links
        assert variable in {entry["name"] for entry in PAGES["model"]["templating"]["list"]}


@EVERY_PAGE
def test_queries_come_out_with_every_variable_filled_in(page: dict[str, Any]) -> None:
    assert all("$" not in query for query in queries(page))


def test_a_variable_that_is_given_is_put_in_and_one_that_is_not_matches_all() -> None:
    page = {"panels": [{"targets": [{"expr": 'a{model="$model", feature=~"$feature"}[$__rate_interval]'}]}]}

    assert queries(page, model="churn", rate_interval="2m") == ['a{model=~"churn", feature=~".*"}[2m]']


def test_the_queries_of_variables_are_asked_too() -> None:
    page = {"panels": [], "templating": {"list": [{"query": 'label_values(a{b="$c"}, d)'}, {"query": "prometheus"}]}}

    assert queries(page) == ['a{b=~".*"}']


@pytest.mark.parametrize(
    ("expr", "names"),
    [
        ('histogram_quantile(0.9, sum by (le) (rate(a_bucket{x="y{"}[5m])))', {"a_bucket"}),
        ("a * on (job, instance) group_left (version) b unless c offset 1h", {"a", "b", "c"}),
        ('label_replace(vector(0), "topic", "none", "", "") or on () a and 1e-12 > bool d', {"a", "d"}),
        ("time() - max by (model) (a) > 6 * 3600", {"a"}),
    ],
)
def test_the_names_of_metrics_are_found_in_an_expression(expr: str, names: set[str]) -> None:
    assert metrics(expr) == names


@EVERY_PAGE
def test_every_metric_of_a_page_is_one_that_driftd_exports(page: dict[str, Any]) -> None:
    used = set().union(*(metrics(query) for query in queries(page)))

    assert used <= exported()


def test_every_metric_of_the_rules_is_one_that_driftd_exports() -> None:
    rules = yaml.safe_load((ROOT / "deploy/prometheus/rules/driftd.yml").read_text())
    used = set().union(*(metrics(rule["expr"]) for group in rules["groups"] for rule in group["rules"]))

    assert used - {"up"} <= exported()  # `up` is Prometheus's own


def exported() -> set[str]:
    """Names as they stand on /metrics, from the one table that telemetry makes them from."""
    from monitor.runtime.telemetry import METRICS

    of_the_process = {"process_resident_memory_bytes", "process_cpu_seconds_total"}
    suffixes = ("", "_total", "_bucket", "_sum", "_count")
    return of_the_process | {name + suffix for name in METRICS for suffix in suffixes}


@pytest.mark.prometheus
@EVERY_PAGE
def test_promtool_reads_every_query(page: dict[str, Any], tmp_path: Path) -> None:
    """A recording rule a query: promtool's way to parse PromQL without a server."""
    rules = [{"record": f"query_{number}", "expr": expr} for number, expr in enumerate(queries(page))]
    file = tmp_path / "queries.yml"
    file.write_text(json.dumps({"groups": [{"name": "queries", "rules": rules}]}))

    read = promtool("check", "rules", file)

    assert read.returncode == 0, read.stdout + read.stderr


def test_provisioning_finds_the_data_source_and_the_dashboards() -> None:
    source = yaml.safe_load((ROOT / "grafana/provisioning/datasources/prometheus.yaml").read_text())["datasources"][0]
    provider = yaml.safe_load((ROOT / "grafana/provisioning/dashboards/driftd.yaml").read_text())["providers"][0]
    compose = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())

    assert source["type"] == "prometheus"
    assert source["url"] == "http://prometheus:9090"
    assert f"../grafana/dashboards:{provider['options']['path']}:ro" in compose["services"]["grafana"]["volumes"]
