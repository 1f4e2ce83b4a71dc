"""`driftd topics`: the internal topics of replicas, made or checked."""

import argparse

from monitor.commands.arguments import Commands, add_command, add_config
from monitor.commands.exits import Exit


def add_topics(commands: Commands) -> None:
    """Add topics create and check."""
    topics = commands.add_parser("topics", help="the internal topics of replicas: make, check")
    actions = topics.add_subparsers(title="actions", required=True, metavar="ACTION")
    add_config(add_command(actions, "create", "make those that are not there, then check all", _create))
    add_config(add_command(actions, "check", "whether they are as replicas need them", _check))


def _create(options: argparse.Namespace) -> Exit:
    from monitor.commands.internal_topics import create
    from monitor.settings import find_config

    return create(find_config(options.config))


def _check(options: argparse.Namespace) -> Exit:
    from monitor.commands.internal_topics import check
    from monitor.settings import find_config

    return check(find_config(options.config))
