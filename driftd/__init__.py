"""driftd as a library: `import driftd` has all of `detectors`, and the version; `driftd.emit` is for code that serves.

>>> import driftd
>>> driftd.Reference.fit({"age": [20, 30, 40]}).names
('age',)
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from detectors import *  # noqa: F403 - what the library exports is said once, there

    __version__: str
    __all__: list[str]


def __getattr__(name: str) -> Any:
    """What the library exports, imported when it is first asked for: serving code that only emits does without NumPy."""
    if name == "__version__":
        from importlib import metadata

        return metadata.version("driftd")
    if name.startswith("__") and name != "__all__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import detectors

    if name == "__all__":
        return ["__version__", *detectors.__all__]
    if name not in detectors.__all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(detectors, name)


def __dir__() -> list[str]:
    """The names there are."""
    return sorted({*globals(), *__getattr__("__all__")})
