"""`driftd outbox`: what targets have not taken, as the running daemon says; tried again or dropped."""

import sys
from http import HTTPStatus
from typing import Any

import msgspec

from monitor.commands.answers import OutboxAnswer, OutboxItem
from monitor.commands.decide import (
    AwayError,
    Way,
    ask,
    cannot,
    obtained,
    pretty,
    reach,
    refused,
    shaped,
    user,
)
from monitor.commands.exits import Exit

ROUTE = "/api/v1/outbox"


def show(way: Way, target: str | None, *, as_json: bool) -> Exit:
    """Print what targets have not taken, the oldest first. Raises ConfigError."""
    try:
        every = obtained(reach(way, writes=False), ROUTE, list[OutboxItem])
    except AwayError as error:
        return cannot(str(error))
    found = [each for each in every if target in {None, each["target"]}]
    if as_json:
        print(pretty(found))
    elif not found:
        print("every notice is delivered")
    for each in () if as_json else found:
        print(line(each))
    return Exit.OK


def decide(way: Way, body: dict[str, Any], *, by: str | None, as_json: bool) -> Exit:
    """Have notices tried again or dropped, and say which. Raises ConfigError."""
    daemon = reach(way, writes=True)
    try:
        answer = ask(daemon, "POST", msgspec.json.encode({"by": by or user(), **body}), ROUTE)
        if answer.status != HTTPStatus.OK:
            return refused(answer)
        done = shaped(daemon, ROUTE, answer.body, OutboxAnswer)
    except AwayError as error:
        return cannot(str(error))
    if as_json:
        print(pretty(done))
        return Exit.OK
    to = body.get("to")
    again = "is tried again" if to is None else f"goes to {to}"
    said = again if done["action"] == "retry" else "is dropped"
    for each in done["notices"]:
        print(f"{each['notice']}  {each['target']}  {each['type']} {each['subject']} {said}")
    for each in done["overtaken"]:
        left = "left: overtaken by what was said later, or no longer a target"
        print(f"driftd: {each['notice']}  {each['target']}  {each['type']} {each['subject']} {left}", file=sys.stderr)
    return Exit.OK


def line(item: OutboxItem) -> str:
    """A notice that a target has not taken, in a line."""
    waits = "waits behind another" if item["due_at"] is None else f"next attempt {item['due_at']}"
    state = "given up" if item["state"] == "dead" else waits
    if not item.get("configured", True):
        state += ", no longer a target"
    detail = f": {item['detail']}" if item["detail"] else ""
    attempts = f"{item['attempts']} attempt{'' if item['attempts'] == 1 else 's'}"
    about = f"{item['target']}  {item['type']} {item['subject']}"
    return f"{item['notice']}  {about}, since {item['created_at']}, {attempts}, {state}{detail}"
