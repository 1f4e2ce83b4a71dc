"""driftd's library beside its peers on identical bytes: `python benchmarks/peers/run.py`, README.md says how and why.

Each peer runs in an environment and a process of its own, on one core, in turn, round after round. It decodes the same
lines to a matrix, judges windows of 10 000 rows against the same reference and gives two scores a feature and window.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))

from benchmarks.measure import Figures, options, ratio, said, spread, write
from benchmarks.peers.environments import NotMadeError, last_line, python_of
from benchmarks.peers.scores import Exact
from benchmarks.peers.work import LEAST_WINDOWS, NAMES, WINDOW_ROWS
from benchmarks.traffic import columns, events

ROUND_SECONDS = 2.5  # of CPU, a peer and round; only the slow ones need as much
ROUNDS_SECONDS = 200.0  # no round begins that is likely to end after this
LAST_SECONDS = 400.0  # nothing runs longer, on however busy a machine
PROCESS_SECONDS = 90.0
RATES = ("events_per_second", "events_per_cpu_second", "detect_only")
QUIET = {
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"),
    "DO_NOT_TRACK": "1",  # Evidently
    "NML_DISABLE_USAGE_LOGGING": "1",  # NannyML
    "WHYLOGS_NO_ANALYTICS": "True",
}


@dataclass
class Peer:
    """Who is measured, and what was found."""

    name: str
    title: str
    licence: str
    note: str
    environment: str = ""  # of the peer whose it is; none: the project's own
    python: Path = Path(sys.executable)
    broken: str | None = None
    found: list[Figures] = field(default_factory=list)


def peers() -> list[Peer]:
    """Return all contenders, each with what it does differently."""
    apache, bsd = "Apache-2.0", "BSD-3-Clause"
    return [
        Peer("driftd", "driftd, the library", apache, "KS and PSI of a sketch"),
        Peer("nannyml", "NannyML", apache, "KS in 10 000 bins; Jensen-Shannon for PSI; 10 windows a call", "nannyml"),
        Peer("alibi_detect", "Alibi Detect", "BSL-1.1", "KSDrift; PSI by hand", "alibi_detect"),
        Peer("scipy", "scipy by hand", bsd, "ks_2samp, PSI in numpy"),
        Peer("river", "river + scipy by hand", bsd, "the same, and each value to ADWIN", "river"),
        Peer("frouros", "Frouros", bsd, "KSTest, PSI", "frouros"),
        Peer("whylogs", "whylogs", apache, "KS of KLL sketches; Hellinger for PSI", "whylogs"),
        Peer("evidently", "Evidently", apache, "ValueDrift ks and psi", "evidently"),
        Peer("evidently_legacy", "Evidently, old API", apache, "ColumnDriftMetric ks and psi", "evidently"),
    ]


def measure(count: int = 100_000, rounds: int = 3, names: Sequence[str] = ()) -> Figures:
    """Make what is missing, measure the peers in turn with so many events, return all figures. A peer cannot make it fail."""
    chosen = [peer for peer in peers() if not names or peer.name in names]
    for peer in chosen:
        settle(peer)
    with tempfile.TemporaryDirectory() as directory:
        size = prepare(Path(directory), max(count, LEAST_WINDOWS * WINDOW_ROWS))
        exact = Exact.of(Path(directory))
        began, longest = time.perf_counter(), 0.0
        for _ in range(rounds):
            start = time.perf_counter()
            if start - began + longest > ROUNDS_SECONDS:
                break
            for peer in chosen:
                one(peer, Path(directory), began + LAST_SECONDS - time.perf_counter())
            longest = max(longest, time.perf_counter() - start)
    figures = [summary(peer, exact) for peer in chosen]
    against(chosen, figures)
    return {"bytes_per_event": size, "window_rows": WINDOW_ROWS, "exact": exact.to_dict(), "peers": figures}


def settle(peer: Peer) -> None:
    """Find or make the peer's interpreter."""
    if peer.environment:
        try:
            peer.python = python_of(peer.environment)
        except NotMadeError as reason:
            peer.broken = f"cannot be installed: {reason}"


def prepare(directory: Path, count: int) -> float:
    """Write the lines and the reference; return bytes an event."""
    values = events(count)
    (directory / "lines").write_bytes(b"\n".join(values) + b"\n")
    reference = columns()
    np.save(directory / "reference.npy", np.column_stack([reference[name] for name in NAMES]))
    return sum(map(len, values)) / len(values)


