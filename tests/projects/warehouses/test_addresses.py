"""Which addresses may be dialled, however they are written."""

import socket
import time

import pytest

from projects.warehouses.addresses import (
    AddressPolicy,
    AddressRefused,
    HostInvalid,
    NameUnknown,
    own_addresses,
    split_host_port,
)

PRIVATE = [
    "127.0.0.1",
    "127.9.9.9",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "::1",
    "fd12::1",
    "::ffff:10.1.2.3",
    "64:ff9b::10.1.2.3",
    "2002:a01:203::1",
]
NEVER = [
    "169.254.169.254",
    "169.254.1.1",
    "fe80::1",
    "fd00:ec2::254",
    "100.100.100.200",
    "168.63.129.16",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::1",
    "0.0.0.0",
    "::",
    "224.0.0.1",
    "255.255.255.255",
]


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8"])
def test_public_addresses_are_dialled_as_they_are(address):
    assert AddressPolicy().resolve(address, 6379)


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_are_dialled_only_where_the_operator_allows_them(address):
    with pytest.raises(AddressRefused, match="ALLOW_PRIVATE_ADDRESSES"):
        AddressPolicy().resolve(address, 6379)

    assert AddressPolicy(allow_private=True).resolve(address, 6379)


@pytest.mark.parametrize("address", NEVER)
def test_metadata_and_link_local_addresses_are_never_dialled(address):
    for allow_private in (False, True):
        with pytest.raises(AddressRefused):
            AddressPolicy(allow_private).resolve(address, 80)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.2", "::1", "::ffff:127.0.0.1", "localhost"])
def test_our_own_servers_are_refused_by_address_and_port(address):
    policy = AddressPolicy(allow_private=True, forbidden=frozenset({("127.0.0.1", 6380)}))

    with pytest.raises(AddressRefused, match="own servers"):
        policy.resolve(address, 6380)
    assert policy.resolve(address, 6381)


def test_a_name_is_refused_when_any_of_its_addresses_is(monkeypatch):
    def answers(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        return [(0, 0, 0, "", ("8.8.8.8", port)), (0, 0, 0, "", ("169.254.169.254", port))]

    monkeypatch.setattr(socket, "getaddrinfo", answers)

    with pytest.raises(AddressRefused):
        AddressPolicy().resolve("both.example.com", 80)


def test_a_look_up_that_takes_too_long_is_given_up(monkeypatch):
    def late(*_: object, **__: object) -> list[object]:
        time.sleep(0.5)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", late)
    started = time.monotonic()

    with pytest.raises(NameUnknown, match="longer"):
        AddressPolicy().resolve("slow.example.com", 80, within=0.05)
    assert time.monotonic() - started < 0.4


@pytest.mark.parametrize(
    "host",
    ["", "2130706433", "0x7f000001", "127.1", "a b", "user@host", "host/path", "-a.example", "a..b", "ä.example"],
)
def test_what_is_neither_a_name_nor_an_address_is_refused(host):
    with pytest.raises(HostInvalid):
        AddressPolicy(allow_private=True).resolve(host, 80)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("localhost:6379", ("localhost", 6379)),
        (" redis.example.com:1 ", ("redis.example.com", 1)),
        ("10.0.0.1:65535", ("10.0.0.1", 65535)),
        ("[::1]:6379", ("::1", 6379)),
    ],
)
def test_host_and_port_are_read(text, expected):
    assert split_host_port(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "localhost", "localhost:", ":6379", "localhost:0", "localhost:65536", "localhost:x", "::1:6379", "[::1]", "[a]:1",
     "redis://localhost:6379", "localhost:6379/0", "a:٣"],
)  # fmt: skip
def test_a_malformed_address_is_refused_in_words(text):
    with pytest.raises(HostInvalid) as caught:
        split_host_port(text)
    assert str(caught.value)


def test_our_own_servers_are_resolved_and_unknown_ones_left_out():
    found = own_addresses([("localhost", 6380), ("no-such-host.invalid", 1), ("10.0.0.1", 5432)])

    assert ("127.0.0.1", 6380) in found
    assert ("10.0.0.1", 5432) in found
    assert all(port != 1 for _, port in found)
