"""Serves a WSGI application by granian, as in production, and asks it as fast as wrk can, or at a given rate."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks import machine
from config.embedded import free_port

CONNECTIONS = 16
ATTEMPTS = 3
FOUND = b"segment-"  # in every profile of `benchmarks.data`
# wrk counts neither refused answers nor percentiles in what it prints by itself.
DONE = """done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("p50us=%d p99us=%d bad=%d\\n", latency:percentile(50), latency:percentile(99),
    e.status + e.connect + e.read + e.write + e.timeout))
end
"""


@dataclass
class Answered:
    """What wrk found: requests a second and in all, latencies in ms, and requests that got no good answer."""

    rate: float
    requests: int
    p50: float
    p99: float
    bad: int


@dataclass
class Served:
    """A server that runs."""

    url: str
    pid: int


@dataclass
class Measured:
    """What one measurement of a server found: requests a second, CPU a request in µs, latencies in ms."""

    rate: float
    cpu: float
    p50: float
    p99: float


@contextmanager
def serving(
    application: str, environment: dict[str, str], body: dict, headers: dict[str, str], *, path: str = "/v2/activation"
) -> Iterator[Served]:
    """Serve an application until the block ends; it has answered the body once."""
    port = free_port()
    command = [sys.executable, "-m", "config.serve", "--application", application, "--port", str(port)]
    command += ["--unready-for", "0", "--drain-for", "0", "--log-level", "error"]
    with running(command, environment, f"http://127.0.0.1:{port}{path}", body, headers) as served:
        yield served


@contextmanager
def serving_by_threads(
    application: str, environment: dict[str, str], body: dict, headers: dict[str, str]
) -> Iterator[Served]:
    """Serve a WSGI application as granian does it, a thread for each connection; it has answered the body once."""
    port = free_port()
    command = [sys.executable, "-m", "granian", "--interface", "wsgi", "--port", str(port), "--no-ws", "--no-log"]
    command += ["--blocking-threads", str(CONNECTIONS), application]
    with running(command, environment, f"http://127.0.0.1:{port}/v2/activation", body, headers) as served:
        yield served


@contextmanager
def running(
    command: list[str],
    environment: dict[str, str],
    url: str,
    body: dict,
    headers: dict[str, str],
    *,
    told: str = "",
    within: float = 90,
) -> Iterator[Served]:
    """Run a server until the block ends, `told` on its standard input; it has answered the body once."""
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=quiet, stderr=quiet) as server:
        try:
            assert server.stdin is not None
            server.stdin.write(told.encode())
            server.stdin.close()
            _wait(url, body, headers, within=within)
            yield Served(url, server.pid)
        finally:
            _end(server)


def _end(server: subprocess.Popen) -> None:
    family = [server.pid, *machine.children(server.pid)]
    server.terminate()
    try:
        server.wait(10)
    except subprocess.TimeoutExpired:
        for pid in family:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def script(file: Path, headers: dict[str, str], body: str, *, before: str = "") -> Path:
    """Write what wrk is to send: `body` is a Lua expression, evaluated for each request; `before` are Lua lines."""
    lines = [before, 'wrk.method = "POST"', *(f'wrk.headers["{name}"] = "{value}"' for name, value in headers.items())]
    lines += [f"request = function() return wrk.format(nil, nil, nil, {body}) end", DONE]
    file.write_text("\n".join(lines))
    file.chmod(0o600)
    return file


def script_of(file: Path, headers: dict[str, str], bodies: list[dict]) -> Path:
    """Write what wrk is to send: one of the bodies after the other."""
    texts = ", ".join(f"[==[{json.dumps(body)}]==]" for body in bodies)
    before = f"bodies = {{{texts}}} turn = 0\nfunction one() turn = turn % #bodies + 1 return bodies[turn] end"
    return script(file, headers, "one()", before=before)


def measure(served: Served, script: Path, seconds: int, *, connections: int = CONNECTIONS) -> Measured:
    """Ask a server on the first core from the second one, and count the CPU that its processes use."""
    machine.pin(served.pid, 0)
    ask(served.url, script, 1, core=1, connections=connections)
    for _ in range(ATTEMPTS):
        before = machine.cpu_seconds(served.pid)
        answered = ask(served.url, script, seconds, core=1, connections=connections)
        used = machine.cpu_seconds(served.pid) - before
        if not answered.bad:
            return Measured(answered.rate, used / answered.requests * 1e6, answered.p50, answered.p99)
        # Other work kept Redis from the core for longer than a read waits; refusals are cheap and would flatter us.
        print(f"  {answered.bad:,} of {answered.requests:,} requests were refused, measured again")
    raise SystemExit("The machine is too busy to measure reads.")


def ask(url: str, script: Path, seconds: int, *, core: int | None = None, connections: int = CONNECTIONS) -> Answered:
    """Ask for some seconds over 16 connections, from one core if told, and return what was answered."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "20s", "-s", str(script), url]
    if core is not None and shutil.which("taskset"):
        command = ["taskset", "-c", str(min(core, (os.cpu_count() or 1) - 1)), *command]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    [rate] = re.findall(r"Requests/sec:\s+([\d.]+)", printed)
    [requests] = re.findall(r"(\d+) requests in", printed)
    [(p50, p99, bad)] = re.findall(r"p50us=(\d+) p99us=(\d+) bad=(\d+)", printed)
    return Answered(float(rate), int(requests), int(p50) / 1000, int(p99) / 1000, int(bad))


def _wait(url: str, body: dict, headers: dict[str, str], *, within: float) -> None:
    deadline = time.monotonic() + within
    while True:
        try:
            request = urllib.request.Request(url, data=json.dumps(body).encode(), headers=headers)
            with urllib.request.urlopen(request, timeout=10) as answer:
                assert FOUND in answer.read(), "the read found nothing"
            return
        except OSError:  # URLError is one too
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
