"""Single reads, by the thin path and through the framework, beside a bare WSGI app on the same server.

The bare app does the same HGETALL and splice.
The server is pinned to one core, the load generator (wrk) and Redis to the other; 16 connections; the token is real.
"""

import json
import os
import shutil
import statistics
from pathlib import Path

from benchmarks import api_server, machine
from benchmarks.api_server import CONNECTIONS, Measured
from config.embedded import EmbeddedServer

ROUTES = {"thin path": "1", "framework alone": "0"}  # what FAST_READS is for each
TRAITS = {f"trait_{n}": f"segment-{n:03}" for n in range(20)}  # 500 bytes of JSON


def run(folder: Path, *, pairs: int, seconds: int) -> None:
    """Print requests/s, CPU a request and p99 of each route and of the bare app, and the ratios."""
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
        fill(server, prefix)
        body = question(destination.public_id)
        headers = {"Authorization": f"Bearer {member.token(Role.ADMIN)}", "Content-Type": "application/json"}
        script = api_server.script(folder / "read.lua", headers, f"[==[{json.dumps(body)}]==]")
        bare = {**os.environ, "BARE_REDIS_URL": server.url(), "BARE_KEY_PREFIX": prefix}
        yardstick: list[Measured] = []
        ours: dict[str, list[Measured]] = {route: [] for route in ROUTES}
        for _ in range(pairs):
            with api_server.serving_by_threads("benchmarks.bare_app:application", bare, body, headers) as served:
                yardstick.append(api_server.measure(served, script, seconds))
            for route, fast_reads in ROUTES.items():
                environment = {**os.environ, "FAST_READS": fast_reads}
                with api_server.serving("config.wsgi:application", environment, body, headers) as served:
                    ours[route].append(api_server.measure(served, script, seconds))
    _report(ours, yardstick)


def _report(ours: dict[str, list[Measured]], yardstick: list[Measured]) -> None:
    print(f"\nsingle read, {CONNECTIONS} connections, 20 traits; CPU beside that of the bare app")
    for name, measured in {"bare WSGI app": yardstick, **ours}.items():
        rate = statistics.median(m.rate for m in measured)
        cpu = statistics.median(m.cpu for m in measured)
        p99 = statistics.median(m.p99 for m in measured)
        pairs = zip(measured, yardstick, strict=True)
        ratio = statistics.median(one.cpu / bare.cpu for one, bare in pairs)
        print(f"  {name:<16}{rate:>10,.0f} requests/s {cpu:>8.0f} µs CPU/request   p99 {p99:.2f} ms   {ratio:.2f} ×")


def question(destination_id: str) -> dict[str, object]:
    """Return the body that is sent."""
    return {"entity": "user", "destinationId": destination_id, "id": {"type": "email", "value": "a@b.example"}}


def fill(server: EmbeddedServer, prefix: str) -> None:
    """Store the profile that is read."""
    import redis

    with redis.Redis.from_url(server.url()) as client:
        client.hset(f"{prefix}user:email:a@b.example", "features_by_email", json.dumps(TRAITS, separators=(",", ":")))
