"""A replica at work: what it folds and sends, what it judges, and the state of that, which moves (ADR 41)."""
