"""The real API server as a process of its own, with its own database, beside the tests' Valkey."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis

from config.embedded import EmbeddedServer, free_port

ROOT = Path(__file__).resolve().parent.parent.parent
READY_WITHIN = 90.0
ENDED_WITHIN = 30.0
SEED = "import django; django.setup(); from tests.contracts import seed; seed.main()"
# Nothing of the caller's is listening on port 1 of the loopback.
CLOSED_ADDRESS = "127.0.0.1:1"


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class ApiServer:
    """A running server and what `tests.contracts.seed` put into its database."""

    port: int
    folder: Path
    tokens: Mapping[str, str]
    destinations: Mapping[str, tuple[str, str]]
    things: Mapping[str, str]
    redis: "redis.Redis"
    workers: int
    pid: int
    environment: Mapping[str, str] = field(repr=False)

    def ask(
        self, method: str, path: str, *, body: bytes | Iterator[bytes] = b"", headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send a request as it is given; a body of pieces goes out chunked."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, body=body, headers=dict(headers or {}))
            response = connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def call(
        self,
        method: str,
        path: str,
        asked: object,
        *,
        token: str | None = "admin",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send `asked` as JSON with a token of the seed."""
        authorization = {"Authorization": f"Bearer {self.tokens[token]}"} if token else {}
        return self.ask(
            method,
            path,
            body=asked if isinstance(asked, bytes) else json.dumps(asked).encode(),
            headers={"Content-Type": "application/json", **authorization, **(headers or {})},
        )

    def key(self, destination: str, entity: str, id_type: str, value: str) -> str:
        workspace_id, destination_id = self.destinations[destination]
        return f"{workspace_id}:{destination_id}:{entity}:{id_type}:{value}"


@contextmanager
def running_server(
    folder: Path,
    customer: EmbeddedServer,
    *,
    application: str = "config.wsgi:application",
    workers: int = 1,
    options: Sequence[str] = (),
    **variables: str,
) -> Iterator[ApiServer]:
    """Seed a database under `folder` and run the server on it; `variables` are added to its environment."""
    database = folder / "database"
    database.mkdir()
    with socket.create_server(("127.0.0.1", 0), backlog=128) as silent:
        environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "DATABASE_URL": f"sqlite:///{database / 'api.sqlite3'}",
            "REDIS_ADDRESS": customer.address,
            "REDIS_PASSWORD": customer.password,
            "CLOSED_ADDRESS": CLOSED_ADDRESS,
            "SILENT_ADDRESS": f"127.0.0.1:{silent.getsockname()[1]}",
            **variables,
        }
        seeded = _seed(environment)
        port = free_port()
        command = [sys.executable, "-m", "config.serve", "--application", application, "--port", str(port)]
        process = subprocess.Popen(
            [*command, "--workers", str(workers), "--unready-for", "0", "--drain-for", "1", *options],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            with redis.Redis.from_url(customer.url()) as client:
                server = ApiServer(
                    port=port,
                    folder=database,
                    redis=client,
                    workers=workers,
                    pid=process.pid,
                    environment=environment,
                    **seeded,
                )
                _wait_until_ready(server, process)
                yield server
        finally:
            _end(process)


def _seed(environment: Mapping[str, str]) -> Any:
    command = [sys.executable, "-c", SEED]
    return json.loads(subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=True).stdout)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End a server and its workers; one that does not end in time must not outlive the tests."""
    process.terminate()
    try:
        process.wait(ENDED_WITHIN)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait_until_ready(server: ApiServer, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + READY_WITHIN
    while True:
        assert process.poll() is None, "the server ended at once"
        try:
            if server.ask("GET", "/healthz").status == 200:
                return
        except OSError:
            pass
        assert time.monotonic() < deadline, "the server did not answer in time"
        time.sleep(0.05)
