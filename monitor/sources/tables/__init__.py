"""Tables on disk as columns: CSV, Parquet, JSON lines."""

import os

# The pool that arrow has by itself gives memory back between chunks and has it zeroed anew for the next: a fifth of a fit.
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")  # heard when pyarrow is first imported
