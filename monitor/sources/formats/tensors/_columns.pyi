from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

class Template: ...
class Codes: ...

Ids: TypeAlias = NDArray[np.uint64] | None
Whole: TypeAlias = NDArray[np.uint8] | None
Times: TypeAlias = NDArray[np.int64] | None
Numbers: TypeAlias = NDArray[np.float64]
Target: TypeAlias = tuple[Codes, int, int, Numbers, NDArray[np.int32], Ids, Ids, NDArray[np.int64], Whole, Times, Whole]

def learn(raw: bytes, /) -> tuple[Template, bytes, list[tuple[int, int, bool]]] | None: ...
def aim(template: Template, target: int, label: int, columns: list[list[int]], /) -> None: ...
def codes(tables: list[tuple[dict[str, int], int, int]], /) -> Codes: ...
def scan(
    templates: list[list[Template]],
    targets: list[Target],
    bodies: list[bytes],
    owns: list[str | None],
    kinds: NDArray[np.int32],
    times: NDArray[np.int64],
    rows: NDArray[np.int32],
    labels: NDArray[np.int32],
    begin: int,
    stops: bool,
    /,
) -> tuple[int, int]: ...
