"""The command line: what can be asked."""

import argparse
import codecs
import errno
import io
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from monitor.commands import arguments
from monitor.commands.arguments import add_command as _add
from monitor.commands.arguments import add_config as _config
from monitor.commands.arguments import add_json as _json
from monitor.commands.asking import add_asking
from monitor.commands.auditing import add_audit
from monitor.commands.exits import Exit
from monitor.commands.lettering import add_dead_letters
from monitor.commands.stating import add_state
from monitor.commands.topics import add_topics

SHELLS = ("bash", "zsh", "fish")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `driftd`. Errors are one line on stderr; a user's mistake gives no traceback."""
    _write_what_can_be_written()
    try:
        try:
            return _answer(arguments)
        finally:
            _flush()  # here a pipe that nobody reads any more is heard of, not when the interpreter ends
    except BrokenPipeError:  # `driftd … | head`
        _write_no_more()
        return Exit.OK
    except KeyboardInterrupt:  # also while the heavy libraries are loaded
        return Exit.INTERRUPTED
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EIO, errno.EFBIG}:
            raise
        _write_no_more()
        print(f"driftd: what it says cannot be written: {error.strerror}", file=sys.stderr)
        return Exit.CANNOT_GO_ON


def _write_no_more() -> None:
    """So that the end of the interpreter is no second such error."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _answer(arguments: Sequence[str] | None) -> int:
    parser = build_parser()
    options = parser.parse_args(arguments)
    from detectors import PluginError  # heavy; `--help` and `--version` do not wait for it
    from monitor.settings import ConfigError

    command: Callable[[argparse.Namespace], Exit] = options.command
    try:
        return command(options)
    except (ConfigError, PluginError) as error:
        for line in str(error).splitlines():
            print(f"driftd: {line}", file=sys.stderr)
        return Exit.USAGE


def _write_what_can_be_written() -> None:
    r"""Let a terminal without Unicode show the rest as \u2026, as JSON writes it, instead of nothing but a traceback."""
    codecs.register_error("driftd", _escaped)
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors in {"strict", "surrogateescape"}:
        sys.stdout.reconfigure(errors="driftd")


def _escaped(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end


def _flush() -> None:
    if sys.stdout is not None:  # None: closed from the start
        sys.stdout.flush()


def build_parser() -> argparse.ArgumentParser:
    """Every command with its options."""
    parser = _Parser(prog="driftd", description="Watches machine-learning models' data for drift.")
    parser.add_argument("--version", action=_Version, nargs=0, help="show program's version number and exit")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    run = _add(commands, "run", "the daemon, until SIGTERM, SIGINT or SIGHUP", _run)
    _config(run)
    arguments.add_threads(run, "read events and count them")

    demo = _add(commands, "demo", "everything on this machine: broker, traffic, drift, alert, webhook", _demo)
    demo.add_argument("--seconds", type=arguments.seconds, default=60, help="at most so long, 30 to 600 (60)")
    demo.add_argument("--port", type=arguments.port, default=9464, help="for /metrics (9464)")

    check = _add(commands, "check", "look at a configuration before it runs", _check)
    _config(check)
    check.add_argument("--offline", action="store_true", help="do not connect to anything")
    _json(check)

    _add_init(commands)
    _add_backtest(commands)

    explain = _add(commands, "explain", "say what becomes of each message", _explain)
    _config(explain)
    explain.add_argument("file", nargs="?", type=Path, help="messages, one a line (standard input)")
    explain.add_argument("--topic", help="read them as this topic's (the first)")
    explain.add_argument("--steps", action="store_true", help="say every step from bytes to rows")
    explain.add_argument("--message", action="store_true", help="the whole file is one message")
    explain.add_argument("--records", action="store_true", help="each line is a record: value, key, headers, timestamp")
    explain.add_argument("--kafka", action="store_true", help="read the newest records of the topic")
    explain.add_argument("--from", dest="first", metavar="TIME", help="with --kafka: those from this time on")
    explain.add_argument("--until", metavar="TIME", help="with --kafka: those before this time")
    explain.add_argument("--limit", type=arguments.count, metavar="N", help="with --kafka: at most so many (20)")
    _json(explain)

    _add_reference(commands)
    _add_contract(commands)
    _add_notify(commands)
    add_asking(commands)
    add_audit(commands)
    add_state(commands)
    add_dead_letters(commands)
    add_topics(commands)

    completion = _add(commands, "completion", "a script by which a shell completes driftd's words", _completion)
    completion.add_argument("shell", choices=SHELLS, help="which shell reads it")
    return parser


class _Parser(argparse.ArgumentParser):
    """Says a mistake in one line, as every other mistake is said."""

    def error(self, message: str) -> NoReturn:
        """End with the mistake and where to look."""
        self.exit(Exit.USAGE, f"driftd: {message} (see {self.prog} --help)\n")


class _Version(argparse.Action):
    """Looks the version up when it is asked for: that takes as long as all the rest of the command line."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        print(f"driftd {version('driftd')}")
        parser.exit(Exit.OK)


