"""Kafka: assigned by hand, read live or by a range of time."""
