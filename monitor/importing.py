"""Imports without what a library loads only if it is there, or without need; and without what each dataclass has for itself."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import find_spec
from reprlib import recursive_repr
from threading import Lock
from types import ModuleType
from typing import Any


@contextmanager
def without(name: str) -> Iterator[None]:
    """Let a module seem absent to what is imported meanwhile, unless it is loaded already; after that it can be imported as ever."""
    finder = _AbsentFinder(name)
    if name not in sys.modules:
        sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        if finder in sys.meta_path:
            sys.meta_path.remove(finder)


class _AbsentFinder(MetaPathFinder):
    """Says that a module is not there. None in its place in `sys.modules` would do for Python, but not for what Cython compiled."""

    def __init__(self, name: str) -> None:
        self._name = name

    def find_spec(self, fullname: str, _path: Sequence[str] | None = None, _target: object = None) -> None:
        if fullname == self._name:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)


def later(name: str) -> None:
    """Let a module be loaded when it is first used, rather than when it is imported, unless it is loaded already.

    A module inside it counts as a use. `importlib.util.LazyLoader` would load it at the second import.
    """
    spec = find_spec(name) if name not in sys.modules else None
    if spec is not None:
        sys.modules[name] = _LaterModule(spec)
        sys.meta_path.insert(0, _InsideFinder(name))


class _LaterModule(ModuleType):
    """Stands where a module would until one of its attributes is asked for, or set."""

    _lock = Lock()

    def __init__(self, spec: ModuleSpec) -> None:
        super().__init__(spec.name)
        places = spec.submodule_search_locations
        vars(self).update(__spec__=spec, **({} if places is None else {"__path__": places}))

    def __getattr__(self, attribute: str) -> Any:
        return getattr(self._loaded(), attribute)

    def __setattr__(self, attribute: str, value: Any) -> None:
        setattr(self._loaded(), attribute, value)

    def __delattr__(self, attribute: str) -> None:
        delattr(self._loaded(), attribute)

    def __dir__(self) -> list[str]:
        return dir(self._loaded())

    def _loaded(self) -> ModuleType:
        """The module itself."""
        name = self.__name__
        with self._lock:
            if sys.modules.get(name) is self:
                del sys.modules[name]
        return import_module(name)


class _InsideFinder(MetaPathFinder):
    """Lets the module be loaded before one inside it is, which it often loads itself: that is not to be there twice."""

    def __init__(self, name: str) -> None:
        self._name = name

    def find_spec(self, fullname: str, _path: Sequence[str] | None = None, _target: object = None) -> ModuleSpec | None:
        outer = sys.modules.get(self._name)
        if not fullname.startswith(f"{self._name}.") or not isinstance(outer, _LaterModule):
            return None
        dir(outer)
        inner = sys.modules.get(fullname)
        if inner is None:
            return None
        # Python prefers the spec of a module that came to be there while it was looked for.
        inner.__spec__ = ModuleSpec(fullname, _LoadedAlready(inner), is_package=hasattr(inner, "__path__"))
        return inner.__spec__


class _LoadedAlready(Loader):
    """Gives an import the module that is there."""

    def __init__(self, module: ModuleType) -> None:
        self._module = module
        self._spec = module.__spec__

    def create_module(self, _spec: ModuleSpec) -> ModuleType:
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec


# --- dataclasses ----------------------------------------------------------------------------------------------------


def share_generated(*packages: str) -> None:
    """Let the dataclasses of these packages share what Python makes for each of them alike, 4 kB a class: there are a thousand.

    These are the two functions by which a frozen one refuses to be changed, which in Python 3.11 keep alive the class that was
    there before its slots, and the text of its fields. What they do is the same. Takes modules that are imported from now on.
    """
    sys.meta_path.insert(0, _SharingFinder(packages))


class _SharingFinder(MetaPathFinder):
    """Finds the modules of some packages as ever, to be loaded by a loader of ours."""

    def __init__(self, packages: Sequence[str]) -> None:
        self._packages = frozenset(packages)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] not in self._packages:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and type(spec.loader) is SourceFileLoader:
            spec.loader = _SharingLoader(spec.loader.name, spec.loader.path)
        return spec


class _SharingLoader(SourceFileLoader):
    """Loads a module, and has its dataclasses share."""

    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        for each in list(vars(module).values()):
            if isinstance(each, type) and each.__module__ == module.__name__:
                _share(each)


def _share(kind: type) -> None:
    own: Any = vars(kind)
    made = own.get("__dataclass_params__")
    if made is None:
        return
    if made.frozen:  # then Python allows no others
        kind.__setattr__ = _refuse_to_set  # type: ignore[assignment]
        kind.__delattr__ = _refuse_to_delete  # type: ignore[assignment]
    written = getattr(own.get("__repr__"), "__wrapped__", None)
    if written is not None and written.__code__.co_filename == "<string>":
        kind.__repr__ = _show  # type: ignore[assignment]


def _owner(of: object, name: str, shared: object) -> type:
    """The class that has what is shared, of which the object's own is perhaps a kind."""
    return next(kind for kind in type(of).__mro__ if vars(kind).get(name) is shared)


def _refuse_to_set(self: Any, name: str, value: object) -> None:
    owner: Any = _owner(self, "__setattr__", _refuse_to_set)
    _refuse(self, owner, name, "assign to")
    super(owner, self).__setattr__(name, value)


def _refuse_to_delete(self: Any, name: str) -> None:
    owner: Any = _owner(self, "__delattr__", _refuse_to_delete)
    _refuse(self, owner, name, "delete")
    super(owner, self).__delattr__(name)


def _refuse(of: object, owner: Any, name: str, what: str) -> None:
    from dataclasses import FrozenInstanceError, fields

    if type(of) is owner or any(name == each.name for each in fields(owner)):
        raise FrozenInstanceError(f"cannot {what} field {name!r}")


@recursive_repr()
def _show(self: Any) -> str:
    from dataclasses import fields

    owner: Any = _owner(self, "__repr__", _show)
    shown = ", ".join(f"{each.name}={getattr(self, each.name)!r}" for each in fields(owner) if each.repr)
    return f"{type(self).__qualname__}({shown})"
