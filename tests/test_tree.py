"""What holds for the whole tree: no circle of imports, no two classes of one name, no word that was replaced, no recipe of what has moved."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("detectors", "driftd", "monitor")
TOP = "benchmarks|deploy|detectors|docs|driftd|examples|grafana|monitor|requirements|tests"
RECIPES = [ROOT / "Makefile", *sorted((ROOT / ".ci").iterdir())]
REPLACED = (  # words that docs/glossary.md has another for
    "tempo",
    "newcomer",
    "newcomers",
    "exemplar",
    "exemplars",
    "blind",
    "unheard",
    "last_words",
    "block_ns",
    "GridMismatchError",
)


LAZY = {ROOT / "detectors" / name for name in ("__init__.py", "reference/fit.py", "reference/reference.py")}
LAZY.add(ROOT / "driftd" / "__init__.py")


def files() -> list[Path]:
    return [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]


def nodes(word: str) -> Iterator[tuple[Path, ast.AST]]:
    """Of each file that has a word somewhere what it is made of: to take all of them apart takes long."""
    for path in files():
        text = path.read_text(encoding="utf-8")
        if word in text:
            yield from ((path, node) for node in ast.walk(ast.parse(text)))


def test_imports_run_in_no_circle() -> None:
    """A file that imports from its own package wants a compiled part, which is no file of Python."""
    graph = grimp.build_graph(*PACKAGES, include_external_packages=False)
    imports = {
        module: {each for each in graph.find_modules_directly_imported_by(module) if not module.startswith(f"{each}.")}
        for module in graph.modules
    }

    TopologicalSorter(imports).prepare()  # raises CycleError, which names the circle


def test_no_import_is_made_for_types_alone_within_the_tree() -> None:
    """Such an import would hide a circle. What the library reads only once it is asked for it names for types as well."""
    hidden = [
        f"{path.relative_to(ROOT)}: {ast.unparse(inner)}"
        for path, node in nodes("TYPE_CHECKING")
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in node.body
        if re.search(rf"\b({'|'.join(PACKAGES)})\b", ast.unparse(inner)) and path not in LAZY
    ]

    assert hidden == []


def test_no_two_classes_have_one_name() -> None:
    names = Counter(node.name for _, node in nodes("class ") if isinstance(node, ast.ClassDef))

    assert [name for name, count in names.items() if count > 1] == []


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_word_that_was_replaced_does_not_come_back(path: Path) -> None:
    """But as a key of a format, in quotes, which does not change."""
    text = re.sub(r"([\"'])\w+\1", "", path.read_text(encoding="utf-8"))

    assert re.findall(rf"\b({'|'.join(REPLACED)})\b", text) == []


def file_of(module: str) -> str:
    """What `-m` runs: a module, or what a package has for it."""
    return f"{module}/__main__.py" if (ROOT / module).is_dir() else f"{module}.py"


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_a_recipe_names_is_there(path: Path) -> None:
    """Pytest runs nothing at all where it does not know one of the names; a glob of nothing is such a name."""
    recipe = path.read_text(encoding="utf-8")
    modules = [name.replace(".", "/") for name in re.findall(rf"-m ((?:{TOP})(?:\.\w+)+)", recipe)]
    named = [*re.findall(rf"(?<![\w./])(?:{TOP})/[\w./*\[\]-]*[\w*]", recipe), *map(file_of, modules)]

    assert [name for name in named if not name.endswith(".so") and not list(ROOT.glob(name))] == []


def test_the_rounds_of_new_seeds_have_every_test_that_draws() -> None:
    """But those that need a daemon of their own."""
    rounds = [ROOT / name for name in re.findall(r"(?<!\S)tests/[\w./]+", (ROOT / ".ci/test-seeds").read_text("utf-8"))]
    drawing = [
        path
        for path in (ROOT / "tests").rglob("test_*.py")
        if re.search(r"\bseeded\(|\bgetrandbits\(", path.read_text(encoding="utf-8"))
    ]
    left_out = [path for path in drawing if not {path, *path.parents} & set(rounds)]

    assert len(drawing) > len(left_out)
    assert [path for path in left_out if path.parent.name != "integration"] == []
