"""A topic's messages to batches: what is the same whatever their format."""
