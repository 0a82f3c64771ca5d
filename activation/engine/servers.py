"""What a destination's primaries tell of themselves: memory, keys, version, replicas. For people to look at.

Each takes one INFO. Where the user's ACL refuses that, DBSIZE still tells the keys; everything else is unknown (None),
never an error.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from activation.engine.connection import Deployment
from activation.engine.errors import DestinationRefused
from activation.engine.memory import info
from activation.engine.node import Node

# In INFO's section of replication: slave0:ip=10.0.0.7,port=6379,state=online,offset=4410,lag=1
_REPLICA = re.compile(r"slave\d+")


@dataclass(frozen=True)
class Server:
    """A primary at `where`; what is None it does not tell. Memory is in bytes, a `maximum` of 0 means no limit.

    `keys` counts all keys of the database, also those of others. `evicted` counts since the server started. `lag` is
    how many seconds ago the slowest replica was last heard of.
    """

    where: str
    version: str | None = None
    used: int | None = None
    maximum: int | None = None
    policy: str | None = None
    keys: int | None = None
    evicted: int | None = None
    replicas: int | None = None
    lag: int | None = None


def look(deployment: Deployment) -> list[Server]:
    """Ask every primary. Raises `DestinationError`, but not for a user who may not ask."""
    return [_server(node, database=deployment.settings.database) for node in deployment.primaries()]


def _server(node: Node, *, database: int) -> Server:
    facts = info(node)
    if not facts:
        return Server(node.endpoint.text, keys=_size(node))
    return Server(
        where=node.endpoint.text,
        version=_version(facts),
        used=_number(facts.get("used_memory")),
        maximum=_number(facts.get("maxmemory")),
        policy=facts.get("maxmemory_policy"),
        keys=_keys(facts, database),
        evicted=_number(facts.get("evicted_keys")),
        replicas=_number(facts.get("connected_slaves")),
        lag=_lag(facts),
    )


def _size(node: Node) -> int | None:
    try:
        return int(node.execute("DBSIZE"))
    except DestinationRefused:
        return None


def _version(facts: Mapping[str, str]) -> str | None:
    for name, key in (("Valkey", "valkey_version"), ("Redis", "redis_version")):
        if facts.get(key):
            return f"{name} {facts[key]}"[:60]
    return None


def _keys(facts: Mapping[str, str], database: int) -> int:
    """Read "db0:keys=52318,expires=0,avg_ttl=0"; an empty database is not listed."""
    return _number(_fields(facts.get(f"db{database}", "")).get("keys")) or 0


def _lag(facts: Mapping[str, str]) -> int | None:
    told = (_number(_fields(text).get("lag")) for name, text in facts.items() if _REPLICA.fullmatch(name))
    return max((lag for lag in told if lag is not None), default=None)


def _fields(text: str) -> dict[str, str]:
    return dict(part.partition("=")[::2] for part in text.split(","))


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() else None
