"""Libraries that load another one only where it is there are told that it is not."""

import sys

import pytest

from monitor.runtime.importing import without


def test_what_is_hidden_cannot_be_imported_and_can_again_afterwards() -> None:
    with without("wave"), pytest.raises(ImportError):
        import wave
    import wave  # noqa: F401


def test_what_is_loaded_already_stays() -> None:
    with without("sys"):
        import sys as again
    assert again is sys
