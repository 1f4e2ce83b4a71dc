"""The documents and the code say the same: every key, metric, command and route of one is in the other."""

import argparse
import re
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry
from pydantic import BaseModel

import detectors
from monitor.cli import build_parser
from monitor.commands.init import ROOMY, WINDOWS
from monitor.runtime.board import Board
from monitor.runtime.http import Surface
from monitor.runtime.inbox import Inbox
from monitor.runtime.metrics import METRICS, DaemonStatus, Exposition
from monitor.runtime.telemetry import Telemetry
from monitor.runtime.writing import Deciding
from monitor.sections import parse_duration
from monitor.settings import Settings
from monitor.settings.fields import (
    BrokerTimeSettings,
    HeaderSettings,
    KeySettings,
    PartitionSettings,
    TopicNameSettings,
)
from monitor.settings.schema import FeatureSettings
from monitor.settings.thresholds import MetricThresholdSettings
from monitor.sources.decode import naming
from monitor.sources.formats.registry import formats
from monitor.stream.events import HOUR
from tests.documents import blocks
from tests.fakes import nothing_waits

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("examples/**/*.md")])
TASKS = ("set-up", "read-an-alert", "accept-a-change", "tune", "operate", "contract")
MOST_WORDS_OF_THE_README = 1000
BESIDE: set[type[BaseModel]] = {
    HeaderSettings,
    KeySettings,
    PartitionSettings,
    TopicNameSettings,
    BrokerTimeSettings,
}  # in place of paths
NO_METRICS = {"driftd_drift", "driftd_test", "driftd_version"}  # a prefix, a file, a key of a payload
NO_METRICS |= {"driftd_cause", "driftd_outcome", "driftd_records"}  # facets of OpenLineage


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def keys_of(section: type[BaseModel], path: str) -> Iterator[str]:
    for name, field in section.model_fields.items():
        at = f"{path}{field.alias or name}"
        inner = section_in(field.annotation)
        if inner is not None and (beside := [one for one in sections_in(field.annotation) if one in BESIDE]):
            yield from (f"topics[].fields.NAME.{key}" for one in beside for key in one.model_fields)
            inner, *others = [one for one in sections_in(field.annotation) if one not in BESIDE] or [None]
            for other in others:
                yield from keys_of(other, f"{at}.")
        if at in {"defaults", "models[].retraining"} or inner is None:  # what stands elsewhere too
            yield at
        elif inner in {FeatureSettings, MetricThresholdSettings}:
            yield from keys_of(inner, f"{at}.NAME.")
        elif at.endswith("thresholds"):
            yield at
        else:
            if str in getattr(field.annotation, "__args__", ()):
                yield at
            is_list = "list" in str(field.annotation)
            yield from keys_of(inner, f"{at}[]." if is_list else f"{at}.")


def args_of(annotation: Any) -> list[Any]:
    """What may stand there, one by one."""
    inside = getattr(annotation, "__args__", ())
    return [leaf for one in inside for leaf in args_of(one)] if inside else [annotation]


def sections_in(annotation: Any) -> list[type[BaseModel]]:
    return [one for one in args_of(annotation) if isinstance(one, type) and issubclass(one, BaseModel)]


def section_in(annotation: Any) -> type[BaseModel] | None:
    return next(iter(sections_in(annotation)), None)


def test_every_key_of_the_configuration_is_documented_and_no_other() -> None:
    documented = set(re.findall(r"^\| `([\w.\[\]]+)` \|", text("docs/configuration.md"), flags=re.MULTILINE))

    assert documented == {key for key in keys_of(Settings, "") if not key.endswith("thresholds.NAME")}


def test_every_metric_is_documented_and_no_other() -> None:
    documented = set(re.findall(r"^\| `(driftd_\w+)` \|", text("docs/metrics.md"), flags=re.MULTILINE))

    assert documented == set(METRICS)


