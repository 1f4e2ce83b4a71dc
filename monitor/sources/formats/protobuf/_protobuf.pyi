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
    list[tuple[bytes, bytes | None] | tuple[list[str] | list[bytes], bytes]],
    list[tuple[list[str], bytes, bytes, bytes, list[str] | list[bytes]]],
    list[bytes | None],
]: ...
