from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.sources.base import Messages
from monitor.sources.formats.json._scan import Routes

class Shape: ...
class Types: ...

def shape(
    types: list[tuple[int, int, int, int, list[int], list[str], int, int, float]], begin: int, told: tuple[Any, ...]
) -> Shape: ...
def routes(models: list[tuple[str | None, int, dict[str, int]]]) -> Routes: ...
def scan(
    shape: Shape,
    routes: Routes,
    values: list[bytes | None] | Messages,
    unit: int,
    latest: int,
    times: NDArray[np.int64],
    series: NDArray[np.int32],
    numbers: NDArray[np.float64],
    codes: NDArray[np.int32],
    ids: NDArray[np.uint64],
    totals: NDArray[np.int64],
    suspects: list[bytes],
) -> int: ...
def route(
    shape: Shape,
    routes: Routes,
    values: list[bytes | None] | Messages,
    unit: int,
    latest: int,
    times: NDArray[np.int64],
    series: NDArray[np.int32],
) -> None: ...
def scan_each(
    shapes: list[Shape],
    values: list[bytes | None] | Messages,
    unit: int,
    latest: int,
    series: NDArray[np.int32],
    numbers: NDArray[np.float64],
    codes: NDArray[np.int32],
    ids: NDArray[np.uint64],
    sizes: NDArray[np.int64],
    totals: NDArray[np.int64],
    suspects: list[bytes],
) -> None: ...
def types(
    types: list[tuple[int, int, int, int, list[int], list[str], int, int, float]],
    known: list[tuple[list[str], Callable[[Any], Any] | None, object]],
) -> Types: ...
def document(types: Types, raw: bytes, begin: int) -> tuple[object] | int: ...
def prefixes(values: list[bytes | None] | Messages, found: NDArray[np.int64]) -> None: ...
