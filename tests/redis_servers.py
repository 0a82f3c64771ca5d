"""Destinations for tests: Debian's Redis (with TLS where wanted) beside the embedded Valkey, and a Valkey cluster."""

import secrets
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import redis

from activation.engine.connection import RedisSettings
from activation.engine.slots import SLOTS
from config.embedded import EmbeddedServer, free_port
from tests.certificates import Certificates

READY_WITHIN = 10.0


@dataclass
class DebianRedis:
    """Debian's redis-server on 127.0.0.1; a context manager. With `certificate` it speaks TLS only.

    With `clients` as well, it wants a client certificate that this CA signed.
    """

    folder: Path
    certificate: tuple[Path, Path] | None = None
    clients: Certificates | None = None
    password: str = field(default_factory=lambda: secrets.token_urlsafe(16), repr=False)
    port: int = field(default_factory=free_port)
    options: tuple[str, ...] = ()
    _process: "subprocess.Popen[bytes] | None" = field(default=None, init=False, repr=False)

    @property
    def address(self) -> str:
        return f"localhost:{self.port}"

    def client(self) -> redis.Redis:
        tls = {"ssl": True, "ssl_cert_reqs": "none", "ssl_check_hostname": False} if self.certificate else {}
        if self.clients:
            certificate, key = self.clients.issue("tests")
            tls |= {"ssl_certfile": certificate, "ssl_keyfile": key}
        return redis.Redis(port=self.port, password=self.password or None, **tls)  # type: ignore[arg-type]  # see tls

    def __enter__(self) -> Self:
        binary = shutil.which("redis-server")
        assert binary, "these tests need Debian's redis-server"
        self.folder.mkdir(parents=True, exist_ok=True)
        configuration = self.folder / "redis.conf"
        configuration.write_text("\n".join(self._lines()) + "\n")
        self._process = subprocess.Popen([binary, configuration], cwd=self.folder, stdout=subprocess.DEVNULL)
        _wait_for(self.client())
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _lines(self) -> list[str]:
        common = ["bind 127.0.0.1", f"dir {self.folder}", 'save ""', "appendonly no", f"requirepass {self.password}"]
        common += self.options
        if self.certificate is None:
            return [*common, f"port {self.port}"]
        certificate, key = self.certificate
        trusted = self.folder / "clients.pem"
        trusted.write_text(self.clients.pem if self.clients else certificate.read_text())
        files = [f"tls-cert-file {certificate}", f"tls-key-file {key}", f"tls-ca-cert-file {trusted}"]
        wanted = f"tls-auth-clients {'yes' if self.clients else 'no'}"
        return [*common, "port 0", f"tls-port {self.port}", *files, wanted]


