"""How the rows of each partition end: which columns the last of them lack, or have of another type, since which offset.

What a pane knows of a schema. A run begins with the first row after the last that had the column as agreed, so it is the rows' order in
their partition that counts: what is added last came last. Of fields that nobody agreed on, those rows tell that were looked through.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

MOST_NEW = 64  # fields of a partition that nobody agreed on: a message may hold any name
MANY = f"* (over {MOST_NEW} names)"  # stands for them all where there are more: then they are keys of a map, not fields


@dataclass(frozen=True, slots=True)
class SchemaRun:
    """The last rows, none of which has a column as agreed: in `wrong` of them it is of another type, the others lack it.

    `offset` and `time` are those of the first, `odd` and `odd_time` those of the first of another type. `whole`: no row before them, in
    the same pane, had it as agreed.
    """

    rows: int
    wrong: int
    offset: int
    time: int
    whole: bool = True
    odd: int | None = None
    odd_time: int | None = None

    def then(self, later: "SchemaRun") -> "SchemaRun":
        """Both as one."""
        first = self if self.odd is not None else later
        rows, wrong = self.rows + later.rows, self.wrong + later.wrong
        return SchemaRun(rows, wrong, self.offset, self.time, self.whole, first.odd, first.odd_time)


@dataclass(frozen=True, slots=True)
class NewField:
    """A field that nobody agreed on: in how many rows of those that were looked through, and the first of them."""

    count: int
    offset: int
    time: int

    def then(self, later: "NewField") -> "NewField":
        """Both as one."""
        return NewField(self.count + later.count, self.offset, self.time)


@dataclass(frozen=True, slots=True)
class PartitionSchema:
    """The rows of one partition: how they end, and what `looked` of them hold that is new, in `holding` of them anything at all."""

    rows: int
    runs: Mapping[str, SchemaRun] = field(default_factory=dict)
    looked: int = 0
    new: Mapping[str, NewField] = field(default_factory=dict)
    holding: NewField | None = None

    def then(self, later: "PartitionSchema") -> "PartitionSchema":
        """These rows and those that came after them."""
        runs = {name: self._ending(name, run) for name, run in later.runs.items()}
        new = dict(self.new)
        for name, found in later.new.items():
            new[name] = new[name].then(found) if name in new else found
        holding = self.holding.then(later.holding) if self.holding and later.holding else self.holding or later.holding
        return PartitionSchema(
            self.rows + later.rows, runs, self.looked + later.looked, dict(sorted(new.items())), holding
        )

    def without_names(self) -> "PartitionSchema":
        """The same with no new field but `MANY`."""
        return replace(self, new={} if self.holding is None else {MANY: self.holding})

    def _ending(self, name: str, run: SchemaRun) -> SchemaRun:
        if not run.whole:
            return run
        before = self.runs.get(name)
        return replace(run, whole=not self.rows) if before is None else before.then(run)


@dataclass(frozen=True, slots=True)
class SchemaRuns:
    """What rows tell of their schema, by partition (`topic/0`).

    New fields have at most `MOST_NEW` names in all; where there are more they have none but `MANY`. So it is however rows are divided and
    put together: what a part has too many of, the whole has.

    >>> first = SchemaRuns({"t/0": PartitionSchema(5)})
    >>> last = SchemaRuns({"t/0": PartitionSchema(3, {"age": SchemaRun(3, 0, 17, 0)})})
    >>> first.plus(last).partitions["t/0"].runs["age"]
    SchemaRun(rows=3, wrong=0, offset=17, time=0, whole=False, odd=None, odd_time=None)
    """

    partitions: Mapping[str, PartitionSchema]

    def plus(self, later: "SchemaRuns") -> "SchemaRuns":
        """Return these and others, which came after them where they are of the same partition."""
        found = dict(self.partitions)
        for name, part in later.partitions.items():
            found[name] = found[name].then(part) if name in found else part
        return SchemaRuns.of(found)

    @classmethod
    def of(cls, partitions: Mapping[str, PartitionSchema]) -> "SchemaRuns":
        """Those of all partitions of the same rows."""
        names = {name for part in partitions.values() for name in part.new}
        if MANY in names or len(names) > MOST_NEW:
            partitions = {name: part.without_names() for name, part in partitions.items()}
        return cls(dict(sorted(partitions.items())))

    def to_bytes(self) -> bytes:
        """Write them; `from_bytes` reads them."""
        held = {name: asdict(part) for name, part in sorted(self.partitions.items())}
        return json.dumps(held, separators=(",", ":")).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read what `to_bytes` wrote. Raises ValueError for damaged bytes."""
        return cls({name: _partition(**held) for name, held in json.loads(data).items()})


def _partition(
    rows: int, runs: Mapping[str, Any], looked: int, new: Mapping[str, Any], holding: Mapping[str, Any] | None = None
) -> PartitionSchema:
    found = {name: SchemaRun(**run) for name, run in runs.items()}
    fields = {name: NewField(**held) for name, held in new.items()}
    some = NewField(**holding) if holding else _holding(fields)  # an old state does not say
    return PartitionSchema(rows, found, looked, fields, some)


def _holding(fields: Mapping[str, NewField]) -> NewField | None:
    """The rows that hold any of these, as far as they tell."""
    if not fields:
        return None
    first = min(fields.values(), key=lambda each: each.offset)
    return NewField(max(each.count for each in fields.values()), first.offset, first.time)


def all_runs(one: SchemaRuns | None, later: SchemaRuns | None) -> SchemaRuns | None:
    """Both together; None where there are none."""
    if one is None or later is None:
        return later if one is None else one
    return one.plus(later)
