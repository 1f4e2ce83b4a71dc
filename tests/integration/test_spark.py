"""References and panes by a real Spark in local mode, and by Dask: bit for bit what one process makes of the same rows."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from detectors import Reference, Sketch
from driftd.parts import PaneFold, merge_panes
from tests.parts.spark import installed

ROOT = Path(__file__).parents[2]
ROWS = 140_000
HOW: dict[str, Any] = {"prediction": "score", "timestamp": "at", "window": "10m", "group": "session"}

pytestmark = [
    pytest.mark.servers,
    pytest.mark.timeout(540),
    pytest.mark.skipif(installed() is None, reason="PySpark is not wanted here (make spark)"),
    pytest.mark.filterwarnings("default"),  # those of PySpark are not ours
]


def table(rows: int = ROWS) -> pa.Table:
    """Numbers with atoms and gaps, of many and of few values, decimals, texts, truth, sessions, times: more values than a sample holds."""
    draw = np.random.default_rng(1)
    amount = np.where(draw.random(rows) < 0.1, 49.9, draw.lognormal(3, 1.5, rows))
    amount[draw.random(rows) < 0.001] = np.inf
    plans = draw.choice(np.array(["free", "pro", "Füße", None], dtype=object), rows, p=[0.6, 0.3, 0.05, 0.05])
    return pa.table(
        {
            "amount": pa.array(amount, mask=draw.random(rows) < 0.05),
            "age": pa.array(draw.integers(18, 90, rows), pa.int32(), mask=draw.random(rows) < 0.02),
            "share": pa.array(draw.random(rows).astype(np.float32)),
            "offset": 1e9 + draw.normal(0, 1, rows),
            "plan": pa.array(plans),
            "paid": pa.array(draw.random(rows) < 0.7, mask=draw.random(rows) < 0.01),
            "nothing": pa.array([None] * rows, pa.float64()),
            "score": draw.beta(2, 5, rows),
            "session": pa.array([f"s{number}" for number in draw.integers(0, rows // 3, rows)]),
            "at": pa.array(
                1_763_870_700_000_000 + draw.integers(0, 30_000 * 60_000_000, rows), pa.timestamp("us", tz="UTC")
            ),
        }
    )


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rows") / "rows.parquet"
    pq.write_table(table(), path, row_group_size=10_000)
    return path


@pytest.fixture(scope="module")
def spark() -> Iterator[Any]:
    folder = installed()
    assert folder is not None
    before, variable = list(sys.path), os.environ.get("PYTHONPATH")
    sys.path.append(str(folder))
    os.environ["PYTHONPATH"] = f"{ROOT}:{folder}"
    os.environ["PYSPARK_PYTHON"] = sys.executable
    from pyspark.sql import SparkSession

    session = (
        SparkSession.builder.master("local[2]")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.sql.shuffle.partitions", "2")
        .config("spark.driver.memory", "1g")
        .config("spark.driver.extraJavaOptions", "-XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:-UsePerfData")
        .config("spark.sql.codegen.wholeStage", "false")
        .config("spark.python.authenticate.socketTimeout", "120s")  # a worker that starts on a busy machine
        .config("spark.sql.session.timeZone", "America/New_York")  # tells nothing: times are moments
        .getOrCreate()
    )
    session.sparkContext.setLogLevel("ERROR")
    yield session
    session.stop()
    sys.path[:] = before
    if variable is None:
        del os.environ["PYTHONPATH"]
    else:
        os.environ["PYTHONPATH"] = variable


@pytest.fixture(scope="module")
def whole(rows: Path) -> Reference:
    """By one process."""
    return Reference.fit(pq.read_table(rows), any_order=True, **HOW)


def test_a_reference_of_eight_partitions_is_that_of_one_process(spark: Any, rows: Path, whole: Reference) -> None:
    from driftd import spark as engine

    data = spark.read.parquet(str(rows)).repartition(8)

    fitted = engine.fit(data, **HOW)

    assert data.rdd.getNumPartitions() == 8
    assert fitted.hash == whole.hash
    assert {**fitted.to_dict(), "created_by": ""} == {**whole.to_dict(), "created_by": ""}
    assert whole.calibration is not None


@pytest.mark.parametrize("partitions", [1, 3, 40])
def test_neither_order_nor_partitions_change_a_bit(spark: Any, rows: Path, whole: Reference, partitions: int) -> None:
    """Sorted by a feature in one case: then no partition is like another. Forty are merged in two steps."""
    from pyspark.sql import functions

    from driftd import spark as engine

    data = spark.read.parquet(str(rows)).orderBy(functions.rand(partitions))
    if partitions == 3:
        data = data.repartitionByRange(3, "amount").sortWithinPartitions("amount")

    assert engine.fit(data.repartition(partitions) if partitions != 3 else data, **HOW).hash == whole.hash


def test_without_times_too(spark: Any, rows: Path) -> None:
    from driftd import spark as engine

    features = ["amount", "plan", "score"]
    fitted = engine.fit(spark.read.parquet(str(rows)).select(features), prediction="score")

    assert fitted.hash == Reference.fit(pq.read_table(rows, columns=features), prediction="score", any_order=True).hash
    assert fitted.hash != Reference.fit(pq.read_table(rows, columns=features), any_order=True).hash


def test_partitions_without_rows_say_nothing(spark: Any) -> None:
    from driftd import spark as engine

    data = spark.createDataFrame(pa.table({"x": [1.0, 2.0, 2.0]})).repartition(8)

    assert engine.fit(data).hash == Reference.fit({"x": [2.0, 1.0, 2.0]}, any_order=True).hash
    with pytest.raises(ValueError, match="a reference needs at least one"):
        engine.fit(data.filter("x > 5"))


def test_columns_have_any_name(spark: Any) -> None:
    """Spark takes a dot for a field of a column, and capitals for nothing."""
    from driftd import spark as engine

    rows = pa.table({"a.b": [1.0, 2.0, 2.0], "x": [1.0, 2.0, 3.0], "X": [3.0, 1.0, 1.0], "größe °C`": ["ü", "ü", None]})

    fitted = engine.fit(spark.createDataFrame(rows))

    assert fitted.hash == Reference.fit(rows, any_order=True).hash


def test_what_cannot_be_counted_is_said_in_the_words_of_one_process(spark: Any, rows: Path) -> None:
    from driftd import spark as engine

    data = spark.read.parquet(str(rows))

    with pytest.raises(ValueError, match=r"^at: datetime64.* is a time, not a feature") as raised:
        engine.fit(data)
    assert "\n" not in str(raised.value)
    with pytest.raises(ValueError, match="there is no prediction column y; there are amount, age"):
        engine.fit(data.drop("at"), prediction="y")


def test_panes_of_an_archive_are_those_of_one_process_and_add_up_with_others(
    spark: Any, rows: Path, whole: Reference
) -> None:
    from pyspark.sql import functions

    from driftd import spark as engine

    how = {"pane": "1h", "timestamp": "at", "prediction": "score", "id": "session", "group": "session"}
    data = spark.read.parquet(str(rows))
    expected = merge_panes(whole, PaneFold.of(whole, **how)([pq.read_table(rows)]))
    shuffled = data.orderBy(functions.rand(1)).repartition(8)

    panes = engine.merge(engine.fold(shuffled, whole, model="churn", version="3", **how), whole)
    found = {row.pane_start: bytes(row.sketch) for row in panes.collect()}

    assert len(expected) == 501
    assert found == dict(expected)
    assert {(row.model, row.version) for row in panes.select("model", "version").distinct().collect()} == {
        ("churn", "3")
    }

    early = engine.fold(data.filter("age < 50"), whole, model="churn", version="3", **how)
    late = engine.fold(data.filter("age >= 50 or age is null"), whole, model="churn", version="3", **how)
    again = engine.merge(early.union(late), whole)
    assert {row.pane_start: bytes(row.sketch) for row in again.collect()} == found
    assert sum(Sketch.from_bytes(whole.layout, held).rows for held in found.values()) == ROWS


@pytest.mark.parametrize("name", ["fit_and_fold.py", "dask_parts.py"])
def test_the_examples_run(name: str, tmp_path: Path) -> None:
    """As the page says, each in a process of its own."""
    folder = installed()
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{folder}", "PYSPARK_PYTHON": sys.executable}
    ran = subprocess.run(
        [sys.executable, ROOT / "examples" / "spark" / name],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert ran.returncode == 0, ran.stderr
    assert "the same hash: True" in ran.stdout
