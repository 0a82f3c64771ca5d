"""Single reads through the API beside a bare WSGI app on the same server that does the same HGETALL and splice.

The server is pinned to one core, the load generator (wrk) and Redis to the other; 16 connections; the token is real.
"""

import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from benchmarks import machine
from config.embedded import EmbeddedServer, free_port

CONNECTIONS = 16
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
        script = _script(folder, body, headers)
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


def _script(folder: Path, body: dict, headers: dict[str, str]) -> Path:
    lines = ['wrk.method = "POST"', f"wrk.body = [==[{json.dumps(body)}]==]"]
    lines += [f'wrk.headers["{name}"] = "{value}"' for name, value in headers.items()]
    lines += [
        "done = function(summary, latency)",
        '  io.write(string.format("p99us=%d bad=%d\\n", latency:percentile(99), summary.errors.status))',
        "end",
    ]
    script = folder / "read.lua"
    script.write_text("\n".join(lines))
    script.chmod(0o600)
    return script


def _serve(application: str, environment: dict[str, str], script: Path, body, headers, seconds: int) -> Served:
    port = free_port()
    command = [sys.executable, "-m", "granian", "--interface", "wsgi", "--port", str(port), "--workers", "1"]
    command += ["--blocking-threads", "4", "--no-ws", "--log-level", "error", application]
    server = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        url = f"http://127.0.0.1:{port}/v2/activation"
        _wait(url, body, headers)
        machine.pin(server.pid, 0)
        _wrk(url, script, 1)
        before = machine.cpu_seconds(server.pid)
        rate, requests, p99 = _wrk(url, script, seconds)
        used = machine.cpu_seconds(server.pid) - before
        return Served(rate, used / requests * 1e6, p99)
    finally:
        server.terminate()
        server.wait(10)


def _wait(url: str, body: dict, headers: dict[str, str]) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            request = urllib.request.Request(url, data=json.dumps(body).encode(), headers=headers)
            with urllib.request.urlopen(request, timeout=2) as answer:
                assert json.load(answer)["data"], "the read found nothing"
            return
        except (urllib.error.URLError, ConnectionError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _wrk(url: str, script: Path, seconds: int) -> tuple[float, int, float]:
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", str(script), url]
    if shutil.which("taskset"):
        command = ["taskset", "-c", str(min(1, (os.cpu_count() or 1) - 1)), *command]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    [rate] = re.findall(r"Requests/sec:\s+([\d.]+)", printed)
    [requests] = re.findall(r"(\d+) requests in", printed)
    [(p99, bad)] = re.findall(r"p99us=(\d+) bad=(\d+)", printed)
    assert bad == "0", f"{bad} requests were refused"
    return float(rate), int(requests), int(p99) / 1000
