from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.sources.base import Messages
from monitor.sources.formats.fields import Bounds, Keeping

class Shape: ...
class Routes: ...
class Refusing: ...
class Known: ...

def shape(
    root: tuple[bool, list[tuple[str, int, Any]]],
    numbers: int,
    categories: list[tuple[dict[str, int], int]],
    modelless: bool,
    features: int,
    coded: int,
    latency: int,
    error: int,
    bounds: list[Bounds],
    keeping: list[Keeping | None],
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
def refusing(paths: list[tuple[list[str], int]], modelless: bool) -> Refusing: ...
def refuse(
    refusing: Refusing,
    routes: Routes,
    values: list[bytes | None] | Messages,
    unit: int,
    latest: int,
    times: NDArray[np.int64],
    series: NDArray[np.int32],
) -> None: ...
def known(path: list[str], names: list[str]) -> Known: ...
def strangers(
    known: Known, values: list[bytes | None] | Messages, places: NDArray[np.int64], flags: NDArray[np.uint8]
) -> None: ...
