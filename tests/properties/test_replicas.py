"""Laws of replicas: whoever folds, crashes, repeats, lags or wakes up again, an owner says what one process says of the same logs."""

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.facts import EventsCounted, Fact, RetrainDecided, WatermarkAdvanced
from monitor.replicas.cells import SourceLog, judge_of
from monitor.replicas.folding import UNKNOWN, CellFolder, LogEnd, SentRecord
from monitor.replicas.ledger import OffsetGap
from monitor.replicas.owner import GapClosed, Quarantined
from monitor.series.records import Record
from monitor.stream.events import SECOND, Nanos, SeriesKey
from tests.build import KEY, OTHER_KEY, at, make_spec, of, stored
from tests.properties.test_pipeline import AGES, RULES, decided
from tests.replicated import LOGS, LoggedEvent, Logs, WatchedOwner, owner_of, read_at_once

TICK: Nanos = 20 * SECOND
IDLE_AFTER: Nanos = 30 * SECOND
ELSEWHERE = SeriesKey("risk", "1")  # of another model, so of another owner
KEYS = (KEY, KEY, OTHER_KEY, ELSEWHERE, None)
END = 90  # ticks; later than any event
some = settings(max_examples=40, deadline=None)


@st.composite
def logged(draw: st.DrawFn, *, late: bool) -> Logs:
    """Logs with holes in their offsets, begun in the middle of a cell; `late`: in any order, or within the lateness of all series."""
    shapes = [draw(st.sampled_from([(3, 3), (6, 3), (6, 2), (1, 1)])) for _ in range(3)]
    lateness = [draw(st.integers(0, 4)) for _ in shapes]
    specs = [
        make_spec(key=key, lateness=late_by * TICK, length=length * TICK, slide=slide * TICK, rules=RULES)
        for key, late_by, (length, slide) in zip((KEY, OTHER_KEY, ELSEWHERE), lateness, shapes, strict=True)
    ]
    begins = {log: draw(st.integers(0, 20)) for log in LOGS}
    delays = st.integers(0, 40 if late else min(lateness))
    event = st.tuples(st.integers(0, 40), delays, st.sampled_from(KEYS), st.sampled_from(AGES), st.integers(1, 3))
    events = {}
    for log in LOGS:
        drawn = sorted(draw(st.lists(event, max_size=30)), key=lambda each: each[0] + each[1])
        offset, found = begins[log] - 1, list[LoggedEvent]()
        for tick, _, key, age, step in drawn:
            offset += step
            found.append(LoggedEvent(offset, at(0) + tick * TICK, key, age))
        events[log] = [*found, LoggedEvent(offset + 1, at(0) + END * TICK, None)]
    length = draw(st.sampled_from([1, 4, 8, 50]))
    return Logs.of(events, specs, begins=begins, judges=2, length=length, idle_after=IDLE_AFTER)


@dataclass(slots=True)
class Producer:
    """A folder, and what it has sent that has not arrived: that keeps its order."""

    folder: CellFolder
    outbox: list[SentRecord] = field(default_factory=list)
    safe: int = 0  # the beginning of a cell before which all has arrived: where its group's position is

    def deliver(self, count: int) -> list[SentRecord]:
        arrived, self.outbox = self.outbox[:count], self.outbox[count:]
        if not self.outbox:
            self.safe = self.folder.begin
        return arrived


