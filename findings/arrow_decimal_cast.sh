#!/usr/bin/env bash
# pyarrow 26.0.1: the cast from decimal to float64 is not the nearest double. It multiplies by a power of ten, which no double
# holds: of the two-place decimals from 0.00 to 999.99 14 % come out one unit in the last place off, 0.35 among them as
# 0.35000000000000003. The cast of the same texts is exact, and so are Python's float(Decimal) and pandas' astype(float).
# What follows: a Parquet column of money and its CSV are different numbers; values that are common are found "unseen".
# Ends with 0 where this is so, with 1 where it has changed.
set -euo pipefail
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
python3 -m venv "$home/venv"
"$home/venv/bin/pip" install --quiet --disable-pip-version-check pyarrow==26.0.1
"$home/venv/bin/python" - <<'PYTHON'
import sys
from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc

values = [Decimal(cents) / 100 for cents in range(100_000)]
decimals = pa.array(values, pa.decimal128(9, 2))
cast = pc.cast(decimals, pa.float64()).to_pylist()
by_text = pc.cast(pc.cast(decimals, pa.string()), pa.float64()).to_pylist()
off = sum(found != float(value) for found, value in zip(cast, values))
off_by_text = sum(found != float(value) for found, value in zip(by_text, values))
print(f"pyarrow {pa.__version__}: cast(0.35) is {cast[35]!r}; {off:,} of {len(values):,} differ from float(Decimal), by way of text {off_by_text}")
seen = pa.__version__ == "26.0.1" and cast[35] == 0.35000000000000003 and off > 10_000 and off_by_text == 0
sys.exit(0 if seen else 1)
PYTHON
