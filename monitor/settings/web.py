"""The web configuration: the file of TLS, headers and users that Prometheus and its exporters share.

The format is that of the Prometheus exporter-toolkit, docs/web-configuration.md. What OpenSSL by the standard library cannot do is refused.
"""

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from monitor.sections import Section, unknown_key
from monitor.settings.loading import ConfigError, read_yaml

ELSEWHERE = "rate_limit"  # a key of the format that is not taken
LEAST_COST, MOST_COST = 4, 14  # of bcrypt: about a second of a core; each step doubles it
BCRYPT = re.compile(r"\$2[aby]\$([0-9]{2})\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{31}")  # 128 bits of salt: four ends
LIKE_A_HASH = re.compile(r"\$2[aby]?\$[$./A-Za-z0-9]*")  # also where it stands in the place of a key or a user
USER = re.compile(r"[^:\x00-\x1f\x7f]{1,128}")
HEADERS = {  # that may be added, and what each may say
    "Content-Security-Policy": None,
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-Content-Type-Options": ("nosniff",),
    "X-XSS-Protection": None,
    "Strict-Transport-Security": None,
}
VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
CLIENTS = {
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
CURVES = {"CurveP256": "prime256v1", "CurveP384": "secp384r1", "CurveP521": "secp521r1", "X25519": "X25519"}
TLS13 = frozenset({"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"})
CIPHERS = {  # of TLS 1.2 that Go offers as safe, by OpenSSL's names
    f"TLS_ECDHE_{key}_WITH_{name}": f"ECDHE-{key}-{openssl}"
    for key in ("ECDSA", "RSA")
    for name, openssl in {
        "AES_128_CBC_SHA": "AES128-SHA",
        "AES_256_CBC_SHA": "AES256-SHA",
        "AES_128_GCM_SHA256": "AES128-GCM-SHA256",
        "AES_256_GCM_SHA384": "AES256-GCM-SHA384",
        "CHACHA20_POLY1305_SHA256": "CHACHA20-POLY1305",
    }.items()
}


def _one_of(value: str, known: Mapping[str, Any]) -> str:
    if value not in known:
        raise ValueError(f"must be one of {', '.join(known)}")
    return value


def _version(value: str) -> str:
    return _one_of(value, VERSIONS)


def _client(value: str) -> str:
    return _one_of(value, CLIENTS)


def _cipher(value: str) -> str:
    return value if value in TLS13 else _one_of(value, CIPHERS)


def _curve(value: str) -> str:
    return _one_of(value, CURVES)


Version = Annotated[str, AfterValidator(_version)]


class TlsServerSettings(Section):
    """The certificate that the server shows, and what it asks of clients. Paths are relative to the file."""

    cert_file: Path | None = None
    key_file: Path | None = None
    client_auth_type: Annotated[str, AfterValidator(_client)] = "NoClientCert"
    client_ca_file: Path | None = None
    client_allowed_sans: list[str] | None = None
    min_version: Version = "TLS12"
    max_version: Version = "TLS13"
    cipher_suites: tuple[Annotated[str, AfterValidator(_cipher)], ...] = ()
    prefer_server_cipher_suites: bool = True
    curve_preferences: tuple[Annotated[str, AfterValidator(_curve)], ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _in_files(cls, values: Any) -> Any:
        """What the format would also take as a text."""
        for name in ("cert", "key", "client_ca"):
            if isinstance(values, Mapping) and name in values:
                raise ValueError(f"{name} cannot stand in the file itself here; name its own by {name}_file")
        return values

    @model_validator(mode="after")
    def _whole(self) -> "TlsServerSettings":
        verified = self.client_auth_type != "NoClientCert"
        for name in ("cert_file", "key_file"):
            if getattr(self, name) is None:
                raise ValueError(f"{name} is missing")
        if verified != (self.client_ca_file is not None):
            raise ValueError(
                f"client_auth_type {self.client_auth_type} {'needs' if verified else 'takes no'} client_ca_file"
            )
        if self.client_allowed_sans is not None and self.client_auth_type != "RequireAndVerifyClientCert":
            raise ValueError("client_allowed_sans needs client_auth_type RequireAndVerifyClientCert")
        if VERSIONS[self.max_version] < VERSIONS[self.min_version]:
            raise ValueError("max_version is below min_version")
        if self.max_version != "TLS13" and self.cipher_suites and TLS13.issuperset(self.cipher_suites):
            raise ValueError("cipher_suites are all of TLS 1.3, and max_version is below it")
        if len(self.curve_preferences) > 1:
            raise ValueError("curve_preferences takes one curve here")
        return self


def _header(headers: dict[str, str]) -> dict[str, str]:
    """Headers that may be added. Raises ValueError."""
    for name, value in headers.items():
        if name not in HEADERS:
            raise ValueError(f"{name} cannot be set; there is {', '.join(HEADERS)}")
        valid = HEADERS[name]
        if value and valid is not None and value.lower() not in valid:
            raise ValueError(f"{name} must be {' or '.join(valid)}")
        if not value.isascii() or not value.isprintable():
            raise ValueError(f"{name} must be plain text in one line")
    return headers


class WebHttpSettings(Section):
    """Headers of every answer. The server speaks HTTP/1.0 alone, whatever `http2` says."""

    http2: bool = True
    headers: Annotated[dict[str, str], AfterValidator(_header)] = Field(default_factory=dict)


def _users(users: Any) -> Any:
    """No value is ever shown: it is a hash of a password. Raises ValueError."""
    if not isinstance(users, Mapping):
        raise ValueError("must be a mapping of users to bcrypt hashes")  # noqa: TRY004 - pydantic's protocol
    for name, hashed in users.items():
        found = BCRYPT.fullmatch(str(hashed))
        if not USER.fullmatch(str(name)):
            raise ValueError("a user must be 1 to 128 characters, no colon and no control characters among them")
        if found is None:
            raise ValueError(f"{name}: must be a bcrypt hash, such as of `htpasswd -nBC 10 {name}`")
        if not LEAST_COST <= int(found[1]) <= MOST_COST:
            raise ValueError(
                f"{name}: the cost of the hash is {int(found[1])}; it must be from {LEAST_COST} to {MOST_COST}"
            )
    return users


class WebSettings(Section):
    """All of the file."""

    tls_server_config: TlsServerSettings | None = None
    http_server_config: WebHttpSettings = WebHttpSettings()
    basic_auth_users: Annotated[dict[str, str], BeforeValidator(_users)] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WebAccess:
    """What the file comes to. `sans`: names of which a client's certificate must have one; None: any. `files`: all that was read."""

    context: ssl.SSLContext | None = None
    sans: frozenset[str] | None = None
    headers: tuple[tuple[str, str], ...] = ()
    users: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    files: tuple[Path, ...] = ()


def read_access(path: Path) -> WebAccess:
    """Read the file, certificates and keys. Raises ConfigError, a line for each problem, which holds no secret."""
    try:
        return _read(path)
    except ConfigError as error:
        raise ConfigError(LIKE_A_HASH.sub("$2…", str(error))) from None


def _read(path: Path) -> WebAccess:
    document = read_yaml(path)
    if document is None:
        document = {}
    if not isinstance(document, dict):
        raise ConfigError(f"{path}: must be a mapping of keys such as tls_server_config and basic_auth_users")
    if ELSEWHERE in document:
        raise ConfigError(
            f"{path}: {ELSEWHERE} is not taken: addresses take turns, and few requests are worked on at once"
        )
    try:
        settings = WebSettings.model_validate(document)
    except ValidationError as error:
        raise ConfigError("\n".join(f"{path}: {_line(problem, document)}" for problem in error.errors())) from None
    if settings.basic_auth_users:
        _need_bcrypt(path)
    tls, base = settings.tls_server_config, path.resolve().parent
    headers = tuple((name, value) for name, value in settings.http_server_config.headers.items() if value)
    users = {name: hashed.encode() for name, hashed in settings.basic_auth_users.items()}
    if tls is None:
        return WebAccess(None, None, headers, users, (path,))
    named = [base / name for name in (tls.cert_file, tls.key_file, tls.client_ca_file) if name is not None]
    sans = None if tls.client_allowed_sans is None else frozenset(tls.client_allowed_sans)
    return WebAccess(_context(path, tls, base), sans, headers, users, (path, *named))


def _line(problem: ErrorDetails, document: dict[str, Any]) -> str:
    """One problem as one line, without the value: it could be a secret."""
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in problem["loc"]).lstrip(".")
    if problem["type"] == "extra_forbidden":
        return unknown_key(WebSettings, document).replace(";", " is no key;", 1)
    said = problem["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    return f"{key}: {said}" if key else said


def _need_bcrypt(path: Path) -> None:
    try:
        import bcrypt  # noqa: F401 - whether it is there
    except ImportError:
        raise ConfigError(f"{path}: basic_auth_users needs the package bcrypt") from None


def _context(path: Path, tls: TlsServerSettings, base: Path) -> ssl.SSLContext:
    """What connections are made under. Raises ConfigError."""
    assert tls.cert_file is not None
    assert tls.key_file is not None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version, context.maximum_version = VERSIONS[tls.min_version], VERSIONS[tls.max_version]
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    if tls.prefer_server_cipher_suites:
        context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    _choose(context, tls)
    certificate, key = base / tls.cert_file, base / tls.key_file
    where = "tls_server_config"
    for name, file in (("cert_file", certificate), ("key_file", key)):
        _readable(f"{path}: {where}.{name}", file)
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
    except (ssl.SSLError, ValueError) as error:
        said = getattr(error, "reason", None) or str(error)
        raise ConfigError(f"{path}: {where}: {certificate} and {key} are no certificate with its key: {said}") from None
    if tls.client_ca_file is not None:
        _readable(f"{path}: {where}.client_ca_file", base / tls.client_ca_file)
        try:
            context.load_verify_locations(base / tls.client_ca_file)
        except ssl.SSLError:
            raise ConfigError(
                f"{path}: {where}.client_ca_file: {base / tls.client_ca_file} holds no certificate"
            ) from None
        context.verify_mode = CLIENTS[tls.client_auth_type]
    return context


def _choose(context: ssl.SSLContext, tls: TlsServerSettings) -> None:
    """Which ciphers and which curve."""
    old = [CIPHERS[name] for name in tls.cipher_suites if name in CIPHERS]
    if old:
        context.set_ciphers(":".join(old))
    elif tls.cipher_suites:  # those of TLS 1.3 alone
        context.minimum_version = ssl.TLSVersion.TLSv1_3
    for name in tls.curve_preferences:
        context.set_ecdh_curve(CURVES[name])


def _readable(key: str, file: Path) -> None:
    try:
        with file.open("rb"):
            pass
    except (OSError, ValueError) as error:  # ValueError: a NUL in its name
        said = getattr(error, "strerror", None) or error
        raise ConfigError(f"{key}: {file} cannot be read: {said}") from None


def _no_password() -> str:
    raise ValueError("the key is encrypted; there is nobody to ask for its password")
