"""Receivers that people are told by, on loopback: each takes what it is sent, loses the first answer to each thing said, and can be away."""

import json
from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from threading import Lock
from typing import Any

from monitor.clock import Clock
from monitor.stream.events import SECOND
from tests.fakes import Receiver
from tests.paging import lost


class Always(list[Any]):
    """Answers that never run out."""

    def pop(self, index: Any = -1) -> Any:
        return self[0]


class PagingService(Receiver):
    """Keeps what people were told, in order, by the key of an incident; a channel knows no keys."""

    def __init__(self, status: int = 202) -> None:
        super().__init__()
        self.status, self.away = status, False
        self.heard: set[str] = set()
        self.by_key: defaultdict[str, list[str]] = defaultdict(list)
        self.answers = Always([self.answer])
        self._one_by_one = Lock()  # after a kill the next daemon's request may meet the last one's

    @property
    def pages(self) -> list[str]:
        """What people were told, whatever the key."""
        return [each for told in self.by_key.values() for each in told]

    def answer(self, handler: Any) -> None:
        request = self.requests[-1]
        if self.away:
            handler.send_error(503)
            return
        with self._one_by_one:
            first = self._take(request.path, json.loads(request.body), request.headers)
        if first:
            lost(handler)
            return
        handler.send_response(self.status)
        handler.send_header("content-length", "0")
        handler.end_headers()

    def _take(self, path: str, body: Any, headers: Mapping[str, str]) -> bool:
        self.take(path, body, headers)
        said = self.said(path, body)
        first = said not in self.heard
        self.heard.add(said)
        return first

    def said(self, path: str, body: Any) -> str:
        """What is the same when it is said again."""
        return path + json.dumps(body)

    def take(self, path: str, body: Any, headers: Mapping[str, str]) -> None:
        self.by_key[""].append(json.dumps(body))


class PagerDuty(PagingService):
    """One open alert a key: a trigger updates it, and opens one where there is none."""

    def __init__(self) -> None:
        super().__init__()
        self.open: dict[str, str] = {}

    def take(self, path: str, body: Any, headers: Mapping[str, str]) -> None:
        key, shown, told = body["dedup_key"], json.dumps(body["payload"]), self.by_key[body["dedup_key"]]
        if body["event_action"] == "resolve":
            if self.open.pop(key, None):
                told.append("resolved")
            return
        if key not in self.open:
            told.append("opened")
        elif self.open[key] != shown:
            told.append("updated")
        self.open[key] = shown


class Opsgenie(PagingService):
    """One open alert an alias: a creation counts it up, and creates one where there is none."""

    def __init__(self) -> None:
        super().__init__()
        self.open: dict[str, str] = {}

    def take(self, path: str, body: Any, headers: Mapping[str, str]) -> None:
        if path == "/v2/alerts":
            if body["alias"] not in self.open:
                self.by_key[body["alias"]].append("opened")
                self.open[body["alias"]] = body["message"]
            return
        alias = path.removeprefix("/v2/alerts/").partition("/")[0]
        if "/close" in path and self.open.pop(alias, None):
            self.by_key[alias].append("resolved")
        elif "/message" in path and self.open.get(alias, body["message"]) != body["message"]:
            self.open[alias] = body["message"]
            self.by_key[alias].append("updated")


class Alertmanager(PagingService):
    """One alert a set of labels, until its end; it notifies of a beginning and of an end."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(200)
        self.clock = clock
        self.ends: dict[str, float] = {}
        self.worse: set[tuple[str, str]] = set()  # what was shown of which alert that got worse

    def said(self, path: str, body: Any) -> str:
        return json.dumps([[each["labels"], each["annotations"]["state"]] for each in body])

    def take(self, path: str, body: Any, headers: Mapping[str, str]) -> None:
        for alert in body:
            self._take_one(json.dumps(alert["labels"]), alert)
        self._notify()

    def _take_one(self, name: str, alert: Any) -> None:
        end, notes = datetime.fromisoformat(alert["endsAt"]).timestamp(), alert["annotations"]
        if name not in self.ends and end <= self.clock.now() / SECOND:
            return  # an end of what nobody was notified of
        if name not in self.ends:
            self.by_key[name].append("opened")
        elif notes["state"] == "escalated" and (name, notes["summary"]) not in self.worse:
            self.worse.add((name, notes["summary"]))
            self.by_key[name].append("updated")
        self.ends[name] = end

    def look(self) -> None:
        """Notify of what has ended."""
        with self._one_by_one:
            self._notify()

    def _notify(self) -> None:
        for name, end in list(self.ends.items()):
            if not self.away and end <= self.clock.now() / SECOND:
                self.by_key[name].append("resolved")
                del self.ends[name]


class ById(PagingService):
    """Acts once on each id: what a receiver of webhooks, or a sensor, is asked to see to."""

    def __init__(self, header: str) -> None:
        super().__init__(200)
        self.header = header
        self.deliveries = 0

    def said(self, path: str, body: Any) -> str:
        return json.dumps(body)

    def take(self, path: str, body: Any, headers: Mapping[str, str]) -> None:
        self.deliveries += 1
        told = self.by_key[headers[self.header]]
        if not told:
            told.append("started")


class Lineage(PagingService):
    """A collector of OpenLineage events, by their runs; what comes twice is the same, byte for byte."""

    def __init__(self) -> None:
        super().__init__(201)
        self.deliveries = 0

    def take(self, path: str, body: Any, headers: Mapping[str, str]) -> None:
        self.deliveries += 1
        event = f"{body['eventType']} {json.dumps(body)}"
        told = self.by_key[body["run"]["runId"]]
        if event not in told:
            told.append(event)