class Cluster:
    """Folders of some logs, those that were taken for dead among them, and the owner of one judge partition that is started again and again."""

    def __init__(self, logs: Logs, judge: int) -> None:
        self.logs = logs
        self.judge = judge
        self.now = at(END)
        self.producers = {log: [Producer(logs.folder(log, begin), safe=begin)] for log, begin in logs.begins.items()}
        self.topic = list[bytes]()  # the judge partition of the internal topic
        self.told = list[Quarantined | OffsetGap | GapClosed]()
        self.facts = list[Fact]()
        self.owner = owner_of(logs, judge)
        self.heard = 0
        self.held = stored(self.owner.snapshot())
        self.saved = (0, 0, 0, 0)  # how much had been heard, said and done

    def read(self, producer: Producer, records: int) -> None:
        folder = producer.folder
        end = min(folder.position + records, folder.end, self.logs.ends[folder.log])
        if end > folder.position:
            producer.outbox += folder.read(self.logs.between(folder.log, folder.position, end), self.now)

    def flush(self, producer: Producer, *, answered: bool = True) -> None:
        at_end = producer.folder.position == self.logs.ends[producer.folder.log]
        end = LogEnd(self.now) if at_end and answered else UNKNOWN if answered else LogEnd(silent=True)
        producer.outbox += producer.folder.flush(self.now, end)

    def deliver(self, producer: Producer, count: int) -> None:
        self.topic += [record.value for record in producer.deliver(count) if record.judge == self.judge]

    def take_over(self, log: SourceLog) -> None:
        """Its folder is taken for dead: another one begins where its group's position is, and the dead one may go on."""
        safe = max(each.safe for each in self.producers[log])
        self.producers[log].append(Producer(self.logs.folder(log, safe), safe=safe))

    def hear(self, count: int) -> None:
        for value in self.topic[self.heard : self.heard + count]:
            heard = self.owner.hear(value)
            self.facts += heard.facts
            self.told += heard.told
        self.heard = min(self.heard + count, len(self.topic))

    def save(self) -> None:
        self.held = stored(self.owner.changes(), self.held)
        self.saved = (self.heard, len(self.facts), len(self.owner.turns), len(self.told))

    def restart(self) -> None:
        """The owner is killed, and goes on from what was saved: what came since is heard again."""
        heard, facts, turns, told = self.saved
        before, self.owner = self.owner.turns[:turns], owner_of(self.logs, self.judge, assigned=False)
        records = [Record(kind, key, payload) for (kind, key), payload in self.held.items()]
        assert not self.owner.restore(records, self.now)
        self.owner.assign(self.logs.begins, self.now)
        self.owner.turns = before
        self.heard, self.facts, self.told = heard, self.facts[:facts], self.told[:told]

    def finish(self) -> None:
        """The last folder of each log comes to its end, all that was sent arrives, and the owner hears it."""
        for _ in range(2):  # the second time everyone is idle
            for producers in self.producers.values():
                last = producers[-1]
                while last.folder.position < self.logs.ends[last.folder.log]:
                    self.read(last, 100)
                self.flush(last)
                for each in producers:
                    self.deliver(each, len(each.outbox))
            self.now += IDLE_AFTER
        self.hear(len(self.topic))


@st.composite
def scripts(draw: st.DrawFn) -> list[tuple[int, int, int]]:
    """What happens, in which log, and how much: long enough that cells fill in steps while event time moves on."""
    chance = random.Random(draw(st.integers(0, 2**32)))
    return [
        (chance.randrange(14), chance.randrange(3), chance.randrange(10))
        for _ in range(draw(st.sampled_from([0, 40, 150])))
    ]


