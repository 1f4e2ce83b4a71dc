"""How many time series /metrics will have: an exposition is written of windows that hold the references themselves."""

from dataclasses import replace

from monitor.app import COMPILED, VERSION, build_board
from monitor.clock import SystemClock
from monitor.configuration import Configuration
from monitor.facts import LagMeasured, WatermarkAdvanced, WindowClosed
from monitor.runtime.board import Board
from monitor.runtime.metrics import DaemonStatus, Exposition
from monitor.runtime.process import process_metrics
from monitor.runtime.telemetry import Telemetry
from monitor.series.features import build
from monitor.series.history import SELF_LEARNT_VOLUME
from monitor.series.series import SeriesSpec
from monitor.stream.events import Partition
from monitor.stream.windows import ClosedWindow, SealedPane

PARTITIONS = 3  # of a topic: each has its lag, and how many there are is the broker's to say


def time_series(configuration: Configuration) -> int:
    """Time series of /metrics once every model has had a full window; what is counted by reason comes with the reasons."""
    clock, board = SystemClock(), build_board(configuration)
    for spec in configuration.specs:
        fill(board, spec)
    board.apply(WatermarkAdvanced(0))
    partitions = (
        Partition(topic.name, number) for topic in configuration.settings.topics for number in range(PARTITIONS)
    )
    board.apply(LagMeasured(tuple((partition, 0) for partition in partitions)))
    status = DaemonStatus(
        version=VERSION,
        now=clock.now,
        ready=lambda: None,
        other_committer=lambda: False,
        backlog=dict,
        targets=tuple(target.name for target in configuration.subscribers),
        started=clock.now(),
        compiled=COMPILED,
    )
    _, text = Exposition(Telemetry(board, clock.now).look, status, process_metrics()).answer("")
    return sum(not line.startswith(b"#") for line in text.splitlines())


def fill(board: Board, spec: SeriesSpec) -> None:
    """Judge a window of a series that holds its reference, so that every feature has scores."""
    scoring, operators = build(spec.key, spec.windows, replace(spec.judging, min_rows=1))
    length, sketch = spec.windows.length, spec.reference.sketch
    for number in range(SELF_LEARNT_VOLUME):  # windows before, so that the number of rows has a score
        scoring.history.add(WindowClosed(spec.key, (number - 1) * length, number * length, sketch.rows, ()))
    for operator in operators:
        operator.on_pane(SealedPane(0, length, sketch))
    for fact in scoring.tell(scoring.score(ClosedWindow(0, length, sketch)), standing={}):
        board.apply(fact)
