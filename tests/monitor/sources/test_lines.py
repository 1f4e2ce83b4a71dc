"""Lines of a file as messages: the compiled part and Python split alike, block by block."""

import io
import json
import random
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.sources import lines
from monitor.sources.lines import LineValues, LongLineError, lying_blocks, split_blocks

_lines: Any = pytest.importorskip("monitor.sources._lines")

pytestmark = pytest.mark.usefixtures("compiled_parts")

FUZZ = Path(__file__).parents[2] / "native" / "fuzz_blocks.cpp"
SANITIZED = ("-std=c++17", "-O1", "-g1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")

PIECES = [
    b"a",
    b"{}",
    b'{"a": 1}',
    b"\0",
    b" ",
    b"\t",
    b"\r",
    b"\x0b",
    b"\x85",
    b"\xef\xbb\xbf",
    b"\xff",
    b"\n",
    b"\n\n",
    b"\r\n",
]
contents = st.lists(st.sampled_from(PIECES), max_size=60).map(b"".join)

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inside: st.lists(inside, max_size=40) | st.dictionaries(st.text(max_size=5), inside, max_size=4),
    max_leaves=80,
)

Found = list[tuple[int, list[bytes | None], bytes]]


def both(content: bytes, block: int, longest: int = 1 << 20) -> tuple[Found, Found]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "BLOCK", block)
        patch.setattr(lines, "LONGEST", longest)
        return tuple(  # type: ignore[return-value]
            [(read, list(values), rest) for read, values, rest in split(io.BufferedReader(io.BytesIO(content)))]  # type: ignore[arg-type]
            for split in (lying_blocks, split_blocks)
        )


@given(contents, st.integers(3, 80))
def test_lines_are_the_same_where_they_lie_and_as_bytes(content: bytes, block: int) -> None:
    lying, plain = both(content, block)

    assert lying == plain


@given(contents, st.integers(3, 80))
def test_no_line_is_lost_or_changed(content: bytes, block: int) -> None:
    lying, _ = both(content, block)
    whole = content.removeprefix(b"\xef\xbb\xbf")
    there = [line for line in whole.split(b"\n") if line.strip()]
    found = [line for _, values, _ in lying for line in values if line is not None and line.strip()]
    rest = lying[-1][2] if lying else b""

    assert found + ([rest] if rest.strip() else []) == there


def test_lines_longer_than_many_blocks_come_whole() -> None:
    long = bytes(random.choices(b"abc", k=5_000))
    lying, plain = both(b"x\n" + long + b"\ny\n" + long, 100)

    assert lying == plain
    assert [line for _, values, _ in lying for line in values] == [b"x", long, b"y"]
    assert lying[-1][2] == long


def test_a_line_that_does_not_end_is_given_up() -> None:
    with pytest.raises(LongLineError, match="a line is longer than 0 MiB"):
        both(b"[" * 5_000, 100, longest=1_000)


def test_values_are_a_sequence_of_bytes() -> None:
    block = bytearray(b"one\ntwo\n\nfour\nfi")
    messages, rest = lines._lines.split(block, 0, len(block))
    values = LineValues(messages)

    assert hasattr(values, "messages")
    assert (len(values), list(values), rest) == (3, [b"one", b"two", b"four"], 14)
    assert (values[0], values[-1], values[1:]) == (b"one", b"four", [b"two", b"four"])
    with pytest.raises(IndexError):
        values[3]


def test_what_is_no_block_is_refused() -> None:
    with pytest.raises(BufferError):
        lines._lines.split(b"a\n", 0, 2)  # type: ignore[arg-type]  # bytes are not ours to write to
    for begin, end in ((-1, 2), (2, 1), (0, 4)):
        with pytest.raises(ValueError, match="has 3 bytes"):
            lines._lines.split(bytearray(b"a\nb"), begin, end)


def test_a_block_cannot_change_its_length_while_its_lines_are_there() -> None:
    block = bytearray(b"a\nb\n")
    messages, _ = lines._lines.split(block, 0, 4)
    with pytest.raises(BufferError):
        block.append(0)
    del messages
    block.append(0)


@pytest.mark.timeout(300)
def test_blocks_of_anything_do_no_harm_under_the_sanitizers(tmp_path: Path) -> None:
    """Blocks of lines and, in the same program, of values."""
    seed = random.getrandbits(32)
    print(f"seed {seed}")
    program = tmp_path / "fuzz_blocks"
    subprocess.run(["c++", *SANITIZED, str(FUZZ), "-o", str(program)], check=True, timeout=120)

    done = subprocess.run([program, str(seed), "3000"], capture_output=True, text=True, timeout=120, check=False)

    assert done.returncode == 0, done.stderr


@given(
    st.lists(st.tuples(st.text(max_size=3), values), max_size=6),
    st.sampled_from([",", " , ", "\n,\t"]),
    st.sampled_from([":", " : "]),
    st.booleans(),
)
def test_members_are_those_of_the_object(held: list[tuple[str, object]], comma: str, colon: str, ascii_: bool) -> None:
    """As they are written, of keys that are alike the last; a key with a backslash is left."""
    written = [(json.dumps(key, ensure_ascii=ascii_), json.dumps(value, ensure_ascii=ascii_)) for key, value in held]
    raw = ("{" + comma.join(key + colon + value for key, value in written) + "}").encode()

    found = _lines.members(raw)

    whole = {key: bytes(value) for key, value in msgspec.json.decode(raw, type=dict[str, msgspec.Raw]).items()}
    assert found == (None if any("\\" in key for key, _ in written) else whole)


@pytest.mark.parametrize(
    "raw", [b"", b" ", b"[]", b'"a"', b"1", b"{", b'{"a"', b'{"a":', b'{"a":1', b'{"a":[1', b'{"a":"', b'{"\xff":1}']
)
def test_what_is_no_object_has_no_members(raw: bytes) -> None:
    assert _lines.members(raw) is None