def act(cluster: Cluster, kind: int, log: int, much: int) -> None:
    """One thing that happens somewhere."""
    producers = cluster.producers[LOGS[log]]
    producer = producers[-1] if much % 3 else producers[much % len(producers)]
    cluster.now += (much % 2) * 5 * SECOND
    match kind:
        case 0 | 1 | 2:
            cluster.read(producer, much + 1)
        case 3 | 4:
            cluster.flush(producer, answered=much < 8)
        case 5 | 6:
            cluster.deliver(producer, much + 1)
        case 7:
            cluster.take_over(LOGS[log])
        case 8:
            cluster.topic += cluster.topic[len(cluster.topic) * much // 10 :][:5]  # something of before comes again
        case 9:
            cluster.hear(4 * (much + 1))
        case 10:
            cluster.save()
        case 11:
            cluster.restart()
        case _:
            cluster.flush(producer)
            cluster.deliver(producer, len(producer.outbox))
            cluster.hear(len(cluster.topic))


def played(logs: Logs, judge: int, script: Sequence[tuple[int, int, int]]) -> Cluster:
    cluster = Cluster(logs, judge)
    for each in script:
        act(cluster, *each)
    cluster.finish()
    return cluster


def counted(facts: Iterable[Fact]) -> Counter[Any]:
    found: Counter[Any] = Counter()
    for fact in of(facts, EventsCounted):
        found[fact.key, fact.topic, fact.outcome] += fact.count
    return +found


def alike(facts: Iterable[Fact]) -> list[Fact]:
    """What is decided, without the records to train on: a replica knows them by panes."""
    return [replace(each, offsets=()) if isinstance(each, RetrainDecided) else each for each in decided(facts)]


CHURN = judge_of(KEY.model, 2)


@some
@given(logged(late=True), scripts())
def test_an_owner_says_what_one_process_says_that_reads_in_the_same_turns(
    logs: Logs, script: list[tuple[int, int, int]]
) -> None:
    """Of every window, score, alert and late event, in the same order."""
    cluster = played(logs, CHURN, script)
    once = read_at_once(logs, CHURN, cluster.owner.turns)

    assert cluster.told == []
    assert alike(cluster.facts) == alike(once)
    assert of(cluster.facts, WatermarkAdvanced) == of(once, WatermarkAdvanced)
    assert counted(cluster.facts) == counted(once)


@some
@given(logged(late=False), scripts())
def test_within_the_lateness_an_owner_says_what_one_process_says_that_reads_in_any_order(
    logs: Logs, script: list[tuple[int, int, int]]
) -> None:
    script = [each for each in script if each[0] not in {3, 4, 12, 13}]  # who was idle decides what is late
    cluster = Cluster(logs, CHURN)
    for kind, log, much in script:
        act(cluster, kind, log, much)
        cluster.producers[LOGS[log]][-1].outbox += cluster.producers[LOGS[log]][-1].folder.flush(cluster.now)
    cluster.finish()
    whole = owner_of(logs, CHURN)
    for log in LOGS:
        folder = logs.folder(log, logs.begins[log])
        while folder.position < logs.ends[log]:
            end = min(folder.end, logs.ends[log])
            records = folder.read(logs.between(log, folder.position, end), cluster.now) or folder.flush(cluster.now)
            for record in records:
                if record.judge == CHURN:
                    whole.hear(record.value)
    once = read_at_once(logs, CHURN, whole.turns)

    assert cluster.told == []
    assert not any(fact.outcome == "late" for fact in of([*cluster.facts, *once], EventsCounted))
    assert alike(cluster.facts) == alike(once)
    assert counted(cluster.facts) == counted(once)


@some
@given(logged(late=True), scripts(), st.sets(st.integers(0, 400), max_size=6))
def test_what_is_lost_is_told_and_what_is_folded_again_closes_it(
    logs: Logs, script: list[tuple[int, int, int]], lost: set[int]
) -> None:
    """Nothing is judged of a log beyond what was lost, until somebody has folded that again."""
    cluster = played(logs, CHURN, script)
    owner = owner_of(logs, CHURN)
    facts, told = list[Fact](), list[object]()
    for number, value in enumerate(cluster.topic):
        if number % 40 not in {each % 40 for each in lost}:
            heard = owner.hear(value)
            facts += heard.facts
            told += heard.told
    behind = [state for state in owner.logs.values() if state.taken < logs.ends[state.log]]
    for state in behind:
        while state.taken < logs.ends[state.log]:
            told += healed(owner, logs, state.log, state.begin, facts, cluster.now)

    once = read_at_once(logs, CHURN, owner.turns)
    opened, closed = of(told, OffsetGap), of(told, GapClosed)
    assert of(told, Quarantined) == []
    assert {each.gap for each in closed} <= set(opened)
    assert {each.log for each in opened} == {each.gap.log for each in closed}
    assert all(state.gap is None for state in owner.logs.values())
    assert alike(facts) == alike(once)
    assert counted(facts) == counted(once)


def healed(owner: WatchedOwner, logs: Logs, log: SourceLog, begin: int, facts: list[Fact], now: Nanos) -> list[object]:
    """Fold a cell again, from its beginning, and let the owner hear of it."""
    folder = logs.folder(log, begin)
    sent = folder.read(logs.between(log, begin, min(folder.end, logs.ends[log])), now)
    told: list[object] = []
    for record in sent or folder.flush(now):
        if record.judge == CHURN:
            heard = owner.hear(record.value)
            facts += heard.facts
            told += heard.told
    return told
