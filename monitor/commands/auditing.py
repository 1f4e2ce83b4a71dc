"""`driftd audit` on the command line."""

import argparse
from pathlib import Path
from typing import Any

from monitor.commands.arguments import Commands, add_command, add_config, add_json
from monitor.commands.exits import Exit


def add_audit(commands: Commands) -> None:
    """Add audit list, verify, export and replay."""
    audit = commands.add_parser("audit", help="the log of what was decided: list it, verify it, export it, replay it")
    actions = audit.add_subparsers(title="actions", required=True, metavar="ACTION")

    shown = add_command(actions, "list", "what was decided, the oldest first", _list)
    shown.add_argument("--model", metavar="MODEL", help="only of this one (all)")
    shown.add_argument(
        "--since", metavar="TIME", help="only what was written down since a time, or a span ago: 24h (all)"
    )
    shown.add_argument("--kind", metavar="KIND", help="only these: alert, alert.opened, retrain, delivery … (all)")
    shown.add_argument("--incident", metavar="ID", help="only of this incident (all)")
    _source(shown)
    add_json(shown)

    verified = add_command(actions, "verify", "whether no entry was changed, added or left out", _verify)
    verified.add_argument(
        "--head",
        action="append",
        default=[],
        metavar="N:HASH",
        help="an entry's hash that was kept elsewhere; may be repeated",
    )
    _source(verified)
    add_json(verified)

    exported = add_command(actions, "export", "the whole log on standard output, so that others can verify it", _export)
    exported.add_argument("--format", choices=["jsonl"], default="jsonl", help="a line an entry (jsonl)")
    _source(exported)

    again = add_command(actions, "replay", "make decisions again from what the log holds, and compare", _replay)
    again.add_argument("id", nargs="?", metavar="ID", help="an entry's number, or the id of a decision or incident")
    again.add_argument("--all", action="store_true", help="every decision")
    _source(again)
    add_json(again)


def _source(parser: argparse.ArgumentParser) -> None:
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--url", metavar="URL", help="of the daemon (http.host and http.port of the configuration)")
    where.add_argument("--state", type=Path, metavar="DIR", help="a state that no daemon holds, instead")
    where.add_argument("--file", type=Path, metavar="FILE", help="an exported log, instead")
    add_config(parser)


def _list(options: argparse.Namespace) -> Exit:
    from monitor.commands.audit import Filter, show, since_of

    since = None if options.since is None else since_of(options.since)
    wanted = Filter(options.model, since, options.kind, options.incident)
    return show(_from(options), wanted, as_json=options.json)


def _verify(options: argparse.Namespace) -> Exit:
    from monitor.commands.audit import kept_of, verify

    return verify(_from(options), [kept_of(each) for each in options.head], as_json=options.json)


def _export(options: argparse.Namespace) -> Exit:
    from monitor.commands.audit import export

    return export(_from(options))


def _replay(options: argparse.Namespace) -> Exit:
    from monitor.commands.audit import replay
    from monitor.settings import ConfigError

    if (options.id is None) is not options.all:
        raise ConfigError("audit replay needs an ID or --all (see driftd audit replay --help)")
    return replay(_from(options), options.id, as_json=options.json)


def _from(options: argparse.Namespace) -> Any:
    from monitor.commands.audit import From
    from monitor.commands.decide import Way

    return From(Way(options.config, options.url, None), options.state, options.file)
