"""The customer's Redis: a Valkey with an append-only file, which is killed, restored from a backup, filled up."""

import shutil
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import redis

from config.embedded import EmbeddedServer


class Return(StrEnum):
    """With which data a server that was killed comes back."""

    WHOLE = "whole"
    EMPTY = "empty"
    BACKUP = "backup"


@dataclass
class Destination:
    """One server. `up` tells whether it runs, `refuses` whether it takes no writes."""

    server: EmbeddedServer
    up: bool = True
    refuses: bool = False
    _backup: Path | None = field(default=None, repr=False)
    _comes_back: Return = Return.WHOLE

    def __post_init__(self) -> None:
        self.client = redis.Redis.from_url(self.server.url())

    def clean(self) -> None:
        """Begin anew: empty, up, and without a backup."""
        self._backup, self._comes_back = None, Return.EMPTY
        if not self.up:
            self.come_back()
        self.relieve()
        self.client.flushall()

    def back_up(self) -> None:
        """Copy the data as it is now."""
        folder = self.server.folder / "backup"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self._data, folder)
        self._backup = folder

    def kill(self, comes_back: Return) -> None:
        """End the server without a word; without a backup it comes back with what it had."""
        self.client.close()
        self.server.kill()
        self.up = self.refuses = False
        self._comes_back = comes_back if self._backup or comes_back is not Return.BACKUP else Return.WHOLE

    def come_back(self) -> None:
        """Start the server again."""
        if self._comes_back is not Return.WHOLE:
            shutil.rmtree(self._data)
        if self._comes_back is Return.BACKUP:
            assert self._backup
            shutil.copytree(self._backup, self._data)
        self.server.start()
        self.up = True

    def fill_up(self) -> None:
        """Refuse writes for want of memory."""
        self.client.config_set("maxmemory", "1")
        self.refuses = True

    def follow(self) -> None:
        """Become a read-only replica of a server that is not there."""
        self.client.replicaof("127.0.0.1", 1)
        self.refuses = True

    def relieve(self) -> None:
        """Take writes again."""
        self.client.config_set("maxmemory", "0")
        self.client.replicaof("NO", "ONE")
        self.refuses = False

    @property
    def _data(self) -> Path:
        return self.server.folder / "appendonlydir"
