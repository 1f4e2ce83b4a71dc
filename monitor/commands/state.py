"""`driftd state`: a state and its backups, shown, verified and copied. Of a state that a daemon holds, its newest backup is looked at."""

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

from monitor.audit.chain import Chain
from monitor.commands.audit import HeldError, unheld
from monitor.commands.decide import AwayError, cannot, pretty
from monitor.commands.exits import Exit
from monitor.settings import ConfigError, find_config, load_settings
from monitor.store import audit, files
from monitor.targets.payloads import rfc3339


def directory_of(state: Path | None, config: Path | None) -> Path:
    """The directory of a state: what is given, or that of the configuration. Raises ConfigError."""
    if state is None:
        found = find_config(config)
        state = found.resolve().parent / load_settings(found).state
    if not (state / files.DATABASE).exists() and not files.backups(state):
        raise ConfigError(f"--state: there is no state of driftd in {state}")
    return state


# --- commands ---------------------------------------------------------------------------------------------------------


def show(directory: Path, *, as_json: bool) -> Exit:
    """Print what a state holds."""
    try:
        with readable(directory) as (path, held), closing(files.looked_at(path, alone=held)) as database:
            found = told(directory, path, database, held=held)
    except (AwayError, sqlite3.Error, OSError) as error:
        return cannot(f"{directory} cannot be read: {error}; see driftd state verify")
    if as_json:
        print(pretty(found))
        return Exit.OK
    print(f"{found['file']}: format {found['format']}, {found['bytes'] / 1e6:.1f} MB, {found['saved_at']}")
    for place in found["positions"]:
        print(f"  position  {place['topic']}/{place['partition']}  {place['offset']}")
    for kind in found["records"]:
        print(f"  records   {kind['kind']}  {kind['rows']}, {kind['bytes']} bytes")
    for target in found["outbox"]:
        print(f"  outbox    {target['target']}  {target['status']}  {target['notices']}")
    print(f"  audit     {found['audit']} entries")
    for name in found["backups"]:
        print(f"  backup    {name['file']}  {name['saved_at']}")
    for name in found["kept"]:
        print(f"  damaged   {name}: kept as it was found; remove it once it is no longer needed")
    return Exit.OK


def told(directory: Path, path: Path, database: sqlite3.Connection, *, held: bool) -> dict[str, Any]:
    """What a state holds, for programs. Raises sqlite3.Error and OSError."""
    positions = database.execute("SELECT topic, partition, next_offset FROM position ORDER BY topic, partition")
    kinds = database.execute("SELECT kind, COUNT(*), SUM(LENGTH(payload)) FROM record GROUP BY kind ORDER BY kind")
    outbox = database.execute("SELECT target, status, COUNT(*) FROM delivery GROUP BY target, status ORDER BY 1, 2")
    return {
        "file": str(path),
        "format": files.marks(database)[0],
        "held": held,
        **stamp(path),
        "positions": [{"topic": topic, "partition": at, "offset": offset} for topic, at, offset in positions],
        "records": [{"kind": kind, "rows": rows, "bytes": size} for kind, rows, size in kinds],
        "outbox": [{"target": target, "status": status, "notices": count} for target, status, count in outbox],
        "audit": database.execute("SELECT COUNT(*) FROM audit").fetchone()[0],
        "backups": [{"file": each.name, **stamp(each)} for each in files.backups(directory)],
        "kept": sorted(each.name for each in directory.glob(f"{files.DATABASE}.damaged-*")),
    }


def stamp(path: Path) -> dict[str, Any]:
    """Size of a file, and when it was written last. Raises OSError."""
    found = path.stat()
    return {"bytes": found.st_size, "saved_at": rfc3339(found.st_mtime_ns)}


def verify(directory: Path, *, as_json: bool) -> Exit:
    """Say of the state, where no daemon holds it, and of each backup, whether it is whole."""
    try:
        with readable(directory, or_held=True) as (path, held):
            state = [] if held or path != directory / files.DATABASE else [path]
            looked = [(each, flaw_of(each, alone=False)) for each in state]
            looked += [(each, flaw_of(each, alone=True)) for each in files.backups(directory)]
    except AwayError as error:
        return cannot(str(error))
    found = [{"file": each.name, "whole": flaw is None, "why": flaw} for each, flaw in looked]
    if as_json:
        print(pretty({"held": held, "files": found}))
    for each in () if as_json else found:
        print(f"{each['file']} {each['why'] or 'is whole'}")
    if held and not as_json:
        print(
            f"{files.DATABASE} is held by a running driftd, which looked at it when it started and at each backup since"
        )
    return Exit.OK if all(each["whole"] for each in found) else Exit.NO


def flaw_of(path: Path, *, alone: bool) -> str | None:
    """Why a state is not as it was written, its audit log included; None where it is."""
    if (flaw := files.flaw(path, alone=alone)) is not None:
        return flaw
    with closing(files.looked_at(path, alone=alone)) as database:
        chain = Chain(audit.anchor(database))
        for entry in audit.entries(database):
            chain.take(entry)
        broken = chain.end()
    return None if broken is None else f"has an audit log that is broken at {broken.seq}: {broken.why}"


def backup(directory: Path, target: Path) -> Exit:
    """Copy a state, or the newest backup of one that a daemon holds. Raises ConfigError."""
    if target.exists():
        raise ConfigError(f"state backup: {target} exists; name a file that does not")
    unfinished = target.with_name(target.name + ".new")
    try:
        with readable(directory) as (path, held), closing(files.looked_at(path, alone=held)) as database:
            files.copy(database, unfinished)
        if (flaw := files.flaw(unfinished)) is not None:
            files.remove(unfinished)
            return cannot(f"{path} {flaw}; nothing was written")
        files.sync(unfinished)
        unfinished.replace(target)
        files.sync(target.parent)
    except (AwayError, sqlite3.Error, OSError) as error:
        return cannot(f"{directory} cannot be copied to {target}: {error}")
    of = f"{path.name}, the newest of a state that a daemon holds" if held else path.name
    print(f"{target}: whole, a copy of {of}, {stamp(target)['bytes']} bytes")
    return Exit.OK


@contextmanager
def readable(directory: Path, *, or_held: bool = False) -> Iterator[tuple[Path, bool]]:
    """The file that can be read: the state where no daemon has it, else its newest backup; and whether one has it. Raises AwayError."""
    backups = files.backups(directory)
    with ExitStack() as stack:
        held, path = False, directory / files.DATABASE
        try:
            stack.enter_context(unheld(directory))
        except HeldError:
            if not backups and not or_held:
                raise
            held = True
        yield (backups[0] if backups and (held or not path.exists()) else path), held