def one(peer: Peer, directory: Path, left: float) -> None:
    """Let the peer work for one round; one that fails is left out from then on."""
    if peer.broken or (left <= 0 and peer.found):
        return
    command = [str(peer.python), "-W", "ignore", str(HERE / f"peer_{peer.name}.py")]
    command += ["--lines", str(directory / "lines"), "--reference", str(directory / "reference.npy")]
    command += ["--seconds", str(ROUND_SECONDS)]
    seconds = min(PROCESS_SECONDS, max(left, 0.0))
    try:
        done = subprocess.run(
            command, check=True, capture_output=True, text=True, timeout=seconds, env={**os.environ, **QUIET}
        )
        peer.found.append(json.loads(done.stdout.splitlines()[-1]))
    except subprocess.CalledProcessError as failed:
        peer.broken = f"does not run: {last_line(failed.stderr)}"
    except subprocess.TimeoutExpired:
        if not peer.found:
            peer.broken = f"not measured within the {seconds:.0f} s that were left"


def summary(peer: Peer, exact: Exact) -> Figures:
    """Return what is known of the peer, as the JSON file has it."""
    about = {"peer": peer.name, "title": peer.title, "licence": peer.licence, "note": peer.note, "broken": peer.broken}
    if not peer.found:
        return about
    scores = peer.found[-1]["scores"]
    return {
        **about,
        "version": peer.found[-1]["version"],
        "rounds": len(peer.found),
        "events": peer.found[-1]["events"],
        **{rate: spread([found[rate] for found in peer.found]) for rate in RATES},
        "scores": {name: values[:2] for name, values in scores.items()},
        "doubt": exact.doubt(scores),
    }


def against(chosen: list[Peer], figures: list[Figures]) -> None:
    """Add how many times a peer's rate driftd's is: the median of the rounds in which both were measured, by CPU."""
    ours = next((peer.found for peer in chosen if peer.name == "driftd"), [])
    for peer, figure in zip(chosen, figures, strict=True):
        rounds = [
            (one["events_per_cpu_second"], other["events_per_cpu_second"])
            for one, other in zip(ours, peer.found, strict=False)
        ]
        if rounds:
            figure["driftd"] = ratio(*zip(*rounds, strict=True))


def show(result: Figures) -> None:
    """Print the table, the scores and what was broken."""
    print(
        f"\npeers: {result['bytes_per_event']:.0f} bytes an event, windows of {WINDOW_ROWS:,} rows, one core, no Kafka"
    )
    print(f"  {'events a second:':<31}{'wall':>8}{'of CPU':>9} {'':<22}{'detecting':>9}  driftd is")
    measured = [each for each in result["peers"] if "version" in each]
    for each in sorted(measured, key=lambda each: -each["events_per_cpu_second"]["median"]):
        print(line(each))
    print(f"  feature_00 shifted by half a standard deviation, feature_01 not; exact: {listed(result['exact'])}")
    for each in measured:
        print(
            f"  {each['title']:<22} {listed(each['scores'])}{'  DOUBTFUL: ' + each['doubt'] if each['doubt'] else ''}"
        )
    for each in result["peers"]:
        if each["broken"]:
            print(f"  {each['title']:<22} broken: {each['broken']}")


def line(each: Figures) -> str:
    """Return a peer's line of the table."""
    wall, cpu, detect = (each[rate] for rate in RATES)
    ahead = f"{each['driftd']['median']:7.1f} ×" if "driftd" in each else ""
    name = f"{each['title']:<22} {each['version']:<8}"
    return f"  {name}{wall['median']:>8,.0f}  {said(cpu):<30}{detect['median']:>9,.0f}{ahead}  {each['note']}"


def listed(scores: Figures) -> str:
    """Return the scores of the first two features."""
    return ", ".join(f"{name} {first:.3g} and {second:.3g}" for name, (first, second) in scores.items())


def main() -> None:
    """Measure, print, write."""
    known = [peer.name for peer in peers()]
    parser = options(__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", default="", help=f"comma-separated, of {', '.join(known)}; all of them")
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    names = [name for name in chosen.peers.split(",") if name]
    if unknown := sorted(set(names) - set(known)):
        parser.error(f"no peer {unknown[0]}; there are {', '.join(known)}")
    count, rounds = (30_000, 1) if chosen.quick else (chosen.events, chosen.rounds)
    result = measure(count, rounds, names)
    show(result)
    write(chosen.json, result)


if __name__ == "__main__":
    main()
