"""driftd's daemon: Kafka events in, drift scores, alerts and retraining requests out."""
