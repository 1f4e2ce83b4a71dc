"""Records of inferences by templates and by Python alone: the same columns, facts and times, whatever they hold."""

import json
import math
import random
import subprocess
from collections import Counter, defaultdict
from dataclasses import fields as fields_of
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors import Reference
from detectors.sketches.violations import PART
from monitor.facts import EventsAhead, EventsRejected
from monitor.sources.decode.topic import Decoded, TopicDecoder
from monitor.sources.formats import mlserver
from monitor.sources.formats.base import DecodeCounts
from monitor.sources.formats.fields import FieldMap, SeriesFields
from monitor.sources.formats.tensors import compacting, decoding
from monitor.sources.formats.tensors.scanning import MOST_TEMPLATES, TensorScanner, _columns
from monitor.stream.events import MINUTE, SECOND, SeriesKey
from tests.fakes import NOON
from tests.inferences import decoder_of, records

pytestmark = pytest.mark.usefixtures("compiled_parts")

FUZZ = Path(__file__).parents[5] / "tests" / "native" / "fuzz_tensors.cpp"
SANITIZED = ("-std=c++17", "-O1", "-g1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
FIELDS, SAMPLED = FieldMap(), FieldMap(sampling=("features", "a"))
REFERENCE = Reference.fit(
    {
        "a": [-9.0, 9.0],
        "b": [0.5, 0.25],
        "x0": [1.0, 2.0],
        "é[1]": [1.0, 2.0],
        "gone": [0.0, 1.0],
        "data": ["pro", 'é"'],
        "id": ["1", "true"],
        "__prediction__": [0.0, 1.0],
    },
    prediction="__prediction__",
)
DATATYPES = {
    "<f8": "FP64",
    "<f4": "FP32",
    "<f2": "FP16",
    "<i8": "INT64",
    "<i4": "INT32",
    "<u1": "UINT8",
}
KEYS = SeriesKey("m", "*"), SeriesKey("n", "2")

numbers = st.one_of(st.floats(-10, 10).map(lambda value: round(value, 6)), st.integers(-20, 20), st.none())
wild = st.one_of(numbers, st.floats(allow_nan=False, allow_infinity=False), st.just(-0.0), st.integers(-(2**70), 2**70))
texts = st.sampled_from(["pro", "free", 'é"', "new", "", "1", "None", "\ud83d\ude00"])
cells = st.one_of(wild, st.booleans(), texts)
OF = {
    "numbers": numbers,
    "small": st.integers(0, 3),
    "texts": st.one_of(texts, st.none()),
    "wild": wild,
    "cells": cells,
}
tensor_kinds = st.one_of(
    *(
        st.tuples(
            st.sampled_from(names),
            st.sampled_from(held),
            st.sampled_from([1, 1, 1, 2]),  # width
            st.sampled_from(datatypes),
            st.sampled_from(
                [{}, {}, {}, {"parameters": {"content_type": "str"}}, {"parameters": {"content_type": "pd_json"}}]
            ),
            st.booleans(),  # nested
        )
        for names, held, datatypes in (
            (["a", "b", "é", "a"], ["numbers", "numbers", "wild"], ["FP64", "FP64", "INT64", "BYTES"]),
            (["data", "id"], ["texts", "texts", "small"], ["BYTES", "BYTES", "BYTES", "FP64"]),
            (["a", "data"], ["cells", "texts", "numbers"], ["FP64", "BYTES", "ODD"]),
        )
    )
)
clients = st.tuples(
    st.lists(tensor_kinds, min_size=1, max_size=4, unique_by=lambda kind: kind[0]),
    st.sampled_from(["inputs", "inputs", "outputs", "instances", "predictions", "both"]),
    st.sampled_from(
        [{"model_name": "m"}] * 4 + [{}, {"model_name": "n", "model_version": "2"}, {"model_name": "nobody"}]
    ),
    st.sampled_from([(",", ":"), (", ", ": "), (" , ", " : ")]),
    st.permutations(["name", "shape", "datatype", "data", "parameters"]),
)


def listed(draw: st.DrawFn, kind: str, count: int) -> list[Any]:
    """So many values."""
    return draw(st.lists(OF[kind], min_size=count, max_size=count))


def body(draw: st.DrawFn, client: Any, rows: int) -> dict[str, Any]:
    """What a client sends of so many rows."""
    kinds, side, about, _, order = client
    if side in {"instances", "predictions"}:
        _, kind, width, *_ = kinds[0]
        values = listed(draw, kind, rows * width)
        flat = width == 1 and kinds[0][-1]
        return about | {side: values if flat else [values[at : at + width] for at in range(0, len(values), width)]}
    tensors = []
    for name, kind, width, datatype, more, nested in kinds:
        claimed = rows if draw(st.integers(0, 60)) else draw(st.sampled_from([0, -1, rows + 1, True]))
        values = listed(draw, kind, rows * width)
        data: Any = [values[at : at + width] for at in range(0, len(values), width)] if nested else values
        shape = [claimed] if width == 1 and nested else [claimed, width]
        tensor = {"name": name, "shape": shape, "datatype": datatype, "data": data} | more
        tensors.append({key: tensor[key] for key in order if key in tensor})
    sides = {"inputs": tensors, "outputs": tensors} if side == "both" else {side: tensors}
    identity = draw(st.sampled_from([{}, {"id": "r-1"}, {"id": "é" * 30}, {"id": 'é\\"'}, {"id": 7}, {"id": ""}]))
    return about | identity | sides


def behind(draw: st.DrawFn, held: dict[str, Any]) -> bytes:
    """A body with the numbers of its tensors behind it, as far as they can be there."""
    written = b""
    for tensor in [each for side in ("inputs", "outputs") for each in held.get(side, ())]:
        kind = draw(st.sampled_from(["<f8", "<f8", "<f4", "<i8", "<i4", "<f2", "<u1"]))
        if "data" not in tensor:  # of both sides
            continue
        cells = [math.nan if value is None else value for value in np.ravel(np.array(tensor["data"], dtype=object))]
        if not all(isinstance(value, int | float) for value in cells) or (kind[1] != "f" and not _fit(cells, kind)):
            continue
        with np.errstate(over="ignore"):
            raw = np.array(cells, dtype=kind).tobytes()
        tensor |= {"datatype": DATATYPES[kind], "parameters": {"binary_data_size": len(raw)}}
        del tensor["data"]
        written += raw
    return written


def _fit(cells: list[Any], kind: str) -> bool:
    """Whether all are whole numbers of a type."""
    bounds = np.iinfo(kind)
    return all(value == value and int(value) == value and bounds.min <= value <= bounds.max for value in cells)  # noqa: PLR0124 - NaN


def damaged(draw: st.DrawFn, text: str) -> str:
    """The same, or with a few characters wrong."""
    if draw(st.integers(0, 9)) or not text:
        return text
    at = draw(st.integers(0, len(text) - 1))
    return (
        text[:at]
        + draw(st.sampled_from(["", "]", "[", ",", '"', "0", "\\", " ", "NaN", "1e999", '"id":"x",']))
        + text[at + draw(st.integers(0, 2)) :]
    )


@st.composite
def traffic(draw: st.DrawFn) -> tuple[list[bytes | None], list[int]]:
    """Messages of a few clients, mixed, some of them broken, and their times."""
    held = draw(st.lists(clients, min_size=1, max_size=2))
    values: list[bytes | None] = []
    for _ in range(draw(st.integers(1, 8))):
        client = draw(st.sampled_from(held))
        found = body(draw, client, draw(st.sampled_from([1, 1, 2, 3, 40])))
        raw = b"" if draw(st.integers(0, 3)) else behind(draw, found)
        text = json.dumps(found, ensure_ascii=draw(st.booleans()), separators=client[3])
        written = damaged(draw, text).encode("utf-8", "replace") + raw
        values.append(draw(st.sampled_from([written] * 20 + [None, b"", b"{}"])))
    times = [draw(st.sampled_from([NOON, NOON + SECOND, NOON - SECOND] * 8 + [0, NOON + 90 * MINUTE])) for _ in values]
    return values, times


def decoder(*, compiled: bool, missing: tuple[str, ...] = ("None",), fields: FieldMap = FIELDS) -> TopicDecoder:
    """The decoder of a topic of two models, by one of both ways."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoding, "COMPILED", compiled)
        patch.setattr(compacting, "COMPILED", compiled)
        made = TopicDecoder(
            "t",
            [SeriesFields(key, REFERENCE.layout, fields) for key in KEYS],
            fields,
            MINUTE,
            "mlserver",
            options=mlserver.Options(missing=list(missing)),
            sampled=bool(fields.sampling),
        )
    assert any(isinstance(each, TensorScanner) for each in made.readers) is compiled
    return made


def told(*polls: Decoded) -> Any:
    """All that was found in some polls, but how far time is: halves as they came, for of those that are alike the first counts."""
    halves = defaultdict[Any, list[str]](list)
    rows, facts = Counter[Any](), Counter[Any]()
    for half in (half for decoded in polls for half in decoded.halves):
        halves[half.key, half.half] += map(repr, half.rows.tolist())
    for batch in (batch for decoded in polls for batch in decoded.batches if len(batch)):  # others name new categories
        assert batch.ids is not None
        for row in zip(batch.event_times, batch.numeric.tolist(), batch.codes.tolist(), batch.ids, strict=True):
            rows[batch.key, repr(row)] += 1
    for fact in (fact for decoded in polls for fact in decoded.facts if not isinstance(fact, EventsAhead)):
        values = {each.name: getattr(fact, each.name) for each in fields_of(fact)}
        count = values.pop("count", 1)
        facts[type(fact).__name__, repr(values)] += count
    return {key: held for key, held in halves.items() if held}, rows, facts


@settings(max_examples=60)
@given(traffic(), st.sampled_from([FIELDS, SAMPLED]))
def test_both_ways_give_the_same(held: tuple[list[bytes | None], list[int]], fields: FieldMap) -> None:
    values, times = held
    keys = [b"" if at % 2 else b"k%d" % at for at in range(len(values))]
    compiled, pure = (decoder(compiled=each, fields=fields) for each in (True, False))

    for again in range(2):  # once more with all templates there
        sent = records(*values, keys=keys, stamps=times)
        found, wanted = compiled.decode(sent, NOON), pure.decode(sent, NOON)
        assert told(found) == told(wanted), again
        assert found.seen == wanted.seen
        assert sorted(found.versions) == sorted(wanted.versions)


@settings(max_examples=60)
@given(traffic(), st.lists(st.integers(1, 7), min_size=1, max_size=8))
def test_any_polls_give_the_same_halves_in_the_same_order(
    held: tuple[list[bytes | None], list[int]], sizes: list[int]
) -> None:
    """Of halves of one id in a poll the first counts: whoever reads them, and whatever odd messages lie between."""
    values, times = held
    compiled, pure = (decoder(compiled=each) for each in (True, False))
    polls, at = [], 0
    for size in cycle(sizes):
        if at >= len(values):
            break
        part = slice(at, at + size)
        polls.append(compiled.decode(records(*values[part], stamps=times[part]), NOON))
        at += size

    assert told(*polls) == told(pure.decode(records(*values, stamps=times), NOON))


@settings(max_examples=60)
@given(traffic())
def test_rows_are_the_same_both_ways_where_no_series_is_asked_for(held: tuple[list[bytes | None], list[int]]) -> None:
    """As those of files, of other envelopes and of topics that are mapped beside the value: bodies come apart without templates."""
    values, times = held
    found = []
    for compiled in (True, False):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(compacting, "COMPILED", compiled)
            reader = decoder_of(mlserver, missing=["None"])
        rows = [reader.decode_records(records(*values, stamps=times)) for _ in range(2)][-1]
        listed = [
            {path: repr(value) for path, value in rows.row(at).items() if value is not None} for at in range(len(rows))
        ]
        found.append((listed, rows.messages.tolist(), rows.halves.tolist(), rows.rejected))

    assert found[0] == found[1]


def tensors(rows: int, seed: int, **more: Any) -> bytes:
    """A request of two features."""
    rng = np.random.default_rng(seed)
    held = [
        {"name": "a", "shape": [rows, 1], "datatype": "FP64", "data": rng.normal(size=rows).round(3).tolist()},
        {"name": "data", "shape": [rows], "datatype": "BYTES", "data": rng.choice(["pro", "new"], rows).tolist()},
    ]
    return json.dumps({"id": f"r-{seed}", "model_name": "m", "inputs": held, **more}).encode()


@pytest.mark.parametrize("compiled", [True, False])
def test_a_row_of_tensors_stands_for_as_many_as_its_share_says(compiled: bool) -> None:
    shares = [100.0, 10.0, None, 0.0, 12.5, 200.0]
    body = {"name": "a", "shape": [6, 1], "datatype": "FP64", "data": shares}
    made = decoder(compiled=compiled, fields=SAMPLED)
    raw = json.dumps({"id": "r", "model_name": "m", "inputs": [body]}).encode()
    for _ in range(2):  # at first a template is made
        found = made.decode(records(raw, stamps=[NOON]), NOON)

    assert (found.halves[0].rows["sampled"] / PART).tolist() == [1.0, 10.0, 0.0, 8.0]  # 0: the response may say it
    assert [fact.count for fact in found.facts if isinstance(fact, EventsRejected)] == [2]


def scanned(values: list[bytes], made: TopicDecoder) -> list[int]:
    """The places of the messages that no template reads."""
    (scanner, _) = made.readers
    return list(scanner.read(records(*values, stamps=[NOON] * len(values)), NOON, DecodeCounts()).left)


def test_requests_of_any_number_of_rows_are_read_by_one_template() -> None:
    made = decoder(compiled=True)
    values = [tensors(rows, rows) for rows in (3, 1, 100, 17)]

    assert scanned(values, made) == []
    assert sum(map(len, made.readers[0]._templates)) == 1  # type: ignore[attr-defined]


def test_a_message_of_far_more_rows_than_any_before_is_read() -> None:
    """There is room for as many rows as so many bytes held before, and more where that was too little."""
    made = decoder(compiled=True)
    assert scanned([tensors(1, 1)], made) == []

    many = {"name": "a", "shape": [3000], "datatype": "FP64", "data": [1] * 3000}
    texts = {"name": "data", "shape": [3000], "datatype": "BYTES", "data": [""] * 3000}
    long = json.dumps({"id": "r-2", "model_name": "m", "inputs": [many, texts]}).encode()
    again = long.replace(b"[3000]", b"[3000, 1]", 1)

    assert scanned([again], made) == []


def test_rows_are_given_again_as_they_came() -> None:
    made = decoder(compiled=True)
    values = [tensors(3, 1), b"{", tensors(2, 2)]
    (part,) = made.readers[0].read(records(*values, stamps=[NOON] * 3), NOON, DecodeCounts()).rows
    assert part.reread is not None

    rows = part.reread(np.array([1, 4]), [("id",)])

    assert [row for (row,) in (rows.values(at, [("id",)]) for at in range(2))] == ["r-1#1", "r-2#1"]
    assert part.look(4, [("features", "a")]) == [part.numeric[4, 0]]


def test_one_broken_message_costs_the_others_nothing() -> None:
    made = decoder(compiled=True)
    values = [tensors(20, at) for at in range(50)]
    values[7] = values[7][:-4]

    assert scanned(values, made) == [7]


def test_templates_do_not_grow_without_end_nor_are_they_made_for_ever() -> None:
    made = decoder(compiled=True)
    for at in range(40):
        scanned([tensors(1, at, **{f"x{at}_{each}": 1}) for each in range(10)], made)

    assert max(map(len, made.readers[0]._templates)) <= MOST_TEMPLATES  # type: ignore[attr-defined]
    assert made.readers[0]._patience == 0  # type: ignore[attr-defined]
    assert scanned([tensors(1, 1)] * 3, made) == [0, 1, 2]


def binary(rows: int, seed: int, **more: Any) -> bytes:
    """A request of two features behind its JSON."""
    rng = np.random.default_rng(seed)
    held = [rng.normal(size=rows), rng.integers(-9, 9, rows, dtype=np.int32)]
    named = [
        {"name": name, "shape": [rows, 1], "datatype": kind, "parameters": {"binary_data_size": each.nbytes}}
        for name, kind, each in zip("ab", ["FP64", "INT32"], held, strict=True)
    ]
    head = json.dumps({"id": f"r-{seed}", "model_name": "m", "inputs": named, **more}).encode()
    return head + b"".join(each.tobytes() for each in held)


def test_tensors_behind_the_json_are_read_by_a_template() -> None:
    made = decoder(compiled=True)
    values = [binary(rows, rows) for rows in (3, 1, 100, 17)]

    assert scanned(values, made) == []
    assert sum(map(len, made.readers[0]._templates)) == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize("number", [math.inf, -math.inf])
def test_an_infinite_number_behind_the_json_is_left(number: float) -> None:
    """Who reads one by one counts it."""
    made = decoder(compiled=True)
    assert scanned([binary(2, 1)], made) == []

    assert scanned([binary(2, 1)[:-16] + np.float64(number).tobytes() + binary(2, 1)[-8:]], made) == [0]


def test_space_behind_the_json_is_no_tensor() -> None:
    made = decoder(compiled=True)
    blank = binary(1, 1)[:-12] + b" " * 12

    assert scanned([binary(1, 1), blank], made) == [1]


@pytest.mark.parametrize(
    "odd",
    [
        b'"id":"r","id":null,"inputs":[{"name":"a","shape":[N]',
        b'"id":"r","id":7,"inputs":[{"name":"a","shape":[N]',
        b'"inputs":[{"name":"a","shape":[N],"shape":[]',
        b'"inputs":[{"name":"a","shape":[N],"shape":[1\n]',
    ],
)
def test_of_a_key_that_is_said_twice_the_last_counts_both_ways(odd: bytes) -> None:
    found = []
    for compiled in (True, False):
        made, polls = decoder(compiled=compiled), []
        for rows in (1, 1, 3):
            data = json.dumps([*range(rows)]).encode()
            raw = (
                b'{"model_name":"m",' + odd.replace(b"N", b"%d" % rows) + b',"datatype":"FP64","data":' + data + b"}]}"
            )
            polls.append(made.decode(records(raw, stamps=[NOON]), NOON))
        found.append(told(*polls))

    assert found[0] == found[1]


def test_rows_that_are_claimed_take_no_memory() -> None:
    made = decoder(compiled=True)
    assert scanned([tensors(3, 1)], made) == []

    assert scanned([tensors(3, 1).replace(b"[3, 1]", b"[99999999, 1]")], made) == [0]


@pytest.mark.parametrize(
    "raw",
    [
        b'{"inputs":[{"d\\u0061ta":[0,2]},{"shape":[1],"data":[1]}]}',
        b'{"data":[1,2]}',  # no shape
        b'{"shape":[1],"data":[9007199254740993]}',
        b'{"shape":[1],"data":[1e999]}',
        b'{"shape":[2],"data":[1,"a"]}',
        b'{"shape":[2],"data":[1,[2]]}',
        b'{"shape":[2],"data":[1,2',
        b'{"shape":[2],"data":[1,2]}x',
        b'{"shape":[2],"shape":[2],"data":[1,2]}',
        b'{"shape":[2],"data":[1,2],"data":[1,2]}',
        b'{"id":"a","id":"b","shape":[1],"data":[1]}',
        b'{"id":"a","id":null,"shape":[1],"data":[1]}',  # of two the last counts, and it is none that differs
        b'{"shape":[1],"shape":[],"data":[1]}',
        b'{"shape":[1],"shape":[1\n],"data":[1]}',
        b'{"shape":[1],"datatype":"FP32","parameters":{"binary_data_size":4,"binary_data_size":4\n}}abcd',
        b'{"shape":[1],"datatype":"FP32","parameters":{"binary_data_size":4},"parameters":{"binary_data_size":4\n}}abcd',
        b'{"shape":[1],"datatype":"UINT8","parameters":{"binary_data_size":1}}a',
        b'{"shape":[1],"parameters":{"binary_data_size":4}}abcd',
        b'{"shape":[1],"datatype":"FP32","parameters":{"binary_data_size":4}}abcde',
        b'{"shape":[1],"datatype":"FP32","parameters":{"binary_data_size":4}}abc',
        b'{"shape":[1],"datatype":"FP32","parameters":{"binary_data_size":4},"data":[1]}abcd',
        b'{"datatype":"FP32","parameters":{"binary_data_size":4}}abcd',
        b"[1]",
        b"",
    ],
)
def test_what_is_not_wholly_understood_is_no_template(raw: bytes) -> None:
    assert _columns.learn(raw) is None


def test_what_was_not_aimed_is_not_read() -> None:
    found = _columns.learn(b'{"shape":[1],"data":[1]}')
    assert found is not None
    room = np.empty((1, 1)), np.empty((1, 0), dtype=np.int32), None, None
    whole = np.zeros(1, dtype=np.int32)

    with pytest.raises(ValueError, match="asks for columns that there are not"):
        _columns.scan(
            [[found[0]]],
            [(_columns.codes([]), 1, 1, *room, np.zeros(3, dtype=np.int64), None, None, None)],
            [b"x"],
            [None],
            whole,
            np.zeros(1, dtype=np.int64),
            whole,
            whole,
            0,
            False,
        )


@pytest.mark.timeout(300)
def test_damaged_bodies_do_no_harm_under_the_sanitizers_and_all_widths_agree(tmp_path: Path) -> None:
    seed = random.getrandbits(32)
    print(f"seed {seed}")

    def fuzzed(name: str, *flags: str) -> str:
        program = tmp_path / name
        subprocess.run(["c++", *SANITIZED, *flags, str(FUZZ), "-o", str(program)], check=True, timeout=120)
        done = subprocess.run([program, str(seed), "3000"], capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    lacking = "-D__builtin_cpu_supports(what)=0"  # as on a processor that has none of it

    found = fuzzed("fours"), fuzzed("lacking", lacking), fuzzed("scalar", "-DDRIFTD_SCALAR")

    assert len({*found}) == 1