@dataclass
class ValkeyCluster:
    """Three primaries that share the slots, evenly unless `shares` says where each begins; a context manager."""

    folder: Path
    shares: tuple[int, int, int] = (0, SLOTS // 3, 2 * SLOTS // 3)
    password: str = field(default_factory=lambda: secrets.token_urlsafe(16), repr=False)
    servers: list[EmbeddedServer] = field(default_factory=list, init=False)
    _stack: ExitStack = field(default_factory=ExitStack, init=False, repr=False)

    @property
    def settings(self) -> RedisSettings:
        addresses = ",".join(server.address for server in self.servers[:2])
        return RedisSettings.from_plain({"address": addresses, "clusterMode": True}, {"password": self.password})

    def client(self, index: int) -> redis.Redis:
        return redis.Redis(port=self.servers[index].port, password=self.password)

    def __enter__(self) -> Self:
        self.servers = [self._stack.enter_context(self._server(index)) for index in range(3)]
        for index, (first, after) in enumerate(pairwise((*self.shares, SLOTS))):
            with self.client(index) as client:
                client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", index + 1)
                client.execute_command("CLUSTER", "ADDSLOTSRANGE", first, after - 1)
                client.execute_command("CLUSTER", "MEET", "127.0.0.1", self.servers[0].port, self._bus(self.servers[0]))
        self.wait_until_agreed()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def wait_until_agreed(self) -> None:
        """Wait until every node sees every slot served by the same nodes."""
        deadline = time.monotonic() + READY_WITHIN
        while True:
            views = [self._view(index) for index in range(len(self.servers))]
            complete = sum(last - first + 1 for first, last, _ in views[0]) == SLOTS
            if complete and all(view == views[0] for view in views) and all(map(self._is_up, range(3))):
                return
            assert time.monotonic() < deadline, f"the cluster's nodes do not agree: {views}"
            time.sleep(0.05)

    def move_slot(self, slot: int, *, to: int) -> None:
        """Give a slot and its keys to another primary, as a resharding does."""
        with self.moving(slot, to=to):
            pass

    @contextmanager
    def moving(self, slot: int, *, to: int, keys: Sequence[str] = ()) -> Iterator[None]:
        """Stop in the middle of giving a slot to another primary: `keys` are there already, the others follow after."""
        owner, ids = self.owner_of(slot), [self._call(index, "CLUSTER", "MYID") for index in range(3)]
        self._call(to, "CLUSTER", "SETSLOT", slot, "IMPORTING", ids[owner])
        self._call(owner, "CLUSTER", "SETSLOT", slot, "MIGRATING", ids[to])
        self._migrate(keys, owner, to)
        yield
        self._migrate(self._call(owner, "CLUSTER", "GETKEYSINSLOT", slot, 1_000), owner, to)
        for index in (to, owner, 3 - to - owner):
            self._call(index, "CLUSTER", "SETSLOT", slot, "NODE", ids[to])
        self.wait_until_agreed()

    def _migrate(self, keys: Sequence[str | bytes], owner: int, to: int) -> None:
        for key in keys:
            place = ("127.0.0.1", self.servers[to].port, key, 0, 1_000, "AUTH", self.password)
            self._call(owner, "MIGRATE", *place)

    def add_replica(self, index: int) -> EmbeddedServer:
        """Start a replica of a primary; returns once it holds the primary's data and every node knows of it."""
        primary, node_id = self.servers[index], self._call(index, "CLUSTER", "MYID").decode()
        replica = self._stack.enter_context(self._server(len(list(self.folder.iterdir()))))

        def call(*command: object) -> str:
            with redis.Redis(port=replica.port, password=self.password) as client:
                client.response_callbacks.clear()
                return str(client.execute_command(*command), "utf-8")

        call("CLUSTER", "MEET", "127.0.0.1", primary.port, self._bus(primary))
        self._until(lambda: node_id in call("CLUSTER", "NODES"))
        call("CLUSTER", "REPLICATE", node_id)
        self._until(lambda: "master_link_status:up" in call("INFO", "replication"))
        self._until(lambda: all(replica.port in self._copies(at) for at in range(3)))
        return replica

    def fail_over(self, index: int, *, kill: bool = True) -> None:
        """Have a fresh replica of a primary take its slots over, under its place in `servers`.

        The old primary dies, or goes on as a replica of the new one.
        """
        old = self.servers[index]
        self.servers[index] = self.add_replica(index)
        if kill:
            old.kill()
        self._call(index, "CLUSTER", "FAILOVER", "TAKEOVER")
        self._until(lambda: any(port == self.servers[index].port for *_, port in self._view((index + 1) % 3)))

    def owner_of(self, slot: int) -> int:
        """Return the index of the primary that owns a slot."""
        port = next(port for first, last, port in self._view(0) if first <= slot <= last)
        return [server.port for server in self.servers].index(port)

    def flush(self) -> None:
        for index in range(len(self.servers)):
            self._call(index, "FLUSHALL")

    def _call(self, index: int, *command: object) -> Any:
        with self.client(index) as client:
            return client.execute_command(*command)

    def _is_up(self, index: int) -> bool:
        return "cluster_state:ok" in self._text(index, "CLUSTER", "INFO")

    def _text(self, index: int, *command: str) -> str:
        with self.client(index) as client:
            client.response_callbacks.clear()
            return str(client.execute_command(*command), "utf-8")

    @staticmethod
    def _until(met: Callable[[], bool]) -> None:
        deadline = time.monotonic() + READY_WITHIN
        while not met():
            assert time.monotonic() < deadline, "the cluster did not get there in time"
            time.sleep(0.02)

    def _copies(self, index: int) -> set[int]:
        """Return the ports of the replicas that a node tells of."""
        with self.client(index) as client:
            client.response_callbacks.clear()
            slots = client.execute_command("CLUSTER", "SLOTS")
        return {replica[1] for _, _, _, *replicas in slots for replica in replicas}

    def _view(self, index: int) -> list[tuple[int, int, int]]:
        with self.client(index) as client:
            client.response_callbacks.clear()
            slots = client.execute_command("CLUSTER", "SLOTS")
        return sorted((first, last, primary[1]) for first, last, primary, *_ in slots)

    def _server(self, index: int) -> EmbeddedServer:
        bus = free_port()
        options = (
            "cluster-enabled yes",
            f"cluster-port {bus}",
            "cluster-node-timeout 2000",
            f"primaryauth {self.password}",
            "repl-diskless-sync-delay 0",
        )
        return EmbeddedServer(self.folder / str(index), password=self.password, options=options)

    @staticmethod
    def _bus(server: EmbeddedServer) -> str:
        return next(option.split()[1] for option in server.options if option.startswith("cluster-port"))


def _wait_for(client: redis.Redis) -> None:
    deadline = time.monotonic() + READY_WITHIN
    with client:
        while True:
            try:
                client.ping()
            except redis.ConnectionError:
                assert time.monotonic() < deadline, "redis-server did not come up"
                time.sleep(0.02)
            else:
                return
