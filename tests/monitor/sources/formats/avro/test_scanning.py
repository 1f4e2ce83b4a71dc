"""The compiled part: what it leaves to Python, and that no bytes can do harm by any schema."""

import random
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.usefixtures("compiled_parts")

FUZZ = Path(__file__).parents[4] / "native" / "fuzz_avro.cpp"
SANITIZED = (
    "-std=c++17",
    "-O1",
    "-g1",
    "-Wall",
    "-Wextra",
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=all",
)


@pytest.mark.timeout(600)
def test_damaged_data_do_no_harm_under_the_sanitizers(tmp_path: Path) -> None:
    seed = random.getrandbits(32)
    print(f"seed {seed}")
    program = tmp_path / "fuzz"
    subprocess.run(["c++", *SANITIZED, str(FUZZ), "-o", str(program)], check=True, timeout=240)

    done = subprocess.run([program, str(seed), "50000"], capture_output=True, text=True, timeout=240, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
