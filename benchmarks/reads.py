"""Single reads through the API beside a bare WSGI app on the same server that does the same HGETALL and splice.

The server is pinned to one core, the load generator (wrk) and Redis to the other; 16 connections; the token is real.
"""

import json
import os
import shutil
import statistics
from dataclasses import dataclass
from pathlib import Path

from benchmarks import api_server, machine
from benchmarks.api_server import CONNECTIONS
from config.embedded import EmbeddedServer

TRAITS = {f"trait_{n}": f"value {n} of twenty" for n in range(20)}


@dataclass
class Served:
    """What one measurement found."""

    requests_per_second: float
    cpu_microseconds: float
    p99_milliseconds: float


def run(folder: Path, *, pairs: int, seconds: int) -> None:
    """Print requests/s, CPU a request and p99 of both, and their ratios."""
    if not shutil.which("wrk"):
        print("\nreads: wrk is not installed, not measured")
        return
    from accounts.roles import Role
    from tests.activation import world as worlds
    from tests.cast import founder

    member = founder("Reads", "reads@example.com")
    with EmbeddedServer(folder / "reads") as server:
        machine.pin(server.pid or 0, 1)
        destination = worlds.destination_of(member.actor, server)
        prefix = f"{destination.workspace_id}:{destination.public_id}:"
        _fill(server, prefix)
        body = {
            "entity": "user",
            "destinationId": destination.public_id,
            "id": {"type": "email", "value": "a@b.example"},
        }
        headers = {"Authorization": f"Bearer {member.token(Role.ADMIN)}", "Content-Type": "application/json"}
        script = api_server.script(folder / "read.lua", headers, f"[==[{json.dumps(body)}]==]")
        bare = {**os.environ, "BARE_REDIS_URL": server.url(), "BARE_KEY_PREFIX": prefix}
        ours, yardstick = [], []
        for _ in range(pairs):
            yardstick.append(_serve("benchmarks.bare_app:application", bare, script, body, headers, seconds))
            ours.append(_serve("config.wsgi:application", dict(os.environ), script, body, headers, seconds))
    _report(ours, yardstick)


def _report(ours: list[Served], yardstick: list[Served]) -> None:
    print(f"\nsingle read, {CONNECTIONS} connections, 20 traits")
    for name, measured in (("bare WSGI app", yardstick), ("Activation API", ours)):
        rate = statistics.median(m.requests_per_second for m in measured)
        cpu = statistics.median(m.cpu_microseconds for m in measured)
        p99 = statistics.median(m.p99_milliseconds for m in measured)
        print(f"  {name:<16}{rate:>10,.0f} requests/s {cpu:>8.0f} µs CPU/request   p99 {p99:.2f} ms")
    ratio = statistics.median(o.cpu_microseconds / y.cpu_microseconds for o, y in zip(ours, yardstick, strict=True))
    print(f"  CPU per request {ratio:.2f} × that of the bare app")


def _fill(server: EmbeddedServer, prefix: str) -> None:
    import redis

    with redis.Redis.from_url(server.url()) as client:
        client.hset(f"{prefix}user:email:a@b.example", "features_by_email", json.dumps(TRAITS, separators=(",", ":")))


def _serve(application: str, environment: dict[str, str], script: Path, body, headers, seconds: int) -> Served:
    with api_server.serving(application, environment, body, headers) as server:
        machine.pin(server.pid, 0)
        api_server.ask(server.url, script, 1, core=1)
        before = machine.cpu_seconds(server.pid)
        answered = api_server.ask(server.url, script, seconds, core=1)
        used = machine.cpu_seconds(server.pid) - before
    assert answered.bad == 0, f"{answered.bad} requests were refused"
    return Served(answered.rate, used / answered.requests * 1e6, answered.p99)
