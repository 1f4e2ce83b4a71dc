"""The examples of the targets' pages are such as the configuration takes, and their keys are those there are."""

import re
from pathlib import Path

import pytest
import yaml

from monitor.targets.registry import built_in, read_target
from tests.documents import blocks

ROOT = Path(__file__).parents[3]
INDEX = ROOT / "docs" / "targets.md"
PAGES = [INDEX, *sorted((ROOT / "docs" / "targets").glob("*.md"))]
OF_ALL = INDEX.read_text(encoding="utf-8").partition("## Keys of all of them")[2].partition("##")[0]


def keys_in(page: str) -> set[str]:
    """The keys that the tables of a page explain."""
    rows = re.findall(r"^\| (`[^|]*) \|", page, re.MULTILINE)
    return {key for row in rows for key in re.findall(r"`(\w+)`", row)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_examples_of_a_page_are_taken(page: Path) -> None:
    said = [yaml.safe_load(one.text) for one in blocks(page, page.stem) if one.language == "yaml"]

    assert said
    for each in said:
        for entry in each["targets"]:
            assert read_target(entry).name == entry["name"]


FOR_PEOPLE = {
    "alertmanager",
    "email",
    "opsgenie",
    "pagerduty",
    "slack",
    "teams",
}  # docs/paging.md has a test of its own


@pytest.mark.parametrize("kind", sorted({*built_in()} - {"webhook"} - FOR_PEOPLE))
def test_every_key_of_a_type_is_on_its_page(kind: str) -> None:
    page = next(page for page in PAGES if kind.startswith(page.stem)).read_text(encoding="utf-8")

    assert set(built_in()[kind].model_fields) - keys_in(page) - keys_in(OF_ALL) == {"type"}


def test_every_python_example_is_python() -> None:
    for page in PAGES:
        for one in blocks(page, page.stem):
            if one.language == "python":
                compile(one.text, page.name, "exec")
