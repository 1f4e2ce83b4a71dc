"""Tables on disk as columns: CSV, Parquet, JSON lines."""
