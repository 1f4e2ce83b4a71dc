"""What a value that breaks a contract is called: of each rule a few, read again."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from detectors.contract.report import SHOWN
from detectors.contract.values import each_once, shown
from detectors.features import Bools
from detectors.sketches.violations import Rule
from monitor.explain.samples import legible
from monitor.facts import ContractSample
from monitor.sources.decode.contract import RowContract, raw_columns
from monitor.sources.formats.base import SeriesRows
from monitor.stream.events import MINUTE, Nanos, SeriesKey
from monitor.stream.violations import RowViolations

NOBODY = np.empty(0, dtype=np.intp)


class BrokenSampler:
    """Of each rule of a series at most three values a minute, so that its cost is bounded whatever comes. Ids are not shown."""

    def __init__(self) -> None:
        self._shown: dict[tuple[SeriesKey, Rule], int] = {}
        self._since: Nanos = 0

    def samples(
        self, part: SeriesRows, contract: RowContract, found: RowViolations, now: Nanos
    ) -> Iterator[ContractSample]:
        """Some values, in words."""
        if abs(now - self._since) >= MINUTE:
            self._shown, self._since = {}, now
        wanted = {
            rule: rows
            for rule, broken in zip(found.rules, found.rows, strict=True)
            if rule in contract.shown and (rows := self._wanted((part.series.key, rule), broken)).size
        }
        if not wanted:
            return
        rows = np.unique(np.concatenate(list(wanted.values())))
        names = dict.fromkeys(name for rule in wanted for name in contract.shown[rule])
        paths = [contract.path(name) for name in names]
        again = {path: each_once(column) for path, column in raw_columns(part, rows, paths).items()}
        for rule, those in wanted.items():
            columns = [again[contract.path(name)] for name in contract.shown[rule]]
            for row in np.searchsorted(rows, those).tolist():
                yield ContractSample(rule, legible(" beside ".join(shown(column, row) for column in columns)))

    def _wanted(self, of: tuple[SeriesKey, Rule], broken: Bools) -> NDArray[np.intp]:
        """The rows of which a rule's values are to be shown."""
        left = SHOWN - self._shown.get(of, 0)
        if left <= 0:
            return NOBODY
        rows = np.flatnonzero(broken)[:left]
        self._shown[of] = self._shown.get(of, 0) + rows.size
        return rows
