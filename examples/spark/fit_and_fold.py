"""A reference fitted and an archive folded by Spark; then the same by one process. Run it: `python examples/spark/fit_and_fold.py`."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import SparkSession

import driftd
from driftd import spark as engine
from driftd.parts import PaneFold, merge_panes

draw = np.random.default_rng(7)
rows = 50_000
table = pa.table(
    {
        "amount": np.where(draw.random(rows) < 0.1, 49.9, draw.lognormal(3, 1, rows)),
        "plan": draw.choice(["free", "pro"], rows, p=[0.7, 0.3]),
        "score": draw.beta(2, 5, rows),
        "at": pa.array(1_763_870_700_000_000 + draw.integers(0, 14 * 86_400_000_000, rows), pa.timestamp("us", "UTC")),
    }
)

with TemporaryDirectory() as folder:
    path = str(Path(folder) / "archive.parquet")
    pq.write_table(table, path)
    spark = (
        SparkSession.builder.master("local[2]")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.sql.shuffle.partitions", "4")
        .getOrCreate()
    )
    archive = spark.read.parquet(path).repartition(8)

    reference = engine.fit(archive, prediction="score", timestamp="at", window="1h")
    reference.save("churn-3.json")

    how = {"pane": "1h", "timestamp": "at", "prediction": "score"}
    panes = engine.merge(engine.fold(archive, reference, model="churn", version="3", **how), reference)
    panes.write.mode("overwrite").parquet("panes.parquet")
    held = {row.pane_start: bytes(row.sketch) for row in spark.read.parquet("panes.parquet").collect()}
    spark.stop()

alone = driftd.Reference.fit(table, prediction="score", timestamp="at", window="1h", any_order=True)
print(f"{reference}, the same hash: {reference.hash == alone.hash}")
same = merge_panes(reference, PaneFold.of(reference, **how)([table])) == sorted(held.items())
print(f"{len(held)} panes, the same bytes: {same}")

first = driftd.Sketch.from_bytes(reference.layout, held[min(held)])
print(reference.compare(first, min_rows=50)["amount", "ks"])
