"""The address a request came from, for audit rows and rate limits.

`X-Forwarded-For` is written by whoever sends it: it counts only as far back as `TRUSTED_PROXIES` (addresses or
networks) vouch for it, read from the right.
"""

import ipaddress
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeAlias

from django.conf import settings

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


def client_address(meta: Mapping[str, Any]) -> str | None:
    """Return the client's IP address from a request's `META`, or None when the server did not tell one."""
    address = _parse(meta.get("REMOTE_ADDR", ""))
    trusted = _networks(tuple(settings.TRUSTED_PROXIES))
    hops = [hop.strip() for hop in str(meta.get("HTTP_X_FORWARDED_FOR", "")).split(",")]
    while address is not None and hops and _trusts(trusted, address):
        forwarded = _parse(hops.pop())
        if forwarded is None:
            break
        address = forwarded
    return str(address) if address is not None else None


@lru_cache(maxsize=4096)
def _parse(text: str) -> Address | None:
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _trusts(networks: Sequence[Network], address: Address) -> bool:
    return any(address in network for network in networks)


@lru_cache(maxsize=8)
def _networks(names: tuple[str, ...]) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(name, strict=False) for name in names)
