"""The stage for histories: a destination and a warehouse that outlive them, and boundaries around the product."""

import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Generic, Self, TypeVar

import duckdb
import pytest
from django.utils import timezone

from accounts import tokens
from accounts.identities import TokenIdentity
from activation import claims
from activation.engine import encoding, partition_writer, synchronise
from activation.models import Activation
from config.embedded import EmbeddedServer
from projects import dialling
from tests.activation.world import build
from tests.cast import Member
from tests.chaos import lives
from tests.chaos.customer import IGNORED, VIEW, Customer
from tests.chaos.destination import Destination
from tests.chaos.history import ENTITY, ID_TYPE, History
from tests.chaos.warehouse import NearWarehouse, Shelf

PARTITION_ROWS, WRITE_ROWS, GUARD_ROWS = 7, 3, 4
T = TypeVar("T")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    with EmbeddedServer(tmp_path_factory.mktemp("destination"), durable=True) as server:
        yield server


@pytest.fixture
def begin(
    admin: Member,
    server: EmbeddedServer,
    settings,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    transactional_db: None,
) -> Iterator[Callable[[], History]]:
    """Begins a history; the one before must have been cleaned up."""
    settings.PARTITION_ROWS, settings.SNAPSHOT_DIR = PARTITION_ROWS, tmp_path
    shelf = Shelf(tmp_path / "customer.duckdb")
    monkeypatch.setattr(dialling, "_duckdb", lambda *_: NearWarehouse(shelf))
    monkeypatch.setattr(claims, "HEARTBEAT_EVERY", 3_600)  # leases run out when a test says so
    monkeypatch.setattr(synchronise, "WRITE_ROWS", WRITE_ROWS)
    monkeypatch.setattr(synchronise, "Ahead", InStep)
    monkeypatch.setattr(partition_writer, "time", SimpleNamespace(sleep=lambda _: None, monotonic=time.monotonic))
    encoders = Encoders()
    monkeypatch.setattr(encoding, "duckdb", SimpleNamespace(connect=encoders.connect))
    lives.install(monkeypatch)
    identity = tokens.identify(admin.token(), now=timezone.now(), address="192.0.2.1")
    yield partial(_begin, admin, identity, shelf, Destination(server))
    encoders.close()
    shelf.close()


def _begin(member: Member, identity: TokenIdentity, shelf: Shelf, destination: Destination) -> History:
    """Begin a history: an empty destination, a source that was never synced, and nobody in its view."""
    destination.clean()
    shelf.empty()
    source = build(member.actor, destination.server).source
    source.entity, source.id_type, source.id_column = ENTITY, ID_TYPE, ID_TYPE
    source.feature_view = source.relation = VIEW
    source.ignored_columns = [IGNORED]
    source.save()
    Activation.objects.update(guard_rows=GUARD_ROWS)
    customer = Customer(shelf)
    customer.write()
    return History(source, identity, customer, destination)


class InStep(Generic[T]):
    """Works ahead as `activation.engine.ahead` does, but in the same thread: what is repeated comes out the same."""

    AHEAD = 2

    def __init__(self, items: Generator[T, None, None], *, cancel: Callable[[], None]) -> None:
        self._items = items

    def __enter__(self) -> Self:
        return self

    def __iter__(self) -> Iterator[T]:
        made: deque[T] = deque()
        for item in self._items:
            made.append(item)
            if len(made) > self.AHEAD:
                yield made.popleft()
        yield from made

    def __exit__(self, *_: object) -> None:
        self._items.close()


class Encoders:
    """Keeps encoders' databases for the next encoder: opening one takes longer than all that is encoded here."""

    def __init__(self) -> None:
        self._idle: list[duckdb.DuckDBPyConnection] = []

    def connect(self, place: str, *, config: dict[str, Any]) -> "_Lent":
        """Stand in for `duckdb.connect`."""
        return _Lent(self._idle.pop() if self._idle else duckdb.connect(place, config=config), self._idle)

    def close(self) -> None:
        """Close what was kept."""
        for connection in self._idle:
            connection.close()


class _Lent:
    """A connection that is given back instead of closed."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, idle: list[duckdb.DuckDBPyConnection]) -> None:
        self._connection = connection
        self._idle = idle

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def close(self) -> None:
        self._connection.execute("DROP TABLE IF EXISTS suppressed")
        self._idle.append(self._connection)
