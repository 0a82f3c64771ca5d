"""Serves a WSGI application by granian, as in production, and asks it as fast as wrk can, or at a given rate."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from config.embedded import free_port

CONNECTIONS = 16
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


@contextmanager
def serving(application: str, environment: dict[str, str], body: dict, headers: dict[str, str]) -> Iterator[Served]:
    """Serve an application until the block ends; it has answered the body once."""
    port = free_port()
    command = [sys.executable, "-m", "config.serve", "--application", application, "--port", str(port)]
    command += ["--unready-for", "0", "--drain-for", "0", "--log-level", "error"]
    server = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        url = f"http://127.0.0.1:{port}/v2/activation"
        _wait(url, body, headers)
        yield Served(url, server.pid)
    finally:
        server.terminate()
        server.wait(10)


def script(file: Path, headers: dict[str, str], body: str, *, before: str = "") -> Path:
    """Write what wrk is to send: `body` is a Lua expression, evaluated for each request; `before` are Lua lines."""
    lines = [before, 'wrk.method = "POST"', *(f'wrk.headers["{name}"] = "{value}"' for name, value in headers.items())]
    lines += [f"request = function() return wrk.format(nil, nil, nil, {body}) end", DONE]
    file.write_text("\n".join(lines))
    file.chmod(0o600)
    return file


def ask(url: str, script: Path, seconds: int, *, core: int | None = None) -> Answered:
    """Ask for some seconds over 16 connections, from one core if told, and return what was answered."""
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", str(script), url]
    if core is not None and shutil.which("taskset"):
        command = ["taskset", "-c", str(min(core, (os.cpu_count() or 1) - 1)), *command]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    [rate] = re.findall(r"Requests/sec:\s+([\d.]+)", printed)
    [requests] = re.findall(r"(\d+) requests in", printed)
    [(p50, p99, bad)] = re.findall(r"p50us=(\d+) p99us=(\d+) bad=(\d+)", printed)
    return Answered(float(rate), int(requests), int(p50) / 1000, int(p99) / 1000, int(bad))


def _wait(url: str, body: dict, headers: dict[str, str]) -> None:
    deadline = time.monotonic() + 90
    while True:
        try:
            request = urllib.request.Request(url, data=json.dumps(body).encode(), headers=headers)
            with urllib.request.urlopen(request, timeout=2) as answer:
                assert json.load(answer)["data"], "the read found nothing"
            return
        except OSError:  # URLError is one too
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
