"""Keeps what features look like beside the reference: each that alarmed as it was then, those asked for over the whole recording."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

import numpy as np

from detectors import FeatureBaseline, PackedSketch, Reference
from detectors.distribution import distribution_of
from monitor.alerting.episodes import Evidence
from monitor.alerting.rules import CONTRACT_RULE, FROZEN_RULE, SCHEMA_RULE
from monitor.backtest.result import Picture
from monitor.stream.events import Nanos

OF_ROWS = frozenset({CONTRACT_RULE, FROZEN_RULE, SCHEMA_RULE})  # whose counts are of rows, or a value, and not of bins
MOST = 200  # features of a series that are shown
ALARM, RECORDING = "alarm", "recording"


@dataclass(frozen=True, slots=True)
class Kept:
    """A feature in an alarm, to be drawn at the end: how far over its threshold, its baseline and its counts then."""

    excess: float
    feature: FeatureBaseline
    counts: bytes
    at: Nanos
    rule: str

    @property
    def picture(self) -> Picture:
        """What it looked like."""
        counts = np.frombuffer(self.counts, "<i8").astype(np.int64)
        return Picture(replace(distribution_of(self.feature, counts), now=ALARM), self.at, self.rule)


class Pictures:
    """Those of one series. `wanted` are names or globs of features that are shown whether or not they alarm."""

    def __init__(self, reference: Reference, wanted: Sequence[str] = ()) -> None:
        self._features: Mapping[str, FeatureBaseline] = reference.features
        self._layout = reference.layout
        self._wanted = [name for name in reference.names if any(fnmatchcase(name, each) for each in wanted)]
        self._whole = np.zeros(reference.layout.size if self._wanted else 0, dtype=np.int64)
        self._until: Nanos | None = None  # windows are added up to here
        self._window: PackedSketch | None = None  # the last
        self._alarms: dict[str, Kept] = {}

    def learn(self, reference: Reference) -> None:
        """From here on the series is held against another reference, on the same layout."""
        self._features = reference.features

    def see(self, counts: PackedSketch | None, start: Nanos, end: Nanos) -> None:
        """A window was judged. Of windows that overlap those are added up that do not."""
        self._window = counts
        if self._wanted and counts is not None and (self._until is None or start >= self._until):
            self._whole += counts.counts
            self._until = end

    def alarm(self, rule: str, evidence: Sequence[Evidence], at: Nanos) -> None:
        """An alert is open: keep each of its features as it was where it was furthest over its threshold."""
        for entry in evidence:
            known = self._alarms.get(entry.feature)
            room = known is not None or len(self._alarms) < MOST
            if room and entry.feature in self._features and (known is None or entry.excess > known.excess):
                own = b"" if entry.detector in OF_ROWS else entry.counts
                counts = own or self._last(entry.feature)
                if counts:
                    feature = self._features[entry.feature]
                    self._alarms[entry.feature] = Kept(entry.excess, feature, counts, at, rule)

    def _last(self, feature: str) -> bytes:
        """The counts of a feature in the last window: what explicit rules judge."""
        return b"" if self._window is None else self._window.counts[self._cells(feature)].astype("<i8").tobytes()

    def _cells(self, feature: str) -> slice:
        at = self._layout.names.index(feature)
        return slice(*self._layout.offsets[at : at + 2].tolist())

    def all(self) -> tuple[Picture, ...]:
        """Those that alarmed, the furthest over their threshold first, then the others that were asked for."""
        alarmed = sorted(self._alarms.values(), key=lambda kept: -kept.excess)
        others = [name for name in self._wanted if name not in self._alarms][:MOST]
        return (*(kept.picture for kept in alarmed), *self._over_all(others))

    def _over_all(self, names: Iterable[str]) -> Iterator[Picture]:
        if self._until is None:
            return
        for name in names:
            shown = distribution_of(self._features[name], self._whole[self._cells(name)])
            yield Picture(replace(shown, now=RECORDING), self._until)
