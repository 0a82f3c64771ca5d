"""Which network addresses a customer's host may lead to: the wall between what people type and what we dial.

A host is a DNS name or an IP. It is resolved once, every answer is judged, and only the judged address is dialled:
a name that answers differently the second time (DNS rebinding) gains nothing. Knows no Django.
"""

import ipaddress
import queue
import re
import socket
import threading
from collections.abc import Iterable
from dataclasses import dataclass

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

LOOK_UP_WITHIN = 5.0
LONGEST_NAME = 253
_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_LAST_PORT = 65_535
# Addresses where clouds serve machine credentials but which are not link-local: AWS (IPv6), Alibaba, Azure, Oracle.
_METADATA = frozenset(
    map(ipaddress.ip_address, ("fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "168.63.129.16", "192.0.0.192"))
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class AddressError(Exception):
    """A host cannot be used; the message is fit for the person who typed it."""


class HostInvalid(AddressError):
    """The text is neither a DNS name nor an IP address."""


class NameUnknown(AddressError):
    """The name does not resolve, or not in time."""


class AddressRefused(AddressError):
    """The host leads to an address that must not be dialled."""


@dataclass(frozen=True)
class AddressPolicy:
    """What may be dialled. `forbidden` holds (IP, port) pairs of our own database, broker and cache."""

    allow_private: bool = False
    forbidden: frozenset[tuple[str, int]] = frozenset()

    def resolve(self, host: str, port: int, *, within: float = LOOK_UP_WITHIN) -> list[str]:
        """Return the IP addresses behind `host`, in the resolver's order, every one of them allowed.

        Raises `HostInvalid`, `NameUnknown`, and `AddressRefused` as soon as one answer is not allowed.
        """
        addresses = look_up(host, port, within=within)
        for address in addresses:
            self._judge(host, address, port)
        return [str(address) for address in addresses]

    def _judge(self, host: str, address: IPAddress, port: int) -> None:
        real = _unwrapped(address)
        if (_comparable(real), port) in {(_comparable(ip), number) for ip, number in self._forbidden()}:
            raise AddressRefused(f"{host}:{port} is one of this installation's own servers. Name another server.")
        if real.is_link_local or real in _METADATA:
            raise AddressRefused(f"{host} leads to {real}, a link-local or metadata address, which is never dialled.")
        if real.is_multicast or real.is_unspecified or _has_no_host(real):
            raise AddressRefused(f"{host} leads to {real}, which is not the address of a server.")
        if not real.is_global and not self.allow_private:
            raise AddressRefused(
                f"{host} leads to {real}, a private address. The operator may allow those with ALLOW_PRIVATE_ADDRESSES."
            )

    def _forbidden(self) -> Iterable[tuple[IPAddress, int]]:
        return ((_unwrapped(ipaddress.ip_address(ip)), port) for ip, port in self.forbidden)


def look_up(host: str, port: int, *, within: float = LOOK_UP_WITHIN) -> list[IPAddress]:
    """Resolve a DNS name or read an IP, judging nothing. Raises `HostInvalid`, `NameUnknown`.

    The system's resolver knows no time limit, so a name is looked up in a thread that is left behind when it is late.
    """
    literal = _literal(host)
    if literal is not None:
        return [literal]
    if not is_name(host):
        raise HostInvalid(f"“{host[:100]}” is neither a DNS name nor an IP address.")
    answers: queue.SimpleQueue[list[str] | None] = queue.SimpleQueue()
    threading.Thread(target=_ask, args=(host, port, answers), daemon=True).start()
    try:
        found = answers.get(timeout=within)
    except queue.Empty:
        raise NameUnknown(f"Looking up {host} took longer than {within:g} s.") from None
    if not found:
        raise NameUnknown(f"There is no server by the name {host}. Check the spelling.")
    return [ipaddress.ip_address(text) for text in found]


def own_addresses(servers: Iterable[tuple[str, int]]) -> frozenset[tuple[str, int]]:
    """Resolve our own servers for `AddressPolicy.forbidden`; a name that does not resolve is left out."""
    found: set[tuple[str, int]] = set()
    for host, port in servers:
        try:
            found.update((str(address), port) for address in look_up(host, port))
        except AddressError:
            continue
    return frozenset(found)


def split_host_port(text: str) -> tuple[str, int]:
    """Read `host:port`, `1.2.3.4:port` or `[IPv6]:port`. Raises `HostInvalid` with what is wrong."""
    host, separator, port = text.strip().rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not separator or not host or (":" in host and not bracketed):
        raise HostInvalid(f"“{text[:100]}” must be host:port, e.g. localhost:6379; an IPv6 address goes in [brackets].")
    if not (port.isascii() and port.isdigit() and 0 < int(port) <= _LAST_PORT):
        raise HostInvalid(f"“{port[:20]}” is not a port: a whole number from 1 to {_LAST_PORT:,}.")
    host = host[1:-1] if bracketed else host
    literal = _literal(host)
    if (literal is None and not is_name(host)) or (bracketed and getattr(literal, "version", 0) != 6):  # noqa: PLR2004 - IPv6
        raise HostInvalid(f"“{host[:100]}” is neither a DNS name nor an IP address.")
    return host, int(port)


def is_name(host: str) -> bool:
    """Tell whether a text is a DNS name. A last label of digits only would be read as an address by resolvers."""
    labels = host.removesuffix(".").split(".")
    if len(host) > LONGEST_NAME or labels[-1].isdigit() or labels[-1][:2].lower() == "0x":
        return False
    return all(_LABEL.fullmatch(label) for label in labels)


def _literal(host: str) -> IPAddress | None:
    try:
        return ipaddress.ip_address(host) if "%" not in host else None
    except ValueError:
        return None


def _ask(host: str, port: int, answers: "queue.SimpleQueue[list[str] | None]") -> None:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        answers.put(None)
        return
    answers.put(list(dict.fromkeys(str(address[0]).partition("%")[0] for *_, address in found)))


def _unwrapped(address: IPAddress) -> IPAddress:
    """Return the IPv4 address that an IPv6 address stands for, if it does: a tunnel must not pass the wall."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else address)


def _has_no_host(address: IPAddress) -> bool:
    """Reserved ranges lead nowhere; ::1 lies in one, as do the private ranges of IPv6."""
    return address.is_reserved and (address.version == 4 or not address.is_private)  # noqa: PLR2004 - IPv4


def _comparable(address: IPAddress) -> str:
    """All loopback addresses lead to the same machine's servers."""
    return "loopback" if address.is_loopback else str(address)
