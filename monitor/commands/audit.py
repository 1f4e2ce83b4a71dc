"""`driftd audit`: the log of decisions, listed, verified, exported and replayed; from the daemon, from a state, or from a file."""

import fcntl
import os
import sqlite3
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from textwrap import indent
from typing import Any, TypedDict, TypeVar

import msgspec

from monitor.audit.chain import AuditEntry, AuditNote, Break, Chain, Link
from monitor.audit.export import Imported, exported
from monitor.audit.replay import MadeAgain, is_decision, replayed
from monitor.commands.decide import AwayError, Listener, Way, ask, cannot, pretty, reach, shaped
from monitor.commands.exits import Exit
from monitor.sections import parse_duration
from monitor.settings import ConfigError, find_config, load_settings
from monitor.sources.formats.values import Rejected, parse_time
from monitor.store import audit
from monitor.store.files import DATABASE, LOCK
from monitor.store.schema import APPLICATION_ID, SCHEMA_VERSION
from monitor.stream.events import Nanos
from monitor.targets.payloads import rfc3339

ROUTE = "/api/v1/audit"
FIRST_FORMAT = 4  # of a state with an audit log
DIGITS = 64  # of a hash
T = TypeVar("T")


class HeldError(AwayError):
    """A daemon has the state."""


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
    """A log that is read, once and entry by entry, and where; `broken`: what of it could not be read, once it was come to."""

    anchor: Link
    entries: Iterator[AuditEntry]
    where: str
    broken: Callable[[], Break | None] = lambda: None


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
        with obtain(source) as read:
            noted_entries = ((each, noted(each)) for each in read.entries)
            found = ((each, note) for each, note in noted_entries if wanted.passes(note))
            if as_json:
                say_list(pretty(item(each, note)) for each, note in found)
            else:
                say_lines(line(each.link.seq, note) for each, note in found)
            return ended(read)
    except AwayError as error:
        return cannot(str(error))


def verify(source: From, kept: Sequence[Link], *, as_json: bool) -> Exit:
    """Say whether the log is whole. Raises ConfigError."""
    try:
        with obtain(source) as read:
            chain = Chain(read.anchor, kept)
            for each in read.entries:
                chain.take(each)
            broken = found_broken(chain, read)
    except AwayError as error:
        return cannot(str(error))
    anchor, head = chain.anchor, chain.last
    if as_json:
        fault = None if broken is None else {"seq": broken.seq, "why": broken.why}
        links = {"anchor": link_item(anchor), "head": link_item(head)}
        print(pretty({"whole": broken is None, "entries": chain.count, **links, "broken": fault}))
    elif broken is None:
        dropped = f"; 1 to {anchor.seq} were dropped as too old" if anchor.seq else ""
        print(f"whole: {chain.count} entries{dropped}; the last is {head.seq}:{head.hash.hex()}")
    else:
        print(f"broken at {broken.seq}: {broken.why}")
    return Exit.OK if broken is None else Exit.NO


def export(source: From) -> Exit:
    """Print the log, a line an entry, so that whoever has the lines can verify them. Raises ConfigError."""
    try:
        with obtain(source) as read:
            for each in exported(read.anchor, read.entries):
                sys.stdout.buffer.write(each + b"\n")
            sys.stdout.buffer.flush()
            return ended(read)
    except AwayError as error:
        return cannot(str(error))


def replay(source: From, name: str | None, *, as_json: bool) -> Exit:
    """Make decisions again from what the log holds: one by its number or id, those of an incident, or all. Raises ConfigError."""
    found = ReplayTally(say=name is not None and not as_json)
    try:
        with obtain(source) as read:
            chain = Chain(read.anchor)
            for each in read.entries:
                chain.take(each)
                note = noted(each)
                if name is None or name in {str(each.link.seq), note.decision, note.incident}:
                    found.take(each.link.seq, note)
            broken = found_broken(chain, read)
    except AwayError as error:
        return cannot(str(error))
    if name is not None and not found.chosen:
        raise ConfigError(f"audit replay: no entry has the number or id {name!r}; see driftd audit list")
    if as_json:
        print(pretty(found.document(broken)))
    else:
        for wrong in () if name is not None else found.wrong:
            print(made_words(wrong))
        print(found.total(broken))
    return Exit.NO if found.wrong or broken is not None else Exit.OK