def test_a_metric_means_in_the_documents_what_its_help_says() -> None:
    """The document may say more."""
    rows = re.findall(
        r"^\| `(driftd_\w+)` \| (\w+) \| ([^|]*) \| (.*) \|$", text("docs/metrics.md"), flags=re.MULTILINE
    )
    other = {
        name
        for name, kind, labels, meaning in rows
        if (kind, labels) != (METRICS[name].kind, ", ".join(METRICS[name].labels) or "–")
        or not meaning.startswith(METRICS[name].help)
    }

    assert len(rows) == len(METRICS)
    assert other == set()


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_metrics_named_in_a_document_exist(path: Path) -> None:
    named = set(re.findall(r"\bdriftd_[a-z_]*[a-z]", path.read_text(encoding="utf-8")))

    assert named - NO_METRICS <= set(METRICS) | {f"{name}_bucket" for name in METRICS}


def test_every_route_is_documented_and_no_other() -> None:
    documented = set(re.findall(r"^\| `GET (/[\w/{}]*)", text("docs/metrics.md"), flags=re.MULTILINE))

    telemetry = Telemetry(Board({}), now=lambda: 0)
    status = DaemonStatus("1", lambda: 0, lambda: None, lambda: False, dict, (), 0)
    exposition = Exposition(telemetry.look, status, CollectorRegistry())
    deciding = Deciding(None, Inbox(), telemetry.look)
    surface = Surface(telemetry, exposition, lambda: None, deciding, nothing_waits())

    taken = set(re.findall(r"^\| `POST (/[\w/]+)", text("docs/metrics.md"), flags=re.MULTILINE))

    assert documented == set(surface.routes)
    assert taken == set(surface.taken)
    assert {surface.answer(route, "")[0] for route in surface.routes if "{" not in route} == {HTTPStatus.OK}


@pytest.mark.parametrize("part", ["TIMES", "IDS", "MODELS", "VERSIONS", "FEATURES", "PREDICTED", "SCORES"])
def test_the_names_that_init_looks_for_are_in_its_page_in_their_order(part: str) -> None:
    assert ", ".join(getattr(naming, part)) in text("docs/command-line.md")


def test_every_command_has_a_row_with_its_options_in_the_page_of_the_command_line() -> None:
    """But those of all: what is read, and the answer as JSON."""
    of_all = {"--help", "--config", "--json"}
    rows = re.findall(r"^\| `(driftd [a-z -]+)` \|.*\|(.*)\|$", text("docs/command-line.md"), flags=re.MULTILINE)
    said = {command: set(re.findall(r"--[a-z-]+", options)) - of_all for command, options in rows}

    assert said == {command: options - of_all for command, options in commands(build_parser(), "driftd")}


