#!/usr/bin/env bash
# pyarrow 26.0.1 with polars 2.1.0: a column of texts that polars hands over through the Arrow C stream (`pa.table(frame)`) is a
# string_view, and there `unique` and `value_counts` turn what is missing into "": five rows "a", null, "", null, "b" have the
# values "a", "", "", "b", two of them alike, none null; "" is counted twice, once of 2. With polars' own `to_arrow()`, which
# makes large_string of it, and with dictionary_encode and group_by of either type, null stays null.
# What follows: the share of missing values of a feature is 0, and a category "" appears that nobody sent.
# Ends with 0 where this is so, with 1 where it has changed.
set -euo pipefail
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
python3 -m venv "$home/venv"
"$home/venv/bin/pip" install --quiet --disable-pip-version-check pyarrow==26.0.1 polars==2.1.0
"$home/venv/bin/python" - <<'PYTHON'
import sys

import polars
import pyarrow as pa
import pyarrow.compute as pc

frame = polars.DataFrame({"plan": ["a", None, "", None, "b"]})
streamed = pa.table(frame)["plan"]
converted = frame.to_arrow()["plan"]
views = pc.unique(streamed).to_pylist()
counts = [(pair["values"], pair["counts"]) for pair in pc.value_counts(streamed).to_pylist()]
texts = pc.unique(converted).to_pylist()
print(f"pyarrow {pa.__version__}, polars {polars.__version__}")
print(f"{streamed.type}: unique {views}, counts {counts}; {converted.type}: unique {texts}")
encoded = streamed.dictionary_encode().to_pylist()
grouped = pa.table({"plan": streamed, "rows": [1] * 5}).group_by("plan").aggregate([("rows", "sum")])["plan"].to_pylist()
print(f"{streamed.type}: dictionary_encode {encoded}, group_by {grouped}")
seen = (
    streamed.type == pa.string_view()
    and converted.type == pa.large_string()
    and views == ["a", "", "", "b"]
    and counts == [("a", 1), ("", 2), ("", 1), ("b", 1)]
    and texts == ["a", None, "", "b"]
    and encoded == ["a", None, "", None, "b"]
    and grouped == ["a", None, "", "b"]
)
sys.exit(0 if seen else 1)
PYTHON
