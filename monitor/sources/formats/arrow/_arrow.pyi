from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from monitor.sources.base import Messages
from monitor.sources.formats.json._scan import Routes, Shape

class Layout: ...

def layout(
    schema: bytes,
    metadata: bytes,
    places: tuple[int, int, int, int],
    columns: list[tuple[int, int, int]],
    envelope: tuple[int, int, int, int, bool],
    required: list[int],
    routes: Routes,
    series: list[tuple[Shape, list[int], list[int], list[tuple[int, bool]]]],
    /,
) -> Layout: ...
def measure(
    layouts: list[Layout],
    values: Sequence[bytes | None] | Messages,
    largest: int,
    allowance: int,
    expansion: int,
    which: NDArray[np.int32],
    sizes: NDArray[np.int64],
    /,
) -> int: ...
def place(
    layouts: list[Layout],
    values: Sequence[bytes | None] | Messages,
    which: NDArray[np.int32],
    sizes: NDArray[np.int64],
    latest: int,
    times: NDArray[np.int64],
    owners: NDArray[np.int32],
    refused: NDArray[np.int64],
    /,
) -> None: ...
def fill(
    layouts: list[Layout],
    values: Sequence[bytes | None] | Messages,
    which: NDArray[np.int32],
    sizes: NDArray[np.int64],
    owners: NDArray[np.int32],
    series: int,
    rows: int,
    numbers: NDArray[np.float64],
    codes: NDArray[np.int32],
    ids: NDArray[np.uint64],
    counts: NDArray[np.int64],
    /,
) -> None: ...
