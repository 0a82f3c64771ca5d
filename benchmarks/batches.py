"""Batches of 100 profiles, by the thin path and through the framework: one server, a cluster, JSON documents.

The server is pinned to one core, the load generator (wrk) and Redis to the other; 16 connections; the token is real.
What counts is the server's CPU a profile. JSON documents come from the tests' stand-in for the module, a proxy in
Python in front of a Valkey (`tests.json_servers`), which answers slowly: only our own CPU is worth reading there.
"""

import json
import os
import shutil
import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis

from benchmarks import api_server, machine
from benchmarks.api_server import Measured
from benchmarks.reads import ROUTES, TRAITS
from config.embedded import EmbeddedServer

SIZE, PEOPLE, BODIES = 100, 1_000, 20
VIEW = "features_by_email"


@dataclass
class Place:
    """A destination to read from: its settings, and what writes a profile there."""

    settings: dict[str, Any]
    password: str
    write: Callable[[str, str], object]
    connections: int = api_server.CONNECTIONS


def run(folder: Path, *, pairs: int, seconds: int) -> None:
    """Print profiles/s, those a core (by CPU), p50 and p99 of every kind of destination (medians)."""
    if not shutil.which("wrk"):
        print("\nbatches: wrk is not installed, not measured")
        return
    print(f"\nbatch of {SIZE}, 20 traits")
    for name, opened in {"one server": _one_server, "cluster of 3": _cluster, "JSON documents": _documents}.items():
        with opened(folder / name.replace(" ", "-")) as place:
            _measure(folder, name, place, pairs=pairs, seconds=seconds)


def _measure(folder: Path, name: str, place: Place, *, pairs: int, seconds: int) -> None:
    from accounts import vault
    from accounts.roles import Role
    from activation.models import RedisDestination
    from tests.cast import founder

    member = founder(f"Batch {name}", f"{name.replace(' ', '-')}@batch.example")
    destination = RedisDestination.objects.create(
        organisation=member.actor.organisation,
        name=name,
        settings=place.settings,
        credentials=vault.encrypt(json.dumps({"password": place.password})),
    )
    people = [f"person{number}@example.com" for number in range(PEOPLE)]
    for person in people:
        key = f"{destination.workspace_id}:{destination.public_id}:user:email:{person}"
        place.write(key, json.dumps(TRAITS, separators=(",", ":")))
    headers = {"Authorization": f"Bearer {member.token(Role.ADMIN)}", "Content-Type": "application/json"}
    bodies = [
        {
            "entity": "user",
            "destinationId": destination.public_id,
            "ids": [{"type": "email", "value": people[(start * SIZE + n) % PEOPLE]} for n in range(SIZE)],
        }
        for start in range(BODIES)
    ]
    script = api_server.script_of(folder / "batch.lua", headers, bodies)
    found: dict[str, list[Measured]] = {route: [] for route in ROUTES}
    for _ in range(pairs):
        for route, fast_reads in ROUTES.items():
            environment = {**os.environ, "FAST_READS": fast_reads}
            path = "/v2/activation/batch"
            with api_server.serving("config.wsgi:application", environment, bodies[0], headers, path=path) as served:
                found[route].append(api_server.measure(served, script, seconds, connections=place.connections))
    for route, measured in found.items():
        _report(f"{name}, {route}", measured)


def _report(name: str, measured: list[Measured]) -> None:
    rate, cpu, p50, p99 = (
        statistics.median(getattr(m, what) for m in measured) for what in ("rate", "cpu", "p50", "p99")
    )
    print(
        f"  {name:<32}{rate * SIZE:>9,.0f} profiles/s {SIZE * 1e6 / cpu:>9,.0f} a core {cpu / SIZE:>7.1f} µs CPU/profile"
        f"   p50 {p50:.1f} ms   p99 {p99:.1f} ms"
    )


@contextmanager
def _one_server(folder: Path) -> Iterator[Place]:
    with EmbeddedServer(folder) as server, redis.Redis.from_url(server.url()) as client:
        machine.pin(server.pid or 0, 1)
        yield Place({"address": server.address}, server.password, lambda key, text: client.hset(key, VIEW, text))


@contextmanager
def _cluster(folder: Path) -> Iterator[Place]:
    from activation.engine.slots import slot_of
    from tests.redis_servers import ValkeyCluster

    with ValkeyCluster(folder) as cluster:
        for server in cluster.servers:
            machine.pin(server.pid or 0, 1)
        settings = {"address": cluster.servers[0].address, "clusterMode": True}
        clients = [cluster.client(number) for number in range(3)]

        def write(key: str, text: str) -> object:
            return clients[cluster.owner_of(slot_of(key))].hset(key, VIEW, text)

        yield Place(settings, cluster.password, write)
        for client in clients:
            client.close()


@contextmanager
def _documents(folder: Path) -> Iterator[Place]:
    from tests.json_servers import KINDS, json_server

    with json_server(KINDS[-1], folder) as (address, server):
        machine.pin(server.pid or 0, 1)
        host, port = address.split(":")
        with redis.Redis(host=host, port=int(port), password=server.password) as client:

            def write(key: str, text: str) -> object:
                client.execute_command("JSON.SET", key, "$", "{}", "NX")
                return client.execute_command("JSON.SET", key, f'$["{VIEW}"]', text)

            settings = {"address": address, "useJSONModule": True}
            # Few connections: the stand-in takes so long that more of them would wait longer than a read may.
            yield Place(settings, server.password, write, connections=1)
