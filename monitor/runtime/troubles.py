"""What keeps driftd from seeing or telling: in a line each, and what to do."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from monitor.explain.figures import share, thousands
from monitor.html.figures import clock
from monitor.runtime.board import Board
from monitor.runtime.glance import LEAST_PATIENCE, ModelGlance, TargetHealth, patience, targets
from monitor.runtime.metrics import DaemonStatus
from monitor.stream.events import MINUTE, Nanos

NAMED = 3  # models or partitions in a line
FEW = 100.0  # events, below which a share says nothing
MOST = 0.5  # of the events of the last minutes
NEXT_TO_NOTHING = 0.001  # same


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is wrong with the daemon or around it: in a line, and what to do."""

    what: str
    todo: str


def troubles(board: Board, models: Sequence[ModelGlance], status: DaemonStatus) -> list[Trouble]:
    """Everything that keeps driftd from seeing or telling, the worst first."""
    return [
        *_of_the_daemon(status),
        *_of_the_broker(board, status),
        *_of_event_time(board, models, status),
        *_of_detectors(board),
        *_of_late_events(board),
        *_of_lost_events(status.outcomes()),
        *(_of_target(each) for each in targets(board, status) if each.stuck),
    ]


def _of_the_daemon(status: DaemonStatus) -> Iterator[Trouble]:
    if (why := status.ready()) is not None:
        yield Trouble(f"driftd is not ready: {why}", "see its log; nothing is lost, what was not saved is read again")
    if status.other_committer():
        yield Trouble(
            "another process commits under driftd's group",
            "stop the second daemon, or give it a kafka.group_id of its own",
        )
    for place, why in status.stood_in.items():
        yield Trouble(
            f"the registry {why}: {place} is the reference that was kept at the last start that had it",
            "once the registry answers, restart driftd: it looks whether there is another",
        )


# --- the broker -------------------------------------------------------------------------------------------------------


def _of_the_broker(board: Board, status: DaemonStatus) -> Iterator[Trouble]:
    silent: dict[str, dict[int, Nanos]] = {}
    for partition, since in board.unreachable.items():
        silent.setdefault(partition.topic, {})[partition.index] = since
    for topic, since_by_index in sorted(silent.items()):
        oldest = minutes(status.now() - min(since_by_index.values()))
        yield Trouble(_unanswered(topic, sorted(since_by_index)), f"see the broker; silent for {oldest}")
    if board.waiting is not None:
        topics = named([topic for topic, _ in board.waiting.records])
        many, waited = sum(count for _, count in board.waiting.records), minutes(status.now() - board.waiting.since)
        yield Trouble(
            f"{many:,} records of {topics} wait: {board.waiting.why}", f"none is lost; they wait for {waited}"
        )
    if board.topics_missing:
        yield Trouble(
            f"topics missing at the broker: {board.topics_missing}", "create them, or mend topics[].name; driftd waits"
        )


def _unanswered(topic: str, indices: Sequence[int]) -> str:
    if len(indices) == 1:
        return f"the leader of {topic}/{indices[0]} does not answer"
    return f"the leaders of {len(indices)} partitions of {topic} do not answer: {named(list(map(str, indices)))}"


# --- event time -------------------------------------------------------------------------------------------------------


def _of_event_time(board: Board, models: Sequence[ModelGlance], status: DaemonStatus) -> Iterator[Trouble]:
    waited = min((patience(status, each.key) for each in models), default=LEAST_PATIENCE)
    since = status.started if board.watermark is None else board.watermark
    if status.ready() is None and status.now() - since > waited:
        yield _standing_still(board, status)
    if left := sorted(str(each.key) for each in models if _is_left_behind(board, each, status)):
        many = "1 model has" if len(left) == 1 else f"{len(left)} models have"
        yield Trouble(
            f"{many} had no window with rows for long while event time went on: {named(left)}",
            "see that events of that model and version still come; where they rest it is no fault, and what is out of use can leave the configuration",
        )


