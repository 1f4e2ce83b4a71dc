"""The daemon's own part of a page: what keeps it from seeing or telling, where events come from, who is told."""

from collections.abc import Sequence

from monitor.html.figures import NONE, count, moment, plural, share, spell
from monitor.html.markup import Inside, Markup, name, table, tag, text
from monitor.runtime.board import Board
from monitor.runtime.glance import TargetHealth, TopicHealth, rejected, topics
from monitor.runtime.page.frame import ago
from monitor.runtime.troubles import Trouble
from monitor.stream.events import Nanos

REASONS_AT_MOST = 20


def troubles(found: Sequence[Trouble]) -> list[Markup]:
    """Return what is wrong with driftd or around it."""
    return [
        tag("p", tag("b", name(each.what)), ". ", name(each.todo[:1].upper() + each.todo[1:]), ".", class_="caution")
        for each in found
    ]


def sources(board: Board, now: Nanos) -> list[Markup]:
    """Return lag, event time, late and rejected events."""
    every = topics(board)
    tables = [table("Topics; counts since driftd started", TOPIC_HEADS, map(topic_row, every))] if every else []
    return [tiles(board, every, now), *tables, *reasons(board)]


TOPIC_HEADS = ("Topic", "#Lag", "#Counted", "#Late", "#Late, last minutes", "#Rejected", "#Of no model")


def tiles(board: Board, every: Sequence[TopicHealth], now: Nanos) -> Markup:
    """Return the figures at a glance."""
    known = [topic.lag for topic in every if topic.lag is not None]
    late = [topic.late_share for topic in every if topic.late_share is not None]
    refused = sum(topic.rejected for topic in every)
    shown: list[tuple[str, Inside, Inside]] = [
        (
            "Lag",
            count(sum(known)) if known else NONE,
            f"events, in {plural(len(board.lags), 'partition')}" if known else "no answer",
        ),
        (
            "Event time",
            "none yet" if board.watermark is None else ago(board.watermark, now),
            moment(board.watermark, ""),
        ),
        ("Late", share(max(late)) if late else NONE, "of the last minutes"),
        ("Rejected", count(refused), "since the start"),
        ("Saved", "not yet" if board.checkpoint_at is None else ago(board.checkpoint_at, now), "state and positions"),
        ("Held", count(board.partitions_held), "partitions that run ahead"),
    ]
    return tag(
        "dl",
        [tag("div", tag("dt", a), tag("dd", b), tag("dd", c, class_="quiet")) for a, b, c in shown],
        class_="tiles",
    )


def topic_row(topic: TopicHealth) -> list[Inside]:
    """Return one topic."""
    counted = topic.outcomes
    return [
        name(topic.topic),
        NONE if topic.lag is None else count(topic.lag),
        count(counted.get("ok", 0)),
        count(counted.get("late", 0)),
        NONE if topic.late_share is None else share(topic.late_share),
        count(topic.rejected),
        count(counted.get("unmonitored", 0)),
    ]


def reasons(board: Board) -> list[Markup]:
    """Return why events were rejected."""
    every = [[name(reason), name(topic), count(number)] for topic, reason, number in rejected(board)]
    if not every:
        return []
    hint = tag(
        "p", "What becomes of a message, field by field: ", tag("code", "driftd explain"), ".", class_="quiet small"
    )
    return [table("Rejected events by reason", ("Reason", "Topic", "#Events"), every[:REASONS_AT_MOST]), hint]


def targets(found: Sequence[TargetHealth]) -> Markup:
    """Return who is told, and whether they take it."""
    if not found:
        return tag("p", "Nobody is told: no webhook is configured.", class_="quiet")
    heads = ("Target", "Where", "Last attempt", "#Waiting", "Oldest", "#Delivered", "#Tried again", "#Given up")
    return table("Webhooks and other targets; attempts since driftd started", heads, map(target_row, found))


def target_row(target: TargetHealth) -> list[Inside]:
    """Return one target."""
    tried, last = target.outcomes, target.last
    said = NONE if last is None else f"{last.outcome}{': ' if last.detail else ''}{last.detail}"
    given_up = tried.get("dead", 0) + tried.get("refused", 0)
    return [
        name(target.name),
        text(f"{target.kind} {target.address}".strip() or (NONE if target.configured else "no longer configured")),
        tag("span", said, class_="warn" if target.stuck else None),
        count(target.pending),
        NONE if target.oldest is None else spell(target.oldest),
        count(tried.get("delivered", 0) + tried.get("present", 0)),
        count(tried.get("retried", 0)),
        count(given_up),
    ]
