"""The command line: what is asked, its exit code, and mistakes as lines instead of tracebacks."""

import argparse
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import get_type_hints

import pytest

from detectors import Reference
from monitor import cli
from monitor.cli import build_parser, main
from monitor.commands.arguments import Several, actions_of
from monitor.commands.exits import Exit
from monitor.settings import ConfigError, find_config

Output = pytest.CaptureFixture[str]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "driftd: the following arguments are required: COMMAND (see driftd --help)"),
        (["reference"], "driftd: the following arguments are required: ACTION (see driftd reference --help)"),
        (["rum"], "invalid choice: 'rum' (choose from"),
        (["run", "--config", "a", "b"], "unrecognized arguments: b"),
        (["demo", "--seconds", "5"], "argument --seconds: '5' is not a whole number from 30 to 600"),
        (["demo", "--seconds", "1e9"], "argument --seconds: '1e9' is not a whole number from 30 to 600"),
        (["run", "--threads", "0"], "argument --threads: '0' is not a whole number from 1 to 256"),
        (["run", "--threads", "two"], "argument --threads: 'two' is not a whole number from 1 to 256"),
        (["run", "--threads", "257"], "argument --threads: '257' is not a whole number from 1 to 256"),
        (["demo", "--port", "65536"], "argument --port: '65536' is not a port from 0 to 65535"),
        (["backtest", "--config", "a", "--budget", "abc"], "--budget: 'abc' is no list of numbers above zero"),
        (["demo", "--port", "²"], "argument --port: '²' is not a port from 0 to 65535"),
        (["completion", "csh"], "argument shell: invalid choice: 'csh'"),
        (["reference", "fit", "--input", ","], "argument --input: names no file"),
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


@pytest.mark.parametrize("command", ["check", "run", "explain", "backtest"])
def test_without_a_configuration_it_is_said_where_it_was_looked_for(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DRIFTD_CONFIG", raising=False)

    assert main([command]) == 2
    assert capsys.readouterr().err == (
        "driftd: no configuration: there is no ./driftd.yaml; name one by --config or DRIFTD_CONFIG\n"
    )


def test_the_option_wins_over_the_variable_and_that_over_the_file_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "driftd.yaml").touch()

    assert find_config(Path("a.yaml"), {"DRIFTD_CONFIG": "b.yaml"}) == Path("a.yaml")
    assert find_config(None, {"DRIFTD_CONFIG": "b.yaml"}) == Path("b.yaml")
    assert find_config(None, {"DRIFTD_CONFIG": ""}) == find_config(None, {}) == Path("driftd.yaml")


# --- lists ------------------------------------------------------------------------------------------------------------

BACKTEST, FIT = ["backtest"], ["reference", "fit", "--output", "r.json"]


def asked(command: list[str], *words: str) -> argparse.Namespace:
    """The options as they are understood."""
    needed = ["--input", "needed"] if command is FIT and "--input" not in words else []
    return build_parser().parse_args([*command, *needed, *words])


@pytest.mark.parametrize(
    "words",
    [
        ["--input", "a", "b", "c"],
        ["--input", "a,b", "c"],
        ["--input", "a,b", "--input", "c"],
        ["--input", "a", "--input", "b", "--input", "c"],
        ["--input", "a,b,c,"],
    ],
)
@pytest.mark.parametrize("command", [BACKTEST, FIT])
def test_files_are_named_by_spaces_commas_or_the_option_again(command: list[str], words: list[str]) -> None:
    assert asked(command, *words).input == [Path("a"), Path("b"), Path("c")]


def test_a_file_whose_name_holds_a_comma_stays_one_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("x,y.csv").touch()

    assert asked(BACKTEST, "--input", "a.csv,x,y.csv,b.csv").input == [Path("a.csv"), Path("x,y.csv"), Path("b.csv")]
    assert asked(BACKTEST, "--input", "a" * 5000 + ",b").input == [Path("a" * 5000), Path("b")]


@pytest.mark.parametrize(
    ("words", "kinds"),
    [
        (["x=numeric", "y=categorical"], ["x=numeric", "y=categorical"]),
        (["x=numeric,y=categorical"], ["x=numeric", "y=categorical"]),
        (["x=numeric", "--kind", "y=categorical"], ["x=numeric", "y=categorical"]),
        (["income, net=numeric,y=number"], ["income, net=numeric", "y=number"]),
        (["y"], ["y"]),
    ],
)
def test_kinds_are_a_list_too(words: list[str], kinds: list[str]) -> None:
    assert asked(FIT, "--kind", *words).kind == kinds


@pytest.mark.parametrize("words", [["a,b", "c"], ["a", "--columns", "b,c"], ["a", "b", "c"], ["a, b , c"]])
def test_columns_are_a_list_too(words: list[str]) -> None:
    assert asked(FIT, "--columns", *words).columns == ["a", "b", "c"]


@pytest.mark.parametrize("words", [["0.3,1,3"], ["0.3", "1", "3"], ["0.3,1", "--budget", "3"]])
def test_budgets_are_a_list_too(words: list[str]) -> None:
    assert asked(BACKTEST, "--budget", *words).budget == [0.3, 1.0, 3.0]


def test_changes_are_a_list_too_and_a_comma_inside_a_name_stays() -> None:
    age, plan = "age:shift=0.5sd@2026-10-20", "plan:category=EU,2:8%@2026-10-25..2026-10-26"

    for words in ([age, plan], [f"{age},{plan}"], [age, "--inject", plan], [f"{plan},{age}", "--inject", age]):
        assert set(asked(BACKTEST, "--inject", *words).inject) == {age, plan}


