"""A decoder of another package: what it fails on is rejected, and costs neither other messages nor the daemon."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from monitor.sources.formats.base import Decoder, Rows
from monitor.sources.formats.fields import Path
from monitor.sources.formats.values import Rejected

FAILED = "decoder_failed"


class GuardedDecoder:
    """Lets another decoder read, and reads one by one the messages among which it fails on any."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder

    def decode(self, values: Sequence[bytes | None]) -> Rows:
        """Read messages. Those that the decoder fails on are rejected as `decoder_failed`."""
        rows = self._read(values)
        if rows is not None:
            return rows
        good = [place for place, value in enumerate(values) if self._read([value]) is not None]
        rows = self._read([values[place] for place in good]) if good else None
        if rows is None:  # it fails on all of them, or on any two together
            return Rows({}, np.empty(0, dtype=np.intp), {FAILED: len(values)})
        failed = {FAILED: rows.rejected.get(FAILED, 0) + len(values) - len(good)}
        return replace(
            rows, messages=np.array(good, dtype=np.intp)[rows.messages], rejected={**rows.rejected, **failed}
        )

    def inspect(self, raw: bytes) -> Iterable[Mapping[Path, object]]:
        """Read the rows of one message. Raises Rejected."""
        try:
            return list(self._decoder.inspect(raw))
        except Rejected:
            raise
        except Exception:  # noqa: BLE001 - whatever a stranger's code raises
            raise Rejected(FAILED) from None

    def _read(self, values: Sequence[bytes | None]) -> Rows | None:
        """Read messages; None where the decoder fails or returns no rows."""
        try:
            rows = self._decoder.decode(values)
        except Exception:  # noqa: BLE001 - same
            return None
        return rows if isinstance(rows, Rows) else None
