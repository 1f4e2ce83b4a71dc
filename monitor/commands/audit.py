"""`driftd audit`: the log of decisions, listed, verified, exported and replayed; from the daemon, from a state, or from a file."""

import fcntl
import os
import sqlite3
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypedDict

import msgspec

from monitor.audit.chain import AuditEntry, AuditLog, AuditNote, Break, Link, chained
from monitor.audit.export import exported, imported
from monitor.audit.replay import MadeAgain, is_decision, replayed
from monitor.commands.decide import AwayError, Listener, Way, ask, cannot, pretty, reach, shaped
from monitor.commands.exits import Exit
from monitor.sections import parse_duration
from monitor.settings import ConfigError, find_config, load_settings
from monitor.sources.formats.values import Rejected, parse_time
from monitor.store import audit
from monitor.store.schema import APPLICATION_ID, SCHEMA_VERSION
from monitor.stream.events import Nanos
from monitor.targets.payloads import rfc3339

ROUTE = "/api/v1/audit"
DATABASE, LOCK = "driftd.sqlite3", "lock"
FIRST_FORMAT = 4  # of a state with an audit log
DIGITS = 64  # of a hash


class LinkItem(TypedDict):
    """A link, as the daemon says it."""

    seq: int
    hash: str


class AuditItem(LinkItem):
    """An entry, as the daemon says it."""

    entry: str


class AuditAnswer(TypedDict):
    """`GET /api/v1/audit`."""

    anchor: LinkItem
    head: LinkItem
    entries: list[AuditItem]


@dataclass(frozen=True, slots=True)
class From:
    """Where the log is read, as the command line says: a file, a state, or else the daemon and, where none answers, its state."""

    way: Way
    state: Path | None = None
    file: Path | None = None


@dataclass(frozen=True, slots=True)
class LogRead:
    """A log that was read, where, and what of it could not be."""

    log: AuditLog
    where: str
    broken: Break | None = None


@dataclass(frozen=True, slots=True)
class Filter:
    """Which entries are asked for: all that is given has to hold."""

    model: str | None = None
    since: Nanos | None = None
    kind: str | None = None
    incident: str | None = None

    def passes(self, note: AuditNote) -> bool:
        """Whether an entry is asked for. A kind may be its first part alone."""
        return (
            self.model in {None, note.model}
            and (self.since is None or note.at >= self.since)
            and (self.kind is None or note.kind == self.kind or note.kind.startswith(f"{self.kind}."))
            and self.incident in {None, note.incident}
        )


# --- commands ---------------------------------------------------------------------------------------------------------


def show(source: From, wanted: Filter, *, as_json: bool) -> Exit:
    """Print the entries that are asked for, the oldest first. Raises ConfigError."""
    try:
        read = obtain(source)
    except AwayError as error:
        return cannot(str(error))
    found = [(each, note) for each in read.log.entries if wanted.passes(note := noted(each))]
    if as_json:
        print(pretty([item(each, note) for each, note in found]))
    elif not found:
        print("no entry of the audit log is as asked")
    for each, note in () if as_json else found:
        print(line(each.link.seq, note))
    return Exit.OK


def verify(source: From, kept: Sequence[Link], *, as_json: bool) -> Exit:
    """Say whether the log is whole. Raises ConfigError."""
    try:
        read = obtain(source)
    except AwayError as error:
        return cannot(str(error))
    broken, log = found_broken(read, kept), read.log
    if as_json:
        fault = None if broken is None else {"seq": broken.seq, "why": broken.why}
        head = {"seq": log.head.seq, "hash": log.head.hash.hex()}
        first = {"seq": log.anchor.seq, "hash": log.anchor.hash.hex()}
        print(
            pretty(
                {"whole": broken is None, "entries": len(log.entries), "anchor": first, "head": head, "broken": fault}
            )
        )
    elif broken is None:
        dropped = f"; 1 to {log.anchor.seq} were dropped as too old" if log.anchor.seq else ""
        print(f"whole: {len(log.entries)} entries{dropped}; the last is {log.head.seq}:{log.head.hash.hex()}")
    else:
        print(f"broken at {broken.seq}: {broken.why}")
    return Exit.OK if broken is None else Exit.NO


def export(source: From) -> Exit:
    """Print the log, a line an entry, so that whoever has the lines can verify them. Raises ConfigError."""
    try:
        read = obtain(source)
    except AwayError as error:
        return cannot(str(error))
    for each in exported(read.log):
        sys.stdout.buffer.write(each + b"\n")
    sys.stdout.buffer.flush()
    return Exit.OK