def test_an_option_that_takes_several_values_is_made_in_one_way() -> None:
    """Repeatable, by commas and by spaces: argparse's own lists are none of these."""
    lists = [action for action in actions_of(build_parser()) if action.nargs == "+"]

    assert [action for action in lists if not isinstance(action, Several)] == []
    assert {(action.option_strings or [action.dest])[0] for action in lists} == {
        "files",
        "--input",
        "--labels",
        "--responses",
        "--inject",
        "--budget",
        "--columns",
        "--kind",
        "--exclude",
        "--feature",
        "--show",
    }


# --- exit codes -------------------------------------------------------------------------------------------------------


def test_every_command_returns_one_of_the_exit_codes() -> None:
    commands = [one.get_default("command") for one in parsers(build_parser()) if one.get_default("command")]

    assert len(commands) == 39
    assert {get_type_hints(command)["return"] for command in commands} == {Exit}


def parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                yield from parsers(inner)


def test_exit_codes_are_documented_as_they_are() -> None:
    said = (Path(__file__).parents[3] / "docs/command-line.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\d+)` \| (.+) \|$", said, flags=re.MULTILINE))

    assert rows == {str(int(code)): code.meaning for code in Exit}


# --- completion -------------------------------------------------------------------------------------------------------


def completed(script: Path, *words: str) -> set[str]:
    """What bash offers for the last word."""
    line = " ".join(words)
    program = (
        f"source {script}; COMP_WORDS=({' '.join(map(shlex.quote, words))}); COMP_CWORD={len(words) - 1}; "
        f"COMP_LINE={shlex.quote(line)}; COMP_POINT={len(line)}; "
        "$(complete -p driftd | sed 's/.*-F \\([^ ]*\\).*/\\1/'); printf '%s\\n' \"${COMPREPLY[@]}\""
    )
    return set(subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=True).stdout.split())


@pytest.fixture
def script(tmp_path: Path, capsys: Output) -> Path:
    assert main(["completion", "bash"]) == 0
    (tmp_path / "driftd.bash").write_text(capsys.readouterr().out)
    return tmp_path / "driftd.bash"


def test_bash_completes_commands_options_choices_and_files(
    script: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "october.jsonl").touch()

    assert completed(script, "driftd", "") >= {"run", "check", "backtest", "explain", "reference", "completion"}
    assert completed(script, "driftd", "b") == {"backtest"}
    assert completed(script, "driftd", "reference", "") >= {"fit", "show"}
    assert completed(script, "driftd", "backtest", "--in") == {"--input", "--inject"}
    assert completed(script, "driftd", "completion", "z") == {"zsh"}
    assert completed(script, "driftd", "backtest", "--input", "oct") == {"october.jsonl"}
    assert completed(script, "driftd", "backtest", "--input", "october.jsonl", "--rep") == {"--report"}


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_other_shells_get_a_script_with_every_command(shell: str, capsys: Output) -> None:
    assert main(["completion", shell]) == 0

    said = capsys.readouterr().out
    assert all(word in said for word in ("backtest", "inject", "reference", "offline"))


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
    assert driftd.stdout.readline() == "1: rejected: timestamp_missing: ts is not there; the message is empty\n"
    driftd.stdout.close()
    assert driftd.stderr is not None
    said = driftd.stderr.read()
    driftd.stderr.close()

    assert (driftd.wait(timeout=60), said) == (0, "")


def test_help_and_version_load_none_of_the_heavy_libraries() -> None:
    program = "import sys; from monitor.cli import build_parser; build_parser(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()

    assert not {"numpy", "pydantic", "confluent_kafka", "scipy", "rich", "pyarrow", "shtab"} & set(loaded)


def test_the_daemon_does_not_load_what_only_other_commands_need() -> None:
    program = (
        "import sys, monitor.commands.run; from monitor.sources.formats.registry import format_of, options_of; "
        "format_of('json'), options_of('json'); print(*sys.modules)"
    )
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()

    others = {"pyarrow", "monitor.commands.demo", "monitor.sources.tables.files", "standardwebhooks"}
    later = {"scipy.special", "httpcore"}  # by the first window, and where there is a webhook
    later |= {"cronsim", "smtplib", "monitor.targets.email", "monitor.targets.airflow"}  # where they are configured
    later |= {"monitor.runtime.page.model", "monitor.html.plots"}  # when a page is asked for
    later |= {"rich", "pygments"}  # by the demo, and by `reference show`
    later |= {"asyncio.base_events", "scipy", "narwhals"}
    later |= {f"monitor.sources.formats.{name}" for name in ("avro", "otel", "seldon", "cloudevents", "mlflow")}
    assert not (others | later) & set(loaded)


def test_judging_loads_no_more_of_its_libraries_than_it_uses(tmp_path: Path) -> None:
    Reference.fit({"age": [1.0, 2.0, 3.0] * 100, "plan": ["a", "b", "c"] * 100}).save(tmp_path / "r.json")
    program = (
        "import sys; from detectors import Reference; reference = Reference.load(sys.argv[1]); "
        "reference.compare(reference.sketch); print(*sys.modules)"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "r.json")]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()

    assert "scipy.special._ufuncs" in loaded
    assert not {"scipy.special", "scipy.linalg", "numpy.f2py", "narwhals"} & set(loaded)


def test_adwin_does_not_load_all_of_river() -> None:
    program = "import sys; from detectors import adwin; adwin.detect([0.0, 1.0]); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()

    assert not {"river.drift", "river.stats", "scipy.stats"} & set(loaded)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a disk that is full")
@pytest.mark.parametrize("asked", [["--version"], ["completion", "bash"]])
def test_a_full_disk_is_one_line(asked: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "monitor", *asked], check=False, stdout=full, stderr=subprocess.PIPE, text=True
        )

    assert done.returncode == 3
    assert done.stderr == "driftd: what it says cannot be written: No space left on device\n"
