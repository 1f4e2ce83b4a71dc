"""From measured costs to a plan: replicas, partitions, bytes between them, memory and cores, for a rate of events and a number of models.

Arithmetic, no measurement: the costs are those that `docs/SCALING.md` shows with their commands, and each can be given. Nothing here has run at these sizes.
"""

import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.measure import options, write

PREFIX_BYTES = {
    1: 300,
    10: 671,
    100: 1_862,
    1_000: 3_364,
    10_000: 4_824,
}  # rows, and bytes as sent: 20 features, one pane
DEFAULTS = {
    "event": 2.6,  # µs of processor time: client, decoding, folding
    "prefix": 130.0,  # µs a judge: read, merged, judged
    "progress": 100.0,  # µs a judge
    "judging": 2.2,  # ms a judge, a model and window: 20 features, charts, facts
    "window": 60.0,  # s
    "model": 3.8,  # MB a judge, a model in one partition
    "part": 0.08,  # MB more for each further partition
    "flush": 10.0,  # s
    "cell": 500_000,  # offsets
    "spread": 1,  # partitions a model lies in
    "busy": 0.6,  # of a core, so that there is room to catch up
    "reads": 50_000,  # events/s a partition at most
}
EVENT_BYTES = 592
SCENARIOS = [(rate, models) for rate in (10**6, 10**7, 10**8) for models in (100, 100_000)]


@dataclass(frozen=True, slots=True)
class Costs:
    """What an event, a prefix, a progress (µs), a window (ms) and a model (MB) cost; how often is sent, and how full a core may be."""

    event: float
    prefix: float
    progress: float
    judging: float
    window: float
    model: float
    part: float
    flush: float
    cell: float
    spread: float
    busy: float
    reads: float


@dataclass(frozen=True, slots=True)
class Plan:
    """How many of each; `prefixes` a second over all partitions, `sent` in bytes a second, `memory` of all judges in MB."""

    folders: int
    partitions: int
    prefixes: float
    sent: float
    judges: int | None  # None: no number of them will do
    memory: float

    @property
    def cores(self) -> int | None:
        """What has to be paid for, brokers apart."""
        return None if self.judges is None else self.folders + self.judges


def planned(rate: float, models: int, costs: Costs) -> Plan:
    """The plan of one rate, its events even over partitions and models."""
    folders = math.ceil(rate * costs.event / 1e6 / costs.busy)
    partitions = max(2 * folders, math.ceil(rate / costs.reads))
    spread = min(max(costs.spread, partitions / models), partitions)  # of few models each has to lie in several
    sends, prefixes, rows = sending(rate / partitions, models * spread / partitions, costs)
    prefixes *= partitions
    shared = prefixes * costs.prefix / 1e6 + models * costs.judging / 1e3 / costs.window  # cores, among the judges
    hearing = (
        costs.busy - partitions * sends * costs.progress / 1e6
    )  # of each judge's core, less what every judge hears
    judges = math.ceil(shared / hearing) if hearing > 0 else None
    memory = models * (costs.model + (spread - 1) * costs.part)
    return Plan(folders, partitions, prefixes, prefixes * bytes_of(rows), judges, memory)


def sending(rate: float, present: float, costs: Costs) -> tuple[float, float, float]:
    """Of one partition: how often is sent a second, how many prefixes that are, and how many rows each has on average.

    At each flush and at the end of each cell those models are sent of which something came since; each with all its rows of the cell.
    """
    sends = 1 / costs.flush + rate / costs.cell
    among = -present * math.expm1(-rate / sends / present)
    in_cell = max(1.0, costs.cell / rate / costs.flush)
    return sends, sends * among, max(1.0, costs.cell / present) * (1 + 1 / in_cell) / 2


def bytes_of(rows: float) -> float:
    """Bytes of a prefix of so many rows, between the measured ones by their logarithm."""
    known = sorted(PREFIX_BYTES)
    if rows >= known[-1]:
        return PREFIX_BYTES[known[-1]]
    above = next(each for each in known if each > rows)
    below = max((each for each in known if each <= rows), default=known[0])
    share = math.log(rows / below) / math.log(above / below)
    return PREFIX_BYTES[below] + share * (PREFIX_BYTES[above] - PREFIX_BYTES[below])


def rows_of(costs: Costs) -> Iterator[str]:
    """The table of the page."""
    for rate, models in SCENARIOS:
        plan = planned(rate, models, costs)
        yield (
            f"| {rate / 1e6:,.0f} M | {models:,} | {plan.folders:,} | {plan.partitions:,} | {plan.prefixes:,.0f} | {plan.sent / 1e6:,.1f} MB/s, "
            f"{100 * plan.sent / rate / EVENT_BYTES:.2f} % | {'none will do' if plan.judges is None else plan.judges} | {plan.memory / 1e3:,.1f} GB | {plan.cores or '–'} |"
        )


def main() -> None:
    """The table."""
    parser = options(__doc__)
    for name, usual in DEFAULTS.items():
        parser.add_argument(f"--{name}", type=float, default=usual)
    given = parser.parse_args()
    rows = list(rows_of(Costs(**{name: getattr(given, name) for name in DEFAULTS})))
    print("\n".join(rows))
    write(given.json, {"rows": rows})


if __name__ == "__main__":
    main()
