"""The reference file: what it says when it cannot be read."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detectors import Reference, ReferenceFormatError, Sketch
from detectors.reference import file as serial

REFERENCE = Reference.fit_chunks(
    lambda: [{"t": np.arange(4) * 10**9, "n": [0.5, 1.0, np.nan, 3.0], "c": ["ä", "b", "b", None]}],
    timestamp="t",
    window_ns=10**9,
)

NUMBER = {
    "name": "n",
    "kind": "numeric",
    "discrete": True,
    "mean": 1.5,
    "std": 1.0,
    "edges": [0.49999999999999994, 1.0, 3.0],
    "counts": [0, 1, 2, 0, 1, 0, 0],
    "bin_means": [0.5, 0.5, 3.0, 3.0],
}
TEXT = {"name": "c", "kind": "categorical", "categories": ["ä", "b"], "counts": [2, 1, 0, 1]}


def content(**changes: Any) -> dict[str, Any]:
    return {**json.loads(json.dumps(REFERENCE.to_dict())), **changes}


def with_feature(position: int, **changes: Any) -> dict[str, Any]:
    damaged = content()
    damaged["features"][position].update(changes)
    return damaged


def without(key: str) -> dict[str, Any]:
    return {name: value for name, value in content().items() if name != key}


def test_a_saved_reference_is_the_same_reference(tmp_path: Path) -> None:
    REFERENCE.save(tmp_path / "reference.json")
    back = Reference.load(tmp_path / "reference.json")

    assert back.to_dict() == REFERENCE.to_dict()
    assert (back.hash, back.rows, back.period, back.rows_per_second) == (REFERENCE.hash, 4, (0, 3 * 10**9), 1.0)


def test_the_file_holds_no_row_and_says_its_format(tmp_path: Path) -> None:
    REFERENCE.save(tmp_path / "reference.json")
    raw = json.loads((tmp_path / "reference.json").read_text())

    assert raw["format"] == "driftd.reference/1"
    assert raw["created_by"].startswith("driftd")
    assert raw["calibration"] is None


def test_the_hash_is_of_the_content_not_of_who_wrote_it() -> None:
    assert Reference.from_dict(content(created_by="someone else")).hash == REFERENCE.hash
    assert Reference.from_dict(content(rows_per_second=2.0)).hash != REFERENCE.hash


def test_the_hash_does_not_change_from_version_to_version() -> None:
    """It is kept in the state: another hash of the same content would empty every window."""
    assert Reference.from_dict(content(features=[NUMBER, TEXT], rows=4)).hash == "8a2d62a38d8e9256"


@pytest.mark.parametrize(
    ("position", "changes"),
    [
        (0, {"name": "m"}),
        (0, {"mean": 1.25}),
        (0, {"discrete": False}),
        (0, {"edges": [0.25, 1.0, 3.0], "bin_means": [0.25000000000000006, 0.5, 3.0, 3.0]}),
        (0, {"bin_means": [0.5, 0.75, 3.0, 3.0]}),
        (0, {"counts": [0, 2, 1, 0, 1, 0, 0]}),
        (1, {"categories": ["b", "a"]}),
        (1, {"counts": [1, 2, 0, 1]}),
    ],
)
def test_every_part_of_the_content_is_in_the_hash(position: int, changes: dict[str, Any]) -> None:
    features = [dict(NUMBER), dict(TEXT)]
    features[position].update(changes)

    assert (
        Reference.from_dict(content(features=features)).hash
        != Reference.from_dict(content(features=[NUMBER, TEXT])).hash
    )


def calibrated() -> Reference:
    """Four days of windows of an hour, 50 rows each."""
    rng = np.random.default_rng(3)
    data = {"x": rng.normal(size=4_800), "plan": rng.choice(["a", "b", "c"], 4_800)}
    return Reference.fit(data, timestamps=np.arange(4_800) * 72 * 10**9, window_ns=3600 * 10**9)


def test_a_calibration_is_saved_and_in_the_hash(tmp_path: Path) -> None:
    reference = calibrated()
    reference.save(tmp_path / "reference.json")
    back = Reference.load(tmp_path / "reference.json")

    assert back.calibration is not None
    assert back.to_dict() == reference.to_dict()
    assert back.hash == reference.hash
    assert replace(back, calibration=None).hash != back.hash


def test_a_reference_without_calibration_is_read_as_before() -> None:
    assert Reference.from_dict(content(calibration=None)).calibration is None
    assert Reference.from_dict(without("calibration")).hash == REFERENCE.hash


def test_why_it_is_cold_is_saved_but_no_part_of_the_hash() -> None:
    assert REFERENCE.calibration is None
    assert REFERENCE.cold == "4 rows with a time, at least 250 are needed"
    assert Reference.from_dict(content()).cold == REFERENCE.cold
    assert Reference.from_dict(content(cold="")).hash == REFERENCE.hash


def test_a_selection_keeps_the_calibration_of_its_features() -> None:
    reference = calibrated()
    chosen = reference.select(["plan"])

    assert chosen.calibration is not None
    assert reference.calibration is not None
    assert chosen.calibration.features == reference.calibration.features[1:]
    assert chosen.calibration.cells.layout is chosen.layout
    assert Reference.from_dict(chosen.to_dict()).hash == chosen.hash


def test_sketches_of_a_saved_reference_fit_the_fitted_one() -> None:
    back = Reference.from_dict(content())

    assert Sketch.empty(back.layout).merge(REFERENCE.sketch).rows == 4
    assert back.compare(REFERENCE.sketch) == REFERENCE.compare(back.sketch)


def test_a_newer_format_says_what_this_version_reads() -> None:
    with pytest.raises(ReferenceFormatError, match=r"has format driftd\.reference/2, .* reads driftd\.reference/1"):
        Reference.from_dict(content(format="driftd.reference/2"))


@pytest.mark.parametrize(
    ("damaged", "message"),
    [
        ([], "the reference is a list, which is no dict"),
        (None, "the reference is None"),
        (content(format="other/1"), "format is 'other/1'; this version reads driftd.reference/1"),
        (content(format=1), "format is 1"),
        (without("format"), "the reference has no format"),
        (without("rows"), "the reference has no rows"),
        (without("features"), "the reference has no features"),
        (content(rows=0), "rows is 0"),
        (content(rows="4"), "rows is '4', which is no integer"),
        (content(rows=True), "rows is True"),
        (content(rows=5), "n: counts do not add up to the 5 rows"),
        (content(rows=2**64), "rows is a huge number"),
        (content(period=[1]), "period is no list of first and last"),
        (content(period=[2, 1]), "period ends at 1, before it begins at 2"),
        (content(period="1"), "period is '1'"),
        (content(rows_per_second=0), "rows_per_second is 0"),
        (content(rows_per_second=float("nan")), "rows_per_second is nan, which is no finite number"),
        (content(calibration=3), "calibration is 3"),
        (content(calibration={}), "calibration is damaged: KeyError .features"),
        (content(cold=3), "cold is 3, which is no str"),
        (content(created_by=None), "created_by is None"),
        (content(features={}), "features is an object"),
        (content(features=[]), "at least one feature"),
        (content(features=[1]), r"features\[0\] is 1"),
        (content(features=[{}]), r"features\[0\] has no kind"),
        (content(features=[{"kind": "x"}]), r"features\[0\].kind is 'x'; valid are numeric, categorical"),
        (with_feature(0, name=7), r"features\[0\].name is 7"),
        (with_feature(0, edges=None), r"features\[0\].edges is None"),
        (with_feature(0, edges=[1, 2]), "n: counts must be 6 numbers, none below zero, for 1 bins"),
        (with_feature(0, edges=[1.0]), "n: edges must be finite, strictly increasing"),
        (with_feature(0, edges=[3, 2, 1]), "n: edges must be finite, strictly increasing"),
        (with_feature(0, edges=[1, float("inf")]), r"features\[0\].edges is inf, which is no finite number"),
        (with_feature(0, edges=[1, "2"]), r"features\[0\].edges is '2'"),
        (with_feature(0, edges=[1, 10**400]), r"features\[0\].edges is a huge number"),
        (with_feature(0, counts=[1.5]), r"features\[0\].counts is 1.5, which is no integer"),
        (with_feature(0, counts=[-1] * 10), "n: counts must be 10 numbers, none below zero"),
        (with_feature(0, bin_means=[0.0]), "n: bin_means must be 7 finite numbers"),
        (with_feature(0, bin_means=[0.5, 0.5, 0.75, 1.0, 2.0, 3.5, 3.0]), "n: each of bin_means must lie in its bin"),
        (with_feature(0, std=-1), "n: std -1.0 must be finite and not below zero"),
        (with_feature(0, mean=4), "n: mean 4.0 must lie between 0.5 and 3.0"),
        (with_feature(0, discrete=1), r"features\[0\].discrete is 1, which is no bool"),
        (with_feature(0, name="c"), "names must be distinct, these are not: c"),
        (with_feature(1, categories=["a", "a"]), "c: categories must be distinct"),
        (with_feature(1, categories=["a", None]), r"features\[1\].categories is None"),
        (with_feature(1, categories=["a"]), "c: counts must be 3 numbers"),
        (with_feature(1, counts=[2**62] * 4), "c: counts do not add up"),
    ],
)
def test_damage_is_named_in_one_line(damaged: Any, message: str) -> None:
    with pytest.raises(ReferenceFormatError, match=message) as raised:
        Reference.from_dict(damaged)

    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "raw",
    [b"", b"\x00\xff\xfe", b"{", b"[" * 100_000, b'{"format": NaN}', b'{"rows": 1e999}', b"1" * 5000, b'"\xff"'],
    ids=["empty", "binary", "cut", "deep", "nan", "infinite", "endless", "encoding"],
)
def test_what_is_no_json_is_named_in_one_line(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "reference.json"
    path.write_bytes(raw)
    with pytest.raises(ReferenceFormatError, match="this is no JSON: ") as raised:
        Reference.load(path)

    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "raw",
    [b"\xef\xbb\xbf{}", '{"ä": 1}'.encode("utf-16"), b'"\\ud800"', b"-0", b"18446744073709551616", b'{"a":1,"a":2}'],
)
def test_what_the_standard_library_reads_is_read(raw: bytes) -> None:
    assert repr(serial.parse(raw)) == repr(json.loads(raw))


def test_whole_numbers_among_the_edges_are_edges() -> None:
    edges = (
        Reference.from_dict(content(features=[{**NUMBER, "edges": [0.49999999999999994, 1, 3]}, TEXT]))
        .layout.numeric[0]
        .edges
    )

    assert edges.tolist() == [0.49999999999999994, 1.0, 3.0]


@pytest.mark.parametrize(
    ("key", "values", "shown"),
    [
        ("edges", [0.5, True], "True"),
        ("counts", [1, True], "True"),
        ("counts", [1.0], "1.0"),
        ("counts", [2**63], "a huge"),
    ],
)
def test_a_wrong_one_among_numbers_is_named(key: str, values: list[Any], shown: str) -> None:
    with pytest.raises(ReferenceFormatError, match=rf"features\[0\]\.{key} is {shown}"):
        Reference.from_dict(with_feature(0, **{key: values}))


def test_a_file_that_is_not_there_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Reference.load(tmp_path / "none.json")
