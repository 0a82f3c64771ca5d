"""Destinations of real servers in which things go wrong at a moment that dice choose."""

import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Protocol

import redis
from django.utils import timezone

from accounts.actors import Actor
from activation import destinations
from activation.models import RedisDestination
from config.embedded import EmbeddedServer
from tests.redis_servers import ValkeyCluster

SHARDS = 3


class Scene(Protocol):
    """A destination that can be disturbed."""

    @property
    def server(self) -> EmbeddedServer:
        """One of its servers."""

    def connect(self, by: Actor) -> RedisDestination:
        """Make it a destination of the actor's organisation, empty."""

    def disturb(self, dice: Random) -> str:
        """Let something go wrong now, and come right again; say what."""

    def clients(self) -> list[redis.Redis]:
        """Return a client for each primary."""


@dataclass
class OneServer:
    """A server with an append-only file."""

    server: EmbeddedServer

    def connect(self, by: Actor) -> RedisDestination:
        shutil.rmtree(self._backup, ignore_errors=True)
        [client] = self.clients()
        client.flushall()
        return destinations.create(
            name="One server",
            settings={"address": self.server.address},
            credentials={"password": self.server.password},
            by=by,
            now=timezone.now(),
        )

    def disturb(self, dice: Random) -> str:
        what = dice.choice(["restart", "restart", "lose everything", "back up", "restore", "restore", "flush", "hold"])
        match what:
            case "back up":
                shutil.rmtree(self._backup, ignore_errors=True)
                shutil.copytree(self._data, self._backup)
            case "restore" if not self._backup.exists():
                what = "restart"
            case "flush":
                self.clients()[0].flushall()
            case "hold":
                self.clients()[0].execute_command("CLIENT", "PAUSE", str(dice.randint(50, 1_500)), "WRITE")
        if what in {"restart", "lose everything", "restore"}:
            self._restart(what, seconds=dice.random() * 0.5)
        return what

    def clients(self) -> list[redis.Redis]:
        return [redis.Redis.from_url(self.server.url())]

    def _restart(self, what: str, *, seconds: float) -> None:
        self.server.kill()
        time.sleep(seconds)
        if what != "restart":
            shutil.rmtree(self._data)
        if what == "restore":
            shutil.copytree(self._backup, self._data)
        self.server.start()

    @property
    def _data(self) -> Path:
        return self.server.folder / "appendonlydir"

    @property
    def _backup(self) -> Path:
        return self.server.folder / "backup"


@dataclass
class Cluster:
    """Three primaries that keep nothing on disk; a replica is there when one is to take over."""

    cluster: ValkeyCluster

    @property
    def server(self) -> EmbeddedServer:
        return self.cluster.servers[0]

    def connect(self, by: Actor) -> RedisDestination:
        self.cluster.wait_until_agreed()
        self.cluster.flush()
        addresses = ",".join(server.address for server in self.cluster.servers)
        return destinations.create(
            name="A cluster",
            settings={"address": addresses, "clusterMode": True},
            credentials={"password": self.cluster.password},
            by=by,
            now=timezone.now(),
        )

    def disturb(self, dice: Random) -> str:
        index = dice.randrange(SHARDS)
        what = dice.choice(["fail over", "lose a shard", "flush a shard", "hold a shard"])
        match what:
            case "fail over":
                self.cluster.fail_over(index)
            case "lose a shard":
                lost = self.cluster.servers[index]
                lost.kill()
                for copy in lost.folder.glob("*.rdb"):  # of another history, if it began as a replica
                    copy.unlink()
                lost.start()
            case "flush a shard":
                self.cluster.client(index).flushall()
            case "hold a shard":
                self.cluster.client(index).execute_command("CLIENT", "PAUSE", str(dice.randint(50, 1_500)), "WRITE")
        with suppress(redis.ConnectionError):
            self.cluster.wait_until_agreed()
        return f"{what} ({index})"

    def clients(self) -> list[redis.Redis]:
        return [self.cluster.client(index) for index in range(SHARDS)]
