"""Where things go: state and outbox on disk, notifications to webhooks."""
