"""`driftd reference`: the same data in three formats is one reference; mistakes are one line; odd profiles are shown."""

import json
import os
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import csv

from detectors import CategoricalFeature, Reference
from monitor.cli import main
from tests import grouped
from tests.charted import DAY, seeded

ROWS = 2_000
BEGIN = 1_763_870_700_000  # ms
MIDNIGHT = 1_763_337_600_000

Output = pytest.CaptureFixture[str]


def table() -> pa.Table:
    rng = np.random.default_rng(5)
    ages = rng.normal(40, 10, ROWS).round(1)
    return pa.table(
        {
            "customer_id": np.arange(ROWS),
            "ts": BEGIN + np.arange(ROWS) * 100,
            "age": pa.array(np.where(rng.random(ROWS) < 0.02, np.nan, ages), from_pandas=True),
            "plan": rng.choice(["free", "pro"], ROWS),
            "active": rng.random(ROWS) < 0.5,
            "score": rng.random(ROWS).round(4),
        }
    )


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def train(home: Path) -> Path:
    """The same rows as train.parquet, train.csv and train.jsonl."""
    found = table()
    rows = found.to_pylist()
    pq.write_table(found, home / "train.parquet")
    lines = ["" if value is None else str(value) for row in rows for value in row.values()]
    width = len(found.column_names)
    body = "\n".join(",".join(lines[at : at + width]) for at in range(0, len(lines), width))
    (home / "train.csv").write_text(",".join(found.column_names) + "\n" + body + "\n")
    (home / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return home / "train.parquet"


def fit(*options: Any, source: str = "train.parquet") -> int:
    return main(["reference", "fit", "--input", source, "--output", "out.json", *map(str, options)])


def refused(output: Output, *options: Any, source: str = "train.parquet") -> str:
    assert fit(*options, source=source) == 2
    said = output.readouterr()
    assert said.out == ""
    assert "Traceback" not in said.err
    (line,) = [line for line in said.err.splitlines() if not line.startswith("driftd: left out")]
    return line.removeprefix("driftd: ")


@pytest.mark.parametrize("source", ["train.parquet", "train.csv", "train.jsonl"])
def test_a_file_is_the_same_with_any_number_of_threads(
    train: Path, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitor.sources.tables.parquet.CHUNK", 300)
    monkeypatch.setattr("monitor.sources.tables.lines.CHUNK", 300)
    found = set()
    for threads in (1, 2, 7):
        given = ["--prediction", "score", "--timestamp", "ts", "--window", "30s", "--threads", threads]
        assert fit(*given, source=source) == 0
        found.add((train.parent / "out.json").read_bytes())
    assert len(found) == 1


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("place", [0.3, 0.6, 0.99])
def test_a_truncated_file_is_one_line_with_any_number_of_threads(
    train: Path, capsys: Output, threads: int, place: float
) -> None:
    """Of Parquet the end says what there is; of one whose pages are damaged that comes out in the midst of reading."""
    whole, begin = train.read_bytes(), pq.read_metadata(train).row_group(0).column(2).data_page_offset
    train.write_bytes(whole[: int(len(whole) * place)])
    assert "train.parquet: cannot be read: Parquet magic bytes not found" in refused(capsys, "--threads", threads)

    train.write_bytes(whole[:begin] + b"\xff" * 200 + whole[begin + 200 :])
    assert refused(capsys, "--threads", threads).startswith("train.parquet: cannot be read: ")


def test_the_same_data_in_three_formats_is_the_same_reference(train: Path) -> None:
    hashes = set()
    for source in ("train.parquet", "train.csv", "train.jsonl"):
        assert fit("--prediction", "score", "--timestamp", "ts", "--window", "30s", source=source) == 0
        hashes.add(Reference.load("out.json").hash)

    assert len(hashes) == 1


def test_a_file_in_pieces_is_the_same_reference(train: Path, home: Path) -> None:
    whole = table()
    pq.write_table(whole.slice(0, 700), home / "a.parquet")
    pq.write_table(whole.slice(700), home / "b.parquet")
    fit("--timestamp", "ts")
    expected = Reference.load("out.json").hash

    assert (
        main(["reference", "fit", "--input", "a.parquet", "b.parquet", "--output", "o.json", "--timestamp", "ts"]) == 0
    )
    assert Reference.load("o.json").hash == expected


def test_fit_says_what_it_made_and_what_it_left_out(train: Path, capsys: Output) -> None:
    assert fit("--prediction", "score", "--timestamp", "ts") == 0
    said = capsys.readouterr()

    reference = Reference.load("out.json")
    assert said.out == (
        f"out.json: 2,000 rows, 2 numeric and 2 categorical features, hash {reference.hash}\n"
        "calibration: cold, effect sizes only: one window of 5m holds more than half of the reference\n"
    )
    assert said.err == "driftd: left out customer_id: an identifier; name it in --columns to keep it\n"
    assert reference.names == ("age", "__prediction__", "plan", "active")


def test_a_window_teaches_the_usual_rows(train: Path) -> None:
    fit("--timestamp", "ts", "--window", "30s")

    assert Reference.load("out.json").rows_per_second == 10.0
    assert Reference.load("out.json").period == (BEGIN * 10**6, (BEGIN + (ROWS - 1) * 100) * 10**6)


def test_named_columns_are_all_that_is_kept_identifiers_too(train: Path) -> None:
    fit("--columns", "age,customer_id", "--prediction", "score")

    assert Reference.load("out.json").names == ("customer_id", "age", "__prediction__")


def test_a_prediction_may_be_text_or_a_boolean(train: Path) -> None:
    for column, categories in (("plan", {"free", "pro"}), ("active", {"true", "false"})):
        assert fit("--prediction", column) == 0
        prediction = Reference.load("out.json").features["__prediction__"]
        assert isinstance(prediction, CategoricalFeature)
        assert set(prediction.categories) == categories


def test_a_kind_wins_over_what_a_column_holds(home: Path, capsys: Output) -> None:
    (home / "a.csv").write_text("code,size\n1,?\n2,3.5\n1,4\n")

    assert fit("--kind", "code=categorical", "size=numeric", source="a.csv") == 0
    features = Reference.load("out.json").features
    assert (features["code"].kind.value, features["size"].kind.value) == ("categorical", "numeric")
    assert (features["size"].count, features["size"].missing) == (2, 1)


def test_a_column_without_any_value_is_kept_and_said(home: Path, capsys: Output) -> None:
    (home / "a.csv").write_text("a,b\n,1\n,2\n")

    assert fit(source="a.csv") == 0
    assert capsys.readouterr().err == "driftd: a holds no value of its kind, numeric; --columns can leave it out\n"


def test_rows_without_a_time_are_said(home: Path, capsys: Output) -> None:
    (home / "a.csv").write_text("ts,x\n2025-01-01,1\n,2\n")

    assert fit("--timestamp", "ts", source="a.csv") == 0
    assert capsys.readouterr().err == "driftd: ts: 1 of 2 rows have no time; they are profiled all the same\n"


def test_progress_is_shown_on_a_terminal_only(train: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    fit("--columns", "age")

    assert "\rread 4,000 rows (two passes)\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--columns", "age,nope"], "--columns: train.parquet has no column nope; it has customer_id, ts, age, plan, "),
        (["--prediction", "nope"], "--prediction: train.parquet has no column nope; it has "),
        (["--timestamp", "nope"], "--timestamp: train.parquet has no column nope; it has "),
        (["--kind", "nope=numeric"], "--kind: train.parquet has no column nope; it has "),
        (["--kind", "age=number"], "--kind age=number: must be COLUMN=numeric or COLUMN=categorical"),
        (["--kind", "age"], "--kind age: must be COLUMN=numeric or COLUMN=categorical"),
        (["--columns", "age", "--kind", "plan=categorical"], "--kind: plan is not among --columns age"),
        (["--prediction", "ts", "--timestamp", "ts"], "--prediction: ts is the --timestamp and cannot be a feature"),
        (["--window", "5m"], "--window needs --timestamp"),
        (["--timestamp", "ts", "--window", "5"], "--window 5: must be a duration such as 500ms, 30s, 5m, 1h or 7d"),
        (["--timezone", "UTC"], "--timezone needs --timestamp"),
        (["--holidays", "days.txt"], "--holidays needs --timestamp"),
        (
            ["--timestamp", "ts", "--timezone", "Berlin"],
            "--timezone 'Berlin' is not in this system's time zone database",
        ),
        (["--timestamp", "ts", "--holidays", "days.txt"], "--holidays: days.txt cannot be read: No such file"),
        (["--timestamp", "ts", "--window", "0s"], "--window 0s: must be longer than zero"),
        (["--timestamp", "ts", "--timestamp-unit", "s"], "train.parquet: ts: 1763870700000 is after 2262; is --timest"),
        (["--timestamp", "plan"], "train.parquet: plan: "),
        (["--output", "train.parquet"], "--output train.parquet: is one of the inputs"),
        (["--output", "."], "--output .: is a directory; name a file"),
        (["--output", "no/where.json"], "--output no/where.json: cannot be written: there is no directory no"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_option(
    train: Path, capsys: Output, options: list[str], said: str
) -> None:
    assert refused(capsys, *options).startswith(said)


def test_a_column_that_cannot_be_a_feature_is_refused_where_it_is_named(home: Path, capsys: Output) -> None:
    (home / "a.jsonl").write_text('{"a": 1, "b": {"c": 2}}\n')

    for option in (["--columns", "b"], ["--prediction", "b"], ["--kind", "b=categorical"]):
        assert refused(capsys, *option, source="a.jsonl") == f"{option[0]}: b is nested and cannot be a feature"


def test_a_table_of_identifiers_only_is_refused(home: Path, capsys: Output) -> None:
    (home / "a.csv").write_text("id,user_id\n1,2\n")

    assert refused(capsys, source="a.csv") == "a.csv: no column is left to profile"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_disk_is_one_line(train: Path, capsys: Output) -> None:
    assert refused(capsys, "--output", "/dev/full") == "/dev/full: cannot be written: No space left on device"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_directory_that_may_not_be_written_is_refused_before_reading(train: Path, home: Path, capsys: Output) -> None:
    (home / "locked").mkdir(mode=0o500)

    assert (
        refused(capsys, "--output", "locked/a.json") == "--output locked/a.json: cannot be written: permission denied"
    )


# --- calibration ------------------------------------------------------------------------------------------------------


def history(home: Path, *, days: float = 15, rows_a_window: int = 20, **columns: Any) -> None:
    """h.parquet: rows evenly over some days, a feature as a function of the hours since the beginning."""
    seed = random.getrandbits(32)
    print("seed", seed)  # shown when a test fails
    rng, count = np.random.default_rng(seed), int(days * 288 * rows_a_window)
    hours = np.arange(count) * 24 * days / count
    found = {"ts": MIDNIGHT + (hours * 3_600_000).astype(np.int64), "x": rng.normal(size=count)}
    found |= {name: column(rng, hours) for name, column in columns.items()}
    pq.write_table(pa.table(found), home / "h.parquet")


def learnt(output: Output, *options: str, timestamp: bool = True) -> tuple[str, list[str]]:
    """The line on what was learnt, and the warnings."""
    assert fit(*(["--timestamp", "ts"] if timestamp else []), *options, source="h.parquet") == 0
    said = output.readouterr()
    return said.out.splitlines()[-1], said.err.splitlines()


def test_fit_says_what_the_windows_taught(home: Path, capsys: Output) -> None:
    history(home, days=2, rows_a_window=15)
    said, warned = learnt(capsys, "--columns", "x")

    assert said == "calibration: one profile for all hours from 574 windows of 5m over 2 days, about 15 rows each"
    assert warned[-1] == (
        "driftd: a usual window of 5m holds fewer than 20 independent values of x: they will be judged over several windows"
    )
    assert Reference.load("out.json").rows_per_second == pytest.approx(15 / 300)


def test_fit_names_the_profile_that_it_found(home: Path, capsys: Output) -> None:
    history(home, daily=lambda rng, hours: rng.normal(size=hours.size) + np.sin(hours / 24 * 2 * np.pi))
    said, _ = learnt(capsys)

    assert (
        said
        == "calibration: daily profile from 4,318 windows of 5m over 2.1 weeks, about 20 rows each, by hours of UTC (--timezone: people's)"
    )


def in_sessions(home: Path, session: Callable[[Any], Any]) -> None:
    """h.parquet with a column `session`, from the whole numbers of sessions of ten rows."""
    history(home, days=1)
    found = pq.read_table(home / "h.parquet")
    pq.write_table(found.append_column("session", session(np.arange(found.num_rows) // 10)), home / "h.parquet")


GROUPED = "--timestamp", "ts", "--group", "session"
MILLISECONDS = pa.timestamp("ms")


@pytest.mark.parametrize(
    ("session", "said"),
    [
        (lambda at: pa.nulls(at.size), "group session: 0 of 5,760 rows say what they belong to, fewer than one in ten"),
        (
            lambda at: pa.nulls(at.size, pa.string()),
            "group session: 0 of 5,760 rows say what they belong to, fewer than one in ten",
        ),
        (
            lambda at: pa.array([""] * at.size),
            "group session: 0 of 5,760 rows say what they belong to, fewer than one in ten",
        ),
        (
            lambda at: pa.array([f"s{each}" if 100 <= each < 140 else None for each in at]),
            "group session: 400 of 5,760 rows say what they belong to, fewer than one in ten",
        ),
        (
            lambda at: pa.array([b"%16d" % each for each in at], pa.binary(16)),
            "--group: session is of type fixed_size_bin",
        ),
        (lambda at: pa.array(at, MILLISECONDS), "--group: session is a time and cannot say what rows come together in"),
        (lambda at: pa.array([[each] for each in at]), "--group: session is nested and cannot say"),
        (lambda at: pa.array([{"id": each} for each in at]), "--group: session is nested and cannot say"),
    ],
    ids=["null", "no text", "empty", "some windows", "binary", "time", "list", "struct"],
)
def test_a_group_that_cannot_be_read_is_refused(
    home: Path, capsys: Output, session: Callable[[Any], Any], said: str
) -> None:
    in_sessions(home, session)
    capsys.readouterr()

    assert refused(capsys, *GROUPED, source="h.parquet").startswith(said)


def together(source: str) -> float:
    assert fit(*GROUPED, source=source) == 0
    calibration = Reference.load("out.json").calibration
    assert calibration is not None
    return calibration.together


@pytest.mark.parametrize("ending", ["parquet", "csv", "jsonl"])
def test_whole_numbers_that_no_double_tells_apart_are_groups_apart(home: Path, ending: str) -> None:
    """Of windows of twenty rows, two sessions of ten each; were they doubles, all sessions were one."""
    in_sessions(home, lambda at: pa.array([None if each % 50 == 0 else 2**62 + int(each) for each in at], pa.int64()))
    found = pq.read_table(home / "h.parquet")
    if ending == "csv":
        csv.write_csv(found, home / "h.csv")
    if ending == "jsonl":
        (home / "h.jsonl").write_text("".join(json.dumps(row) + "\n" for row in found.to_pylist()))

    assert together(f"h.{ending}") == pytest.approx(10, abs=1)


def test_a_group_is_the_same_however_its_numbers_are_held(home: Path) -> None:
    sessions(home / "visits.parquet")
    found = pq.read_table(home / "visits.parquet")
    numbers = found["session"].dictionary_encode().combine_chunks().indices
    hashes = set()
    for kind in (pa.int64(), pa.uint32(), pa.uint64(), pa.string()):
        held = found.set_column(found.column_names.index("session"), "session", numbers.cast(kind))
        pq.write_table(held, home / "visits.parquet")
        assert fit("--timestamp", "at", "--group", "session", source="visits.parquet") == 0
        hashes.add(Reference.load("out.json").hash)

    assert len(hashes) == 1


def test_fit_says_whose_hours_it_learnt_and_how_many_holidays_it_knows(home: Path, capsys: Output) -> None:
    history(home, days=2, rows_a_window=15)
    (home / "days.txt").write_text("2025-11-18 a day of the reference\n2025-12-25\n2020-01-01\n")
    said, _ = learnt(capsys, "--timezone", "Europe/Berlin", "--holidays", "days.txt")
    calibration = Reference.load("out.json").calibration

    assert said.endswith("rows each, by the clocks of Europe/Berlin, 2 holidays known")
    assert calibration is not None
    assert calibration.timezone == "Europe/Berlin"
    assert calibration.windows < 300  # of 576


def sessions(path: Path) -> None:
    """A table of sessions."""
    table = grouped.sessions(seeded(), 80, 30)
    since_2000 = table["at"] + 11_000 * DAY
    pq.write_table(pa.table({**table, "at": pa.array(since_2000, pa.timestamp("ns"))}), path)


def test_fit_learns_the_sessions_that_a_column_names(home: Path, capsys: Output) -> None:
    sessions(home / "visits.parquet")
    assert fit("--timestamp", "at", "--group", "session", source="visits.parquet") == 0
    said = capsys.readouterr().out
    learnt = Reference.load(home / "out.json").calibration

    assert learnt is not None
    assert learnt.together > 5
    assert f"about 300 rows each, of which a row's group has {learnt.together:.3g}" in said
    assert "session" not in Reference.load(home / "out.json").names


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--timestamp", "at", "--group", "visit"], "--group: visits.parquet has no column visit; it has at, session,"),
        (["--timestamp", "at", "--group", "at"], "--group: at is the --timestamp"),
        (["--group", "session"], "--group needs --timestamp: rows come together in windows of event time"),
        (["--timestamp", "at", "--group", "plan", "--columns", "plan"], "--columns: plan is the --group and cannot be"),
    ],
)
def test_a_group_that_cannot_be_one_is_a_line(home: Path, capsys: Output, options: list[str], line: str) -> None:
    sessions(home / "visits.parquet")
    capsys.readouterr()  # the seed

    assert refused(capsys, *options, source="visits.parquet").startswith(line)


@pytest.mark.parametrize(("unit", "said"), [(24, True), (1, False)])
def test_timestamps_without_a_time_are_doubted(home: Path, capsys: Output, unit: int, *, said: bool) -> None:
    history(home, days=60, rows_a_window=1)
    found = pq.read_table(home / "h.parquet")
    whole = unit * 3_600_000
    dates = pa.array(found["ts"].to_numpy() // whole * whole)
    pq.write_table(found.set_column(0, "ts", dates), home / "h.parquet")
    _, warned = learnt(capsys)

    assert any("timestamps without a time? fit with --window 1d" in line for line in warned) == said


def test_a_reference_that_drifts_itself_is_said(home: Path, capsys: Output) -> None:
    history(home, days=2, rows_a_window=50, broken=lambda rng, hours: rng.normal(size=hours.size) + (hours > 32) * 3.0)
    _, warned = learnt(capsys)

    [line] = [line for line in warned if "broken changes" in line]
    assert line.startswith("driftd: broken changes inside the reference: mean +")
    assert line.endswith("Z on")


@pytest.mark.parametrize(
    ("rows", "seconds_apart", "window", "said"),
    [
        (1_200, 3, None, "10 whole windows of 5m, at least 50 are needed (try --window 1m)"),
        (1_200, 3, "1d", "one window of 1d holds more than half of the reference (try --window 1m)"),
        (300, 300, None, "1 rows in a window of 5m, at least 5 are needed"),  # and no other window would do
        (3_000, 60, "10s", "1 rows in a window of 10s, at least 5 are needed (try --window 10m)"),
        (5, 60, None, "5 rows with a time, at least 250 are needed"),
    ],
)
def test_a_cold_reference_says_why_and_which_window_would_do(
    home: Path, capsys: Output, rows: int, seconds_apart: int, window: str | None, said: str
) -> None:
    times = MIDNIGHT + np.arange(rows) * seconds_apart * 1_000
    pq.write_table(pa.table({"ts": times, "x": np.arange(rows) % 7.0}), home / "h.parquet")

    assert learnt(capsys, *(["--window", window] if window else [])) == (
        f"calibration: cold, effect sizes only: {said}",
        [],
    )
    assert Reference.load("out.json").calibration is None


def test_without_a_timestamp_it_is_cold(train: Path, capsys: Output) -> None:
    fit("--columns", "age")

    assert capsys.readouterr().out.endswith("\ncalibration: cold, effect sizes only: no --timestamp\n")


def test_rows_without_a_time_are_counted_once_in_two_passes(home: Path, capsys: Output) -> None:
    history(home, days=1, rows_a_window=10)
    table = pq.read_table(home / "h.parquet")
    nothing = pa.table({"ts": pa.nulls(100, pa.int64()), "x": np.zeros(100)})
    pq.write_table(pa.concat_tables([table, nothing]), home / "h.parquet")
    said, warned = learnt(capsys)

    assert warned[0] == "driftd: ts: 100 of 2,980 rows have no time; they are profiled all the same"
    assert "286 windows of 5m" in said


def test_three_formats_teach_the_same_calibration(home: Path) -> None:
    history(home, days=1, rows_a_window=10, few=lambda rng, hours: rng.integers(0, 5, hours.size))
    table = pq.read_table(home / "h.parquet")
    names, rows = table.column_names, table.to_pylist()
    lines = [",".join(names), *(",".join(map(repr, row.values())) for row in rows)]
    (home / "h.csv").write_text("\n".join(lines) + "\n")
    (home / "h.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    hashes = set()
    for source in ("h.parquet", "h.csv", "h.jsonl"):
        assert fit("--timestamp", "ts", source=source) == 0
        assert Reference.load("out.json").calibration is not None
        hashes.add(Reference.load("out.json").hash)

    assert len(hashes) == 1


def test_show_tells_the_calibration_and_is_readable_at_a_hundred_columns(
    home: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    history(
        home,
        rows_a_window=40,
        a_feature_with_a_long_name=lambda rng, hours: rng.lognormal(size=hours.size) * 1e4,
        seasonal=lambda rng, hours: rng.normal(size=hours.size) + np.sin(hours / 24 * 2 * np.pi),
        plan=lambda rng, hours: rng.choice(["free", "pro", "enterprise"], hours.size),
        broken=lambda rng, hours: rng.normal(size=hours.size) + (hours > 200) * 2.0,
    )
    learnt(capsys)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "100")
    assert main(["reference", "show", "out.json"]) == 0
    lines = re.sub("\x1b[^m]*m", "", capsys.readouterr().out).splitlines()

    assert max(map(len, lines)) <= 100
    assert lines[1].startswith("calibration: daily profile from 4,318 windows of 5m over 2.1 weeks, about 40 rows each")
    assert {"varies", "slow", "season"} <= set(lines[3].split() + lines[4].split())
    assert " day " in next(line for line in lines if line.lstrip().startswith("seasonal"))
    assert any(line.startswith("broken changes inside the reference") for line in lines)
    assert len(lines) < 40


# --- show -------------------------------------------------------------------------------------------------------------


def show(output: Output, path: Path, data: dict[str, Any]) -> str:
    Reference.fit(data).save(path)
    assert main(["reference", "show", str(path)]) == 0
    said = output.readouterr()
    assert said.err == ""
    return said.out


def test_show_draws_each_feature(home: Path, capsys: Output) -> None:
    shown = show(capsys, home / "r.json", {"x": np.arange(1000.0), "plan": ["a", "b", "b", "b"] * 250})

    assert "r.json: 1,000 rows, hash" in shown
    assert "0 … 999, mean 499.5, sd 288.7" in shown
    assert "b 75.0%, a 25.0%" in shown
    assert "█" in shown


def test_show_takes_constant_empty_and_very_many_categories(home: Path, capsys: Output) -> None:
    data = {
        "constant": [7.0] * 1500,
        "empty": [None] * 1500,
        "huge": [1e308, -1e308, 0.0] * 500,
        "neighbours": [1.0, np.nextafter(1.0, 2.0)] * 750,
        "many": [f"c{n}" for n in range(1500)],
    }
    shown = show(capsys, home / "r.json", data)

    assert "no value" in shown
    assert "100.00%" in shown
    assert "7 … 7, mean 7, sd 0" in shown
    assert "996 more" in shown


def test_show_prints_names_with_markup_as_they_are(home: Path, capsys: Output) -> None:
    shown = show(capsys, home / "r[bold].json", {"[red]x[/red]": [1.0, 2.0], "plan": ["[/]", "[link=x]"]})

    assert "[red]x[/red]" in shown
    assert "[link=x] 50.0%" in shown
    assert "r[bold].json" in shown


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "r.json: cannot be read: No such file or directory"),
        (b'{"format": "driftd.reference/1", "rows"', "r.json: this is no JSON: "),
        (b"\xff\xfe\x00", "r.json: this is no JSON: "),
        (b'{"format": "driftd.reference/2"}', "r.json: the file has format driftd.reference/2, this version of driftd"),
        (b"[]", "r.json: the reference is a list, which is no dict"),
    ],
)
def test_show_refuses_what_is_no_reference(home: Path, capsys: Output, content: bytes | None, said: str) -> None:
    if content is not None:
        (home / "r.json").write_bytes(content)

    assert main(["reference", "show", "r.json"]) == 2
    assert capsys.readouterr().err.startswith(f"driftd: {said}")


def test_show_says_the_same_as_json(home: Path, capsys: Output) -> None:
    Reference.fit({"x": np.arange(4.0), "plan": ["a", "b", "b", None]}).save(home / "r.json")
    assert main(["reference", "show", "r.json", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)

    assert {name: said[name] for name in ("file", "rows", "period", "warnings")} == {
        "file": "r.json",
        "rows": 4,
        "period": None,
        "warnings": [],
    }
    assert said["calibration"] == {
        "kind": "cold",
        "windows": None,
        "window": None,
        "rows_a_window": None,
        "words": "cold, effect sizes only: no --timestamp",
    }
    x, plan = said["features"]
    assert (x["min"], x["max"], x["mean"], x["categories"], x["varies"]) == (0.0, 3.0, 1.5, None, None)
    assert (plan["values"], plan["missing_ratio"], plan["mean"]) == (3, 0.25, None)
    assert plan["categories"] == [
        {"category": "b", "share": pytest.approx(2 / 3)},
        {"category": "a", "share": pytest.approx(1 / 3)},
    ]
    assert x.keys() == plan.keys()


def test_show_tells_the_calibration_as_json(home: Path, capsys: Output) -> None:
    history(home, rows_a_window=40, x=lambda rng, hours: rng.normal(size=hours.size) + np.sin(hours / 24 * 2 * np.pi))
    learnt(capsys)
    assert main(["reference", "show", "out.json", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)

    assert said["calibration"].items() >= {"kind": "day", "windows": 4318, "window": "5m"}.items()
    assert said["features"][0]["season"] == "day"
    assert said["features"][0]["varies"] > 0
    assert said["period"].keys() == {"from", "to"}


@pytest.mark.parametrize("window", ["5m", "1h", "1d"])
def test_one_batch_a_day_is_told_how_many_days_are_needed(tmp_path: Path, capsys: Output, window: str) -> None:
    """No shorter window makes more of them."""
    rows = [f"{1_763_870_400_000 + day * 86_400_000 + at * 50},{at % 97}" for day in range(28) for at in range(500)]
    (tmp_path / "daily.csv").write_text("ts,age\n" + "\n".join(rows) + "\n")

    options = ["--input", str(tmp_path / "daily.csv"), "--output", str(tmp_path / "r.json"), "--timestamp", "ts"]
    assert main(["reference", "fit", *options, "--window", window]) == 0

    said = capsys.readouterr().out
    assert "its rows come in 28 batches, one every day: about 52 of them are needed, which take 52 days" in said
    assert "try --window" not in said


def test_labels_are_counted_and_told(train: Path, capsys: Output) -> None:
    """`active` is what came true of `score`, which says nothing of it."""
    settings = ["--prediction", "score", "--label", "active", "--timestamp", "ts", "--window", "10s"]
    assert main(["reference", "fit", "--input", str(train), "--output", "r.json", *settings]) == 0
    assert "labels: binary, 2,000 rows in 20 windows of 10s, accuracy 0." in capsys.readouterr().out

    reference = Reference.load("r.json")
    assert "active" not in reference.names
    assert main(["reference", "show", "r.json"]) == 0
    assert "labels: binary, 2,000 rows in 20 windows of 10s" in capsys.readouterr().out
    assert main(["reference", "show", "r.json", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["performance"]
    accuracy = reference.performance.metrics()["accuracy"]
    assert told["metrics"]["accuracy"] == {"value": accuracy.value, "interval": list(accuracy.interval)}
    assert (told["task"], told["rows"], told["window"], told["windows"]) == ("binary", 2000, "10s", 20)


@pytest.mark.parametrize("ending", ["parquet", "csv", "jsonl"])
def test_labels_are_the_same_in_three_formats(train: Path, ending: str) -> None:
    settings = ["--prediction", "score", "--label", "active", "--positive", "true"]
    path = str(train.with_suffix(f".{ending}"))
    assert main(["reference", "fit", "--input", path, "--output", "r.json", *settings]) == 0
    plain = table()
    [positives] = [plain["active"].to_pylist().count(True)]

    assert Reference.load("r.json").performance.total.histogram[1].sum() == positives


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--label", "active"], "--label needs --prediction: labels are the truth of it"),
        (["--positive", "1"], "--positive needs --label: the column of what came true"),
        (["--prediction", "score", "--label", "score"], "--label: score is the --prediction"),
        (["--prediction", "score", "--label", "none"], "--label: train.parquet has no column none; it has "),
        (["--prediction", "score", "--label", "plan"], "label plan: no row has the positive label '1'; it holds "),
        (["--prediction", "score", "--label", "active", "--threshold", "2"], "threshold must be above 0 and at most 1"),
        (["--prediction", "score", "--label", "active", "--columns", "active"], "--columns: active is the --label"),
        (["--config", "x.yaml", "--label", "active"], "--label: the configuration says it, in topics.fields"),
    ],
)
def test_a_mistake_about_labels_is_one_line(train: Path, capsys: Output, options: list[str], words: str) -> None:
    assert main(["reference", "fit", "--input", "train.parquet", "--output", "r.json", *options]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert words in error


def test_in_any_order_the_file_may_be_sorted_as_it_likes(train: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the library gives the same: the same hash."""
    monkeypatch.setattr("monitor.sources.tables.parquet.CHUNK", 300)
    given = ["--any-order", "--prediction", "score", "--timestamp", "ts", "--window", "30s"]
    assert fit(*given) == 0
    whole = Reference.load("out.json")
    table = pq.read_table(train)
    pq.write_table(table.take(list(reversed(range(table.num_rows)))), train)
    assert fit(*given, "--threads", "1") == 0

    assert Reference.load("out.json").hash == whole.hash


def test_in_any_order_no_labels_are_counted(train: Path, capsys: Output) -> None:
    assert "label cannot be counted in any order yet" in refused(
        capsys, "--any-order", "--prediction", "score", "--label", "age"
    )
