"""What a scrape has ready: lines without their values, so that of a known line the number alone is written."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, TypeVar

from monitor.runtime.exposition import form, numbers

P = TypeVar("P", bound=Hashable)  # what a line is of, by whatever tells lines apart: a feature, labels


class Room:
    """How many lines may be kept without their values, by all who keep some. One scrape at a time asks."""

    def __init__(self, most: int) -> None:
        self.left = most

    def take(self, lines: int) -> bool:
        """Whether there is room for so many."""
        if lines > self.left:
            return False
        self.left -= lines
        return True

    def give_back(self, lines: int) -> None:
        """So many are no longer kept."""
        self.left += lines


class Forms:
    r"""Lines without their values. Where the lines are those of the last time, their labels are not written again.

    >>> forms = Forms(Room(100))
    >>> forms.write("driftd_window_rows", ("a", "b"), (1, 2.5), lambda names: [f'model="{name}"' for name in names])
    b'driftd_window_rows{model="a"} 1.0\ndriftd_window_rows{model="b"} 2.5\n'
    """

    def __init__(self, room: Room) -> None:
        self._room = room
        self._kept: dict[Hashable, tuple[Sequence[Any], bytes]] = {}
        self._fixed: dict[Hashable, tuple[object, bytes]] = {}

    def write(
        self,
        name: str,
        places: Sequence[P],
        values: Iterable[float],
        labels: Callable[[Sequence[P]], Iterable[str]],
        of: Hashable = None,
    ) -> bytes:
        """The lines of a metric, one a place. `labels` writes those of all places; `of` tells lines of one metric apart that come apart."""
        key = name, of
        known = self._kept.get(key)
        if known is not None and known[0] == places:
            lines = known[1]
        else:
            lines = form(name, labels(places))
            self._keep(key, places, lines)
        return lines % tuple(numbers(values))

    def fixed(self, of: Hashable, by: object, write: Callable[[], bytes]) -> bytes:
        """Lines that hang on `by` alone: written again when that is another object."""
        known = self._fixed.get(of)
        if known is None or known[0] is not by:
            known = self._fixed[of] = by, write()
        return known[1]

    def forget(self) -> None:
        """Give the room back."""
        self._room.give_back(sum(len(places) for places, _ in self._kept.values()))
        self._kept.clear()

    def _keep(self, key: Hashable, places: Sequence[Any], lines: bytes) -> None:
        before = self._kept.pop(key, None)
        if before is not None:
            self._room.give_back(len(before[0]))
        if self._room.take(len(places)):
            self._kept[key] = places, lines
