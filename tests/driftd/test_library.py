"""`import driftd`, and the guide and the notebook that show it: what they say is what happens."""

import ast
import json
import re
import subprocess
import sys
from contextlib import redirect_stdout
from importlib import metadata
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

import detectors
import driftd

ROOT = Path(__file__).parents[2]
GUIDES = {ROOT / "docs" / "library.md": 10, ROOT / "docs" / "performance.md": 3}  # at least so many that show an answer
NOTEBOOK = ROOT / "examples" / "notebook.ipynb"
BLOCK = re.compile(r"^```python\n(.*?)^```\n(?:```text\n(.*?)^```\n)?", re.DOTALL | re.MULTILINE)


def run(code: str, names: dict[str, Any]) -> tuple[str, object]:
    """What a cell prints, and the value of its last expression."""
    tree, said, value = ast.parse(code), StringIO(), None
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    with redirect_stdout(said):
        exec(compile(tree, "<cell>", "exec"), names)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), "<cell>", "eval"), names)
    return said.getvalue(), value


def test_the_package_has_all_of_the_library_and_the_version() -> None:
    assert driftd.__version__ == metadata.version("driftd")
    assert {name: getattr(driftd, name) for name in detectors.__all__} == {
        name: getattr(detectors, name) for name in detectors.__all__
    }
    assert set(driftd.__all__) == {*detectors.__all__, "__version__"}


def test_what_only_some_need_is_not_imported_before() -> None:
    """A daemon starts without any of it."""
    heavy = {"narwhals", "pandas", "polars", "pyarrow", "scipy.special", "river"}
    said = subprocess.run(
        [sys.executable, "-c", "import sys, driftd; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )

    assert not heavy & set(said.stdout.split())


@pytest.mark.parametrize("guide", list(GUIDES), ids=lambda path: path.name)
def test_a_guide_says_what_happens(guide: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    blocks = BLOCK.findall(guide.read_text(encoding="utf-8"))
    names: dict[str, Any] = {}
    for code, expected in blocks:
        said, value = run(code, names)
        shown = said + ("" if value is None else f"{value!r}\n")
        if expected:
            assert shown.rstrip() == expected.rstrip(), code

    assert sum(bool(expected) for _, expected in blocks) >= GUIDES[guide]


def test_the_notebook_says_what_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT / "examples")
    names: dict[str, Any] = {}
    cells = [cell for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
    for cell in cells:
        said, value = run("".join(cell["source"]), names)
        outputs = {output["output_type"]: output for output in cell["outputs"]}
        assert said == "".join(outputs.get("stream", {}).get("text", []))
        data = outputs.get("execute_result", {}).get("data", {})
        assert ("" if value is None else repr(value)) == "".join(data.get("text/plain", []))
        html = getattr(value, "_repr_html_", None)
        if html is not None and "text/html" in data:
            assert html() == "".join(data["text/html"])

    assert any("text/html" in output.get("data", {}) for cell in cells for output in cell["outputs"])
