"""Detectors of one feature at a time, one a file."""
