"""`python -m benchmarks.alarms.packages`: NannyML, Evidently and river by their real packages on rows of some of the worlds."""

import argparse
import json
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import numpy as np

from benchmarks.alarms.cases import CASES, SHIFT, every
from benchmarks.alarms.marginals import Text
from benchmarks.alarms.plain import PlainRule
from benchmarks.alarms.scoring import garwood, onsets
from benchmarks.alarms.subject import MONTH_HOURS, Subject
from benchmarks.alarms.traffic import Traffic
from benchmarks.measure import ROOT, Figures
from benchmarks.peers.environments import NotMadeError, last_line, python_of
from detectors.features import Bools

SCRIPTS = ROOT / "benchmarks" / "peers"
WORLDS = ("quiet", "waves-day-.1", "sessions-30")
HOURS = 240  # without a change
AFTER = 72  # with one
SECONDS = 1800.0
QUIET = {"DO_NOT_TRACK": "1", "NML_DISABLE_USAGE_LOGGING": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


@dataclass(frozen=True, slots=True)
class Package:
    """Who is asked, and how it decides."""

    name: str
    title: str


PACKAGES = (
    Package("nannyml", "NannyML, Jensen-Shannon, 3 sd of the reference's hours"),
    Package("evidently", "Evidently, its own method and threshold"),
    Package("river", "river, ADWIN on raw rows of numbers"),
)


@dataclass(eq=False)
class Rows:
    """A model's rows for packages: the reference's, and hours of which the last `AFTER` have all plain numbers shifted."""

    subject: Subject

    def __post_init__(self) -> None:
        assert isinstance(self.subject.living, Traffic)
        self.traffic, self.first = self.subject.living, self.subject.begins
        changed = self.subject.pick(every("n"))
        self.changed = [self.subject.names.index(name) for name in changed]
        self.planted = [self.subject.plant(SHIFT, changed, self.first + HOURS)]

    def write(self, path: Path) -> None:
        """Columns as the packages' side reads them."""
        texts = [one.name for one in self.subject.features if isinstance(one.of, Text)]
        held: dict[str, object] = {"texts": np.array(texts)}
        for part, hours, first, many in (
            ("reference", "before", 0, self.first),
            ("live", "now", self.first, HOURS + AFTER),
        ):
            columns, window = self.traffic.rows(first, many, self.planted)
            held[hours] = window
            held |= {f"{part}/{name}": column for name, column in zip(self.subject.names, columns, strict=True)}
        np.savez(path, **held)  # type: ignore[arg-type]

    def plain(self) -> Bools:
        """What the plain rule says of as many hours."""
        rule = self.subject.plain()
        assert isinstance(rule, PlainRule)
        panes = self.subject.panes(self.first, HOURS + AFTER, self.planted)
        return np.stack([rule.take(pane.means) for pane in panes])


def contest(key: str, rng: np.random.Generator, names: Sequence[str] = ()) -> Figures:
    """All packages on one model of a world; one that cannot be had or fails says why."""
    subject = Subject(CASES[key], (HOURS + AFTER) / MONTH_HOURS, rng)
    rows = Rows(subject)
    found: Figures = {"plain rule": scored(rows.plain(), rows.changed)}
    with tempfile.TemporaryDirectory() as folder:
        given = Path(folder) / "given.npz"
        rows.write(given)
        for one in PACKAGES:
            if not names or one.name in names:
                found[one.title] = _asked(one, given, rows.changed, len(subject.names))
    return found


def _asked(package: Package, given: Path, changed: Sequence[int], features: int) -> Figures:
    try:
        command = [str(python_of(package.name)), "-W", "ignore", str(SCRIPTS / f"alarm_{package.name}.py"), str(given)]
        done = subprocess.run(
            command, check=True, capture_output=True, text=True, timeout=SECONDS, env={**os.environ, **QUIET}
        )
    except NotMadeError as reason:
        return {"broken": f"cannot be installed: {reason}"}
    except subprocess.CalledProcessError as failed:
        return {"broken": f"does not run: {last_line(failed.stderr)}"}
    except subprocess.TimeoutExpired:
        return {"broken": f"not done within {SECONDS:.0f} s"}
    said = json.loads(done.stdout.splitlines()[-1])
    alarms = np.zeros((HOURS + AFTER, features), dtype=np.bool_)
    for at, places in enumerate(said["alarms"]):
        alarms[at, places] = True
    return scored(alarms, changed) | {"version": said["version"]}


def scored(alarms: Bools, changed: Sequence[int]) -> Figures:
    """Pages and hours under alarm before the change; delays of the features that changed and were not in alarm already."""
    before, after = alarms[:HOURS], alarms[HOURS:]
    alarmed = np.asarray(before.any(axis=1))
    asked = [at for at in changed if not before[-1, at]]
    delays = [float(np.argmax(after[:, at])) + 1 if after[:, at].any() else None for at in asked]
    return {
        "pages": onsets(alarmed),
        "alarmed": int(alarmed.sum()),
        "hours": HOURS,
        "delays": delays,
    }


def said(key: str, found: Figures) -> str:
    """What was found, in lines."""
    return "\n".join([f"{key}: {CASES[key].title}", *(f"  {title}: {line(one)}" for title, one in found.items())])


def line(found: Figures) -> str:
    """One package's figures."""
    return ", ".join(cells(found)) if "broken" not in found else str(found["broken"])


def cells(found: Figures) -> tuple[str, str, str]:
    """Pages a month with their interval, share of hours alarmed, delay."""
    months = found["hours"] / MONTH_HOURS
    low, high = garwood(found["pages"], months)
    delays = [np.inf if one is None else one for one in found["delays"]]
    middle = float(np.quantile(delays, 0.5, method="inverted_cdf")) if delays else np.inf
    shown = f"> {AFTER}" if np.isinf(middle) else f"{middle:g}"
    heard = int(np.isfinite(delays).sum())
    return (
        f"{found['pages'] / months:.0f} a month ({low:.0f} to {high:.0f})",
        f"alarmed {found['alarmed'] / found['hours']:.0%}",
        f"0.5 σ after {shown} h, {heard} of {len(delays)}",
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the packages on the worlds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("worlds", nargs="*", default=list(WORLDS), help=f"of those drawn by rows; {', '.join(WORLDS)}")
    parser.add_argument("--packages", default="", help=f"by comma, of {', '.join(one.name for one in PACKAGES)}; all")
    parser.add_argument("--seed", type=int, default=None, help="of another run, to have it again; fresh otherwise")
    chosen = parser.parse_args(arguments)
    seed = secrets.randbits(32) if chosen.seed is None else chosen.seed
    print(f"seed {seed}", flush=True)
    for key in chosen.worlds:
        rng = np.random.default_rng([seed, crc32(key.encode())])
        print(said(key, contest(key, rng, list(filter(None, chosen.packages.split(","))))), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
