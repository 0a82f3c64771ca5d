"""Overload: more connections than one process can serve, all asking again at once, whatever the answer was.

As in `benchmarks.reads` the server is pinned to one core, the load and Redis to the other; the token is real. What is
accepted must stay quick, what is too much must be refused at once and at little cost, and right after all is as before.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks import api_server, machine, reads
from config.embedded import EmbeddedServer

USUAL, MANY = 16, 512
SECONDS = 10
AFTER = 2


def run(folder: Path) -> None:
    """Print rates and latencies before, in and right after overload, on both ways of a read."""
    if not sys.platform.startswith("linux"):
        print("\noverload: needs Linux, not measured")
        return
    from accounts.roles import Role
    from tests.activation import world as worlds
    from tests.cast import founder

    member = founder("Overload", "overload@example.com")
    with EmbeddedServer(folder / "overload") as server:
        machine.pin(server.pid or 0, 1)
        destination = worlds.destination_of(member.actor, server)
        reads.fill(server, f"{destination.workspace_id}:{destination.public_id}:")
        body = reads.question(destination.public_id)
        headers = {"Authorization": f"Bearer {member.token(Role.ADMIN)}", "Content-Type": "application/json"}
        request = folder / "overload.request"
        request.write_bytes(_as_sent(headers, json.dumps(body).encode()))
        print(f"\noverload: {MANY} connections for {SECONDS} s, each asks again at once; single reads, one process")
        for route, fast_reads in reads.ROUTES.items():
            with api_server.serving(
                "config.wsgi:application", {**os.environ, "FAST_READS": fast_reads}, body, headers
            ) as served:
                machine.pin(served.pid, 0)
                _measure(route, served, request)


def _measure(route: str, served: api_server.Served, request: Path) -> None:
    _load(served, request, USUAL, 1)
    before = _load(served, request, USUAL, AFTER)
    used = machine.cpu_seconds(served.pid)
    over = _load(served, request, MANY, SECONDS)
    used = machine.cpu_seconds(served.pid) - used
    after, later = (_load(served, request, USUAL, AFTER) for _ in range(2))
    share = over["refused_rate"] / (over["refused_rate"] + over["accepted_rate"])
    # What a usual read costs is taken off; what is left is the refusals'.
    of_reads = over["accepted_rate"] * before["cpu"] / before["accepted_rate"]
    refusal = (used / SECONDS - of_reads) / over["refused_rate"] * 1e6 if over["refused_rate"] else 0.0
    print(f"  {route}")
    print(f"    accepted {over['accepted_rate']:>8,.0f}/s   p50 {over['accepted_p50']:.0f} ms   "
          f"p99 {over['accepted_p99']:.0f} ms")  # fmt: skip
    print(f"    refused  {over['refused_rate']:>8,.0f}/s   p50 {over['refused_p50']:.0f} ms   "
          f"p99 {over['refused_p99']:.0f} ms   {share:.0%} of all, about {refusal:.0f} µs CPU each")  # fmt: skip
    print(f"    other answers {over['other']:.0f}, broken connections {over['broken']:.0f}")
    usual = before["accepted_rate"]
    print(f"    {USUAL} connections before {usual:,.0f}/s; beside that {after['accepted_rate'] / usual:.2f} × in the {AFTER} s "
          f"after, {later['accepted_rate'] / usual:.2f} × in the next {AFTER}")  # fmt: skip


def _load(served: api_server.Served, request: Path, connections: int, seconds: int) -> dict[str, float]:
    port = served.url.split(":")[2].split("/")[0]
    command = [sys.executable, "-m", "benchmarks.closed_loop", "127.0.0.1", port, str(request)]
    command += ["--connections", str(connections), "--seconds", str(seconds)]
    if shutil.which("taskset"):
        command = ["taskset", "-c", str(min(1, (os.cpu_count() or 1) - 1)), *command]
    used = machine.cpu_seconds(served.pid)
    told: dict[str, float] = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    return {**told, "cpu": (machine.cpu_seconds(served.pid) - used) / seconds}


def _as_sent(headers: dict[str, str], body: bytes) -> bytes:
    lines = [
        "POST /v2/activation HTTP/1.1",
        "Host: localhost",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body
