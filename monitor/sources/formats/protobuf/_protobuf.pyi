from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.sources.base import Messages

class Plan: ...

def plan(nodes: list[Any], slots: list[Any], maps: list[Any]) -> Plan: ...
def read(
    plan: Plan,
    values: list[bytes | None] | Messages,
    places: NDArray[np.int64],
    offsets: NDArray[np.int64],
    strict: bool,
) -> tuple[
    bytes,
    bytes,
    bytes,
    list[bytes | tuple[list[str] | list[bytes], bytes] | None],
    list[tuple[list[str], bytes, bytes, bytes, list[str] | list[bytes]]],
    list[bytes | None],
]: ...
def held(plan: Plan, raw: bytes, offset: int, strict: bool) -> dict[int, Any] | int: ...