def _add_backtest(commands: "argparse._SubParsersAction[_Parser]") -> None:
    backtest = _add(commands, "backtest", "which alerts recorded events would have fired; sends nothing", _backtest)
    _config(backtest)
    arguments.add_list(
        backtest, "--input", arguments.files, default=[], metavar="FILE", help="JSONL, Parquet or CSV, in order of time"
    )
    arguments.add_list(
        backtest,
        "--responses",
        arguments.files,
        default=[],
        metavar="FILE",
        help="where --input is of a topic of requests: what they were answered, in order of time",
    )
    arguments.add_list(
        backtest,
        "--labels",
        arguments.files,
        default=[],
        metavar="FILE",
        help="JSONL, Parquet or CSV with what came true, in order of time (with --kafka topics of labels are read)",
    )
    backtest.add_argument("--label-topic", help="the topic whose messages the labels are (the first of kind labels)")
    backtest.add_argument("--kafka", action="store_true", help="read the configured topics instead of files")
    backtest.add_argument("--topic", help="the topic whose messages these are (the first; with --kafka all)")
    backtest.add_argument("--from", dest="first", metavar="TIME", help="leave out what is earlier")
    backtest.add_argument("--until", metavar="TIME", help="leave out this and what is later")
    backtest.add_argument("--report", type=Path, metavar="OUT.html", help="write a report for people")
    backtest.add_argument("--json", type=Path, metavar="OUT.json", help="write the result for machines")
    arguments.add_list(
        backtest,
        "--inject",
        arguments.changes,
        default=[],
        metavar="FEATURE:shift=0.5sd@TIME",
        help="a change to plant, to see how long it takes to be found",
    )
    arguments.add_list(
        backtest,
        "--show",
        arguments.names,
        default=[],
        metavar="FEATURE",
        help="a feature, or 'cart_*', to draw beside its reference though it does not alarm",
    )
    arguments.add_list(
        backtest, "--budget", arguments.budgets, metavar="N", help="other budgets to compare, a month: 0.3,1,3"
    )
    arguments.add_dialect(backtest)
    arguments.add_threads(backtest, "read and judge; 1 reads nothing ahead")


