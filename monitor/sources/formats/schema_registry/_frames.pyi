import numpy as np
from numpy.typing import NDArray

from monitor.sources.base import Messages

def frames(values: list[bytes | None] | Messages, indexed: bool) -> tuple[bytes, list[bytes]]: ...
def cut(values: list[bytes | None] | Messages, offsets: NDArray[np.int64]) -> Messages: ...
