"""Write dashboards/*.json from the dashboards in code; with --check, say which file differs and write nothing.

The files are sorted and free of anything that changes from run to run, so a difference is always a change of meaning.
"""

import argparse
import difflib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from model_page import model_page
from overview import overview

TARGET = Path(__file__).parent / "dashboards"


def main() -> int:
    """Write or compare; 1 when a comparison fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare with the files instead of writing them")
    check = parser.parse_args().check
    stale = [path for path, text in rendered() if not (_same(path, text) if check else _written(path, text))]
    return 1 if stale else 0


def rendered() -> Iterator[tuple[Path, str]]:
    """Each dashboard's file and the text that belongs into it."""
    for name, page in (("overview", overview()), ("model", model_page())):
        yield TARGET / f"{name}.json", _text(page)


def _text(page: Dashboard) -> str:
    built = page.build()
    for number, panel in enumerate(built.panels or [], start=1):
        panel.id_val = number
    return json.dumps(built, cls=JSONEncoder, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _written(path: Path, text: str) -> bool:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    print(f"wrote {path.relative_to(TARGET.parent.parent)}")
    return True


def _same(path: Path, text: str) -> bool:
    stored = path.read_text(encoding="utf-8") if path.exists() else ""
    difference = difflib.unified_diff(stored.splitlines(), text.splitlines(), str(path), "code", lineterm="")
    for line in difference:
        print(line, file=sys.stderr)
    return stored == text


if __name__ == "__main__":
    sys.exit(main())
