"""`driftd completion`: a script for the shell, made of the parser; nothing of driftd is started when Tab is pressed."""

import argparse
from pathlib import Path

import shtab

from monitor.commands.arguments import actions_of, files
from monitor.commands.exits import Exit

# Where shtab's bash offers files, it offers no option: after `--input FILE`, which takes more files, none could be completed.
FILES_ALONE = ' &&\n        ( -z "$current_action_compgen" || "$current_action_is_positional" = true )'


def completion(parser: argparse.ArgumentParser, shell: str) -> Exit:
    """Print the script for one shell."""
    for action in actions_of(parser):
        if action.type in {Path, files}:
            action.complete = shtab.FILE  # type: ignore[attr-defined]  # shtab's way to say what is completed
    print(shtab.complete(parser, shell).replace(FILES_ALONE, ""))
    return Exit.OK
