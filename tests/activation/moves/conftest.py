"""Two servers, a world that is synced into the first one, and a move of it to the second."""

import dataclasses
from collections.abc import Callable, Iterator

import pytest
import redis
from django.utils import timezone

from activation import handles, moves
from activation.models import DestinationMove
from config.embedded import EmbeddedServer
from tests.activation.moves.playing import PEOPLE, Caller
from tests.activation.world import World, build
from tests.cast import Member


@pytest.fixture
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[EmbeddedServer, EmbeddedServer]]:
    with (
        EmbeddedServer(tmp_path_factory.mktemp("old")) as old,
        EmbeddedServer(tmp_path_factory.mktemp("new")) as new,
    ):
        yield old, new


@pytest.fixture
def world(admin: Member, servers, settings, tmp_path, transactional_db: None) -> Iterator[World]:
    settings.PARTITION_ROWS = 10
    settings.SNAPSHOT_DIR = tmp_path
    world = build(admin.actor, servers[0])
    world.put(PEOPLE)
    yield world
    handles.close()
    world.redis.close()


@pytest.fixture
def there(world: World, servers) -> Iterator[World]:
    """The same world, looking into the new place."""
    client = redis.Redis.from_url(servers[1].url())
    yield dataclasses.replace(world, redis=client)
    client.close()


@pytest.fixture
def move(world: World, servers) -> Callable[[], DestinationMove]:
    def begin() -> DestinationMove:
        return moves.start(
            world.source.destination,
            settings={"address": servers[1].address},
            credentials={"password": servers[1].password},
            by=world.by,
            now=timezone.now(),
        )

    return begin


@pytest.fixture
def identity(world: World) -> Caller:
    return Caller(world)