def _add_reference(commands: "argparse._SubParsersAction[_Parser]") -> None:
    reference = commands.add_parser("reference", help="profiles of reference data sets")
    actions = reference.add_subparsers(title="actions", required=True, metavar="ACTION")

    fit = _add(actions, "fit", "profile a data set (CSV, JSONL, Parquet)", _fit)
    arguments.add_list(fit, "--input", arguments.files, default=[], metavar="FILE", help="all of one kind")
    fit.add_argument("--output", type=Path, metavar="REF.json", help="(with --config, the model's reference)")
    fit.add_argument("--config", type=Path, metavar="driftd.yaml", help="read events as this configuration maps them")
    fit.add_argument("--model", metavar="NAME", help="of the configuration (the only one)")
    fit.add_argument("--version", metavar="VERSION", help="of the model (the only one configured)")
    fit.add_argument("--kafka", action="store_true", help="read the configured topics instead of files")
    fit.add_argument("--topic", help="the topic whose messages these are (the first; with --kafka all)")
    fit.add_argument("--from", dest="first", metavar="TIME", help="leave out what is earlier")
    fit.add_argument("--until", metavar="TIME", help="leave out this and what is later")
    arguments.add_list(fit, "--columns", arguments.names, metavar="COL", help="only these")
    fit.add_argument("--prediction", metavar="COL", help="the column that holds the prediction")
    fit.add_argument("--timestamp", metavar="COL", help="the column that holds the event time; it is no feature")
    fit.add_argument("--timestamp-unit", choices=["s", "ms", "us", "ns"], default="ms", help="of integers (ms)")
    fit.add_argument("--window", metavar="5m", help="of the windows that the calibration is learnt from (5m)")
    fit.add_argument(
        "--group", metavar="COLUMN", help="what rows come together in, such as sessions; needs --timestamp"
    )
    fit.add_argument("--latency", metavar="COL", help="what the request took, no feature")
    fit.add_argument("--latency-unit", choices=["s", "ms", "us", "ns"], help="of --latency (s)")
    fit.add_argument("--error", metavar="COL", help="whether the request failed, no feature")
    fit.add_argument("--fine", metavar="TEXT", action="append", default=[], help="in --error, no failure; repeatable")
    fit.add_argument("--sampling", metavar="COL", help="which share of all rows there is, in percent, no feature")
    fit.add_argument("--sampling-unit", choices=["percent", "fraction"], help="of --sampling (percent)")
    fit.add_argument(
        "--label",
        nargs="?",
        const="",
        metavar="COL",
        help="what came true, no feature; needs --prediction (with --config no COL: the mapping says it)",
    )
    fit.add_argument("--weight", metavar="COL", help="what each --label weighs, no feature (1)")
    fit.add_argument(
        "--scores", metavar="PREFIX", help="how columns of scores of classes begin, no features: the rest is the class"
    )
    arguments.add_list(
        fit,
        "--labels",
        arguments.files,
        default=[],
        metavar="FILE",
        help="with --config: recorded messages of the topic of labels, for --label",
    )
    fit.add_argument("--label-topic", help="the topic whose messages these are (the model's)")
    fit.add_argument("--task", choices=["binary", "multiclass", "regression"], help="(as the prediction is)")
    fit.add_argument("--positive", metavar="VALUE", help="the label that a score speaks of (1)")
    fit.add_argument("--negative", metavar="VALUE", help="the other one (any other)")
    fit.add_argument("--threshold", type=float, metavar="0.5", help="a score from which on a prediction is positive")
    fit.add_argument("--timezone", metavar="Europe/Berlin", help="of the hours and days of the profile (UTC)")
    fit.add_argument(
        "--holidays", metavar="FILE|CC[-PART]", help="days that are no ordinary ones: a file of dates, or a country"
    )
    arguments.add_list(
        fit, "--kind", arguments.kinds, default=[], metavar="COL=KIND", help="take a column as numeric or categorical"
    )
    arguments.add_list(
        fit,
        "--exclude",
        arguments.spans,
        default=[],
        metavar="COL|FROM..TO",
        help="leave out these columns or these days; an end may be open",
    )
    fit.add_argument("--any-order", action="store_true", help="the order of rows changes nothing, as on Spark")
    arguments.add_dialect(fit)
    arguments.add_threads(fit, "read and count")
    _json(fit)

    push = _add(actions, "push", "put a reference beside a version of a model in the registry", _push)
    push.add_argument("file", type=Path, metavar="REF.json")
    push.add_argument("uri", metavar="URI", help="models:/NAME/VERSION or models:/NAME@ALIAS")
    _config(push)

    show = _add(actions, "show", "a profile as a table", _show)
    show.add_argument("file", type=Path, metavar="REF.json")
    _json(show)


