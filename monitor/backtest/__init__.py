"""Recorded events through the pipeline on a virtual clock: what would have been said, and nothing sent."""
