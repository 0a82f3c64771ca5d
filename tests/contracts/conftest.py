"""The session's API server."""

from collections.abc import Iterator

import pytest

from config.embedded import EmbeddedServer
from tests.contracts.server import ApiServer, running_server


@pytest.fixture(scope="session", params=["1", "0"], ids=["fast", "framework"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, redis_server: EmbeddedServer
) -> Iterator[ApiServer]:
    """One server for all rows of the table, which change nothing that another row needs; one for each way of reads."""
    with running_server(tmp_path_factory.mktemp("api"), redis_server, FAST_READS=request.param) as running:
        yield running
