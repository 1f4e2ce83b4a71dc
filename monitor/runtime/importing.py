"""Imports without what a library loads only if it is there, or without need."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from threading import Lock
from types import ModuleType
from typing import Any, cast


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


def later(name: str) -> None:
    """Let a module be loaded when it is first used, rather than when it is imported, unless it is loaded already.

    `importlib.util.LazyLoader` would load it at the second import.
    """
    sys.modules.setdefault(name, _LaterModule(name))


class _LaterModule(ModuleType):
    """Stands where a module would until one of its attributes is asked for."""

    _lock = Lock()

    def __getattr__(self, attribute: str) -> Any:
        name = self.__name__
        with self._lock:
            if sys.modules.get(name) is self:
                del sys.modules[name]
        return getattr(import_module(name), attribute)
