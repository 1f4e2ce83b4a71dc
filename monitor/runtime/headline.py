"""The one line to remember: whether an incident is open, whether driftd sees its models at all.

The page and `driftd status` say the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from monitor.facts import AlertSeen
from monitor.runtime.glance import Condition, ModelGlance
from monitor.runtime.troubles import Trouble

JUDGED = frozenset({Condition.ALERTING, Condition.WARNING, Condition.OK})


@dataclass(frozen=True, slots=True)
class Headline:
    """`mood` is good, warn or bad. `well`: no incident is open, nothing is wrong, and a model at least is judged."""

    mood: str
    words: str
    well: bool


def headline(models: Sequence[ModelGlance], opened: Sequence[AlertSeen], wrong: Sequence[Trouble]) -> Headline:
    """What everything comes to."""
    if opened:
        return Headline("bad", f"{many(len(opened), 'incident')} open", well=False)
    if wrong:
        return Headline("warn", "No incident is open, but driftd does not see or tell everything", well=False)
    if all(each.condition is Condition.WAITING for each in models):
        return Headline("warn", "No window has closed yet", well=False)
    return _calm([each.condition for each in models])


def _calm(models: Sequence[Condition]) -> Headline:
    """No incident is open and nothing is wrong: whether that is so because driftd has looked."""
    judged = sum(each in JUDGED for each in models)
    if judged < len(models):
        return Headline("warn", f"No incident is open; {judged} of {many(len(models), 'model')} judged", judged > 0)
    if near := judged - models.count(Condition.OK):
        return Headline("warn", f"No incident is open; {many(near, 'model')} near an alert", well=True)
    return Headline("good", "All is quiet", well=True)


def many(count: int, what: str) -> str:
    """How many there are, with the verb.

    >>> many(1, "model"), many(2, "incident")
    ('1 model is', '2 incidents are')
    """
    return f"{count} {what} is" if count == 1 else f"{count} {what}s are"
