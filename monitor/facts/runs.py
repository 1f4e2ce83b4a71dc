"""What became of requests for retraining: their runs, and their ends."""

from dataclasses import dataclass

from monitor.alerting.runs import FollowedRun, OpenRequest, RunState


@dataclass(frozen=True, slots=True)
class RetrainRunEnded:
    """A run that a request had started has ended: `run.found` says how, under which id and where."""

    request: OpenRequest
    run: FollowedRun


@dataclass(frozen=True, slots=True)
class RetrainEnded:
    """A request is in flight no longer: all its runs have ended, or a new version has come.

    A version that comes after the runs have ended is told once more, with `version`.
    """

    request: OpenRequest

    @property
    def failed(self) -> bool:
        """Whether a run failed or was cancelled, and no new version has come since."""
        return self.request.outcome in {RunState.FAILED, RunState.CANCELLED} and not self.request.version


@dataclass(frozen=True, slots=True)
class RetrainRunUnseen:
    """A target does not say how a run stands: `why`, in a line. That is no end."""

    request: str
    model: str
    target: str
    why: str


@dataclass(frozen=True, slots=True)
class RunsStand:
    """The last requests of every model, the oldest first."""

    requests: tuple[OpenRequest, ...]
