"""A primary, a replica and three sentinels on 127.0.0.1, of Debian's Redis: failovers are real ones."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import redis

from activation.engine.redis_settings import RedisSettings
from config.embedded import free_port
from tests.redis_servers import READY_WITHIN, DebianRedis

SERVICE = "profiles-primary"
SENTINEL_PASSWORD = "of-the-" + "sentinels"


@dataclass
class _Sentinel:
    """One sentinel process; a context manager."""

    folder: Path
    primary: DebianRedis
    port: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes] | None" = field(default=None, init=False, repr=False)

    def client(self) -> redis.Redis:
        return redis.Redis(port=self.port, password=SENTINEL_PASSWORD, protocol=2)

    def __enter__(self) -> Self:
        binary = shutil.which("redis-server")
        assert binary, "these tests need Debian's redis-server"
        self.folder.mkdir(parents=True)
        configuration = self.folder / "sentinel.conf"
        configuration.write_text("\n".join(self._lines()) + "\n")
        self.process = subprocess.Popen(
            [binary, configuration, "--sentinel"], cwd=self.folder, stdout=subprocess.DEVNULL
        )
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def _lines(self) -> list[str]:
        return [
            "bind 127.0.0.1",
            f"port {self.port}",
            f"dir {self.folder}",
            f"requirepass {SENTINEL_PASSWORD}",
            f"sentinel monitor {SERVICE} 127.0.0.1 {self.primary.port} 2",
            f"sentinel auth-pass {SERVICE} {self.primary.password}",
            f"sentinel down-after-milliseconds {SERVICE} 500",
            f"sentinel failover-timeout {SERVICE} 3000",
        ]


@dataclass
class SentinelService:
    """The servers and their sentinels; a context manager. `servers[0]` is the primary at first."""

    folder: Path
    servers: list[DebianRedis] = field(default_factory=list, init=False)
    sentinels: list[_Sentinel] = field(default_factory=list, init=False)
    _stack: ExitStack = field(default_factory=ExitStack, init=False, repr=False)

    def settings(self, **more: object) -> RedisSettings:
        """Return how the service is reached, by its sentinels' addresses."""
        addresses = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        secrets = {"password": self.servers[0].password, "sentinelPassword": SENTINEL_PASSWORD}
        plain = {"address": addresses, "sentinelService": SERVICE, **more}
        return RedisSettings.from_plain(plain, secrets)

    def __enter__(self) -> Self:
        try:
            return self._started()
        except BaseException:
            self._stack.close()
            raise

    def _started(self) -> Self:
        first = DebianRedis(self.folder / "0", options=("repl-diskless-sync-delay 0",))
        first.options += (f"masterauth {first.password}",)
        options = (*first.options, f"replicaof 127.0.0.1 {first.port}")
        second = DebianRedis(self.folder / "1", password=first.password, options=options)
        self.servers = [self._stack.enter_context(server) for server in (first, second)]
        self.wait(lambda: b"master_link_status:up" in self.info(1, "replication"))
        self.sentinels = [
            self._stack.enter_context(_Sentinel(self.folder / f"sentinel-{index}", first)) for index in range(3)
        ]
        self.wait(self._agreed)
        for sentinel in self.sentinels:  # as released they look at the replica's state every ten seconds
            self.ask(sentinel, "SENTINEL", "DEBUG", "INFO-PERIOD", "300")
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def primary(self) -> int:
        """Return the index of the server that all sentinels name."""
        ports = {
            int(self.ask(sentinel, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)[1]) for sentinel in self.sentinels
        }
        assert len(ports) == 1, "the sentinels do not agree"
        return [server.port for server in self.servers].index(ports.pop())

    def is_primary(self, index: int) -> bool:
        """Ask a server itself."""
        with self.servers[index].client() as client:
            client.response_callbacks.clear()
            try:
                return bool(client.execute_command("ROLE")[0] == b"master")
            except redis.ConnectionError:
                return False

    def demote(self) -> int:
        """Have the replica take over while the primary lives; returns the index of the new primary.

        The old one is told what sentinels tell it, which they do eight seconds later.
        """
        old = self.primary()
        self.wait(self._sentinel_agrees)
        self.wait(lambda: self.is_primary(1 - old))
        with self.servers[old].client() as client:
            client.execute_command("REPLICAOF", "127.0.0.1", self.servers[1 - old].port)
            client.execute_command("CLIENT", "KILL", "TYPE", "normal")
        return 1 - old

    def _sentinel_agrees(self) -> bool:
        try:
            return bool(self.ask(self.sentinels[0], "SENTINEL", "FAILOVER", SERVICE) == b"OK")
        except redis.ResponseError:
            return False

    def kill_primary(self) -> int:
        """End the primary as a crash would, at once; returns the index of the server that will follow it."""
        index = self.primary()
        self.servers[index].__exit__()
        return 1 - index

    @contextmanager
    def replica_cut_off(self) -> Iterator[None]:
        """Let the replica hear nothing of what the primary is told meanwhile."""
        primary = self.primary()
        with self.servers[1 - primary].client() as replica, self.servers[primary].client() as client:
            pid = int(replica.info("server")["process_id"])
            os.kill(pid, signal.SIGSTOP)
            try:
                client.execute_command("CLIENT", "KILL", "TYPE", "replica")
                yield
            finally:
                os.kill(pid, signal.SIGCONT)

    def info(self, index: int, section: str) -> bytes:
        with self.servers[index].client() as client:
            client.response_callbacks.clear()
            text: bytes = client.execute_command("INFO", section)
            return text

    @staticmethod
    def ask(sentinel: _Sentinel, *command: str) -> Any:
        with sentinel.client() as client:
            client.response_callbacks.clear()
            return client.execute_command(*command)

    @staticmethod
    def wait(met: Callable[[], bool]) -> None:
        deadline = time.monotonic() + READY_WITHIN
        while not met():
            assert time.monotonic() < deadline, "the service did not get there in time"
            time.sleep(0.02)

    def _agreed(self) -> bool:
        """Every sentinel knows the replica and the other sentinels."""
        return all(self._knows_all(sentinel) for sentinel in self.sentinels)

    def _knows_all(self, sentinel: _Sentinel) -> bool:
        try:
            flat = self.ask(sentinel, "SENTINEL", "MASTER", SERVICE)
        except redis.ConnectionError:
            return False
        facts = dict(zip(flat[::2], flat[1::2], strict=True))
        return (facts[b"num-slaves"], facts[b"num-other-sentinels"]) == (b"1", b"2")
