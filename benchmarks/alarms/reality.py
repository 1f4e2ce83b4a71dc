"""`python -m benchmarks.alarms.reality [NAME…]`: real series under the daemon's own operator, without and with planted changes."""

import argparse
import json
import secrets
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from zlib import crc32

import numpy as np

from benchmarks.alarms.itself import words_of
from benchmarks.alarms.months import figures, follow, told_of
from benchmarks.alarms.plain import PlainRule
from benchmarks.alarms.realcases import REAL, Planted, RealCase
from benchmarks.alarms.recorded import Recording, common
from benchmarks.alarms.shipped import NotShippedError
from benchmarks.alarms.subject import MONTH_HOURS
from benchmarks.alarms.told import months_said
from benchmarks.alarms.traffic import HOUR
from benchmarks.alarms.watch import Watch
from benchmarks.measure import Figures
from detectors import Reference

DAY_NS = 24 * HOUR


def run(case: RealCase, rng: np.random.Generator) -> Figures:
    """A case as it was, then with each change; or why it cannot be run."""
    began, found = time.process_time(), {"case": case.key, "title": case.title}
    try:
        recording = case.read(rng)
    except NotShippedError as reason:
        return found | {"skipped": str(reason)}
    ends = int(recording.times[0]) // recording.window_ns * recording.window_ns + round(case.reference_days * DAY_NS)
    before = recording.between(0, ends)
    reference = before.fit()
    if reference.calibration is None:
        return found | {"skipped": f"cold: {reference.cold}"}
    lived = {one.key if one else "": _lived(recording, before, reference, ends, one) for one in (None, *case.planted)}
    return found | {
        "lived": lived,
        "itself": words_of(reference),
        "seconds": time.process_time() - began,
    }


def _lived(
    recording: Recording, before: Recording, reference: Reference, ends: int, planted: Planted | None
) -> Figures:
    """What people heard from the reference's end to the last row."""
    since = ends if planted is None else ends + round(planted.day * DAY_NS)
    after = recording if planted is None else recording.edited(since, planted.edits)
    last = int(recording.times[-1]) + 1
    watch, plain = Watch(reference, recording.window_ns), PlainRule(_means(before, reference, ends))
    follow(watch, plain, after.between(ends, last).panes(reference, ends, last))
    features = [] if planted is None else [one.column for one in planted.edits]
    return {
        "months": (last - ends) / (MONTH_HOURS * HOUR),
        **figures(watch, plain),
        "planted": [] if planted is None else [told_of(watch, features, since) | {"day": planted.day}],
        "notices": [[round((one.at - ends) / DAY_NS, 2), one.line] for one in watch.notices],
    }


def _means(before: Recording, reference: Reference, ends: int) -> np.ndarray:
    starts = np.arange(int(before.times[0]) // before.window_ns, ends // before.window_ns) * before.window_ns
    return before.means(starts, common(reference))


def said(found: Figures, *, notices: bool = False) -> str:
    """What was found, in lines."""
    lines = [f"{found['case']}: {found['title']}"]
    if "skipped" in found:
        return "\n".join([*lines, f"  skipped: {found['skipped']}"])
    for key, one in found["lived"].items():
        lines += [f"  {key or 'as it was'}:", *(f"  {line}" for line in months_said([one]))]
        lines += [f"    day {day:g}: {line}" for day, line in one["notices"]] if notices else []
    if found["itself"]:
        lines.append(f"  the reference says of itself: {'; '.join(found['itself'])}")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the series that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(REAL)}, or their beginnings")
    parser.add_argument("--seed", type=int, default=None, help="of another run, to have it again; fresh otherwise")
    parser.add_argument("--notices", action="store_true", help="print everything that people were told")
    parser.add_argument("--json", type=Path, default=None, help="write the figures to this file")
    chosen = parser.parse_args(arguments)
    seed = secrets.randbits(32) if chosen.seed is None else chosen.seed
    print(f"seed {seed}", flush=True)
    results = []
    for key, case in REAL.items():
        if not chosen.names or any(key.startswith(name) for name in chosen.names):
            results.append(run(case, np.random.default_rng([seed, crc32(case.key.encode())])))
            print(said(results[-1], notices=chosen.notices), flush=True)
    if chosen.json is not None:
        chosen.json.write_text(json.dumps(results), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
