"""A child process that reads before the daemon does, in memory that is bounded: what kills it would have killed the daemon.

Its orders come as JSON on its standard input. What it has seen stands in a file that outlives it, whose number is its argument.
"""

import json
import os
import resource
import struct
import sys
from collections.abc import Callable, Mapping
from enum import IntEnum
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, KafkaException, TopicPartition

from monitor.clock import SystemClock
from monitor.sources.kafka.client import END, LOST, SILENT, UNREADABLE

SIGHTING = struct.Struct(
    "<qqq"
)  # stage, the first offset not brought, where a batch begins that the client cannot read
ANSWER = 10.0  # seconds for the leader's answer
OUT_OF_MEMORY = 3  # exit status


class Stage(IntEnum):
    """How far a scout has come."""

    SENT = 0
    READING = 1  # its memory is bounded
    THROUGH = 2  # it has seen what it was sent for, or read for as long as it was to
    UNREADABLE = 3  # the client could not read a batch
    LOST = 4  # the broker or the client was no help


def scout(orders: Mapping[str, Any], report: Callable[[Stage, int, int], None]) -> None:
    """Read one partition from an offset on: one message, or all that there are until time is over."""
    first, alone = orders["offset"], orders["alone"]
    consumer = Consumer(orders["properties"], logger=SILENT)
    place = TopicPartition(orders["topic"], orders["partition"], first)
    _, high = consumer.get_watermark_offsets(place, timeout=ANSWER)  # its leader is connected now
    _bound_memory(orders["growth"])
    report(Stage.READING, first, 0)
    consumer.incremental_assign([place])
    clock = SystemClock()
    ends = clock.elapsed() + orders["seconds"]
    while clock.elapsed() < ends:
        message: Any = consumer.poll(0.2)
        if message is None:
            continue
        error = message.error()
        if error is None:
            first = message.offset() + 1
            through = alone or first >= high
        elif error.code() in UNREADABLE:
            report(Stage.UNREADABLE, first, message.offset())
            return
        else:
            through = error.code() == END or error.code() in LOST
        report(Stage.THROUGH if through else Stage.READING, first, 0)
        if through:
            return
    if not alone:
        report(Stage.THROUGH, first, 0)


def _bound_memory(growth: int) -> None:
    """Let this process write to so many bytes more than now, and have it die first where the machine has not even these; without a core, for it holds secrets."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:  # not on Linux
        return
    [used] = [int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("VmData:")]
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = used + growth
    resource.setrlimit(resource.RLIMIT_DATA, (wanted if most == resource.RLIM_INFINITY else min(wanted, most), most))


def main() -> None:
    """Do as ordered, and end at once: nobody waits for the client to take its leave."""
    seen = int(sys.argv[1])

    def report(stage: Stage, first: int, begins: int) -> None:
        os.pwrite(seen, SIGHTING.pack(stage, first, begins), 0)

    try:
        scout(json.load(sys.stdin), report)
    except MemoryError:
        os._exit(OUT_OF_MEMORY)
    except (KafkaException, OSError, ValueError):
        report(Stage.LOST, 0, 0)
    os._exit(0)


if __name__ == "__main__":
    main()
