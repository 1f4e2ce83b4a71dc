"""The process: how its threads share the interpreter, and its own metrics.

These are had in few looks: each look at a file lets the interpreter go, and to get it back from the loop takes a while.
"""

import os
import resource
import sys
from collections.abc import Iterable
from pathlib import Path

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

PAGE = resource.getpagesize()  # bytes
STARTED = "process_start_time_seconds"
SWITCH = (
    0.001  # seconds after which the loop lets a thread have the interpreter that waits for it; Python's own is 5 ms
)
FILES = Path("/proc/self/fd")
MEMORY = Path("/proc/self/statm")


def share_interpreter() -> None:
    """Let threads of HTTP have the interpreter soon: an answer asks for it up to ten times."""
    sys.setswitchinterval(SWITCH)


class OwnProcess(Collector):
    """What prometheus_client's ProcessCollector says, under the same names; nothing where the system does not tell."""

    def __init__(self) -> None:
        theirs = ProcessCollector(registry=None).collect()
        self._started = [family for family in theirs if family.name == STARTED]  # it does not change

    def collect(self) -> Iterable[Metric]:
        """All of them."""
        try:
            virtual, resident = memory()
        except OSError:
            return []
        said: dict[str, tuple[str, float]] = {
            "process_virtual_memory_bytes": ("Virtual memory size in bytes.", virtual),
            "process_resident_memory_bytes": ("Resident memory size in bytes.", resident),
            "process_open_fds": ("Number of open file descriptors.", open_files()),
            "process_max_fds": (
                "Maximum number of open file descriptors.",
                resource.getrlimit(resource.RLIMIT_NOFILE)[0],
            ),
        }
        families: list[Metric] = [
            GaugeMetricFamily(name, meaning, value=value) for name, (meaning, value) in said.items()
        ]
        used = resource.getrusage(resource.RUSAGE_SELF)
        meaning = "Total user and system CPU time spent in seconds."
        return [
            *families,
            *self._started,
            CounterMetricFamily("process_cpu_seconds_total", meaning, used.ru_utime + used.ru_stime),
        ]


def memory() -> tuple[int, int]:
    """Bytes of virtual and of resident memory. Raises OSError where there is no /proc."""
    statm = os.open(MEMORY, os.O_RDONLY)  # a file object would look at it nine times, not three
    try:
        virtual, resident, *_ = os.read(statm, PAGE).split()
    finally:
        os.close(statm)
    return int(virtual) * PAGE, int(resident) * PAGE


def open_files() -> int:
    """How many files are open. Linux before 6.2 does not say so at once."""
    return FILES.stat().st_size or len(list(FILES.iterdir()))


def process_metrics() -> CollectorRegistry:
    """The process's own metrics: memory, CPU, open files."""
    registry = CollectorRegistry()
    registry.register(OwnProcess())
    PlatformCollector(registry=registry)
    return registry
