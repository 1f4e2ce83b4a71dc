"""Detectors of other packages: found by an entry point, refused in one line where they cannot be used."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from detectors import DETECTORS, JudgedWindows, PluginError, Psi, Reference, Volume, WindowDetector
from detectors.plugins import Registry, columns_of

REFERENCE = Reference.fit({"x": np.arange(100.0)})
OWN = set(DETECTORS)  # found now, before a test installs another
CODE = """
from dataclasses import dataclass
import numpy as np
from detectors import DetailMetric, ScoreColumns, WindowDetector

@dataclass(frozen=True)
class Mode(WindowDetector):
    name = "mode"
    help = "share of the commonest bin"

    def prepare(self, baseline):
        names = baseline.names
        return lambda window, min_rows=1: ScoreColumns(
            "mode", names, window.some, window.all, np.zeros(len(names))
        )

@dataclass
class Changing(WindowDetector):
    name = "changing"
    prepare = Mode.prepare

class Nameless:
    pass

class Twin(Mode):
    name = "psi"

class Own(Mode):
    name = "drift"

class Mute(WindowDetector):
    name = "mute"
    prepare = Mode.prepare

class Clash(Mode):
    name = "clash"
    metrics = {"detail": DetailMetric("score", "Of every detector")}

class Failing(Mode):
    name = "failing"

    def prepare(self, baseline):
        raise RuntimeError("first line\\nsecond")

class Rubbish(Mode):
    name = "rubbish"

    def prepare(self, baseline):
        return lambda window, min_rows=1: 7

class Short(Mode):
    name = "short"

    def prepare(self, baseline):
        return lambda window, min_rows=1: ScoreColumns("short", ("x", "y"), window.some, window.all, np.zeros(2))

broken = 1 / 0 if __name__ == "broken_detector" else None
"""


Install = Callable[..., Registry]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Put a package with an entry point on the path, as pip would."""

    def put(points: str, module: str = "mode_detector") -> Registry:
        (tmp_path / f"{module}.py").write_text(CODE, encoding="utf-8")
        info = tmp_path / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n", encoding="utf-8")
        (info / "entry_points.txt").write_text(f"[driftd.detectors]\n{points}\n", encoding="utf-8")
        monkeypatch.syspath_prepend(str(tmp_path))
        return Registry()

    yield put
    sys.modules.pop("mode_detector", None)


def test_a_detector_of_another_package_is_one_of_them(install: Install) -> None:
    registry = install("mode = mode_detector:Mode")

    assert set(registry) - OWN == {"mode"}
    assert isinstance(registry["mode"], WindowDetector)
    assert registry["mode"].judged(REFERENCE) == ("x",)
    assert registry["mode"].false_alarm_chance(REFERENCE, {"x": 0.1}, JudgedWindows(100, 8640)) is None


@pytest.mark.parametrize(
    ("point", "why"),
    [
        ("changing = mode_detector:Changing", "TypeError: unhashable type: 'Changing'"),
        ("nameless = mode_detector:Nameless", "Nameless is no detectors.Detector"),
        ("twin = mode_detector:Twin", "there is a detector psi already"),
        ("own = mode_detector:Own", "drift is what driftd calls scores of its own"),
        ("mute = mode_detector:Mute", "Mute has no help"),
        ("clash = mode_detector:Clash", "'score' can be no metric of its own"),
        ("away = mode_detector:Away", "AttributeError"),
        ("nowhere = no_such_module:Mode", "ModuleNotFoundError"),
    ],
)
def test_what_cannot_be_used_is_named_with_the_reason(install: Install, point: str, why: str) -> None:
    with pytest.raises(PluginError, match=why) as refused:
        list(install(point))

    assert str(refused.value).startswith(f"entry point {point} of driftd.detectors: ")
    assert "\n" not in str(refused.value)


def test_a_module_that_fails_names_its_entry_point(install: Install) -> None:
    with pytest.raises(PluginError, match="ZeroDivisionError"):
        list(install("mode = broken_detector:Mode", "broken_detector"))


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("Failing", "detector failing failed: RuntimeError: first line"),
        ("Rubbish", "detector rubbish returned no ScoreColumns of its name"),
        ("Short", "detector short returned columns of several lengths for 2 features"),
    ],
)
def test_one_that_fails_at_work_is_named(install: Install, kind: str, why: str) -> None:
    detector = install(f"it = mode_detector:{kind}")[kind.lower()]
    assert isinstance(detector, WindowDetector)

    with pytest.raises(PluginError) as failed:
        columns_of(detector, REFERENCE, REFERENCE.sketch.tally())

    assert str(failed.value) == why


def test_every_detector_says_what_its_score_means() -> None:
    assert all(detector.help for detector in DETECTORS.values())
    assert {name for name, detector in DETECTORS.items() if detector.judges_all_rows} == {"missing", "unseen", "volume"}


def test_what_needs_no_counts_needs_no_baseline_either() -> None:
    assert DETECTORS["volume"] == Volume()
    assert not isinstance(Volume(), WindowDetector)


def test_an_index_of_one_bin_is_refused() -> None:
    with pytest.raises(ValueError, match="bins is 1"):
        Psi(bins=1)