def _add_init(commands: "argparse._SubParsersAction[_Parser]") -> None:
    init = _add(commands, "init", "a first configuration and reference, from a look at your events", _init)
    init.add_argument("files", nargs="*", type=Path, metavar="FILE", help="JSONL, Parquet or CSV instead of a topic")
    init.add_argument("--kafka", metavar="BROKERS", help="such as 127.0.0.1:9092")
    init.add_argument("--topic", metavar="NAME", help="whose messages are looked at")
    init.add_argument(
        "--property",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="one of kafka.properties, as often as wanted: security.protocol=SASL_SSL, sasl.password_file=FILE",
    )
    init.add_argument("--ca-file", type=Path, metavar="FILE", help="the certificates that the brokers' are signed by")
    init.add_argument("--output", type=Path, default=Path("driftd.yaml"), help="what is written (driftd.yaml)")
    arguments.add_dialect(init)


def _add_contract(commands: "argparse._SubParsersAction[_Parser]") -> None:
    contract = commands.add_parser("contract", help="what every row of a model's data keeps to")
    actions = contract.add_subparsers(title="actions", required=True, metavar="ACTION")

    infer = _add(actions, "infer", "write the contract of a reference, to be edited", _infer_contract)
    infer.add_argument("reference", nargs="?", type=Path, metavar="REF.json", help="(the configured model's)")
    _config(infer)
    infer.add_argument("--model", metavar="NAME", help="of the configuration (the only one)")
    infer.add_argument("--version", metavar="VERSION", help="of the model (the only one configured)")
    infer.add_argument("--output", type=Path, metavar="FILE", help="(beside the reference, NAME.contract.yaml)")
    infer.add_argument("--overwrite", action="store_true", help="also where the file is there already")
    infer.add_argument("--slack", type=float, default=0.0, metavar="0.1", help="widen ranges by so much of them (0)")

    check = _add(actions, "check", "hold files against a contract; exit 1 where they break it", _check_contract)
    check.add_argument("contract", type=Path, metavar="CONTRACT.yaml")
    arguments.add_list(check, "files", arguments.files, metavar="FILE", help="CSV, JSONL, Parquet, in order of time")
    check.add_argument("--config", type=Path, metavar="driftd.yaml", help="read events as this configuration maps them")
    check.add_argument("--model", metavar="NAME", help="of the configuration (the only one)")
    check.add_argument("--version", metavar="VERSION", help="of the model (the only one configured)")
    check.add_argument("--topic", help="the topic whose messages these are (the first)")
    check.add_argument("--prediction", metavar="COL", help="the column that holds the prediction")
    arguments.add_dialect(check)
    _json(check)


def _add_notify(commands: "argparse._SubParsersAction[_Parser]") -> None:
    notify = commands.add_parser("notify", help="the targets, and what they are told")
    actions = notify.add_subparsers(title="actions", required=True, metavar="ACTION")

    test = _add(actions, "test", "tell one target something that is marked as a test", _notify_test)
    test.add_argument("target", metavar="TARGET", help="its name in the configuration")
    test.add_argument("--start", action="store_true", help="also where it starts a run, which costs what a run costs")
    _config(test)


def _config_of(options: argparse.Namespace) -> Path:
    from monitor.settings import find_config

    return find_config(options.config)


# Each command is imported when it is asked for: `driftd run` needs none of what the others load.


def _run(options: argparse.Namespace) -> Exit:
    import gc
    import signal

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(Exit.OK))  # while it loads; the daemon has a handler of its own
    gc.disable()  # nothing that is loaded is garbage, and looking for it takes a third of the time
    from monitor.commands.run import run

    gc.enable()
    return run(_config_of(options), options.threads)


def _demo(options: argparse.Namespace) -> Exit:
    from monitor.commands.demo import demo

    return demo(seconds=options.seconds, port=options.port)


def _check(options: argparse.Namespace) -> Exit:
    from monitor.commands.check import check

    return check(_config_of(options), offline=options.offline, as_json=options.json)


