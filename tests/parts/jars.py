"""Kafka's jars, fetched once through Maven. Standard library only: `.ci/parts` runs it before there is a .venv."""

import contextlib
import fcntl
import os
import re
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

from tests.parts.fetching import PARTS, fetch
from tests.parts.missing import MissingPart

POM = Path(__file__).parent / "kafka" / "pom.xml"
INSTALL = "apt-get install openjdk-17-jre-headless maven"
OLDEST_JAVA = 17  # Kafka 4 brokers need it
FETCH_SECONDS = 240  # below the time limit of one test


def java() -> str:
    """The Java launcher, 17 or newer."""
    home = os.environ.get("JAVA_HOME")
    launcher = f"{home}/bin/java" if home else "java"
    if shutil.which(launcher) is None:
        raise MissingPart("Java is not here: Apache Kafka needs Java 17", INSTALL)
    banner = subprocess.run([launcher, "-version"], capture_output=True, text=True, timeout=60, check=False).stderr
    version = re.search(r'version "(\d+)', banner)
    if version is None or int(version[1]) < OLDEST_JAVA:
        raise MissingPart(f"Java is too old: Apache Kafka needs Java 17, not {banner.splitlines()[:1]}", INSTALL)
    return launcher


def kafka_version() -> str:
    """As the pom pins it."""
    version = ET.parse(POM).findtext(".//{*}kafka.version")
    assert version, f"{POM} names no kafka.version"
    return version


def kafka_jars() -> Path:
    """The directory of the jars, fetched now if it is not there."""
    jars = PARTS / f"kafka-{kafka_version()}"
    if _complete(jars):
        return jars
    with _locked(jars):
        if not _complete(jars):  # another run may have fetched them meanwhile
            _fetch(jars)
    return jars


def _complete(jars: Path) -> bool:
    """The pom beside the jars says what they were fetched for; it arrives with the last of them, by one rename."""
    told = jars / POM.name
    return told.exists() and told.read_bytes() == POM.read_bytes()


@contextlib.contextmanager
def _locked(jars: Path) -> Iterator[None]:
    jars.parent.mkdir(exist_ok=True)
    with jars.with_name(f"{jars.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fetch(jars: Path) -> None:
    if shutil.which("mvn") is None:
        raise MissingPart("Apache Kafka's jars are not here: needs Java 17 and Maven", INSTALL)
    for abandoned in jars.parent.glob(f"{jars.name}.partial-*"):  # by a run that was killed: we hold the lock
        shutil.rmtree(abandoned, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f"{jars.name}.partial-", dir=jars.parent) as partial:
        fetched = Path(partial) / "jars"
        command = ("mvn", "-q", "-B", "--strict-checksums", "-f", POM, "dependency:copy-dependencies")
        output = f"-DoutputDirectory={fetched}"
        fetch("Apache Kafka's jars", "Maven", (*command, output), seconds=FETCH_SECONDS)
        shutil.copy(POM, fetched)
        shutil.rmtree(jars, ignore_errors=True)
        fetched.rename(jars)


if __name__ == "__main__":
    try:
        java()
        print(f"Apache Kafka {kafka_version()}: {kafka_jars()}")
    except MissingPart as missing:
        sys.exit(str(missing))
