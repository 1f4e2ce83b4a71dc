"""What people decided, and what became of it."""

from dataclasses import dataclass

from monitor.alerting.decisions import Asked, Decision, PastDecision, Refusal


@dataclass(frozen=True, slots=True)
class DecisionMade:
    """A decision was taken; `repeated`: it had been taken before under its id, and nothing was done.

    `notes`: what of it is not as one might think, a line each.
    """

    decision: Decision
    repeated: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DecisionRefused:
    """A decision was not taken: one line says why."""

    asked: Asked
    refusal: Refusal
    why: str


@dataclass(frozen=True, slots=True)
class DecisionEnded:
    """A decision is no longer in force."""

    past: PastDecision


@dataclass(frozen=True, slots=True)
class ApprovalLinkUsed:
    """Somebody came by an approval link. `outcome`: shown, decided, refused, forged or expired; `request` is empty of the last two."""

    outcome: str
    request: str = ""


@dataclass(frozen=True, slots=True)
class DecisionsStand:
    """All decisions in force, and the last that are over."""

    in_force: tuple[Decision, ...]
    past: tuple[PastDecision, ...]
