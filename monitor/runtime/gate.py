"""Who is let in: by TLS with certificates that may change, by a password that costs us little, or by the token.

A password is compared with its bcrypt hash, which takes a core some 70 ms and is meant to. So one is compared at a time; what was right is remembered under
a key of this process, so that a scrape costs a hash of some bytes; and who was wrong often waits. What was wrong is remembered, too: a scraper that says the
same wrong password again and again is compared once a minute, and shuts out nobody who shares its address.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
import ssl
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from http import HTTPStatus
from ipaddress import ip_address
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

from monitor.clock import SystemClock
from monitor.facts import Fact, WebAccessChanged
from monitor.runtime.writing import SCHEME, NotGrantedError

CLOCK = SystemClock()
LOOK_EVERY = 1.0  # seconds from one look at the files to the next
MOST_PASSWORD = 72  # bytes, which is all that bcrypt looks at
MOST_WRONG = 10  # passwords of one address, each counted once
FORGIVEN_AFTER = 60.0  # seconds after the last of them
MOST_ADDRESSES = 1024  # of which it is known how often they were wrong; the oldest is forgotten
LONGEST_WAIT = 3.0  # seconds for others whose password is compared
NOBODYS = b"$2b$%02d$" + b"." * 53  # a hash of such a cost, which costs what any does
BASIC = "basic "
CHALLENGE = 'Basic realm="driftd", charset="UTF-8"'
WRONG = "a user and a password are needed"


class AccessRules(Protocol):
    """What a web configuration comes to."""

    @property
    def context(self) -> ssl.SSLContext | None:
        """What connections are made under; None: without TLS."""

    @property
    def sans(self) -> frozenset[str] | None:
        """Names of which a client's certificate must have one; None: any."""

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """Headers of every answer."""

    @property
    def users(self) -> Mapping[str, bytes]:
        """Users and the bcrypt hashes of their passwords; none: everybody is let in."""

    @property
    def files(self) -> tuple[Path, ...]:
        """What was read, and may change."""


class OpenAccess:
    """Of a daemon without a web configuration."""

    context, sans, headers, users, files = None, None, (), MappingProxyType[str, bytes]({}), ()


class Gate:
    """What a web configuration asks of connections and requests, as its files stand now. For threads."""

    def __init__(
        self,
        access: AccessRules,
        read: Callable[[], AccessRules],
        tell: Callable[[Fact], None],
        token: bytes | None = None,
    ) -> None:
        """`read` reads the files again, and raises an error of one line where they cannot be used; then what was good stays."""
        self._access = access
        self._read = read
        self._tell = tell
        self._token = token
        self._seen = _stamps(access.files)
        self._looked = CLOCK.elapsed()
        self._refused: str | None = None  # why what the files say now is not in force
        self._passwords = Passwords()

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """Headers of every answer."""
        return self._access.headers

    @property
    def asks(self) -> bool:
        """Whether a password is asked for."""
        return bool(self._access.users)

    # --- connections, for the thread that waits for them --------------------------------------------------------------

    def look(self) -> None:
        """Read the files again where they have changed, or could not be used: what was missing may have come, now and then."""
        if (now := CLOCK.elapsed()) - self._looked < LOOK_EVERY:
            return
        self._looked = now
        seen = _stamps(self._access.files)
        if seen == self._seen and self._refused is None:
            return
        try:
            access = self._read()
            _as_strict(access, self._access)
        except Exception as error:  # noqa: BLE001 - whatever it is, what was good stays, and it is told
            self._refuse(" ".join(str(error).split()), changed=seen != self._seen)
            self._seen = seen
            return
        same = access.files == self._access.files  # then what was written since is seen the next time
        self._access, self._seen, self._refused = access, seen if same else _stamps(access.files), None
        self._tell(WebAccessChanged(None))

    def _refuse(self, why: str, *, changed: bool) -> None:
        """Tell it, but not again and again."""
        if changed or why != self._refused:
            self._tell(WebAccessChanged(why))
        self._refused = why

    @property
    def context(self) -> ssl.SSLContext | None:
        """What connections are made under; None: without TLS."""
        return self._access.context

    def knows(self, certificate: Mapping[str, Any] | None) -> bool:
        """Whether a client with this certificate, verified before, may ask."""
        return self._access.sans is None or not self._access.sans.isdisjoint(_names(certificate))

    # --- requests -----------------------------------------------------------------------------------------------------

    def admit(self, authorization: str, address: str) -> None:
        """Let a request in, by a password or by the token. Raises NotGrantedError."""
        users = self._access.users
        if not users or self._is_token(authorization):
            return
        name, password = credentials(authorization)
        self._passwords.check(name, password, users, address)

    def _is_token(self, authorization: str) -> bool:
        if self._token is None or not authorization.lower().startswith(SCHEME):
            return False
        said = authorization[len(SCHEME) :].strip().encode("latin-1", "replace")
        return hmac.compare_digest(said, self._token)


