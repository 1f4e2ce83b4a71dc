"""What the scan of a message costs and where: instructions an event by callgrind, time by function as perf samples it.

The compiled scan alone, without Python about it, built as hatch_build.py builds it, on 1000 events of each kind of traffic; `17 digits`
has numbers as Python writes doubles, a space behind each colon. Instructions are the same on a busy machine; of times the least of
many rounds is taken. What is inlined is told apart. Valgrind, perf or binutils that are not there are done without.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.measure import ROOT, Figures, options, write
from benchmarks.traffic import KINDS, events
from hatch_build import FLAGS

COUNT, ROUNDS, SAMPLED = 1_000, 400, 3_000
LONG = "17 digits"
JSON = ROOT / "monitor" / "sources" / "formats" / "json"
TIMEOUT_S = 300
STAGES = {
    "keys": "stands stands_at_end stands_whole alike key stranger",
    "numbers": "numbers mantissa_in_window in_window digits_in worth_of worth_without by_division exactly number digit_run by_library quick __udivti3 epoch",
    "texts": "marks_in string plain_run ascii_run skip_string quick_text",
    "categories and ids": "find ends_of hash hash_id mix_id coded operator== category identity identified",
    "columns": "put put_code holds with suspect",
}
STAGE = {name: stage for stage, names in STAGES.items() for name in names.split()}
SHARED = {"word_at", "half_at", "lowest", "bits_of", "half_window"} | {
    "has_window",
    "left",
}  # counted where they are called


def messages(kind: str) -> list[bytes]:
    """Events of one kind."""
    if kind != LONG:
        return events(COUNT, kind=kind)
    told = [json.loads(each) for each in events(COUNT)]
    for each in told:
        each["features"] = {name: value / 3 for name, value in each["features"].items()}
    return [json.dumps(each).encode() for each in told]


def built(home: Path, *flags: str) -> Path:
    """The program, with lines to find what was inlined where."""
    program = home / "scan_profile"
    kept = [flag for flag in FLAGS if flag not in {"-shared", "-fPIC"}]
    source = ROOT / "benchmarks" / "scan_profile.cpp"
    command = ["c++", *kept, "-g", "-no-pie", *flags, f"-I{JSON}", str(source), "-o", str(program)]
    subprocess.run(command, check=True, timeout=TIMEOUT_S)
    return program


def said_by(*command: str | Path) -> str:
    """What a program says, to both of its outputs."""
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=TIMEOUT_S)
    return done.stdout + done.stderr


def nanoseconds(program: Path, file: Path) -> float:
    """The least time of an event."""
    return float(re.findall(r"([\d.]+) ns each", said_by(program, file, str(ROUNDS)))[0])


def instructions(program: Path, file: Path) -> float:
    """Of an event; what is done once cancels out."""

    def counted(rounds: int) -> int:
        told = said_by("valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", program, file, str(rounds))
        return int(re.findall(r"I\s+refs:\s+([\d,]+)", told)[0].replace(",", ""))

    return (counted(6) - counted(2)) / (4 * COUNT)


def functions(program: Path, file: Path, home: Path) -> Counter[str]:
    """Samples by function, the innermost that was inlined and is of interest."""
    data = str(home / "perf.data")
    said_by("perf", "record", "-q", "-F", "5000", "-o", data, program, file, str(SAMPLED))
    script = said_by("perf", "script", "-i", data, "-F", "ip,sym")
    samples = Counter(tuple(line.split(maxsplit=1)) for line in script.splitlines() if len(line.split(maxsplit=1)) == 2)
    told = said_by("addr2line", "-a", "-C", "-f", "-i", "-e", program, *(f"0x{address}" for address, _ in samples))
    inlined = re.split(r"^0x[0-9a-f]+\n", told, flags=re.MULTILINE)[1:]  # a function and a line in turn
    found = Counter[str]()
    for (_, symbol), lines, count in zip(samples, inlined, samples.values(), strict=True):
        found[_innermost([*lines.splitlines()[::2], symbol])] += count
    return found


def _innermost(functions: Sequence[str]) -> str:
    names = [re.sub(r"[<({].*", "", name).rsplit("::", 1)[-1].strip() for name in functions]
    return next(
        (name for name in names if name not in SHARED and name[:3] not in {"", "??", "_mm", "ope"}), functions[-1]
    )


def profile(kind: str, program: Path, home: Path) -> Figures:
    """One kind of traffic."""
    file = home / f"{kind.replace(' ', '-')}.jsonl"
    file.write_bytes(b"\n".join(messages(kind)) + b"\n")
    figures: Figures = {"ns": nanoseconds(program, file)}
    if shutil.which("valgrind"):
        figures["instructions"] = instructions(program, file)
    if shutil.which("perf") and shutil.which("addr2line"):
        found = functions(program, file, home)
        stages = Counter[str]()
        for name, count in found.items():
            stages[STAGE.get(name, "structure and the rest")] += count
        figures["stages"] = {name: count / found.total() for name, count in stages.most_common()}
        figures["functions"] = {name: count / found.total() for name, count in found.most_common(15)}
    return figures


def show(kind: str, found: Figures) -> None:
    """For people."""
    counted = f"{found['instructions']:,.0f} instructions, " if "instructions" in found else ""
    print(f"{kind:<12} {counted}{found['ns']:.0f} ns an event", flush=True)
    for title in ("stages", "functions"):
        shares = [f"{name} {share:.0%}" for name, share in found.get(title, {}).items() if share >= 0.01]
        if shares:
            print(f"  by {title[:-1]}: {', '.join(shares)}", flush=True)


def main() -> None:
    """Build, profile each kind, print, and write where asked."""
    parser = options(__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", default=",".join([*KINDS, LONG]), help="of traffic")
    parser.add_argument(
        "--flags", default="", help="more for the compiler, such as -march=x86-64-v3 or -DDRIFTD_SCALAR"
    )
    chosen = parser.parse_args()
    kinds = chosen.kinds.split(",")[: 1 if chosen.quick else None]
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        program = built(home, *chosen.flags.split())
        figures: Figures = {}
        for kind in kinds:
            figures[kind] = profile(kind, program, home)
            show(kind, figures[kind])
    write(chosen.json, figures)


if __name__ == "__main__":
    main()
