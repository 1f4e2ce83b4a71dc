"""Certificates of a server on loopback, each its own authority: one that is valid, one whose time is over, and one for Java."""

import subprocess
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from ssl import PROTOCOL_TLS_SERVER, SSLContext

from tests.parts.missing import MissingPart


def valid(home: Path) -> tuple[SSLContext, Path]:
    """A server's context with a certificate of 127.0.0.1, and the file of its authority."""
    return _made(home, timedelta(days=1))


def expired(home: Path) -> tuple[SSLContext, Path]:
    """The same with one that ended yesterday."""
    return _made(home, timedelta(days=-1))


def keystore(home: Path, name: str) -> Path:
    """A certificate with its key in front, as Kafka takes it: Java wants a subject."""
    path = home / f"{name}.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "-", "-days", "2"]
    command += ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    path.write_bytes(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout)
    return path


def lock(key: Path, locked: Path) -> None:
    """The same key, encrypted."""
    from cryptography.hazmat.primitives.serialization import (
        BestAvailableEncryption,
        Encoding,
        PrivateFormat,
        load_pem_private_key,
    )

    found = load_pem_private_key(key.read_bytes(), None)
    locked.write_bytes(found.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")))


def _made(home: Path, until: timedelta) -> tuple[SSLContext, Path]:
    try:
        from cryptography import x509
        from cryptography.hazmat.primitives.asymmetric import rsa
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
    except ImportError:
        raise MissingPart("cryptography is not here", "make setup") from None
    key, name = rsa.generate_private_key(65537, 2048), x509.Name([])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=30))
        .not_valid_after(now + until)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=True)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    own, ca_file = home / "key.pem", home / "ca.pem"
    own.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    ca_file.write_bytes(certificate.public_bytes(Encoding.PEM))
    context = SSLContext(PROTOCOL_TLS_SERVER)
    context.load_cert_chain(ca_file, own)
    return context, ca_file
