"""The process's own metrics: what prometheus_client says, had in fewer looks."""

import sys
from pathlib import Path

import pytest
from prometheus_client import ProcessCollector

from monitor.runtime.process import SWITCH, OwnProcess, open_files, share_interpreter


def test_they_are_those_of_prometheus_client() -> None:
    ours = {family.name: family for family in OwnProcess().collect()}
    theirs = {family.name: family for family in ProcessCollector(registry=None).collect()}

    assert ours.keys() == theirs.keys()
    for name, family in ours.items():
        assert (family.type, family.documentation) == (theirs[name].type, theirs[name].documentation)
        assert [each.name for each in family.samples] == [each.name for each in theirs[name].samples]
    same = "process_start_time_seconds", "process_max_fds"
    assert [ours[name].samples for name in same] == [theirs[name].samples for name in same]


@pytest.mark.serial
def test_memory_and_time_are_nearly_theirs() -> None:
    ours = {family.name: family.samples[0].value for family in OwnProcess().collect()}
    theirs = {family.name: family.samples[0].value for family in ProcessCollector(registry=None).collect()}

    for name in ("process_resident_memory_bytes", "process_virtual_memory_bytes"):
        assert ours[name] == pytest.approx(theirs[name], rel=0.1)
    assert 0 < ours["process_cpu_seconds"] <= theirs["process_cpu_seconds"] + 1


@pytest.mark.serial
def test_an_open_file_is_counted(tmp_path: Path) -> None:
    before = open_files()
    with (tmp_path / "open").open("w"):
        assert open_files() == before + 1
    assert open_files() == before


def test_threads_wait_for_the_interpreter_no_longer_than_said() -> None:
    before = sys.getswitchinterval()
    try:
        share_interpreter()
        assert sys.getswitchinterval() == pytest.approx(SWITCH)
    finally:
        sys.setswitchinterval(before)
