"""What matters at a glance, from the board: how models, targets and topics stand."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from detectors.univariate import volume
from monitor.alerting.rules import Severity
from monitor.facts import AlertSeen, DeliveryTried, TrackPoint
from monitor.runtime.board import Board, SeriesBoard, SeriesTrack
from monitor.runtime.decisions import decided
from monitor.runtime.metrics import DaemonStatus
from monitor.series.scoring import DRIFT, INSUFFICIENT, WARNING
from monitor.series.tracks import HIGHEST, bounded, of_thresholds, read_points
from monitor.store.outbox import Backlog
from monitor.stream.events import MINUTE, Nanos, SeriesKey

PENDING_LONG: Nanos = 10 * MINUTE  # a notice that waits for longer is a target that does not take it
SEVERITIES = (Severity.CRITICAL, Severity.WARNING, Severity.INFO)  # from bad to good
LEAST_PATIENCE: Nanos = 10 * MINUTE  # with which a window, or event time, is waited for
NEAREST = 5  # features of a model that are named
DRAWN = 40  # points of the small line


class Condition(IntEnum):
    """How a model stands, from bad to good."""

    ALERTING = 0
    WARNING = 1
    INSUFFICIENT = 2
    STALE = 3
    WAITING = 4
    OK = 5


WORDS = {
    Condition.ALERTING: "alerting",
    Condition.WARNING: "near an alert",
    Condition.INSUFFICIENT: "too few rows",
    Condition.STALE: "no window of late",
    Condition.WAITING: "no window yet",
    Condition.OK: "quiet",
}


@dataclass(frozen=True, slots=True)
class SeriesGlance:
    """What the last window of a series comes to."""

    features: int  # the number of rows, which a rule may watch, is none
    drifting: int
    insufficient: int
    warning: int  # features, and the number of rows, that drift or nearly do
    nearest: tuple[tuple[str, float], ...]  # features with their largest score ÷ threshold, the largest first
    track: tuple[
        tuple[Nanos, float | None], ...
    ] = ()  # the ends of the last windows, each with the largest of all features

    @classmethod
    def of(cls, series: SeriesBoard, track: SeriesTrack) -> "SeriesGlance":
        """Counted once a window: `Glances` keeps it."""
        counts = Counter(series.states.values())
        warning = counts[DRIFT] + counts[WARNING]  # of the volume, too
        if volume.FEATURE in series.states:
            counts[series.states[volume.FEATURE]] -= 1
        return cls(
            counts.total(),
            counts[DRIFT],
            counts[INSUFFICIENT],
            warning,
            nearest(series, track),
            highest(tuple(track.windows)),
        )


def nearest(series: SeriesBoard, track: SeriesTrack) -> tuple[tuple[str, float], ...]:
    """The features that are nearest to an alert in the last window; by columns where the track names them."""
    if track.windows:
        last = clipped(of_thresholds([bounded(series.scores)], len(track.features))[0])
        places = np.argsort(np.where(np.isnan(last), np.inf, -last), kind="stable")[:NEAREST]
        return tuple((track.features[place], float(last[place])) for place in places.tolist() if last[place] >= 0)
    near = sorted(nearness_by_feature(series).items(), key=lambda pair: (-pair[1], pair[0]))
    return tuple(near[:NEAREST])


def clipped(ratios: NDArray[np.float64]) -> NDArray[np.float64]:
    """Score ÷ threshold, no higher than tracks hold: what is over a threshold of 0 is a number still."""
    return np.minimum(ratios, HIGHEST)


def highest(points: Sequence[TrackPoint]) -> tuple[tuple[Nanos, float | None], ...]:
    """The largest that any feature had, with its time, in at most so many steps up to now; None where nothing is known."""
    step = -(-len(points) // DRAWN)
    if not step:
        return ()
    kept = points[len(points) % step :]
    found = read_points(kept).astype(np.float32)  # halves are slow to compare
    near = np.where(np.isnan(found), -1, found).max(axis=1).reshape(-1, step).max(axis=1).tolist()
    ends = (point.end for point in kept[step - 1 :: step])
    return tuple((end, each if each >= 0 else None) for end, each in zip(ends, near, strict=True))


def nearness_by_feature(series: SeriesBoard) -> dict[str, float]:
    """Each feature's largest score ÷ threshold in the last window, where one is known."""
    found: dict[str, float] = {}
    for part in series.scores.parts:
        columns, _ = part.wanted()
        for feature, near in zip(columns.names, clipped(part.of_threshold()).tolist(), strict=True):
            if near == near:  # noqa: PLR0124 - not NaN
                found[feature] = max(near, found.get(feature, 0.0))
    return found


