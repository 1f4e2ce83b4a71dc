"""Bodies of tensors by the compiled part and by Python alone: the same rows, whatever they hold."""

import json
import random
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.sources.formats import mlserver
from monitor.sources.formats.base import Rows
from monitor.sources.formats.tensors import compacting
from monitor.sources.formats.tensors.compacting import _compact
from tests.inferences import decoded, records, said, why

pytestmark = pytest.mark.usefixtures("compiled_parts")

FUZZ = Path(__file__).parents[5] / "tests" / "native" / "fuzz_tensors.cpp"
SANITIZED = ("-std=c++17", "-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")

numbers = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(-10, 10).map(lambda value: round(value, 6)),
    st.integers(-(2**70), 2**70),
    st.integers(-20, 20),
    st.none(),
)
cells = st.one_of(numbers, st.booleans(), st.text(max_size=3), st.just(-0.0))
names = st.sampled_from(["a", "b", "data", "id", "é"])


@st.composite
def tensors(draw: st.DrawFn, rows: int) -> dict[str, Any]:
    """A tensor, as a rule of so many rows."""
    width = draw(st.sampled_from([1, 1, 1, 2, 3]))
    held = draw(
        st.lists(draw(st.sampled_from([numbers, numbers, cells])), min_size=rows * width, max_size=rows * width)
    )
    shape = draw(st.sampled_from([[rows, width], [rows, width], [rows * width], [rows]]))
    tensor = {
        "name": draw(names),
        "shape": shape,
        "datatype": draw(st.sampled_from(["FP64", "INT64", "BYTES", "BOOL", "ODD"])),
        "data": held,
    }
    return {name: tensor[name] for name in draw(st.permutations(list(tensor)))}


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """A body, whole or damaged."""
    rows = draw(st.sampled_from([1, 2, 7, 40]))
    body: dict[str, Any] = {
        side: draw(st.lists(tensors(rows), max_size=3))
        for side in draw(st.sampled_from([["inputs"], ["outputs"], ["inputs", "outputs"]]))
    }
    body |= draw(
        st.sampled_from(
            [{}, {"id": "r-1"}, {"id": 'é\\"', "model_name": "m"}, {"data": [1, 2]}, {"parameters": {"data": [0, 2]}}]
        )
    )
    text = json.dumps(
        body,
        ensure_ascii=draw(st.booleans()),
        separators=draw(st.sampled_from([(",", ":"), (", ", ": "), (" , ", " : ")])),
    )
    if draw(st.integers(0, 4)) == 0:
        at = draw(st.integers(0, len(text) - 1))
        text = (
            text[:at]
            + draw(st.sampled_from(["", "]", "[", ",", '"', "0", "\\", " ", "NaN"]))
            + text[at + draw(st.integers(0, 2)) :]
        )
    return text.encode("utf-8", "replace")


def by(values: list[bytes], *, compiled: bool) -> Rows:
    """Rows by one of both ways."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compacting, "COMPILED", compiled)
        return decoded(mlserver, records(*values))


@given(st.lists(bodies(), max_size=5))
def test_both_ways_give_the_same_rows(values: list[bytes]) -> None:
    compiled, pure = by(values, compiled=True), by(values, compiled=False)

    assert repr(said(compiled)) == repr(said(pure))
    assert compiled.messages.tolist() == pure.messages.tolist()
    assert why(compiled) == why(pure)


def test_the_compiled_part_reads_what_is_usual() -> None:
    rows = np.random.default_rng(1).normal(size=(200, 3))
    body = {
        "id": "r",
        "inputs": [
            {"name": name, "shape": [200, 1], "datatype": "FP64", "data": rows[:, at].tolist()}
            for at, name in enumerate("abc")
        ],
    }
    room = np.empty(1000)

    found = _compact.compact(json.dumps(body).encode(), room, 10)

    assert found is not None
    assert (found[1], found[2]) == (600, "r")
    np.testing.assert_array_equal(room[10:610].reshape(3, 200).T, rows)


@pytest.mark.parametrize(
    "body",
    [
        b'{"inputs":[{"d\\u0061ta":[0,2]},{"data":[1]}]}',  # another array of two would be taken for one that was taken out
        b'{"data":[9007199254740993]}',
        b'{"data":[1e999]}',
        b'{"data":[1,"a"]}',
        b'{"data":[1,[2]]}',
        b'{"data":[1,2',
        b'{"data":[1,2]}x',
        b'{"id":"a","id":"b"}',
        b"[1]",
        b"",
    ],
)
def test_what_is_not_wholly_understood_is_left(body: bytes) -> None:
    assert _compact.compact(body, np.empty(100), 0) is None


def test_where_there_is_no_room_nothing_is_written_beyond() -> None:
    room = np.zeros(8)
    body = json.dumps({"data": list(range(1, 200))}).encode()

    assert _compact.compact(body, room[:4], 0) is None
    assert not room[4:].any()
    with pytest.raises(ValueError, match="there are 8 numbers"):
        _compact.compact(body, room, 9)


def test_layouts_that_are_kept_do_not_grow_without_end() -> None:
    decoder = compacting.Compacted()
    from monitor.sources.formats.tensors.arrays import PLAIN
    from monitor.sources.formats.tensors.bodies import BodyReading

    for at in range(3 * compacting.MOST_KEPT):
        body = json.dumps({"inputs": [{"name": f"x{at}", "shape": [1], "datatype": "FP64", "data": [at]}]}).encode()
        decoder.begin(len(body))
        assert isinstance(decoder.read(body, BodyReading(PLAIN)), compacting.Packed)

    assert len(decoder._layouts) <= compacting.MOST_KEPT


@pytest.mark.timeout(300)
def test_damaged_bodies_do_no_harm_under_the_sanitizers_and_both_widths_agree(tmp_path: Path) -> None:
    seed = random.getrandbits(32)
    print(f"seed {seed}")

    def fuzzed(name: str, *flags: str) -> str:
        program = tmp_path / name
        subprocess.run(["c++", *SANITIZED, *flags, str(FUZZ), "-o", str(program)], check=True, timeout=120)
        done = subprocess.run([program, str(seed), "3000"], capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert fuzzed("wide") == fuzzed("scalar", "-DDRIFTD_SCALAR")