def replay(source: From, name: str | None, *, as_json: bool) -> Exit:
    """Make decisions again from what the log holds: one by its number or id, those of an incident, or all. Raises ConfigError."""
    try:
        read = obtain(source)
    except AwayError as error:
        return cannot(str(error))
    broken = found_broken(read, ())
    notes = [(each.link.seq, noted(each)) for each in read.log.entries]
    chosen = [(seq, note) for seq, note in notes if name is None or name in {str(seq), note.decision, note.incident}]
    if name is not None and not chosen:
        raise ConfigError(f"audit replay: no entry has the number or id {name!r}; see driftd audit list")
    made = [replayed(seq, note) for seq, note in chosen if is_decision(note)]
    without = [(seq, note) for seq, note in chosen if not is_decision(note) and decides(note)]
    wrong = [each for each in made if each.wrong is not None]
    if as_json:
        print(pretty(replay_document(made, len(without), broken)))
    else:
        say_replayed(made, without if name is not None else [], named=name is not None)
        print(total(made, len(without), broken))
    return Exit.NO if wrong or broken is not None else Exit.OK


# --- what is said -----------------------------------------------------------------------------------------------------


def found_broken(read: LogRead, kept: Sequence[Link]) -> Break | None:
    """The first entry that is not as it was written; None where the log is whole."""
    found = [each for each in (chained(read.log, () if read.broken else kept), read.broken) if each is not None]
    return min(found, key=lambda each: each.seq, default=None)


def noted(entry: AuditEntry) -> AuditNote:
    """What an entry says; one that cannot be read says so."""
    try:
        return entry.note()
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return AuditNote(0, "unreadable")


def decides(note: AuditNote) -> bool:
    """Whether an entry is of a decision of ours."""
    return note.kind.partition(".")[0] in {"alert", "retrain"}


def say_replayed(made: Sequence[MadeAgain], without: Sequence[tuple[int, AuditNote]], *, named: bool) -> None:
    """A line for each that was asked for by name, and for each that does not agree."""
    for each in made:
        if named or each.wrong is not None:
            scores = f", {scores_words(each.scores)} too" if each.scores else ""
            print(f"{each.seq}  {each.kind}: {each.wrong or f'agrees{scores}'}")
    for seq, note in without:
        print(f"{seq}  {note.kind}: holds no inputs ({note.body.get('left_out', 'none are kept of it')})")


def total(made: Sequence[MadeAgain], without: int, broken: Break | None) -> str:
    """All of it in a line."""
    wrong = [each for each in made if each.wrong is not None]
    scores = sum(each.scores for each in made)
    agreed = f"the first that disagrees is {wrong[0].seq}" if wrong else "all agree"
    besides = f"; {without} hold no inputs" if without else ""
    chain = "the chain is whole" if broken is None else f"the chain is broken at {broken.seq}: {broken.why}"
    return f"{len(made)} decision{'' if len(made) == 1 else 's'} made again, {scores_words(scores)}: {agreed}{besides}; {chain}"


def scores_words(count: int) -> str:
    """So many scores."""
    return f"{count} score{'' if count == 1 else 's'}"


def replay_document(made: Sequence[MadeAgain], without: int, broken: Break | None) -> dict[str, Any]:
    """All of it for programs."""
    return {
        "replayed": len(made),
        "scores": sum(each.scores for each in made),
        "without_inputs": without,
        "disagree": [{"seq": each.seq, "kind": each.kind, "why": each.wrong} for each in made if each.wrong],
        "chain_broken_at": None if broken is None else broken.seq,
    }


def item(entry: AuditEntry, note: AuditNote) -> dict[str, Any]:
    """An entry for programs."""
    held = msgspec.to_builtins(note)
    times = {"at": rfc3339(note.at), "event_time": None if note.event_time is None else rfc3339(note.event_time)}
    return {"seq": entry.link.seq, "hash": entry.link.hash.hex(), **held, **times}


def line(seq: int, note: AuditNote) -> str:
    """An entry in a line."""
    series = f"{note.model}/{note.version}" if note.version else note.model
    about = [series, note.target, note.incident or note.decision, *words(note.body)]
    return f"{seq}  {rfc3339(note.at)}  {note.kind}  {'  '.join(filter(None, about))}"


def words(body: dict[str, Any]) -> Iterator[str]:
    """What an entry says, in short."""
    for key in ("rule", "outcome", "severity", "feature", "step", "notice", "cause", "config_hash"):
        if body.get(key):
            yield str(body[key])
    if isinstance(body.get("asked"), dict):
        yield str(body["asked"].get("kind", ""))
    if body.get("by"):
        yield f"by {body['by']}"
    if body.get("changed"):
        yield f"changed: {', '.join(map(str, body['changed']))}"
    if why := body.get("said") or body.get("reason") if body.get("by") else None:
        yield str(why)


# --- where it is read -------------------------------------------------------------------------------------------------


