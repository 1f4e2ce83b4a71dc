"""What keeps the daemon going: the loop, checkpoints, telemetry, HTTP, shutdown."""
