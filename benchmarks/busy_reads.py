"""Single reads while a full sync writes to the same server, beside reads of an idle system, at the same rate.

The rate is half of what the idle system serves in a closed loop. API, wrk, Redis and two load processes share this
machine's cores, so this shows Redis being written to and the load processes' hunger for CPU together; on hosts of
their own only the first is left.
"""

import json
import os
import shutil
import statistics
import threading
import time
from pathlib import Path

from benchmarks import api_server, data, machine, syncs
from config.embedded import EmbeddedServer

BYTES_A_ROW = 1_000
MEMORY_A_ROW = 900


def run(folder: Path, *, rows: int, pairs: int, seconds: int, nice: int) -> None:
    """Print rate, p50, p99 and errors of both, and the ratio of the p99s (median of the pairs)."""
    if not shutil.which("wrk"):
        print("\nreads during a full sync: wrk is not installed, not measured")
        return
    room = machine.room(folder, disk=rows * BYTES_A_ROW, memory=rows * MEMORY_A_ROW)
    print(f"\nreads during a full sync of {rows:,} rows by load processes of nice {nice}; {room}")
    if room.endswith("not enough"):
        return
    folder = folder / "busy"
    folder.mkdir()
    with syncs.broker(), EmbeddedServer(folder / "destination") as server:
        _measure(folder, server, rows=rows, pairs=pairs, seconds=seconds, nice=nice)


def _measure(folder: Path, server: EmbeddedServer, *, rows: int, pairs: int, seconds: int, nice: int) -> None:
    from accounts.roles import Role
    from tests.activation import world as worlds
    from tests.cast import founder

    member = founder("Busy", "busy@example.com")
    world = worlds.build(member.actor, server)
    data.build(world.file, rows=rows)
    syncs.suppress_others(world)
    asked = {"type": "email", "value": "person0@example.com"}
    body = {"entity": "user", "destinationId": world.source.destination.public_id, "id": asked}
    headers = {"Authorization": f"Bearer {member.token(Role.ADMIN)}", "Content-Type": "application/json"}
    with syncs.load_processes(folder, nice=nice) as workers:
        syncs.sync(world, workers)
        with api_server.serving("config.wsgi:application", dict(os.environ), body, headers) as api:
            scripts = _Scripts(folder, headers, json.dumps(body), rows)
            api_server.ask(api.url, scripts.unpaced(), 1)
            most = api_server.ask(api.url, scripts.unpaced(), seconds)
            paced = scripts.paced(most.rate / 2, most.p50)
            idle, busy = [], []
            for _ in range(pairs):
                idle.append(api_server.ask(api.url, paced, seconds))
                busy.append(_during_a_sync(world, workers, server, api.url, paced))
    print(f"  an idle system serves {most.rate:,.0f} requests/s at most; half of that:")
    _report(idle, busy)


class _Scripts:
    """What wrk is to send: reads of random people."""

    def __init__(self, folder: Path, headers: dict[str, str], body: str, rows: int) -> None:
        self._folder, self._headers = folder, headers
        first, last = body.split("person0")
        self._body = f"[==[{first}person]==] .. math.random(0, {rows - 1}) .. [==[{last}]==]"

    def unpaced(self) -> Path:
        return api_server.script(self._folder / "unpaced.lua", self._headers, self._body)

    def paced(self, rate: float, latency: float) -> Path:
        """Have each connection wait a random time between requests; `latency` in ms is what an answer takes."""
        mean = max(1, round(1_000 * api_server.CONNECTIONS / rate - latency / 2))
        delay = f"delay = function() return math.random(0, {2 * mean}) end"
        return api_server.script(self._folder / "paced.lua", self._headers, self._body, before=delay)


def _during_a_sync(world, workers, server: EmbeddedServer, url: str, script: Path) -> list[api_server.Answered]:
    """Ask in spells of 2 s from the first to the last of the load phase."""
    from django.db import connection

    from activation.models import RunState, SyncRun

    syncs.start_afresh(world, syncs.one(server))
    time.sleep(1.5)  # the API knows the destination anew
    answered = []

    def loading() -> bool:
        return SyncRun.objects.filter(source=world.source, state=RunState.LOADING).exists()

    def ask() -> None:
        try:
            while not loading():
                time.sleep(0.02)
            while loading():
                answered.append(api_server.ask(url, script, 2))
        finally:
            connection.close()

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    syncs.sync(world, workers)
    asking.join()
    return answered[:-1] or answered  # the last one outlasts the load phase


def _report(idle: list[api_server.Answered], busy: list[list[api_server.Answered]]) -> None:
    spells = [spell for during in busy for spell in during]
    for name, found in (("idle", idle), ("during a full sync", spells)):
        rate, p50, p99 = (statistics.median(getattr(one, what) for one in found) for what in ("rate", "p50", "p99"))
        print(
            f"  {name:<22}{rate:>9,.0f} requests/s   p50 {p50:.2f} ms   p99 {p99:.2f} ms"
            f"   {sum(one.bad for one in found)} errors of {sum(one.requests for one in found):,}"
        )
    pairs = zip(idle, busy, strict=True)
    ratio = statistics.median(statistics.median(one.p99 for one in during) / alone.p99 for alone, during in pairs)
    print(f"  p99 {ratio:.2f} × that of the idle system")
