from collections.abc import Callable, Sequence

from monitor.sources.base import Messages

def split(block: bytearray, begin: int, end: int, /) -> tuple[Messages, int]: ...
def cut(
    values: Sequence[bytes | None] | Messages,
    key: str | None,
    most: int,
    lines: int,
    rest: Callable[[int], list[bytes | None]],
    /,
) -> tuple[Messages, bytes]: ...
def count(messages: Messages, /) -> int: ...
def value(messages: Messages, at: int, /) -> bytes | None: ...
