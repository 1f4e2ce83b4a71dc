"""`driftd contract`: a reference's own rows keep it in every file; what breaks it ends with 1, a mistake in one line with 2."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
import yaml

from monitor.cli import main
from tests.charted import seeded

Output = pytest.CaptureFixture[str]
NOON_MS = 1_763_899_200_000
ROWS = 900
HEAD = "format: driftd.contract/1\n"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def table() -> pa.Table:
    rng = seeded()
    cities = [None if at % 11 == 0 else f"city {at % 300}" for at in range(ROWS)]
    return pa.table(
        {
            "age": pa.array([None if at % 50 == 0 else int(age) for at, age in enumerate(rng.integers(18, 90, ROWS))]),
            "rate": rng.choice([0.1, 0.25, 0.7], ROWS),
            "amount": rng.lognormal(3, 1, ROWS).round(2),
            "plan": rng.choice(["free", "pro", "NA"], ROWS),
            "city": pa.array(cities, pa.string()),
            "member": pa.array([None if at % 9 == 0 else at % 2 == 0 for at in range(ROWS)]),
            "zone": rng.choice(["1", "2", "30"], ROWS),
        }
    )


def write_csv(rows: pa.Table, path: str) -> None:
    pa.csv.write_csv(rows, path)


def write_lines(rows: pa.Table, path: str) -> None:
    Path(path).write_text("".join(json.dumps(row) + "\n" for row in rows.to_pylist()))


WRITE: dict[str, Callable[[pa.Table, str], Any]] = {"csv": write_csv, "jsonl": write_lines, "parquet": pq.write_table}


def contract(text: str, name: str = "c.yaml") -> str:
    Path(name).write_text(HEAD + text)
    return name


def check(*words: object) -> int:
    return main(["contract", "check", *map(str, words)])


def infer(*words: object) -> int:
    return main(["contract", "infer", *map(str, words)])


def document(output: Output) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(output.readouterr().out)
    return found


def refused(output: Output, code: int) -> str:
    assert code == 2
    said = output.readouterr()
    assert said.out == ""
    (line,) = said.err.splitlines()
    return line.removeprefix("driftd: ")


# --- infer --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", WRITE)
def test_the_rows_of_a_reference_keep_its_contract_in_every_kind_of_file(form: str, capsys: Output) -> None:
    WRITE[form](table(), f"t.{form}")
    assert main(["reference", "fit", "--input", f"t.{form}", "--output", "r.json", "--kind", "zone=categorical"]) == 0
    assert infer("r.json") == 0
    capsys.readouterr()

    assert check("r.contract.yaml", f"t.{form}") == 0
    assert capsys.readouterr().out == f"r.contract.yaml version 1: kept by t.{form}, 900 rows\n"


def test_what_is_written_is_what_the_reference_tells(capsys: Output) -> None:
    pq.write_table(table(), "t.parquet")
    main(["reference", "fit", "--input", "t.parquet", "--output", "r.json"])
    assert infer("r.json", "--output", "c.yaml") == 0
    assert "c.yaml: 7 columns, from r.json, 900 rows" in capsys.readouterr().out

    columns = yaml.safe_load(Path("c.yaml").read_text())["columns"]
    assert columns["age"] == {"type": "integer", "max_missing": 0.04, "min": 18, "max": 89}
    assert columns["rate"] == {"type": "number", "required": True, "min": 0.1, "max": 0.7}
    assert sorted(columns["plan"].pop("values")) == ["NA", "free", "pro"]
    assert columns["plan"] == {"type": "text", "required": True}
    assert "values" not in columns["city"]
    assert columns["member"] == {"type": "boolean", "max_missing": 0.223}
    assert sorted(columns["zone"].pop("values")) == ["1", "2", "30"]
    assert columns["zone"] == {"required": True}


def test_a_file_is_never_written_over_but_where_that_is_said(capsys: Output) -> None:
    pq.write_table(table(), "t.parquet")
    main(["reference", "fit", "--input", "t.parquet", "--output", "x.reference.json"])
    capsys.readouterr()
    assert infer("x.reference.json") == 0
    Path("x.contract.yaml").write_text("mine")
    capsys.readouterr()

    said = refused(capsys, infer("x.reference.json"))
    assert said == "x.contract.yaml: is there already; name another by --output, or say --overwrite"
    assert Path("x.contract.yaml").read_text() == "mine"
    assert infer("x.reference.json", "--overwrite") == 0
    assert Path("x.contract.yaml").read_text().startswith("# A data contract")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nothing.json",), "nothing.json: cannot be read: No such file or directory"),
        (("r.json", "--slack", "-1"), "--slack -1.0 must be a share of a range, such as 0.1"),
        (("r.json", "--model", "churn"), "--model: the reference is named already, r.json"),
        (("r.json", "--output", "no/c.yaml"), "--output no/c.yaml: cannot be written: there is no directory no"),
        ((), "no configuration: there is no ./driftd.yaml; name one by --config or DRIFTD_CONFIG"),
    ],
)
def test_what_cannot_be_inferred_is_one_line(words: tuple[str, ...], said: str, capsys: Output) -> None:
    pq.write_table(table(), "t.parquet")
    main(["reference", "fit", "--input", "t.parquet", "--output", "r.json"])
    capsys.readouterr()

    assert refused(capsys, infer(*words)) == said


# --- check --------------------------------------------------------------------------------------------------------------

AGREED = """
version: 3
columns:
  id: {required: true, unique: true, matches: 'a[0-9]+'}
  age: {type: integer, max_missing: 0.2, min: 18, max: 90}
  plan: {values: [free, pro, 1]}
  start: {type: time, monotone: true}
  end: {type: time}
