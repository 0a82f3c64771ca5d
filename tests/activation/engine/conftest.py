"""The engine's tests run on every warehouse there is."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.activation.engine.customers import Customer, duckdb_customer, postgresql_customer
from tests.postgres import PostgresServer


@pytest.fixture(scope="session")
def engine_database(postgres: PostgresServer) -> str:
    """A database that the engine's tests share, one after the other."""
    return postgres.create_database()


@pytest.fixture(params=["duckdb", "postgresql"])
def customer(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Customer]:
    """A customer with an empty warehouse."""
    if request.param == "duckdb":
        with duckdb_customer(tmp_path) as made:
            yield made
    else:
        server, database = request.getfixturevalue("postgres"), request.getfixturevalue("engine_database")
        with postgresql_customer(server, database) as made:
            yield made
