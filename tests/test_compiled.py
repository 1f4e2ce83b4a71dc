"""The build of the compiled parts: with a compiler, without one, and after a change."""

import errno
import importlib.util
import os
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def hook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """hatch_build.py as it is, with one part of its own to build."""
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    source = tmp_path / "_part.cpp"
    source.write_text("int part() { return 1; }\n")
    monkeypatch.setattr(module, "SOURCES", (source,))
    monkeypatch.setattr(module, "_headers", lambda: tmp_path)
    monkeypatch.delenv("CXXFLAGS", raising=False)
    return module


@pytest.fixture
def compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Writes its arguments as the library, and counts its runs."""
    program = tmp_path / "compiler"
    program.write_text(f'#!/bin/sh\necho run >> {tmp_path}/runs\nfor last; do :; done\necho "$@" > "$last"\n')
    program.chmod(0o755)
    monkeypatch.setenv("CXX", str(program))
    return program


def runs(compiler: Path) -> int:
    found = compiler.with_name("runs")
    return len(found.read_text().splitlines()) if found.exists() else 0


def made_earlier(path: Path) -> None:
    os.utime(path, ns=(1, 1))


def test_every_source_is_built() -> None:
    sources = {
        str(path.relative_to(ROOT)) for place in ("detectors", "monitor") for path in ROOT.glob(f"{place}/**/*.cpp")
    }
    text = (ROOT / "hatch_build.py").read_text()

    assert sources
    assert all(f'"{source}"' in text for source in sources)


def test_a_part_is_built_beside_its_source(hook: ModuleType, compiler: Path, tmp_path: Path) -> None:
    assert hook.build() == [tmp_path / "_part.abi3.so"]
    assert "-std=c++17 -O3" in (tmp_path / "_part.abi3.so").read_text()
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []


def test_no_flags_make_sums_inexact(
    hook: ModuleType, compiler: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of CXXFLAGS stand before ours, so that ours hold; what also changes the process around it is left out."""
    monkeypatch.setenv("CXXFLAGS", "-march=native -Ofast -ffast-math -ffp-contract=fast")
    hook.build()

    told = (tmp_path / "_part.abi3.so").read_text().split()
    assert told.index("-march=native") < told.index("-ffp-contract=fast") < told.index("-ffp-contract=off")
    assert "-fno-fast-math" in told
    assert not {"-Ofast", "-ffast-math"}.intersection(told)


def test_every_source_has_make_build_again() -> None:
    """A part or a header that changes is one of the files that `make setup` looks at."""
    wanted = next(line for line in (ROOT / "Makefile").read_text().splitlines() if line.startswith("KERNELS"))
    patterns = wanted.removeprefix("KERNELS := $(wildcard ").removesuffix(")").split()
    looked_at = {path for pattern in patterns for path in ROOT.glob(pattern)}

    made_from = {path for place in ("detectors", "monitor") for path in ROOT.glob(f"{place}/**/_*.[ch]pp")}
    assert made_from <= looked_at


def test_only_what_has_changed_is_built_again(hook: ModuleType, compiler: Path, tmp_path: Path) -> None:
    hook.build()
    hook.build()
    assert runs(compiler) == 1

    made_earlier(tmp_path / "_part.abi3.so")
    hook.build()
    assert runs(compiler) == 2


def test_a_changed_header_counts_as_a_change(hook: ModuleType, compiler: Path, tmp_path: Path) -> None:
    hook.build()
    header = tmp_path / "_part.hpp"
    header.touch()
    os.utime(header, (4e9, 4e9))
    hook.build()

    assert runs(compiler) == 2


def test_a_wheel_is_built_afresh(hook: ModuleType, compiler: Path) -> None:
    hook.build()
    hook.build(afresh=True)

    assert runs(compiler) == 2


def test_without_a_compiler_one_line_says_so(hook: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(hook.shutil, "which", lambda name: None)

    with pytest.raises(hook.NotBuiltError) as problem:
        hook.build()
    assert str(problem.value).startswith("no C++ compiler: the pure-Python path is used")
    assert "apt-get install g++ python3-dev" in str(problem.value)


def test_without_pythons_headers_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hook: ModuleType) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(sys.modules["sysconfig"], "get_path", lambda name: str(tmp_path))

    with pytest.raises(hook.NotBuiltError, match=r"no Python\.h in"):
        hook._headers()


def test_what_a_refused_source_made_before_is_taken_away(
    hook: ModuleType, compiler: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Otherwise a library would do what its source no longer says."""
    hook.build()
    made_earlier(tmp_path / "_part.abi3.so")
    compiler.write_text("#!/bin/sh\necho what is wrong >&2\nexit 1\n")

    with pytest.raises(hook.NotBuiltError, match=r"compiler refused _part\.cpp"):
        hook.build()
    assert not (tmp_path / "_part.abi3.so").exists()
    assert "what is wrong" in capsys.readouterr().err


def test_a_compiler_that_does_not_start_is_no_compiler(hook: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "/nowhere/c++")

    with pytest.raises(hook.NotBuiltError, match="the C\\+\\+ compiler failed"):
        hook.build()


def test_in_a_tree_that_cannot_be_written_to_python_does_the_work(
    hook: ModuleType, compiler: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(tempfile, "TemporaryDirectory", refuse)

    with pytest.raises(hook.NotBuiltError, match="cannot be written to: the pure-Python path is used"):
        hook.build()


def test_no_compiled_part_is_left_out(compiled_parts: None) -> None:
    """With REQUIRE_PARTS=1 this fails where one is not built."""


@pytest.mark.usefixtures("compiled_parts")
@pytest.mark.parametrize(
    "call", ["digest.moments(values, room)", "lines.split(text, 0, len(text))", "count.place(*column)"]
)
def test_a_thread_that_comes_back_when_the_process_ends_does_not_abort_it(call: str) -> None:
    """Python ends such threads where they ask for its lock; a second Ctrl-C while columns are worked on leaves some."""
    script = f"""
        import sys, threading, time
        import numpy as np
        from detectors.sketches import _count as count, _digest as digest
        from monitor.sources import _lines as lines
        values, room, text = np.arange(1e6), np.empty(1_000_000), bytearray(3_000_000)
        column = np.arange(9.0), values, 1.0, np.zeros(13), np.zeros(13, int), np.zeros(13), np.zeros(values.size, np.int32)
        returned = threading.Event()
        def work():
            while True:
                assert {call}
                returned.set()
        class Slow:  # its end comes when the interpreter has begun to end, and is long enough for the call to return
            def __del__(self, sleep=time.sleep):
                sleep(0.3)
        threading.Thread(target=work, daemon=True).start()
        assert returned.wait(60)
        sys.slow = Slow()
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)

    assert (done.returncode, done.stderr) == (0, "")
