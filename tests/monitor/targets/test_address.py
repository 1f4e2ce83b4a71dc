"""Which addresses a webhook may reach."""

import socket
from typing import Any

import pytest

from monitor.targets.address import AddressRefused, allowed, resolve


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.0.0.1",
        "172.16.5.4",
        "192.168.1.1",
        "100.64.0.1",
        "203.0.113.7",
        "8.8.8.8",
        "::1",
        "fd00::1",
        "2001:db8::1",
        "2606:4700::1111",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
        "64:ff9b:1::a00:1",
        "64:ff9b:1:a00:0:100::",
        "::ffff:0:10.0.0.1",
        "2001:0:cb00:7107:0:0:f5ff:fffe",
        "fd00::5efe:10.0.0.1",
        "2002:a00:1::1",
    ],
)
def test_the_operators_own_and_public_addresses_are_allowed(address: str) -> None:
    assert allowed(address)


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",  # metadata of most clouds
        "169.254.170.2",
        "169.254.0.1",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "fd00:ec2::254",
        "fd20:ce::254",
        "::ffff:169.254.169.254",
        "::ffff:100.100.100.200",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::a9fe:a9fe",
        "64:ff9b:1:a9fe:a9:fe00::",
        "64:ff9b:1:a9:fe:a9fe::",
        "64:ff9b:1:0:a9:fea9:fe00:0",
        "::169.254.169.254",
        "::ffff:0:169.254.169.254",
        "::ffff:0:100.100.100.200",
        "2001:0:cb00:7107:0:0:5601:5601",  # the client's, its bits turned
        "2001:0:a9fe:a9fe:0:0:f5ff:fffe",
        "fe80::5efe:8.8.8.8",
        "fd00::5efe:169.254.169.254",
        "2001:db8::200:5efe:169.254.169.254",
        "2002:a9fe:a9fe::1",
        "fe80::1",
        "fe80::1%eth0",
        "febf::1",
        "224.0.0.1",
        "239.255.255.250",
        "ff02::1",
        "::ffff:224.0.0.1",
        "0.0.0.0",
        "0.1.2.3",
        "::",
        "::ffff:0.0.0.0",
        "240.0.0.1",
        "255.255.255.255",
    ],
)
def test_link_local_metadata_and_multicast_addresses_are_refused(address: str) -> None:
    assert not allowed(address)


def answer(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    found: list[Any] = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 80)) for address in addresses]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_options: found)


def test_of_a_hosts_addresses_the_allowed_ones_are_kept_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, "169.254.169.254", "::1", "fe80::1", "127.0.0.1")

    assert resolve("trainer.internal", 80) == ["::1", "127.0.0.1"]


def test_a_host_without_an_allowed_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, "169.254.169.254", "ff02::1")

    with pytest.raises(AddressRefused, match=r"^metadata\.internal is a link-local, metadata or multicast address$"):
        resolve("metadata.internal", 80)


@pytest.mark.parametrize(
    "host", ["169.254.169.254", "2852039166", "0xa9fea9fe", "169.254.43518", "0251.0376.0251.0376"]
)
def test_an_address_in_disguise_is_seen_through(host: str) -> None:
    with pytest.raises(AddressRefused):
        resolve(host, 80)
