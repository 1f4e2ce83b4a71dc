"""Commands that ask the running daemon: how things stand, and what people decide."""

import argparse
from pathlib import Path

from monitor.commands import arguments
from monitor.commands.arguments import Commands, add_command, add_config, add_json
from monitor.commands.exits import Exit


def add_asking(commands: Commands) -> None:
    """Add accept, ack, silence, retrain, version, outbox, status and report."""
    _add_decisions(commands)
    _add_retrain(commands)
    _add_version(commands)
    _add_outbox(commands)

    status = add_command(commands, "status", "how the running daemon, its models and its targets stand", _status)
    status.add_argument("model", nargs="?", metavar="MODEL", help="all features of this one instead")
    _url(status)
    add_config(status)
    add_json(status)

    report = add_command(commands, "report", "what became of a model in its last days, for people", _report)
    report.add_argument("model", metavar="MODEL")
    report.add_argument("--last", metavar="7d", default="7d", help="of so long, event time (7d)")
    report.add_argument("--output", type=Path, metavar="FILE.html", help="write it as a page (print it as text)")
    _url(report)
    add_config(report)
    add_json(report)


def _add_decisions(commands: Commands) -> None:
    accept = add_command(commands, "accept", "how a model's features are now is how they should be", _accept)
    accept.add_argument("model", nargs="?", metavar="MODEL")
    accept.add_argument("features", nargs="*", metavar="FEATURE", help="only these (all)")
    lasting = accept.add_mutually_exclusive_group()
    lasting.add_argument("--for", dest="lasts", metavar="30d", help="for so long, in event time")
    lasting.add_argument("--for-good", dest="lasts", action="store_const", const="good", help="without end")
    _decision(accept, ends=False)
    accept.add_argument("--version", metavar="VERSION", help="only this version of the model (every one)")

    ack = add_command(commands, "ack", "somebody looks after an open incident", _ack)
    ack.add_argument("incident", nargs="?", metavar="ID", help="as the page or `GET /api/v1/incidents` names it")
    _decision(ack, ends=True)

    silence = add_command(commands, "silence", "nobody is told of a model, or of some features, for so long", _silence)
    silence.add_argument("model", nargs="?", metavar="MODEL")
    arguments.add_list(
        silence, "--feature", arguments.names, default=[], dest="features", metavar="FEATURE", help="(all)"
    )
    silence.add_argument("--for", dest="lasts", metavar="2h", help="for so long, from now on")
    _decision(silence, ends=True)
    silence.add_argument("--version", metavar="VERSION", help="only this version of the model (every one)")


def _decision(parser: argparse.ArgumentParser, *, ends: bool) -> None:
    """What every decision takes."""
    parser.add_argument("--reason", default="", help="why, for those who come after")
    parser.add_argument("--by", metavar="NAME", help="who decides (the user of this machine)")
    parser.add_argument("--list", action="store_true", help="list those in force instead")
    if ends:
        parser.add_argument("--end", metavar="ID", help="take an earlier one back instead")
    _way(parser)


def _way(parser: argparse.ArgumentParser) -> None:
    """What says how the daemon is reached, and by which token."""
    _url(parser)
    parser.add_argument("--token-file", type=Path, metavar="FILE", help="with the token (that of the configuration)")
    add_config(parser)
    add_json(parser)


def _add_retrain(commands: Commands) -> None:
    retrain = commands.add_parser("retrain", help="requests for retraining: list them, decide on them, make one")
    actions = retrain.add_subparsers(title="actions", required=True, metavar="ACTION")

    shown = add_command(actions, "list", "the last requests; those that wait for approval first", _list_requests)
    shown.add_argument("model", nargs="?", metavar="MODEL", help="only of this one (all)")
    _url(shown)
    add_config(shown)
    add_json(shown)

    for name, said, command in (
        ("approve", "what waits for approval is requested", _approve),
        ("reject", "what waits for approval is dropped", _reject),
    ):
        action = add_command(actions, name, said, command)
        action.add_argument("request", metavar="ID", help="as `driftd retrain list` names it")
        _by_whom(action)
        _way(action)

    trigger = add_command(actions, "trigger", "request retraining of a model now", _trigger)
    trigger.add_argument("model", metavar="MODEL")
    trigger.add_argument("--force", action="store_true", help="whatever the model's policy holds against it")
    _by_whom(trigger)
    _way(trigger)


def _add_version(commands: Commands) -> None:
    version = commands.add_parser("version", help="new versions of models: tell the daemon of one, list them")
    actions = version.add_subparsers(title="actions", required=True, metavar="ACTION")

    new = add_command(actions, "new", "there is a new version of a model: what is in flight has ended", _new_version)
    new.add_argument("model", metavar="MODEL")
    new.add_argument("version", metavar="VERSION")
    new.add_argument("--reference", metavar="FILE|URI", help="where its reference is, for the daemon (as configured)")
    new.add_argument("--trained-at", metavar="TIME", help="when it was trained, as in 2026-11-23T12:00:00Z (now)")
    _by_whom(new)
    _way(new)

    shown = add_command(actions, "list", "the versions that were told of, the newest first", _list_versions)
    shown.add_argument("model", nargs="?", metavar="MODEL", help="only of this one (all)")
    _url(shown)
    add_config(shown)
    add_json(shown)


