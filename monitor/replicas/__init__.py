"""Replicas: what those that fold send, and what the owner of a model does with it. Pure: no broker, no clock (ADR 39)."""
