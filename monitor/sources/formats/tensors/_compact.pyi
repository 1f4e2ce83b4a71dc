from typing import Any

import numpy as np
from numpy.typing import NDArray

def compact(raw: bytes, numbers: NDArray[np.float64] | Any, at: int, /) -> tuple[bytes, int, str | None] | None: ...
