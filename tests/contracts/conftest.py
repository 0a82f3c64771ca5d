"""The session's API server."""

from collections.abc import Iterator

import pytest

from config.embedded import EmbeddedServer
from tests.contracts.server import ApiServer, running_server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, redis_server: EmbeddedServer) -> Iterator[ApiServer]:
    """One server for all rows of the table: they change nothing that another row needs."""
    with running_server(tmp_path_factory.mktemp("api"), redis_server) as running:
        yield running
