"""How many processes share the partitions of a group: the section `replicas`."""

import re
from typing import Annotated

from pydantic import Field, model_validator

from monitor.sections import PositiveDuration, Section, parse_duration, show_duration

TOPIC_NAME = re.compile(r"[A-Za-z0-9._-]{1,249}")
TopicName = Annotated[str, Field(pattern=rf"^{TOPIC_NAME.pattern}$")]
MOST_JUDGES = 1000
LONGEST_CELL = 1_000_000  # offsets: what is folded again after a crash
SESSION_TIMEOUTS = parse_duration("6s"), parse_duration("30m")  # what brokers take unless they are told otherwise
COUNTS, STATE = "counts", "state"


class ReplicasSettings(Section):
    """The internal topics, how models are divided among those that judge, and how soon is noticed that one is gone."""

    counts_topic: TopicName | None = None
    state_topic: TopicName | None = None
    judge_partitions: Annotated[int, Field(ge=1, le=MOST_JUDGES)] = 8
    cell: Annotated[int, Field(ge=1, le=LONGEST_CELL)] = 10_000
    flush_interval: PositiveDuration = parse_duration("1s")
    session_timeout: PositiveDuration = parse_duration("10s")

    @model_validator(mode="after")
    def _taken_by_brokers(self) -> "ReplicasSettings":
        least, most = SESSION_TIMEOUTS
        if not least <= self.session_timeout <= most:
            raise ValueError(
                f"session_timeout {show_duration(self.session_timeout)} must be from {show_duration(least)} to {show_duration(most)}"
            )
        if self.counts_topic is not None and self.counts_topic == self.state_topic:
            raise ValueError(f"counts_topic and state_topic are both {self.state_topic}")
        return self

    def topic_of(self, what: str, group: str) -> str:
        """The name of an internal topic: as it is configured, or after the group."""
        named = self.counts_topic if what == COUNTS else self.state_topic
        return named or f"{group}.driftd-{what}"
