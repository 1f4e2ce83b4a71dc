"""Which run each figure is from: its seed, day and commit, kept with the figures and told in the document."""

import shutil
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime

from benchmarks.measure import ROOT, Figures

MEASURED = ("detectors", "monitor", "benchmarks")


def stamp(seed: int) -> Figures:
    """What is measured now, by which a reader can find the code again."""
    return {"seed": seed, "day": datetime.now(UTC).strftime("%Y-%m-%d"), "commit": _commit()}


def _commit() -> str | None:
    """Short hash, with a + where code that is measured differs from it; None without git."""
    head = _git("rev-parse", "--short", "HEAD")
    if head is None:
        return None
    return head + ("" if _git("diff", "--quiet", "HEAD", "--", *MEASURED) is not None else "+")


def _git(*arguments: str) -> str | None:
    """What it says; None where it fails, or this is no clone."""
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        return None
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def merged(kept: Figures, again: Figures) -> Figures:
    """The last run's figures with some worlds run again, each with the stamp of its own run."""
    seen = {name: again.get(name) for name in ("seed", "day", "commit")}
    apart = {**kept.get("apart", {}), **dict.fromkeys(again["worlds"], seen)}
    cases = {name: kept.get(name, {}) | again.get(name, {}) for name in ("cases", "real", "packages")}
    own = {"cases_run": again["cases_run"]} if again.get("cases") else {}
    return kept | {"worlds": kept["worlds"] | again["worlds"], "apart": apart} | cases | own


def told(results: Figures) -> str:
    """When and at which commit all was measured, and which worlds were measured again since."""
    found = results["machine"]
    again: dict[str, list[str]] = {}
    for key, own in results.get("apart", {}).items():
        again.setdefault(_when(own if isinstance(own, dict) else {"seed": own}), []).append(key)
    return (
        f"Measured by `{results['command']}` {_when(results)} in {results['minutes']:.0f} minutes "
        f"on {found['cores']} cores of {found['cpu']}; nobody edits this file."
    ) + "".join(f" Measured again {when}: {', '.join(keys)}." for when, keys in again.items())


def _when(own: Mapping[str, object]) -> str:
    commit = f" at commit {own['commit']}" if own.get("commit") else ""
    return f"on {own.get('day') or 'an unknown day'}{commit} with seed {own['seed']}"
