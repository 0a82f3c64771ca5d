"""What somebody may do, and where profiles are, is told anew to every process within a second of a change."""

import http.client
import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest

from tests.contracts.conftest import PATHS
from tests.contracts.server import CLOSED_ADDRESS, ApiServer, running_server

WORKERS = 4
# The system spreads connections over the workers' listeners by chance: of so many each worker has some.
CONNECTIONS = 48
REMEMBERED_FOR = 1.0
TABLES = ("accounts_personalaccesstoken", "accounts_membership", "activation_redisdestination")
CHANGES = {
    "a revoked token": ("UPDATE accounts_personalaccesstoken SET revoked_at = '2026-01-01' WHERE role = 'admin'", 401),
    "a demoted owner": ("UPDATE accounts_membership SET role = 'viewer'", 401),
    "changed settings": (
        f"UPDATE activation_redisdestination SET version = version + 1, settings = json_set(settings, '$.address', '{CLOSED_ADDRESS}')",
        503,
    ),
    "a removed destination": ("UPDATE activation_redisdestination SET public_id = public_id || 'x'", 404),
}


@pytest.fixture(scope="module", params=PATHS.values(), ids=list(PATHS))
def server(request, tmp_path_factory, redis_server) -> Iterator[ApiServer]:
    """A server of four processes whose rows may be changed."""
    folder = tmp_path_factory.mktemp("every-process")
    with running_server(folder, redis_server, workers=WORKERS, FAST_READS=request.param) as running:
        yield running


@pytest.mark.parametrize("change", CHANGES.values(), ids=list(CHANGES))
def test_honours_within_a_second(server, change):
    statement, status = change
    with ExitStack() as stack:
        connections = [http.client.HTTPConnection("127.0.0.1", server.port, timeout=10) for _ in range(CONNECTIONS)]
        for connection in connections:
            stack.callback(connection.close)
        assert _ask_all(server, connections) == {200}
        database = stack.enter_context(closing(sqlite3.connect(server.folder / "api.sqlite3", timeout=20)))
        tables = {name: database.execute(f"SELECT * FROM {name}").fetchall() for name in TABLES}
        stack.callback(_put_back, database, tables)
        database.execute(statement)
        database.commit()
        time.sleep(REMEMBERED_FOR)
        assert _ask_all(server, connections) == {status}


def _put_back(database: sqlite3.Connection, tables: dict[str, list[tuple[object, ...]]]) -> None:
    for name, rows in tables.items():
        database.executemany(f"REPLACE INTO {name} VALUES ({','.join('?' * len(rows[0]))})", rows)
    database.commit()
    time.sleep(REMEMBERED_FOR + 0.5)  # a circuit that opened meanwhile closes again


def _ask_all(server: ApiServer, connections: list[http.client.HTTPConnection]) -> set[int]:
    body = json.dumps(
        {"entity": "user", "destinationId": server.destinations["main"][1], "id": {"type": "email", "value": "x"}}
    )
    headers = {"Authorization": f"Bearer {server.tokens['admin']}", "Content-Type": "application/json"}
    found = set()
    for connection in connections:
        connection.request("POST", "/v2/activation", body, headers)
        answer = connection.getresponse()
        answer.read()
        found.add(answer.status)
    return found
