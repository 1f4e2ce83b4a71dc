"""Bytes to columns, one file a format."""
