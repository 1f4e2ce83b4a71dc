"""`driftd dead-letters` on the command line."""

import argparse
from pathlib import Path
from typing import Any

from monitor.commands.arguments import Commands, add_command, add_config, add_json
from monitor.commands.exits import Exit


def add_dead_letters(commands: Commands) -> None:
    """Add dead-letters list, show and replay."""
    letters = commands.add_parser(
        "dead-letters", help="rejected records that are kept in a directory: list, explain, send again"
    )
    actions = letters.add_subparsers(title="actions", required=True, metavar="ACTION")

    listed = add_command(actions, "list", "how many there are, by topic and reason", _list)
    _which(listed)
    add_json(listed)

    shown = add_command(actions, "show", "one of them, and what the decoder makes of it today", _show)
    shown.add_argument("place", metavar="TOPIC/PARTITION/OFFSET", help="where it stood")
    _where(shown)

    again = add_command(actions, "replay", "send them to their topics again, as they came", _replay)
    _which(again)
    again.add_argument("--send", action="store_true", help="send them; without it they are counted")


def _which(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--topic", help="those of this topic (all)")
    parser.add_argument("--reason", help="those that were rejected for this reason (all)")
    _where(parser)


def _where(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--directory", type=Path, metavar="DIR", help="where they are (dead_letters of the configuration)"
    )
    add_config(parser)


def _said(options: argparse.Namespace) -> dict[str, Any]:
    from monitor.settings import find_config

    chosen = {name: getattr(options, name, None) for name in ("directory", "topic", "reason")}
    return {"config": find_config(options.config), **chosen}


def _list(options: argparse.Namespace) -> Exit:
    from monitor.commands.dead_letters import LetterChoice, show_all

    return show_all(LetterChoice(**_said(options)), as_json=options.json)


def _show(options: argparse.Namespace) -> Exit:
    from monitor.commands.dead_letters import LetterChoice, show_one

    return show_one(LetterChoice(**_said(options)), options.place)


def _replay(options: argparse.Namespace) -> Exit:
    from monitor.commands.dead_letters import LetterChoice, replay

    return replay(LetterChoice(**_said(options)), send=options.send)
