"""`driftd completion`: a script for the shell, made of the parser; nothing of driftd is started when Tab is pressed."""

import argparse
from pathlib import Path

import shtab

from monitor.commands.arguments import actions_of, files
from monitor.commands.exits import Exit


def completion(parser: argparse.ArgumentParser, shell: str) -> Exit:
    """Print the script for one shell."""
    for action in actions_of(parser):
        if action.type in {Path, files}:
            action.complete = shtab.FILE  # type: ignore[attr-defined]  # shtab's way to say what is completed
    print(shtab.complete(parser, shell))
    return Exit.OK
