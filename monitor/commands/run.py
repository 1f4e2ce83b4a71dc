"""`driftd run`: the daemon, until it is told to stop."""

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from threading import Thread
from types import FrameType

from detectors import PluginError
from monitor.app import Daemon
from monitor.commands.arguments import usable_cores
from monitor.commands.exits import Exit
from monitor.configuration import Configuration, ReferenceAwayError, load
from monitor.failpoints import VARIABLE, arm
from monitor.replica import Replica
from monitor.runtime.loop import calm_collector
from monitor.runtime.process import share_interpreter
from monitor.runtime.telemetry import configure_logging
from monitor.settings import ConfigError, Settings, load_settings
from monitor.sources.base import SourceError
from monitor.store.references import KeptReferences
from monitor.store.sqlite import StateError


def run(config: Path, threads: int | None = None) -> Exit:
    """Run until SIGTERM, SIGINT or SIGHUP, reading and counting on so many threads; None: on as many as there are cores."""
    threads = threads or usable_cores()
    settings = load_settings(config)
    base = config.resolve().parent
    configure_logging(settings.log.level, settings.log.format)
    settings = with_absolute_state(settings, base)
    make_fail(os.environ.get(VARIABLE))
    try:
        kept = KeptReferences(settings.state)
        configuration = load(settings, base, file=config, kept=kept)
    except ReferenceAwayError as error:  # the supervisor tries again
        return cannot(str(error))
    try:
        daemon = started(configuration, threads)
    except StateError as error:
        return cannot(str(error))
    except OSError as error:
        return cannot(f"http: {settings.http.host}:{settings.http.port} cannot be bound: {error.strerror or error}")
    kept.forget_others()  # the state is ours

    def stop(_signal: int, _frame: FrameType | None) -> None:
        daemon.stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # of nohup
        signal.signal(signal.SIGHUP, stop)
    warm_up(configuration)
    calm_collector()
    share_interpreter()
    try:
        daemon.run()
    except (SourceError, StateError) as error:
        return cannot(str(error))
    return Exit.OK


def started(configuration: Configuration, threads: int) -> Daemon | Replica:
    """The daemon, or one of several. Raises ConfigError, StateError, and OSError for the port."""
    if configuration.settings.replicas is not None:
        return Replica.start(configuration)
    return Daemon.start(configuration, threads=threads)


def make_fail(step: str | None) -> None:
    """Let a step fail, as a test wants it, and say so. Raises ConfigError."""
    try:
        failpoint = arm(step)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    if failpoint is not None:
        print(f"driftd: {VARIABLE} is set, which is for tests alone: {step}", file=sys.stderr, flush=True)


def warm_up(configuration: Configuration) -> Thread:
    """Compare a reference with itself in a thread: the detectors' imports (0.3 s) are done before the first window."""
    reference = configuration.specs[0].reference

    def compare() -> None:
        with suppress(PluginError):  # the first window says it
            reference.compare(reference.sketch)

    thread = Thread(target=compare, name="warm-up", daemon=True)
    thread.start()
    return thread


def with_absolute_state(settings: Settings, base: Path) -> Settings:
    """Paths are relative to the configuration file, the state's too."""
    absolute: dict[str, object] = {"state": base / settings.state}
    if settings.reports is not None and settings.reports.folder is not None:
        absolute["reports"] = settings.reports.model_copy(update={"folder": base / settings.reports.folder})
    kept = settings.dead_letters
    if kept is not None and kept.directory is not None:
        absolute["dead_letters"] = kept.model_copy(update={"directory": base / kept.directory})
    return settings.model_copy(update=absolute)


def cannot(why: str) -> Exit:
    """Say in one line why it cannot go on."""
    print(f"driftd: {why}", file=sys.stderr)
    return Exit.CANNOT_GO_ON
