"""What a command's exit code says. Scripts rely on these: none changes its meaning."""

from enum import IntEnum
from typing import Self


class Exit(IntEnum):
    """The exit codes of all commands. `meaning` is what the documents say of each."""

    OK = 0, "done; of `run` a clean stop"
    NO = (
        1,
        "the answer is no: the demo found no drift, a contract is broken, a backtest had no event to judge, no message was accepted, there is no such incident, an incident is open, a target does not take its test, an audit log is broken or a decision of it comes out otherwise, a state or a backup is damaged, an internal topic is not as it must be, or driftd does not see or tell everything (`status`)",
    )
    USAGE = 2, "command line, configuration, reference or secret is missing or wrong"
    CANNOT_GO_ON = (
        3,
        "port taken, state unreadable or in use, broker silent at start, offsets lost, fatal Kafka error, no daemon answers",
    )
    INTERRUPTED = 130, "stopped by the keyboard; `run` ends with 0 then"

    meaning: str

    def __new__(cls, code: int, meaning: str) -> Self:
        """Make a member of a code and its meaning."""
        member = int.__new__(cls, code)
        member._value_ = code
        member.meaning = meaning
        return member
