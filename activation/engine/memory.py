"""What a destination's servers tell of their memory: how full it is, and what they dropped for want of it.

Users whose ACL refuses INFO are told nothing: that is unknown, never an error.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from activation.engine.connection import Deployment
from activation.engine.errors import DestinationRefused
from activation.engine.node import Node

_DROPS_PROFILES = "allkeys-"  # profiles have no expiry, so the volatile policies never touch them


@dataclass(frozen=True)
class Memory:
    """One server's memory in bytes; a `maximum` of 0 means no limit of Redis's own."""

    used: int
    maximum: int
    policy: str

    @property
    def drops_profiles(self) -> bool:
        """Tell whether the server drops profiles without a word once its memory is full."""
        return self.maximum > 0 and self.policy.startswith(_DROPS_PROFILES)


def may_drop(told: Mapping[str, Memory] | None) -> bool:
    """Tell whether any of the servers drops profiles when it is full; where nothing is told, none is known to."""
    return any(server.drops_profiles for server in (told or {}).values())


def memory(deployment: Deployment) -> dict[str, Memory] | None:
    """Return each primary's memory by its `host:port`; None when a server does not tell. Raises `DestinationError`."""
    found = {node.endpoint.text: info(node) for node in deployment.primaries()}
    if any("maxmemory_policy" not in facts for facts in found.values()):
        return None
    return {
        where: Memory(_number(facts, "used_memory"), _number(facts, "maxmemory"), facts["maxmemory_policy"])
        for where, facts in found.items()
    }


def evictions(deployment: Deployment) -> dict[str, int] | None:
    """Return how many keys each primary evicted since it started, by its run id; None when a server does not tell.

    A server that restarts has a new run id and counts from zero. Raises `DestinationError`.
    """
    found = [info(node) for node in deployment.primaries()]
    if any("run_id" not in facts or "evicted_keys" not in facts for facts in found):
        return None
    return {facts["run_id"]: _number(facts, "evicted_keys") for facts in found}


def info(node: Node) -> dict[str, str]:
    """Return what a server tells of itself, nothing for a user who may not ask. Raises `DestinationError`."""
    try:
        reply = node.execute("INFO")
    except DestinationRefused:
        return {}
    return dict(line.partition(":")[::2] for line in reply.decode(errors="replace").splitlines())


def _number(facts: dict[str, str], name: str) -> int:
    text = facts.get(name, "")
    return int(text) if text.isdigit() else 0
