"""`driftd reference fit` tells on its reference: what leaked, odd days, what wanders, copies, what it cannot see."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from detectors import Reference
from monitor.cli import main
from tests.charted import seeded

MIDNIGHT = 1_763_337_600_000  # ms, 17 November 2025
HOUR = 3_600_000
DAYS = 14
ROWS = 60  # an hour

Output = pytest.CaptureFixture[str]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def history(home: Path, **columns: np.ndarray) -> None:
    """Two weeks, 60 rows an hour, a column beside those given that is always the same."""
    count = DAYS * 24 * ROWS
    times = MIDNIGHT + np.arange(count) * (HOUR // ROWS)
    pq.write_table(pa.table({"ts": times, "steady": seeded(11).normal(size=count), **columns}), home / "h.parquet")


def day() -> np.ndarray:
    return np.arange(DAYS * 24 * ROWS) // (24 * ROWS)


def noise() -> np.ndarray:
    """Always the same, for what is said of usual days by chance is said once in a hundred."""
    return seeded(12).normal(size=DAYS * 24 * ROWS)


def fit(output: Output, *options: str) -> tuple[list[str], list[str]]:
    """Lines of standard output and of the warnings."""
    code = main(
        [
            "reference",
            "fit",
            "--input",
            "h.parquet",
            "--output",
            "r.json",
            "--timestamp",
            "ts",
            "--window",
            "1h",
            *options,
        ]
    )
    said = output.readouterr()
    assert code == 0, said.err
    return said.out.splitlines(), [line.removeprefix("driftd: ") for line in said.err.splitlines()]


def test_a_leaked_tail_is_said_with_the_option_that_leaves_it_out(home: Path, capsys: Output) -> None:
    history(home, leaked=noise() + 1.0 * (day() >= DAYS - 3))
    _, warned = fit(capsys)

    (line,) = [line for line in warned if line.startswith("leaked changes inside the reference: mean +0.")]
    assert line.endswith("σ from 2025-11-28T00:00Z on")
    (mends,) = [line for line in warned if "--exclude" in line]
    assert mends == "1 feature changes at 2025-11-28: --exclude 2025-11-28.. leaves the last 3 days out"
    _, warned = fit(capsys, "--exclude", "2025-11-28..")
    assert warned == [f"left out {3 * 24 * ROWS:,} rows by --exclude"]
    reference = Reference.load("r.json")
    assert reference.rows == (DAYS - 3) * 24 * ROWS


def test_a_head_that_differs_is_left_out_the_other_way_round(home: Path, capsys: Output) -> None:
    history(home, old=noise() + 1.0 * (day() < 4))
    _, warned = fit(capsys)

    (mends,) = [line for line in warned if "--exclude" in line]
    assert mends == "1 feature changes at 2025-11-21: --exclude ..2025-11-20 leaves the first 4 days out"
    assert fit(capsys, "--exclude", "..2025-11-20")[1] == [f"left out {4 * 24 * ROWS:,} rows by --exclude"]


def test_an_odd_day_is_said_with_the_option_that_leaves_it_out(home: Path, capsys: Output) -> None:
    history(home, sale=noise() + 1.0 * (day() == 5))
    _, warned = fit(capsys)

    (line,) = [line for line in warned if "is unlike the other days" in line]
    assert line.startswith("2025-11-22 is unlike the other days: sale mean +")
    assert "--exclude 2025-11-22 leaves the odd day out" in warned
    assert not any("unlike" in line for line in fit(capsys, "--exclude", "2025-11-22")[1])


def test_what_rises_all_the_time_is_said_to_be_better_compared_otherwise(home: Path, capsys: Output) -> None:
    history(home, number=np.arange(DAYS * 24 * ROWS) * 1.0)
    _, warned = fit(capsys)

    (line,) = [line for line in warned if line.startswith("number ")]
    assert line.startswith("number rises all the time: ")
    assert "baseline: trailing 28d" in line


def test_a_copy_of_the_prediction_is_said_without_times_too(home: Path, capsys: Output) -> None:
    score = noise()
    history(home, score=score, percent=score * 100)
    code = main(["reference", "fit", "--input", "h.parquet", "--output", "r.json", "--prediction", "score"])

    assert code == 0
    assert any(
        line.startswith("driftd: percent says 100% of what the prediction says")
        for line in capsys.readouterr().err.splitlines()
    )


def test_lines_are_bounded_and_the_worst_come_first(home: Path, capsys: Output) -> None:
    shifts = np.linspace(0.5, 2.0, 16)
    history(home, **{f"f{at}": noise() + shift * (day() >= 7) for at, shift in enumerate(shifts)})
    _, warned = fit(capsys)
    changes = [line for line in warned if "inside the reference" in line]

    assert len(changes) == 11
    assert changes[0].startswith("f15 ")
    assert changes[-1] == "… and 6 more features change inside the reference"


def test_what_a_day_does_not_show_is_said(home: Path, capsys: Output) -> None:
    history(home, slow=noise())
    said, _ = fit(capsys)

    assert said[-2].startswith("not found within a day: shifts below 0.")
    assert said[-2].count("σ in the median number") == 1


def test_all_of_it_is_there_for_programs(home: Path, capsys: Output) -> None:
    history(
        home,
        leaked=noise() + 1.0 * (day() >= DAYS - 3),
        number=np.arange(DAYS * 24 * ROWS) * 1.0,
        sale=noise() + (day() == 5),
    )
    said, _ = fit(capsys, "--json")
    document: dict[str, Any] = json.loads("\n".join(line for line in said if not line.startswith("seed ")))
    assert main(["reference", "show", "r.json", "--json"]) == 0

    assert json.loads(capsys.readouterr().out) == document
    assert [(one["feature"], one["what"], one["how"]) for one in document["drifting"]] == [("leaked", "mean", "step")]
    assert [one["feature"] for one in document["wandering"]] == ["number"]
    assert [[one["feature"] for one in odd["features"]] for odd in document["odd_days"]] == [["sale"]]
    assert document["copies"] == []
    assert all(one["found_in_a_day"] is None or one["found_in_a_day"] > 0 for one in document["features"])
    assert all(one["words"] for kind in ("drifting", "odd_days", "wandering") for one in document[kind])


@pytest.mark.parametrize(
    ("span", "rows"),
    [
        ("2025-11-18", 13 * 24),
        ("2025-11-18..2025-11-19", 12 * 24),
        ("..2025-11-18", 12 * 24),
        ("2025-11-18T00:00:00Z..2025-11-18T06:00:00Z", 14 * 24 - 6),
        ("2025-11-18,2025-11-20", 12 * 24),
    ],
)
def test_spans_are_left_out_by_event_time(home: Path, capsys: Output, span: str, rows: int) -> None:
    history(home)
    fit(capsys, "--exclude", span)

    assert Reference.load("r.json").rows == rows * ROWS


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--exclude", ".."], "--exclude ..: names no time"),
        (
            ["--exclude", "soon"],
            "--exclude soon: is no FROM..TO such as 2026-11-01..2026-11-03 and no column; there are ts, steady",
        ),
        (["--exclude", "2025-11-20..2025-11-18"], "--exclude 2025-11-20..2025-11-18: ends before it begins"),
    ],
)
def test_what_is_no_span_is_refused(home: Path, capsys: Output, options: list[str], said: str) -> None:
    history(home)
    code = main(["reference", "fit", "--input", "h.parquet", "--output", "r.json", "--timestamp", "ts", *options])

    assert code == 2
    assert capsys.readouterr().err == f"driftd: {said}\n"


def test_spans_need_a_timestamp(home: Path, capsys: Output) -> None:
    history(home)
    code = main(["reference", "fit", "--input", "h.parquet", "--output", "r.json", "--exclude", "2025-11-18"])

    assert code == 2
    assert capsys.readouterr().err == "driftd: --exclude needs --timestamp: rows are left out by event time\n"