def _standing_still(board: Board, status: DaemonStatus) -> Trouble:
    """Event time is old: nothing comes, or driftd is far behind. Where a topic rests at night it is no fault."""
    if board.watermark is None:
        stands = f"no event time has come since driftd started at {clock(status.started)} UTC: nothing is judged"
    else:
        stands = f"event time stands at {clock(board.watermark)} UTC: nothing newer is judged"
    if waiting := sum(board.lags.values()):
        return Trouble(
            f"{stands}, and {thousands(waiting)} events wait",
            "see that the lag falls, then driftd catches up by itself; else that producers stamp events with the time of now",
        )
    return Trouble(
        stands, "see that producers write, and stamp events with the time of now; where a topic rests it is no fault"
    )


def _is_left_behind(board: Board, model: ModelGlance, status: DaemonStatus) -> bool:
    """Whether event time has gone on without a window of this model."""
    waited = patience(status, model.key)
    if board.watermark is None:
        return False
    if model.board.window is None:  # while old events are caught up with, its own may still come
        return status.now() - status.started > waited and status.now() - board.watermark <= waited
    return board.watermark - model.board.window.end > waited


def _of_detectors(board: Board) -> Iterator[Trouble]:
    """Detectors of others that failed on the last window of a series."""
    for (key, _), failed in sorted(board.failed.items()):
        series = board.series.get(key)
        if series is not None and series.window is not None and series.window.end == failed.end:
            yield Trouble(
                f"{failed.why}: on the last window of {key} its scores are not known, and alerts on them stand still",
                "mend the detector and restart driftd",
            )


# --- what becomes of events, and of notices ---------------------------------------------------------------------------


def _of_late_events(board: Board) -> Iterator[Trouble]:
    for topic, late in sorted(board.late.items()):
        if late.many and late.share is not None:
            yield Trouble(f"{share(late.share)} of the events of {topic} are late and not counted", late.cause)


def _of_lost_events(outcomes: Mapping[str, Mapping[str, float]]) -> Iterator[Trouble]:
    for topic, counts in sorted(outcomes.items()):
        every = sum(counts.get(outcome, 0.0) for outcome in ("ok", "excluded", "late", "rejected", "unmonitored"))
        if every < FEW:
            continue
        if (refused := counts.get("rejected", 0.0) / every) > MOST:
            yield Trouble(
                f"{share(refused)} of the last minutes' events of {topic} are rejected",
                "feed one of its messages to driftd explain: it says what is wrong, field by field",
            )
        elif (foreign := counts.get("unmonitored", 0.0) / every) > 1 - NEXT_TO_NOTHING:
            yield Trouble(
                f"{share(foreign)} of the last minutes' events of {topic} are of no model that is configured",
                "see models[].name and models[].version: a new version needs a reference of its own",
            )


def _of_target(target: TargetHealth) -> Trouble:
    if not target.configured:
        return _unclaimed(target)
    waits = f"; {target.pending} wait, the oldest for {minutes(target.oldest)}" if target.oldest is not None else ""
    said = f": {target.last.detail}" if target.last is not None and target.last.detail else ""
    again = "that notice is not tried again" if target.gave_up else "driftd tries again by itself"
    return Trouble(f"{target.name} does not take what it is told{said}{waits}", f"see the receiver; {again}")


def _unclaimed(target: TargetHealth) -> Trouble:
    """What waits for a target that was renamed or removed."""
    oldest = "" if target.oldest is None else f", the oldest for {minutes(target.oldest)}"
    many = "1 notice waits" if target.pending == 1 else f"{thousands(target.pending)} notices wait"
    return Trouble(
        f"{many} for {target.name}, which is no longer a target{oldest}",
        f"driftd outbox retry --target {target.name} --to NAME gives them to another, driftd outbox drop to nobody",
    )


# --- words ------------------------------------------------------------------------------------------------------------


def minutes(span: Nanos) -> str:
    """A span in whole minutes."""
    return f"{max(span, 0) // MINUTE} min"


def named(names: Sequence[str]) -> str:
    """The first of some names.

    >>> named(["0", "1"]), named(["0", "1", "2", "3", "4"])
    ('0, 1', '0, 1, 2 and 2 more')
    """
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")
