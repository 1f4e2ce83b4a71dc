"""From scores to alerts to retraining decisions. Pure: every decision is a value."""
