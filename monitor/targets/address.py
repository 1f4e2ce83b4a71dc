"""Which addresses a target may reach: the operator's own, never link-local, metadata or multicast ones."""

import socket
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
EMBEDDING = (  # an IPv4 address in the last 32 bits: translated, translated locally, compatible
    IPv6Network("64:ff9b::/96"),
    IPv6Network("64:ff9b:1::/48"),
    IPv6Network("::/96"),
)
LOOPBACK = IPv6Address("::1")
THIS_NETWORK = IPv4Network("0.0.0.0/8")


class AddressRefused(Exception):  # noqa: N818 - says what happened
    """No address of the host may be reached."""


def unwrapped(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address inside an IPv6 one, where there is one."""
    if isinstance(address, IPv4Address):
        return address
    if address != LOOPBACK and any(address in network for network in EMBEDDING):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def allowed(text: str) -> bool:
    """Whether an address may be reached."""
    address = unwrapped(ip_address(text.split("%", maxsplit=1)[0]))
    refused = (
        address in METADATA
        or address.is_link_local
        or address.is_multicast
        or address.is_unspecified
        or (isinstance(address, IPv4Address) and (address in THIS_NETWORK or address.is_reserved))
    )
    return not refused


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
