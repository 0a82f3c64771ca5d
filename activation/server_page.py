"""What is shown of a destination's Redis: memory and keys, as a control worker saw them last."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.template.defaultfilters import filesizeformat

from accounts.templatetags.components import NOTHING
from activation import server_looks
from activation.engine.memory import Memory
from activation.engine.servers import Server
from activation.models import RedisDestination, ServerLook

_NEARLY_FULL = 0.8


@dataclass(frozen=True)
class Notice:
    """What deserves attention, and what to do."""

    title: str
    text: str


@dataclass(frozen=True)
class Line:
    """One server, in words."""

    where: str
    memory: str
    keys: str
    evicted: str
    replicas: str
    version: str


@dataclass(frozen=True)
class ServersPage:
    """What is shown; `told_at` is None while no look succeeded; if the newest one failed, `problem_at` is when."""

    told_at: datetime | None
    problem_at: datetime | None
    facts: list[tuple[str, str]]
    lines: list[Line]
    warnings: list[Notice]
    unknown: bool
    memory: list[int | None]
    keys: list[int | None]
    memory_words: str
    keys_words: str


def of(destination: RedisDestination) -> ServersPage:
    """Say what the newest look told. One query."""
    look = ServerLook.objects.filter(destination=destination).first() or ServerLook()
    servers = [Server(**plain) for plain in look.servers]
    memory, keys = [entry[1] for entry in look.history], [entry[2] for entry in look.history]
    return ServersPage(
        told_at=look.told_at,
        problem_at=look.tried_at if look.problem else None,
        facts=_facts(destination, servers) if servers else [],
        lines=[_line(server) for server in servers] if len(servers) > 1 else [],
        warnings=list(_warnings(destination, servers)),
        unknown=any(server.version is None for server in servers),
        memory=memory if _moves(memory) else [],
        keys=keys if _moves(keys) else [],
        memory_words=_course("Memory in use", memory, size_words),
        keys_words=_course("Keys", keys, _count),
    )


def size_words(value: int | None) -> str:
    """Write a number of bytes: "12.4 MB"."""
    return "unknown" if value is None else filesizeformat(value).replace("\N{NO-BREAK SPACE}", " ")


def _facts(destination: RedisDestination, servers: Sequence[Server]) -> list[tuple[str, str]]:
    used, maximum = _sum(servers, "used"), _sum(servers, "maximum")
    policies = sorted({server.policy for server in servers if server.policy})
    return [
        ("Memory in use", _memory(used, maximum)),
        ("When memory is full", ", ".join(policies) or "unknown"),
        ("Keys", _count(_sum(servers, "keys"))),
        ("Evicted keys", _count(_sum(servers, "evicted"))),
        ("Server", ", ".join(sorted({server.version for server in servers if server.version})) or "unknown"),
        ("Kind", _kind(destination, servers)),
        ("Replicas", _replicas(_sum(servers, "replicas"), [server.lag for server in servers])),
    ]


def _line(server: Server) -> Line:
    return Line(
        where=server.where,
        memory=_memory(server.used, server.maximum),
        keys=_count(server.keys),
        evicted=_count(server.evicted),
        replicas=_replicas(server.replicas, [server.lag]),
        version=server.version or "unknown",
    )


def _warnings(destination: RedisDestination, servers: Iterable[Server]) -> Iterable[Notice]:
    for server in servers:
        if server.used is None or server.maximum is None:
            continue
        memory = Memory(server.used, server.maximum, server.policy or "")
        if memory.drops_profiles and not destination.settings.get("acceptEviction"):
            yield Notice(
                "Redis may drop profiles",
                f"When its memory is full, {server.where} drops keys ({server.policy}). Set maxmemory-policy to "
                "noeviction or volatile-lru.",
            )
        if memory.maximum and memory.used >= _NEARLY_FULL * memory.maximum:
            yield Notice(
                "Memory is nearly full",
                f"{server.where} uses {_memory(memory.used, memory.maximum)}. Give it more, before syncs fail.",
            )
        if server.evicted:
            yield Notice(
                "Redis dropped keys",
                f"{server.where} evicted {server.evicted:,} keys since it started. The next sync after an eviction is "
                "full and writes profiles anew.",
            )


def _kind(destination: RedisDestination, servers: Sequence[Server]) -> str:
    if destination.settings.get("clusterMode"):
        return f"Cluster, {len(servers)} primar{'y' if len(servers) == 1 else 'ies'}"
    return "Primary that sentinels name" if destination.settings.get("sentinelService") else "One server"


def _memory(used: int | None, maximum: int | None) -> str:
    if used is None or not maximum:
        return size_words(used) + (", no limit" if maximum == 0 else "")
    return f"{size_words(used)} of {size_words(maximum)} ({100 * used / maximum:.0f} %)"


def _replicas(count: int | None, lags: Iterable[int | None]) -> str:
    known = [lag for lag in lags if lag is not None]
    if not count or not known:
        return _count(count)
    return f"{count:,}, last heard of {max(known):,} s ago"


def _sum(servers: Sequence[Server], name: str) -> int | None:
    values = [getattr(server, name) for server in servers]
    # One server without a limit is enough for there to be none.
    return 0 if name == "maximum" and 0 in values else server_looks.total(values)


def _count(value: int | None) -> str:
    return "unknown" if value is None else f"{value:,}"


def _moves(values: Sequence[int | None]) -> bool:
    return len([value for value in values if value is not None]) > 1


def _course(name: str, values: Sequence[int | None], words: Callable[[int], str]) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return NOTHING
    return f"{name} in the last day: from {words(min(known))} to {words(max(known))}, now {words(known[-1])}"