class Passwords:
    """Compares passwords with hashes, one at a time, and remembers those that were right."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._right: OrderedDict[bytes, None] = OrderedDict()
        self._wrong: OrderedDict[str, tuple[frozenset[bytes], float]] = (
            OrderedDict()
        )  # by address: which, and when the last
        self._lock = threading.Lock()
        self._comparing = threading.Lock()

    def check(self, name: str, password: bytes, users: Mapping[str, bytes], address: str) -> None:
        """Raise NotGrantedError where it is wrong, and where too many were."""
        hashed = users.get(name)
        key = self._key_of(name, password, hashed)
        with self._lock:
            if hashed is not None and key in self._right:
                return
            self._refuse_what_was_wrong(key, address)
        if not name:  # nothing was said: that costs nothing
            raise NotGrantedError(HTTPStatus.UNAUTHORIZED, WRONG)
        right = self._compared(password, hashed, max(map(cost_of, users.values())))
        with self._lock:
            if right:
                self._remember(key, len(users))
                return
            before, _ = self._wrong.pop(address, (frozenset[bytes](), 0.0))
            self._wrong[address] = before | {key}, CLOCK.elapsed()
            while len(self._wrong) > MOST_ADDRESSES:
                self._wrong.popitem(last=False)
        raise NotGrantedError(HTTPStatus.UNAUTHORIZED, WRONG)

    def _key_of(self, name: str, password: bytes, hashed: bytes | None) -> bytes:
        """A hash that none but this process can make; each part has its length before it, so that none can pass for another."""
        parts = (name.encode(), hashed or b"", password)
        told = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
        return hmac.digest(self._key, told, hashlib.sha256)

    def _remember(self, key: bytes, users: int) -> None:
        self._right[key] = None
        while len(self._right) > 2 * users:
            self._right.popitem(last=False)

    def _refuse_what_was_wrong(self, key: bytes, address: str) -> None:
        wrong, last = self._wrong.get(address, (frozenset[bytes](), 0.0))
        if wrong and CLOCK.elapsed() - last >= FORGIVEN_AFTER:
            del self._wrong[address]
        elif key in wrong:  # it costs nothing, and is no further try
            raise NotGrantedError(HTTPStatus.UNAUTHORIZED, WRONG)
        elif len(wrong) >= MOST_WRONG:
            raise NotGrantedError(HTTPStatus.TOO_MANY_REQUESTS, f"{MOST_WRONG} wrong passwords: wait for a minute")

    def _compared(self, password: bytes, hashed: bytes | None, most: int) -> bool:
        """Compare. What is wrong takes as long as it does of the costliest hash, and so does a user that there is not."""
        if len(password) > MOST_PASSWORD or b"\0" in password:
            return False
        if not self._comparing.acquire(timeout=LONGEST_WAIT):
            raise NotGrantedError(HTTPStatus.SERVICE_UNAVAILABLE, "too many passwords are compared: try again")
        try:
            return _is_right(password, hashed, most)
        finally:
            self._comparing.release()


def cost_of(hashed: bytes) -> int:
    """The binary logarithm of the rounds of a bcrypt hash.

    >>> cost_of(b"$2b$10$abcdefghijklmnopqrstuuVzhWkVXvHk9GWUoRuZLJPvGgQkcrzHK")
    10
    """
    return int(hashed[4:6])


def _is_right(password: bytes, hashed: bytes | None, most: int) -> bool:
    """Compare with a hash, and spend what is left of 2^most rounds: 2^c + 2^c + 2^(c+1) + … + 2^(most-1) = 2^most."""
    import bcrypt

    if hashed is None:
        bcrypt.checkpw(password, NOBODYS % most)
        return False
    if bcrypt.checkpw(password, hashed):
        return True
    for cost in range(cost_of(hashed), most):
        bcrypt.checkpw(password, NOBODYS % cost)
    return False


def credentials(authorization: str) -> tuple[str, bytes]:
    """User and password of a header; an empty user where it says none.

    >>> credentials("Basic YWxpY2U6c2VzYW1l")
    ('alice', b'sesame')
    """
    if not authorization.lower().startswith(BASIC):
        return "", b""
    try:
        said = base64.b64decode(authorization[len(BASIC) :].strip().encode("latin-1", "replace"), validate=True)
        name, separator, password = said.partition(b":")
        return (name.decode() if separator else ""), password
    except (binascii.Error, UnicodeDecodeError):
        return "", b""


def _as_strict(access: AccessRules, before: AccessRules) -> None:
    """A file that is cut while it is written must not open the door. Raises ValueError."""
    if (access.context is None) is not (before.context is None):
        raise ValueError("tls_server_config cannot come or go while driftd runs")
    if before.users and not access.users:
        raise ValueError("basic_auth_users cannot all go while driftd runs")
    if access.context and before.context and access.context.verify_mode < before.context.verify_mode:
        raise ValueError("client_auth_type cannot ask for less while driftd runs")
    if before.sans is not None and access.sans is None:
        raise ValueError("client_allowed_sans cannot go while driftd runs")


def _stamps(files: tuple[Path, ...]) -> list[tuple[int, ...] | None]:
    """When files were written, as far as that can be seen."""
    return [_stamp(path) for path in files]


def _stamp(path: Path) -> tuple[int, ...] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _names(certificate: Mapping[str, Any] | None) -> set[str]:
    """The alternative names of a certificate, as `SSLSocket.getpeercert` has it: DNS, e-mail, URI, and addresses in their short form."""
    said = (certificate or {}).get("subjectAltName", ())
    return {_address(value) if kind == "IP Address" else value for kind, value in said}


def _address(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        return text


def _nothing_to_tell(_fact: Fact) -> None:
    """Nothing changes."""


OPEN = Gate(OpenAccess(), OpenAccess, _nothing_to_tell)
