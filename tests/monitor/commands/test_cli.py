"""The command line: what is asked, its exit code, and mistakes as lines instead of tracebacks."""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from detectors import Reference
from monitor import cli
from monitor.cli import main
from monitor.settings import ConfigError

Output = pytest.CaptureFixture[str]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "driftd: the following arguments are required: COMMAND (see driftd --help)"),
        (["reference"], "driftd: the following arguments are required: ACTION (see driftd reference --help)"),
        (["run"], "driftd: the following arguments are required: --config (see driftd run --help)"),
        (["rum"], "invalid choice: 'rum' (choose from"),
        (["run", "--config", "a", "b"], "unrecognized arguments: b"),
        (["demo", "--seconds", "5"], "argument --seconds: '5' is not a whole number from 30 to 600"),
        (["demo", "--seconds", "1e9"], "argument --seconds: '1e9' is not a whole number from 30 to 600"),
        (["demo", "--port", "65536"], "argument --port: '65536' is not a port from 0 to 65535"),
        (["backtest", "--config", "a", "--budget", "abc"], "--budget: 'abc' is no list of numbers above zero"),
        (["demo", "--port", "²"], "argument --port: '²' is not a port from 0 to 65535"),
        (["reference", "fit", "--input", "a"], "the following arguments are required: --output"),
        (["reference", "fit", "--input", "a", "--output", "b", "--columns", ","], "--columns: names no column"),
        (
            ["reference", "fit", "--input", "a", "--output", "b", "--timestamp-unit", "h"],
            "argument --timestamp-unit: invalid choice: 'h'",
        ),
    ],
)
def test_a_wrong_command_line_is_one_line_with_exit_code_2(arguments: list[str], said: str, capsys: Output) -> None:
    with pytest.raises(SystemExit) as left:
        main(arguments)

    told = capsys.readouterr().err
    assert left.value.code == 2
    assert said in told
    assert told.startswith("driftd: ")
    assert told.count("\n") == 1


def test_version_is_that_of_the_distribution(capsys: Output) -> None:
    with pytest.raises(SystemExit) as left:
        main(["--version"])

    assert left.value.code == 0
    assert capsys.readouterr().out == f"driftd {version('driftd')}\n"


@pytest.mark.parametrize("command", [["check"], ["run"], ["explain"]])
def test_a_configuration_that_is_not_there_is_one_line(command: list[str], tmp_path: Path, capsys: Output) -> None:
    assert main([*command, "--config", str(tmp_path / "no.yaml")]) == 2
    assert capsys.readouterr().err == f"driftd: {tmp_path / 'no.yaml'}: cannot be read: No such file or directory\n"


def ended_by(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> int:
    def command(_options: object) -> int:
        raise error

    monkeypatch.setattr(cli, "_check", command)
    return main(["check", "--config", "a.yaml"])


def test_each_problem_of_a_configuration_is_a_line(monkeypatch: pytest.MonkeyPatch, capsys: Output) -> None:
    assert ended_by(ConfigError("one\ntwo"), monkeypatch) == 2
    assert capsys.readouterr().err == "driftd: one\ndriftd: two\n"


def test_an_interrupt_is_no_traceback(monkeypatch: pytest.MonkeyPatch, capsys: Output) -> None:
    assert ended_by(KeyboardInterrupt(), monkeypatch) == 130
    assert capsys.readouterr().err == ""


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    Reference.fit({"age": [1.0, 2.0]}).save(tmp_path / "r.json")
    config = tmp_path / "driftd.yaml"
    config.write_text("{topics: [{name: t}], models: [{name: churn, reference: r.json}]}")
    (tmp_path / "events").write_text("{}\n" * 50_000)
    command = [sys.executable, "-m", "monitor", "explain", "--config", config, tmp_path / "events"]
    driftd = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert driftd.stdout is not None
    assert driftd.stdout.readline() == "1: rejected: model_missing: model is None\n"
    driftd.stdout.close()
    assert driftd.stderr is not None
    said = driftd.stderr.read()
    driftd.stderr.close()

    assert (driftd.wait(timeout=60), said) == (0, "")


def test_help_and_version_load_none_of_the_heavy_libraries() -> None:
    program = "import sys; from monitor.cli import build_parser; build_parser(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()

    assert not {"numpy", "pydantic", "confluent_kafka", "scipy", "rich", "pyarrow"} & set(loaded)


def test_the_daemon_does_not_load_what_only_other_commands_need() -> None:
    program = "import sys, monitor.commands.run; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()

    others = {"pyarrow", "monitor.commands.demo", "monitor.sources.tables.files", "standardwebhooks"}
    later = {"scipy.special", "httpx"}  # by the first window, and where there is a webhook
    assert not (others | later) & set(loaded)


def test_adwin_does_not_load_all_of_river() -> None:
    program = "import sys; from detectors import adwin; adwin.detect([0.0, 1.0]); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()

    assert not {"river.drift", "river.stats", "scipy.stats"} & set(loaded)
