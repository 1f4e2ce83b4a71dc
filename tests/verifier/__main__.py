"""Decides whether I1 to I6 of docs/RELIABILITY.md hold of runs of the daemon: `python -m tests.verifier RUN… [--json FILE]`.

A process of its own: it shares nothing with the daemon nor with who killed it, counts without the compiled parts, and reads what a run has left in a
directory: `truth.jsonl` (what was sent), `driftd.yaml` with its references, `killed/*` (states as they were found after a kill, in order), `state`,
`metrics.txt` (of the last run, at its end) and `webhooks.jsonl` (what the receiver took down). Ends with 0 where all hold, 1 where one does not, 2 where
it cannot tell; says so in JSON, with seed, versions and figures.
"""

import argparse
import json
import os
import sqlite3
import sys
from pathlib import Path

os.environ["DRIFTD_PURE"] = "1"  # before anything is imported that asks

from tests.verifier.runs import document, verified


def main(arguments: list[str]) -> int:
    """Judge each run."""
    parser = argparse.ArgumentParser(prog="python -m tests.verifier")
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was found here, too")
    asked = parser.parse_args(arguments)
    try:
        found = document([verified(run) for run in asked.runs])
    except (OSError, ValueError, KeyError, RuntimeError, sqlite3.Error) as error:
        print(f"cannot tell: {type(error).__name__}: {error}", file=sys.stderr)
        return 2
    text = json.dumps(found, indent=1)
    if asked.json is not None:
        asked.json.write_text(text + "\n", encoding="utf-8")
    print(text)
    return 0 if found["holds"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
