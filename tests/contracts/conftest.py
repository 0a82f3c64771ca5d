"""The session's API server, and both paths through it in this process."""

import asyncio
import os
from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest
import redis

from activation import handles
from config.embedded import EmbeddedServer
from tests.contracts.both_paths import World
from tests.contracts.server import ApiServer, running_server

PATHS = {"fast": "1", "framework": "0"}
PORTS = {"shared port": "config.wsgi:application", "api alone": "config.wsgi:api"}
WORKERS = {"one worker": 1, "four workers": 4}
# Each two of thin path, port and workers meet in one of these; `EVERY_WAY=1` serves in all eight.
PAIRED = (
    ("fast", "shared port", "one worker"),
    ("framework", "shared port", "four workers"),
    ("framework", "api alone", "one worker"),
    ("fast", "api alone", "four workers"),
)
CHOSEN = tuple(product(PATHS, PORTS, WORKERS)) if os.environ.get("EVERY_WAY") == "1" else PAIRED
WAYS: dict[str, dict[str, Any]] = {
    ", ".join(way): {"FAST_READS": PATHS[way[0]], "application": PORTS[way[1]], "workers": WORKERS[way[2]]}
    for way in CHOSEN
}


@pytest.fixture(scope="session", params=WAYS.values(), ids=list(WAYS))
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, redis_server: EmbeddedServer
) -> Iterator[ApiServer]:
    """One server for all rows of the table, which change nothing that another row needs; one for each way to serve."""
    with running_server(tmp_path_factory.mktemp("api"), redis_server, **request.param) as running:
        yield running


@pytest.fixture
def thread_world(admin, redis_server):
    with redis.Redis.from_url(redis_server.url()) as client:
        yield World(admin, redis_server, client)
    handles.close()


@pytest.fixture
def loop_world(admin, redis_server):
    with redis.Redis.from_url(redis_server.url()) as client, asyncio.Runner() as runner:
        yield World(admin, redis_server, client, runner.get_loop())
        handles.close()
        runner.run(asyncio.sleep(0.01))


@pytest.fixture(params=["thread", "loop"])
def either_world(request):
    """The same for both ways of the thin path."""
    return request.getfixturevalue(f"{request.param}_world")


@pytest.fixture
def world(thread_world):
    return thread_world
