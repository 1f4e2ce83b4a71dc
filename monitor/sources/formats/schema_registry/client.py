"""Schemas by their keys: asked for once, kept, and not asked for again at once where the answer was no, or none at all."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable
from uuid import UUID

from monitor.sources.base import NotNow
from monitor.sources.formats.schema_registry.framing import Key
from monitor.sources.formats.schema_registry.http import CLOCK, Asker, AskError, UnknownError
from monitor.sources.formats.schema_registry.section import SchemaRegistrySettings
from monitor.sources.formats.values import Rejected

KEPT = 1_000  # schemas
KEPT_UNKNOWN = 10_000  # keys that the registry does not know, or not yet of the subject
KEPT_BEGUN = 100_000  # answers to turns that did not end
UNKNOWN_FOR = 60.0  # seconds until such a key is asked for again
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0  # seconds without a question after one that was not answered
PATIENCE = 10.0  # seconds that one call asks on; what is left waits for the next one
MOST_REFERENCES = 64
MOST_SUBJECTS = 16  # contexts of a GUID that are looked through

UNKNOWN_SCHEMA, OTHER_SUBJECT, OTHER_SCHEMA_TYPE = "unknown_schema", "other_subject", "other_schema_type"
INVALID_SCHEMA = "invalid_schema"


@dataclass(frozen=True, slots=True)
class RegisteredSchema:
    """A schema as the registry keeps it: `kind` AVRO, PROTOBUF or JSON, its text, and the texts of all that it refers to.

    `references` hold the names as the schema has them, what others need before these. `subjects` are known where one is asked for.
    """

    kind: str
    text: str
    references: Mapping[str, str] = field(default_factory=dict)
    subjects: frozenset[str] = frozenset()


class _ReferencesError(Exception):
    """A schema refers to more others than are read."""


Verdict = RegisteredSchema | str
"""A schema, or the reason why there is none."""


@dataclass(slots=True, eq=False)
class Learnt:
    """What a registry has said to those who ask it the same: `asked` are its settings, the kind of schemas, and the form of their text."""

    asked: tuple[SchemaRegistrySettings, str, str]
    lock: threading.Lock = field(default_factory=threading.Lock)
    known: OrderedDict[Key, Verdict] = field(default_factory=OrderedDict)
    unknown: OrderedDict[Key, tuple[float, str]] = field(default_factory=OrderedDict)  # until when, and why
    begun: dict[Key, str] = field(
        default_factory=dict
    )  # said in turns that did not end: more than are kept, or for longer, shall end, too
    last: dict[Key, str] = field(
        default_factory=dict
    )  # said in the last turn that ended: it holds until its messages are read
    pause: float = 0.0  # seconds, after the last failure
    silent_until: float = -1.0
    why: str = ""


class SchemaRegistry:
    """The schemas of one registry, for one kind of messages. May be asked from any thread.

    `kind`: what schemas must be, `form`: the `format` that the registry is asked for (`serialized` for Protobuf). `now` tells
    seconds that only rise. Raises SchemaRegistryError for secrets and certificates that cannot be used.
    """

    def __init__(
        self, settings: SchemaRegistrySettings, kind: str, form: str = "", now: Callable[[], float] = CLOCK.elapsed
    ) -> None:
        self._asker = Asker(settings)
        self._url = settings.url
        self._subject = settings.subject
        self._kind = kind
        self._query = f"?format={form}" if form else ""
        self._now = now
        self.learnt = Learnt((settings, kind, form))

    def __repr__(self) -> str:
        return f"SchemaRegistry({self._url})"

    def keep(self, before: "SchemaRegistry") -> None:
        """Share what another client of the same registry has learnt for the same kind of messages; of another one nothing."""
        if self.learnt.asked == before.learnt.asked:
            self.learnt = before.learnt

    def schema(self, key: Key) -> RegisteredSchema:
        """The schema of a key. Raises Rejected with a reason where it has none, NotNow where nobody can say."""
        found = self.schemas([key])[key]
        if isinstance(found, str):
            raise Rejected(found)
        return found

    def schemas(self, keys: Iterable[Key]) -> dict[Key, Verdict]:
        """The schema of each key, or the reason why it has none. Raises NotNow where nobody can say now; what was learnt is kept."""
        found: dict[Key, Verdict] = {}
        with self.learnt.lock:
            until = self._now() + PATIENCE
            try:
                for key in keys:
                    found[key] = self._verdict(key, until)
            except NotNow:
                self.learnt.begun |= _refusals(found)
                if len(self.learnt.begun) > KEPT_BEGUN:
                    self.learnt.begun.clear()
                raise
            self.learnt.last = _refusals(found)
            for key in self.learnt.last:
                self.learnt.begun.pop(key, None)
        return found

    # --- what is kept -------------------------------------------------------------------------------------------------

    def _verdict(self, key: Key, until: float) -> Verdict:
        if (found := self.learnt.known.get(key)) is not None:
            self.learnt.known.move_to_end(key)
            return found
        asked_again, why = self.learnt.unknown.get(key, (-1.0, ""))
        if self._now() < asked_again:
            return why
        if key in self.learnt.begun:
            return self.learnt.begun[key]
        try:
            return self._ask(key, until)
        except NotNow:
            if key in self.learnt.last:
                return self.learnt.last[key]
            raise

    def _ask(self, key: Key, until: float) -> Verdict:
        now = self._now()
        if now < self.learnt.silent_until:
            raise NotNow(self._words())
        if now > until:
            raise NotNow(f"schema registry {self._url}: many schemas are asked for")
        found: Verdict
        try:
            found = self._look_up(key, until)
        except UnknownError:
            found = UNKNOWN_SCHEMA
        except AskError as error:
            self.learnt.pause = min(max(FIRST_PAUSE, 2 * self.learnt.pause), LONGEST_PAUSE)
            self.learnt.silent_until, self.learnt.why = self._now() + self.learnt.pause, f"{error} (schema {key})"
            raise NotNow(self._words()) from None
        self.learnt.pause = 0.0
        if found in (UNKNOWN_SCHEMA, OTHER_SUBJECT):  # which may be registered at any time
            self._keep(self.learnt.unknown, key, (self._now() + UNKNOWN_FOR, str(found)), KEPT_UNKNOWN)
            return found
        self._keep(self.learnt.known, key, found, KEPT)
        return found

    @staticmethod
    def _keep(kept: OrderedDict[Key, Any], key: Key, value: Any, most: int) -> None:
        kept[key] = value
        kept.move_to_end(key)
        if len(kept) > most:
            kept.popitem(last=False)

    def _words(self) -> str:
        return f"schema registry {self._url}: {self.learnt.why}"

    # --- what is asked ------------------------------------------------------------------------------------------------

    def _look_up(self, key: Key, until: float) -> Verdict:
        told = self._asker.ask("schemas", *_place(key), query=self._query)
        text, kind = _text_of(told), told.get("schemaType") or "AVRO"
        if kind != self._kind:
            return OTHER_SCHEMA_TYPE
        subjects = self._subjects(key) if self._subject is not None else frozenset()
        if self._subject is not None and self._subject not in subjects:
            return OTHER_SUBJECT
        references: dict[str, str] = {}
        try:
            self._refer(told, references, set(), until)
        except _ReferencesError:
            return INVALID_SCHEMA
        return RegisteredSchema(kind, text, references, subjects)

    def _refer(self, told: Mapping[str, Any], found: dict[str, str], begun: set[str], until: float) -> None:
        """Find what a schema refers to, and what that does, which goes before it."""
        listed = told.get("references") or []
        if not isinstance(listed, list) or any(not isinstance(each, dict) for each in listed):
            raise AskError("its answer is no schema")
        for each in listed:
            name = str(each.get("name"))
            if name in begun:
                continue
            begun.add(name)
            if len(begun) > MOST_REFERENCES:
                raise _ReferencesError
            if self._now() > until:
                raise AskError("it gave no answer in time")
            path = "subjects", str(each.get("subject")), "versions", str(each.get("version"))
            below = self._asker.ask(*path, query=f"{self._query}{'&' if self._query else '?'}deleted=true")
            text = _text_of(below)
            self._refer(below, found, begun, until)
            found[name] = text

    def _subjects(self, key: Key) -> frozenset[str]:
        numbers = [key] if isinstance(key, int) else self._numbers(key)
        found: set[str] = set()
        for number in numbers[:MOST_SUBJECTS]:
            told = self._asker.ask("schemas", "ids", str(number), "subjects", query="?deleted=true")
            found.update(map(str, told) if isinstance(told, list) else ())
        return frozenset(found)

    def _numbers(self, key: UUID) -> list[int]:
        told = self._asker.ask("schemas", "guids", str(key), "ids")
        listed = told if isinstance(told, list) else ()
        return [each["id"] for each in listed if isinstance(each, dict) and isinstance(each.get("id"), int)]


@runtime_checkable
class Registered(Protocol):
    """A decoder that reads schemas of a registry, where it was told of one."""

    @property
    def registry(self) -> SchemaRegistry | None:
        """Their client."""
        ...


def _refusals(found: Mapping[Key, Verdict]) -> dict[Key, str]:
    return {key: verdict for key, verdict in found.items() if isinstance(verdict, str)}


def _place(key: Key) -> tuple[str, str]:
    return ("ids", str(key)) if isinstance(key, int) else ("guids", str(key))


def _text_of(told: Any) -> str:
    if not isinstance(told, dict) or not isinstance(told.get("schema"), str):
        raise AskError("its answer is no schema")
    text: str = told["schema"]
    return text
