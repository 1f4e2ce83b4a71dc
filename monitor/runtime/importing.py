"""Imports without what a library loads only if it is there."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import cast


@contextmanager
def without(name: str) -> Iterator[None]:
    """Let a module seem absent to what is imported meanwhile, unless it is loaded already; after that it can be imported as ever."""
    hidden = name not in sys.modules
    if hidden:
        sys.modules[name] = cast("ModuleType", None)  # an import of it raises ImportError
    try:
        yield
    finally:
        if hidden:
            del sys.modules[name]
