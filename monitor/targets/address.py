"""Which addresses a target may reach: the operator's own, never link-local, metadata or multicast ones."""

import socket
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

METADATA = frozenset(
    {
        ip_address("169.254.169.254"),
        ip_address("100.100.100.200"),
        ip_address("168.63.129.16"),
        ip_address("192.0.0.192"),
        ip_address("fd00:ec2::254"),
        ip_address("fd20:ce::254"),
    }
)
WHOLE = (  # prefixes with an IPv4 address in the last 32 bits: translated (RFC 6052, RFC 2765), compatible, mapped
    IPv6Network("64:ff9b::/96"),
    IPv6Network("::ffff:0:0:0/96"),
    IPv6Network("::ffff:0:0/96"),
    IPv6Network("::/96"),
)
TRANSLATED_LOCALLY = IPv6Network("64:ff9b:1::/48")  # RFC 8215: the operator chooses the length of the prefix in it
TUNNELLED = frozenset({0x00005EFE, 0x02005EFE})  # before the IPv4 address at the end: ISATAP, RFC 5214
LOOPBACK = IPv6Address("::1")
THIS_NETWORK = IPv4Network("0.0.0.0/8")


class AddressRefused(Exception):  # noqa: N818 - says what happened
    """No address of the host may be reached."""


def embedded(address: IPv6Address) -> Iterator[IPv4Address]:
    """The IPv4 addresses inside an IPv6 one that a gateway or a tunnel on the way may send to instead."""
    number = int(address)
    last = IPv4Address(number & 0xFFFFFFFF)
    if address != LOOPBACK and any(address in network for network in WHOLE):
        yield last
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo  # its server, and its client
    if number >> 32 & 0xFFFFFFFF in TUNNELLED:
        yield last


def split(address: IPv6Address) -> Iterator[IPv4Address]:
    """Those that may be there, by how long the operator's prefix is: around bits 64 to 71, which are left out (RFC 6052, 2.2)."""
    if address in TRANSLATED_LOCALLY:
        yield IPv4Address(int(address) & 0xFFFFFFFF)
        for length in (48, 56, 64):
            rest = (int(address) & ((1 << 128 - length) - 1)) << length  # the prefix is gone, the rest at the top
            kept, after = 64 - length, 64 - length + 8
            joined = (rest >> 128 - kept << 128 - kept) | ((rest << after & ((1 << 128) - 1)) >> kept)
            yield IPv4Address(joined >> 96)


def special(address: IPv4Address | IPv6Address) -> bool:
    """Whether it is link-local, of a cloud's metadata, or multicast."""
    return address in METADATA or address.is_link_local or address.is_multicast


def nowhere(address: IPv4Address | IPv6Address) -> bool:
    """Whether it is no address of anybody."""
    return address.is_unspecified or (
        isinstance(address, IPv4Address) and (address in THIS_NETWORK or address.is_reserved)
    )


def allowed(text: str) -> bool:
    """Whether an address may be reached, by whatever way it takes."""
    address = ip_address(text.split("%", maxsplit=1)[0])
    inside = [] if isinstance(address, IPv4Address) else list(embedded(address))
    if any(special(each) or nowhere(each) for each in (address, *inside)):
        return False
    return isinstance(address, IPv4Address) or not any(map(special, split(address)))


def resolve(host: str, port: int) -> list[str]:
    """The allowed addresses of a host, to be connected to as they are: a second look-up could answer otherwise.

    Raises AddressRefused when all are refused, OSError when there is none.
    """
    resolved = [str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    reachable = [address for address in resolved if allowed(address)]
    if not reachable:
        raise AddressRefused(f"{host} is a link-local, metadata or multicast address")
    return reachable


def place(url: str) -> tuple[str, int]:
    """The host and the port that a URL leads to."""
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
