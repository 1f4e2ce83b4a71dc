#!/usr/bin/env bash
# PySpark 4.3.0: groupBy().applyInArrow takes a function of a table, or of a key and a table, and tells them apart by the number of
# arguments. It counts them by inspect.getfullargspec(...).args, which has `self` of an object with __call__ and of a bound method, so one
# of a table alone is called with a key and a table. mapInArrow takes the same kinds of callables, and so does the documentation's Callable.
# Seen: a function works; an object and a bound method, each of one table, end in "takes 2 positional arguments but 3 were given".
# What follows: hand a plain function to applyInArrow, one that calls the object.
# Needs Java 17. Ends with 0 where this is so, with 1 where it has changed.
set -euo pipefail
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
python3 -m venv "$home/venv"
"$home/venv/bin/pip" install --quiet --disable-pip-version-check pyspark==4.3.0 pyarrow==26.0.1 pandas==2.3.3
cd "$home"
"$home/venv/bin/python" - <<'PYTHON'
import os
import sys

import pyarrow as pa
import pyspark
from pyspark.sql import SparkSession

os.environ["PYSPARK_PYTHON"] = sys.executable


class Doubled:
    """An object that is called with one table, or with batches."""

    def __call__(self, table):
        return self.of(table)

    def of(self, table):
        return table.set_column(1, "x", pa.array([2 * x for x in table["x"].to_pylist()], pa.int64()))


class DoubledBatches:
    def __call__(self, batches):
        return (Doubled()(batch) for batch in batches)


def doubled(table):
    return Doubled()(table)


spark = (
    SparkSession.builder.master("local[1]")
    .config("spark.ui.enabled", "false")
    .config("spark.driver.host", "127.0.0.1")
    .config("spark.driver.bindAddress", "127.0.0.1")
    .config("spark.sql.shuffle.partitions", "1")
    .getOrCreate()
)
spark.sparkContext.setLogLevel("OFF")
data = spark.createDataFrame([(1, 10), (1, 20), (2, 30)], "k bigint, x bigint")
grouped = data.groupBy("k")


def outcome(made):
    try:
        return sorted(row.x for row in made().collect())
    except Exception as error:
        return next((line.strip() for line in str(error).splitlines() if "Error: " in line), repr(error))


found = {
    "mapInArrow, object": outcome(lambda: data.mapInArrow(DoubledBatches(), data.schema)),
    "applyInArrow, function": outcome(lambda: grouped.applyInArrow(doubled, data.schema)),
    "applyInArrow, object": outcome(lambda: grouped.applyInArrow(Doubled(), data.schema)),
    "applyInArrow, bound method": outcome(lambda: grouped.applyInArrow(Doubled().of, data.schema)),
}
spark.stop()
print(f"pyspark {pyspark.__version__}, pyarrow {pa.__version__}")
for what, came in found.items():
    print(f"{what}: {came}")
works = [20, 40, 60]
refused = "takes 2 positional arguments but 3 were given"
seen = (
    pyspark.__version__ == "4.3.0"
    and found["mapInArrow, object"] == found["applyInArrow, function"] == works
    and all(refused in found[f"applyInArrow, {name}"] for name in ("object", "bound method"))
)
sys.exit(0 if seen else 1)
PYTHON
