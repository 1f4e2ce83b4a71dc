"""One value is one value, whatever the file spells: of one table, every file gives the reference of every other."""

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from detectors import CategoricalBaseline, NumericBaseline, Reference
from monitor.cli import main

Output = pytest.CaptureFixture[str]
ROWS = 400
COUNTRIES = ("DE", "NA", "NULL", "None", "nan", None)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def table() -> pa.Table:
    rng = np.random.default_rng(11)
    rates = rng.choice([0.1, 0.2, 0.3, 0.7], ROWS)
    return pa.table(
        {
            "rate": pa.array(np.where(rng.random(ROWS) < 0.05, np.nan, rates), from_pandas=True),
            "amount": pa.array(rng.normal(50, 9, ROWS).round(2)),
            "count": pa.array([None if at % 7 == 0 else at % 60 for at in range(ROWS)], pa.int64()),
            "country": pa.array(rng.choice(np.array(COUNTRIES, dtype=object), ROWS).tolist(), pa.string()),
            "paid": pa.array([None if at % 9 == 0 else at % 2 == 0 for at in range(ROWS)]),
        }
    )


def cast(table: pa.Table, **types: pa.DataType) -> pa.Table:
    return table.cast(
        pa.schema([pa.field(name, types.get(name, table.schema.field(name).type)) for name in table.column_names])
    )