@dataclass(frozen=True, slots=True)
class ModelGlance:
    """One series: how it stands, its open incidents, its last window."""

    key: SeriesKey
    board: SeriesBoard
    glance: SeriesGlance
    incidents: tuple[AlertSeen, ...]
    pending: int  # alerts that are not open yet
    attended: bool = False  # somebody looks after each of its incidents
    stale: bool = False  # its last window is too old to say how it stands

    @property
    def condition(self) -> Condition:
        """How it stands."""
        if self.incidents:
            return Condition.ALERTING
        if self.board.window is None:
            return Condition.WAITING
        if self.stale:
            return Condition.STALE
        if self.pending or self.glance.warning:
            return Condition.WARNING
        judged = self.glance.features - self.glance.insufficient
        return Condition.OK if judged else Condition.INSUFFICIENT


@dataclass(slots=True)
class Glances:
    """What was counted of each series' last window, and is kept until the next one."""

    kept: dict[SeriesKey, tuple[SeriesBoard, SeriesGlance]] = field(default_factory=dict)

    def copy(self, board: Board, only: SeriesKey | None = None) -> Board:
        """This moment's board, with the tracks of the series, or of one, that closed a window since they were last looked at."""
        copied = board.copy()
        wanted = [(key, series) for key, series in board.series.items() if only in {None, key}]
        new = [key for key, series in wanted if self._known(key, series) is None]
        copied.tracks = {key: board.track(key) for key in new}
        return copied

    def models(self, board: Board, status: DaemonStatus) -> list[ModelGlance]:
        """All series of a board that was copied here, the worst first."""
        found = self._found(board, board.series, status)
        return sorted(found, key=lambda each: (each.condition, each.attended, *rank(each.incidents), str(each.key)))

    def model(self, board: Board, key: SeriesKey, status: DaemonStatus) -> ModelGlance | None:
        """One of them; None where it is not watched."""
        return next(iter(self._found(board, [key] if key in board.series else [], status)), None)

    def _found(self, board: Board, keys: Iterable[SeriesKey], status: DaemonStatus) -> list[ModelGlance]:
        opened: dict[SeriesKey, list[AlertSeen]] = {}
        pending: Counter[SeriesKey] = Counter()
        for alert in board.alerts.values():
            if alert.incident:
                opened.setdefault(alert.key, []).append(alert)
            else:
                pending[alert.key] += 1
        return [
            ModelGlance(
                key,
                board.series[key],
                self._of(key, board.series[key], board),
                tuple(ordered(opened.get(key, ()))),
                pending[key],
                key in opened and all(is_attended(board, each) for each in opened[key]),
                is_stale(board.series[key], patience(status, key), status.now()),
            )
            for key in keys
        ]

    def _of(self, key: SeriesKey, series: SeriesBoard, board: Board) -> SeriesGlance:
        found = self._known(key, series)
        if found is None:
            found = SeriesGlance.of(series, board.tracks.get(key) or SeriesTrack())
            self.kept[key] = series, found
        return found

    def _known(self, key: SeriesKey, series: SeriesBoard) -> SeriesGlance | None:
        known = self.kept.get(key)
        return known[1] if known is not None and known[0] is series else None


def patience(status: DaemonStatus, key: SeriesKey) -> Nanos:
    """How old event time, or a model's last window, may be before it is no longer of now."""
    return max(status.patience.get(key, 0), LEAST_PATIENCE)


def is_stale(series: SeriesBoard, patience: Nanos, now: Nanos) -> bool:
    """Whether its last window with rows ended too long ago."""
    return series.window is not None and now - series.window.end > patience


