"""Libraries that load another one only where it is there are told that it is not; what is imported for nothing waits."""

import subprocess
import sys

import pytest

from monitor.importing import later, without


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
