"""Ends what a test of the daemon leaves behind."""

from collections.abc import Iterator

import pytest

from tests.integration.daemon import DAEMONS


@pytest.fixture(autouse=True)
def no_daemon_left() -> Iterator[None]:
    """A test that fails half-way leaves its daemons running: end them here, not in whatever test comes next."""
    yield
    while DAEMONS:
        daemon = DAEMONS.pop()
        if daemon.running:
            daemon.kill()