def obtain(source: From) -> LogRead:
    """Read the log, and say on stderr where. Raises ConfigError and AwayError."""
    if source.file is not None:
        read = of_file(source.file)
    elif source.state is not None:
        read = of_state(source.state)
    elif source.way.url is not None:
        read = of_daemon(reach(source.way, writes=False))
    else:
        read = of_daemon_or_state(source.way)
    print(f"driftd: read from {read.where}", file=sys.stderr)
    return read


def of_daemon_or_state(way: Way) -> LogRead:
    """The log of the daemon that runs by a configuration or, where none does, of its state."""
    config = find_config(way.config)
    state = config.resolve().parent / load_settings(config).state
    try:
        return of_daemon(reach(way, writes=False))
    except AwayError as away:
        if not (state / DATABASE).exists():
            raise AwayError(f"{away}; nor is there a state in {state}") from None
        return of_state(state)


def of_daemon(daemon: Listener) -> LogRead:
    """The log of a running daemon, page by page. Raises AwayError."""
    log, head = None, 0
    while log is None or log.head.seq < head:
        after = 0 if log is None else log.head.seq
        said = ask(daemon, "GET", None, f"{ROUTE}?after={after}&limit=500")
        if said.status != HTTPStatus.OK:
            raise AwayError(f"{daemon.url}{ROUTE} answered {said.status}: it is no driftd with an audit log")
        answer: AuditAnswer = shaped(daemon, ROUTE, said.body, AuditAnswer)
        log = log or AuditLog(link_of(answer["anchor"]), [])
        head = head or answer["head"]["seq"]
        if not answer["entries"]:
            break
        log.entries.extend(AuditEntry(link_of(each), each["entry"].encode()) for each in answer["entries"])
    return LogRead(log, f"the daemon at {daemon.url}")


def link_of(told: LinkItem) -> Link:
    """A link that a daemon says."""
    with suppress(ValueError):
        return Link(told["seq"], bytes.fromhex(told["hash"]))
    return Link(told["seq"], b"")


def of_file(path: Path) -> LogRead:
    """A log that was exported. Raises ConfigError."""
    try:
        with path.open("rb") as lines:
            log, broken = imported(lines)
    except OSError as error:
        raise ConfigError(f"--file: {path}: {error.strerror}") from None
    except ValueError as error:
        raise ConfigError(f"--file: {path} {error}") from None
    return LogRead(log, str(path), broken)


def of_state(directory: Path) -> LogRead:
    """The log of a state that no daemon holds; nothing in it is changed. Raises ConfigError and AwayError."""
    path = directory / DATABASE
    if not path.exists():
        raise ConfigError(f"--state: there is no state of driftd in {directory}")
    try:
        with unheld(directory), closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            refuse_other(database, path)
            return LogRead(audit.whole(database), f"the state in {directory}, which no daemon holds")
    except (OSError, sqlite3.Error) as error:
        raise AwayError(f"{path} cannot be read: {error}") from None


def refuse_other(database: sqlite3.Connection, path: Path) -> None:
    """Raise ConfigError for what has no audit log."""
    version, owner = (database.execute(f"PRAGMA {name}").fetchone()[0] for name in ("user_version", "application_id"))
    if owner != APPLICATION_ID:
        raise ConfigError(f"--state: {path} is no state of driftd")
    if not FIRST_FORMAT <= version <= SCHEMA_VERSION:
        raise ConfigError(
            f"--state: {path} has format {version}; an audit log is read in {FIRST_FORMAT} to {SCHEMA_VERSION}"
        )


@contextmanager
def unheld(directory: Path) -> Iterator[None]:
    """Hold a state for as long as it is read: no daemon begins on it meanwhile. Raises AwayError where one has it."""
    claim = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise AwayError(f"{directory} is held by a running driftd: ask that, by --config or --url") from None
    finally:
        os.close(claim)


# --- words of the command line ----------------------------------------------------------------------------------------


def since_of(text: str) -> Nanos:
    """A time, or how long ago. Raises ConfigError."""
    with suppress(ValueError):
        return time.time_ns() - parse_duration(text)
    try:
        return parse_time(text)
    except Rejected:
        raise ConfigError(
            f"--since: {text!r} is neither a time such as 2026-11-29T12:00:00Z nor a span such as 24h"
        ) from None


def kept_of(text: str) -> Link:
    """A link that was kept elsewhere. Raises ConfigError."""
    seq, _, held = text.partition(":")
    if seq.isascii() and seq.isdigit() and len(held) == DIGITS:
        with suppress(ValueError):
            return Link(int(seq), bytes.fromhex(held))
    raise ConfigError(f"--head: {text!r} is no number and hash such as 17:5d2d…, as audit verify prints them")