def _init(options: argparse.Namespace) -> Exit:
    from monitor.commands.init import InitChoice, init

    return init(
        InitChoice(
            output=options.output,
            files=options.files,
            kafka=options.kafka,
            topic=options.topic,
            properties=options.property,
            ca_file=options.ca_file,
            delimiter=options.delimiter,
            decimal=options.decimal,
        )
    )


def _backtest(options: argparse.Namespace) -> Exit:
    from monitor.commands.backtest import BacktestChoice, backtest

    return backtest(
        BacktestChoice(
            config=_config_of(options),
            inputs=options.input,
            topic=options.topic,
            kafka=options.kafka,
            report=options.report,
            json=options.json,
            inject=options.inject,
            delimiter=options.delimiter,
            decimal=options.decimal,
            budgets=options.budget,
            first=options.first,
            until=options.until,
            shown=options.show,
            responses=options.responses,
            labels=options.labels,
            label_topic=options.label_topic,
            threads=options.threads or arguments.usable_cores(),
        )
    )


def _explain(options: argparse.Namespace) -> Exit:
    from monitor.commands.explain import explain
    from monitor.commands.explained import ExplainChoice

    return explain(
        ExplainChoice(
            _config_of(options),
            options.file,
            options.topic,
            options.message,
            options.records,
            options.kafka,
            options.first,
            options.until,
            options.limit,
            options.steps,
            options.json,
        )
    )


def _fit(options: argparse.Namespace) -> Exit:
    from monitor.commands.reference import FitChoice, fit

    if options.config is not None:
        from monitor.commands.events import fit_events as fit
    return fit(
        FitChoice(
            inputs=options.input,
            output=options.output,
            columns=options.columns,
            prediction=options.prediction,
            timestamp=options.timestamp,
            timestamp_unit=options.timestamp_unit,
            window=options.window,
            kinds=options.kind,
            group=options.group,
            label=options.label,
            weight=options.weight,
            scores=options.scores,
            labels=options.labels,
            label_topic=options.label_topic,
            latency=options.latency,
            latency_unit=options.latency_unit,
            error=options.error,
            fine=options.fine,
            sampling=options.sampling,
            sampling_unit=options.sampling_unit,
            task=options.task,
            positive=options.positive,
            negative=options.negative,
            threshold=options.threshold,
            timezone=options.timezone,
            holidays=options.holidays,
            exclude=options.exclude,
            delimiter=options.delimiter,
            decimal=options.decimal,
            json=options.json,
            config=options.config,
            model=options.model,
            threads=options.threads or arguments.usable_cores(),
            any_order=options.any_order,
            version=options.version,
            topic=options.topic,
            kafka=options.kafka,
            first=options.first,
            until=options.until,
        )
    )


def _show(options: argparse.Namespace) -> Exit:
    from monitor.commands.show import show

    return show(options.file, as_json=options.json)


def _push(options: argparse.Namespace) -> Exit:
    from monitor.commands.push import push

    return push(_config_of(options), options.file, options.uri)


def _infer_contract(options: argparse.Namespace) -> Exit:
    from monitor.commands.contract import InferChoice, infer_contract

    return infer_contract(
        InferChoice(
            reference=options.reference,
            config=options.config,
            model=options.model,
            version=options.version,
            output=options.output,
            slack=options.slack,
            overwrite=options.overwrite,
        )
    )


def _check_contract(options: argparse.Namespace) -> Exit:
    from monitor.commands.contract import check_contract
    from monitor.commands.contract_rows import RowsChoice

    choice = RowsChoice(
        inputs=options.files,
        config=options.config,
        model=options.model,
        version=options.version,
        topic=options.topic,
        prediction=options.prediction,
        delimiter=options.delimiter,
        decimal=options.decimal,
    )
    return check_contract(options.contract, choice, as_json=options.json)


def _notify_test(options: argparse.Namespace) -> Exit:
    from monitor.commands.notify import notify_test

    return notify_test(_config_of(options), options.target, start=options.start)


def _completion(options: argparse.Namespace) -> Exit:
    from monitor.commands.completion import completion

    return completion(build_parser(), options.shell)
