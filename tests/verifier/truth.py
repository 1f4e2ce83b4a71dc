"""What was sent: every record with its partition and offset, and what is to become of it.

A file of JSON, a line each: first `{"topic", "partitions", "seed"}`, then `[partition, offset, reason, text]`. `reason` is empty where the
event counts, else under what it is rejected; the text is the message, a byte a character.
"""

import json
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors import Layout, Sketch

UNMONITORED = "unmonitored"  # instead of a reason
MILLISECOND = 1_000_000


@dataclass(frozen=True)
class Sent:
    """The records of one series that count, as columns of the same length."""

    partition: NDArray[np.int64]
    offset: NDArray[np.int64]
    time: NDArray[np.int64]
    features: list[dict[str, Any]]

    def read(self, positions: dict[int, int]) -> NDArray[np.bool_]:
        """Which of them lie before these positions."""
        ends = np.zeros(max([0, *self.partition.tolist(), *positions]) + 1, dtype=np.int64)
        for partition, end in positions.items():
            ends[partition] = end
        return self.offset < ends[self.partition]

    def sketch(self, layout: Layout, columns: "Columns", which: NDArray[np.bool_]) -> Sketch:
        """Some of them, counted in one pass."""
        found = Sketch.empty(layout)
        found.update(columns.numeric[which], columns.codes[which])
        return found

    def columns(self, layout: Layout) -> "Columns":
        """What the features are in the cells of a layout: NaN and K + 1 where one is missing, K for a category that nobody knows."""
        numeric = np.full((len(self.features), len(layout.numeric)), np.nan)
        for column, feature in enumerate(layout.numeric):
            for row, values in enumerate(self.features):
                value = values.get(feature.name)
                numeric[row, column] = np.nan if value is None else value
        codes = np.zeros((len(self.features), len(layout.categorical)), dtype=np.int32)
        for column, known in enumerate(layout.categorical):
            code = {text: number for number, text in enumerate(known.categories)}
            lost, other = len(code) + 1, len(code)
            for row, values in enumerate(self.features):
                text = values.get(known.name)
                codes[row, column] = lost if text is None else code.get(text, other)
        return Columns(numeric, codes)


@dataclass(frozen=True)
class Columns:
    """Features as a sketch takes them."""

    numeric: NDArray[np.float64]
    codes: NDArray[np.int32]


@dataclass(frozen=True)
class Truth:
    """Everything that was sent."""

    topic: str
    partitions: int
    seed: int
    records: list[tuple[int, int, str, str]]

    @classmethod
    def read(cls, path: Path) -> "Truth":
        """From its file."""
        with path.open(encoding="utf-8") as lines:
            head = json.loads(next(lines))
            return cls(head["topic"], head["partitions"], head["seed"], [tuple(json.loads(line)) for line in lines])

    @cached_property
    def ends(self) -> dict[int, int]:
        """Where each partition ends."""
        ends = dict.fromkeys(range(self.partitions), 0)
        for partition, offset, _, _ in self.records:
            ends[partition] = max(ends[partition], offset + 1)
        return ends

    @cached_property
    def series(self) -> dict[tuple[str, str], Sent]:
        """What counts, by model and version."""
        rows: dict[tuple[str, str], list[tuple[int, int, int, dict[str, Any]]]] = {}
        for partition, offset, reason, text in self.records:
            if not reason:
                event = json.loads(text)
                key = event["model"], event["version"]
                rows.setdefault(key, []).append((partition, offset, event["ts"] * MILLISECOND, event["features"]))
        return {
            key: Sent(
                *(np.array([each[at] for each in found], dtype=np.int64) for at in range(3)),
                [each[3] for each in found],
            )
            for key, found in rows.items()
        }

    def reasons(self, begin: dict[int, int]) -> Counter[str]:
        """What is to become of the records from these positions on: by reason, those that count under none."""
        return Counter(reason for partition, offset, reason, _ in self.records if offset >= begin.get(partition, 0))

    def write_events(self, path: Path) -> None:
        """What counts, a message a line, in the order of event time."""
        found = [(json.loads(text)["ts"], text) for _, _, reason, text in self.records if not reason]
        path.write_text("".join(f"{text}\n" for _, text in sorted(found, key=lambda each: each[0])), encoding="utf-8")
