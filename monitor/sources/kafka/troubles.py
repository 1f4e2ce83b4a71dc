"""The client's troubles in an operator's words: TLS and passwords named as such, with the key that mends it."""

import re
from collections.abc import Sequence

AFTER = re.compile(r" \(after \d+ms in state [A-Z_]+(?:, \d+ identical error\(s\) suppressed)?\)")
BROKER = re.compile(r"(?:sasl_)?(?:ssl|plaintext)://\S+?/(?:bootstrap|\d+): ")
# The client says the same of both.
UNTRUSTED = "the broker's certificate is not trusted (kafka.ca_file names its authority), or is of another name than kafka.bootstrap_servers has"
NO_TLS = "what listens there does not speak it: another port, or another security.protocol in kafka.properties"
REFUSED = "user or password is refused: sasl.username and sasl.password in kafka.properties"


LASTING = ("TLS: ", "SASL: ")  # how troubles begin that no waiting mends


def said(trouble: str) -> str:
    """What the client says, of TLS and SASL in plain words: those are of all brokers alike.

    >>> said("ssl://kafka:9093/bootstrap: SSL handshake failed: error:0A000086:SSL routines::certificate verify failed: …")
    "TLS: the broker's certificate is not trusted (kafka.ca_file names its authority), or is of another name than kafka.bootstrap_servers has"
    >>> said("kafka:9092/bootstrap: Connect to ipv4#10.0.0.1:9092 failed: Connection refused (after 0ms in state CONNECT)")
    'kafka:9092/bootstrap: Connect to ipv4#10.0.0.1:9092 failed: Connection refused'
    """
    text = AFTER.sub("", trouble)
    rest = text[where.end() :] if (where := BROKER.match(text)) else text
    if (refused := re.match(r"SASL authentication error: (?:Authentication failed: )?(.*)", rest)) is not None:
        return f"SASL: {REFUSED} ({refused[1]})"
    if rest.startswith("SASL"):
        return f"SASL: {rest.removeprefix('SASL ')}"
    return f"TLS: {_of_tls(rest)}" if "ssl" in rest.lower() or "certificate" in rest else text


def _of_tls(rest: str) -> str:
    low = rest.lower()
    if "verify failed" in low:
        return UNTRUSTED
    if "wrong version number" in low or "closed by peer" in low:
        return NO_TLS
    return rest


def gravest(troubles: Sequence[str]) -> str | None:
    """Of what the client said, what says most: TLS or SASL, else what came first. None where it said nothing."""
    words = [said(text) for text in troubles]
    return next((text for text in words if text.startswith(LASTING)), words[0] if words else None)
