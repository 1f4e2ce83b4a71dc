"""Schemas by their keys: asked for once, kept, and not asked for again at once where the answer was no, or none at all."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from monitor.sources.base import NotNow
from monitor.sources.formats.schema_registry.framing import Key
from monitor.sources.formats.schema_registry.http import Asker, AskError, UnknownError
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


class SchemaRegistry:
    """The schemas of one registry, for one kind of messages. May be asked from any thread.

    `kind`: what schemas must be, `form`: the `format` that the registry is asked for (`serialized` for Protobuf). `now` tells
    seconds that only rise. Raises SchemaRegistryError for secrets and certificates that cannot be used.
    """

    def __init__(
        self, settings: SchemaRegistrySettings, kind: str, form: str = "", now: Callable[[], float] = time.monotonic
    ) -> None:
        self._asker = Asker(settings)
        self._url = settings.url
        self._subject = settings.subject
        self._kind = kind
        self._query = f"?format={form}" if form else ""
        self._now = now
        self._lock = threading.Lock()
        self._known: OrderedDict[Key, Verdict] = OrderedDict()
        self._unknown: OrderedDict[Key, tuple[float, str]] = OrderedDict()  # until when, and why
        self._begun: dict[
            Key, str
        ] = {}  # said in turns that did not end: more than are kept, or for longer, shall end, too
        self._last: dict[Key, str] = {}  # said in the last turn that ended: it holds until its messages are read
        self._pause = 0.0  # seconds, after the last failure
        self._silent_until = -1.0
        self._why = ""

    def __repr__(self) -> str:
        return f"SchemaRegistry({self._url})"

    def schema(self, key: Key) -> RegisteredSchema:
        """The schema of a key. Raises Rejected with a reason where it has none, NotNow where nobody can say."""
        found = self.schemas([key])[key]
        if isinstance(found, str):
            raise Rejected(found)
        return found

    def schemas(self, keys: Iterable[Key]) -> dict[Key, Verdict]:
        """The schema of each key, or the reason why it has none. Raises NotNow where nobody can say now; what was learnt is kept."""
        found: dict[Key, Verdict] = {}
        with self._lock:
            until = self._now() + PATIENCE
            try:
                for key in keys:
                    found[key] = self._verdict(key, until)
            except NotNow:
                self._begun |= _refusals(found)
                if len(self._begun) > KEPT_BEGUN:
                    self._begun.clear()
                raise
            self._last = _refusals(found)
            for key in self._last:
                self._begun.pop(key, None)
        return found

    # --- what is kept -------------------------------------------------------------------------------------------------

    def _verdict(self, key: Key, until: float) -> Verdict:
        if (found := self._known.get(key)) is not None:
            self._known.move_to_end(key)
            return found
        asked_again, why = self._unknown.get(key, (-1.0, ""))
        if self._now() < asked_again:
            return why
        if key in self._begun:
            return self._begun[key]
        try:
            return self._ask(key, until)
        except NotNow:
            if key in self._last:
                return self._last[key]
            raise

    def _ask(self, key: Key, until: float) -> Verdict:
        now = self._now()
        if now < self._silent_until:
            raise NotNow(self._words())
        if now > until:
            raise NotNow(f"schema registry {self._url}: many schemas are asked for")
        found: Verdict
        try:
            found = self._look_up(key, until)
        except UnknownError:
            found = UNKNOWN_SCHEMA
        except AskError as error:
            self._pause = min(max(FIRST_PAUSE, 2 * self._pause), LONGEST_PAUSE)
            self._silent_until, self._why = self._now() + self._pause, f"{error} (schema {key})"
            raise NotNow(self._words()) from None
        self._pause = 0.0
        if found in (UNKNOWN_SCHEMA, OTHER_SUBJECT):  # which may be registered at any time
            self._keep(self._unknown, key, (self._now() + UNKNOWN_FOR, str(found)), KEPT_UNKNOWN)
            return found
        self._keep(self._known, key, found, KEPT)
        return found

    @staticmethod
    def _keep(kept: OrderedDict[Key, Any], key: Key, value: Any, most: int) -> None:
        kept[key] = value
        kept.move_to_end(key)
        if len(kept) > most:
            kept.popitem(last=False)

    def _words(self) -> str:
        return f"schema registry {self._url}: {self._why}"

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


def _refusals(found: Mapping[Key, Verdict]) -> dict[Key, str]:
    return {key: verdict for key, verdict in found.items() if isinstance(verdict, str)}


def _place(key: Key) -> tuple[str, str]:
    return ("ids", str(key)) if isinstance(key, int) else ("guids", str(key))


def _text_of(told: Any) -> str:
    if not isinstance(told, dict) or not isinstance(told.get("schema"), str):
        raise AskError("its answer is no schema")
    text: str = told["schema"]
    return text