def commands(parser: argparse.ArgumentParser, name: str) -> Iterator[tuple[str, set[str]]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word, inner in action.choices.items():
                yield from commands(inner, f"{name} {word}")
    if parser.get_default("command") is not None:
        yield name, {action.option_strings[-1] for action in parser._actions if action.option_strings}


def test_the_windows_that_init_takes_are_those_of_the_table() -> None:
    """With the rows an hour from which each is taken."""
    rows = re.findall(r"^\| (\d[\d ]*)(?: and more)? \| `(\w+)` \|", text("docs/tune.md"), flags=re.MULTILINE)

    assert tuple(window for _, window in rows) == WINDOWS
    assert [int(said.replace(" ", "")) for said, _ in rows] == [
        -(-ROOMY * HOUR // parse_duration(window)) for window in WINDOWS
    ]


def test_the_readme_is_short_and_leads_to_every_page() -> None:
    readme = text("README.md")
    pages = {f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")}

    assert len(readme.split()) <= MOST_WORDS_OF_THE_README
    assert pages <= set(re.findall(r"\]\((docs/[\w.-]+)", readme))


@pytest.mark.parametrize("task", TASKS)
def test_a_task_page_says_when_it_is_needed_and_what_to_look_at(task: str) -> None:
    page = text(f"docs/{task}.md")

    assert page.split("\n\n")[1].startswith("**When you need this:**")
    assert re.search(r"^(- )?\*\*Look at\*\*|^## What to look at$", page, flags=re.MULTILINE)
    assert "```console" in page


@pytest.mark.parametrize(("page", "example"), [("set-up", "car_loan"), ("flights", "flights")])
def test_the_configuration_of_a_walk_is_that_of_its_example(page: str, example: str) -> None:
    (said,) = [one.text for one in blocks(ROOT / f"docs/{page}.md", page) if one.language == "yaml"]

    assert yaml.safe_load(said) == yaml.safe_load(text(f"examples/{example}/driftd.yaml"))


def test_every_drawing_is_named_for_those_who_do_not_see_it() -> None:
    for path in DOCUMENTS:
        assert "![](" not in path.read_text(encoding="utf-8"), path
    for path in (ROOT / "docs/plots").glob("*.svg"):
        drawing = path.read_text(encoding="utf-8")
        assert "<title" in drawing, path
        assert "prefers-color-scheme: dark" in drawing, path


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_between_documents_lead_somewhere(path: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#\s]*)#?([^)\s]*)\)", path.read_text(encoding="utf-8")):
        if "://" not in target:
            other = path.parent / target if target else path
            assert other.exists(), f"{path}: {target}"
            assert not anchor or anchor in anchors(other), f"{path}: {target}#{anchor}"


def anchors(path: Path) -> set[str]:
    """The headings of a document, as links name them."""
    headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_make_targets_named_in_a_document_exist(path: Path) -> None:
    content = path.read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", text("Makefile"), flags=re.MULTILINE))

    assert set(re.findall(r"`make ([a-z-]+)`", content)) <= targets
    for name in re.findall(
        r"`((?:monitor|detectors|tests|deploy|grafana|examples|benchmarks|docs)/[\w./-]+)`", content
    ):
        assert (ROOT / name).exists(), f"{path}: {name}"


def test_every_detector_is_documented() -> None:
    assert all(f"`{name}`" in text("docs/semantics.md") for name in detectors.DETECTORS)


def test_the_figures_of_the_budget_are_those_of_the_code() -> None:
    """Semantics.md tells people on call when they are woken: its figures must not stay behind."""
    from detectors.calibration.cells import MOST_WATCHED
    from detectors.charts import budget, charts, design, evidence, rate_charts, rates, selfcheck
    from detectors.charts import rows as traffic

    said = " ".join(text("docs/semantics.md").split())

    assert f"less {budget.DRIFT:g} (`shape`: less {design.DRIFTS[design.CHARTS.index('shape')]:g};" in said
    assert f"odds of {design.RATIOS[0]:g}, {design.RATIOS[1]:g} and {design.RATIOS[2]:g} times" in said
    assert f"at most {design.MOST_OF_THRESHOLD:g} of the threshold ({rates.MOST_OF_RATIO:g} for rates)" in said
    assert (budget.RATES_SHARE, budget.CERTAIN) == (0.1, 1e-12)  # "the other tenth", "10⁻¹²"
    assert f"{evidence.SIGMA_AT_ONCE:g} σ, the spread half as large again" in said
    assert f"{100 * evidence.SHARE_AT_ONCE:g} points of missing, unseen" in said
    assert evidence.SHARE_AT_ONCE == rate_charts.SHARE_AT_ONCE
    assert f"at most {MOST_WATCHED} such cells" in said
    assert f"{rate_charts.EVENTS:g} rows more" in said
    assert f"has {charts.ENOUGH:g} independent values" in said
    assert f"been the likelier for {charts.QUIET} subgroups" in said
    assert f"The first {traffic.LEARNING} subgroups teach" in said
    assert (selfcheck.TIMES, selfcheck.MORE) == (2, 10)  # "more than twice as many as expected and 10 on top"


def test_the_floors_in_the_documents_are_those_of_the_code() -> None:
    from detectors.charts import Floors
    from monitor.settings.schema import EffectFloorSettings

    said = dict(
        re.findall(r"^\| `alerting\.effect_floor\.(\w+)` \| `([\d.]+)` \|", text("docs/configuration.md"), re.MULTILINE)
    )

    assert {name: float(value) for name, value in said.items()} == EffectFloorSettings().model_dump()
    assert Floors(**EffectFloorSettings().model_dump()) == Floors()


def test_every_format_has_its_row_and_its_page() -> None:
    """Of JSON the configuration's page says all there is."""
    rows = re.findall(
        r"^\| `([\w-]+)` \| \[[^\]]+\]\(([^)]+)\) \| .+ \|$", text("docs/formats/README.md"), flags=re.MULTILINE
    )
    pages = {name: ROOT / "docs" / "formats" / page.partition("#")[0] for name, page in rows}

    assert list(pages) == ["json", *(name for name in formats() if name != "json")]
    assert [name for name, page in pages.items() if not page.is_file()] == []
