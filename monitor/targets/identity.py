"""Our name of a decision at others' systems: made of the decision alone, and taken by all of them."""

import hashlib
import re

from monitor.store.outbox import Notice

PREFIX = "d-"
DIGITS = 32
_HEX = re.compile(r"[0-9a-f]{8,62}")


def run_id(notice: Notice) -> str:
    """`d-` and lower-case hex, at most 64 characters: the notice's own id where that is hex.

    Never empty: an empty id turns the receivers' own de-duplication off. Lower case and a letter first, as Vertex AI,
    Kubernetes and SageMaker ask for.

    >>> run_id(Notice("8d5c0a1b2c3d4e5f", "model.retrain.requested", "churn/3/drift", 0, b"{}"))
    'd-8d5c0a1b2c3d4e5f'
    """
    return PREFIX + (notice.id if _HEX.fullmatch(notice.id) else digest(notice.id))


def digest(*parts: str) -> str:
    """Lower-case hex of these texts, which none of another number or order of texts has."""
    written = "".join(f"{len(part)}:{part}" for part in parts)
    return hashlib.sha256(written.encode()).hexdigest()[:DIGITS]