def rank(incidents: Sequence[AlertSeen]) -> tuple[int, Nanos]:
    """Where a model with these stands among others: by its worst, then its oldest."""
    return (SEVERITIES.index(incidents[0].severity), incidents[0].since or 0) if incidents else (len(SEVERITIES), 0)


def is_attended(board: Board, alert: AlertSeen) -> bool:
    """Whether somebody looks after it, or has silenced it."""
    by_people = decided(board, alert)
    return bool(by_people["acknowledged"] or by_people["silenced"])


def incidents(board: Board) -> list[AlertSeen]:
    """All that are open: those first that nobody looks after, then the worst, then the oldest."""
    every = ordered(alert for alert in board.alerts.values() if alert.incident)
    return sorted(every, key=lambda each: is_attended(board, each))


def ordered(alerts: Iterable[AlertSeen]) -> list[AlertSeen]:
    """The worst first, then the oldest."""
    return sorted(alerts, key=lambda each: (SEVERITIES.index(each.severity), each.since or 0, str(each.key)))


# --- the daemon's targets and topics ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TargetHealth:
    """How one target fares. `stuck`: it has not taken what it was sent, for long or for good."""

    name: str
    kind: str
    address: str
    pending: int
    oldest: Nanos | None  # age of what waits longest
    outcomes: Mapping[str, int]  # attempts since the daemon started
    last: DeliveryTried | None
    configured: bool = True  # False: it is owed something, and no longer a target

    @property
    def gave_up(self) -> bool:
        """Whether the last notice will not be tried again."""
        return self.last is not None and self.last.outcome in {"refused", "dead"}

    @property
    def stuck(self) -> bool:
        """Whether people are not told."""
        return self.gave_up or not self.configured or (self.oldest is not None and self.oldest > PENDING_LONG)


def targets(board: Board, status: DaemonStatus) -> list[TargetHealth]:
    """All targets, as configured, and after them those that are owed something though they no longer are."""
    counted: dict[str, dict[str, int]] = {}
    for (target, outcome), count in board.counters.get("driftd_target_deliveries_total", {}).items():
        counted.setdefault(target, {})[outcome] = count
    backlog, now = status.backlog(), status.now()
    found = []
    for name in (*status.targets, *sorted(backlog.keys() - set(status.targets))):
        waiting, last = backlog.get(name, Backlog(0, None)), board.deliveries.get(name)
        oldest = None if waiting.oldest is None else max(0, now - waiting.oldest)
        kind, address = status.addresses.get(name, ("", ""))
        ended, configured = counted.get(name, {}), name in status.targets
        found.append(TargetHealth(name, kind, address, waiting.pending, oldest, ended, last, configured))
    return found


def rejected(board: Board) -> Iterator[tuple[str, str, int]]:
    """Events rejected since the daemon started, by topic and reason, the commonest first."""
    counter: Counter[tuple[str, ...]] = board.counters.get("driftd_events_rejected_total", Counter())
    for (topic, reason), count in sorted(counter.items(), key=lambda pair: (-pair[1], pair[0])):
        yield topic, reason, count


@dataclass(frozen=True, slots=True)
class TopicHealth:
    """What has become of a topic's events since the daemon started, and how far behind driftd is."""

    topic: str
    outcomes: Mapping[str, int]
    lag: int | None  # over its partitions; None where no leader answers
    late_share: float | None  # over the last minutes

    @property
    def rejected(self) -> int:
        """Events that could not be used."""
        return self.outcomes.get("rejected", 0)


def topics(board: Board) -> list[TopicHealth]:
    """All topics, by name."""
    counted: dict[str, dict[str, int]] = {}
    for (topic, outcome), count in board.counters.get("driftd_events_total", {}).items():
        counted.setdefault(topic, {})[outcome] = count
    lags: dict[str, int] = {}
    for partition, lag in board.lags.items():
        lags[partition.topic] = lags.get(partition.topic, 0) + lag
    shares = {topic: late.share for topic, late in board.late.items()}
    names = sorted({*counted, *lags})
    return [TopicHealth(name, counted.get(name, {}), lags.get(name), shares.get(name)) for name in names]
