"""The law of decisions: however often the daemon dies and the asker asks again, each is taken once, and told as if once."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.alerting.decisions import Accept, Asked, Scope, Silence, Wish
from monitor.alerting.rules import Severity
from monitor.facts import DecisionMade, DecisionsStand, Fact
from monitor.pipeline import Pipeline
from monitor.stream.events import SECOND
from monitor.targets.payloads import Sender, notices
from tests.build import make_pipeline, make_rule, make_spec, of, play, restored, stored
from tests.fakes import NOON, subscriber
from tests.series import accepted, with_accepts

RULE = make_rule(severity=Severity.CRITICAL)
WISHES: tuple[Wish, ...] = (
    Accept(Scope("churn"), 1 * SECOND),
    Accept(Scope("churn", "3", ("age",)), None),
    Silence(Scope("churn"), 3 * SECOND),
    Silence(Scope("churn", None, ("age",)), 1 * SECOND),
)
ASKED = tuple(Asked(str(number), wish, "ana") for number, wish in enumerate(WISHES))
STEPS = st.lists(st.sampled_from([*ASKED, "B", "C", "B", "C", "save", "save", "crash"]), max_size=40)


def fresh() -> Pipeline:
    return make_pipeline(with_accepts(make_spec(rules=[RULE])))


class World:
    """A daemon as far as its state goes, its topic, and people who ask until they are answered."""

    def __init__(self) -> None:
        self.pipeline = fresh()
        self.topic = ""  # a minute a letter
        self.read = self.committed = 0
        self.store: dict[tuple[str, str], bytes] = {}
        self.unsaid: list[str] = []
        self.outbox: list[str] = []  # types, of ids never said before
        self.ids: set[str] = set()
        self.waiting: dict[str, Asked] = {}
        self.answered: Counter[str] = Counter()
        self.now = NOON

    def step(self, what: Asked | str) -> None:
        self.now += SECOND
        match what:
            case Asked():
                self.waiting[what.id] = what
                self._ask(what)
            case "save":
                self._save()
            case "crash":
                self._crash()
            case letter:
                self.topic += letter
                self._read()

    def _ask(self, asked: Asked) -> None:
        self._say(self.pipeline.decide(asked, self.now))

    def _read(self) -> None:
        while self.read < len(self.topic):
            self._say(play(self.pipeline, self.topic[self.read], first=self.read))
            self.read += 1

    def _say(self, facts: list[Fact]) -> None:
        told = self.pipeline.told([*facts, *self.pipeline.expire(self.now)])
        for each in notices(told, [subscriber()], Sender("hash", "0")):
            self.unsaid.append(each.notice.id)

    def _save(self) -> None:
        self.store = stored(self.pipeline.changes(), self.store)
        self.committed = self.read
        self.outbox += [name for name in self.unsaid if name not in self.ids]
        self.ids.update(self.unsaid)
        self.unsaid.clear()
        self.answered.update(self.waiting.keys())
        self.waiting.clear()

    def _crash(self) -> None:
        self.pipeline = fresh()
        restored(self.store, self.pipeline, self.now)
        self.read = self.committed
        self.unsaid.clear()
        self._read()
        for asked in self.waiting.values():
            self._ask(asked)


@settings(max_examples=150, deadline=None)
@given(STEPS)
def test_a_decision_is_taken_once_however_often_the_daemon_dies(steps: list[Asked | str]) -> None:
    world = World()
    world.step("C")
    for step in (*steps, "save", "crash", "save"):
        world.step(step)

    asked = {step.id for step in steps if isinstance(step, Asked)}
    (stand,) = of(world.pipeline.current(), DecisionsStand) or [DecisionsStand((), ())]
    taken = Counter(each.id for each in (*stand.in_force, *(past.decision for past in stand.past)))
    assert taken == dict.fromkeys(asked, 1)
    accepts = Counter(len(features) for features, _, _ in accepted(world.pipeline))
    assert accepts == {number: 1 for name, number in (("0", 0), ("1", 1)) if name in asked}
    assert set(world.answered) == asked
    assert len(world.outbox) == len(set(world.outbox))


@settings(max_examples=50, deadline=None)
@given(STEPS)
def test_an_answer_is_never_taken_back(steps: list[Asked | str]) -> None:
    """What was answered is there after any crash, unless its time is over."""
    world = World()
    world.step("C")
    for step in steps:
        world.step(step)
        if step == "crash":
            again = [world.pipeline.decide(each, world.now)[0] for each in ASKED if each.id in world.answered]
            assert all(isinstance(fact, DecisionMade) and fact.repeated for fact in again)


def test_the_world_of_these_laws_says_something() -> None:
    """Else they would hold of nothing."""
    world = World()
    for step in ("C", ASKED[2], "B", "save"):
        world.step(step)
    assert world.outbox == []  # held back
    for step in ("crash", "B", "save", "C", "save"):
        world.step(step)

    assert len(world.outbox) == 3  # firing and retraining when the silence was over, then resolved
