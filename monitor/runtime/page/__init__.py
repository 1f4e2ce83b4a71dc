"""The status page: rendered on the threads of HTTP, from a board as it was at one moment. The loop renders nothing."""
