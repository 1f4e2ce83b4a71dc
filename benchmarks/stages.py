"""Where the daemon's time goes, by stage, as py-spy samples it while it reads a backlog.

py-spy looks at the loop's thread many times a second; each look counts for the stage that the thread is in. Waiting
without work is not counted. Several readings of the same topic make the seconds it needs.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import brokers
from benchmarks.measure import ROOT, Figures, command, environment, options, write
from benchmarks.traffic import TOPIC, events

EVENTS, REPEAT = 300_000, 4
PER_SECOND = 400
SECONDS = 120
STAGES = {  # the first frame below the loop's turn that one of these names is in, as `function (file`
    "poll": r"\bpoll \(.*sources/kafka/",
    "decode": r"\b_?decode \(.*(runtime/loop|sources/decode/topic)\.py",
    "fold": r"\bingest \(.*pipeline\.py",
    "judge": r"\badvance \(.*pipeline\.py",
    "checkpoint": r"\bsave \(.*(runtime/loop|runtime/checkpoint)\.py",
    "telemetry": r"\brecord \(.*telemetry\.py|\bturned \(|\bnotices \(|\bexplain \(.*explainer\.py",
}
LOOP = re.compile(r"\brun \(.*runtime/loop\.py")
TOP = 12
FRAME = re.compile(r" \((?:.*/)?((?:monitor|detectors)/[^:)]*)")


def stage_of(frames: list[str]) -> str | None:
    """The stage a stack is in; None outside the loop."""
    inside = [at for at, frame in enumerate(frames) if LOOP.search(frame)]
    if not inside:
        return None
    for frame in frames[inside[0] + 1 :]:
        for stage, pattern in STAGES.items():
            if re.search(pattern, frame):
                return stage
    return "other"


def shares(lines: Iterable[str]) -> Figures:
    """The share of each stage, and of the functions that were seen at work most often."""
    stages: Counter[str] = Counter()
    leaves: Counter[str] = Counter()
    for line in lines:
        stack, _, count = line.rpartition(" ")
        frames = stack.split(";")
        stage = stage_of(frames)
        if stage is not None:
            stages[stage] += int(count)
            leaves[own(frames)] += int(count)
    total = stages.total() or 1
    return {
        "samples": stages.total(),
        "stages": {stage: stages[stage] / total for stage in (*STAGES, "other")},
        "functions": {name: seen / total for name, seen in leaves.most_common(TOP)},
    }


def own(frames: list[str]) -> str:
    """The innermost function of ours, with its file."""
    for frame in reversed(frames):
        found = FRAME.search(frame)
        if found:
            return f"{found[1]} {frame.split(' (')[0]}"
    return frames[-1]


def profile(spy: str, servers: str, count: int, repeat: int, *, pure: bool) -> Figures:
    """One profile."""
    where = ("--servers", servers, "--events", str(count), "--repeat", str(repeat))
    with tempfile.TemporaryDirectory() as directory:
        output = Path(directory, "stacks")
        record = [spy, "record", "--full-filenames", "--function", "--rate", str(PER_SECOND), "--format", "raw"]
        subprocess.run(
            [*record, "--output", str(output), "--", *command("contenders", "run", *where)],
            cwd=ROOT,
            env=environment(pure=pure),
            check=True,
            capture_output=True,
            timeout=SECONDS,
        )
        return shares(output.read_text(encoding="utf-8").splitlines())


def the_spy() -> str | None:
    """py-spy, beside this Python or on the path."""
    beside = Path(sys.executable).with_name("py-spy")
    return str(beside) if beside.exists() else shutil.which("py-spy")


def show(name: str, found: Figures) -> None:
    """For people."""
    print(f"\n{name}: {found['samples']:,} samples")
    print("  " + ", ".join(f"{stage} {share:.1%}" for stage, share in found["stages"].items()))
    for function, share in found["functions"].items():
        print(f"    {share:6.1%}  {function}")


def main() -> None:
    """With the compiled part and without, on the mock cluster."""
    parser = options(__doc__)
    chosen = parser.parse_args()
    count, repeat = (20_000, 1) if chosen.quick else (EVENTS, REPEAT)
    figures: Figures = {}
    spy = the_spy()
    if spy is None:
        print("profile left out: py-spy is not here (`make bench` installs it)")
    else:
        with brokers.mock() as broker:
            servers = brokers.filled(broker, TOPIC, events(count))
            for name, pure in (("run", False), ("run, pure Python", True)):
                figures[name] = profile(spy, servers, count, max(1, repeat // (2 if pure else 1)), pure=pure)
                show(name, figures[name])
    write(chosen.json, figures)


if __name__ == "__main__":
    main()
