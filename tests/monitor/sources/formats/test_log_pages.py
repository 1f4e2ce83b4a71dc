"""The pages of the formats of logs: their examples are read as they say, and every option and reason has its row."""

import importlib
import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from monitor.settings.schema import TopicSettings
from monitor.sources.formats.base import REQUEST, RESPONSE, WHOLE
from monitor.sources.formats.json.documents import DocumentRows
from monitor.sources.formats.registry import options_of
from tests.documents import Block, blocks
from tests.logged import FORMATS, decoded

PAGES = Path(__file__).parents[4] / "docs" / "formats"
HALVES = {WHOLE: {}, REQUEST: {"half": "request"}, RESPONSE: {"half": "response"}}
SHARED = ("tabular", "logged")


def examples(form: str) -> list[tuple[TopicSettings, list[bytes], list[dict[str, Any]]]]:
    """Each topic of a page, with its messages and the rows that it shows."""
    held = [block for block in blocks(PAGES / f"{form}.md", form) if block.language in {"yaml", "jsonl", "json"}]
    assert [block.language for block in held] == ["yaml", "jsonl", "json"] * (len(held) // 3)
    return [_example(*held[at : at + 3]) for at in range(0, len(held), 3)]


def _example(topic: Block, messages: Block, rows: Block) -> tuple[TopicSettings, list[bytes], list[dict[str, Any]]]:
    (said,) = yaml.safe_load(topic.text)["topics"]
    return TopicSettings.model_validate(said), messages.text.encode().splitlines(), json.loads(rows.text)


def shown(rows: DocumentRows) -> list[dict[str, Any]]:
    halves = [WHOLE] * len(rows) if rows.halves is None else rows.halves.tolist()
    return [HALVES[half] | document for half, document in zip(halves, rows.documents, strict=True)]


@pytest.mark.parametrize("form", FORMATS)
def test_an_example_gives_the_rows_that_the_page_shows(form: str) -> None:
    for topic, messages, expected in examples(form):
        assert topic.format == form
        assert topic.options is not None
        rows = decoded(form, *messages, **topic.options.model_dump(exclude_unset=True))

        assert rows.rejected == {}
        assert shown(rows) == expected


@pytest.mark.parametrize("form", FORMATS)
def test_every_option_has_its_row_and_no_other(form: str) -> None:
    page = (PAGES / f"{form}.md").read_text(encoding="utf-8").partition("## Options")[2].partition("## Reasons")[0]
    section = options_of(form)

    assert section is not None
    assert set(re.findall(r"^\| `(\w+)` \|", page, flags=re.MULTILINE)) == set(section.model_fields)


def reasons_in(module: ModuleType) -> set[str]:
    """The reasons that a module may reject a message by, written out or by a constant."""
    source = Path(str(module.__file__)).read_text(encoding="utf-8")
    said = re.findall(r"Rejected\((?:\"(\w+)\"|([A-Z_]+))\)", source)
    return {word or getattr(module, constant) for word, constant in said}


@pytest.mark.parametrize("form", FORMATS)
def test_every_reason_has_its_row(form: str) -> None:
    own = reasons_in(importlib.import_module(f"monitor.sources.formats.{form.replace('-', '_')}"))
    page = (PAGES / f"{form}.md").read_text(encoding="utf-8").partition("## Reasons for rejection")[2]
    of_payloads = set() if "payloads.md" not in page else _shared()

    listed = set(re.findall(r"^\| `(\w+)` \|", page, flags=re.MULTILINE))
    assert own - of_payloads <= listed
    assert listed <= own


def test_every_reason_of_payloads_has_its_row() -> None:
    raised = {
        reason for name in SHARED for reason in reasons_in(importlib.import_module(f"monitor.sources.formats.{name}"))
    }

    assert raised == _shared()


def _shared() -> set[str]:
    page = (PAGES / "payloads.md").read_text(encoding="utf-8").partition("## Reasons for rejection")[2]
    return set(re.findall(r"^\| `(\w+)` \|", page, flags=re.MULTILINE))
