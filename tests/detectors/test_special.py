"""SciPy's functions from their compiled module alone: the very same ones, and the package still loads whole."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from scipy import special as whole

from detectors import special

ROOT = Path(__file__).parents[2]


def used() -> set[str]:
    """What the code asks of it."""
    files = [path for package in ("detectors", "monitor") for path in (ROOT / package).rglob("*.py")]
    texts = [text for path in files if "from detectors import special" in (text := path.read_text(encoding="utf-8"))]
    found = {name for text in texts for name in re.findall(r"\bspecial\.(\w+)", text)}
    return found - {"digamma", "polygamma"}  # these stand beside an import of the whole package


def said_by(program: str) -> list[str]:
    """The words of a fresh process, in which nothing is loaded yet."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    return done.stdout.split()


def test_each_function_is_scipys_own() -> None:
    assert len(used()) > 10
    names = sorted(used())
    program = (
        "from detectors import special; import sys; "
        f"found = {{name: getattr(special, name) for name in {names}}}; "
        "assert 'scipy.special' not in sys.modules; from scipy import special as whole; "
        "print(*[name for name in found if found[name] is getattr(whole, name)])"
    )

    assert said_by(program) == names


def test_nothing_else_of_the_package_is_loaded() -> None:
    loaded = said_by("import sys; from detectors import special; special.ndtri(0.5); print(*sys.modules)")

    assert "scipy.special._ufuncs" in loaded
    assert not {"scipy.special", "scipy.linalg", "numpy.f2py", "numpy.testing", "numpy.ma"} & set(loaded)


def test_the_package_loads_whole_afterwards() -> None:
    program = (
        "from detectors import special; a = special.ndtri(0.25); import scipy.stats, scipy.special; "
        "print(scipy.stats.norm.ppf(0.25) == a, scipy.special.polygamma(1, 1.0) > 1.6, special.gammaln is scipy.special.gammaln)"
    )

    assert said_by(program) == ["True", "True", "True"]


def test_threads_that_load_the_package_meanwhile_get_all_of_it() -> None:
    program = (
        "import threading; from detectors import special\n"
        "def part(): found.append(special.ndtri(0.5) == 0)\n"
        "def all_of_it():\n"
        "    from scipy.special import polygamma\n"
        "    found.append(polygamma(1, 1.0) > 1.6)\n"
        "found = []\n"
        "threads = [threading.Thread(target=each) for each in (part, all_of_it) * 4]\n"
        "[each.start() for each in threads]; [each.join() for each in threads]\n"
        "print(*found)"
    )

    assert said_by(program) == ["True"] * 8


def test_a_thread_that_holds_the_package_that_is_broken_off_gets_all_of_it() -> None:
    program = (
        "import threading, time; from detectors import special\n"
        "load, begun = special.import_module, threading.Event()\n"
        "def slowly(name):\n"
        "    found = load(name)\n"
        "    if name == special.COMPILED: begun.set(); time.sleep(0.5)\n"
        "    return found\n"
        "special.import_module = slowly\n"
        "thread = threading.Thread(target=lambda: special.ndtri(0.5)); thread.start(); begun.wait()\n"
        "from scipy.special import polygamma\n"
        "thread.join(); print(polygamma(1, 1.0) > 1.6)"
    )

    assert said_by(program) == ["True"]


def test_a_version_that_was_never_tried_is_loaded_whole() -> None:
    program = (
        "import sys; from detectors import special; special.TRIED = frozenset(); "
        "print(special.ndtri(0.5), 'scipy.special' in sys.modules)"
    )

    assert said_by(program) == ["0.0", "True"]


def test_what_scipy_does_not_have_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="no_such_function"):
        special.no_such_function  # noqa: B018 - asked for, and not there
    assert special.ndtri is whole.ndtri