def write_lines(table: pa.Table) -> None:
    Path("t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()))


FILES: dict[str, tuple[str, Callable[[pa.Table], Any]]] = {
    "pyarrow": ("t.parquet", lambda table: pq.write_table(table, "t.parquet")),
    "pyarrow float32": (
        "t.parquet",
        lambda table: pq.write_table(
            cast(table, rate=pa.float32(), amount=pa.float32(), count=pa.float32()), "t.parquet"
        ),
    ),
    "pyarrow large_string": (
        "t.parquet",
        lambda table: pq.write_table(cast(table, country=pa.large_string()), "t.parquet"),
    ),
    "pyarrow string_view": (
        "t.parquet",
        lambda table: pq.write_table(cast(table, country=pa.string_view()), "t.parquet"),
    ),
    "pyarrow dictionary": (
        "t.parquet",
        lambda table: pq.write_table(table.set_column(3, "country", table["country"].dictionary_encode()), "t.parquet"),
    ),
    "pyarrow large_string dictionary": (
        "t.parquet",
        lambda table: pq.write_table(
            table.set_column(3, "country", table["country"].cast(pa.large_string()).dictionary_encode()), "t.parquet"
        ),
    ),
    "pyarrow decimal128": (
        "t.parquet",
        lambda table: pq.write_table(
            cast(table, rate=pa.decimal128(9, 1), amount=pa.decimal128(12, 2), count=pa.decimal128(19, 0)), "t.parquet"
        ),
    ),
    "pyarrow decimal256": (
        "t.parquet",
        lambda table: pq.write_table(cast(table, amount=pa.decimal256(40, 2)), "t.parquet"),
    ),
    "pyarrow uint16": ("t.parquet", lambda table: pq.write_table(cast(table, count=pa.uint16()), "t.parquet")),
    "pyarrow int64 dictionary": (
        "t.parquet",
        lambda table: pq.write_table(table.set_column(2, "count", table["count"].dictionary_encode()), "t.parquet"),
    ),
    "pyarrow in many row groups": (
        "t.parquet",
        lambda table: pq.write_table(table, "t.parquet", row_group_size=7, data_page_version="2.0"),
    ),
    "pyarrow int8": ("t.parquet", lambda table: pq.write_table(cast(table, count=pa.int8()), "t.parquet")),
    "pandas": ("t.parquet", lambda table: table.to_pandas().to_parquet("t.parquet")),
    "pandas float32": (
        "t.parquet",
        lambda table: table.to_pandas().astype({"rate": "f4", "amount": "f4", "count": "f4"}).to_parquet("t.parquet"),
    ),
    "pandas nullable": ("t.parquet", lambda table: table.to_pandas().convert_dtypes().to_parquet("t.parquet")),
    "pandas arrow types": (
        "t.parquet",
        lambda table: table.to_pandas(types_mapper=pd.ArrowDtype).to_parquet("t.parquet"),
    ),
    "pandas category": (
        "t.parquet",
        lambda table: table.to_pandas().astype({"country": "category"}).to_parquet("t.parquet"),
    ),
    "pandas shuffled index": (
        "t.parquet",
        lambda table: table.to_pandas().set_index(np.arange(ROWS)[::-1]).to_parquet("t.parquet"),
    ),
    "polars": ("t.parquet", lambda table: pl.DataFrame(table).write_parquet("t.parquet")),
    "polars float32": (
        "t.parquet",
        lambda table: (
            pl.DataFrame(table).with_columns(pl.col("rate", "amount").cast(pl.Float32)).write_parquet("t.parquet")
        ),
    ),
    "polars categorical": (
        "t.parquet",
        lambda table: (
            pl.DataFrame(table).with_columns(pl.col("country").cast(pl.Categorical)).write_parquet("t.parquet")
        ),
    ),
    "polars enum": (
        "t.parquet",
        lambda table: (
            pl.DataFrame(table)
            .with_columns(pl.col("country").cast(pl.Enum(["DE", "NA", "NULL", "None", "nan"])))
            .write_parquet("t.parquet")
        ),
    ),
    "polars by pyarrow": (
        "t.parquet",
        lambda table: pl.DataFrame(table).write_parquet("t.parquet", use_pyarrow=True),
    ),
    "CSV of pandas": ("t.csv", lambda table: table.to_pandas().to_csv("t.csv")),
    "CSV of pandas float32": (
        "t.csv",
        lambda table: table.to_pandas().astype({"rate": "f4", "amount": "f4"}).to_csv("t.csv", index=False),
    ),
    "CSV of polars": ("t.csv", lambda table: pl.DataFrame(table).write_csv("t.csv")),
    "CSV of pyarrow": ("t.csv", lambda table: pyarrow.csv.write_csv(table, "t.csv")),
    "lines": ("t.jsonl", write_lines),
    "lines of pandas": ("t.jsonl", lambda table: table.to_pandas().to_json("t.jsonl", orient="records", lines=True)),
    "lines of polars": ("t.jsonl", lambda table: pl.DataFrame(table).write_ndjson("t.jsonl")),
}


def fit(*inputs: str, options: tuple[str, ...] = ()) -> Reference:
    assert main(["reference", "fit", "--input", *inputs, "--output", "out.json", *options]) == 0
    return Reference.load("out.json")


def fit_text(text: str, *options: str, name: str = "t.csv") -> Reference:
    Path(name).write_text(text)
    return fit(name, options=options)


def refused(output: Output, *arguments: str) -> str:
    assert main(["reference", "fit", "--output", "out.json", *arguments]) == 2
    (line,) = output.readouterr().err.splitlines()
    return line.removeprefix("driftd: ")


def test_a_table_is_one_reference_whatever_wrote_it(table: pa.Table) -> None:
    hashes = {}
    for what, (name, write) in FILES.items():
        write(table)
        hashes[what] = fit(name).hash

    assert len(set(hashes.values())) == 1, hashes


@pytest.mark.parametrize(
    "kind", [pa.decimal128(9, 2), pa.decimal128(38, 2), pa.decimal256(70, 50), pa.decimal128(20, 0)]
)
def test_a_decimal_is_the_double_of_its_digits(kind: pa.DataType) -> None:
    places = min(kind.scale, 2)
    values = [Decimal(at).scaleb(-places) for at in (*range(-500, 5000, 7), 35, 70)]
    pq.write_table(pa.table({"x": pa.array([*values, None], kind)}), "t.parquet")
    Path("t.csv").write_text("x,y\n" + "".join(f"{value},\n" for value in values) + ",\n")

    assert fit("t.parquet", options=("--columns", "x")).hash == fit("t.csv", options=("--columns", "x")).hash


# --- texts ------------------------------------------------------------------------------------------------------------


def categories(reference: Reference, name: str) -> dict[str, int]:
    feature = reference.features[name]
    assert isinstance(feature, CategoricalBaseline)
    return dict(zip([*feature.categories, "missing"], [*feature.counts[:-2].tolist(), feature.missing], strict=True))


def test_words_are_values_among_texts_and_missing_among_numbers() -> None:
    reference = fit_text('country,x\nNA,1\nDE,NA\n,nan\n"",4\nNA,None\n')

    assert categories(reference, "country") == {"NA": 2, "": 1, "DE": 1, "missing": 1}
    assert (reference.features["x"].kind, reference.features["x"].count) == ("numeric", 2)


@pytest.mark.parametrize(
    ("name", "text"), [("t.csv", "k,x\n1.0,1\n2.0,1\n"), ("t.jsonl", '{"k":1.0,"x":1}\n{"k":2,"x":1}\n')]
)
def test_whole_numbers_are_whole_as_categories(name: str, text: str) -> None:
    assert categories(fit_text(text, "--kind", "k=categorical", name=name), "k") == {"1": 1, "2": 1, "missing": 0}


def test_a_version_with_a_nought_at_its_end_is_not_a_number() -> None:
    assert set(categories(fit_text("k,x\n1.10,1\n1.1,1\n", "--kind", "k=categorical"), "k")) == {
        "1.10",
        "1.1",
        "missing",
    }


def test_a_code_keeps_its_zero(capsys: Output) -> None:
    reference = fit_text("zip,x\n01000,1\n75001,2\n01000,0.5\n")

    assert categories(reference, "zip") == {"01000": 2, "75001": 1, "missing": 0}
    assert "--kind zip=numeric reads numbers" in capsys.readouterr().err


def test_numbers_that_begin_with_a_nought_stay_numbers() -> None:
    assert fit_text("x\n0\n0.5\n-0.25\n0\n").features["x"].kind == "numeric"


def test_truth_is_one_whatever_spells_it() -> None:
    texts = {"a.csv": "f,x\nTrue,1\nFALSE,2\n", "a.jsonl": '{"f":true,"x":1}\n{"f":false,"x":2}\n'}

    for kind in ("numeric", "categorical"):
        assert len({fit_text(text, "--kind", f"f={kind}", name=name).hash for name, text in texts.items()}) == 1


# --- what is said -----------------------------------------------------------------------------------------------------


def test_whole_numbers_named_as_codes_are_asked_about(capsys: Output) -> None:
    fit_text("store_type,age\n" + "".join(f"{at % 4},{at}\n" for at in range(90)))

    assert "store_type holds 4 whole numbers" in (said := capsys.readouterr().err)
    assert "--kind store_type=categorical" in said
    assert "age" not in said


def test_a_kind_is_given_to_many_by_a_glob(capsys: Output) -> None:
    text = "id_a,a,b,ts\n1,1,1,2025-01-01\n2,2,2,2025-01-02\n"
    reference = fit_text(text, "--kind", "*=categorical", "b=numeric", "--timestamp", "ts")

    assert {name: feature.kind for name, feature in reference.features.items()} == {
        "b": "numeric",
        "id_a": "categorical",
        "a": "categorical",
    }
    assert refused(capsys, "--input", "t.csv", "--kind", "z*=numeric").startswith("--kind z*=numeric: no column")


def test_a_column_of_numbers_with_one_text_is_named(capsys: Output) -> None:
    text = "x\n" + "".join(f"{at}.5\n" for at in range(999)) + "?\n"
    fit_text(text)
    assert (
        "driftd: x is text: 99.9 % of it are numbers, but not '?'; --kind x=numeric reads it as numbers, the rest missing"
        in capsys.readouterr().err
    )

    feature = fit_text(text, "--kind", "x=numeric").features["x"]
    assert (feature.count, feature.missing) == (999, 1)


def test_separators_of_thousands_are_named_and_read(capsys: Output) -> None:
    text = 'x\n"1,234.5"\n7\n'
    fit_text(text)
    assert "thousands separators, such as '1,234.5'" in capsys.readouterr().err

    feature = fit_text(text, "--kind", "x=numeric").features["x"]
    assert isinstance(feature, NumericBaseline)
    assert (feature.min, feature.max) == (7, 1234.5)


def test_another_separator_and_decimal_commas_are_named_and_read(capsys: Output) -> None:
    Path("t.csv").write_text("x;y\n1,5;a\n2,25;b\n")
    assert "--delimiter ';' reads it" in refused(capsys, "--input", "t.csv")
    fit("t.csv", options=("--delimiter", ";"))
    assert "--decimal , reads them" in capsys.readouterr().err

    feature = fit("t.csv", options=("--delimiter", ";", "--decimal", ",")).features["x"]
    assert isinstance(feature, NumericBaseline)
    assert (feature.min, feature.max) == (1.5, 2.25)


def test_the_space_after_every_comma_is_none_of_the_value() -> None:
    """The census data of the UCI archive are written so."""
    plain = "age,work,pay\n39,State-gov,1\n50,,2\n38,?,3\n"

    assert fit_text(plain.replace(",", ", ")).hash == fit_text(plain).hash
    assert fit_text(plain.replace(",", ", ").replace("age, work, pay", "age,work,pay")).hash == fit_text(plain).hash
    assert set(categories(fit_text("a,b\nx, y\nx,z\n"), "b")) == {" y", "z", "missing"}


# --- columns that are none ----------------------------------------------------------------------------------------------


def test_an_empty_first_line_is_no_header() -> None:
    assert fit_text("\ufeff\n\na,b\n1,x\n").names == ("a", "b")


def test_what_pandas_makes_of_its_index_is_no_feature(capsys: Output) -> None:
    frame = pd.DataFrame({"x": [1.0, 2.0, 3.0]}, index=[5, 6, 9])
    frame.to_parquet("t.parquet")
    frame.to_csv("t.csv")
    frame.rename_axis("row_key").to_parquet("k.parquet")

    for name in ("t.parquet", "t.csv", "k.parquet"):
        assert fit(name).names == ("x",)
        assert "driftd: left out " in capsys.readouterr().err
    assert fit("k.parquet", options=("--columns", "x,row_key")).names == ("x", "row_key")


def test_constants_and_targets_are_said_and_can_be_left_out(capsys: Output) -> None:
    text = "x,target,only\n1,0,7\n2,1,7\n3,0,7\n"
    fit_text(text)
    said = capsys.readouterr().err
    assert "--exclude target leaves it out" in said
    assert "only holds nothing but 7" in said

    assert fit_text(text, "--exclude", "target", "on*").names == ("x",)
    assert refused(capsys, "--input", "t.csv", "--exclude", "tarket").startswith("--exclude tarket: is no FROM..TO")


@pytest.mark.parametrize("name", ["__volume__", "__prediction__", "__timestamps__"])
def test_names_of_our_own_are_refused(capsys: Output, name: str) -> None:
    Path("t.csv").write_text(f"x,{name}\n1,2\n")

    assert f"a feature cannot be called {name}" in refused(capsys, "--input", "t.csv")
    assert fit("t.csv", options=("--exclude", name)).names == ("x",)


# --- several files --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
def test_a_column_that_changes_is_one_kind_in_any_order(capsys: Output, order: tuple[str, str]) -> None:
    pq.write_table(pa.table({"x": [1.0, 2.0], "y": [1, 2]}), "a.parquet")
    pq.write_table(pa.table({"x": ["1", "b"], "y": [3, 4]}), "b.parquet")

    reference = fit(*(f"{name}.parquet" for name in order))

    assert categories(reference, "x") == {"1": 2, "2": 1, "b": 1, "missing": 0}
    assert "x holds numbers in a.parquet and text in b.parquet: categorical" in capsys.readouterr().err


def test_a_column_that_changes_within_a_file_is_one_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitor.sources.tables.lines.CHUNK", 2)
    lines = ['{"x": 1}', '{"x": 2.0}', '{"x": "?"}', '{"x": NaN}']

    assert categories(fit_text("\n".join(lines), name="t.jsonl"), "x") == {"1": 1, "2": 1, "?": 1, "missing": 1}


MAPPED = """
topics: [{name: t, fields: {timestamp: ts, model: {const: m}, features: ""}}]
models: [{name: m, reference: mapped.json}]
"""
TRUTH_FIRST = [True, False, True, 2.5, 1, None]


def mapped(*inputs: str) -> Reference:
    Path("driftd.yaml").write_text(MAPPED)
    assert main(["reference", "fit", "--config", "driftd.yaml", "--input", *inputs]) == 0
    return Reference.load("mapped.json")


@pytest.mark.parametrize("values", [TRUTH_FIRST, TRUTH_FIRST[::-1], [True, 1, False, 0, 1, 1]])
def test_truth_beside_numbers_is_numbers_in_every_file_and_with_a_mapping(capsys: Output, values: list[Any]) -> None:
    """One column of one table: the kind that a fit takes is the one that the daemon's mapping takes, and `init` by it."""
    rows = [{"ts": 1_763_899_200_000 + at, "x": values[at % 6]} for at in range(60)]
    Path("t.jsonl").write_text("\n".join(map(json.dumps, rows)))
    pd.DataFrame(rows).astype({"x": object}).to_csv("t.csv", index=False)

    found = {}
    for name in ("t.jsonl", "t.csv"):
        found[name] = fit(name, options=("--timestamp", "ts")).hash
        found[f"{name}, mapped"] = mapped(name).hash
        assert mapped(name).features["x"].kind == "numeric"
    assert "x holds booleans in t.csv and numbers in t.csv: numeric" in capsys.readouterr().err
    assert len(set(found.values())) == 1, found


@pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_truth_in_one_file_and_numbers_in_another_are_numbers_with_a_mapping_too(
    form: str, order: tuple[str, str]
) -> None:
    for name, values in (("a", [True, False]), ("b", [1.0, 2.5])):
        table = pa.table({"ts": [1_763_899_200_000 + at for at in range(60)], "x": values * 30})
        pq.write_table(table, f"{name}.parquet") if form == "parquet" else pyarrow.csv.write_csv(table, f"{name}.csv")
    files = [f"{name}.{form}" for name in order]

    assert mapped(*files).hash == fit(*files, options=("--timestamp", "ts")).hash
    assert mapped(*files).features["x"].kind == "numeric"


# --- precision ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("held", ["f2", "f4", "f8"])
@pytest.mark.parametrize("sent", ["f4", "f8"])
@pytest.mark.parametrize("values", [(0.1, 0.3), (0.1, 0.2, 0.3, 0.7, 12.99)])
def test_a_value_is_the_same_in_every_precision(held: str, sent: str, values: tuple[float, ...]) -> None:
    rows = np.resize(np.array(values), 600)
    reference = Reference.fit({"rate": rows.astype(held)})

    scores = reference.compare({"rate": rows.astype(sent).astype("f8")})

    assert {score.detector: score.value for score in scores if score.feature == "rate"} == {
        "chi2": 0, "ks": 0, "missing": 0, "psi": 0, "unseen": 0
    }  # fmt: skip


def test_halves_widened_are_those_of_the_reference() -> None:
    rows = np.resize(np.array([0.1, 0.3], dtype="f2"), 100)

    assert Reference.fit({"rate": rows}).compare({"rate": rows.astype("f8")})["rate", "unseen"].value == 0


def test_a_third_is_a_third_in_singles() -> None:
    rows = np.resize([1 / 3, 2 / 3], 100)

    assert Reference.fit({"x": rows}).compare({"x": rows.astype("f4")})["x", "unseen"].value == 0


def test_whole_numbers_are_told_apart_beyond_what_a_single_holds() -> None:
    reference = Reference.fit({"x": [1_700_000_001, 1_700_000_003] * 10})

    assert reference.compare({"x": [1_700_000_002] * 20})["x", "ks"].value == 0.5


def test_singles_as_categories_are_as_they_are_written() -> None:
    reference = Reference.fit({"x": np.array([0.1, 2], dtype="f4")}, kinds={"x": "categorical"})

    assert set(categories(reference, "x")) == {"0.1", "2", "missing"}


# --- texts where numbers could have been ----------------------------------------------------------------------------------

TEXTS_AS: dict[str, Callable[[list[str]], str]] = {
    "t.csv": lambda texts: "x\n" + "\n".join(texts),
    "t.jsonl": lambda texts: "\n".join(json.dumps({"x": text}) for text in texts),
}


def write_texts(texts: list[str], form: str) -> str:
    if form in TEXTS_AS:
        Path(form).write_text(TEXTS_AS[form](texts))
        return form
    column = pa.array(texts)
    pq.write_table(pa.table({"x": column.dictionary_encode() if form == "dictionary" else column}), "t.parquet")
    return "t.parquet"


@pytest.mark.parametrize("form", ["t.csv", "t.jsonl", "string", "dictionary"])
def test_a_text_among_numbers_is_named_in_every_format(capsys: Output, form: str) -> None:
    name = write_texts([*(f"{at}.5" for at in range(999)), "?"], form)
    fit(name)
    assert "x is text: 99.9 % of it are numbers, but not '?'; --kind x=numeric" in capsys.readouterr().err

    feature = fit(name, options=("--kind", "x=numeric")).features["x"]
    assert (feature.count, feature.missing) == (999, 1)


@pytest.mark.parametrize("form", ["t.jsonl", "string", "dictionary"])
def test_numbers_in_quotes_are_named(capsys: Output, form: str) -> None:
    name = write_texts([f"{at}.5" for at in range(99)], form)
    fit(name)
    assert "x is text, all of it numbers: categorical; --kind x=numeric reads it" in capsys.readouterr().err

    assert fit(name, options=("--kind", "x=numeric")).features["x"].count == 99


def test_one_text_among_numbers_of_a_line_is_named_with_its_share(capsys: Output) -> None:
    Path("t.jsonl").write_text("\n".join(['{"x": 1.5}'] * 999 + ['{"x": "?"}']))
    fit("t.jsonl")
    (line,) = (line for line in capsys.readouterr().err.splitlines() if " x " in line and "text" in line)
    assert "99.9 % of it are numbers, but not '?'" in line

    assert fit("t.jsonl", options=("--kind", "x=numeric")).features["x"].count == 999


# --- the same options wherever a table is read ------------------------------------------------------------------------------


def test_a_table_of_another_dialect_is_read_by_every_command(capsys: Output) -> None:
    rows = [(f"2025-01-01T00:{at // 60:02}:{at % 60:02}Z", at / 4, "ab"[at % 2]) for at in range(600)]
    Path("plain.csv").write_text("ts,price,kind\n" + "".join(f"{ts},{price},{kind}\n" for ts, price, kind in rows))
    other = "".join(f"{ts};{price};{kind}\n" for ts, price, kind in rows).replace(".", ",")
    Path("other.csv").write_text("ts;price;kind\n" + other)
    dialect = ["--delimiter", ";", "--decimal", ","]

    assert main(["init", "other.csv"]) == 2
    assert "--delimiter ';' reads it" in capsys.readouterr().err
    assert main(["init", "other.csv", *dialect]) == 0
    learnt = Reference.load("other.json").hash
    assert main(["reference", "fit", "--config", "driftd.yaml", "--input", "plain.csv"]) == 0
    assert Reference.load("other.json").hash == learnt
    found = []
    for arguments in (["--input", "plain.csv"], ["--input", "other.csv", *dialect]):
        assert main(["backtest", *arguments, "--json", "found.json"]) == 0
        found.append(json.loads(Path("found.json").read_text()))
    assert [each | {"hints": []} for each in found[:1]] == [each | {"hints": []} for each in found[1:]]
    assert found[0]["fields_rejected"].keys() <= {"missing"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1,5", "price holds numbers with decimal commas, such as '1,5', taken as text; "),
        ("0,125", "price holds numbers with decimal commas, such as '0,125', taken as text; "),
        ("1.234,25", "price holds numbers with decimal commas, such as '1.234,25', taken as text; "),
        ("1,234.5", "price holds numbers with thousands separators, such as '1,234.5', taken as text; "),
        ("a,5", None),
    ],
)
@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_numbers_that_only_people_read_are_named_by_init_and_a_fit_of_events(
    capsys: Output, form: str, text: str, said: str | None
) -> None:
    rows = [
        {"ts": f"2025-01-01T00:{at // 60:02}:{at % 60:02}Z", "price": text if at % 3 else "7", "n": at}
        for at in range(600)
    ]
    if form == "csv":
        Path("e.csv").write_text("ts;price;n\n" + "".join(f"{row['ts']};{row['price']};{row['n']}\n" for row in rows))
    elif form == "jsonl":
        Path("e.jsonl").write_text("\n".join(map(json.dumps, rows)))
    else:
        pq.write_table(pa.Table.from_pylist(rows), "e.parquet")
    delimiter = ["--delimiter", ";"] if form == "csv" else []
    for command in (["init", f"e.{form}"], ["reference", "fit", "--config", "driftd.yaml", "--input", f"e.{form}"]):
        assert main([*command, *delimiter]) == 0
        told = capsys.readouterr().err
        assert (said in told) if said is not None else "price holds" not in told
        if said is not None and form == "csv":
            assert ("--decimal , reads them" if "commas" in said else "--kind price=numeric reads them") in told


def test_a_forgotten_decimal_comma_is_named_by_a_backtest(capsys: Output) -> None:
    """An eighth, 0,125, is no 125 either."""
    rows = [(f"2025-01-01T00:{at // 60:02}:{at % 60:02}Z", at % 8 / 8) for at in range(600)]
    text = "ts;price\n" + "".join(f"{ts};{price}\n" for ts, price in rows)
    Path("e.csv").write_text(text.replace(".", ","))
    dialect = ["--delimiter", ";", "--decimal", ","]
    assert main(["init", "e.csv", *dialect]) == 0
    capsys.readouterr()

    assert main(["backtest", "--input", "e.csv", "--delimiter", ";", "--json", "found.json"]) == 0
    told = capsys.readouterr().err
    assert json.loads(Path("found.json").read_text())["fields_rejected"] == {"number_as_text": 600}
    assert "e.csv: price holds numbers with decimal commas, such as '0,0': missing; --decimal , reads them" in told
    assert main(["backtest", "--input", "e.csv", *dialect]) == 0
    assert "decimal" not in capsys.readouterr().err