def _add_outbox(commands: Commands) -> None:
    outbox = commands.add_parser("outbox", help="what targets have not taken: list it, try it again, drop it")
    actions = outbox.add_subparsers(title="actions", required=True, metavar="ACTION")

    shown = add_command(
        actions, "list", "what waits for its next attempt or was given up, the oldest first", _list_outbox
    )
    shown.add_argument("--target", metavar="NAME", help="only of this one (all)")
    _url(shown)
    add_config(shown)
    add_json(shown)

    for name, said, command in (
        ("retry", "try a notice now, and as long again as a new one", _retry),
        ("drop", "never deliver a notice", _drop),
    ):
        action = add_command(actions, name, said, command)
        action.add_argument(
            "notice", nargs="?", metavar="ID", help="as `driftd outbox list` names it (all of --target)"
        )
        action.add_argument("--target", metavar="NAME", help="of this target (all that wait for it)")
        if name == "retry":
            action.add_argument("--to", metavar="NAME", help="let this target have it from now on: the other is gone")
        _by_whom(action)
        _way(action)


def _by_whom(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--reason", default="", help="why, for those who come after")
    parser.add_argument("--by", metavar="NAME", help="who decides (the user of this machine)")


def _url(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--url", metavar="URL", help="of the daemon (http.host and http.port of the configuration)")


# Each command is imported when it is asked for.


def _accept(options: argparse.Namespace) -> Exit:
    return _decide(options, "accept", _scope(options))


def _silence(options: argparse.Namespace) -> Exit:
    return _decide(options, "silence", _scope(options))


def _ack(options: argparse.Namespace) -> Exit:
    return _decide(options, "ack", {"ID": ("incident", options.incident)})


def _scope(options: argparse.Namespace) -> dict[str, tuple[str, object]]:
    """What an accept or a silence says, by the words of the command line."""
    return {
        "MODEL": ("model", options.model),
        "--for": ("for", options.lasts),
        "--version": ("version", options.version),
        "--feature": ("features", options.features),
    }


def _decide(options: argparse.Namespace, kind: str, words: dict[str, tuple[str, object]]) -> Exit:
    from monitor.commands.decide import Way, decide, show_decisions
    from monitor.settings import ConfigError

    way = Way(options.config, options.url, options.token_file)
    if options.list:
        return show_decisions(way, kind, as_json=options.json)
    body: dict[str, object] = {"decision": kind, "reason": options.reason, **dict(words.values())}
    if getattr(options, "end", None) is not None:
        body = {"decision": "end", "reason": options.reason, "ends": options.end}
    elif missing := [word for word in ("MODEL", "ID", "--for") if word in words and words[word][1] is None]:
        raise ConfigError(f"{kind} needs {' and '.join(missing)} (see driftd {kind} --help)")
    return decide(way, body, by=options.by, as_json=options.json)


def _list_requests(options: argparse.Namespace) -> Exit:
    from monitor.commands.decide import Way, show_requests

    return show_requests(Way(options.config, options.url, None), options.model, as_json=options.json)


def _approve(options: argparse.Namespace) -> Exit:
    return _retrain(options, {"decision": "approve", "request": options.request})


def _reject(options: argparse.Namespace) -> Exit:
    return _retrain(options, {"decision": "reject", "request": options.request})


def _trigger(options: argparse.Namespace) -> Exit:
    return _retrain(options, {"decision": "trigger", "model": options.model, "force": options.force})


def _retrain(options: argparse.Namespace, body: dict[str, object]) -> Exit:
    from monitor.commands.decide import Way, decide

    way = Way(options.config, options.url, options.token_file)
    return decide(way, {**body, "reason": options.reason}, by=options.by, as_json=options.json)


def _new_version(options: argparse.Namespace) -> Exit:
    about = {"model": options.model, "version": options.version, "reference": options.reference}
    return _retrain(options, {"decision": "version", **about, "trained_at": options.trained_at})


def _list_versions(options: argparse.Namespace) -> Exit:
    from monitor.commands.decide import Way
    from monitor.commands.versions import show_versions

    return show_versions(Way(options.config, options.url, None), options.model, as_json=options.json)


def _list_outbox(options: argparse.Namespace) -> Exit:
    from monitor.commands.decide import Way
    from monitor.commands.outbox import show

    return show(Way(options.config, options.url, None), options.target, as_json=options.json)


def _retry(options: argparse.Namespace) -> Exit:
    return _outbox(options, "retry")


def _drop(options: argparse.Namespace) -> Exit:
    return _outbox(options, "drop")


def _outbox(options: argparse.Namespace, action: str) -> Exit:
    from monitor.commands.decide import Way
    from monitor.commands.outbox import decide
    from monitor.settings import ConfigError

    if options.notice is None and options.target is None:
        raise ConfigError(f"outbox {action} needs an ID, --target, or both (see driftd outbox {action} --help)")
    body = {"action": action, "notice": options.notice, "target": options.target, "reason": options.reason}
    if action == "retry" and options.to is not None:
        body["to"] = options.to
    way = Way(options.config, options.url, options.token_file)
    return decide(way, body, by=options.by, as_json=options.json)


def _status(options: argparse.Namespace) -> Exit:
    from monitor.commands.decide import Way
    from monitor.commands.status import status

    return status(Way(options.config, options.url, None), options.model, as_json=options.json)


def _report(options: argparse.Namespace) -> Exit:
    from monitor.commands.decide import Way
    from monitor.commands.report import report

    way = Way(options.config, options.url, None)
    return report(way, options.model, options.last, options.output, as_json=options.json)
