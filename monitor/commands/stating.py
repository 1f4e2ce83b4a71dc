"""`driftd state` on the command line."""

import argparse
from pathlib import Path

from monitor.commands.arguments import Commands, add_command, add_config, add_json
from monitor.commands.exits import Exit


def add_state(commands: Commands) -> None:
    """Add state show, verify and backup."""
    state = commands.add_parser("state", help="the state of a daemon and its backups: show, verify, copy")
    actions = state.add_subparsers(title="actions", required=True, metavar="ACTION")

    shown = add_command(actions, "show", "positions, records, what waits for targets, backups", _show)
    _where(shown)
    add_json(shown)

    verified = add_command(actions, "verify", "whether state, backups and audit log are as they were written", _verify)
    _where(verified)
    add_json(verified)

    copied = add_command(actions, "backup", "a copy that is looked at before it is one", _backup)
    copied.add_argument("file", type=Path, metavar="FILE", help="where to write it; it must not exist")
    _where(copied)


def _where(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--state", type=Path, metavar="DIR", help="the directory (state of the configuration)")
    add_config(parser)


def _show(options: argparse.Namespace) -> Exit:
    from monitor.commands.state import directory_of, show

    return show(directory_of(options.state, options.config), as_json=options.json)


def _verify(options: argparse.Namespace) -> Exit:
    from monitor.commands.state import directory_of, verify

    return verify(directory_of(options.state, options.config), as_json=options.json)


def _backup(options: argparse.Namespace) -> Exit:
    from monitor.commands.state import backup, directory_of

    return backup(directory_of(options.state, options.config), options.file)
