"""State and outbox on disk."""
