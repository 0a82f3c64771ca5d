"""What a token's owner narrows it to, beyond its role: calls, destinations, entities, networks, a rate.

Kept as `{"verbs": […], "destinations": […], "entities": […], "networks": […], "rate": n}`, each only where it is
limited. Who serves a call keeps to the first three and the rate; the network is looked at with the token itself.
"""

import ipaddress
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

VERBS = {
    "read": "Read profiles",
    "delete": "Delete profiles",
    "sync": "Start and stop syncs",
    "manage": "Set up projects, warehouses and destinations",
}
MOST = 100
_LONGEST_NAME = 255
HIGHEST_RATE = 1_000_000
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class LimitsInvalid(Exception):
    """The limits make no sense; `errors` maps each at fault to what is wrong with it."""

    def __init__(self, errors: Mapping[str, str]) -> None:
        super().__init__(" ".join(errors.values()))
        self.errors = dict(errors)


def checked(limits: Mapping[str, Any]) -> dict[str, Any]:
    """Return limits as they are kept, without those that limit nothing. Raises `LimitsInvalid`."""
    errors: dict[str, str] = {}
    kept: dict[str, Any] = {}
    for name in ("destinations", "entities"):
        given = _names(limits.get(name, ()))
        if len(given) > MOST or any(len(each) > _LONGEST_NAME or not each.isprintable() for each in given):
            errors[name] = f"Enter at most {MOST} names, one a line."
        kept[name] = given
    kept["verbs"] = [verb for verb in VERBS if verb in limits.get("verbs", ())]
    if set(limits.get("verbs", ())) - VERBS.keys():
        errors["verbs"] = "Choose among the calls that are listed."
    if len(kept["verbs"]) == len(VERBS):
        kept["verbs"] = []
    try:
        kept["networks"] = [str(network) for network in map(_network, _names(limits.get("networks", ())))]
    except ValueError:
        errors["networks"] = "Enter one network a line, such as 192.0.2.0/24 or 2001:db8::/32."
    kept["rate"] = limits.get("rate")
    if kept["rate"] is not None and not 0 < kept["rate"] <= HIGHEST_RATE:
        errors["rate"] = f"Enter requests per second, from 1 to {HIGHEST_RATE:,}."
    if errors:
        raise LimitsInvalid(errors)
    return {name: value for name, value in kept.items() if value}


def admit(limits: Mapping[str, Any], address: str | None) -> bool:
    """Tell whether a token with these limits may be used from an IP address; from an unknown one only without limit."""
    networks: Sequence[str] | None = limits.get("networks")
    if not networks:
        return True
    try:
        at = ipaddress.ip_address(address or "")
    except ValueError:
        return False
    return any(at in _network(network) for network in networks)


def words(limits: Mapping[str, Any]) -> list[str]:
    """Say in words what a token is limited to."""
    said = [f"{VERBS.get(verb, verb)}" for verb in limits.get("verbs", ())]
    told = [f"Only: {', '.join(said).lower()}"] if said else []
    for name, singular in (("destinations", "destination"), ("entities", "entity"), ("networks", "network")):
        given = limits.get(name, ())
        if given:
            told.append(f"{singular if len(given) == 1 else name} {', '.join(given)}")
    if limits.get("rate"):
        told.append(f"at most {limits['rate']:,} requests per second")
    return told


def _names(given: object) -> list[str]:
    lines = given.splitlines() if isinstance(given, str) else list(given)  # type: ignore[call-overload]  # a sequence
    return list(dict.fromkeys(line.strip() for line in lines if line.strip()))


@lru_cache(maxsize=4096)
def _network(text: str) -> _Network:
    return ipaddress.ip_network(text, strict=False)
