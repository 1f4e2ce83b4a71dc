"""Failpoints: reached at one place each, off unless a test arms one, and what is no failpoint is one line."""

import re
from collections import Counter
from pathlib import Path

import pytest

from monitor import failpoints
from monitor.failpoints import Action, Failpoint, FailpointError, Step, arm, reach
from tests.integration.test_failpoints import SCENES

MONITOR = Path(failpoints.__file__).parent


@pytest.fixture
def disarmed() -> None:
    arm(None)
    yield
    arm(None)


def test_every_step_is_reached_at_one_place_and_has_a_scene_that_reaches_it() -> None:
    sources = [path for path in MONITOR.rglob("*.py") if path.name != "failpoints.py"]
    reached = Counter(name for path in sources for name in re.findall(r"\breach\(Step\.(\w+)\)", path.read_text()))

    assert reached == Counter(step.name for step in Step)
    assert {step.partition(".")[0] for step in Step} == set(SCENES)


@pytest.mark.usefixtures("disarmed")
def test_what_is_not_armed_does_nothing() -> None:
    for step in Step:
        reach(step)
    arm("checkpoint.saved=raise")
    reach(Step.TOLD)
    assert arm("") is None
    reach(Step.SAVED)


@pytest.mark.usefixtures("disarmed")
def test_a_step_fails_once_when_it_is_reached_as_often_as_was_said(capfd: pytest.CaptureFixture[str]) -> None:
    arm("checkpoint.saved@3=raise")
    for _ in range(2):
        reach(Step.SAVED)
    with pytest.raises(FailpointError, match=r"DRIFTD_FAILPOINT: checkpoint\.saved"):
        reach(Step.SAVED)
    reach(Step.SAVED)
    assert capfd.readouterr().err == "driftd: failpoint checkpoint.saved: raise\n"


@pytest.mark.usefixtures("disarmed")
def test_a_step_that_hangs_goes_on(capfd: pytest.CaptureFixture[str]) -> None:
    arm("delivery.sent=hang:0.001")
    reach(Step.SENT)
    assert capfd.readouterr().err == "driftd: failpoint delivery.sent: hang\n"


@pytest.mark.parametrize(
    "text",
    [
        "checkpoint.saved",
        "checkpoint.saved=",
        "checkpoint.saved=explode",
        "checkpoint.never=crash",
        "=crash",
        "checkpoint.saved@0=crash",
        "checkpoint.saved@=crash",
        "checkpoint.saved@x=crash",
        "checkpoint.saved=crash:now",
        "checkpoint.saved=hang",
        "checkpoint.saved=hang:long",
        "checkpoint.saved=hang:61",
        "checkpoint.saved=hang:nan",
        "checkpoint.saved=hang:-1",
        "checkpoint.saved=fill",
    ],
)
def test_what_is_no_failpoint_is_one_line(text: str) -> None:
    with pytest.raises(ValueError, match="is no failpoint such as STEP=crash, STEP=raise") as refused:
        Failpoint.parse(text)

    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("action", Action)
def test_what_is_a_failpoint_is_read(action: Action) -> None:
    argument = {Action.HANG: ":2.5", Action.FILL: ":/disk/a:b"}.get(action, "")
    found = Failpoint.parse(f"backup.whole@2={action}{argument}")

    assert (found.step, found.action, found.argument, found.left) == (Step.BACKUP_WHOLE, action, argument[1:], 2)
