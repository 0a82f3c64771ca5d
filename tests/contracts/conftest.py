"""The session's API server."""

from collections.abc import Iterator
from typing import Any

import pytest

from config.embedded import EmbeddedServer
from tests.contracts.server import ApiServer, running_server

SHARED, ALONE = "config.wsgi:application", "config.wsgi:api"
WAYS: dict[str, dict[str, Any]] = {
    "fast": {"FAST_READS": "1", "application": SHARED},
    "framework": {"FAST_READS": "0", "application": SHARED},
    "four api processes": {"FAST_READS": "1", "application": ALONE, "workers": 4},
}


@pytest.fixture(scope="session", params=WAYS.values(), ids=list(WAYS))
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, redis_server: EmbeddedServer
) -> Iterator[ApiServer]:
    """One server for all rows of the table, which change nothing that another row needs; one for each way to serve."""
    with running_server(tmp_path_factory.mktemp("api"), redis_server, **request.param) as running:
        yield running