comparisons: [end >= start]
"""


def days() -> pa.Table:
    """Of five rows each breaks something of AGREED."""
    return pa.table(
        {
            "id": ["a1", "a2", "a2", "b4", "a5"],
            "age": pa.array([17, 20, None, 91, None], pa.int64()),
            "plan": ["free", "1", "gold", "pro", "free"],
            "start": [
                "2026-01-01T00:00:00Z",
                "2026-01-02T00:00:00Z",
                "2026-01-01T12:00:00Z",
                "2026-01-03",
                "2026-01-04",
            ],
            "end": ["2026-01-02", "2026-01-01", "2026-01-02", "2026-01-03", "2026-01-05"],
        }
    )


@pytest.mark.parametrize("form", WRITE)
def test_each_rule_says_the_same_of_every_kind_of_file(form: str, capsys: Output) -> None:
    WRITE[form](days(), f"d.{form}")

    assert check(contract(AGREED), f"d.{form}", "--json") == 1
    found = document(capsys)
    assert (found["kept"], found["rows"], found["version"]) == (False, 5, "3")
    assert {
        f"{each['column']}.{each['rule']}": (each["count"], each["samples"][0]["row"], each["samples"][0]["value"])
        for each in found["violations"]
    } == {
        "id.matches": (1, 4, "'b4'"),
        "id.unique": (1, 3, "'a2'"),
        "age.max_missing": (2, 3, "nothing"),
        "age.min": (1, 1, "17"),
        "age.max": (1, 4, "91"),
        "plan.values": (1, 3, "'gold'"),
        "start.monotone": (1, 3, "'2026-01-01T12:00:00Z'"),
        "end.end >= start": (1, 2, "'2026-01-01' beside '2026-01-02T00:00:00Z'"),
    }
    assert found["violations"][0]["share"] == 0.2
    assert found["schema"] == []


def test_people_read_verdict_schema_and_values_apart(capsys: Output) -> None:
    write_lines(days().drop_columns(["end"]).append_column("extra", [["x"] * 5]), "d.jsonl")
    text = "columns:\n  end: {required: true}\n  age: {type: text}\n  plan: {values: [free, pro]}\n"

    assert check(contract(text), "d.jsonl") == 1
    assert capsys.readouterr().out == (
        "c.yaml: broken by d.jsonl, 5 rows\n"
        "schema:\n"
        "  end is gone\n"
        "  age is of a new type: numbers, such as 17 in row 1; the contract says text\n"
        "values:\n"
        "  plan: values: 2 of 5 rows, 40 %: '1' in row 2, 'gold' in row 3\n"
        "new columns, which the contract allows: id, start, extra\n"
    )


def test_what_is_no_number_among_numbers_of_a_csv_is_seen(capsys: Output) -> None:
    Path("d.csv").write_text('age,flag\n17,yes\nold,TRUE\nNA,0\n"1,200",\n')
    text = "columns: {age: {type: integer}, flag: {type: boolean}}\n"

    assert check(contract(text), "d.csv", "--json") == 1
    found = [(each["column"], each["rule"], each["samples"]) for each in document(capsys)["violations"]]
    assert found == [
        ("age", "type", [{"file": "d.csv", "row": 2, "value": "'old'"}]),
        ("flag", "type", [{"file": "d.csv", "row": 1, "value": "'yes'"}]),
    ]


def test_no_name_and_no_value_ends_a_line_or_cannot_be_written(capsys: Output) -> None:
    Path("d.jsonl").write_text('{"a": "x\\ny\\ud800", "new\\nname": 1, "\\ud800": 2}\n')
    path = contract("columns: {a: {values: [b]}}\n")

    assert check(path, "d.jsonl") == 1
    assert capsys.readouterr().out == (
        "c.yaml: broken by d.jsonl, 1 rows\n"
        "values:\n"
        "  a: values: 1 of 1 rows, 100 %: 'x\\ny\\ud800' in row 1\n"
        "new columns, which the contract allows: new?name, ?\n"
    )
    assert check(path, "d.jsonl", "--json") == 1
    names = [each["column"] for each in document(capsys)["schema"]]
    assert names == ["new\nname", "\ud800"]


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (pa.list_(pa.int64()), [[1], None]),
        (pa.binary(), [b"x", None]),
        (pa.date32(), [18_000, None]),
        (pa.time64("us"), [1, None]),
        (pa.duration("s"), [1, None]),
    ],
)
def test_columns_of_strange_types_are_of_a_new_type(kind: pa.DataType, values: list[Any], capsys: Output) -> None:
    pq.write_table(pa.table({"a": pa.array(values, kind), "b": [1, 2]}), "d.parquet")

    assert check(contract("columns: {a: {}, b: {}}\n"), "d.parquet") == 0
    for type_ in ("number", "integer", "boolean", "text", *(["time"] if kind != pa.date32() else [])):
        assert check(contract(f"columns: {{a: {{type: {type_}}}, b: {{}}}}\n"), "d.parquet") == 1
        assert "a is of a new type: " in capsys.readouterr().out


def test_decimals_dictionaries_and_structs_of_parquet_are_read() -> None:
    table = pa.table(
        {
            "price": pa.array(["0.35", "1.20"], pa.string()).cast(pa.decimal128(9, 2)),
            "plan": pa.array(["free", "pro"]).dictionary_encode(),
            "who": [{"age": 20}, {"age": 30}],
        }
    )
    pq.write_table(table, "d.parquet")
    text = (
        "columns: {price: {type: number, max: 1.2}, plan: {values: [free, pro]}, who.age: {type: integer, min: 20}}\n"
    )

    assert check(contract("new_columns: refused\n" + text), "d.parquet") == 0


def test_several_files_are_one_and_samples_name_theirs(capsys: Output) -> None:
    Path("a.csv").write_text("id\nx\ny\n")
    Path("b.csv").write_text("id,more\nz,1\nx,1\n")

    assert check(contract("columns: {id: {unique: true}}\n"), "a.csv", "b.csv") == 1
    assert "id: unique: 1 of 4 rows, 25 %: 'x' in row 2 of b.csv\n" in capsys.readouterr().out


def test_the_prediction_may_have_a_name_of_its_own(capsys: Output) -> None:
    Path("d.csv").write_text("age,score\n20,0.5\n30,1.5\n")
    path = contract("new_columns: refused\ncolumns: {age: {}, __prediction__: {type: number, max: 1}}\n")

    assert check(path, "d.csv", "--prediction", "score", "--json") == 1
    found = document(capsys)
    assert [(each["column"], each["rule"]) for each in found["violations"]] == [("__prediction__", "max")]
    assert found["schema"] == []


def test_a_dialect_is_read(capsys: Output) -> None:
    Path("d.csv").write_text("rate;age\n0,5;20\n1,5;30\n")

    assert (
        check(contract("columns: {rate: {type: number, max: 1}}\n"), "d.csv", "--delimiter", ";", "--decimal", ",") == 1
    )
    assert "rate: max: 1 of 2 rows, 50 %: 1.5 in row 2" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "words", "said"),
    [
        ("columns: {a: {tipe: text}}\n", ["d.csv"], "c.yaml: columns.a.tipe is no key; did you mean type?"),
        ("columns: {a: {}, a: {}}\n", ["d.csv"], "c.yaml: is no YAML: line 2, column 18: the key a is there twice"),
        ("columns: {a: [\n", ["d.csv"], "c.yaml: is no YAML: line 3, column 1: expected the node content"),
        ("columns: {a: {}}\n", ["twice.csv"], "twice.csv: has two columns called a"),
        ("columns: {a: {}}\n", ["no.csv"], "no.csv: does not exist"),
        (
            "columns: {a: {}}\n",
            ["d.xlsx"],
            "d.xlsx: .xlsx is no format known here; .csv, .jsonl, .parquet, .arrow and .avro are",
        ),
        ("columns: {a: {}}\n", ["empty.csv"], "empty.csv: holds no rows"),
        (
            "columns: {a: {}}\n",
            ["d.csv", "--model", "m"],
            "--model needs --config: the configuration says how events are read",
        ),
        (
            "columns: {a: {}}\n",
            ["d.csv", "--prediction", "b"],
            "--prediction b: the contract has no column __prediction__",
        ),
        (
            "columns: {__id__: {}}\n",
            ["d.csv"],
            "columns.__id__ needs --config: the configuration says where events have it",
        ),
        ("columns: {a: {}}\n", ["d.csv", "--config", "no.yaml"], "no.yaml: cannot be read: No such file or directory"),
    ],
)
def test_a_mistake_is_one_line(text: str, words: list[str], said: str, capsys: Output) -> None:
    Path("d.csv").write_text("a,b\n1,2\n")
    Path("empty.csv").write_text("a,b\n")
    Path("twice.csv").write_text("a,a\n1,2\n")

    assert refused(capsys, check(contract(text), *words)).startswith(said)


def test_a_contract_that_is_not_there_is_one_line(capsys: Output) -> None:
    assert refused(capsys, check("no.yaml", "d.csv")) == "no.yaml: cannot be read: No such file or directory"


# --- events -------------------------------------------------------------------------------------------------------------


def events(count: int = 700) -> list[dict[str, Any]]:
    rng = np.random.default_rng(11)
    return [
        {
            "id": f"e{at}",
            "ts": NOON_MS + at * 1000,
            "model": "churn",
            "features": {
                "age": float(np.float32(rng.normal(40, 9))) if at % 50 else None,
                "plan": str(rng.choice(["free", "pro"])),
                "member": bool(rng.random() < 0.3),
                "zip": int(rng.integers(1000, 1010)),
                "user_id": f"u{at}",
            },
            "output": {"score": float(rng.random())},
        }
        for at in range(count)
    ]


def configured(*models: str) -> str:
    settings = {
        "topics": [{"name": "predictions", "fields": {"prediction": "output.score"}}],
        "models": [{"name": name, "reference": f"{name}.json"} for name in models or ("churn",)],
        "state": "state",
    }
    Path("driftd.yaml").write_text(yaml.safe_dump(settings))
    return "driftd.yaml"


def write_events(rows: list[dict[str, Any]], path: str) -> str:
    match path.partition(".")[2]:
        case "jsonl":
            Path(path).write_text("\n".join(map(json.dumps, rows)))
        case "parquet":
            pq.write_table(pa.Table.from_pylist(rows), path)
        case "csv":
            pyarrow.csv.write_csv(pa.Table.from_pylist(rows).flatten().flatten(), path)
    return path


@pytest.mark.parametrize("path", ["e.jsonl", "e.parquet", "e.csv"])
def test_events_keep_the_contract_of_their_own_reference(path: str, capsys: Output) -> None:
    config = configured()
    write_events(events(), path)
    assert main(["reference", "fit", "--config", config, "--input", path]) == 0
    assert infer() == 0
    capsys.readouterr()

    assert check("churn.contract.yaml", path, "--config", config, "--json") == 0
    found = document(capsys)
    assert (found["rows"], found["violations"], found["rejected"]) == (700, [], {})
    assert [(each["column"], each["change"], each["breaks"]) for each in found["schema"]] == [("user_id", "new", False)]


@pytest.mark.parametrize("path", ["e.jsonl", "e.parquet", "e.csv"])
def test_events_are_told_by_their_messages(path: str, capsys: Output) -> None:
    rows = events(6)
    rows[1]["model"] = "other"
    rows[2]["id"] = "e0"
    rows[3]["ts"] = NOON_MS
    rows[4]["output"]["score"] = 2.5
    rows[5]["ts"] = None
    text = """