@dataclass(slots=True)
class ReplayTally:
    """Decisions made again, one by one, and what came of it. `say`: print a line for each."""

    say: bool
    chosen: int = 0
    made: int = 0
    scores: int = 0
    without: int = 0
    wrong: list[MadeAgain] = field(default_factory=list)

    def take(self, seq: int, note: AuditNote) -> None:
        """Make the decision of an entry again, where it holds what that was made from."""
        self.chosen += 1
        if is_decision(note):
            self._made(replayed(seq, note))
        elif decides(note):
            self.without += 1
            if self.say:
                print(f"{seq}  {note.kind}: holds no inputs ({note.body.get('left_out', 'none are kept of it')})")

    def _made(self, again: MadeAgain) -> None:
        self.made += 1
        self.scores += again.scores
        if again.wrong is not None:
            self.wrong.append(again)
        if self.say:
            print(made_words(again))

    def total(self, broken: Break | None) -> str:
        """All of it in a line."""
        agreed = f"the first that disagrees is {self.wrong[0].seq}" if self.wrong else "all agree"
        besides = f"; {self.without} hold no inputs" if self.without else ""
        chain = "the chain is whole" if broken is None else f"the chain is broken at {broken.seq}: {broken.why}"
        decisions = f"{self.made} decision{'' if self.made == 1 else 's'}"
        return f"{decisions} made again, {scores_words(self.scores)}: {agreed}{besides}; {chain}"

    def document(self, broken: Break | None) -> dict[str, Any]:
        """All of it for programs."""
        return {
            "replayed": self.made,
            "scores": self.scores,
            "without_inputs": self.without,
            "disagree": [{"seq": each.seq, "kind": each.kind, "why": each.wrong} for each in self.wrong],
            "chain_broken_at": None if broken is None else broken.seq,
        }


# --- what is said -----------------------------------------------------------------------------------------------------


def ended(read: LogRead) -> Exit:
    """Whether all of it could be read; where not, that is said."""
    if (broken := read.broken()) is None:
        return Exit.OK
    print(f"driftd: {read.where} is broken at {broken.seq}: {broken.why}", file=sys.stderr)
    return Exit.NO


def found_broken(chain: Chain, read: LogRead) -> Break | None:
    """The first entry that is not as it was written; None where the log is whole."""
    found = [each for each in (read.broken(), chain.end()) if each is not None]
    return min(found, key=lambda each: each.seq, default=None)


def say_lines(lines: Iterable[str]) -> None:
    """Print them as they come."""
    count = 0
    for count, each in enumerate(lines, start=1):  # noqa: B007 - counted
        print(each)
    if not count:
        print("no entry of the audit log is as asked")


def say_list(items: Iterable[str]) -> None:
    """Print JSON values as one list, as they come."""
    before = "[\n"
    for each in items:
        print(before, indent(each, " "), sep="", end="")
        before = ",\n"
    print("[]" if before == "[\n" else "\n]")


def noted(entry: AuditEntry) -> AuditNote:
    """What an entry says; one that cannot be read says so."""
    try:
        return entry.note()
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return AuditNote(0, "unreadable")


def decides(note: AuditNote) -> bool:
    """Whether an entry is of a decision of ours."""
    return note.kind.partition(".")[0] in {"alert", "retrain"}


def made_words(again: MadeAgain) -> str:
    """How a decision came out, in a line."""
    scores = f", {scores_words(again.scores)} too" if again.scores else ""
    return f"{again.seq}  {again.kind}: {again.wrong or f'agrees{scores}'}"


def scores_words(count: int) -> str:
    """So many scores."""
    return f"{count} score{'' if count == 1 else 's'}"


def link_item(link: Link) -> LinkItem:
    """A link for programs."""
    return {"seq": link.seq, "hash": link.hash.hex()}


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


@contextmanager
def obtain(source: From) -> Iterator[LogRead]:
    """Read the log, and say on stderr where. Raises ConfigError and AwayError, also while its entries are read."""
    with _obtained(source) as read:
        print(f"driftd: read from {read.where}", file=sys.stderr)
        yield read


