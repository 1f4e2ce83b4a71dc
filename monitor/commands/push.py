"""`driftd reference push`: puts a reference beside a version of a model in the registry, where the daemon finds it."""

import os
import sys
from pathlib import Path

from monitor.clock import SystemClock
from monitor.commands.exits import Exit
from monitor.configuration import load_reference, load_registry
from monitor.settings import ConfigError, load_settings
from monitor.targets.model_registry import ModelUri, RegistryError
from monitor.targets.secrets import Secrets
from monitor.targets.transport import Transport


def push(config: Path, file: Path, uri: str) -> Exit:
    """Put it there and say where. Raises ConfigError."""
    registry, _ = load_registry(load_settings(config), Secrets(config.resolve().parent, os.environ))
    if registry is None:
        raise ConfigError(f"{config}: there is no section registry that says where to push to")
    try:
        version = ModelUri.parse(uri)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    reference = load_reference(file, "push")
    try:
        with Transport(SystemClock()) as io:
            place = registry.push(version, file.read_bytes(), reference.hash, io)
    except RegistryError as error:
        print(f"driftd: registry: {error}", file=sys.stderr)
        return Exit.CANNOT_GO_ON
    print(f"{reference.hash} is at {place}")
    return Exit.OK
