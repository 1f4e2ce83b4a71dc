"""Libraries that load another one only where it is there are told that it is not; what is imported for nothing waits."""

import pickle
import subprocess
import sys
from dataclasses import FrozenInstanceError, dataclass, field, replace

import pytest

from monitor import importing
from monitor.facts import OffsetsExpired
from monitor.importing import later, without
from monitor.stream.events import Partition


def test_what_is_hidden_cannot_be_imported_and_can_again_afterwards() -> None:
    with without("wave"), pytest.raises(ImportError):
        import wave
    import wave  # noqa: F401


def test_what_is_loaded_already_stays() -> None:
    with without("sys"):
        import sys as again
    assert again is sys


def test_a_later_module_is_loaded_when_something_of_it_is_used() -> None:
    program = (
        "import sys; from monitor.importing import later; later('wave'); import wave; import wave as again; "
        "before = 'open' in vars(wave); wave.open; import wave as after; from wave import Error; "
        "print(before, again is wave, after is sys.modules['wave'], after.open is wave.open, Error is after.Error)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["False", "True", "True", "True", "True"]


def test_a_later_package_has_its_modules() -> None:
    program = (
        "import asyncio, sys, monitor; from monitor.importing import later; later('wsgiref'); import wsgiref.headers; "
        "print('_LaterModule' in str(type(sys.modules['wsgiref'])), wsgiref.headers.Headers.__name__)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["False", "Headers"]


def test_a_module_inside_one_that_was_put_off_is_there_once() -> None:
    """As plugins and libraries import it: a second one would have classes of its own, which no `except` of the first catches."""
    program = (
        "import sys, monitor, asyncio; early = 'asyncio.exceptions' in sys.modules; from asyncio.exceptions import CancelledError; "
        "import asyncio.subprocess; import asyncio as after; spec = after.exceptions.__spec__; "
        "print(early, after.CancelledError is CancelledError, after.exceptions is sys.modules['asyncio.exceptions'], "
        "type(spec.loader).__name__, after.subprocess.PIPE, asyncio.CancelledError is CancelledError)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["False", "True", "True", "SourceFileLoader", "-1", "True"]


def test_what_is_set_on_a_later_module_is_set_on_the_module() -> None:
    """As libraries patch it: the name they have may stand for it still."""
    program = (
        "import monitor, asyncio; asyncio.run = 5; import asyncio as after; print(after is asyncio, after.run, 'gather' in dir(asyncio)); "
        "asyncio.mine = 1; del asyncio.mine; print(hasattr(after, 'mine'))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["False", "5", "True", "False"]


def test_a_later_module_can_be_looked_for() -> None:
    program = (
        "import sys, importlib.util as util, monitor; print(util.find_spec('asyncio').name, 'asyncio.events' in sys.modules); "
        "from monitor.importing import later; later('no_such_module'); print(util.find_spec('no_such_module'))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["asyncio", "False", "None"]


def test_what_is_loaded_already_is_not_put_off() -> None:
    later("sys")
    import sys as again

    assert again is sys


# --- dataclasses ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FrozenPlace:
    """As ours are."""

    topic: str
    index: int = 0
    secret: str = field(default="hidden", repr=False)


@dataclass(frozen=True)
class OpenPlace:
    """Without slots, so that what is made of it may have more."""

    topic: str


class NamedPlace(OpenPlace):
    """No dataclass itself."""


@dataclass
class LinkedPlace:
    """Holds perhaps itself."""

    next: "LinkedPlace | None" = None


@dataclass(frozen=True)
class WordedPlace(OpenPlace):
    """Says itself what it is."""

    def __repr__(self) -> str:
        return "a place"


KINDS = (FrozenPlace, OpenPlace, NamedPlace, LinkedPlace, WordedPlace)


def what_they_do() -> list[str]:
    """What comes of trying each thing that is shared, in words."""
    linked = LinkedPlace()
    linked.next = linked
    named = NamedPlace("events")
    named.alias = "e"  # type: ignore[attr-defined]
    told = [*map(repr, (FrozenPlace("events", 3), OpenPlace("e"), named, linked, WordedPlace("w")))]
    for of, name in (
        (FrozenPlace("e"), "index"),
        (OpenPlace("e"), "other"),
        (named, "topic"),
        (WordedPlace("w"), "topic"),
    ):
        for change in (lambda of, name: setattr(of, name, 1), delattr):
            with pytest.raises(FrozenInstanceError) as refused:
                change(of, name)
            told.append(str(refused.value))
    del named.alias  # type: ignore[attr-defined]
    return [*told, str(hasattr(named, "alias")), repr(replace(FrozenPlace("a"), index=2))]


def test_what_dataclasses_share_does_as_what_python_makes_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    before = what_they_do()
    for kind in KINDS:
        for name in ("__setattr__", "__delattr__", "__repr__"):
            if name in vars(kind):
                monkeypatch.setattr(kind, name, vars(kind)[name])  # comes back as it is
        importing._share(kind)

    assert FrozenPlace.__setattr__ is OpenPlace.__setattr__
    assert "hidden" not in repr(FrozenPlace("a"))
    assert what_they_do() == before


def test_our_dataclasses_share() -> None:
    """Those of modules that were imported after `monitor` itself, which is first."""
    fact = OffsetsExpired(Partition("events", 1), 7)

    assert vars(OffsetsExpired)["__setattr__"] is importing._refuse_to_set
    assert repr(fact) == "OffsetsExpired(partition=Partition(topic='events', index=1), first=7)"
    assert pickle.loads(pickle.dumps(fact)) == fact