columns:
  __id__: {required: true, unique: true}
  __time__: {type: time, monotone: true}
  __prediction__: {type: number, max: 1}
  member: {type: boolean}
  gone: {required: true}
"""
    assert (
        check(
            contract(text),
            write_events(rows, path),
            "--config",
            configured("churn", "old"),
            "--model",
            "churn",
            "--json",
        )
        == 1
    )
    found = document(capsys)
    assert found["rows"] == 4
    assert {f"{each['column']}.{each['rule']}": each["samples"][0]["row"] for each in found["violations"]} == {
        "__id__.unique": 3,
        "__time__.monotone": 4,
        "__prediction__.max": 5,
    }
    assert found["rejected"] == {"timestamp_missing": 1}
    assert [each["column"] for each in found["schema"] if each["breaks"]] == ["gone"]
    assert [each["column"] for each in found["schema"] if not each["breaks"]] == ["age", "plan", "user_id", "zip"]
    assert found["remarks"] == ["left out 1 events of other models"]


def test_singles_of_a_table_of_events_keep_their_contract() -> None:
    config = configured()
    rows = [row | {f"features.{name}": value for name, value in row.pop("features").items()} for row in events()]
    table = pa.Table.from_pylist(rows)
    at = table.column_names.index("features.age")
    pq.write_table(table.set_column(at, "features.age", table["features.age"].cast(pa.float32())), "e.parquet")
    assert main(["reference", "fit", "--config", config, "--input", "e.parquet"]) == 0
    assert infer() == 0

    assert check("churn.contract.yaml", "e.parquet", "--config", config) == 0


def test_features_that_are_the_message_itself_are_told_from_its_envelope(capsys: Output) -> None:
    config = configured()
    fields = "{prediction: score, features: ''}"
    Path(config).write_text(
        re.sub(r"fields:\n +prediction: output.score", f"fields: {fields}", Path(config).read_text())
    )
    row = {"id": "a", "ts": NOON_MS, "model": "churn", "age": 40, "plan": "pro", "score": 0.5, "more": 1}
    text = "columns: {age: {type: integer}, plan: {}, __prediction__: {type: number}, __id__: {required: true}}\n"

    assert check(contract(text), write_events([row], "e.jsonl"), "--config", config) == 0
    assert "new columns, which the contract allows: more\n" in capsys.readouterr().out


def test_a_number_as_text_is_of_the_wrong_type_as_it_is_to_the_daemon(capsys: Output) -> None:
    rows = events(3)
    rows[1]["features"]["age"] = "40"

    assert (
        check(contract("columns: {age: {type: number}}\n"), write_events(rows, "e.jsonl"), "--config", configured())
        == 1
    )
    assert "age: type: 1 of 3 rows, 33 %: '40' in row 2" in capsys.readouterr().out


def test_messages_that_cannot_be_read_break_the_contract(capsys: Output) -> None:
    path = Path(write_events(events(3), "e.jsonl"))
    path.write_text(path.read_text() + "\n{oops\n")

    assert check(contract("columns: {age: {}}\n"), path, "--config", configured()) == 1
    assert "  malformed_json: 1\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--model", "nobody"], "--model nobody: name one by --model and --version; there is churn version *"),
        (["--topic", "none"], "--topic none: is not configured; there is predictions"),
        (["--prediction", "score"], "--prediction: the configuration says it, in topics.fields"),
    ],
)
def test_a_mistake_about_events_is_one_line(words: list[str], said: str, capsys: Output) -> None:
    path = write_events(events(3), "e.jsonl")

    assert refused(capsys, check(contract("columns: {age: {}}\n"), path, "--config", configured(), *words)) == said


def test_events_of_other_models_alone_are_a_mistake(capsys: Output) -> None:
    rows = [row | {"model": "other"} for row in events(3)]

    said = refused(
        capsys, check(contract("columns: {age: {}}\n"), write_events(rows, "e.jsonl"), "--config", configured())
    )
    assert said == "e.jsonl: holds no event of churn/*"


# --- formats of which a prediction comes in two messages ----------------------------------------------------------------


@pytest.fixture
def collected(home: Path) -> str:
    """Inputs and outputs of a collector: a configuration, and a file of both."""
    del home
    config = yaml.safe_load(Path(configured()).read_text())
    config["topics"] = [{"name": "t", "format": "azureml-mdc", "fields": {"model": {"const": "churn"}}}]
    Path("halves.yaml").write_text(yaml.safe_dump(config))
    lines = []
    for at in range(100):
        base = {"specversion": "1.0", "time": f"2026-11-01T12:00:{at % 60:02d}Z", "correlationid": f"c-{at}"}
        lines.append({**base, "type": "azureml.inference.model_inputs", "data": [{"age": at / 100}]})
        lines.append({**base, "type": "azureml.inference.model_outputs", "data": [{"score": at / 100}]})
    Path("halves.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return "halves.yaml"


LEFT_OUT = "left out 200 requests and responses, which nobody joins here"


def test_halves_of_predictions_are_no_rows_that_break_a_contract(collected: str, capsys: Output) -> None:
    path = contract("columns: {age: {type: number, required: true}, prediction: {type: number, required: true}}\n")

    assert main(["contract", "check", path, "halves.jsonl", "--config", collected]) == 2
    assert LEFT_OUT in capsys.readouterr().err


def test_a_reference_is_not_made_of_halves_and_says_so(collected: str, capsys: Output) -> None:
    assert main(["reference", "fit", "--config", collected, "--input", "halves.jsonl"]) == 2
    assert LEFT_OUT in capsys.readouterr().err
