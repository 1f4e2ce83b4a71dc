"""Where events come from, and how bytes become columns."""