def _obtained(source: From) -> AbstractContextManager[LogRead]:
    if source.file is not None:
        return of_file(source.file)
    if source.state is not None:
        return of_state(source.state)
    if source.way.url is not None:
        return nullcontext(of_daemon(reach(source.way, writes=False)))
    return of_daemon_or_state(source.way)


def of_daemon_or_state(way: Way) -> AbstractContextManager[LogRead]:
    """The log of the daemon that runs by a configuration or, where none does, of its state."""
    config = find_config(way.config)
    state = config.resolve().parent / load_settings(config).state
    try:
        return nullcontext(of_daemon(reach(way, writes=False)))
    except AwayError as away:
        if not (state / DATABASE).exists():
            raise AwayError(f"{away}; nor is there a state in {state}") from None
        return of_state(state)


def of_daemon(daemon: Listener) -> LogRead:
    """The log of a running daemon, page by page. Raises AwayError."""
    first = page_of(daemon, 0)
    return LogRead(link_of(first["anchor"]), entries_of(daemon, first), f"the daemon at {daemon.url}")


def entries_of(daemon: Listener, first: AuditAnswer) -> Iterator[AuditEntry]:
    """The entries from the first page on to the one that was the last then. Raises AwayError."""
    answer, last, head = first, 0, first["head"]["seq"]
    while answer["entries"]:
        for each in answer["entries"]:
            yield AuditEntry(link_of(each), each["entry"].encode())
        last = max(each["seq"] for each in answer["entries"])
        if last >= head:
            return
        answer = page_of(daemon, last)
        if answer["anchor"]["seq"] > last:
            raise AwayError(
                f"entries to {answer['anchor']['seq']} were dropped as too old while they were read: ask again"
            )


def page_of(daemon: Listener, after: int) -> AuditAnswer:
    """Entries after a number. Raises AwayError."""
    said = ask(daemon, "GET", None, f"{ROUTE}?after={after}&limit=500")
    if said.status != HTTPStatus.OK:
        raise AwayError(f"{daemon.url}{ROUTE} answered {said.status}: it is no driftd with an audit log")
    answer: AuditAnswer = shaped(daemon, ROUTE, said.body, AuditAnswer)
    return answer


def link_of(told: LinkItem) -> Link:
    """A link that a daemon says."""
    with suppress(ValueError):
        return Link(told["seq"], bytes.fromhex(told["hash"]))
    return Link(told["seq"], b"")


@contextmanager
def of_file(path: Path) -> Iterator[LogRead]:
    """A log that was exported. Raises ConfigError, and AwayError where it cannot be read on."""
    try:
        lines = path.open("rb")
    except OSError as error:
        raise ConfigError(f"--file: {path}: {error.strerror}") from None
    with lines:
        try:
            found = Imported(readable(lines, path))
        except ValueError as error:
            raise ConfigError(f"--file: {path} {error}") from None
        yield LogRead(found.anchor, found.entries(), str(path), lambda: found.broken)


@contextmanager
def of_state(directory: Path) -> Iterator[LogRead]:
    """The log of a state that no daemon holds; nothing in it is changed. Raises ConfigError and AwayError."""
    path = directory / DATABASE
    if not path.exists():
        raise ConfigError(f"--state: there is no state of driftd in {directory}")
    with unheld(directory), closing(opened(path)) as database:
        where = f"the state in {directory}, which no daemon holds"
        yield LogRead(audit.anchor(database), readable(audit.entries(database), path), where)


def opened(path: Path) -> sqlite3.Connection:
    """A state, to be read and no more. Raises ConfigError and AwayError."""
    try:
        database = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        try:
            refuse_other(database, path)
            audit.head(database)
        except BaseException:
            database.close()
            raise
    except sqlite3.Error as error:
        raise AwayError(f"{path} cannot be read: {error}") from None
    return database


def readable(rows: Iterable[T], path: Path) -> Iterator[T]:
    """What is read, as it comes. Raises AwayError."""
    try:
        yield from rows
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
    try:
        claim = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise AwayError(f"{directory / LOCK} cannot be held while the state is read: {error.strerror}") from None
    try:
        try:
            fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise HeldError(f"{directory} is held by a running driftd: ask that, by --config or --url") from None
        yield
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
